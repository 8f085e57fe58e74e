//! The client's certificate and its key, in any of the ways in which they are kept.

use std::fmt;
use std::path::{Path, PathBuf};

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{TlsError, read, read_certificates};

/// Shows nothing of itself.
#[derive(Clone)]
pub(super) struct Secret(pub(super) Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where certificate and key are.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    certificates: PathBuf,
    key: PathBuf,
}

type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Identity {
    pub(super) const fn new(certificates: PathBuf, key: PathBuf) -> Self {
        Self { certificates, key }
    }

    pub(super) fn key_file(&self) -> &Path {
        &self.key
    }

    pub(super) fn read(&self, password: Option<&Secret>) -> Result<ChainAndKey, TlsError> {
        if self.certificates == self.key {
            let bytes = read(&self.key)?;
            if !bytes.windows(11).any(|window| window == b"-----BEGIN ") {
                return from_pkcs12(&self.key, &bytes, password);
            }
        }
        Ok((
            read_certificates(&self.certificates)?,
            read_key(&self.key, password)?,
        ))
    }
}

fn read_key(file: &Path, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(file)?;
    if let Ok(key) = PrivateKeyDer::from_pem_slice(&text) {
        return Ok(key);
    }
    let text = String::from_utf8_lossy(&text);
    // The encryption of RFC 1421 has a key derivation that is broken.
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(TlsError::Decrypt {
            file: file.into(),
            text: "it is encrypted in OpenSSL's old way; `openssl pkcs8 -topk8` writes it in the present one".into(),
        });
    }
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let Some(from) = text.find(BEGIN) else {
        return Err(TlsError::NoKey(file.into()));
    };
    let Some(password) = password else {
        return Err(TlsError::EncryptedKey(file.into()));
    };
    let to = text[from..]
        .find(END)
        .map_or(text.len(), |at| from + at + END.len());
    decrypt(&text[from..to], &password.0).map_err(|text| TlsError::Decrypt {
        file: file.into(),
        text,
    })
}

fn decrypt(pem: &str, password: &str) -> Result<PrivateKeyDer<'static>, Box<str>> {
    let (_, document) = pkcs8::SecretDocument::from_pem(pem).map_err(|error| error.to_string())?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|error| error.to_string())?;
    let key = encrypted
        .decrypt(password)
        .map_err(|error| error.to_string())?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn from_pkcs12(
    file: &Path,
    bytes: &[u8],
    password: Option<&Secret>,
) -> Result<ChainAndKey, TlsError> {
    let wrong = |text: String| TlsError::Decrypt {
        file: file.into(),
        text: text.into(),
    };
    let password = password.map_or("", |password| &password.0);
    let store = KeyStore::from_pkcs12(bytes, password, Pkcs12ImportPolicy::Relaxed)
        .map_err(|error| wrong(error.to_string()))?;
    let (_, found) = store
        .private_key_chain()
        .ok_or_else(|| TlsError::NoKey(file.into()))?;
    let chain = found
        .certs()
        .iter()
        .map(|certificate| CertificateDer::from(certificate.as_der().to_vec()))
        .collect();
    let key = PrivatePkcs8KeyDer::from(found.key().as_der().to_vec());
    Ok((chain, key.into()))
}
