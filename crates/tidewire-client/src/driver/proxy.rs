//! Through a proxy: SOCKS5 and HTTP CONNECT.

use std::fmt::Write as _;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;

use crate::url::{ServerUrl, UrlError};

/// The longest answer of an HTTP proxy that is read.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// A proxy and how to speak with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    kind: Kind,
    pub(crate) url: ServerUrl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Socks5,
    Http,
}

impl Proxy {
    /// `socks5h://[USER:PASSWORD@]HOST[:PORT]` or `http://[USER:PASSWORD@]HOST[:PORT]`.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let (kind, default_port) = match scheme {
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            "http" => (Kind::Http, 8080),
            _ => {
                let why = "the scheme of a proxy is none of socks5h, socks5 and http";
                return Err(UrlError::new(text, why));
            }
        };
        let authority = rest.trim_end_matches('/');
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let has_port = host
            .rsplit(']')
            .next()
            .is_some_and(|tail| tail.contains(':'));
        let mut url: ServerUrl = format!("tcp://{authority}").parse()?;
        if !has_port {
            url.port = default_port;
        }
        Ok(Self { kind, url })
    }

    /// Asks the proxy at the other end of this stream for a connection to the server. The proxy looks the name up.
    pub(crate) async fn ask(&self, stream: TcpStream, server: &ServerUrl) -> io::Result<TcpStream> {
        match self.kind {
            Kind::Socks5 => self.ask_socks(stream, server).await,
            Kind::Http => self.ask_http(stream, server).await,
        }
    }

    async fn ask_socks(&self, stream: TcpStream, server: &ServerUrl) -> io::Result<TcpStream> {
        let target = (&*server.host, server.port);
        let opened = match &self.url.username {
            Some(name) => {
                let password = self.url.password.as_deref().unwrap_or_default();
                Socks5Stream::connect_with_password_and_socket(stream, target, name, password).await
            }
            None => Socks5Stream::connect_with_socket(stream, target).await,
        };
        let opened = opened.map_err(|error| self.failed(&error.to_string()))?;
        Ok(opened.into_inner())
    }

    async fn ask_http(&self, mut stream: TcpStream, server: &ServerUrl) -> io::Result<TcpStream> {
        let is_v6 = server.host.contains(':');
        let target = if is_v6 {
            format!("[{}]:{}", server.host, server.port)
        } else {
            format!("{}:{}", server.host, server.port)
        };
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(name) = &self.url.username {
            let password = self.url.password.as_deref().unwrap_or_default();
            let secret = STANDARD.encode(format!("{name}:{password}"));
            let _ = write!(request, "Proxy-Authorization: Basic {secret}\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await?;
        let answer = self.read_answer(&mut stream).await?;
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if status.starts_with('2') {
            return Ok(stream);
        }
        let line = answer.lines().next().unwrap_or_default();
        Err(self.failed(&format!("it answered `{line}`")))
    }

    /// Up to the empty line and not a byte further: what follows is the server's.
    async fn read_answer(&self, stream: &mut TcpStream) -> io::Result<String> {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() >= ANSWER_BYTES_MAX {
                return Err(self.failed("its answer is too long"));
            }
            answer.push(stream.read_u8().await?);
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn failed(&self, text: &str) -> io::Error {
        let (host, port) = (&self.url.host, self.url.port);
        io::Error::other(format!("the proxy {host}:{port} does not connect: {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_of_a_proxy_is_read() {
        let proxy = Proxy::parse("socks5h://joe:s%40@proxy").expect("right");
        assert_eq!((&*proxy.url.host, proxy.url.port), ("proxy", 1080));
        assert_eq!(proxy.url.password.as_deref(), Some("s@"));
        let proxy = Proxy::parse("http://[::1]:3128/").expect("right");
        assert_eq!((&*proxy.url.host, proxy.url.port), ("::1", 3128));
        assert!(Proxy::parse("ftp://proxy").is_err());
        assert!(Proxy::parse("proxy:1080").is_err());
    }
}
