//! MQTT on the port of an application's own server: the example, with curl and MQTT.js as its clients, and what can go wrong.

#[expect(dead_code, reason = "an example has a main of its own")]
#[path = "../../examples/attach.rs"]
mod example;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tidewire_broker::attach::AttachError;
use tidewire_broker::{Broker, ListenerSettings, StartError};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::{Message, WebSocket};

const PATIENCE: Duration = Duration::from_secs(30);
const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a";
const CONNACK: &[u8] = b"\x20\x02\x00\x00";

/// What `cargo xtask test` says about a program's place.
fn provided(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run cargo xtask test, which installs it and sets the variable"
        )
    })
}

/// The example, serving until it is dropped.
struct Served {
    broker: Broker,
    address: SocketAddr,
    _runtime: Runtime,
}

fn served(files: Option<(String, String)>) -> Served {
    let runtime = Runtime::new().unwrap();
    let broker = example::broker().unwrap();
    let application = example::application(&broker).unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(example::serve(listener, application, files));
    Served {
        broker,
        address,
        _runtime: runtime,
    }
}

/// Writes an authority and a certificate for localhost.
fn certificates(folder: &Path) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "CA");
    let ca = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    let write = |name: &str, text: String| {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    write("ca.pem", ca.pem());
    (
        write("cert.pem", cert.pem()),
        write("key.pem", key.serialize_pem()),
    )
}

#[test]
fn curl_gets_the_page_and_mqtt_js_gets_mqtt_on_one_port() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path());
    let ca = folder.path().join("ca.pem");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tidewire/tests/node/ways.js");
    for (files, http, ws) in [(None, "http", "ws"), (Some(files), "https", "wss")] {
        let served = served(files);
        let port = served.address.port();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--cacert"]);
        let page = curl.arg(&ca).arg(format!("{http}://localhost:{port}/"));
        let page = page.output().expect("curl is installed");
        let text = String::from_utf8_lossy(&page.stdout);
        assert!(text.contains("<title>Attached</title>"), "{page:?}");
        for version in ["3", "4", "5"] {
            let mut node = Command::new(provided("TIDEWIRE_NODE"));
            node.arg(&script)
                .arg(format!("{ws}://localhost:{port}/mqtt"));
            let done = node.arg(version).arg(&ca).output().unwrap();
            assert_eq!(done.stdout, b"done\n", "{ws} {version}: {done:?}");
        }
    }
}

fn web_socket(address: SocketAddr) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = "ws://localhost/mqtt".into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let (socket, response) = tungstenite::client(request, stream).unwrap();
    assert_eq!(response.headers()["Sec-WebSocket-Protocol"], "mqtt");
    socket
}

fn connections(broker: &Broker) -> usize {
    let figures = broker.handle().listeners().unwrap();
    let web = figures.iter().find(|figures| &*figures.listener == "web");
    web.unwrap().connections
}

fn wait_for_connections(broker: &Broker, wanted: usize) {
    let until = Instant::now() + PATIENCE;
    while connections(broker) != wanted {
        assert!(
            Instant::now() < until,
            "{} connections",
            connections(broker)
        );
        std::thread::yield_now();
    }
}

#[test]
fn an_attached_client_has_its_address_and_its_listener_and_leaves_nothing_behind() {
    let served = served(None);
    let mut socket = web_socket(served.address);
    socket.send(Message::binary(CONNECT)).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(CONNACK));
    let page = served.broker.handle().clients(None, 10).unwrap();
    let peer = page.rows[0].peer.as_ref().unwrap();
    let own = socket.get_ref().local_addr().unwrap();
    assert_eq!(*peer.address, *own.to_string());
    assert_eq!(connections(&served.broker), 1);
    // More than the pipe holds, both ways at once.
    let payload = vec![7; 300_000];
    let mut publish = b"\x30\xE3\xA7\x12\x00\x01t".to_vec();
    publish.extend_from_slice(&payload);
    socket
        .send(Message::binary(&b"\x82\x06\x00\x01\x00\x01t\x00"[..]))
        .unwrap();
    socket.send(Message::binary(publish.clone())).unwrap();
    let mut got = Vec::new();
    while got.len() < 5 + publish.len() {
        if let Message::Binary(bytes) = socket.read().unwrap() {
            got.extend_from_slice(&bytes);
        }
    }
    assert_eq!(got[5..], publish);
    drop(socket);
    wait_for_connections(&served.broker, 0);
}

#[test]
fn what_the_broker_closes_is_closed_for_the_client_with_a_farewell() {
    let served = served(None);
    let mut socket = web_socket(served.address);
    socket.send(Message::binary(CONNECT)).unwrap();
    assert_eq!(socket.read().unwrap(), Message::binary(CONNACK));
    assert_eq!(served.broker.handle().kick("a"), Ok(1));
    assert!(matches!(socket.read(), Ok(Message::Close(Some(_)))));
    wait_for_connections(&served.broker, 0);
    // A text frame, and a client that says nothing after its upgrade but goes.
    let mut socket = web_socket(served.address);
    socket.send(Message::text("hello")).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Close(Some(_)))));
    drop(web_socket(served.address));
    wait_for_connections(&served.broker, 0);
}

#[test]
fn requests_that_are_no_upgrade_get_an_answer_of_http() {
    let served = served(None);
    for (headers, status) in [
        ("", "426 "),
        (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
            "400 ",
        ),
    ] {
        let mut stream = TcpStream::connect(served.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("GET /mqtt HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 13];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[9..], status.as_bytes());
    }
}

#[test]
fn an_attached_listener_needs_an_authenticator_and_a_name_that_exists() {
    let error = Broker::builder()
        .listener(ListenerSettings::attached("web"))
        .start();
    assert!(matches!(error, Err(StartError::AttachedToAll { .. })));
    let broker = example::broker().unwrap();
    let error = broker.handle().attach("other").unwrap_err();
    assert!(matches!(error, AttachError::NoSuchListener { .. }));
    assert!(error.to_string().contains("there are web"), "{error}");
}
