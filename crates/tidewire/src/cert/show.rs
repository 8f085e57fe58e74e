//! What certificates say, in a person's words.

use crate::cli::ShowCert;
use crate::exit::{Failure, Status};
use p12_keystore::Pkcs12Archive;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::fmt::Write as _;
use std::path::Path;
use tidewire_net::certificate_facts;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

/// What every DER structure here begins with; no PEM file does.
const DER_SEQUENCE: u8 = 0x30;

/// `tidewire cert show`
pub(super) fn run(show: &ShowCert) -> Result<String, Failure> {
    let file = &show.file;
    let mut text = String::new();
    for (index, certificate) in read_any(file, &show.password)?.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        describe(certificate, &mut text).ok_or_else(|| {
            let message = format!(
                "certificate {} of {} cannot be read",
                index + 1,
                file.display()
            );
            Failure::new(Status::Failed, message)
        })?;
    }
    Ok(text)
}

/// The certificates of a PEM file, at least one.
pub(super) fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let shown = file.display();
    let bytes = super::files::read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes.as_bytes()).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(Failure::new(
            Status::Failed,
            format!("{shown} holds no certificate (no whole `-----BEGIN CERTIFICATE-----` block)"),
        )),
    }
}

/// The certificates of a file of any kind.
fn read_any(file: &Path, password: &str) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let bytes = std::fs::read(file).map_err(|error| {
        let message = format!("{} cannot be read: {error}", file.display());
        Failure::new(Status::Failed, message)
    })?;
    if bytes.first() != Some(&DER_SEQUENCE) {
        return read(file);
    }
    if X509Certificate::from_der(&bytes).is_ok() {
        return Ok(vec![bytes.into()]);
    }
    let archive = Pkcs12Archive::from_pkcs12(&bytes, password).map_err(|error| {
        let message = format!(
            "{} is neither PEM nor a certificate, and as PKCS#12 it cannot be read: {error}\n  help: is the password right? Give it by --password",
            file.display()
        );
        Failure::new(Status::Failed, message)
    })?;
    let certificates = archive.certs.iter();
    Ok(certificates
        .map(|found| found.cert.as_der().to_vec().into())
        .collect())
}

fn describe(certificate: &CertificateDer<'_>, text: &mut String) -> Option<()> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let facts = certificate_facts(certificate)?;
    let names: Vec<&str> = facts.alternative_names.iter().map(|name| &**name).collect();
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "{label:<12} {value}");
    };
    line("subject", &facts.subject);
    line("issuer", &parsed.issuer().to_string());
    line("names", if names.is_empty() { "none" } else { "" });
    for name in names {
        line("", name);
    }
    line("valid from", &parsed.validity().not_before.to_string());
    line("valid until", &parsed.validity().not_after.to_string());
    line("key", &key(&parsed));
    line("version", &format!("{}", parsed.version().0 + 1));
    line("for", &purposes(&parsed));
    line("serial", &parsed.raw_serial_as_string());
    line("SHA-256", &facts.fingerprint);
    Some(())
}

fn key(parsed: &X509Certificate<'_>) -> String {
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA, {} bits", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC, {} bits", point.key_size()),
        _ => parsed.public_key().algorithm.algorithm.to_id_string(),
    }
}

fn purposes(parsed: &X509Certificate<'_>) -> String {
    let mut found = Vec::new();
    if parsed.is_ca() {
        found.push("signing certificates");
    }
    if let Ok(Some(usage)) = parsed.extended_key_usage() {
        let known = [
            (usage.value.server_auth, "servers"),
            (usage.value.client_auth, "clients"),
        ];
        found.extend(known.iter().filter(|(is, _)| *is).map(|(_, name)| *name));
    }
    if found.is_empty() {
        "anything".to_owned()
    } else {
        found.join(", ")
    }
}
