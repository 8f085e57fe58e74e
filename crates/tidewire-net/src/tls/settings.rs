//! What a listener's TLS is made of, and the value made of it that connections share.

use super::client_trust::verifier;
use super::layer::TlsLayer;
use super::material::{MaterialError, MaterialFault, load_identity};
use super::server_names::ByServerName;
use rustls::crypto::ring;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Files and rules of a listener's TLS.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsSettings {
    /// Certificate chains (PEM, server's certificate first), in the order in which names are looked up; the first one
    /// also serves clients that ask for no name, or for one that no certificate has.
    pub cert_files: Vec<PathBuf>,
    /// The private key of each chain (PEM: PKCS#8, PKCS#1 or SEC1), in the same order.
    pub key_files: Vec<PathBuf>,
    /// Whether clients show a certificate.
    pub client_certificate: ClientCertificate,
    /// The authorities (PEM) that client certificates must come from.
    pub client_ca_file: Option<PathBuf>,
    /// Revoked client certificates (PEM).
    pub crl_file: Option<PathBuf>,
    /// The oldest protocol version that is spoken.
    pub min_version: MinTlsVersion,
    /// Application protocols (ALPN) that are spoken, best first. A client that offers others only is refused; one that
    /// offers none is served.
    pub alpn: Vec<Box<str>>,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientCertificate {
    /// It is not asked for.
    #[default]
    Off,
    /// It is asked for; a client without one is served, one with a bad one is not.
    Optional,
    /// A client without a good one is refused.
    Required,
}

/// The oldest protocol version that is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MinTlsVersion {
    /// TLS 1.2 and 1.3.
    #[default]
    V12,
    /// TLS 1.3 alone.
    V13,
}

/// A listener's TLS, ready for connections.
#[derive(Clone)]
pub struct TlsServer(Arc<ServerConfig>);

const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
const NEWEST: &[&SupportedProtocolVersion] = &[&version::TLS13];
/// Tickets for a TLS 1.3 client: it comes back on one connection, and gets a new one there.
const TICKETS_PER_CONNECTION: usize = 1;

impl TlsServer {
    /// Reads the files.
    ///
    /// # Errors
    /// [`MaterialError`] names the file, what is wrong with it and what to do.
    pub fn load(settings: &TlsSettings) -> Result<Self, MaterialError> {
        let provider = Arc::new(ring::default_provider());
        let versions = match settings.min_version {
            MinTlsVersion::V12 => BOTH,
            MinTlsVersion::V13 => NEWEST,
        };
        let mut identities = Vec::new();
        for (cert_file, key_file) in pairs(settings)? {
            identities.push(load_identity(&provider, cert_file, key_file)?);
        }
        let verifier = verifier(settings, &provider)?;
        let unusable = |error: rustls::Error| {
            let file = settings.cert_files.first().cloned().unwrap_or_default();
            MaterialError::new(file, MaterialFault::Unusable(error.to_string()))
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(unusable)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(ByServerName::new(identities)));
        config.alpn_protocols = settings
            .alpn
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        // A new key with every load: a session from before a change of trust is not resumed after it.
        config.ticketer = ring::Ticketer::new().map_err(unusable)?;
        config.send_tls13_tickets = TICKETS_PER_CONNECTION;
        Ok(Self(Arc::new(config)))
    }

    /// The layer of one connection.
    ///
    /// # Errors
    /// rustls's, if these settings allow no connection at all.
    pub fn layer(&self) -> Result<TlsLayer, rustls::Error> {
        TlsLayer::new(Arc::clone(&self.0))
    }
}

fn pairs(
    settings: &TlsSettings,
) -> Result<impl Iterator<Item = (&PathBuf, &PathBuf)>, MaterialError> {
    let (certs, keys) = (&settings.cert_files, &settings.key_files);
    if certs.is_empty() || certs.len() != keys.len() {
        let fault = MaterialFault::Unpaired {
            certs: certs.len(),
            keys: keys.len(),
        };
        return Err(MaterialError::new(PathBuf::new(), fault));
    }
    Ok(certs.iter().zip(keys))
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}
