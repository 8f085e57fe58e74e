//! Listener addresses as people write them: `tcp://host:port`, `unix:///path`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::str::FromStr;

/// The port that IANA registered for MQTT without TLS.
pub const DEFAULT_MQTT_PORT: u16 = 1883;

/// The port that IANA registered for MQTT over TLS.
pub const DEFAULT_MQTTS_PORT: u16 = 8883;

/// The port for MQTT over WebSocket; none is registered, this one is what clients' examples use most.
pub const DEFAULT_WS_PORT: u16 = 8083;

/// The port for MQTT over WebSocket and TLS; see [`DEFAULT_WS_PORT`].
pub const DEFAULT_WSS_PORT: u16 = 8084;

/// Schemes that later builds serve: named, so that the answer can be "not yet" and not "what is that?".
const PLANNED_SCHEMES: [&str; 1] = ["quic"];

/// How a listener talks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// MQTT over plain TCP.
    Tcp,
    /// MQTT over TLS.
    Tls,
    /// MQTT over WebSocket.
    Ws,
    /// MQTT over WebSocket over TLS.
    Wss,
    /// MQTT over a socket in the file system.
    Unix,
}

impl Scheme {
    /// Whether the listener needs a certificate.
    #[must_use]
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether packets travel in WebSocket frames.
    #[must_use]
    pub fn is_web_socket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The port where none is given; 0 where there are no ports.
    #[must_use]
    pub fn default_port(self) -> u16 {
        match self {
            Self::Tcp => DEFAULT_MQTT_PORT,
            Self::Tls => DEFAULT_MQTTS_PORT,
            Self::Ws => DEFAULT_WS_PORT,
            Self::Wss => DEFAULT_WSS_PORT,
            Self::Unix => 0,
        }
    }
}

/// A listener's address, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenUrl {
    scheme: Scheme,
    /// Without the brackets of an IPv6 address; the path of a socket in the file system.
    host: Box<str>,
    port: u16,
}

/// What is wrong with a listener's address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UrlError {
    /// Nothing in front of `://`.
    NoScheme {
        /// What was written.
        url: Box<str>,
    },
    /// A scheme that exists, but is not built yet.
    NotInThisBuild {
        /// The scheme.
        scheme: Box<str>,
    },
    /// A scheme that nobody knows.
    UnknownScheme {
        /// The scheme.
        scheme: Box<str>,
    },
    /// No host between `://` and the port.
    NoHost {
        /// What was written.
        url: Box<str>,
    },
    /// The port is no number from 0 to 65535.
    InvalidPort {
        /// What stood there.
        port: Box<str>,
    },
    /// Something behind the port that a listener has no use for.
    TrailingPath {
        /// What stood there.
        path: Box<str>,
    },
    /// The path of a socket in the file system is missing or does not begin with `/`.
    NoSocketPath {
        /// What stood there.
        path: Box<str>,
    },
}

impl FromStr for ListenUrl {
    type Err = UrlError;

    fn from_str(url: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| UrlError::NoScheme { url: url.into() })?;
        let scheme = parse_scheme(scheme)?;
        if scheme == Scheme::Unix {
            return parse_unix(rest);
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if path.len() > 1 {
            return Err(UrlError::TrailingPath { path: path.into() });
        }
        let (host, port) = split_port(authority);
        if host.is_empty() {
            return Err(UrlError::NoHost { url: url.into() });
        }
        let port = match port {
            None => scheme.default_port(),
            Some(text) => text
                .parse()
                .map_err(|_| UrlError::InvalidPort { port: text.into() })?,
        };
        Ok(Self {
            scheme,
            host: host.into(),
            port,
        })
    }
}

impl ListenUrl {
    /// MQTT over WebSocket at no address in particular: where connections are brought by somebody else.
    #[must_use]
    pub fn web_socket_anywhere() -> Self {
        Self {
            scheme: Scheme::Ws,
            host: "0.0.0.0".into(),
            port: 0,
        }
    }

    /// How the listener talks.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Address or name, without brackets; the path of a socket in the file system.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of a socket in the file system, if it is one.
    #[must_use]
    pub fn socket_path(&self) -> Option<&Path> {
        (self.scheme == Scheme::Unix).then(|| Path::new(&*self.host))
    }

    /// Port; 0 = any free one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the system chooses the port, so that equal addresses are no conflict.
    #[must_use]
    pub fn is_any_port(&self) -> bool {
        self.port == 0 && self.scheme != Scheme::Unix
    }

    /// The addresses that the host stands for. A name may stand for several (`localhost`: one of IPv4, one of IPv6);
    /// with port 0 only the first is returned, as two free ports would not be one address. A socket in the file system
    /// has none.
    ///
    /// # Errors
    /// The resolver's error; [`io::ErrorKind::NotFound`] if the name has no address.
    pub fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        if self.scheme == Scheme::Unix {
            return Ok(Vec::new());
        }
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in (&*self.host, self.port).to_socket_addrs()? {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if self.port == 0 {
            addresses.truncate(1);
        }
        if addresses.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        Ok(addresses)
    }
}

fn parse_scheme(scheme: &str) -> Result<Scheme, UrlError> {
    match scheme {
        "tcp" | "mqtt" => Ok(Scheme::Tcp),
        "tls" | "mqtts" | "ssl" => Ok(Scheme::Tls),
        "ws" => Ok(Scheme::Ws),
        "wss" => Ok(Scheme::Wss),
        "unix" => Ok(Scheme::Unix),
        "" => Err(UrlError::NoScheme { url: "://".into() }),
        planned if PLANNED_SCHEMES.contains(&planned) => Err(UrlError::NotInThisBuild {
            scheme: planned.into(),
        }),
        other => Err(UrlError::UnknownScheme {
            scheme: other.into(),
        }),
    }
}

fn parse_unix(path: &str) -> Result<ListenUrl, UrlError> {
    if path.len() < 2 || !path.starts_with('/') {
        return Err(UrlError::NoSocketPath { path: path.into() });
    }
    Ok(ListenUrl {
        scheme: Scheme::Unix,
        host: path.into(),
        port: 0,
    })
}

/// Host and port; the host may be an IPv6 address in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = authority
        .strip_prefix('[')
        .and_then(|inner| inner.split_once(']'))
    {
        return match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            // No colon: what stands there is no port.
            None => (host, Some(authority)),
        };
    }
    match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    }
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, port } = self;
        if *scheme == Scheme::Unix {
            write!(f, "unix://{host}")
        } else if host.contains(':') {
            write!(f, "{scheme}://[{host}]:{port}")
        } else {
            write!(f, "{scheme}://{host}:{port}")
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
        })
    }
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme { url } => write!(f, "`{url}` names no scheme; write `tcp://host:port`"),
            Self::NotInThisBuild { scheme } => {
                write!(
                    f,
                    "`{scheme}://` listeners are not in this build yet; use `tcp://host:port`"
                )
            }
            Self::UnknownScheme { scheme } => {
                write!(
                    f,
                    "unknown scheme `{scheme}`; use tcp, tls, ws, wss or unix, as in `tcp://host:port`"
                )
            }
            Self::NoHost { url } => write!(
                f,
                "`{url}` names no host; write `tcp://127.0.0.1:1883` or `tcp://0.0.0.0:1883`"
            ),
            Self::InvalidPort { port } => {
                write!(f, "`{port}` is no port; it is a number from 0 to 65535")
            }
            Self::TrailingPath { path } => write!(
                f,
                "`{path}` behind the port means nothing for a listener; remove it (paths of WebSocket are set by ws_paths)"
            ),
            Self::NoSocketPath { path } => write!(
                f,
                "`{path}` is no absolute path; write `unix:///run/tidewire.sock`, with three slashes"
            ),
        }
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::{ListenUrl, UrlError};

    #[test]
    fn every_form_of_address_is_read_or_refused_with_its_reason() {
        let parsed = |url: &str| url.parse::<ListenUrl>();
        let shown = |url: &str| parsed(url).map(|url| url.to_string());
        assert_eq!(
            shown("tcp://127.0.0.1:1883"),
            Ok("tcp://127.0.0.1:1883".into())
        );
        assert_eq!(
            shown("mqtt://broker.local"),
            Ok("tcp://broker.local:1883".into())
        );
        assert_eq!(shown("tcp://[::1]:0/"), Ok("tcp://[::1]:0".into()));
        assert_eq!(shown("tcp://[::1]"), Ok("tcp://[::1]:1883".into()));
        assert_eq!(shown("mqtts://h"), Ok("tls://h:8883".into()));
        assert_eq!(shown("ssl://h:1"), Ok("tls://h:1".into()));
        assert_eq!(shown("ws://h"), Ok("ws://h:8083".into()));
        assert_eq!(shown("wss://h"), Ok("wss://h:8084".into()));
        assert_eq!(shown("unix:///run/x.sock"), Ok("unix:///run/x.sock".into()));
        for (url, error) in [
            (
                "127.0.0.1:1883",
                UrlError::NoScheme {
                    url: "127.0.0.1:1883".into(),
                },
            ),
            (
                "quic://a:1",
                UrlError::NotInThisBuild {
                    scheme: "quic".into(),
                },
            ),
            (
                "unix://run/x.sock",
                UrlError::NoSocketPath {
                    path: "run/x.sock".into(),
                },
            ),
            ("unix:///", UrlError::NoSocketPath { path: "/".into() }),
            (
                "http://a:1",
                UrlError::UnknownScheme {
                    scheme: "http".into(),
                },
            ),
            (
                "tcp://:1883",
                UrlError::NoHost {
                    url: "tcp://:1883".into(),
                },
            ),
            (
                "tcp://a:70000",
                UrlError::InvalidPort {
                    port: "70000".into(),
                },
            ),
            (
                "tcp://[::1]1883",
                UrlError::InvalidPort {
                    port: "[::1]1883".into(),
                },
            ),
            (
                "tcp://a:1/mqtt",
                UrlError::TrailingPath {
                    path: "/mqtt".into(),
                },
            ),
        ] {
            assert_eq!(parsed(url), Err(error), "{url}");
        }
    }

    #[test]
    fn a_free_port_is_asked_of_one_address_only() {
        let url: ListenUrl = "tcp://localhost:0".parse().unwrap();
        assert_eq!(url.resolve().unwrap().len(), 1);
    }
}
