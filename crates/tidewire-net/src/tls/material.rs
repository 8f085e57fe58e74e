//! Certificates and keys from files, and what is wrong with them.

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use x509_parser::prelude::{FromDer as _, X509Certificate, X509Version};
use x509_parser::public_key::PublicKey;

/// RSA keys below this are refused: the TLS library does not sign or verify with them, and neither do current clients.
const LEAST_RSA_BITS: usize = 2048;

/// A file of certificates or keys that cannot be used.
#[derive(Debug)]
pub struct MaterialError {
    /// The file; empty where a setting is missing.
    pub file: PathBuf,
    /// What is wrong.
    pub fault: MaterialFault,
    /// What the file is for.
    pub(super) role: Role,
}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Role {
    /// It is the server's own.
    #[default]
    Server,
    /// Client certificates come from it.
    Authority,
    /// A client shows it.
    Client,
}

impl Role {
    /// The command that makes one.
    fn command(self) -> &'static str {
        match self {
            Self::Server => "tidewire cert make-server --dir DIR NAME",
            Self::Authority => "tidewire cert make-ca --dir DIR",
            Self::Client => "tidewire cert make-client --dir DIR NAME",
        }
    }
}

/// What is wrong with a file, or with the choice of files.
#[derive(Debug)]
pub enum MaterialFault {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is not PEM.
    NotPem(String),
    /// It holds no certificate.
    NoCertificate,
    /// It holds no private key that is not encrypted.
    NoKey,
    /// It holds a private key under a password.
    EncryptedKey,
    /// It holds no revocation list.
    NoRevocationList,
    /// The certificate is of an old version, without the extensions that say what it is for.
    OldVersion,
    /// An RSA key that is too short.
    ShortKey {
        /// Its length.
        bits: usize,
    },
    /// The certificate's time is over.
    Expired {
        /// When it ended.
        at: String,
    },
    /// The certificate's time has not come.
    NotYetValid {
        /// When it begins.
        at: String,
    },
    /// The key belongs to another certificate.
    WrongKey {
        /// The certificate's file.
        cert_file: PathBuf,
    },
    /// Numbers of certificates and keys differ, or there is none.
    Unpaired {
        /// Certificate files.
        certs: usize,
        /// Key files.
        keys: usize,
    },
    /// Client certificates are asked for, and no authority is named.
    NoClientCa,
    /// The TLS library has another objection.
    Unusable(String),
}

impl MaterialError {
    pub(super) fn new(file: impl Into<PathBuf>, fault: MaterialFault) -> Self {
        Self {
            file: file.into(),
            fault,
            role: Role::default(),
        }
    }

    pub(super) fn of_authority(self) -> Self {
        Self {
            role: Role::Authority,
            ..self
        }
    }
}

/// A certificate chain with its key, checked.
pub(super) fn load_identity(
    provider: &CryptoProvider,
    cert_file: &Path,
    key_file: &Path,
) -> Result<CertifiedKey, MaterialError> {
    let chain = read_certificates(cert_file)?;
    for certificate in &chain {
        check_certificate(certificate).map_err(|fault| MaterialError::new(cert_file, fault))?;
    }
    let key = read_key(key_file)?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| {
            MaterialError::new(key_file, MaterialFault::Unusable(error.to_string()))
        })?;
    let identity = CertifiedKey::new(chain, key);
    match identity.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            let fault = MaterialFault::WrongKey {
                cert_file: cert_file.to_owned(),
            };
            Err(MaterialError::new(key_file, fault))
        }
        // Not every key tells its public half.
        Ok(()) | Err(rustls::Error::InconsistentKeys(_)) => Ok(identity),
        Err(error) => Err(MaterialError::new(
            cert_file,
            MaterialFault::Unusable(error.to_string()),
        )),
    }
}

pub(super) fn read_certificates(
    file: &Path,
) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let bytes = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(MaterialError::new(file, MaterialFault::NoCertificate)),
        Err(error) => Err(MaterialError::new(
            file,
            MaterialFault::NotPem(error.to_string()),
        )),
    }
}

/// Refuses what nobody would believe.
pub(super) fn check_certificate(certificate: &CertificateDer<'_>) -> Result<(), MaterialFault> {
    let parsed = match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => parsed,
        Err(error) => return Err(MaterialFault::Unusable(error.to_string())),
    };
    if let Ok(PublicKey::RSA(key)) = parsed.public_key().parsed()
        && key.key_size() < LEAST_RSA_BITS
    {
        let bits = key.key_size();
        return Err(MaterialFault::ShortKey { bits });
    }
    if parsed.version() != X509Version::V3 {
        return Err(MaterialFault::OldVersion);
    }
    let (now, validity) = (x509_parser::time::ASN1Time::now(), parsed.validity());
    if validity.not_after < now {
        let at = validity.not_after.to_string();
        return Err(MaterialFault::Expired { at });
    }
    if validity.not_before > now {
        let at = validity.not_before.to_string();
        return Err(MaterialFault::NotYetValid { at });
    }
    Ok(())
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, MaterialError> {
    std::fs::read(file).map_err(|error| MaterialError::new(file, MaterialFault::Unreadable(error)))
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, MaterialError> {
    let bytes = read(file)?;
    let encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    let under_password = bytes
        .windows(encrypted.len())
        .any(|window| window == encrypted)
        || bytes.windows(9).any(|window| window == b"ENCRYPTED");
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let fault = match error {
            _ if under_password => MaterialFault::EncryptedKey,
            PemError::NoItemsFound => MaterialFault::NoKey,
            other => MaterialFault::NotPem(other.to_string()),
        };
        MaterialError::new(file, fault)
    })
}

impl MaterialFault {
    /// The fault of a certificate that has this role: the sentence behind "the certificate", with a way out.
    pub(super) fn of(&self, role: Role) -> String {
        let command = role.command();
        match self {
            Self::OldVersion => format!(
                "is X.509 version 1, without the names and purposes that others check; make a version 3 one with `{command}`"
            ),
            Self::ShortKey { bits } => format!(
                "has an RSA key of {bits} bits, and {LEAST_RSA_BITS} are the least that TLS libraries accept; make a new one with `{command}`"
            ),
            Self::Expired { at } => {
                format!("expired on {at}; renew it, or make a new one with `{command} --force`")
            }
            Self::NotYetValid { at } => format!(
                "is not valid before {at}; is the clock of this machine, or of the one that made it, right?"
            ),
            other => format!("cannot be used: {other:?}"),
        }
    }
}

impl fmt::Display for MaterialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.fault {
            MaterialFault::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => write!(
                f,
                "{file} does not exist; `{}` makes a certificate and its key",
                self.role.command()
            ),
            MaterialFault::Unreadable(error) => write!(
                f,
                "{file} cannot be read: {error}; the user who runs the broker must be allowed to"
            ),
            MaterialFault::NotPem(error) => write!(
                f,
                "{file} is not PEM ({error}); it is text with a line `-----BEGIN ...-----`"
            ),
            MaterialFault::NoCertificate => write!(
                f,
                "{file} holds no certificate (no `-----BEGIN CERTIFICATE-----`)"
            ),
            MaterialFault::NoKey => write!(
                f,
                "{file} holds no private key (no `-----BEGIN PRIVATE KEY-----`); did key_file and cert_file change places?"
            ),
            MaterialFault::EncryptedKey => write!(
                f,
                "{file} holds a private key under a password, which nobody could type; `openssl pkey -in {file} -out plain.key` takes it off"
            ),
            MaterialFault::NoRevocationList => write!(
                f,
                "{file} holds no revocation list (no `-----BEGIN X509 CRL-----`)"
            ),
            MaterialFault::OldVersion
            | MaterialFault::ShortKey { .. }
            | MaterialFault::Expired { .. }
            | MaterialFault::NotYetValid { .. } => {
                write!(f, "{file}: the certificate {}", self.fault.of(self.role))
            }
            MaterialFault::WrongKey { cert_file } => write!(
                f,
                "{file} is not the key of the certificate in {}; name the two files that were made together",
                cert_file.display()
            ),
            MaterialFault::Unpaired { certs: 0, keys: 0 } => f.write_str(
                "TLS needs a certificate and its key: set cert_file and key_file; `tidewire cert make-server --dir DIR NAME` makes them",
            ),
            MaterialFault::Unpaired { certs, keys } => write!(
                f,
                "{certs} certificate files and {keys} key files are named; each cert_file has its key_file, in the same order"
            ),
            MaterialFault::NoClientCa => f.write_str(
                "client certificates are asked for, and client_ca_file names nobody who may have issued them",
            ),
            MaterialFault::Unusable(error) if self.file.as_os_str().is_empty() => f.write_str(error),
            MaterialFault::Unusable(error) => write!(f, "{file} cannot be used: {error}"),
        }
    }
}

impl std::error::Error for MaterialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            MaterialFault::Unreadable(error) => Some(error),
            _ => None,
        }
    }
}
