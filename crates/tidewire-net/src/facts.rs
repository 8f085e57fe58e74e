//! What the layers of a connection have learned of its peer.

use std::net::SocketAddr;

/// The sum of what all layers tell.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LayerFacts {
    /// The TLS connection, if there is one.
    pub tls: Option<Box<TlsFacts>>,
    /// Who is behind the proxy, if a proxy says so.
    pub original_address: Option<SocketAddr>,
}

/// What TLS has settled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFacts {
    /// Protocol version as people write it: `TLSv1.3`.
    pub version: Box<str>,
    /// Cipher suite as the standard names it: `TLS13_AES_256_GCM_SHA384`.
    pub cipher: Box<str>,
    /// The name that the client asked for.
    pub server_name: Option<Box<str>>,
    /// The client's certificate, if it has shown one; it was verified.
    pub certificate: Option<Box<CertificateFacts>>,
}

/// A verified certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CertificateFacts {
    /// The subject's common name.
    pub common_name: Option<Box<str>>,
    /// The whole subject: `CN=a, O=b`.
    pub subject: Box<str>,
    /// Subject alternative names, with their kind in front: `dns:a.example`, `ip:192.0.2.1`, `email:a@example`, `uri:urn:a`.
    pub alternative_names: Vec<Box<str>>,
    /// SHA-256 of the certificate, in lower-case hexadecimal digits.
    pub fingerprint: Box<str>,
}
