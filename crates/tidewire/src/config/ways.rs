//! The keys of `[[listener]]` about what comes before the first byte of MQTT: TLS, WebSocket, trusted proxies, socket files.

use super::Listener;
use super::accept::Problem;
use super::key::{Access, Key, Kind, Section};
use super::table::{key, meaning, word};
use super::value::Value;
use std::path::PathBuf;
use tidewire_broker::ListenerSettings;
use tidewire_net::{
    AddressRange, ClientCertificate, MinTlsVersion, TlsSettings, WebSocketSettings,
};

/// The settings of these keys.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Ways {
    /// Certificates and trust.
    pub(crate) tls: TlsSettings,
    /// What becomes a WebSocket.
    pub(crate) web_socket: WebSocketSettings,
    /// Who speaks for others; `None` = nobody, and no PROXY header is read.
    pub(crate) trusted_proxies: Option<Vec<AddressRange>>,
    /// Whether they are believed about clients' certificates.
    pub(crate) proxy_tls_identity: bool,
    /// Seconds for all handshakes together.
    pub(crate) handshake_timeout_secs: u32,
    /// Permission bits of a socket file.
    pub(crate) unix_mode: u32,
}

impl Default for Ways {
    fn default() -> Self {
        Self {
            tls: TlsSettings::default(),
            web_socket: WebSocketSettings::default(),
            trusted_proxies: None,
            proxy_tls_identity: false,
            handshake_timeout_secs: 10,
            unix_mode: 0o660,
        }
    }
}

impl Ways {
    /// Puts them into the broker's settings of the listener.
    pub(crate) fn apply(&self, settings: &mut ListenerSettings) {
        settings.tls = self.tls.clone();
        settings.web_socket = self.web_socket.clone();
        settings.trusted_proxies.clone_from(&self.trusted_proxies);
        settings.proxy_tls_identity = self.proxy_tls_identity;
        settings.handshake_timeout_secs = self.handshake_timeout_secs;
        settings.unix_mode = self.unix_mode;
    }
}

const CLIENT_CERTIFICATE: &[(&str, ClientCertificate)] = &[
    ("off", ClientCertificate::Off),
    ("optional", ClientCertificate::Optional),
    ("required", ClientCertificate::Required),
];

const TLS_VERSIONS: &[(&str, MinTlsVersion)] =
    &[("1.2", MinTlsVersion::V12), ("1.3", MinTlsVersion::V13)];

/// In the order of the reference.
pub(super) static KEYS: &[Key] = &[
    key(
        Section::Listener,
        "cert_file",
        Kind::Paths,
        "",
        "Certificate of a `tls` or `wss` listener (PEM, the server's own first, then those that signed it), or a list of them: a \
         client gets the one with the name that it asks for (SNI), else the first. `tidewire cert make-server` makes one. They are read \
         files again; connections that are open stay.",
        Access::Listener {
            get: |listener| paths(&listener.ways.tls.cert_files),
            set: |listener, value| listener.ways.tls.cert_files = into_paths(value),
        },
    ),
    key(
        Section::Listener,
        "key_file",
        Kind::Paths,
        "",
        "Private key of the certificate (PEM, without a password), or a list in the order of `cert_file`.",
        Access::Listener {
            get: |listener| paths(&listener.ways.tls.key_files),
            set: |listener, value| listener.ways.tls.key_files = into_paths(value),
        },
    ),
    key(
        Section::Listener,
        "client_certificate",
        Kind::Choice(&["off", "optional", "required"]),
        "",
        "Whether clients show a certificate of an authority in `client_ca_file`. With `optional`, one that shows none comes in, one that \
         shows a bad one does not.",
        Access::Listener {
            get: |listener| {
                let asked = &listener.ways.tls.client_certificate;
                Value::Choice(word(CLIENT_CERTIFICATE, asked))
            },
            set: |listener, value| {
                if let Value::Choice(word) = value
                    && let Some(asked) = meaning(CLIENT_CERTIFICATE, word)
                {
                    listener.ways.tls.client_certificate = asked;
                }
            },
        },
    ),
    key(
        Section::Listener,
        "client_ca_file",
        Kind::Path,
        "",
        "The authorities that client certificates must come from (PEM, one or more).",
        Access::Listener {
            get: |listener| path(listener.ways.tls.client_ca_file.as_ref()),
            set: |listener, value| listener.ways.tls.client_ca_file = into_path(value),
        },
    ),
    key(
        Section::Listener,
        "crl_file",
        Kind::Path,
        "",
        "Revocation lists of these authorities (PEM, one or more). A client certificate whose authority has no list in the file, or only \
         one whose time is over, is refused.",
        Access::Listener {
            get: |listener| path(listener.ways.tls.crl_file.as_ref()),
            set: |listener, value| listener.ways.tls.crl_file = into_path(value),
        },
    ),
    key(
        Section::Listener,
        "min_tls_version",
        Kind::Choice(&["1.2", "1.3"]),
        "",
        "The oldest version of TLS that is spoken.",
        Access::Listener {
            get: |listener| Value::Choice(word(TLS_VERSIONS, &listener.ways.tls.min_version)),
            set: |listener, value| {
                if let Value::Choice(word) = value
                    && let Some(version) = meaning(TLS_VERSIONS, word)
                {
                    listener.ways.tls.min_version = version;
                }
            },
        },
    ),
    key(
        Section::Listener,
        "alpn",
        Kind::Texts,
        "",
        "Application protocols (ALPN) that are spoken, such as `[\"mqtt\"]`. A client that offers only others is refused, one that offers \
         none is served. Browsers offer `http/1.1` to a `wss` listener. Unset, whatever a client offers is ignored.",
        Access::Listener {
            get: |listener| texts(&listener.ways.tls.alpn),
            set: |listener, value| listener.ways.tls.alpn = into_texts(value),
        },
    ),
    key(
        Section::Listener,
        "ws_paths",
        Kind::Texts,
        "",
        "Paths of a `ws` or `wss` listener where MQTT is spoken; others are answered with 404.",
        Access::Listener {
            get: |listener| texts(&listener.ways.web_socket.paths),
            set: |listener, value| listener.ways.web_socket.paths = into_texts(value),
        },
    ),
    key(
        Section::Listener,
        "ws_origins",
        Kind::Texts,
        "",
        "Pages that may connect to a `ws` or `wss` listener, such as `[\"https://app.example\"]`. Unset, all may. Programs that are no \
         browsers name no page and are not held up by this.",
        Access::Listener {
            get: |listener| texts(&listener.ways.web_socket.origins),
            set: |listener, value| listener.ways.web_socket.origins = into_texts(value),
        },
    ),
    key(
        Section::Listener,
        "ws_max_header_bytes",
        Kind::Integer {
            min: 512,
            max: 65_536,
        },
        "bytes",
        "Longest request that opens a WebSocket, headers and cookies included.",
        Access::Listener {
            get: |listener| Value::Integer(listener.ways.web_socket.max_header_bytes as u64),
            set: |listener, value| {
                listener.ways.web_socket.max_header_bytes = value.narrow::<u32>() as usize;
            },
        },
    ),
    key(
        Section::Listener,
        "ws_static_folder",
        Kind::Path,
        "",
        "Folder whose files a `ws` or `wss` listener answers with to requests that ask for no WebSocket, so that a page and the MQTT that it \
         speaks share a port and a certificate; `index.html` stands for its folder. The files are kept in memory, and read again when \
         one of them changes (`watch_files` in [broker]) or at SIGHUP. Files whose names begin with a dot are left out. There is no \
         access control: whoever reaches the port may read them.",
        Access::Listener {
            get: |listener| path(listener.ways.web_socket.static_folder.as_ref()),
            set: |listener, value| listener.ways.web_socket.static_folder = into_path(value),
        },
    ),
    key(
        Section::Listener,
        "ws_static_max_bytes",
        Kind::Integer {
            min: 1,
            max: 1_073_741_824,
        },
        "bytes",
        "What the files of `ws_static_folder` may have together.",
        Access::Listener {
            get: |listener| Value::Integer(listener.ways.web_socket.static_max_bytes),
            set: |listener, value| {
                listener.ways.web_socket.static_max_bytes = value.narrow::<u32>().into();
            },
        },
    ),
    key(
        Section::Listener,
        "trusted_proxies",
        Kind::Ranges,
        "",
        "Proxies that speak for clients by the PROXY protocol, version 1 or 2, as addresses or ranges such as `[\"10.0.0.0/8\"]`. With \
         it, the listener lets in these proxies alone, and every connection begins with such a header; the address in it is the client's.",
        Access::Listener {
            get: |listener| match &listener.ways.trusted_proxies {
                None => Value::Unset,
                Some(ranges) => Value::Ranges(ranges.clone()),
            },
            set: |listener, value| {
                if let Value::Ranges(ranges) = value {
                    listener.ways.trusted_proxies = Some(ranges);
                }
            },
        },
    ),
    key(
        Section::Listener,
        "proxy_tls_identity",
        Kind::Flag,
        "",
        "Whether the name of a client's verified certificate that a trusted proxy passes on (PROXY protocol version 2, such as HAProxy's \
         `send-proxy-v2-ssl-cn`) counts as if the client had shown the certificate here.",
        Access::Listener {
            get: |listener| Value::Flag(listener.ways.proxy_tls_identity),
            set: |listener, value| listener.ways.proxy_tls_identity = value == Value::Flag(true),
        },
    ),
    key(
        Section::Listener,
        "handshake_timeout_secs",
        Kind::Integer { min: 1, max: 3600 },
        "seconds",
        "Time for everything that comes before the first byte of MQTT: PROXY header, TLS, the upgrade to WebSocket. Slower clients are \
         cut and counted.",
        Access::Listener {
            get: |listener| Value::Integer(listener.ways.handshake_timeout_secs.into()),
            set: |listener, value| listener.ways.handshake_timeout_secs = value.narrow(),
        },
    ),
    key(
        Section::Listener,
        "unix_mode",
        Kind::Integer { min: 0, max: 0o777 },
        "",
        "Who may open the file of a `unix` listener, as permission bits: `0o660` (which is 432) lets in the broker's user and group.",
        Access::Listener {
            get: |listener| Value::Integer(listener.ways.unix_mode.into()),
            set: |listener, value| listener.ways.unix_mode = value.narrow(),
        },
    ),
];

/// What a listener's address needs and its table does not say.
pub(super) fn missing(listener: &Listener) -> Option<Problem> {
    let (scheme, tls) = (listener.url.scheme(), &listener.ways.tls);
    if !scheme.is_encrypted() {
        return None;
    }
    if tls.cert_files.is_empty() || tls.cert_files.len() != tls.key_files.len() {
        return Some(Problem::new(
            format!("{} needs a certificate and its key", listener.url),
            "add `cert_file = \"server.pem\"` and `key_file = \"server.key\"`; `tidewire cert make-server --dir DIR NAME` makes them",
        ));
    }
    if tls.client_certificate != ClientCertificate::Off && tls.client_ca_file.is_none() {
        return Some(Problem::new(
            "client certificates are asked for, and nobody is named who may have issued them",
            "add `client_ca_file = \"ca.pem\"`",
        ));
    }
    None
}

fn path(path: Option<&PathBuf>) -> Value {
    path.map_or(Value::Unset, |path| Value::Text(path.display().to_string()))
}

fn into_path(value: Value) -> Option<PathBuf> {
    Some(PathBuf::from(value.into_text()))
}

fn paths(paths: &[PathBuf]) -> Value {
    if paths.is_empty() {
        return Value::Unset;
    }
    Value::Texts(
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
    )
}

fn into_paths(value: Value) -> Vec<PathBuf> {
    match value {
        Value::Texts(texts) => texts.into_iter().map(PathBuf::from).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn texts(texts: &[Box<str>]) -> Value {
    if texts.is_empty() {
        return Value::Unset;
    }
    Value::Texts(texts.iter().map(ToString::to_string).collect())
}

pub(super) fn into_texts(value: Value) -> Vec<Box<str>> {
    match value {
        Value::Texts(texts) => texts.into_iter().map(Into::into).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn every_key_reaches_the_brokers_settings() {
        let text = r#"
            [[listener]]
            url = "wss://127.0.0.1:1"
            cert_file = ["a.pem", "b.pem"]
            key_file = ["a.key", "b.key"]
            client_certificate = "required"
            client_ca_file = "ca.pem"
            crl_file = "crl.pem"
            min_tls_version = "1.3"
            alpn = ["mqtt"]
            ws_paths = ["/x"]
            ws_origins = ["https://o"]
            ws_max_header_bytes = 1024
            ws_static_folder = "site"
            ws_static_max_bytes = 2048
            trusted_proxies = ["10.0.0.0/8", "::1"]
            proxy_tls_identity = true
            handshake_timeout_secs = 3
            unix_mode = 0o600
        "#;
        let config = read("c.toml", text).expect("right");
        let ways = &config.listeners[0].ways;
        let mut settings =
            tidewire_broker::ListenerSettings::new("a", config.listeners[0].url.clone());
        ways.apply(&mut settings);
        assert_eq!(
            format!("{:?} {:?}", settings.tls, settings.web_socket),
            "TlsSettings { cert_files: [\"a.pem\", \"b.pem\"], key_files: [\"a.key\", \"b.key\"], client_certificate: Required, \
             client_ca_file: Some(\"ca.pem\"), crl_file: Some(\"crl.pem\"), min_version: V13, alpn: [\"mqtt\"] } \
             WebSocketSettings { paths: [\"/x\"], origins: [\"https://o\"], max_header_bytes: 1024, static_folder: Some(\"site\"), static_max_bytes: 2048 }"
        );
        let proxies = settings.trusted_proxies.expect("set");
        let proxies: Vec<_> = proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.0/8", "::1/128"]);
        assert_eq!(
            (
                settings.proxy_tls_identity,
                settings.handshake_timeout_secs,
                settings.unix_mode
            ),
            (true, 3, 0o600)
        );
    }

    #[test]
    fn what_an_encrypted_listener_lacks_is_said_at_its_address() {
        for (text, words) in [
            ("url = \"tls://127.0.0.1:1\"", "needs a certificate"),
            (
                "url = \"wss://127.0.0.1:1\"\ncert_file = \"a\"",
                "needs a certificate",
            ),
            (
                "url = \"tls://127.0.0.1:1\"\ncert_file = \"a\"\nkey_file = \"b\"\nclient_certificate = \"optional\"",
                "who may have issued them",
            ),
            (
                "url = \"tcp://127.0.0.1:1\"\ntrusted_proxies = [\"10.0.0.0/99\"]",
                "no range of addresses",
            ),
            (
                "url = \"tcp://127.0.0.1:1\"\nws_paths = []",
                "the list is empty",
            ),
        ] {
            let found = read("c.toml", &format!("[[listener]]\n{text}\n")).expect_err(text);
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(found[0].message.contains(words), "{found:?}");
            assert!(found[0].position.is_some() && found[0].help.is_some());
        }
    }
}
