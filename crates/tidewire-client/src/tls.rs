//! TLS: whom the client trusts, and who it is.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

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
    server_name: Option<Box<str>>,
    alpn: Vec<Vec<u8>>,
    trust: Trust,
}

#[derive(Clone, Debug)]
struct Identity {
    certificates: PathBuf,
    key: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trust {
    #[default]
    Verified,
    SelfSigned,
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
        self.change(|settings| settings.identity = Some(Identity { certificates, key }))
    }

    /// The client's certificate and its key in one PEM file.
    #[must_use]
    pub fn identity_file(self, file: impl Into<PathBuf>) -> Self {
        let file = file.into();
        self.identity(file.clone(), file)
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
            Trust::Verified => builder.with_root_certificates(self.roots()?),
            Trust::SelfSigned | Trust::Everything => {
                let verifier = Lenient::new(&provider, self)?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.read()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| TlsError::Identity {
                        file: identity.key.clone(),
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

impl Identity {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = read_certificates(&self.certificates)?;
        let text = read(&self.key)?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            let is_encrypted = text
                .windows(9)
                .any(|window| window == b"ENCRYPTED" || window == b"Proc-Type");
            if is_encrypted {
                TlsError::EncryptedKey(self.key.clone())
            } else {
                TlsError::NoKey(self.key.clone())
            }
        })?;
        Ok((chain, key))
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

/// Believes more than the certificates of authorities.
#[derive(Debug)]
struct Lenient {
    verified: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
    trust: Trust,
}

impl Lenient {
    fn new(provider: &Arc<CryptoProvider>, settings: &Settings) -> Result<Self, TlsError> {
        let wants_roots = settings.trust == Trust::SelfSigned;
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
            // Self-signed certificates need no authority.
            Err(TlsError::NoSystemRoots) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            verified,
            provider: Arc::clone(provider),
            trust: settings.trust,
        })
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
        if self.trust == Trust::Everything {
            return Ok(ServerCertVerified::assertion());
        }
        let verified = self.verified.as_ref().map(|verifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        match verified {
            Some(Ok(verified)) => Ok(verified),
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
    fn of_setup(error: &rustls::Error) -> Self {
        Self::Setup(error.to_string().into())
    }

    fn of_handshake(error: &io::Error) -> Self {
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
                "the private key in {} is encrypted, which is not supported; decrypt it with `openssl pkey`",
                file.display()
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
