//! `tidewire serve`: what it says, what it refuses, how it stops.

mod support;

use rustix::process::Signal;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;
use support::{TestBroker, admitted_v5, finish, read_packet, run, tidewire};

/// Nothing follows the DISCONNECT but the end of the connection: [5.0 MQTT-3.14.4-1] [5.0 MQTT-3.14.4-2]
#[test]
fn sigterm_tells_clients_that_the_server_shuts_down() {
    let broker = TestBroker::start();
    let mut client = admitted_v5(&broker, "a");
    broker.signal(Signal::TERM);
    let (first, body) = read_packet(&mut client).expect("a DISCONNECT before the end");
    assert_eq!(
        (first, body.first()),
        (0xE0, Some(&0x8B)),
        "Server shutting down"
    );
    assert_eq!(client.read(&mut [0]).expect("the end"), 0);
    assert_eq!(broker.wait().code(), Some(0));
}

#[test]
fn sigint_stops_cleanly() {
    let broker = TestBroker::start();
    broker.signal(Signal::INT);
    assert_eq!(broker.wait().code(), Some(0));
}

/// A client that never reads keeps the clean stop waiting; the second signal ends it.
#[test]
fn second_signal_stops_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(
        &file,
        "[broker]\nworkers = 1\nshutdown_timeout_secs = 3600\n[limits]\nclose_timeout_secs = 3600\n",
    )
    .expect("written");
    let config = file.display().to_string();
    let broker = TestBroker::with(&[
        "--dev",
        "--listen",
        "tcp://127.0.0.1:0",
        "--config",
        &config,
    ]);
    let mut stalled = admitted_v5(&broker, "stalled");
    stalled
        .write_all(b"\x82\x07\x00\x01\x00\x00\x01#\x00")
        .expect("sent");
    assert_eq!(read_packet(&mut stalled).expect("SUBACK").0, 0x90);
    let mut publisher = admitted_v5(&broker, "publisher");
    // More than the buffers of a socket take: 32 messages of 1 MiB on the topic `t`.
    let mut message = b"\x30\x84\x80\x40\x00\x01t\x00".to_vec();
    message.resize(4 + (1 << 20) + 4, b'x');
    for _ in 0..32 {
        publisher.write_all(&message).expect("sent");
    }
    publisher.write_all(b"\xc0\x00").expect("sent");
    assert_eq!(read_packet(&mut publisher).expect("PINGRESP").0, 0xD0);
    broker.signal(Signal::TERM);
    broker.wait_for_log("stopping");
    broker.signal(Signal::INT);
    assert_eq!(broker.wait().code(), Some(6));
}

#[test]
fn banner_says_who_may_connect_where_data_lives_and_what_to_type() {
    let mut child = tidewire()
        .args(["serve", "--dev", "--listen", "tcp://127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("piped"))
        .lines()
        .map_while(Result::ok)
    {
        let last = line.contains("Ctrl-C");
        lines.push(line);
        if last {
            break;
        }
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM)
        .expect("sent");
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    let banner = lines.join("\n");
    for part in [
        "is running, process",
        "tcp://127.0.0.1:",
        "MQTT 3.1, 3.1.1, 5.0",
        "open to every program on this machine, without a password; to nobody else",
        "DEVELOPMENT MODE: everything is kept in memory",
        "mosquitto_sub -h 127.0.0.1 -p ",
        "mosquitto_pub -h 127.0.0.1 -p ",
    ] {
        assert!(banner.contains(part), "{part:?} is missing in\n{banner}");
    }
}

#[test]
fn port_in_use_has_its_own_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let finished = run(&["serve", "--dev", "--listen", &format!("tcp://{address}")]);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert!(finished.stderr.contains(&address), "{}", finished.stderr);
    assert!(finished.stderr.contains("in use"), "{}", finished.stderr);
}

#[test]
fn mistakes_in_flags_and_files_exit_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[limits]\nmax_packet_sise = 1\n").expect("written");
    let file = file.display().to_string();
    for (flags, part) in [
        (vec!["serve", "--nonsense"], "--nonsense"),
        (
            vec!["serve", "--dev", "--listen", "127.0.0.1:1883"],
            "write `--listen tcp://127.0.0.1:1883`",
        ),
        (
            vec!["serve", "--dev", "--log", "chatty"],
            "\"chatty\" is not a level",
        ),
        (
            vec!["serve", "--dev", "--data", "/tmp/x"],
            "cannot be used with",
        ),
        (
            vec!["serve", "--dev", "--config", &file],
            "did you mean `max_packet_size_bytes`?",
        ),
        (
            vec!["serve", "--dev", "--config", "/nonexistent/c.toml"],
            "cannot be read",
        ),
    ] {
        let finished = run(&flags);
        assert_eq!(finished.code, Some(2), "{flags:?} {finished:?}");
        assert!(
            finished.stderr.contains(part),
            "{flags:?} {}",
            finished.stderr
        );
    }
}

#[test]
fn listener_beyond_loopback_is_refused_with_the_words_to_add() {
    let finished = run(&["serve", "--dev", "--listen", "tcp://0.0.0.0:0"]);
    assert_eq!(finished.code, Some(2));
    for part in [
        "reachable from other machines",
        "`--allow-anonymous`",
        "[[listener]]",
        "allow_anonymous = true",
    ] {
        assert!(
            finished.stderr.contains(part),
            "{part:?} is missing in {}",
            finished.stderr
        );
    }
}

#[test]
fn second_broker_on_a_data_directory_names_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display().to_string();
    let first = TestBroker::with(&["--data", &data, "--listen", "tcp://127.0.0.1:0"]);
    let finished = run(&["serve", "--data", &data, "--listen", "tcp://127.0.0.1:0"]);
    assert_eq!(finished.code, Some(4), "{finished:?}");
    assert!(
        finished
            .stderr
            .contains(&format!("process {}", first.pid())),
        "{}",
        finished.stderr
    );
    assert_eq!(first.stop().code(), Some(0));
}

#[test]
fn folder_of_a_killed_broker_is_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display().to_string();
    let first = TestBroker::with(&["--data", &data, "--listen", "tcp://127.0.0.1:0"]);
    first.signal(Signal::KILL);
    assert_eq!(first.wait().code(), None);
    assert!(
        folder.path().join("control.sock").exists(),
        "the dead broker's socket is still there"
    );
    let second = TestBroker::with(&["--data", &data, "--listen", "tcp://127.0.0.1:0"]);
    let status = run(&["ctl", "status", "--data", &data]);
    assert!(
        status.stdout.contains(&format!("process {}", second.pid())),
        "{status:?}"
    );
    assert_eq!(second.stop().code(), Some(0));
    assert!(
        !folder.path().join("control.sock").exists(),
        "a clean stop takes the socket away"
    );
}

#[test]
fn dev_writes_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[broker]\npid_file = \"pid\"\ndata_dir = \"data\"\n").expect("written");
    let mut command = tidewire();
    command
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .args(["serve", "--dev", "--config", "c.toml"]);
    let broker =
        TestBroker::spawn(command.args(["--listen", "tcp://127.0.0.1:0", "--ready-file", "-"]));
    drop(admitted_v5(&broker, "a"));
    assert_eq!(broker.stop().code(), Some(0));
    let files: Vec<_> = std::fs::read_dir(folder.path())
        .expect("read")
        .map(|entry| entry.expect("read").file_name())
        .collect();
    assert_eq!(files, ["c.toml"]);
}

#[test]
fn pid_and_ready_files_live_as_long_as_the_broker() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let pid_file = path("pid").display().to_string();
    std::fs::write(
        path("c.toml"),
        format!("[broker]\npid_file = {pid_file:?}\n"),
    )
    .expect("written");
    let mut child = tidewire()
        .args(["serve", "--listen", "tcp://127.0.0.1:0", "--config"])
        .arg(path("c.toml"))
        .arg("--data")
        .arg(path("data"))
        .arg("--ready-file")
        .arg(path("ready.json"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    // The ready file is there before anything comes after the banner's first line, the pid file before both.
    let mut banner = BufReader::new(child.stdout.take().expect("piped"));
    banner.read_line(&mut String::new()).expect("a banner");
    let ready = std::fs::read_to_string(path("ready.json")).expect("there");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    assert_eq!(ready["pid"], child.id());
    assert_eq!(
        std::fs::read_to_string(path("pid")).expect("there"),
        format!("{}\n", child.id())
    );
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM)
        .expect("sent");
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    assert!(!path("ready.json").exists() && !path("pid").exists());
}

#[test]
fn sighup_applies_the_log_filter_and_leaves_the_broker_running() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(&file, "[log]\nfilter = \"info\"\n").expect("written");
    let flags = [
        "--dev",
        "--listen",
        "tcp://127.0.0.1:0",
        "--config",
        &file.display().to_string(),
    ];
    let broker = TestBroker::with(&flags);
    std::fs::write(&file, "[log]\nfilter = \"inof\"\n").expect("written");
    broker.signal(Signal::HUP);
    broker.wait_for_log("\"inof\" is not a level");
    std::fs::write(&file, "[log]\nfilter = \"debug\"\n").expect("written");
    broker.signal(Signal::HUP);
    broker.wait_for_log("log filter read again");
    drop(admitted_v5(&broker, "a"));
    assert_eq!(broker.stop().code(), Some(0));
}

#[test]
fn json_log_is_one_object_a_line() {
    let broker = TestBroker::with(&[
        "--dev",
        "--listen",
        "tcp://127.0.0.1:0",
        "--log-format",
        "json",
    ]);
    let line = broker.wait_for_log("\"listening\"");
    let event: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&event["message"], &event["listener"], &event["level"]),
        (&"listening".into(), &"mqtt".into(), &"INFO".into())
    );
}

#[test]
fn listen_repeats() {
    let broker = TestBroker::with(&[
        "--dev",
        "--listen",
        "tcp://127.0.0.1:0",
        "--listen",
        "tcp://127.0.0.1:0",
    ]);
    let addresses = broker.addresses();
    assert_eq!(addresses.len(), 2);
    for address in addresses {
        let mut client = std::net::TcpStream::connect(address).expect("connected");
        client
            .set_read_timeout(Some(support::PATIENCE))
            .expect("set");
        client.write_all(&support::connect_v5("a")).expect("sent");
        assert_eq!(read_packet(&mut client).expect("CONNACK").0, 0x20);
    }
}

/// [5.0 MQTT-3.1.2-2]
#[test]
fn listener_serves_the_versions_that_the_file_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("c.toml");
    std::fs::write(
        &file,
        "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\nversions = [\"3.1.1\"]\n",
    )
    .expect("written");
    let broker = TestBroker::with(&["--dev", "--config", &file.display().to_string()]);
    let mut client = broker.connect();
    client.write_all(&support::connect_v5("a")).expect("sent");
    let (first, body) = read_packet(&mut client).expect("CONNACK");
    assert_eq!(
        (first, body.get(1)),
        (0x20, Some(&0x84)),
        "Unsupported Protocol Version"
    );
    assert_eq!(client.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn help_names_every_exit_code() {
    let help = run(&["serve", "--help"]);
    assert_eq!(help.code, Some(0));
    for code in 0..=6 {
        assert!(
            help.stdout.contains(&format!("\n  {code}  ")),
            "{code} is missing in {}",
            help.stdout
        );
    }
    let version = run(&["--version"]);
    assert_eq!(
        version.stdout,
        format!("tidewire {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let finished = finish(tidewire().args(["completions", shell]));
        assert_eq!(finished.code, Some(0));
        assert!(finished.stdout.contains("check-config"), "{shell}");
    }
}
