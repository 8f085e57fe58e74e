//! `tidewire pub | sub | rr` in the place of mosquitto_pub, mosquitto_sub and mosquitto_rr: the same standard output, byte for
//! byte, and the same exit code, for a table of invocations. What both write of the time is made equal first.

use crate::agent::provided;
use crate::support::{TestBroker, tidewire};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Every row is one invocation: the tool, then its flags; `PORT` is the broker's, `CLOSED` one where nobody listens. Spaces are
/// separators unless the row is in single quotes.
const ROWS: &[&str] = &[
    // Formats.
    "sub -t a/b -C 1",
    "sub -t a/b -C 1 -v",
    "sub -t a/b -C 1 -N",
    "sub -t a/b -C 1 -v -N",
    "sub -t a/b -C 1 -q 1 -v",
    "sub -t a/b -C 1 -q 2 -F %q-%m-%r-%l",
    "sub -t a/b -C 1 -F [%t]'[%p]%%",
    "sub -t a/b -C 1 -F %10t|%-10t|%.2t|%2.1t|%010t|",
    "sub -t a/b -C 1 -F %x|%X|%4x|%08x|%30x|%-30x|%-030X|",
    "sub -t a/b -C 1 -F %20p|%.3p|%-20p|%3p|%020p|",
    "sub -t a/b -C 1 -F %5l|%05l|%-5l|%.3l|%-08l|",
    "sub -t a/b -C 1 -F %5m|%5q|%-5r|%010q|",
    "sub -t a/b -C 1 -F %5A|%5E|%5F|%5S|%5C|%5D|%5R|%P|",
    "sub -t a/b -C 1 -V 5 -F %5A|%5F|%5S|%8C|%-8C|%.2C|%09C|%12.1C|%5D|%5R|%20P|",
    "sub -t a/b -C 1 -V 5 -F %C|%D|%R|%P|%F",
    "sub -t exp -C 1 -V 5 -F %E|%8E",
    "sub -t a/b -C 1 -F \\t|\\0|\\a|\\e|\\n|\\r|\\v|\\\\",
    "sub -t a/b -C 1 -F %j",
    "sub -t a/b -C 1 -F %J",
    "sub -t a/b -C 1 -F %j -V 5",
    "sub -t a/b -C 1 -F %J -V 5",
    "sub -t a/b -C 1 -F %20j|%030J| -q 1",
    "sub -t a/b -C 1 -F %j --pretty -V 5",
    "sub -t num -C 1 -F %J",
    "sub -t num -C 1 -F %J --pretty",
    "sub -t text -C 1 -F %j",
    "sub -t text -C 1 -F %J",
    "sub -t a/b -C 1 -F %I|%U|%30I|",
    "sub -t a/b -C 1 -F %z",
    "sub -t a/b -C 1 -F end%",
    "sub -t a/b -C 1 -F %5",
    "sub -t a/b -C 1 -F x\\",
    "sub -t a/b -C 1 -F \\q",
    "sub -t a/b -C 1 -F %@",
    "sub -t a/b -C 1 -D subscribe subscription-identifier 7 -F %S|%5S|%j",
    "sub -t a/b -C 1 -V 5 --retain-as-published -F %r",
    // What is received.
    "sub -t # -C 4 -F %t",
    "sub -t a/+ -t num -C 2 -F %t",
    "sub -t # -T a/# -T exp -C 2 -F %t -v",
    "sub -t # -W 1 -R -v",
    "sub -t a/b -W 1 -C 5 -v",
    "sub -t a/b -T a/b -W 1",
    "sub -t a/b -E",
    "sub -t nothing/here -E -q 2",
    "sub -t a/b -U a/b -C 1",
    "sub -t a/b -C 1 -V mqttv31",
    "sub -t a/b -C 1 -V 311",
    "sub -t a/b -C 1 -V mqttv5 -x 5",
    "sub -t a/b -C 1 -i me -c -q 1",
    "sub -t a/b -C 1 -I prefix",
    "sub -L mqtt://127.0.0.1:PORT/a/b -C 1 -v",
    "sub -t a/b -C 1 -A 127.0.0.1 --nodelay --quiet -k 5",
    "sub -t a/b -C 1 --will-topic w --will-payload p --will-qos 1 --will-retain",
    "sub -t a/b -C 1 -u somebody -P secret",
    "sub -t a/b -C 1 -D connect receive-maximum 5 -D connect user-property a b",
    "sub -t a/b -C 1 -D disconnect session-expiry-interval 0",
    // Wrong usage.
    "sub",
    "sub -t a/#/b",
    "sub -t a -q 3",
    "sub -t a -q",
    "sub -t a --bogus",
    "sub -t a -m x",
    "sub -t a -k 3",
    "sub -t a -W 0",
    "sub -t a -C 0",
    "sub -t a -c",
    "sub -t a -i x -I y",
    "sub -t a -T a/#/x",
    "sub -t a -V mqttv6",
    "sub -t a -p 70000",
    "sub -t a --will-payload x",
    "sub -t a --psk aa",
    "sub -t a --cert x",
    "sub -t a --cafile /does/not/exist",
    "sub -t a -L nonsense",
    "sub -p CLOSED -t a",
    "sub -h host.invalid -t a",
    // Publishing.
    "pub -t x -m hello",
    "pub -t x -m hello -q 2 -V 5",
    "pub -t x -n -q 1",
    "pub -t x -m -dash",
    "pub -t x -m hello --repeat 3 --repeat-delay 0.01 -q 1",
    "pub -t x -m a -D publish content-type text/plain -D publish user-property k v",
    "pub -t x -m a -M 3 -q 1",
    "pub -t x",
    "pub -m x",
    "pub -t a/+ -m x",
    "pub -t a -f /does/not/exist",
    "pub -t a -m x -n",
    "pub -t a -m x -q 3",
    "pub -t a -m x --repeat 0",
    "pub -t a -m x -D publish bogus 1",
    "pub -t a -m x -D publish message-expiry-interval -1",
    "pub -t a -m x -P secret",
    "pub -p CLOSED -t a -m x",
    // Requests.
    "rr -t a -e nobody/answers -m x -W 1",
    "rr -t a -m x -W 1",
    "rr -t echo -e echo -m hello",
    "rr -t echo -e echo -m hello -v",
    "rr -t echo -e echo -m hello -F %t|%p|%R -q 1",
    "rr -V 311 -t echo -e echo -m hello -v",
    "rr -t echo -e echo -n -v",
];

struct Outcome {
    code: Option<i32>,
    stdout: String,
}

fn run(command: &mut Command, input: &str) -> Outcome {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // No file of default flags.
        .env("XDG_CONFIG_HOME", "/does/not/exist")
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    // A program that does not read has ended already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
    }
}

fn theirs(tool: &str) -> Command {
    let variable = format!("TIDEWIRE_MOSQUITTO_{}", tool.to_uppercase());
    Command::new(provided(&variable))
}

fn ours(tool: &str) -> Command {
    let mut command = tidewire();
    command.arg(tool);
    command
}

/// A row's arguments; the host and the port come first, so that the row's own win.
fn arguments(row: &str, port: u16, closed: u16) -> Vec<String> {
    let port = port.to_string();
    let own = row.split(' ').skip(1).map(|word| {
        word.replace("PORT", &port)
            .replace("CLOSED", &closed.to_string())
    });
    let server = ["-h", "127.0.0.1", "-p", &port].map(str::to_owned);
    server.into_iter().chain(own).collect()
}

/// Seconds that pass between two runs, and time stamps: every digit of the output where the row shows the clock.
fn without_time(row: &str, text: &str) -> String {
    let shows_clock = ["%I", "%U", "%E", "%j", "%J", "%20j"]
        .iter()
        .any(|field| row.contains(field));
    let Some(at) = text.find("\"tst\"") else {
        let digit = |letter: char| {
            if letter.is_ascii_digit() && shows_clock {
                '9'
            } else {
                letter
            }
        };
        return text.chars().map(digit).collect();
    };
    let quotes: Vec<usize> = text[at..]
        .match_indices('"')
        .map(|(place, _)| at + place)
        .collect();
    let stamp: String = text[quotes[2]..quotes[3]]
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '9' } else { letter })
        .collect();
    let (before, after) = (&text[..quotes[2]], &text[quotes[3]..]);
    format!("{before}{stamp}{}", next_stamp(row, after))
}

fn next_stamp(row: &str, text: &str) -> String {
    if text.contains("\"tst\"") {
        without_time(row, text)
    } else {
        text.to_owned()
    }
}

fn seed(broker: &TestBroker) {
    let messages: [&[&str]; 4] = [
        &[
            "-V",
            "5",
            "-t",
            "a/b",
            "-q",
            "1",
            "-m",
            "{\"x\":1}",
            "-D",
            "publish",
            "content-type",
            "text/x",
            "-D",
            "publish",
            "user-property",
            "k",
            "v",
            "-D",
            "publish",
            "user-property",
            "k2",
            "v2",
            "-D",
            "publish",
            "correlation-data",
            "c d",
            "-D",
            "publish",
            "response-topic",
            "r/t",
            "-D",
            "publish",
            "payload-format-indicator",
            "1",
        ],
        &[
            "-V",
            "5",
            "-t",
            "exp",
            "-m",
            "x",
            "-D",
            "publish",
            "message-expiry-interval",
            "86400",
        ],
        &[
            "-t",
            "num",
            "-m",
            r#"{"a": [1.50, 1e3, 1e20, 123456789012, 0.1, -0, true, null, "\u00e9\/x"], "b": {}, "a": [] ,"d":3.141592653589793}"#,
        ],
        &["-t", "text", "-m", "a \"quoted\"\u{1}\tword \u{e9}"],
    ];
    for flags in messages {
        let mut command = theirs("pub");
        command.args(["-r", "-h", "127.0.0.1", "-p", &broker.port().to_string()]);
        assert_eq!(run(command.args(flags), "").code, Some(0), "{flags:?}");
    }
}

#[test]
fn every_invocation_prints_and_ends_as_mosquittos_does() {
    let broker = TestBroker::start();
    seed(&broker);
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = free.local_addr().expect("bound").port();
    drop(free);
    let mut differences = Vec::new();
    for row in ROWS {
        let tool = row.split(' ').next().expect("a tool");
        let arguments = arguments(row, broker.port(), closed);
        let wanted = run(theirs(tool).args(&arguments), "");
        let got = run(ours(tool).args(&arguments), "");
        let is_usage = wanted.code == Some(1);
        let in_order = |outcome: &Outcome| {
            let text = without_time(row, &outcome.stdout);
            // Retained messages of several topics come in any order.
            if row.contains("-C 2") || row.contains("-C 4") {
                let mut lines: Vec<&str> = text.lines().collect();
                lines.sort_unstable();
                return lines.join("\n");
            }
            text
        };
        let same_text = is_usage || in_order(&wanted) == in_order(&got);
        if wanted.code != got.code || !same_text {
            differences.push(format!(
                "{row}\n  theirs {:?} {:?}\n  ours   {:?} {:?}",
                wanted.code, wanted.stdout, got.code, got.stdout
            ));
        }
    }
    assert!(ROWS.len() >= 60, "the table has {} rows", ROWS.len());
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What a publishing tool leaves on the broker, as mosquitto_sub sees it.
#[test]
fn published_messages_are_those_that_mosquitto_pub_publishes() {
    const CASES: &[(&str, &str)] = &[
        ("-t T -m hello", ""),
        ("-t T -m hello -q 1", ""),
        ("-t T -m hello -q 2 -V 5", ""),
        ("-t T -s", "all\nof it\n"),
        ("-t T -l -q 1", "one\n\nthree"),
        ("-t T -f /etc/hostname", ""),
        (
            "-t T -m x -D publish content-type c -D publish user-property k v",
            "",
        ),
        (
            "-t T -m x -D publish correlation-data d -D publish response-topic r",
            "",
        ),
        ("-t T -m x --repeat 2", ""),
    ];
    let broker = TestBroker::start();
    let port = broker.port().to_string();
    for (number, (flags, input)) in CASES.iter().enumerate() {
        let seen = ["theirs", "ours"].map(|whose| {
            let topic = format!("seen/{number}/{whose}");
            let mut command = if whose == "ours" {
                ours("pub")
            } else {
                theirs("pub")
            };
            command.args(["-h", "127.0.0.1", "-p", &port, "-r"]);
            command.args(
                flags
                    .split(' ')
                    .map(|flag| if flag == "T" { topic.as_str() } else { flag }),
            );
            let outcome = run(&mut command, input);
            let mut reader = theirs("sub");
            reader.args([
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-V",
                "5",
                "-q",
                "2",
                "-C",
                "1",
                "-t",
                &topic,
            ]);
            let read = run(reader.args(["-F", "%p %q %l %C %D %P %R"]), "");
            (outcome.code, outcome.stdout, read.stdout)
        });
        assert_eq!(seen[0], seen[1], "{flags}");
    }
}

#[test]
fn link_with_mosquittos_name_stands_for_it() {
    let broker = TestBroker::start();
    seed(&broker);
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("mosquitto_sub");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_tidewire"), &link).expect("linked");
    let port = broker.port().to_string();
    let read = run(
        Command::new(&link).args(["-p", &port, "-h", "127.0.0.1", "-t", "exp", "-C", "1"]),
        "",
    );
    assert_eq!((read.code, &*read.stdout), (Some(0), "x\n"));
    assert_eq!(run(Command::new(&link).arg("--help"), "").code, Some(1));
    assert_eq!(run(tidewire().args(["sub", "--help"]), "").code, Some(0));
}

#[test]
fn recording_is_replayed_as_it_was() {
    let broker = TestBroker::start();
    let port = broker.port().to_string();
    let server = ["-h", "127.0.0.1", "-p", &port];
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("recording.jsonl");
    let line = |topic: &str, format: &str, payload: &str| {
        format!(
            "{{\"tst\":\"2026-01-01T00:00:00.000000Z+0000\",\"topic\":\"{topic}\",\"qos\":1,\"retain\":1,\"format\":\"{format}\",\
             \"payload\":\"{payload}\",\"properties\":{{\"content-type\":\"c\",\"user-properties\":{{\"k\":\"v\"}}}}}}\n"
        )
    };
    let text =
        line("r/1", "text", "one") + &line("r/2", "base64", "AP8=") + &line("r/3", "hex", "6869");
    std::fs::write(&file, text).expect("written");
    let replay = ["-V", "5", "--replay", file.to_str().expect("UTF-8")];
    assert_eq!(run(ours("pub").args(server).args(replay), "").code, Some(0));
    let mut reader = ours("sub");
    reader
        .args(server)
        .args(["-V", "5", "-q", "1", "-t", "r/#", "-C", "3", "--json"]);
    let read = run(&mut reader, "");
    let mut lines: Vec<&str> = read.stdout.lines().collect();
    lines.sort_by_key(|line| line.find("r/").map(|at| &line[at..]));
    for (line, payload) in lines.iter().zip([
        "\"text\",\"payload\":\"one\"",
        "\"base64\",\"payload\":\"AP8=\"",
        "\"payload\":\"hi\"",
    ]) {
        assert!(line.contains(payload), "{line}");
        assert!(
            line.contains(
                "\"properties\":{\"content-type\":\"c\",\"user-properties\":{\"k\":\"v\"}}"
            ),
            "{line}"
        );
    }
    assert_eq!(lines.len(), 3, "{}", read.stdout);
}

#[test]
fn rate_is_not_exceeded() {
    let broker = TestBroker::start();
    let port = broker.port().to_string();
    let began = std::time::Instant::now();
    let flags = [
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "t",
        "-m",
        "x",
        "--repeat",
        "6",
        "--rate",
        "20",
    ];
    assert_eq!(run(ours("pub").args(flags), "").code, Some(0));
    assert!(
        began.elapsed() >= Duration::from_millis(250),
        "{:?}",
        began.elapsed()
    );
}

/// Waits until this text is in a file of the folder.
fn wait_for_bytes(folder: &std::path::Path, wanted: &str) {
    let until = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_there = |file: std::fs::DirEntry| {
            let bytes = std::fs::read(file.path()).unwrap_or_default();
            bytes
                .windows(wanted.len())
                .any(|window| window == wanted.as_bytes())
        };
        if files.into_iter().any(is_there) {
            return;
        }
        assert!(
            std::time::Instant::now() < until,
            "{wanted} is never written"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn outbox_keeps_what_was_accepted_through_kill_9_and_delivers_it_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let outbox = folder.path().join("outbox");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = free.local_addr().expect("bound").port().to_string();
    drop(free);
    let directory = outbox.to_str().expect("UTF-8");
    let mut child = ours("pub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &closed,
            "-t",
            "log",
            "-q",
            "1",
            "-l",
            "--outbox",
            directory,
        ])
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    for number in 0..200 {
        writeln!(input, "line {number:03}").expect("taken");
    }
    wait_for_bytes(&outbox, "line 199");
    child.kill().expect("SIGKILL");
    child.wait().expect("gone");

    let broker = TestBroker::start();
    let port = broker.port().to_string();
    let mut reader = ours("sub");
    reader.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "log",
        "-q",
        "1",
        "-c",
        "-i",
        "reader",
    ]);
    assert_eq!(run(reader.arg("-E"), "").code, Some(0));
    let flush = ["-h", "127.0.0.1", "-p", &port, "--outbox", directory];
    assert_eq!(run(ours("pub").args(flush), "").code, Some(0));
    let mut reader = ours("sub");
    reader.args([
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "-t",
        "log",
        "-q",
        "1",
        "-c",
        "-i",
        "reader",
    ]);
    let read = run(reader.args(["-C", "200"]), "");
    let wanted: String = (0..200)
        .map(|number| format!("line {number:03}\n"))
        .collect();
    assert_eq!(read.stdout, wanted);
}

#[test]
fn manual_has_a_page_for_each_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("man");
    let written = run(
        tidewire().args(["man", directory.to_str().expect("UTF-8")]),
        "",
    );
    assert_eq!(written.code, Some(0));
    let page = |name: &str| std::fs::read_to_string(directory.join(name)).expect(name);
    assert!(page("tidewire-sub.1").contains("retained\\-only"));
    assert!(page("tidewire-serve.1").contains("SIGHUP"));
    assert!(page("tidewire.1").contains("bench"));
}
