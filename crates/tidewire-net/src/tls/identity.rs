//! What a certificate says about its owner.

use crate::facts::CertificateFacts;
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use std::net::{Ipv4Addr, Ipv6Addr};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Reads a certificate (DER) that has been verified; `None` = it is none.
#[must_use]
pub fn certificate_facts(certificate: &[u8]) -> Option<CertificateFacts> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let subject = parsed.subject();
    let common_name = subject
        .iter_common_name()
        .next()
        .and_then(|name| name.as_str().ok());
    Some(CertificateFacts {
        common_name: common_name.map(Into::into),
        subject: subject.to_string().into(),
        alternative_names: names_of(&parsed),
        fingerprint: fingerprint(certificate),
    })
}

/// A certificate's alternative names, as in [`CertificateFacts`].
pub(super) fn alternative_names(certificate: &[u8]) -> Vec<Box<str>> {
    X509Certificate::from_der(certificate)
        .map(|(_, parsed)| names_of(&parsed))
        .unwrap_or_default()
}

fn names_of(parsed: &X509Certificate<'_>) -> Vec<Box<str>> {
    let Ok(Some(extension)) = parsed.subject_alternative_name() else {
        return Vec::new();
    };
    let names = &extension.value.general_names;
    names.iter().filter_map(name_text).map(Into::into).collect()
}

fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("dns:{name}")),
        GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
        GeneralName::URI(uri) => Some(format!("uri:{uri}")),
        GeneralName::IPAddress(bytes) => {
            if let Ok(bytes) = <[u8; 4]>::try_from(*bytes) {
                return Some(format!("ip:{}", Ipv4Addr::from(bytes)));
            }
            let bytes = <[u8; 16]>::try_from(*bytes).ok()?;
            Some(format!("ip:{}", Ipv6Addr::from(bytes)))
        }
        _ => None,
    }
}

/// SHA-256 in hexadecimal, by the hash of a cipher suite that is in every build.
fn fingerprint(certificate: &[u8]) -> Box<str> {
    let hash = TLS13_AES_128_GCM_SHA256
        .tls13()
        .map(|suite| suite.common.hash_provider.hash(certificate));
    let digits = |byte: &u8| format!("{byte:02x}");
    let text: String = hash
        .iter()
        .flat_map(|hash| hash.as_ref().iter().map(digits))
        .collect();
    text.into()
}
