//! Trust beyond the certificates of authorities: self-signed ones, any name, pins, everything.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

use super::{Settings, TlsError, Trust};

/// Believes more than the certificates of authorities.
#[derive(Debug)]
pub(super) struct Lenient {
    verified: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    trust: Trust,
    /// SHA-256 of the certificates that alone are believed; empty = no pins.
    pins: Vec<[u8; 32]>,
}

impl Lenient {
    pub(super) fn new(
        provider: &Arc<CryptoProvider>,
        settings: &Settings,
    ) -> Result<Self, TlsError> {
        let pins = settings.pins.iter().map(|text| fingerprint(text));
        let pins: Vec<_> = pins.collect::<Result<_, _>>()?;
        let wants_roots =
            pins.is_empty() && matches!(settings.trust, Trust::SelfSigned | Trust::AnyName);
        let roots = if wants_roots {
            settings.roots()
        } else {
            Err(TlsError::NoSystemRoots)
        };
        let verified = match roots {
            Ok(roots) => {
                let provider = Arc::clone(provider);
                let built = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
                Some(
                    built
                        .build()
                        .map_err(|error| TlsError::Setup(error.to_string().into()))?,
                )
            }
            // Self-signed certificates and pins need no authority.
            Err(TlsError::NoSystemRoots) if settings.trust != Trust::AnyName || !wants_roots => {
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            verified,
            provider: Arc::clone(provider),
            trust: settings.trust,
            pins,
        })
    }

    fn is_pinned(
        &self,
        certificate: &CertificateDer<'_>,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let digest: [u8; 32] = Sha256::digest(certificate).into();
        if self.pins.contains(&digest) {
            Ok(ServerCertVerified::assertion())
        } else {
            let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            Err(rustls::Error::General(format!(
                "the server's certificate has the fingerprint {hex}, which is not pinned"
            )))
        }
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    /// Whether the certificate is its own issuer, and valid now for this name. The handshake proves that the server has
    /// its key.
    fn is_self_signed(
        &self,
        certificate: &CertificateDer<'_>,
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let unusable = |_| rustls::CertificateError::BadEncoding;
        let parsed = webpki::EndEntityCert::try_from(certificate).map_err(unusable)?;
        if parsed.issuer() != parsed.subject() {
            return Err(rustls::CertificateError::UnknownIssuer.into());
        }
        parsed
            .verify_is_valid_for_subject_name(name)
            .map_err(|_| rustls::CertificateError::NotValidForName)?;
        let mut alone = RootCertStore::empty();
        alone.add(certificate.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(alone),
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
        match verifier.verify_server_cert(certificate, &[], name, &[], now) {
            // What `openssl req -x509` makes is an authority's certificate; that a server uses it is what was allowed.
            // Dates are checked before this is found.
            Err(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(error)))
                if format!("{error:?}").contains("CaUsedAsEndEntity") =>
            {
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.pins.is_empty() {
            return self.is_pinned(end_entity);
        }
        if self.trust == Trust::Everything {
            return Ok(ServerCertVerified::assertion());
        }
        let verified = self.verified.as_ref().map(|verifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        match verified {
            Some(Ok(verified)) => Ok(verified),
            // The name is looked at last: everything else is right.
            Some(Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. },
            ))) if self.trust == Trust::AnyName => Ok(ServerCertVerified::assertion()),
            Some(Err(error)) if self.trust == Trust::AnyName => Err(error),
            Some(Err(error)) => self
                .is_self_signed(end_entity, server_name, now)
                .map_err(|_| error),
            None => self.is_self_signed(end_entity, server_name, now),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

/// A fingerprint out of its text.
fn fingerprint(text: &str) -> Result<[u8; 32], TlsError> {
    let wrong = || TlsError::Fingerprint(text.into());
    let digits: Vec<u8> = text
        .chars()
        .filter(|letter| *letter != ':')
        .map(|letter| {
            letter
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        })
        .collect::<Option<_>>()
        .ok_or_else(wrong)?;
    let bytes: Vec<u8> = digits
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit))
        .collect();
    if digits.len() == 64 {
        bytes.try_into().map_err(|_| wrong())
    } else {
        Err(wrong())
    }
}
