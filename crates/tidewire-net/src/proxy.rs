//! The PROXY protocol, versions 1 (text) and 2 (binary): a proxy says in front of everything else whom it speaks for.

use crate::facts::{CertificateFacts, LayerFacts, TlsFacts};
use crate::layer::{Layer, LayerError, LayerState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The name of this layer in errors.
const LAYER: &str = "proxy protocol";
/// The longest header of version 1.
const TEXT_MAX_BYTES: usize = 107;
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const BINARY_HEAD_BYTES: usize = 16;
/// Addresses and whatever a proxy adds to them, such as the client's certificate name.
const BINARY_BODY_MAX_BYTES: usize = 4096;

/// Kinds of what version 2 adds to the addresses: the name that the client asked for, and its TLS connection.
const AUTHORITY: u8 = 0x02;
const TLS: u8 = 0x20;
const TLS_VERSION: u8 = 0x21;
const TLS_COMMON_NAME: u8 = 0x22;
const TLS_CIPHER: u8 = 0x23;
/// The client has shown a certificate, on this connection or on the one that it resumes.
const TLS_CERTIFICATE_BITS: u8 = 0x02 | 0x04;

/// Reads the header of a connection that a trusted proxy has opened, then steps aside.
pub struct ProxyLayer {
    header: Vec<u8>,
    identity: ProxyIdentity,
    original: Option<SocketAddr>,
    tls: Option<Box<TlsFacts>>,
}

/// What a proxy's word about a client's TLS certificate is worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProxyIdentity {
    /// Nothing.
    #[default]
    Ignored,
    /// As much as the certificate itself: the proxy has verified it.
    Believed,
}

impl ProxyLayer {
    /// A connection of which nothing has been read.
    #[must_use]
    pub fn new(identity: ProxyIdentity) -> Self {
        Self {
            header: Vec::new(),
            identity,
            original: None,
            tls: None,
        }
    }
}

/// A header at the front of some bytes.
#[derive(PartialEq, Eq, Debug)]
enum Found {
    /// More bytes are needed.
    Incomplete,
    /// Its length, and who is behind the proxy; `None` = the proxy speaks for itself or does not know.
    Header(usize, Option<SocketAddr>),
}

impl Layer for ProxyLayer {
    fn receive(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        _: &mut Vec<u8>,
    ) -> Result<LayerState, LayerError> {
        self.header.extend_from_slice(wire);
        match parse(&self.header).map_err(|text| LayerError::new(LAYER, text))? {
            Found::Incomplete => Ok(LayerState::Handshake),
            Found::Header(length, original) => {
                self.original = original;
                if self.identity == ProxyIdentity::Believed {
                    self.tls = tls_facts(&self.header[..length]);
                }
                plain.extend_from_slice(&self.header[length..]);
                self.header = Vec::new();
                Ok(LayerState::Transparent)
            }
        }
    }

    fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        wire.extend_from_slice(plain);
    }

    fn finish(&mut self, _: &mut Vec<u8>) {}

    fn tell(&mut self, facts: &mut LayerFacts) {
        facts.original_address = self.original;
        facts.tls = self.tls.take();
    }
}

fn parse(bytes: &[u8]) -> Result<Found, &'static str> {
    if bytes.starts_with(b"P") {
        return parse_text(bytes);
    }
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] != SIGNATURE[..known] {
        return Err("the connection does not begin with a PROXY header");
    }
    parse_binary(bytes)
}

fn parse_text(bytes: &[u8]) -> Result<Found, &'static str> {
    let start = b"PROXY ";
    let known = bytes.len().min(start.len());
    if bytes[..known] != start[..known] {
        return Err("the connection does not begin with a PROXY header");
    }
    let line = &bytes[..bytes.len().min(TEXT_MAX_BYTES)];
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < TEXT_MAX_BYTES {
            Ok(Found::Incomplete)
        } else {
            Err("the PROXY line has no end")
        };
    };
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| "the PROXY line is no text")?;
    let words: Vec<&str> = line.split(' ').collect();
    let original = match words[..] {
        ["PROXY", "UNKNOWN", ..] => None,
        [
            "PROXY",
            family @ ("TCP4" | "TCP6"),
            source,
            target,
            port,
            target_port,
        ] => {
            let wrong = "the PROXY line has no valid addresses";
            let ip: IpAddr = source.parse().map_err(|_| wrong)?;
            let target: IpAddr = target.parse().map_err(|_| wrong)?;
            let port: u16 = port.parse().map_err(|_| wrong)?;
            target_port.parse::<u16>().map_err(|_| wrong)?;
            if ip.is_ipv4() != (family == "TCP4") || target.is_ipv4() != ip.is_ipv4() {
                return Err(wrong);
            }
            Some(SocketAddr::new(ip, port))
        }
        _ => return Err("the PROXY line is not as the protocol wants it"),
    };
    Ok(Found::Header(end + 2, original))
}

fn parse_binary(bytes: &[u8]) -> Result<Found, &'static str> {
    let Some(head) = bytes.get(..BINARY_HEAD_BYTES) else {
        return Ok(Found::Incomplete);
    };
    let (version, command) = (head[12] >> 4, head[12] & 0x0F);
    let (family, length) = (head[13], u16::from_be_bytes([head[14], head[15]]));
    if version != 2 || command > 1 {
        return Err("an unknown version or command in the PROXY header");
    }
    let length = usize::from(length);
    if length > BINARY_BODY_MAX_BYTES {
        return Err("the PROXY header is too long");
    }
    let end = BINARY_HEAD_BYTES + length;
    let Some(body) = bytes.get(BINARY_HEAD_BYTES..end) else {
        return Ok(Found::Incomplete);
    };
    // LOCAL: the proxy's own connection, a health check perhaps.
    let original = match (command, family) {
        (0, _) => None,
        (_, 0x11) => Some(v4(body).ok_or("the PROXY header is too short for its addresses")?),
        (_, 0x21) => Some(v6(body).ok_or("the PROXY header is too short for its addresses")?),
        _ => None,
    };
    Ok(Found::Header(end, original))
}

/// What a complete header says about the client's TLS connection to the proxy.
fn tls_facts(header: &[u8]) -> Option<Box<TlsFacts>> {
    let body = header.get(BINARY_HEAD_BYTES..)?;
    let addresses = match header[13] {
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => 0,
    };
    let additions = body.get(addresses..)?;
    let value = find(additions, TLS)?;
    let (&client, rest) = value.split_first()?;
    let (verified, parts) = rest.split_at_checked(4)?;
    let text = |kind| find(parts, kind).map(|bytes| String::from_utf8_lossy(bytes).into());
    let is_shown = client & TLS_CERTIFICATE_BITS != 0 && verified == [0; 4];
    let certificate = |name: Box<str>| CertificateFacts {
        subject: format!("CN={name}").into(),
        common_name: Some(name),
        ..CertificateFacts::default()
    };
    let common_name = text(TLS_COMMON_NAME).filter(|_| is_shown);
    Some(Box::new(TlsFacts {
        version: text(TLS_VERSION).unwrap_or_default(),
        cipher: text(TLS_CIPHER).unwrap_or_default(),
        server_name: find(additions, AUTHORITY).map(|name| String::from_utf8_lossy(name).into()),
        certificate: common_name.map(|name| Box::new(certificate(name))),
    }))
}

/// The value of the first addition of this kind; nothing behind one that is cut short.
fn find(mut additions: &[u8], wanted: u8) -> Option<&[u8]> {
    while let &[kind, high, low, ref rest @ ..] = additions {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, more) = rest.split_at_checked(length)?;
        if kind == wanted {
            return Some(value);
        }
        additions = more;
    }
    None
}

fn v4(body: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 4] = body.get(..4)?.try_into().ok()?;
    let port = u16::from_be_bytes(body.get(8..10)?.try_into().ok()?);
    body.get(..12)?;
    Some(SocketAddr::new(Ipv4Addr::from(ip).into(), port))
}

fn v6(body: &[u8]) -> Option<SocketAddr> {
    let ip: [u8; 16] = body.get(..16)?.try_into().ok()?;
    let port = u16::from_be_bytes(body.get(32..34)?.try_into().ok()?);
    body.get(..36)?;
    Some(SocketAddr::new(
        IpAddr::from(Ipv6Addr::from(ip)).to_canonical(),
        port,
    ))
}

#[cfg(test)]
mod tests {
    use super::{Found, ProxyIdentity, ProxyLayer, parse};
    use crate::facts::{LayerFacts, TlsFacts};
    use crate::layer::Layer as _;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = super::SIGNATURE.to_vec();
        bytes.extend_from_slice(&[0x20 | command, family]);
        bytes.extend_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn headers_of_both_versions_are_read_at_every_cut() {
        let address = |text: &str| Some(text.parse().unwrap());
        let four = [192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x34, 7, 0x5B];
        let mut six = vec![0x20, 1, 0xD, 0xB8];
        six.resize(15, 0);
        six.push(7);
        six.resize(32, 0);
        six.extend_from_slice(&[0, 80, 0, 81, 0xEE]);
        for (header, original) in [
            (
                b"PROXY TCP4 192.0.2.7 192.0.2.1 4660 1883\r\n".to_vec(),
                address("192.0.2.7:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 80 81\r\n".to_vec(),
                address("[2001:db8::7]:80"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ff:: ff:: 1 2\r\n".to_vec(), None),
            (v2(1, 0x11, &four), address("192.0.2.7:4660")),
            (v2(1, 0x21, &six), address("[2001:db8::7]:80")),
            (v2(0, 0x00, &[]), None),
            (v2(1, 0x31, &[0; 216]), None),
        ] {
            for cut in 0..header.len() {
                assert_eq!(parse(&header[..cut]), Ok(Found::Incomplete), "{cut}");
            }
            let mut longer = header.clone();
            longer.extend_from_slice(b"\x10\x0d");
            let length = header.len();
            assert_eq!(parse(&longer), Ok(Found::Header(length, original)));
        }
    }

    /// One addition of version 2.
    fn addition(kind: u8, value: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(value);
        bytes
    }

    /// What is told after a header that says this about TLS.
    fn told(identity: ProxyIdentity, client: u8, verify: u8, cut: usize) -> Option<Box<TlsFacts>> {
        let parts = [
            addition(0x21, b"TLSv1.3"),
            addition(0x22, b"alice"),
            addition(0x23, b"TLS_AES_128_GCM_SHA256"),
        ]
        .concat();
        let tls = [vec![client, 0, 0, 0, verify], parts].concat();
        let additions = [addition(0x02, b"broker.example"), addition(0x20, &tls)].concat();
        let body = [vec![0; 12], additions].concat();
        let mut header = v2(1, 0x11, &body[..body.len() - cut]);
        let mut layer = ProxyLayer::new(identity);
        let (mut plain, mut reply) = (Vec::new(), Vec::new());
        layer.receive(&mut header, &mut plain, &mut reply).unwrap();
        let mut facts = LayerFacts::default();
        layer.tell(&mut facts);
        facts.tls
    }

    #[test]
    fn a_certificate_counts_if_the_proxy_is_believed_and_has_verified_it() {
        use ProxyIdentity::{Believed, Ignored};
        let name = |facts: Option<Box<TlsFacts>>| facts?.certificate?.common_name;
        for client in [3, 5, 7] {
            assert_eq!(name(told(Believed, client, 0, 0)).as_deref(), Some("alice"));
        }
        let facts = told(Believed, 7, 0, 0).unwrap();
        assert_eq!(
            (&*facts.version, facts.server_name.as_deref()),
            ("TLSv1.3", Some("broker.example"))
        );
        assert_eq!(name(told(Believed, 1, 0, 0)), None, "none was shown");
        assert_eq!(name(told(Believed, 7, 1, 0)), None, "it was not verified");
        assert_eq!(told(Ignored, 7, 0, 0), None);
        for cut in 1..68 {
            assert_eq!(
                name(told(Believed, 7, 0, cut)),
                None,
                "{cut} bytes are missing"
            );
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for bytes in [
            b"\x10\x0d\x00\x04MQTT".as_slice(),
            b"POST / HTTP/1.1\r\n",
            b"PROXY TCP4 2001:db8::7 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 99999 2\r\n",
            b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7\r\n",
            &endless,
            &v2(2, 0x11, &[0; 12]),
            &v2(1, 0x11, &[0; 11]),
            &v2(1, 0x21, &[0; 35]),
            &v2(1, 0x11, &[0; 5000]),
        ] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
