//! Addresses of servers.

use std::fmt;
use std::str::FromStr;

/// Where a server is and how to reach it: `mqtt://host`, `mqtts://host:8883`, `unix:///run/broker.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    pub(crate) scheme: Scheme,
    /// Host name or address without brackets; the path of a unix socket.
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// Path and query, with their slash; only WebSockets use it.
    pub(crate) path: Box<str>,
    pub(crate) username: Option<Box<str>>,
    pub(crate) password: Option<Box<str>>,
}

/// The transport that a URL names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `mqtt`, `tcp`.
    Tcp,
    /// `mqtts`, `ssl`, `tls`.
    Tls,
    /// `ws`.
    WebSocket,
    /// `wss`.
    WebSocketTls,
    /// `unix`.
    Unix,
}

impl Scheme {
    const fn default_port(self) -> u16 {
        match self {
            Self::Tcp => 1883,
            Self::Tls => 8883,
            Self::WebSocket => 80,
            Self::WebSocketTls => 443,
            Self::Unix => 0,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
            Self::WebSocketTls => "wss",
            Self::Unix => "unix",
        }
    }

    /// Whether TLS lies between transport and protocol.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::WebSocketTls)
    }
}

impl ServerUrl {
    /// The transport.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Host name or address; the path of a unix socket.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 for a unix socket.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl ServerUrl {
    /// The whole address but for user and password.
    pub(crate) fn with_path(&self) -> String {
        if self.scheme == Scheme::Unix {
            return self.to_string();
        }
        format!("{self}{}", self.path)
    }
}

impl UrlError {
    pub(crate) fn new(url: &str, why: &'static str) -> Self {
        Self {
            url: without_password(url).into(),
            why,
        }
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let fail = |why| UrlError {
            url: without_password(text).into(),
            why,
        };
        let (scheme, rest) = text.split_once("://").unwrap_or(("mqtt", text));
        let scheme = match scheme {
            "mqtt" | "tcp" => Scheme::Tcp,
            "mqtts" | "ssl" | "tls" => Scheme::Tls,
            "ws" => Scheme::WebSocket,
            "wss" => Scheme::WebSocketTls,
            "unix" => Scheme::Unix,
            _ => {
                return Err(fail(
                    "the scheme is none of mqtt, tcp, mqtts, ssl, tls, ws, wss and unix",
                ));
            }
        };
        if scheme == Scheme::Unix {
            return if rest.is_empty() {
                Err(fail("unix:// must be followed by the path of a socket"))
            } else {
                Ok(Self::of_host(scheme, rest))
            };
        }
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (user, authority) = match authority.rsplit_once('@') {
            Some((user, authority)) => (Some(user), authority),
            None => (None, authority),
        };
        let (host, port) = split_port(authority).map_err(fail)?;
        if host.is_empty() {
            return Err(fail("the host is missing"));
        }
        let mut url = Self::of_host(scheme, host);
        url.port = port.unwrap_or_else(|| scheme.default_port());
        url.path = if path.is_empty() { "/" } else { path }.into();
        if let Some(user) = user {
            let (name, password) = user
                .split_once(':')
                .map_or((user, None), |(n, p)| (n, Some(p)));
            url.username =
                Some(decoded(name).ok_or_else(|| fail("a % is not followed by two digits"))?);
            url.password = match password {
                Some(text) => {
                    Some(decoded(text).ok_or_else(|| fail("a % is not followed by two digits"))?)
                }
                None => None,
            };
        }
        Ok(url)
    }
}

impl ServerUrl {
    fn of_host(scheme: Scheme, host: &str) -> Self {
        Self {
            scheme,
            host: host.into(),
            port: scheme.default_port(),
            path: "/".into(),
            username: None,
            password: None,
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest
                .split_once(']')
                .ok_or("the ] of an IPv6 address is missing")?;
            (host, rest.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, _)) if host.contains(':') => {
                return Err("an IPv6 address must stand in brackets: [::1]:1883");
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    match port {
        None => Ok((host, None)),
        Some(port) => match port.parse() {
            Ok(0) | Err(_) => Err("the port is not a number from 1 to 65535"),
            Ok(port) => Ok((host, Some(port))),
        },
    }
}

/// Percent-decoding; `None` for a broken escape.
fn decoded(text: &str) -> Option<Box<str>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail.get(2..)?;
        } else {
            bytes.push(byte);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok().map(Into::into)
}

fn without_password(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => format!("...@{host}"),
        None => url.to_owned(),
    }
}

/// Never shows a password.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.name();
        match self.scheme {
            Scheme::Unix => write!(f, "{scheme}://{}", self.host),
            _ if self.host.contains(':') => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            _ => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// A text that is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlError {
    url: Box<str>,
    why: &'static str,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is not the address of a server: {}",
            self.url, self.why
        )
    }
}

impl std::error::Error for UrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_all_schemes_are_read() {
        let cases = [
            ("mqtt://a", "mqtt://a:1883"),
            ("tcp://a:1", "mqtt://a:1"),
            ("ssl://localhost:18884", "mqtts://localhost:18884"),
            ("mqtts://a", "mqtts://a:8883"),
            ("tls://a", "mqtts://a:8883"),
            ("ws://a/mqtt", "ws://a:80"),
            ("wss://a", "wss://a:443"),
            ("unix:///run/b.sock", "unix:///run/b.sock"),
            ("a:7", "mqtt://a:7"),
            ("mqtt://[::1]:7", "mqtt://[::1]:7"),
            ("mqtt://user:p%40ss@a", "mqtt://a:1883"),
        ];
        for (text, shown) in cases {
            let url: ServerUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), shown);
        }
        let url: ServerUrl = "mqtt://user:p%40ss@a".parse().expect("a URL");
        assert_eq!(url.username.as_deref(), Some("user"));
        assert_eq!(url.password.as_deref(), Some("p@ss"));
    }

    #[test]
    fn faults_are_named_and_passwords_are_not_shown() {
        for text in [
            "http://a",
            "mqtt://",
            "mqtt://a:0",
            "mqtt://a:x",
            "mqtt://::1",
            "unix://",
            "mqtt://[::1",
        ] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
        let error = "mqtt://me:secret@a:x"
            .parse::<ServerUrl>()
            .expect_err("a port");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
