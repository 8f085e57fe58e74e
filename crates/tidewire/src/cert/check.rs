//! Whether a certificate would serve, and if not, why.

use crate::cli::CheckCert;
use crate::exit::{Failure, Status};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::Path;
use std::sync::Arc;
use tidewire_net::{TlsServer, TlsSettings};

/// `tidewire cert check`
pub(super) fn run(check: &CheckCert) -> Result<String, Failure> {
    let mut passed = Vec::new();
    let chain = super::show::read(&check.cert)?;
    let settings = TlsSettings {
        cert_files: vec![check.cert.clone()],
        key_files: vec![check.key.clone()],
        ..TlsSettings::default()
    };
    TlsServer::load(&settings).map_err(|error| Failure::new(Status::Failed, error.to_string()))?;
    passed.push(
        "the certificate is of version 3, its time is now, and the key is its own".to_owned(),
    );
    if let Some(ca) = &check.ca {
        passed.push(against_authority(check, &chain, ca)?);
    }
    Ok(format!(
        "{} is right:\n  {}\n",
        check.cert.display(),
        passed.join("\n  ")
    ))
}

fn against_authority(
    check: &CheckCert,
    chain: &[CertificateDer<'static>],
    ca: &Path,
) -> Result<String, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in super::show::read(ca)? {
        roots.add(certificate).map_err(|error| {
            let message = format!("{} is no authority: {error}", ca.display());
            Failure::new(Status::Failed, message)
        })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let (roots, now) = (Arc::new(roots), UnixTime::now());
    let [certificate, intermediates @ ..] = chain else {
        return Err(Failure::new(Status::Failed, "there is no certificate"));
    };
    let wrong = |error: rustls::Error| refused(check, ca, chain.len(), &error);
    let unusable = |error: &dyn std::fmt::Display| Failure::new(Status::Failed, error.to_string());
    if let Some(name) = &check.name {
        let server: ServerName<'_> = name.as_str().try_into().map_err(|_| {
            Failure::new(
                Status::Usage,
                format!("{name:?} is no host name and no address"),
            )
        })?;
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| unusable(&error))?;
        verifier
            .verify_server_cert(certificate, intermediates, &server, &[], now)
            .map_err(wrong)?;
        return Ok(format!(
            "clients that trust {} and connect to {name} accept it",
            ca.display()
        ));
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
        .build()
        .map_err(|error| unusable(&error))?;
    verifier
        .verify_client_cert(certificate, intermediates, now)
        .map_err(wrong)?;
    Ok(format!(
        "brokers that have {} as client_ca_file accept it from a client",
        ca.display()
    ))
}

fn refused(check: &CheckCert, ca: &Path, chain: usize, error: &rustls::Error) -> Failure {
    let (cert, ca) = (check.cert.display(), ca.display());
    let words = match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer if chain == 1 => format!(
                "{ca} did not sign it; it is another authority, or {cert} lacks the certificates between the two (append them, nearest first)"
            ),
            CertificateError::UnknownIssuer => format!("{ca} did not sign any certificate of {cert}"),
            CertificateError::BadSignature => format!(
                "an authority of the same name as {ca}, with another key, has signed it"
            ),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
                "it has not the name {}; make one that has with `tidewire cert make-server --dir DIR {0}`",
                check.name.as_deref().unwrap_or_default()
            ),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "it is for another purpose: give --name for a server's certificate, and none for a client's".to_owned()
            }
            other => format!("{other:?}"),
        },
        other => other.to_string(),
    };
    Failure::new(Status::Failed, format!("{cert}: {words}"))
}
