//! Who may come in and who may do what: `[auth]`, `[acl]`, `tidewire passwd`, with mosquitto's own programs.

mod support;

use rustix::process::Signal;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use support::{PATIENCE, TestBroker, finish, run, tidewire};
use tempfile::TempDir;

/// Records that Debian's mosquitto_passwd 2.0.11 made: `-H sha512` for old, the default for alice; the password is `secret`.
const RECORDS: &str = "\
# made with mosquitto_passwd -b FILE NAME secret
old:$6$VgSAb2AhUOyC+ZxV$0l1fRII2a2AlnZN20gbXpN/TR3wDw8qHbLduhi1NYyDCk3kIYW/l45IJftteBDF2zWBio4s3g6WGaClLiyx2Bw==
alice:$7$101$GVfya+QsNuBqhfgu$fzcSAxdJiidb8D7A78S3ukhId9V52tOX2OyZku4whzLuwEpBXjzSAme5gle04OZOnn0EO/kphrg9lEANlmoMPA==
";

const ACL: &str = "\
user alice
topic readwrite alice/#
topic read news/#

pattern write devices/%c/up
";

/// A broker with these files and this configuration behind its one listener.
fn broker(folder: &Path, config: &str) -> TestBroker {
    let listener = "[[listener]]\nurl = \"tcp://127.0.0.1:0\"\n";
    let file = folder.join("broker.toml");
    fs::write(&file, format!("{listener}{config}")).expect("written");
    let mut command = tidewire();
    command
        .current_dir(folder)
        .args(["serve", "--dev", "--ready-file", "-"]);
    TestBroker::spawn(command.arg("--config").arg(file))
}

/// With the records, the rules and the user bob of `tidewire passwd`.
fn guarded() -> (TempDir, TestBroker) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users"), RECORDS).expect("written");
    fs::write(folder.path().join("rules"), ACL).expect("written");
    passwd(folder.path(), &["-b", "users", "bob", "secret"], "");
    let broker = broker(
        folder.path(),
        "[auth]\npassword_file = \"users\"\n[acl]\nfile = \"rules\"\n",
    );
    (folder, broker)
}

fn passwd(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = tidewire()
        .current_dir(folder)
        .arg("passwd")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    // Who takes no input may have ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("ended")
}

/// A program of mosquitto: where `cargo xtask test` says it is, or where the system has it.
fn mosquitto(program: &str, broker: &TestBroker) -> Command {
    let variable = format!("TIDEWIRE_{}", program.to_uppercase());
    let mut command = Command::new(std::env::var(variable).unwrap_or_else(|_| program.into()));
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string()]);
    command
}

/// Bytes of a text behind its length.
fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("short").to_be_bytes();
    [&length[..], text.as_bytes()].concat()
}

fn packet(first_byte: u8, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let length = u8::try_from(body.len()).expect("short");
    [&[first_byte, length][..], &body].concat()
}

/// A connected client that speaks bytes: version 4 or 5.
struct Wire {
    stream: TcpStream,
    level: u8,
}

impl Wire {
    fn connect(broker: &TestBroker, level: u8, client_id: &str, user: &str) -> Self {
        let mut wire = Self {
            stream: broker.connect(),
            level,
        };
        let properties: &[u8] = if level == 5 { &[0] } else { &[] };
        let head = [0, 4, b'M', b'Q', b'T', b'T', level, 0b1100_0010, 0, 0];
        let (id, user, password) = (text(client_id), text(user), text("secret"));
        wire.send(&packet(0x10, &[&head, properties, &id, &user, &password]));
        let connack = wire.read();
        assert_eq!((connack[0], connack[3]), (0x20, 0), "{client_id}");
        wire
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
    }

    fn read(&mut self) -> Vec<u8> {
        let mut packet = vec![0; 2];
        self.stream.read_exact(&mut packet).expect("a packet");
        let length = usize::from(packet[1]);
        packet.resize(2 + length, 0);
        self.stream.read_exact(&mut packet[2..]).expect("its body");
        packet
    }

    fn publish(&mut self, topic: &str, qos: u8) {
        let properties: &[u8] = if self.level == 5 { &[0] } else { &[] };
        let id: &[u8] = if qos == 0 { &[] } else { &[0, 9] };
        let bytes = packet(0x30 | qos << 1, &[&text(topic), id, properties, b"hello"]);
        self.send(&bytes);
    }

    fn subscribe(&mut self, filter: &str) -> u8 {
        let properties: &[u8] = if self.level == 5 { &[0] } else { &[] };
        let bytes = packet(0x82, &[&[0, 1], properties, &text(filter), &[1]]);
        self.send(&bytes);
        *self.read().last().expect("a reason")
    }

    /// What was sent before has been dealt with.
    fn ping(&mut self) {
        self.send(&[0xC0, 0]);
        assert_eq!(self.read(), [0xD0, 0]);
    }
}

#[test]
fn mosquitto_pub_comes_in_with_its_password_and_not_without() {
    let (_folder, broker) = guarded();
    // (user and password, whether it may come in)
    let table: [(&[&str], bool); 8] = [
        (&["-u", "alice", "-P", "secret"], true),
        (&["-u", "old", "-P", "secret"], true),
        (&["-u", "bob", "-P", "secret"], true),
        (&["-u", "alice", "-P", "wrong"], false),
        (&["-u", "old", "-P", ""], false),
        (&["-u", "alice"], false),
        (&["-u", "carol", "-P", "secret"], false),
        (&[], false),
    ];
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for (credentials, enters) in table {
            let output = mosquitto("mosquitto_pub", &broker)
                .args(["-V", version, "-t", "t", "-m", "m"])
                .args(credentials)
                .output()
                .expect("mosquitto_pub starts");
            assert_eq!(
                output.status.success(),
                enters,
                "{version} {credentials:?}: {output:?}"
            );
        }
    }
}

#[test]
fn a_denied_publish_reaches_nobody_and_is_answered_as_its_version_can() {
    let (_folder, broker) = guarded();
    let mut watcher = Wire::connect(&broker, 4, "watcher", "alice");
    assert_eq!(watcher.subscribe("alice/#"), 1);
    for level in [4, 5] {
        let mut bob = Wire::connect(&broker, level, "bob", "bob");
        for qos in 0..=2 {
            bob.publish("alice/door", qos);
            match (level, qos) {
                (_, 0) => bob.ping(),
                (4, 1) => assert_eq!(bob.read(), [0x40, 2, 0, 9]),
                (4, _) => {
                    assert_eq!(bob.read(), [0x50, 2, 0, 9]);
                    bob.send(&[0x62, 2, 0, 9]);
                    assert_eq!(bob.read(), [0x70, 2, 0, 9]);
                }
                (_, qos) => {
                    let answer = bob.read();
                    let kind = if qos == 1 { 0x40 } else { 0x50 };
                    assert_eq!((answer[0], answer[4]), (kind, 0x87), "QoS {qos}");
                }
            }
        }
    }
    // The client id gives a device its own topic, and no other.
    let mut device = Wire::connect(&broker, 5, "d1", "bob");
    for (topic, reason) in [("devices/d2/up", 0x87), ("devices/d1/up", 0x10)] {
        device.publish(topic, 1);
        let answer = device.read();
        assert_eq!(answer.get(4).copied().unwrap_or(0), reason, "{topic}");
    }
    let mut alice = Wire::connect(&broker, 4, "alice", "alice");
    alice.publish("alice/door", 0);
    let first = watcher.read();
    assert_eq!(first[0] & 0xF0, 0x30);
    assert!(first.ends_with(b"hello"));
    watcher.ping();
}

#[test]
fn a_denied_subscription_is_answered_as_its_version_can() {
    let (_folder, broker) = guarded();
    for (level, denied) in [(4, 0x80), (5, 0x87)] {
        let mut alice = Wire::connect(&broker, level, "alice", "alice");
        for (filter, reason) in [
            ("alice/#", 1),
            ("news/+/today", 1),
            ("$share/group/news/#", 1),
            ("#", denied),
            ("+/door", denied),
            ("$share/alice/bob/#", denied),
            ("devices/alice/up", denied),
        ] {
            assert_eq!(
                alice.subscribe(filter),
                reason,
                "{filter} in version {level}"
            );
        }
    }
    let output = mosquitto("mosquitto_sub", &broker)
        .args([
            "-V", "mqttv311", "-u", "bob", "-P", "secret", "-t", "alice/#", "-W", "20",
        ])
        .output()
        .expect("mosquitto_sub starts");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("denied"),
        "{output:?}"
    );
}

#[test]
fn the_preset_gives_each_user_their_own_topics() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users"), RECORDS).expect("written");
    let config = "[auth]\npassword_file = \"users\"\n[acl]\npreset = \"user-topics\"\n";
    let broker = broker(folder.path(), config);
    let mut alice = Wire::connect(&broker, 5, "c", "alice");
    for (filter, reason) in [
        ("/public/#", 1),
        ("/users/alice/#", 1),
        ("$share/g/users/alice/x", 0x87),
        ("$share/g//users/alice/x", 1),
        ("/users/+/x", 0x87),
        ("anything/public", 0x87),
        ("$share/public/x", 0x87),
        ("#", 0x87),
    ] {
        assert_eq!(alice.subscribe(filter), reason, "{filter}");
    }
}

#[test]
fn files_of_debians_own_tool_work_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let users = folder.path().join("users");
    // Without the tool, with what it made elsewhere.
    fs::write(&users, RECORDS).expect("written");
    let tool = Command::new("mosquitto_passwd")
        .args(["-c", "-b"])
        .arg(&users)
        .args(["old", "secret"])
        .output();
    if tool.is_ok_and(|output| output.status.success()) {
        let added = Command::new("mosquitto_passwd")
            .arg("-b")
            .arg(&users)
            .args(["alice", "secret"])
            .status();
        assert!(added.expect("it started before").success());
        assert!(
            !fs::read_to_string(&users).expect("read").contains('#'),
            "the tool wrote a new file"
        );
    }
    let broker = broker(folder.path(), "[auth]\npassword_file = \"users\"\n");
    for user in ["old", "alice"] {
        drop(Wire::connect(&broker, 4, user, user));
    }
}

#[test]
fn a_listener_beyond_loopback_opens_for_those_with_a_password() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users"), RECORDS).expect("written");
    let file = folder.path().join("broker.toml");
    let listeners = "[[listener]]\nurl = \"tcp://0.0.0.0:0\"\n[[listener]]\nname = \"inside\"\nurl = \"tcp://127.0.0.1:0\"\nauthenticate = false\n";
    fs::write(
        &file,
        format!("{listeners}[auth]\npassword_file = \"users\"\n"),
    )
    .expect("written");
    let mut command = tidewire();
    command
        .current_dir(folder.path())
        .args(["serve", "--dev", "--ready-file", "-", "--config"]);
    let broker = TestBroker::spawn(command.arg(&file));
    drop(Wire::connect(&broker, 4, "c", "alice"));
    // (listener, return code of a CONNECT without a user name)
    for (listener, code) in [(0, 5), (1, 0)] {
        let port = broker.addresses()[listener].port();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream
            .write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01a")
            .expect("sent");
        let mut connack = [0; 4];
        stream.read_exact(&mut connack).expect("a CONNACK");
        assert_eq!(connack, [0x20, 2, 0, code], "listener {listener}");
    }
    // Where [auth] does not apply, the old rule does.
    fs::write(&file, "[[listener]]\nurl = \"tcp://0.0.0.0:0\"\nauthenticate = false\n[auth]\npassword_file = \"users\"\n").expect("written");
    let refused = finish(tidewire().arg("check-config").arg(&file));
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("reachable from other machines"),
        "{refused:?}"
    );
}

#[test]
fn a_faulty_file_starts_nothing_and_names_the_line() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users"), "alice:secret\n").expect("written");
    fs::write(folder.path().join("rules"), "user alice\ntopics a\n").expect("written");
    let file = folder.path().join("c.toml");
    for (config, message) in [
        (
            "[auth]\npassword_file = \"none\"\n",
            "[auth]: none:cannot be read",
        ),
        (
            "[auth]\npassword_file = \"users\"\n",
            "[auth]: users:1: it is no hashed password",
        ),
        (
            "[acl]\nfile = \"rules\"\n",
            "[acl]: rules:2: a line begins with `user`, `topic` or `pattern`",
        ),
        (
            "[acl]\nfile = \"rules\"\npreset = \"user-topics\"\n",
            "`file` and `preset` exclude each other",
        ),
    ] {
        fs::write(
            &file,
            format!("[[listener]]\nurl = \"tcp://127.0.0.1:0\"\n{config}"),
        )
        .expect("written");
        for arguments in [&["check-config"][..], &["serve", "--dev", "--config"]] {
            let mut command = tidewire();
            let finished = finish(
                command
                    .current_dir(folder.path())
                    .args(arguments)
                    .arg(&file),
            );
            assert_eq!(finished.code, Some(2), "{arguments:?} {config}");
            assert!(
                finished.stderr.contains(message),
                "{arguments:?}: {}",
                finished.stderr
            );
        }
    }
}

#[test]
fn passwd_takes_the_flags_of_mosquitto_passwd() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let read = || fs::read_to_string(folder.join("users")).expect("a file");
    let names = || -> Vec<String> {
        let lines = read();
        let names = lines
            .lines()
            .map(|line| line.split(':').next().unwrap_or("").to_owned());
        names.collect()
    };
    let ok = |arguments: &[&str], input: &str| {
        let output = passwd(folder, arguments, input);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    let fails = |arguments: &[&str], part: &str| {
        let output = passwd(folder, arguments, "");
        assert!(!output.status.success(), "{arguments:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(part), "{arguments:?}: {said}");
    };
    fails(
        &["-b", "users", "alice", "x"],
        "add `-c` to begin a new file",
    );
    ok(&["-c", "users", "alice"], "secret\n");
    assert!(read().starts_with("alice:$argon2id$v=19$"));
    ok(&["-b", "-H", "sha512-pbkdf2", "users", "bob", "x"], "");
    ok(&["-b", "-H", "sha512", "users", "carol", "x"], "");
    assert!(read().contains("\nbob:$7$") && read().contains("\ncarol:$6$"));
    let before = read();
    ok(&["-b", "users", "bob", "y"], "");
    assert_eq!(
        names(),
        ["alice", "bob", "carol"],
        "a changed user keeps its place"
    );
    assert_ne!(read(), before);
    ok(&["-D", "users", "bob"], "");
    assert_eq!(names(), ["alice", "carol"]);
    fails(&["-D", "users", "bob"], "has no user `bob`");
    fails(&["-b", "users", "a:b", "x"], "contains `:`");
    fails(&["users", "dave"], "no password");
    fails(&["-b", "users", "dave"], "");
    assert_eq!(names(), ["alice", "carol"], "what fails changes nothing");
    fs::write(
        folder.join("users"),
        format!("# plain\ndave:p:w\n{}", read()),
    )
    .expect("written");
    ok(&["-U", "users"], "");
    assert_eq!(names(), ["# plain", "dave", "alice", "carol"]);
    assert!(
        read().contains("dave:$argon2id$") && read().contains("carol:$6$"),
        "{}",
        read()
    );
    let hashed = read();
    ok(&["-U", "users"], "");
    assert_eq!(read(), hashed, "hashed ones stay as they are");
    use std::os::unix::fs::PermissionsExt as _;
    ok(&["-c", "-b", "fresh", "alice", "x"], "");
    let mode = fs::metadata(folder.join("fresh"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::set_permissions(folder.join("fresh"), fs::Permissions::from_mode(0o640)).expect("set");
    ok(&["-b", "fresh", "bob", "x"], "");
    let mode = fs::metadata(folder.join("fresh"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640, "a group that may read it still may");
    assert_eq!(
        fs::read_dir(folder).expect("read").count(),
        2,
        "no file is left behind"
    );
}

#[test]
fn a_plain_file_hashed_by_passwd_lets_its_users_in() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users"), "alice:secret\n").expect("written");
    assert!(passwd(folder.path(), &["-U", "users"], "").status.success());
    let broker = broker(folder.path(), "[auth]\npassword_file = \"users\"\n");
    drop(Wire::connect(&broker, 5, "c", "alice"));
}

#[test]
fn sighup_reads_passwords_and_rules_again_or_keeps_both() {
    let (folder, broker) = guarded();
    let mut alice = Wire::connect(&broker, 5, "alice", "alice");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("written");
    };
    write("rules", "user alice\ntopic other/#\n");
    passwd(folder.path(), &["-b", "users", "carol", "secret"], "");
    broker.signal(Signal::HUP);
    broker.wait_for_log("passwords and access rules read again");
    drop(Wire::connect(&broker, 4, "carol", "carol"));
    assert_eq!(alice.subscribe("alice/#"), 0x87);
    assert_eq!(alice.subscribe("other/#"), 1);
    // With one fault nothing changes, the file without fault included.
    write("users", RECORDS);
    write("rules", "topics a\n");
    broker.signal(Signal::HUP);
    let line = broker.wait_for_log("stay as they were");
    assert!(line.contains("rules:1: a line begins with"), "{line}");
    drop(Wire::connect(&broker, 4, "carol", "carol"));
    assert_eq!(alice.subscribe("other/#"), 1);
}

/// A broker behind TLS that asks for certificates; `more` are further lines of its listener and behind it.
fn behind_tls(more: &str) -> (TempDir, TestBroker) {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["make-ca"][..],
        &["make-server", "127.0.0.1"],
        &["make-client", "meter-7"],
        &["make-client", "alice"],
    ] {
        let mut command = tidewire();
        command
            .args(["cert", arguments[0], "--dir"])
            .arg(folder.path());
        let made = command.args(&arguments[1..]).output().expect("it runs");
        assert!(made.status.success(), "{made:?}");
    }
    fs::write(folder.path().join("users"), RECORDS).expect("written");
    fs::write(folder.path().join("rules"), "pattern readwrite home/%u/#\n").expect("written");
    let config = format!(
        "[[listener]]\nurl = \"tls://127.0.0.1:0\"\ncert_file = \"server.pem\"\nkey_file = \"server.key\"\n\
         client_ca_file = \"ca.pem\"\ncertificate_identity = \"common-name\"\n{more}[acl]\nfile = \"rules\"\n"
    );
    let file = folder.path().join("broker.toml");
    fs::write(&file, config).expect("written");
    let mut command = tidewire();
    command
        .current_dir(folder.path())
        .args(["serve", "--dev", "--ready-file", "-"]);
    let broker = TestBroker::spawn(command.arg("--config").arg(file));
    (folder, broker)
}

/// What mosquitto_pub says when it publishes below `home/NAME` with these flags; empty = nothing went wrong.
fn publishes(folder: &TempDir, broker: &TestBroker, name: &str, flags: &str) -> String {
    let mut command = mosquitto("mosquitto_pub", broker);
    command.current_dir(folder.path());
    command.args(["-V", "5", "-q", "1", "-m", "x", "--cafile", "ca.pem", "-t"]);
    command
        .arg(format!("home/{name}/x"))
        .args(flags.split_whitespace());
    let output = command.output().expect("it runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const METER: &str = "--cert meter-7.pem --key meter-7.key";
const ALICE: &str = "--cert alice.pem --key alice.key";

#[test]
fn a_certificate_alone_says_who_its_client_is() {
    let (folder, broker) = behind_tls("client_certificate = \"required\"\n");
    let publish = |name, flags: &str| publishes(&folder, &broker, name, flags);
    assert_eq!(publish("meter-7", METER), "");
    assert!(publish("alice", METER).contains("ot authorized"));
    // What CONNECT claims counts for nothing.
    let claims = format!("{METER} -u alice -P secret");
    assert!(publish("alice", &claims).contains("ot authorized"));
    assert_ne!(
        publish("meter-7", "-u meter-7 -P x"),
        "",
        "no certificate, no entry"
    );
}

#[test]
fn clients_without_an_optional_certificate_are_asked_for_a_password() {
    let (folder, broker) =
        behind_tls("client_certificate = \"optional\"\n[auth]\npassword_file = \"users\"\n");
    let publish = |name, flags: &str| publishes(&folder, &broker, name, flags);
    assert_eq!(publish("meter-7", METER), "");
    // Where there is a certificate no password is looked at, be it right or wrong.
    assert_eq!(
        publish("meter-7", &format!("{METER} -u alice -P wrong")),
        ""
    );
    let claims = format!("{METER} -u alice -P secret");
    assert!(publish("alice", &claims).contains("ot authorized"));
    assert_eq!(publish("alice", "-u alice -P secret"), "");
    assert_ne!(publish("alice", "-u alice -P wrong"), "");
    assert_ne!(publish("alice", ""), "", "neither certificate nor password");
}

#[test]
fn certificate_and_password_are_wanted_together_and_of_the_same_name() {
    let more = "client_certificate = \"required\"\ncertificate_and_password = true\n[auth]\npassword_file = \"users\"\n";
    let (folder, broker) = behind_tls(more);
    let publish = |flags: &str| publishes(&folder, &broker, "alice", flags);
    assert_eq!(publish(&format!("{ALICE} -u alice -P secret")), "");
    assert_ne!(publish(ALICE), "", "no password");
    assert_ne!(publish(&format!("{ALICE} -u alice -P wrong")), "");
    assert_ne!(
        publish(&format!("{METER} -u alice -P secret")),
        "",
        "another's certificate"
    );
    assert_ne!(publish("-u alice -P secret"), "", "no certificate");
}

/// (arguments behind `explain --config broker.toml`, exit code, what is said)
const EXPLANATIONS: &[(&str, i32, &str)] = &[
    (
        "publish -u alice -t alice/x",
        0,
        "allowed: rules:2 allows it",
    ),
    (
        "publish -u alice -t news/x",
        8,
        "tidewire: denied: no rule of rules allows it",
    ),
    (
        "subscribe -u alice -t $share/g/news/#",
        0,
        "allowed: rules:3 allows it",
    ),
    (
        "publish --client m7 -t devices/m7/up",
        0,
        "allowed: rules:5 allows it",
    ),
    (
        "publish --client + -t devices/+/up",
        2,
        "tidewire: `devices/+/up` is no topic name",
    ),
    (
        "publish -t $SYS/x",
        8,
        "tidewire: denied: topics that begin with $",
    ),
    (
        "subscribe -t a/#/b",
        2,
        "tidewire: `a/#/b` is no topic filter",
    ),
    (
        "publish -t a --listener none",
        2,
        "tidewire: there is no listener of that name\n  help: choose one of mqtt, open",
    ),
    (
        "publish -t a --listener open",
        0,
        "allowed: the access rules do not apply",
    ),
];

#[test]
fn explain_names_the_rule_that_decides() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("rules", ACL);
    write(
        "ordered.toml",
        "[[rule]]\ndeny = [\"publish\"]\ntopics = [\"#\"]\nretain = true\n[[rule]]\nallow = [\"publish\"]\ntopics = [\"a\"]\naddresses = [\"10.0.0.0/8\"]\n",
    );
    let listeners = "[[listener]]\nname = \"mqtt\"\nurl = \"tcp://127.0.0.1:0\"\n\
        [[listener]]\nname = \"open\"\nurl = \"tcp://127.0.0.1:0\"\nauthorize = false\n";
    write(
        "broker.toml",
        &format!("{listeners}[acl]\nfile = \"rules\"\n"),
    );
    write(
        "toml.toml",
        &format!("{listeners}[acl]\nfile = \"ordered.toml\"\n"),
    );
    let explain = |config: &str, arguments: &str| {
        let mut command = tidewire();
        command
            .current_dir(folder.path())
            .args(["explain", "--config", config]);
        let output = command
            .args(arguments.split(' '))
            .output()
            .expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("text"))
    };
    for (arguments, code, text) in EXPLANATIONS {
        let (status, said) = explain("broker.toml", arguments);
        assert_eq!(status, Some(*code), "{arguments}: {said}");
        assert!(said.starts_with(text), "{arguments}: {said}");
    }
    let (_, said) = explain("toml.toml", "publish -t a --address 10.1.2.3");
    assert_eq!(said, "allowed: ordered.toml:5 allows it\n");
    let (code, said) = explain("toml.toml", "publish -t a --retain --address 10.1.2.3");
    assert_eq!(
        (code, &*said),
        (Some(8), "tidewire: denied: ordered.toml:1 denies it\n")
    );
    let (_, said) = explain("toml.toml", "publish -t a --json");
    let json: serde_json::Value =
        serde_json::from_str(said.lines().next().expect("a line")).expect("JSON");
    assert_eq!(json["allowed"], false);
}

#[test]
fn rules_in_toml_are_obeyed_and_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let rule = |topics: &str| {
        let text = format!(
            "[[rule]]\nallow = [\"publish\", \"subscribe\"]\ntopics = [\"{topics}\"]\nusers = [\"alice\"]\n"
        );
        fs::write(folder.path().join("rules.toml"), text).expect("written");
    };
    rule("alice/#");
    fs::write(folder.path().join("users"), RECORDS).expect("written");
    let broker = broker(
        folder.path(),
        "[auth]\npassword_file = \"users\"\n[acl]\nfile = \"rules.toml\"\n",
    );
    let mut alice = Wire::connect(&broker, 5, "alice", "alice");
    assert_eq!(alice.subscribe("alice/#"), 1);
    assert_eq!(alice.subscribe("other/#"), 0x87);
    rule("other/#");
    broker.signal(Signal::HUP);
    broker.wait_for_log("passwords and access rules read again");
    assert_eq!(alice.subscribe("other/#"), 1);
}

/// A token as an application would make it, signed by openssl: `sign` are its arguments behind `dgst`.
fn token(folder: &Path, algorithm: &str, claims: &serde_json::Value, sign: &[&str]) -> String {
    use base64::Engine as _;
    let part = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let header = format!("{{\"alg\":\"{algorithm}\",\"typ\":\"JWT\"}}");
    let signed = format!(
        "{}.{}",
        part(header.as_bytes()),
        part(claims.to_string().as_bytes())
    );
    fs::write(folder.join("signed"), &signed).expect("written");
    let mut command = Command::new("openssl");
    command
        .current_dir(folder)
        .arg("dgst")
        .args(sign)
        .args(["-binary", "signed"]);
    let output = command.output().expect("openssl runs");
    assert!(output.status.success(), "{output:?}");
    format!("{signed}.{}", part(&output.stdout))
}

fn in_secs(secs: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("after 1970").as_secs() + secs
}

#[test]
fn tokens_let_their_users_in_with_their_rules_until_they_expire() {
    let folder = tempfile::tempdir().expect("a folder");
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command
            .current_dir(folder.path())
            .args(arguments.split(' '));
        assert!(
            command.output().expect("openssl runs").status.success(),
            "{arguments}"
        );
    };
    openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key");
    openssl("pkey -in rsa.key -pubout -out token.pem");
    fs::write(folder.path().join("users"), RECORDS).expect("written");
    let broker = broker(
        folder.path(),
        "[auth]\njwt_key_file = \"token.pem\"\njwt_rules_claim = \"acl\"\njwt_leeway_secs = 0\npassword_file = \"users\"\n",
    );
    let publish = |topic: &str, user: &str, password: &str| {
        let mut command = mosquitto("mosquitto_pub", &broker);
        command.args([
            "-V", "5", "-q", "1", "-m", "x", "-u", user, "-P", password, "-t", topic,
        ]);
        let output = command.output().expect("it runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let claims = |secs| serde_json::json!({ "sub": "meter-7", "exp": in_secs(secs), "acl": { "publish": ["up/#"], "subscribe": ["down/#"] } });
    let rs = ["-sha256", "-sign", "rsa.key"];
    let good = token(folder.path(), "RS256", &claims(3600), &rs);
    assert_eq!(publish("up/x", "whatever", &good), "");
    assert!(publish("down/x", "whatever", &good).contains("ot authorized"));
    // Passwords of the file go on to work beside tokens.
    assert_eq!(publish("down/x", "alice", "secret"), "");
    assert_ne!(
        publish("up/x", "alice", &good[..good.len() - 8]),
        "",
        "a signature that was cut"
    );
    assert_ne!(publish("up/x", "alice", "wrong"), "");

    // The connection ends with the token.
    let short = token(folder.path(), "RS256", &claims(3), &rs);
    let mut command = mosquitto("mosquitto_sub", &broker);
    command.args([
        "-i", "short", "-V", "5", "-u", "x", "-P", &short, "-t", "down/#",
    ]);
    let mut listener = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let line = broker.wait_for_log("what the client has authenticated with is no longer valid");
    assert!(line.contains("0xA0") && line.contains("short"), "{line}");
    listener.kill().expect("killed");
    listener.wait().expect("ended");
    assert_ne!(publish("up/x", "x", &short), "", "an expired token");

    // Another key, read again: the old one's tokens are worth nothing.
    let secret = "0123456789abcdef0123456789abcdef";
    fs::write(folder.path().join("token.pem"), format!("{secret}\n")).expect("written");
    broker.signal(Signal::HUP);
    broker.wait_for_log("read again");
    assert_ne!(publish("up/x", "x", &good), "", "a token of the old key");
    let hs = [
        "-sha256",
        "-mac",
        "HMAC",
        "-macopt",
        &format!("key:{secret}"),
    ];
    assert_eq!(
        publish(
            "up/x",
            "x",
            &token(folder.path(), "HS256", &claims(3600), &hs)
        ),
        ""
    );
}

#[test]
fn a_key_of_tokens_with_a_fault_starts_nothing_and_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("key"), "secret").expect("written");
    fs::write(
        folder.path().join("broker.toml"),
        "[auth]\njwt_key_file = \"key\"\n",
    )
    .expect("written");
    let mut command = tidewire();
    command
        .current_dir(folder.path())
        .args(["check-config", "broker.toml"]);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        said.contains("key: a secret of 6 bytes can be guessed"),
        "{said}"
    );
    assert!(said.contains("openssl rand -hex 32"), "{said}");
}

#[test]
fn who_guesses_passwords_is_slowed_down_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("users"), RECORDS).expect("written");
    passwd(folder.path(), &["-b", "users", "bob", "secret"], "");
    let broker = broker(
        folder.path(),
        "[auth]\npassword_file = \"users\"\nmax_login_failures = 3\nlogin_ban_secs = 3600\n",
    );
    let publish = |user: &str, password: &str| {
        let mut command = mosquitto("mosquitto_pub", &broker);
        command.args(["-V", "5", "-m", "x", "-t", "t", "-u", user, "-P", password]);
        command.output().expect("it runs").status.success()
    };
    // Failures are counted after the fact, so it may take one more than three.
    let guesses = (0..100).take_while(|number| {
        assert!(!publish("alice", &format!("guess {number}")));
        !broker.log().contains("too many failed logins")
    });
    assert!((3..100).contains(&guesses.count()));
    // The right one is not looked at any more.
    assert!(!publish("alice", "secret"));
    assert!(publish("bob", "secret"));
}

#[test]
fn help_of_passwd_names_every_flag() {
    let help = run(&["passwd", "--help"]).stdout;
    for flag in ["-c", "-b", "-D", "-U", "-H"] {
        assert!(help.contains(flag), "{flag}");
    }
}
