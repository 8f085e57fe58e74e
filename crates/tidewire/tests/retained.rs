//! `tidewire ctl retained` against a running broker.

mod support;

use serde_json::{Value as Json, json};
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use support::{Finished, TestBroker, admitted_v5, read_packet, run, tidewire};
use tempfile::TempDir;
use tidewire_codec::{
    Packet, PacketId, Properties, Property, Publish, Qos, Sender, Subscribe, Subscription,
    SubscriptionOptions, Version, frame,
};

fn broker(flags: &[&str]) -> (TestBroker, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display().to_string();
    let own = [
        "--data",
        &data,
        "--listen",
        "tcp://127.0.0.1:0",
        "--workers",
        "2",
    ];
    (TestBroker::with(&[&own[..], flags].concat()), folder)
}

fn retained(folder: &TempDir, arguments: &[&str]) -> Finished {
    let data = folder.path().display().to_string();
    run(&[&["ctl", "retained"], arguments, &["--data", &data]].concat())
}

/// The lines that a command prints as JSON, in order of their topics.
fn lines(folder: &TempDir, arguments: &[&str]) -> Vec<Json> {
    let finished = retained(folder, arguments);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let mut lines: Vec<Json> = finished
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    lines.sort_by_key(|line| line["topic"].as_str().unwrap_or_default().to_owned());
    lines
}

fn send(client: &mut TcpStream, packet: &Packet<'_>) {
    let mut bytes = Vec::new();
    packet.encode(Version::V5, &mut bytes).expect("a packet");
    client.write_all(&bytes).expect("sent");
}

/// Has a topic keep a message, and waits until the broker has it.
fn keep(client: &mut TcpStream, topic: &str, payload: &[u8], properties: Properties<'_>) {
    let publish = Publish {
        dup: false,
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: topic.into(),
        packet_id: Some(PacketId::MIN),
        properties,
        payload: payload.into(),
    };
    send(client, &Packet::Publish(publish));
    assert_eq!(read_packet(client).expect("PUBACK").0 >> 4, 4);
}

/// Three messages: text, one of bytes with properties, one that expires.
fn filled(broker: &TestBroker) -> TcpStream {
    let mut client = admitted_v5(broker, "publisher");
    keep(&mut client, "plant/1", b"20.5 degrees", Properties::EMPTY);
    let properties = Properties::EMPTY
        .with(Property::ContentType("x/y"))
        .with(Property::UserProperty("name", "value"));
    keep(&mut client, "plant/2", &[0, 255, 1], properties);
    let expires = Properties::EMPTY.with(Property::MessageExpiryInterval(1_000));
    keep(&mut client, "office/1", b"Hot", expires);
    client
}

fn topics(lines: &[Json]) -> Vec<&str> {
    lines
        .iter()
        .filter_map(|line| line["topic"].as_str())
        .collect()
}

#[test]
fn retained_messages_are_listed_by_filter_and_searched_by_text() {
    let (broker, folder) = broker(&[]);
    let _client = filled(&broker);
    let all = lines(&folder, &["list", "--json"]);
    assert_eq!(topics(&all), ["office/1", "plant/1", "plant/2"]);
    assert_eq!(
        all[1],
        json!({"topic": "plant/1", "qos": 1, "text": "20.5 degrees"})
    );
    assert_eq!(all[2]["payload"], "AP8B");
    let left = all[0]["expiry_secs"].as_u64().expect("seconds");
    assert!((900..=1_000).contains(&left), "{left}");
    assert_eq!(
        topics(&lines(&folder, &["list", "plant/#", "--json"])),
        ["plant/1", "plant/2"]
    );
    assert_eq!(
        topics(&lines(&folder, &["search", "HOT", "--json"])),
        ["office/1"]
    );
    assert_eq!(
        topics(&lines(&folder, &["search", "plant/2", "--json"])),
        ["plant/2"]
    );
    assert_eq!(lines(&folder, &["list", "--limit", "1", "--json"]).len(), 1);
    let shown = retained(&folder, &["list", "plant/1"]);
    assert!(
        shown.stdout.contains("12 bytes") && shown.stdout.contains("plant/1"),
        "{shown:?}"
    );
    // What begins with `$` has to be asked for by name, as in a subscription.
    assert!(!topics(&all).iter().any(|topic| topic.starts_with('$')));
}

#[test]
fn deleting_by_filter_tells_subscribers_and_leaves_the_rest() {
    let (broker, folder) = broker(&[]);
    let _client = filled(&broker);
    let mut watcher = admitted_v5(&broker, "watcher");
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        filters: vec![Subscription {
            filter: "plant/1".into(),
            options: SubscriptionOptions::default(),
        }],
    });
    send(&mut watcher, &subscribe);
    // SUBACK and the retained message.
    assert_eq!(read_packet(&mut watcher).expect("SUBACK").0 >> 4, 9);
    assert_eq!(read_packet(&mut watcher).expect("PUBLISH").0 >> 4, 3);

    let counted = retained(&folder, &["delete", "plant/+", "--dry-run"]);
    assert!(
        counted.stdout.starts_with("2 retained messages would"),
        "{counted:?}"
    );
    assert_eq!(lines(&folder, &["list", "--json"]).len(), 3);
    let deleted = retained(&folder, &["delete", "plant/+"]);
    assert_eq!(
        deleted.stdout, "2 retained messages deleted\n",
        "{deleted:?}"
    );
    let (first, rest) = read_packet(&mut watcher).expect("the removal");
    let mut bytes = vec![first, rest.len() as u8];
    bytes.extend(rest);
    let frame = frame::next_frame(&bytes, u32::MAX)
        .expect("sound")
        .expect("whole");
    match Packet::decode(Version::V5, Sender::Server, frame).expect("a packet") {
        Packet::Publish(publish) => {
            assert!(publish.payload.is_empty() && publish.topic == "plant/1");
        }
        other => panic!("{other:?}"),
    }
    // The last one's owner may be another worker, which is told by mail.
    let mut left = lines(&folder, &["list", "--json"]);
    for _ in 0..1_000 {
        if left.len() == 1 {
            break;
        }
        left = lines(&folder, &["list", "--json"]);
    }
    assert_eq!(topics(&left), ["office/1"]);
}

#[test]
fn export_and_import_carry_everything_to_another_broker() {
    let (first, from) = broker(&[]);
    let _client = filled(&first);
    let file = from.path().join("retained.jsonl").display().to_string();
    let exported = retained(&from, &["export", "--output", &file]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let again = retained(&from, &["export", "--output", &file]);
    assert_eq!(again.code, Some(2), "{again:?}");

    let (_second, to) = broker(&[]);
    let imported = retained(&to, &["import", &file]);
    assert_eq!(
        imported.stdout, "3 retained messages imported\n",
        "{imported:?}"
    );
    let (was, mut is) = (
        lines(&from, &["list", "--json"]),
        lines(&to, &["list", "--json"]),
    );
    for _ in 0..1_000 {
        if is.len() == 3 {
            break;
        }
        is = lines(&to, &["list", "--json"]);
    }
    for (was, is) in was.iter().zip(&is) {
        for part in ["topic", "qos", "text", "payload", "properties"] {
            assert_eq!(is[part], was[part], "{part}");
        }
        assert_eq!(is["expiry_secs"].is_null(), was["expiry_secs"].is_null());
    }
    assert_eq!(is.len(), 3);
}

#[test]
fn lines_that_cannot_be_imported_are_named_and_nothing_is_half_said() {
    let (_broker, folder) = broker(&[]);
    for (line, word) in [
        ("{\"topic\":\"a/#\",\"qos\":0,\"text\":\"x\"}", "a/#"),
        ("{\"topic\":\"a\",\"qos\":9,\"text\":\"x\"}", "qos"),
        ("{\"topic\":\"a\",\"qos\":0}", "payload"),
        ("nonsense", "expected"),
    ] {
        let data = folder.path().display().to_string();
        let mut child = tidewire()
            .args(["ctl", "retained", "import", "-", "--data", &data])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("piped");
        let good = "{\"topic\":\"good\",\"qos\":0,\"text\":\"x\"}";
        writeln!(stdin, "{good}\n{line}").expect("written");
        drop(stdin);
        let output = child.wait_with_output().expect("ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {told}");
        assert!(
            told.contains("-:2:") && told.contains(word),
            "{line}: {told}"
        );
    }
    assert_eq!(lines(&folder, &["list", "--json"]), Vec::<Json>::new());
}

#[test]
fn import_beyond_the_cap_says_how_many_found_no_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("tidewire.toml");
    std::fs::write(
        &config,
        "[broker]\nsys_interval_secs = 0\n[limits]\nmax_retained_messages = 2\n",
    )
    .expect("written");
    let data = tempfile::tempdir().expect("a folder");
    let _broker = TestBroker::with(&[
        "--config",
        &config.display().to_string(),
        "--data",
        &data.path().display().to_string(),
        "--listen",
        "tcp://127.0.0.1:0",
        "--workers",
        "1",
    ]);
    let file = folder.path().join("many.jsonl");
    let many: String = (0..5)
        .map(|at| format!("{{\"topic\":\"t/{at}\",\"qos\":1,\"text\":\"x\"}}\n"))
        .collect();
    std::fs::write(&file, many).expect("written");
    let told = retained(&data, &["import", &file.display().to_string()]);
    assert_eq!(told.code, Some(1), "{told:?}");
    assert!(
        told.stderr.contains("3 retained messages found no room"),
        "{told:?}"
    );
    assert_eq!(lines(&data, &["list", "--json"]).len(), 2);
}

#[test]
fn what_is_no_filter_is_refused() {
    let (_broker, folder) = broker(&[]);
    for filter in ["a/#/b", "$share/g/a", ""] {
        for command in ["list", "delete", "export"] {
            let refused = retained(&folder, &[command, filter]);
            assert_eq!(refused.code, Some(2), "{command} {filter:?}: {refused:?}");
        }
    }
}

/// More than one page and more than one answer.
#[test]
fn long_lists_come_whole_and_are_deleted_whole() {
    let (_broker, folder) = broker(&[]);
    let file = folder.path().join("many.jsonl");
    let line = |at: usize| format!("{{\"topic\":\"many/{at}\",\"qos\":0,\"text\":\"{at}\"}}\n");
    std::fs::write(&file, (0..9_000).map(line).collect::<String>()).expect("written");
    import(&folder, &file);
    let mut count = 0;
    for _ in 0..1_000 {
        count = lines(&folder, &["list", "many/+", "--json"]).len();
        if count == 9_000 {
            break;
        }
    }
    assert_eq!(count, 9_000);
    let deleted = retained(&folder, &["delete", "many/#", "--json"]);
    assert_eq!(
        deleted.stdout, "{\"deleted\":9000,\"matched\":9000}\n",
        "{deleted:?}"
    );
}

fn import(folder: &TempDir, file: &Path) {
    let done = retained(folder, &["import", &file.display().to_string()]);
    assert_eq!(done.code, Some(0), "{done:?}");
}
