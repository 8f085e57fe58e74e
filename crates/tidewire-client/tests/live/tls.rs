//! TLS: whom the client believes, and in which words it says no.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tidewire_client::{Client, Publish, StartError, Tls};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::broker::{TestBroker, soon};

#[expect(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/secure_publish.rs"]
mod secure_publish;

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("tidewire-client-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(name);
        std::fs::write(&file, text).expect("written");
        file
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A certificate and its key.
struct Pair {
    certificate: CertificateDer<'static>,
    pem: String,
    key: KeyPair,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    certificate: CertificateDer<'static>,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let certificate = params.self_signed(&key).expect("a certificate");
    Authority {
        pem: certificate.pem(),
        certificate: certificate.der().clone(),
        issuer: Issuer::new(params, key),
    }
}

fn issued(authority: &Authority, name: &str) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, &authority.issuer).expect("issued");
    Pair {
        pem: certificate.pem(),
        certificate: certificate.der().clone(),
        key,
    }
}

fn self_signed(name: &str, is_ca: IsCa) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    params.is_ca = is_ca;
    let certificate = params.self_signed(&key).expect("a certificate");
    Pair {
        pem: certificate.pem(),
        certificate: certificate.der().clone(),
        key,
    }
}

fn key_der(pair: &Pair) -> PrivateKeyDer<'static> {
    PrivatePkcs8KeyDer::from(pair.key.serialize_der()).into()
}

/// TLS in front of a broker; returns the port.
async fn terminate(broker: &TestBroker, server: &Pair, clients: Option<&Authority>) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let mut config = builder
        .with_single_cert(vec![server.certificate.clone()], key_der(server))
        .expect("a certificate");
    config.alpn_protocols = vec![b"mqtt".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    let inner = broker.port;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outer) = acceptor.accept(stream).await else {
                    return;
                };
                let inner = TcpStream::connect(("127.0.0.1", inner)).await;
                let mut inner = inner.expect("the broker");
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    port
}

async fn attempt(port: u16, tls: Tls) -> Result<(), StartError> {
    let builder = Client::builder(&format!("mqtts://localhost:{port}")).tls(tls);
    let client = soon(builder.connect()).await?;
    let mut receipt = soon(client.publish(Publish::new("t", "x")))
        .await
        .expect("accepted");
    soon(receipt.delivered()).await.expect("delivered");
    let _ = soon(client.close(Duration::from_secs(1))).await;
    Ok(())
}

fn words(outcome: Result<(), StartError>) -> String {
    outcome.expect_err("refused").to_string()
}

#[tokio::test]
async fn authority_in_a_file_or_a_folder_is_believed_and_another_is_not() {
    let folder = Folder::new("authority");
    let (ours, other) = (authority("ours"), authority("other"));
    let broker = TestBroker::start();
    let port = terminate(&broker, &issued(&ours, "localhost"), None).await;
    let file = folder.write("ours.pem", &ours.pem);
    attempt(port, Tls::new().ca_file(&file))
        .await
        .expect("believed");
    attempt(port, Tls::new().ca_folder(&folder.0))
        .await
        .expect("believed");
    attempt(port, Tls::new().ca_file(&file).alpn("mqtt"))
        .await
        .expect("agreed");

    let wrong = folder.write("other.txt", &other.pem);
    let said = words(attempt(port, Tls::new().ca_file(&wrong)).await);
    assert!(
        said.contains("name the certificate of the server's authority as CA file"),
        "{said}"
    );
    let said = words(attempt(port, Tls::new().ca_file(&wrong).allow_self_signed()).await);
    assert!(
        said.contains("UnknownIssuer"),
        "issued is not self-signed: {said}"
    );
    let anything = Tls::new().danger_accept_any_certificate();
    attempt(port, anything).await.expect("whatever it is");
}

#[tokio::test]
async fn name_of_the_server_must_be_in_its_certificate() {
    let folder = Folder::new("name");
    let ours = authority("ours");
    let broker = TestBroker::start();
    let port = terminate(&broker, &issued(&ours, "broker.example"), None).await;
    let tls = Tls::new().ca_file(folder.write("ours.pem", &ours.pem));
    let said = words(attempt(port, tls.clone()).await);
    assert!(said.contains("set the server name"), "{said}");
    attempt(port, tls.server_name("broker.example"))
        .await
        .expect("the name that it has");
}

#[tokio::test]
async fn self_signed_certificate_is_believed_only_where_it_is_allowed_and_only_for_its_name() {
    let broker = TestBroker::start();
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let port = terminate(&broker, &self_signed("localhost", is_ca), None).await;
        let said = words(attempt(port, Tls::new()).await);
        assert!(said.contains("certificate"), "{said}");
        let lenient = Tls::new().allow_self_signed();
        attempt(port, lenient.clone()).await.expect("allowed");

        let port = terminate(&broker, &self_signed("elsewhere", is_ca), None).await;
        words(attempt(port, lenient).await);
    }
}

#[tokio::test]
async fn server_that_demands_a_certificate_gets_it_from_two_files_or_one() {
    let folder = Folder::new("identity");
    let (ours, theirs) = (authority("ours"), authority("clients"));
    let broker = TestBroker::start();
    let port = terminate(&broker, &issued(&ours, "localhost"), Some(&theirs)).await;
    let client = issued(&theirs, "client");
    let key = client.key.serialize_pem();
    let tls = || Tls::new().ca_file(folder.write("ours.pem", &ours.pem));
    let certificate = folder.write("client.crt", &client.pem);
    let key_file = folder.write("client.key", &key);
    attempt(port, tls().identity(certificate, key_file))
        .await
        .expect("two files");
    let one = folder.write("client.pem", &format!("{key}{}", client.pem));
    attempt(port, tls().identity_file(one))
        .await
        .expect("one file");
    words(attempt(port, tls()).await);
}

#[test]
fn file_that_cannot_be_used_is_named_with_what_to_do() {
    let folder = Folder::new("files");
    let pair = self_signed("x", IsCa::NoCa);
    let empty = folder.write("empty.pem", "nothing here");
    let certificate = folder.write("certificate.pem", &pair.pem);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = folder.write("encrypted.pem", &format!("{}{encrypted}", pair.pem));
    let missing = folder.0.join("missing.pem");
    let cases: [(Tls, &Path, &str); 5] = [
        (Tls::new().ca_file(&missing), &missing, "check the path"),
        (Tls::new().ca_file(&empty), &empty, "BEGIN CERTIFICATE"),
        (
            Tls::new().identity_file(&missing),
            &missing,
            "check the path",
        ),
        (
            Tls::new().identity_file(&certificate),
            &certificate,
            "BEGIN PRIVATE KEY",
        ),
        (
            Tls::new().identity_file(&encrypted),
            &encrypted,
            "give its password",
        ),
    ];
    for (tls, file, advice) in cases {
        let tls = match file == missing || file == empty {
            true => tls,
            false => tls.ca_file(&certificate),
        };
        let said = tls.check().expect_err("not usable").to_string();
        assert!(said.contains(&*file.to_string_lossy()), "{said}");
        assert!(said.contains(advice), "{said}");
    }
}

#[tokio::test]
async fn secure_publish_example_delivers_and_names_a_missing_file() {
    let folder = Folder::new("example");
    let (ours, theirs) = (authority("ours"), authority("clients"));
    let broker = TestBroker::start();
    let port = terminate(&broker, &issued(&ours, "localhost"), Some(&theirs)).await;
    let watcher = soon(broker.client().connect()).await.expect("connected");
    let mut messages = soon(watcher.subscribe("hello")).await.expect("subscribed");
    let address = format!("ssl://localhost:{port}");
    let error = soon(secure_publish::run(&address, "example", &folder.0)).await;
    let said = error.expect_err("no files").to_string();
    assert!(said.contains("test-root-ca.crt"), "{said}");

    let client = issued(&theirs, "client");
    folder.write("test-root-ca.crt", &ours.pem);
    let both = format!("{}{}", client.pem, client.key.serialize_pem());
    folder.write("client.pem", &both);
    soon(secure_publish::run(&address, "example", &folder.0))
        .await
        .expect("delivered");
    let message = soon(messages.recv()).await.expect("a message");
    assert_eq!(message.text(), Some("Hello secure world!"));
}
