//! Which client certificates are believed.

use super::material::{MaterialError, MaterialFault, check_certificate, read, read_certificates};
use super::settings::{ClientCertificate, TlsSettings};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject as _;
use std::path::PathBuf;
use std::sync::Arc;

/// The verifier that the settings ask for.
pub(super) fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, MaterialError> {
    if settings.client_certificate == ClientCertificate::Off {
        return Ok(WebPkiClientVerifier::no_client_auth());
    }
    let Some(ca_file) = &settings.client_ca_file else {
        return Err(MaterialError::new(
            PathBuf::new(),
            MaterialFault::NoClientCa,
        ));
    };
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(ca_file)? {
        check_certificate(ca_file, &certificate)?;
        roots.add(certificate).map_err(|error| {
            MaterialError::new(ca_file.clone(), MaterialFault::Unusable(error.to_string()))
        })?;
    }
    let mut builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    if let Some(crl_file) = &settings.crl_file {
        // Who is revoked is asked of the certificate's own issuer; an unknown answer and an expired list are a "no".
        builder = builder
            .with_crls(revocation_lists(crl_file)?)
            .only_check_end_entity_revocation()
            .enforce_revocation_expiration();
    }
    if settings.client_certificate == ClientCertificate::Optional {
        builder = builder.allow_unauthenticated();
    }
    let built = builder.build().map_err(|error| {
        let file = settings.crl_file.as_ref().unwrap_or(ca_file).clone();
        MaterialError::new(file, MaterialFault::Unusable(error.to_string()))
    })?;
    Ok(built)
}

fn revocation_lists(
    file: &PathBuf,
) -> Result<Vec<CertificateRevocationListDer<'static>>, MaterialError> {
    let bytes = read(file)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) => Err(MaterialError::new(file, MaterialFault::NoRevocationList)),
        Err(error) => Err(MaterialError::new(
            file,
            MaterialFault::NotPem(error.to_string()),
        )),
    }
}
