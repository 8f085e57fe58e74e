//! Making keys, and the file that holds key and certificates under a password.

use crate::cli::KeyKind;
use crate::exit::{Failure, Status};
use getrandom::SysRng;
use p12_keystore::{Certificate, KeyStore, KeyStoreEntry, PrivateKey, PrivateKeyChain};
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rsa::PrivateKey as RsaKey;
use rsa::pkcs8::EncodePrivateKey as _;
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::fmt::{Display, Write as _};

/// Rounds of the key derivation from a password: what OpenSSL and Java take at least, many times over.
const P12_ITERATIONS: u32 = 100_000;
/// Random bytes of a password that is made up: nobody guesses it.
const PASSWORD_BYTES: usize = 12;

/// Makes a key.
pub(super) fn generate(kind: &KeyKind) -> Result<KeyPair, Failure> {
    let Some(bits) = kind.rsa else {
        return KeyPair::generate().map_err(failed);
    };
    // This library looks for the primes and does nothing else with the key: whoever has a clock learns nothing from it.
    let key = RsaKey::new(&mut SysRng, bits.into()).map_err(failed)?;
    let document = key.to_pkcs8_der().map_err(failed)?;
    let der = PrivatePkcs8KeyDer::from(document.as_bytes());
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256).map_err(failed)
}

/// PKCS#12 with the client's key, its certificate and the authority's, under a password.
pub(super) fn key_store(
    name: &str,
    chain: &[Vec<u8>],
    key: &[u8],
    password: &str,
) -> Result<Vec<u8>, Failure> {
    let certificates = chain.iter().map(|cert| Certificate::from_der(cert));
    let certificates = certificates
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    let key = PrivateKey::from_der(key).map_err(failed)?;
    let entry = PrivateKeyChain::new(name.as_bytes(), key, certificates);
    let mut store = KeyStore::new();
    store.add_entry(name, KeyStoreEntry::PrivateKeyChain(entry));
    let writer = store.writer(password).encryption_iterations(P12_ITERATIONS);
    writer
        .mac_iterations(P12_ITERATIONS)
        .write()
        .map_err(failed)
}

/// A password that nobody guesses.
pub(super) fn random_password() -> Result<String, Failure> {
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[allow(clippy::needless_pass_by_value, reason = "the shape of map_err")]
pub(super) fn failed(error: impl Display) -> Failure {
    Failure::new(
        Status::Failed,
        format!("the certificate cannot be made: {error}"),
    )
}
