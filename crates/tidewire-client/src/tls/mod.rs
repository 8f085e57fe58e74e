//! TLS: whom the client trusts, and who it is.

mod error;
mod identity;
mod verify;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub use self::error::TlsError;
use self::identity::{Identity, Secret};
use self::verify::Lenient;
use crate::url::ServerUrl;

/// How servers are trusted, and who the client is to them. Without anything said: the certificates of the operating
/// system, and no certificate of the client's own.
///
/// Files are read at the first connection; what is wrong with one is told with its name.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    settings: Settings,
    /// Read once, shared by all connections.
    prepared: Arc<Mutex<Option<Arc<ClientConfig>>>>,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    ca_files: Vec<PathBuf>,
    ca_folders: Vec<PathBuf>,
    identity: Option<Identity>,
    key_password: Option<Secret>,
    pins: Vec<Box<str>>,
    server_name: Option<Box<str>>,
    alpn: Vec<Vec<u8>>,
    trust: Trust,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trust {
    #[default]
    Verified,
    SelfSigned,
    AnyName,
    Everything,
}

impl Tls {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trust the certificates in this PEM file, and no longer those of the operating system. May be called several times.
    #[must_use]
    pub fn ca_file(self, file: impl Into<PathBuf>) -> Self {
        self.change(|settings| settings.ca_files.push(file.into()))
    }

    /// Trust the certificates in the files of this folder whose names end in `.pem`, `.crt` or `.0`, and no longer those
    /// of the operating system.
    #[must_use]
    pub fn ca_folder(self, folder: impl Into<PathBuf>) -> Self {
        self.change(|settings| settings.ca_folders.push(folder.into()))
    }

    /// The client's certificate with those that it is signed with, and its key: two PEM files.
    #[must_use]
    pub fn identity(self, certificates: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        let (certificates, key) = (certificates.into(), key.into());
        self.change(|settings| settings.identity = Some(Identity::new(certificates, key)))
    }

    /// The client's certificate and its key in one file: PEM, or PKCS#12 (`.p12`, `.pfx`).
    #[must_use]
    pub fn identity_file(self, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        self.identity(file.clone(), file)
    }

    /// The password of an encrypted private key (PKCS#8, `BEGIN ENCRYPTED PRIVATE KEY`) or of a PKCS#12 file.
    #[must_use]
    pub fn key_password(self, password: &str) -> Self {
        self.change(|settings| settings.key_password = Some(Secret(password.into())))
    }

    /// Believe a server only if its certificate has this SHA-256 fingerprint: 64 hexadecimal digits, colons between them or
    /// not. Whoever made the certificate, and its name and dates, do not matter then. May be called several times: one of them has
    /// to fit.
    #[must_use]
    pub fn pin_sha256(self, fingerprint: &str) -> Self {
        self.change(|settings| settings.pins.push(fingerprint.into()))
    }

    /// The name that the server's certificate must have, and that the server is told, in place of the URL's host.
    #[must_use]
    pub fn server_name(self, name: &str) -> Self {
        self.change(|settings| settings.server_name = Some(name.into()))
    }

    /// A protocol to offer by ALPN, for instance `mqtt`; the first is liked most.
    #[must_use]
    pub fn alpn(self, protocol: &str) -> Self {
        self.change(|settings| settings.alpn.push(protocol.into()))
    }

    /// Believe a server whose certificate is signed with its own key, too. Signature, dates and name are still checked
    /// as far as the certificate has them; a certificate of an unknown authority is still refused.
    #[must_use]
    pub fn allow_self_signed(self) -> Self {
        self.change(|settings| settings.trust = Trust::SelfSigned)
    }

    /// Believe a certificate of a trusted authority whatever its name: whoever has one of these, for any server, can read and
    /// change what is sent.
    #[must_use]
    pub fn danger_accept_any_name(self) -> Self {
        self.change(|settings| settings.trust = Trust::AnyName)
    }

    /// Believe every server, whoever it is: whoever can reach the connection can read and change what is sent. For
    /// experiments only.
    #[must_use]
    pub fn danger_accept_any_certificate(self) -> Self {
        self.change(|settings| settings.trust = Trust::Everything)
    }

    fn change(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.prepared = Arc::default();
        self
    }

    /// Reads all files now.
    ///
    /// # Errors
    /// What is wrong with a file, and what to do.
    pub fn check(&self) -> Result<(), TlsError> {
        self.config().map(drop)
    }

    fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = &*prepared {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.settings.config()?);
        *prepared = Some(Arc::clone(&config));
        Ok(config)
    }
}

/// TLS on an open connection.
pub(crate) async fn connect(
    tls: &Tls,
    url: &ServerUrl,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let name = tls.settings.server_name.as_deref().unwrap_or(&url.host);
    let server_name =
        ServerName::try_from(name.to_owned()).map_err(|_| TlsError::ServerName(name.into()))?;
    TlsConnector::from(tls.config()?)
        .connect(server_name, stream)
        .await
        .map_err(|error| TlsError::of_handshake(&error))
}

impl Settings {
    fn config(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::of_setup(&error))?;
        let builder = match self.trust {
            Trust::Verified if self.pins.is_empty() => {
                builder.with_root_certificates(self.roots()?)
            }
            _ => {
                let verifier = Lenient::new(&provider, self)?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.read(self.key_password.as_ref())?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| TlsError::Identity {
                        file: identity.key_file().into(),
                        text: error.to_string().into(),
                    })?
            }
        };
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        if self.ca_files.is_empty() && self.ca_folders.is_empty() {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            return if roots.is_empty() {
                Err(TlsError::NoSystemRoots)
            } else {
                Ok(roots)
            };
        }
        for file in &self.ca_files {
            add_roots(&mut roots, file)?;
        }
        for folder in &self.ca_folders {
            for file in certificates_in(folder)? {
                add_roots(&mut roots, &file)?;
            }
        }
        Ok(roots)
    }
}

fn add_roots(roots: &mut RootCertStore, file: &Path) -> Result<(), TlsError> {
    for certificate in read_certificates(file)? {
        roots
            .add(certificate)
            .map_err(|error| TlsError::Certificate {
                file: file.into(),
                text: error.to_string().into(),
            })?;
    }
    Ok(())
}

fn certificates_in(folder: &Path) -> Result<Vec<PathBuf>, TlsError> {
    let unreadable = |error: io::Error| TlsError::Read {
        file: folder.into(),
        error: Arc::new(error),
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let ending = file.extension().and_then(|ending| ending.to_str());
        if matches!(ending, Some("pem" | "crt" | "0")) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(TlsError::NoCertificate(folder.into()));
    }
    Ok(files)
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(file)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificate {
            file: file.into(),
            text: error.to_string().into(),
        })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(file.into()));
    }
    Ok(certificates)
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file).map_err(|error| TlsError::Read {
        file: file.into(),
        error: Arc::new(error),
    })
}
