//! Which client certificates are believed.

use super::identity::certificate_facts;
use super::material::{
    MaterialError, MaterialFault, Role, check_certificate, read, read_certificates,
};
use super::overheard;
use super::settings::{ClientCertificate, TlsSettings};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use std::path::PathBuf;
use std::sync::Arc;
use x509_parser::prelude::{FromDer as _, X509Certificate};

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
    let unfit = |fault| MaterialError::new(ca_file, fault).of_authority();
    for certificate in read_certificates(ca_file).map_err(MaterialError::of_authority)? {
        check_certificate(&certificate).map_err(unfit)?;
        roots
            .add(certificate)
            .map_err(|error| unfit(MaterialFault::Unusable(error.to_string())))?;
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
    Ok(Arc::new(Explaining(built)))
}

/// Judges as the one inside does, and says what is wrong in more words than an error has room for.
#[derive(Debug)]
struct Explaining(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Explaining {
    fn offer_client_auth(&self) -> bool {
        self.0.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.0
            .verify_client_cert(end_entity, intermediates, now)
            .inspect_err(|error| explain(end_entity, intermediates, error))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let inner = &self.0;
        inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let inner = &self.0;
        inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Leaves a sentence about a certificate that was refused, if there is more to say than the error does.
fn explain(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    error: &rustls::Error,
) {
    let name = |certificate: &[u8]| {
        let facts = certificate_facts(certificate);
        facts.map_or_else(|| "of no name".into(), |facts| facts.subject)
    };
    for certificate in [end_entity].into_iter().chain(intermediates) {
        if let Err(fault) = check_certificate(certificate) {
            let (name, fault) = (name(certificate), fault.of(Role::Client));
            return overheard::fault(format!("the client's certificate `{name}` {fault}"));
        }
    }
    let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    if *error == unknown {
        let last = intermediates.last().unwrap_or(end_entity);
        let issuer = X509Certificate::from_der(last).map(|(_, parsed)| parsed.issuer().to_string());
        overheard::fault(format!(
            "the client's certificate `{}` comes from the authority `{}`, which is not in client_ca_file; add that authority there, have the \
             client show the certificates in between too, or make one with `tidewire cert make-client --dir DIR NAME`",
            name(end_entity),
            issuer.unwrap_or_default()
        ));
    }
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
