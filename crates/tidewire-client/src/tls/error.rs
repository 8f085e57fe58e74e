//! What is wrong with TLS, in words.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// What is wrong with TLS, and what to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        error: Arc<io::Error>,
    },
    /// A file or folder has no certificate.
    NoCertificate(PathBuf),
    /// A certificate cannot be used.
    Certificate {
        /// Its file.
        file: PathBuf,
        /// What is wrong.
        text: Box<str>,
    },
    /// A file has no private key.
    NoKey(PathBuf),
    /// A private key is encrypted.
    EncryptedKey(PathBuf),
    /// Certificate and key do not go together.
    Identity {
        /// The key's file.
        file: PathBuf,
        /// What is wrong.
        text: Box<str>,
    },
    /// The password of an encrypted key or a PKCS#12 file is wrong, or the file is damaged or encrypted in an unknown way.
    Decrypt {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        text: Box<str>,
    },
    /// A fingerprint is not one of SHA-256.
    Fingerprint(Box<str>),
    /// The operating system has no certificates to trust.
    NoSystemRoots,
    /// The name of the server cannot be in a certificate.
    ServerName(Box<str>),
    /// The handshake failed.
    Handshake(Box<str>),
    /// TLS cannot be set up.
    Setup(Box<str>),
}

impl TlsError {
    pub(super) fn of_setup(error: &rustls::Error) -> Self {
        Self::Setup(error.to_string().into())
    }

    pub(super) fn of_handshake(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        let advice = match inner {
            Some(rustls::Error::InvalidCertificate(fault)) => advice_about(fault),
            _ => "",
        };
        Self::Handshake(format!("{error}{advice}").into())
    }
}

fn advice_about(fault: &rustls::CertificateError) -> &'static str {
    use rustls::CertificateError as Fault;
    match fault {
        Fault::UnknownIssuer => {
            "; name the certificate of the server's authority as CA file, or allow self-signed certificates if the server's is one; if the \
             CA file is right, the server does not show the certificates in between"
        }
        Fault::NotValidForName | Fault::NotValidForNameContext { .. } => {
            "; connect by a name that the certificate has, or set the server name"
        }
        Fault::Expired | Fault::ExpiredContext { .. } => {
            "; renew the server's certificate, or set this machine's clock"
        }
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "; is the clock of this machine, or of the one that made the server's certificate, right?"
        }
        Fault::BadSignature => {
            "; a signature in the server's certificate is wrong, or made with an RSA key below 2048 bits, which is not accepted any \
             longer: on the server, `tidewire cert make-ca --dir DIR` and `tidewire cert make-server --dir DIR NAME` make good ones"
        }
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => {
            "; the server shows a certificate that is not for servers: `tidewire cert make-server --dir DIR NAME` makes one"
        }
        Fault::Other(other) if format!("{other:?}").contains("UnsupportedCertVersion") => {
            "; the server's certificate, or the authority's, is X.509 version 1, without the names and purposes that are checked: on the server, \
             `tidewire cert make-ca --dir DIR` and `tidewire cert make-server --dir DIR NAME` make good ones"
        }
        _ => "",
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, error } => write!(
                f,
                "{} cannot be read: {error}; check the path and its permissions",
                file.display()
            ),
            Self::NoCertificate(file) => write!(
                f,
                "{} has no certificate; it must be PEM, with BEGIN CERTIFICATE",
                file.display()
            ),
            Self::Certificate { file, text } => {
                write!(f, "a certificate in {} cannot be used: {text}", file.display())
            }
            Self::NoKey(file) => write!(
                f,
                "{} has no private key; it must be PEM, with BEGIN PRIVATE KEY",
                file.display()
            ),
            Self::EncryptedKey(file) => write!(
                f,
                "the private key in {} is encrypted; give its password",
                file.display()
            ),
            Self::Decrypt { file, text } => write!(
                f,
                "{} cannot be decrypted: {text}; is the password right?",
                file.display()
            ),
            Self::Fingerprint(text) => write!(
                f,
                "`{text}` is no SHA-256 fingerprint; it has 64 hexadecimal digits: `openssl x509 -fingerprint -sha256 -noout -in FILE` prints it"
            ),
            Self::Identity { file, text } => write!(
                f,
                "the key in {} does not go with the certificate: {text}",
                file.display()
            ),
            Self::NoSystemRoots => f.write_str(
                "this machine has no certificates to trust; install them (`ca-certificates`) or name a CA file",
            ),
            Self::ServerName(name) => {
                write!(f, "`{name}` is no name that a certificate can have; set the server name")
            }
            Self::Handshake(text) | Self::Setup(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for TlsError {}
