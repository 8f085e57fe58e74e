//! A broker with a listener of every kind, and clients of other libraries' TLS and WebSocket.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidewire_broker::{Broker, ListenerFigures, ListenerSettings, Settings};
use tidewire_core::Limits;
use tidewire_net::TlsSettings;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

/// Whatever takes longer than this has gone wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The schemes, each a listener of that name.
pub(crate) const WAYS: [&str; 5] = ["tcp", "unix", "tls", "ws", "wss"];

/// A broker with a listener for each of [`WAYS`].
pub(crate) struct House {
    pub(crate) broker: Broker,
    pub(crate) folder: TempDir,
}

/// A stream of MQTT's bytes.
pub(crate) trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// An authority, and what it has signed, as files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Authority {
    /// Writes `NAME.pem`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            rcgen::KeyUsagePurpose::KeyCertSign,
            rcgen::KeyUsagePurpose::CrlSign,
        ];
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), issuer.pem()).unwrap();
        let folder = folder.to_owned();
        Self { issuer, folder }
    }

    /// Writes `NAME.pem` and `NAME.key`, for a server or a client called so.
    pub(crate) fn sign(&self, name: &str, serial: u64) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.serial_number = Some(serial.into());
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.folder.join(format!("{name}.{end}"));
        std::fs::write(path("pem"), cert.pem()).unwrap();
        std::fs::write(path("key"), key.serialize_pem()).unwrap();
    }

    /// Writes a revocation list.
    pub(crate) fn revoke(&self, serial: u64, file: &str) {
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(2090, 1, 1),
            crl_number: 1_u64.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![rcgen::RevokedCertParams {
                serial_number: serial.into(),
                revocation_time: rcgen::date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        std::fs::write(self.folder.join(file), list.pem().unwrap()).unwrap();
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// As [`new`](Self::new); `change` may change each listener first.
    pub(crate) fn with(change: impl Fn(&mut ListenerSettings)) -> Self {
        Self::limited(|_| {}, change)
    }

    /// As [`with`](Self::with), with other limits.
    pub(crate) fn limited(
        limit: impl Fn(&mut Limits),
        change: impl Fn(&mut ListenerSettings),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path(), "ca");
        authority.sign("localhost", 1);
        let mut limits = Limits::default();
        limit(&mut limits);
        Self::build(folder, limits, change)
    }

    /// As [`with`](Self::with), in a folder that has `localhost.pem` and `localhost.key`.
    pub(crate) fn in_folder(folder: TempDir, change: impl Fn(&mut ListenerSettings)) -> Self {
        Self::build(folder, Limits::default(), change)
    }

    fn build(folder: TempDir, limits: Limits, change: impl Fn(&mut ListenerSettings)) -> Self {
        let listener = |way: &&str| {
            let url = match *way {
                "unix" => format!("unix://{}/socket", folder.path().display()),
                way => format!("{way}://127.0.0.1:0"),
            };
            let mut settings = ListenerSettings::new(way, url.parse().unwrap());
            settings.tls = TlsSettings {
                cert_files: vec![folder.path().join("localhost.pem")],
                key_files: vec![folder.path().join("localhost.key")],
                ..TlsSettings::default()
            };
            change(&mut settings);
            settings
        };
        let settings = Settings {
            workers: 2,
            listeners: WAYS.iter().map(listener).collect(),
            limits,
            ..Settings::default()
        };
        let broker = Broker::start(&settings).unwrap();
        Self { broker, folder }
    }

    pub(crate) fn address(&self, way: &str) -> SocketAddr {
        let mut bound = self.broker.addresses().iter();
        bound.find(|bound| &*bound.listener == way).unwrap().address
    }

    /// A connection without any handshake done.
    pub(crate) fn bare(&self, way: &str) -> TcpStream {
        let stream = TcpStream::connect(self.address(way)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A connection on which MQTT can be spoken.
    pub(crate) fn connect(&self, way: &str) -> Box<dyn Stream> {
        match way {
            "tcp" => Box::new(self.bare(way)),
            "unix" => {
                let stream = UnixStream::connect(&self.broker.paths()[0].path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                Box::new(stream)
            }
            "tls" => Box::new(self.tls(way, self.trust()).unwrap()),
            "ws" => Box::new(web_socket(self.bare(way))),
            "wss" => Box::new(web_socket(self.tls(way, self.trust()).unwrap())),
            other => panic!("{other}"),
        }
    }

    /// What a client of this broker trusts.
    pub(crate) fn trust(&self) -> Arc<ClientConfig> {
        client_config(self.folder.path(), "ca", None)
    }

    /// A TLS connection whose handshake is done.
    pub(crate) fn tls(
        &self,
        way: &str,
        config: Arc<ClientConfig>,
    ) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        handshake(self.bare(way), config)
    }

    pub(crate) fn figures(&self, way: &str) -> ListenerFigures {
        let figures = self.broker.handle().listeners().unwrap();
        figures
            .into_iter()
            .find(|figures| &*figures.listener == way)
            .unwrap()
    }

    /// Waits until a listener's figures are as wanted.
    pub(crate) fn wait_for(&self, way: &str, wanted: impl Fn(&ListenerFigures) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let figures = self.figures(way);
            if wanted(&figures) {
                return;
            }
            assert!(Instant::now() < until, "{figures:?}");
            std::thread::yield_now();
        }
    }
}

/// The configuration of a client that trusts `ca` and shows the certificate of `name`, all in files of `folder`.
pub(crate) fn client_config(folder: &Path, ca: &str, name: Option<&str>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(folder.join(format!("{ca}.pem"))).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(match name {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let path = |end: &str| folder.join(format!("{name}.{end}"));
            let cert = CertificateDer::from_pem_file(path("pem")).unwrap();
            let key = PrivateKeyDer::from_pem_file(path("key")).unwrap();
            builder.with_client_auth_cert(vec![cert], key).unwrap()
        }
    })
}

/// Does a client's handshake on a connection.
pub(crate) fn handshake(
    mut stream: TcpStream,
    config: Arc<ClientConfig>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = "localhost".try_into().unwrap();
    let mut client = ClientConnection::new(config, name).map_err(io::Error::other)?;
    while client.is_handshaking() {
        client.complete_io(&mut stream)?;
    }
    Ok(StreamOwned::new(client, stream))
}

/// A stream of bytes over binary messages; each write is one message.
pub(crate) struct Framed<S> {
    pub(crate) socket: WebSocket<S>,
    rest: Vec<u8>,
}

/// Upgrades a connection.
pub(crate) fn web_socket<S: Read + Write>(stream: S) -> Framed<S> {
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    let protocol = "mqtt".parse().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", protocol);
    let Ok((socket, response)) = tungstenite::client(request, stream) else {
        panic!("no upgrade");
    };
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    let rest = Vec::new();
    Framed { socket, rest }
}

impl<S: Read + Write> Read for Framed<S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.socket.read() {
                Ok(Message::Binary(bytes)) => self.rest = bytes.to_vec(),
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed) => return Ok(0),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        let count = into.len().min(self.rest.len());
        into[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

impl<S: Read + Write> Write for Framed<S> {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.socket
            .send(Message::binary(from.to_vec()))
            .map_err(io::Error::other)?;
        Ok(from.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// CONNECT of MQTT 3.1.1 with Clean Session and no keep alive.
pub(crate) fn connect_packet(client_id: &str) -> Vec<u8> {
    let mut packet = vec![0x10, u8::try_from(client_id.len()).unwrap() + 12];
    packet.extend_from_slice(b"\x00\x04MQTT\x04\x02\x00\x00\x00");
    packet.push(u8::try_from(client_id.len()).unwrap());
    packet.extend_from_slice(client_id.as_bytes());
    packet
}

/// Sends bytes and reads the answer, which must be this one.
pub(crate) fn exchange(stream: &mut (impl Read + Write + ?Sized), sent: &[u8], answer: &[u8]) {
    stream.write_all(sent).unwrap();
    stream.flush().unwrap();
    let mut got = vec![0; answer.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(got, answer);
}

/// Reads to the end of the stream; a reset counts as one.
pub(crate) fn drain(stream: &mut (impl Read + ?Sized)) -> Vec<u8> {
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return got,
            Ok(count) => got.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                panic!("the connection stays open; so far: {got:?}")
            }
            Err(_) => return got,
        }
    }
}
