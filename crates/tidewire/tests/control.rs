//! `tidewire ctl` against a running broker.

mod support;

use serde_json::Value as Json;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use support::{Finished, TestBroker, admitted_v5, read_packet, run};
use tempfile::TempDir;

fn broker() -> (TestBroker, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let broker = TestBroker::with(&[
        "--data",
        &folder.path().display().to_string(),
        "--listen",
        "tcp://127.0.0.1:0",
    ]);
    (broker, folder)
}

fn ctl(folder: &TempDir, arguments: &[&str]) -> Finished {
    let data = folder.path().display().to_string();
    run(&[&["ctl"], arguments, &["--data", &data]].concat())
}

#[test]
fn status_names_process_addresses_and_figures() {
    let (broker, folder) = broker();
    let _client = admitted_v5(&broker, "a");
    let shown = ctl(&folder, &["status"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in [
        format!("process {}", broker.pid()),
        broker.address().to_string(),
        "connections".to_owned(),
    ] {
        assert!(
            shown.stdout.contains(&part),
            "{part} is missing in {}",
            shown.stdout
        );
    }
    let answer: Json =
        serde_json::from_str(&ctl(&folder, &["status", "--json"]).stdout).expect("JSON");
    assert_eq!((&answer["v"], &answer["ok"]), (&1.into(), &true.into()));
    assert_eq!(answer["status"]["pid"], broker.pid());
    assert_eq!(answer["status"]["stats"]["sessions_connected"], 1);
}

#[test]
fn clients_are_listed_with_what_they_hold() {
    let (broker, folder) = broker();
    let _first = admitted_v5(&broker, "first");
    let _second = admitted_v5(&broker, "second");
    let answer: Json =
        serde_json::from_str(&ctl(&folder, &["clients", "--json"]).stdout).expect("JSON");
    let clients = answer["clients"]["clients"].as_array().expect("a list");
    let names: Vec<_> = clients
        .iter()
        .filter_map(|client| client["client_id"].as_str())
        .collect();
    assert_eq!(names, ["first", "second"]);
    assert_eq!(
        (&clients[0]["connected"], &clients[0]["version"]),
        (&true.into(), &"5.0".into())
    );
    let shown = ctl(&folder, &["clients"]);
    assert!(
        shown.stdout.contains("\"first\"") && shown.stdout.contains("\"second\""),
        "{}",
        shown.stdout
    );
}

#[test]
fn kicked_client_is_told_and_gone() {
    let (broker, folder) = broker();
    let mut client = admitted_v5(&broker, "a");
    let kicked = ctl(&folder, &["kick", "a"]);
    assert_eq!(kicked.code, Some(0), "{kicked:?}");
    let (first, body) = read_packet(&mut client).expect("a DISCONNECT before the end");
    assert_eq!(
        (first, body.first()),
        (0xE0, Some(&0x98)),
        "Administrative action"
    );
    assert_eq!(client.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn unknown_client_is_a_failure() {
    let (_broker, folder) = broker();
    let finished = ctl(&folder, &["kick", "nobody"]);
    assert_eq!(finished.code, Some(1));
    assert!(
        finished.stderr.contains("\"nobody\""),
        "{}",
        finished.stderr
    );
    let finished = ctl(&folder, &["kick", "nobody", "--json"]);
    assert_eq!(finished.code, Some(1));
    let answer: Json = serde_json::from_str(&finished.stdout).expect("JSON");
    assert_eq!(
        (&answer["ok"], &answer["error"]),
        (&false.into(), &"unknown_client".into())
    );
}

#[test]
fn absent_broker_has_its_own_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let finished = ctl(&folder, &["status"]);
    assert_eq!(finished.code, Some(5), "{finished:?}");
    assert!(
        finished.stderr.contains("no broker is running"),
        "{}",
        finished.stderr
    );
}

#[test]
fn socket_answers_its_owner_alone_and_in_lines_of_json() {
    let (_broker, folder) = broker();
    let path = folder.path().join("control.sock");
    assert_eq!(
        std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let mut stream = UnixStream::connect(&path).expect("connected");
    stream
        .write_all(b"{\"v\":1,\"op\":\"status\"}\n")
        .expect("sent");
    let mut line = String::new();
    stream
        .read_to_string(&mut line)
        .expect("an answer and the end");
    assert_eq!(line.lines().count(), 1);
    let answer: Json = serde_json::from_str(&line).expect("JSON");
    assert_eq!(answer["status"]["version"], env!("CARGO_PKG_VERSION"));
}

/// What becomes of a CONNECT of MQTT 5.0 with this client id: the reason code, or `None` if the connection ends before one.
fn connects(broker: &TestBroker, client_id: &str) -> Option<u8> {
    let mut stream = broker.connect();
    let length = u8::try_from(client_id.len()).expect("short");
    let head = [
        0x10,
        13 + length,
        0,
        4,
        b'M',
        b'Q',
        b'T',
        b'T',
        5,
        2,
        0,
        0,
        0,
        0,
        length,
    ];
    // The broker may have closed the connection already.
    let _ = stream.write_all(&[&head[..], client_id.as_bytes()].concat());
    let (_, body) = read_packet(&mut stream)?;
    body.get(1).copied()
}

#[test]
fn who_is_banned_stays_out_until_let_in_again() {
    let (broker, folder) = broker();
    let open = admitted_v5(&broker, "here-before");
    assert_eq!(ctl(&folder, &["bans"]).stdout, "nobody is banned\n");
    assert_eq!(
        ctl(&folder, &["ban", "--client", "rogue", "--secs", "3600"]).stdout,
        "done: client \"rogue\"\n"
    );
    assert_eq!(connects(&broker, "rogue"), Some(0x8A));
    broker.wait_for_log("this client identifier is banned");
    assert_eq!(connects(&broker, "other"), Some(0));
    assert_eq!(
        ctl(&folder, &["ban", "--address", "127.0.0.1"]).code,
        Some(0)
    );
    assert_eq!(connects(&broker, "other"), None);
    broker.wait_for_log("this address is banned");
    let listed = ctl(&folder, &["bans", "--json"]).stdout;
    let listed: Json = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["bans"][0]["who"]["address"], "127.0.0.1");
    assert_eq!(listed["bans"][0]["secs"], Json::Null);
    assert_eq!(listed["bans"][1]["who"]["client"], "rogue");
    assert!(
        listed["bans"][1]["secs"]
            .as_u64()
            .is_some_and(|secs| secs <= 3600)
    );
    assert_eq!(
        ctl(&folder, &["unban", "--address", "127.0.0.1"]).code,
        Some(0)
    );
    assert_eq!(connects(&broker, "other"), Some(0));
    let twice = ctl(&folder, &["unban", "--address", "127.0.0.1"]);
    assert_eq!(twice.code, Some(1));
    assert!(
        twice.stderr.contains("address 127.0.0.1 is not banned"),
        "{twice:?}"
    );
    assert_eq!(ctl(&folder, &["ban"]).code, Some(2), "nobody is named");
    drop(open);
}
