//! Whose certificates are believed.

use hyper_rustls::ConfigBuilderExt;
use rustls::{ClientConfig, RootCertStore, crypto};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a file of certificate authorities cannot be used.
#[derive(Debug)]
pub struct TrustError {
    file: Option<PathBuf>,
    says: String,
}

/// Trusts the authorities of a PEM file and nobody else, or those of the system.
pub(super) fn config(ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let provider = Arc::new(crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError {
            file: None,
            says: error.to_string(),
        })?;
    let builder = match ca_file {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None => builder.with_native_roots().map_err(|error| TrustError {
            file: None,
            says: format!("the system's certificate authorities cannot be read: {error}"),
        })?,
    };
    Ok(builder.with_no_client_auth())
}

fn authorities(path: &Path) -> Result<RootCertStore, TrustError> {
    let wrong = |says: String| TrustError {
        file: Some(path.to_owned()),
        says,
    };
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("it holds no certificate in PEM form".to_owned()));
    }
    Ok(roots)
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(path) => write!(f, "{}: {}", path.display(), self.says),
            None => f.write_str(&self.says),
        }
    }
}

impl std::error::Error for TrustError {}
