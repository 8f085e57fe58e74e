//! The metrics listener of a running broker.

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use support::{TestBroker, admitted_v5, run};

fn broker() -> (TestBroker, SocketAddr) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[metrics]\nlisten = \"127.0.0.1:0\"\n").expect("written");
    let config = file.display().to_string();
    let broker = TestBroker::with(&[
        "--dev",
        "--listen",
        "tcp://127.0.0.1:0",
        "--config",
        &config,
    ]);
    let address = broker.ready()["metrics"]
        .as_str()
        .expect("an address")
        .parse()
        .expect("an address");
    (broker, address)
}

fn request(address: SocketAddr, line: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream
        .set_read_timeout(Some(support::PATIENCE))
        .expect("set");
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn scrape_shows_what_clients_did() {
    let (broker, address) = broker();
    let _client = admitted_v5(&broker, "a");
    let answer = request(address, "GET /metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains(
            "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"
        ),
        "{answer}"
    );
    for line in [
        "tidewire_sessions_connected 1",
        "tidewire_connects_accepted_total 1",
        "# UNIT tidewire_received_bytes bytes",
        "tidewire_dropped_messages_total{reason=\"queue_full\"} 0",
        "# EOF",
    ] {
        assert!(
            answer.lines().any(|written| written == line),
            "{line} is missing in\n{answer}"
        );
    }
}

#[test]
fn health_is_answered_and_nothing_else_is() {
    let (_broker, address) = broker();
    assert!(request(address, "GET /healthz").ends_with("\r\n\r\nok\n"));
    assert!(request(address, "GET /").starts_with("HTTP/1.1 404 "));
    assert!(request(address, "POST /metrics").starts_with("HTTP/1.1 405 "));
}

#[test]
fn metrics_are_off_unless_asked_for() {
    assert!(TestBroker::start().ready()["metrics"].is_null());
}

#[test]
fn metrics_port_in_use_is_a_listener_failure() {
    let (_broker, address) = broker();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(&file, format!("[metrics]\nlisten = \"{address}\"\n")).expect("written");
    let config = file.display().to_string();
    let finished = run(&[
        "serve",
        "--dev",
        "--listen",
        "tcp://127.0.0.1:0",
        "--config",
        &config,
    ]);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert!(finished.stderr.contains("metrics"), "{}", finished.stderr);
}
