//! The HTTP request that becomes a WebSocket, or is refused.

use super::LAYER;
use super::pages::{Body, StaticPages};
use crate::layer::LayerError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use httparse::{EMPTY_HEADER, Request, Status};
use sha1::{Digest as _, Sha1};
use std::path::PathBuf;

/// Headers of a request; browsers send about fifteen.
const HEADERS_MAX: usize = 64;
/// What the answer to a key is made with \[RFC 6455 1.3\].
const KEY_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Sub-protocols that are spoken; the second is what clients of MQTT 3.1 ask for.
const PROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Statuses that stand more than once below.
const BAD_REQUEST: (u16, &str) = (400, "Bad Request");
const METHOD_NOT_ALLOWED: (u16, &str) = (405, "Method Not Allowed");
const UPGRADE_REQUIRED: (u16, &str) = (426, "Upgrade Required");

/// What a listener lets become a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WebSocketSettings {
    /// Paths that are served; a query behind them does not matter.
    pub paths: Vec<Box<str>>,
    /// Pages that may connect, as browsers name them (`https://app.example`); empty = all. Programs that are no browsers
    /// name no page and are not asked.
    pub origins: Vec<Box<str>>,
    /// Bytes of a request at most.
    pub max_header_bytes: usize,
    /// The folder whose files are answers to requests that ask for no upgrade; `None` = such requests are refused.
    pub static_folder: Option<PathBuf>,
    /// Bytes that these files may have together.
    pub static_max_bytes: u64,
}

impl Default for WebSocketSettings {
    fn default() -> Self {
        Self {
            paths: vec!["/".into(), "/mqtt".into()],
            origins: Vec::new(),
            // Browsers send about 1 KiB, with cookies a few more.
            max_header_bytes: 8 * 1024,
            static_folder: None,
            // A page with its scripts and pictures has one or two MiB.
            static_max_bytes: 16 * 1024 * 1024,
        }
    }
}

/// A request, whoever has read it.
#[derive(Clone, Debug)]
pub struct UpgradeRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// Names in any case, and values, in the order in which they came.
    pub headers: Vec<(&'a str, &'a [u8])>,
}

/// What the answer to a request that becomes a WebSocket has, status 101 apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpgradeAccepted {
    /// `Sec-WebSocket-Accept`.
    pub accept: String,
    /// `Sec-WebSocket-Protocol`.
    pub protocol: &'static str,
}

/// Why a request does not become a WebSocket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpgradeRefused {
    /// Code of the answer's status, and its name.
    pub status: (u16, &'static str),
    /// Headers that the answer needs.
    pub headers: &'static [(&'static str, &'static str)],
    /// What is wrong, for log and body.
    pub text: String,
}

/// What became of a request.
pub(super) enum Answer {
    /// More of it has to come.
    Incomplete,
    /// It was accepted.
    Upgraded {
        /// Its bytes.
        length: usize,
    },
    /// It asks for a page: the head of the answer is sent, this is its body.
    Page(Body),
}

/// Answers a request that has come so far.
pub(super) fn answer(
    settings: &WebSocketSettings,
    pages: Option<&StaticPages>,
    request: &[u8],
    reply: &mut Vec<u8>,
) -> Result<Answer, LayerError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = Request::new(&mut headers);
    let outcome = match parsed.parse(request) {
        Ok(Status::Partial) if request.len() <= settings.max_header_bytes => {
            return Ok(Answer::Incomplete);
        }
        Ok(Status::Complete(length)) if length <= settings.max_header_bytes => {
            if let Some(pages) = pages.filter(|_| !asked(&parsed).asks_for_upgrade()) {
                return Ok(Answer::Page(send_page(pages, &parsed, reply)));
            }
            check(settings, &parsed).map(|accepted| (length, accepted))
        }
        Ok(_) => Err(refusal(
            (431, "Request Header Fields Too Large"),
            format!(
                "the request has more than {} bytes",
                settings.max_header_bytes
            ),
        )),
        Err(error) => Err(refusal(
            BAD_REQUEST,
            format!("not an HTTP request: {error}"),
        )),
    };
    match outcome {
        Ok((length, accepted)) => {
            accepted.write(reply);
            Ok(Answer::Upgraded { length })
        }
        Err(refusal) => {
            refusal.write(reply);
            Err(LayerError::new(LAYER, refusal.text))
        }
    }
}

/// The path's rules, which an application's own server has in its routes, then the others.
fn check(
    settings: &WebSocketSettings,
    request: &Request<'_, '_>,
) -> Result<UpgradeAccepted, UpgradeRefused> {
    let path = request.path.unwrap_or_default();
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    if request.version != Some(1) {
        return Err(refusal(
            METHOD_NOT_ALLOWED,
            "only GET of HTTP/1.1 is served",
        ));
    }
    if !settings.paths.iter().any(|served| **served == *path) {
        return Err(refusal(
            (404, "Not Found"),
            format!("no WebSocket at {path:?}"),
        ));
    }
    asked(request).answer(settings)
}

fn asked<'a>(request: &'a Request<'_, '_>) -> UpgradeRequest<'a> {
    let headers = request.headers.iter();
    UpgradeRequest {
        method: request.method.unwrap_or_default(),
        headers: headers.map(|header| (header.name, header.value)).collect(),
    }
}

impl UpgradeRequest<'_> {
    /// Whether it becomes a WebSocket. The rules about paths are left to the caller.
    ///
    /// # Errors
    /// [`UpgradeRefused`].
    pub fn answer(&self, settings: &WebSocketSettings) -> Result<UpgradeAccepted, UpgradeRefused> {
        if self.method != "GET" {
            return Err(refusal(
                METHOD_NOT_ALLOWED,
                "only GET of HTTP/1.1 is served",
            ));
        }
        if !self.asks_for_upgrade() {
            let text =
                "this address speaks MQTT over WebSocket, and the request asks for no upgrade";
            return Err(UpgradeRefused {
                headers: &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
                ..refusal(UPGRADE_REQUIRED, text)
            });
        }
        if self.value("sec-websocket-version") != Some("13") {
            return Err(UpgradeRefused {
                headers: &[("Sec-WebSocket-Version", "13")],
                ..refusal(UPGRADE_REQUIRED, "only version 13 of WebSocket is spoken")
            });
        }
        if let Some(origin) = self.value("origin")
            && !settings.origins.is_empty()
            && !settings
                .origins
                .iter()
                .any(|allowed| allowed.eq_ignore_ascii_case(origin))
        {
            return Err(refusal(
                (403, "Forbidden"),
                format!("pages of {origin:?} may not connect: it is not in ws_origins"),
            ));
        }
        let key = self.value("sec-websocket-key").unwrap_or_default();
        if BASE64.decode(key).map(|key| key.len()) != Ok(16) {
            return Err(refusal(
                BAD_REQUEST,
                "the request has no Sec-WebSocket-Key of 16 bytes",
            ));
        }
        // [5.0 MQTT-6.0.0-3], [5.0 MQTT-6.0.0-4]
        let protocol = PROTOCOLS
            .into_iter()
            .find(|protocol| self.has_token("sec-websocket-protocol", protocol));
        let Some(protocol) = protocol else {
            return Err(refusal(
                BAD_REQUEST,
                "the client offers neither of the sub-protocols `mqtt` and `mqttv3.1`",
            ));
        };
        let mut hash = Sha1::new();
        hash.update(key.as_bytes());
        hash.update(KEY_SUFFIX);
        Ok(UpgradeAccepted {
            accept: BASE64.encode(hash.finalize()),
            protocol,
        })
    }

    fn asks_for_upgrade(&self) -> bool {
        self.has_token("upgrade", "websocket") && self.has_token("connection", "upgrade")
    }

    /// A header's value, if it is there once.
    fn value(&self, name: &str) -> Option<&str> {
        let mut found = self.values(name);
        let first = found.next();
        if found.next().is_some() { None } else { first }
    }

    fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = move |(other, _): &&(&str, &[u8])| other.eq_ignore_ascii_case(name);
        let headers = self.headers.iter().filter(named);
        headers.filter_map(|(_, value)| std::str::from_utf8(value).ok().map(str::trim))
    }

    /// Whether a header that is a list, or several of them, holds the word.
    fn has_token(&self, name: &str, token: &str) -> bool {
        self.values(name)
            .flat_map(|list| list.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(token))
    }
}

/// Writes the head of the answer to a request for a page.
fn send_page(pages: &StaticPages, request: &Request<'_, '_>, reply: &mut Vec<u8>) -> Body {
    let path = request.path.unwrap_or_default();
    let path = path.split_once(['?', '#']).map_or(path, |(path, _)| path);
    let found = match request.method {
        Some("GET" | "HEAD") => {
            let page = pages.find(path);
            page.ok_or_else(|| refusal((404, "Not Found"), format!("there is no page {path:?}")))
        }
        _ => Err(UpgradeRefused {
            headers: &[("Allow", "GET, HEAD")],
            ..refusal(METHOD_NOT_ALLOWED, "pages can be read only")
        }),
    };
    let page = match found {
        Ok(page) => page,
        Err(refusal) => {
            refusal.write(reply);
            return Body::nothing();
        }
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\n\
         X-Content-Type-Options: nosniff\r\n\r\n",
        page.content_type,
        page.bytes.len()
    );
    reply.extend_from_slice(head.as_bytes());
    if request.method == Some("HEAD") {
        Body::nothing()
    } else {
        Body::of(page)
    }
}

fn refusal(status: (u16, &'static str), text: impl Into<String>) -> UpgradeRefused {
    UpgradeRefused {
        status,
        headers: &[],
        text: text.into(),
    }
}

impl UpgradeAccepted {
    fn write(&self, reply: &mut Vec<u8>) {
        let Self { accept, protocol } = self;
        reply.extend_from_slice(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
            )
            .as_bytes(),
        );
    }
}

impl UpgradeRefused {
    fn write(&self, reply: &mut Vec<u8>) {
        let Self {
            status: (code, name),
            headers,
            text,
        } = self;
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let length = text.len() + 1;
        reply.extend_from_slice(
            format!(
                "HTTP/1.1 {code} {name}\r\n{headers}Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: {length}\r\n\r\n{text}\n"
            )
            .as_bytes(),
        );
    }
}
