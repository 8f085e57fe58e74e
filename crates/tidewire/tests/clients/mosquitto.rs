//! What mosquitto_pub, mosquitto_sub and mosquitto_rr do with the broker, in every version that they speak.

use crate::agent::provided;
use crate::support::{PATIENCE, TestBroker};
use serde_json::{Value as Json, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

macro_rules! in_every_version {
    ($($test:ident),* $(,)?) => {
        in_every_version!(@ mosquitto_3_1, "mqttv31", [$($test),*]);
        in_every_version!(@ mosquitto_3_1_1, "mqttv311", [$($test),*]);
        in_every_version!(@ mosquitto_5, "mqttv5", [$($test),*]);
    };
    (@ $module:ident, $version:literal, [$($test:ident),*]) => {
        mod $module {
            $(
                #[test]
                fn $test() {
                    super::$test($version);
                }
            )*
        }
    };
}

in_every_version![
    lines_of_every_qos_arrive_in_order,
    retained_message_is_set_read_and_cleared,
    will_is_published_when_the_process_is_killed,
    session_is_resumed_with_its_queue_in_order,
    shared_subscription_gives_each_message_to_one_member,
    payload_of_a_mebibyte_arrives_whole,
    response_finds_its_request,
    many_filters_of_one_client,
];

/// A program of mosquitto, pointed to the broker.
fn program(variable: &str, version: &str, broker: &TestBroker) -> Command {
    // Line by line, as on a terminal: what a program says is the event that the test waits for.
    let mut command = Command::new("stdbuf");
    command.args(["-oL", &provided(variable), "-V", version]);
    command.args(["-h", "127.0.0.1", "-p", &broker.port().to_string()]);
    command
}

/// Runs mosquitto_pub to its end with this input.
fn publish_lines(version: &str, broker: &TestBroker, arguments: &[&str], input: &str) {
    let mut child = program("TIDEWIRE_MOSQUITTO_PUB", version, broker)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .expect("mosquitto_pub starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("read");
    drop(stdin);
    assert!(
        child.wait().expect("ended").success(),
        "mosquitto_pub {arguments:?}"
    );
}

fn publish(version: &str, broker: &TestBroker, arguments: &[&str]) {
    publish_lines(version, broker, arguments, "");
}

/// A running program and what it says, line by line.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starts");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines }
    }

    /// A subscriber that has its SUBACK; messages come as JSON.
    fn subscriber(version: &str, broker: &TestBroker, arguments: &[&str]) -> Self {
        let mut command = program("TIDEWIRE_MOSQUITTO_SUB", version, broker);
        let running = Self::start(command.args(["-d", "-F", "%j"]).args(arguments));
        running.line("Subscribed (mid");
        running
    }

    /// The next line with this in it.
    fn line(&self, part: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.contains(part) => return line,
                Ok(_) => {}
                Err(_) => panic!("no line with {part:?}"),
            }
        }
    }

    /// The next message.
    fn message(&self) -> Json {
        serde_json::from_str(&self.line("{\"tst\"")).expect("a message as JSON")
    }

    fn payload(&self) -> String {
        let message = self.message();
        // A payload that is JSON itself is shown as such.
        message["payload"]
            .as_str()
            .map_or_else(|| message["payload"].to_string(), str::to_owned)
    }

    /// Waits for the end, which must be a success.
    fn finish(mut self) {
        assert!(self.child.wait().expect("ended").success());
    }

    /// `kill -9`
    fn kill(mut self) {
        self.child.kill().expect("killed");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of_every_qos_arrive_in_order(version: &str) {
    let broker = TestBroker::start();
    let input: String = (0..200).map(|number| format!("line {number}\n")).collect();
    for qos in ["0", "1", "2"] {
        let subscriber = Running::subscriber(version, &broker, &["-t", "lines/#", "-q", "2"]);
        publish_lines(
            version,
            &broker,
            &["-t", "lines/a", "-q", qos, "-l"],
            &input,
        );
        for number in 0..200 {
            let message = subscriber.message();
            assert_eq!(message["payload"], format!("line {number}"));
            assert_eq!(
                (&message["topic"], message["qos"].to_string()),
                (&json!("lines/a"), qos.to_owned())
            );
        }
    }
}

fn retained_message_is_set_read_and_cleared(version: &str) {
    let broker = TestBroker::start();
    let first_message =
        |filter: &str| Running::subscriber(version, &broker, &["-t", filter, "-C", "1"]).message();
    publish(
        version,
        &broker,
        &["-t", "state/a", "-m", "one", "-q", "1", "-r"],
    );
    publish(
        version,
        &broker,
        &["-t", "state/a", "-m", "two", "-q", "1", "-r"],
    );
    publish(
        version,
        &broker,
        &["-t", "state/b", "-m", "three", "-q", "1", "-r"],
    );
    let message = first_message("state/a");
    assert_eq!(
        (&message["payload"], &message["retain"]),
        (&json!("two"), &json!(1))
    );
    publish(version, &broker, &["-t", "state/a", "-n", "-q", "1", "-r"]);
    assert_eq!(
        first_message("state/#")["payload"],
        "three",
        "the only one that is left"
    );
}

fn will_is_published_when_the_process_is_killed(version: &str) {
    let broker = TestBroker::start();
    let subscriber = Running::subscriber(version, &broker, &["-t", "will", "-q", "2"]);
    let will = [
        "--will-topic",
        "will",
        "--will-payload",
        "gone",
        "--will-qos",
        "2",
        "--will-retain",
    ];
    let mortal = Running::subscriber(
        version,
        &broker,
        &[["-t", "any"].as_slice(), &will].concat(),
    );
    mortal.kill();
    let message = subscriber.message();
    assert_eq!(
        (&message["payload"], &message["qos"]),
        (&json!("gone"), &json!(2))
    );
    let late = Running::subscriber(version, &broker, &["-t", "will", "-C", "1"]).message();
    assert_eq!(
        (&late["payload"], &late["retain"]),
        (&json!("gone"), &json!(1))
    );
}

fn session_is_resumed_with_its_queue_in_order(version: &str) {
    let broker = TestBroker::start();
    let kept = ["-t", "queue", "-q", "2", "-c", "-i", "kept"];
    let leaves = [kept.as_slice(), &["-E"]].concat();
    Running::subscriber(version, &broker, &leaves).finish();
    let input: String = (0..100).map(|number| format!("q{number}\n")).collect();
    publish_lines(version, &broker, &["-t", "queue", "-q", "1", "-l"], &input);
    publish_lines(version, &broker, &["-t", "queue", "-q", "2", "-l"], &input);
    let mut command = program("TIDEWIRE_MOSQUITTO_SUB", version, &broker);
    let resumed = Running::start(command.args(["-d", "-F", "%j", "-C", "200"]).args(kept));
    for qos in [1, 2] {
        for number in 0..100 {
            let message = resumed.message();
            assert_eq!(
                (&message["payload"], &message["qos"]),
                (&json!(format!("q{number}")), &json!(qos))
            );
        }
    }
    resumed.finish();
}

fn shared_subscription_gives_each_message_to_one_member(version: &str) {
    let broker = TestBroker::start();
    let filters = ["-t", "$share/g/job/#", "-t", "end", "-q", "1"];
    let members: Vec<_> = (0..3)
        .map(|_| Running::subscriber(version, &broker, &filters))
        .collect();
    let input: String = (0..30).map(|number| format!("j{number}\n")).collect();
    publish_lines(version, &broker, &["-t", "job/a", "-q", "1", "-l"], &input);
    publish(version, &broker, &["-t", "end", "-m", "end", "-q", "1"]);
    let mut got = Vec::new();
    for member in &members {
        let before = got.len();
        loop {
            let payload = member.payload();
            if payload == "end" {
                break;
            }
            got.push(payload[1..].parse::<u32>().expect("a number"));
        }
        assert!(got.len() > before, "each member gets some");
    }
    got.sort_unstable();
    assert_eq!(got, (0..30).collect::<Vec<_>>(), "each exactly once");
}

fn payload_of_a_mebibyte_arrives_whole(version: &str) {
    let broker = TestBroker::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("payload");
    let payload = "0123456789abcdef".repeat(65536);
    std::fs::write(&file, &payload).expect("written");
    let file = file.display().to_string();
    for qos in ["0", "2"] {
        let subscriber = Running::subscriber(version, &broker, &["-t", "large", "-q", qos]);
        publish(version, &broker, &["-t", "large", "-q", qos, "-f", &file]);
        assert!(subscriber.payload() == payload, "QoS {qos}");
    }
}

fn response_finds_its_request(version: &str) {
    let broker = TestBroker::start();
    let service = Running::subscriber(version, &broker, &["-t", "service", "-q", "1"]);
    let mut request = program("TIDEWIRE_MOSQUITTO_RR", version, &broker);
    request.args([
        "-t",
        "service",
        "-e",
        "answers/7",
        "-m",
        "six times nine",
        "-q",
        "1",
        "-F",
        "%j",
    ]);
    if version == "mqttv5" {
        request.args(["-D", "publish", "correlation-data", "request 7"]);
    }
    let requester = Running::start(&mut request);
    let message = service.message();
    assert_eq!(message["payload"], "six times nine");
    let mut answer = vec!["-t", "answers/7", "-m", "42!", "-q", "1"];
    if version == "mqttv5" {
        assert_eq!(message["properties"]["response-topic"], "answers/7");
        assert_eq!(message["properties"]["correlation-data"], "request 7");
        answer.extend(["-D", "publish", "correlation-data", "request 7"]);
    }
    publish(version, &broker, &answer);
    let response = requester.message();
    assert_eq!(
        (&response["topic"], &response["payload"]),
        (&json!("answers/7"), &json!("42!"))
    );
    if version == "mqttv5" {
        assert_eq!(response["properties"]["correlation-data"], "request 7");
    }
    requester.finish();
}

fn many_filters_of_one_client(version: &str) {
    let broker = TestBroker::start();
    let filters: Vec<String> = (0..50).map(|number| format!("f/{number}/+")).collect();
    let arguments: Vec<&str> = filters
        .iter()
        .flat_map(|filter| ["-t", filter.as_str()])
        .collect();
    let subscriber = Running::subscriber(version, &broker, &arguments);
    for number in [0, 7, 49] {
        publish(
            version,
            &broker,
            &[
                "-t",
                &format!("f/{number}/x"),
                "-m",
                &format!("to {number}"),
            ],
        );
        publish(
            version,
            &broker,
            &["-t", &format!("g/{number}/x"), "-m", "to nobody"],
        );
        assert_eq!(subscriber.payload(), format!("to {number}"));
    }
}

// [5.0 MQTT-3.3.2-18] [5.0 MQTT-3.3.2-20] [5.0 MQTT-3.3.4-3]
#[test]
fn properties_of_5_arrive() {
    let broker = TestBroker::start();
    let filter = [
        "-t",
        "p",
        "-q",
        "1",
        "-D",
        "subscribe",
        "subscription-identifier",
        "42",
    ];
    let subscriber = Running::subscriber("mqttv5", &broker, &filter);
    let property = |words: &[&'static str]| [["-D", "publish"].as_slice(), words].concat();
    let message = [
        vec!["-t", "p", "-m", "x", "-q", "1"],
        property(&["content-type", "text/plain"]),
        property(&["message-expiry-interval", "600"]),
        property(&["payload-format-indicator", "1"]),
        property(&["response-topic", "r"]),
        property(&["user-property", "z", "1"]),
        property(&["user-property", "a", "2"]),
    ];
    publish("mqttv5", &broker, &message.concat());
    let line = subscriber.line("{\"tst\"");
    let (z, a) = (line.find("\"z\":\"1\""), line.find("\"a\":\"2\""));
    assert!(z.is_some() && z < a, "in their order: {line}");
    let properties = &serde_json::from_str::<Json>(&line).expect("JSON")["properties"];
    assert_eq!(properties["content-type"], "text/plain");
    assert_eq!(properties["response-topic"], "r");
    assert_eq!(properties["payload-format-indicator"], 1);
    assert_eq!(properties["message-expiry-interval"], 600);
    assert_eq!(properties["subscription-identifier"], 42);
}

// [5.0 MQTT-3.1.4-3]
#[test]
fn taken_over_client_of_5_is_told() {
    let broker = TestBroker::start();
    let arguments = ["-t", "a", "-i", "same"];
    let first = Running::subscriber("mqttv5", &broker, &arguments);
    let second = Running::subscriber("mqttv5", &broker, &arguments);
    first.line("DISCONNECT (142)");
    first.kill();
    drop(second);
}

// [5.0 MQTT-3.1.2-23]
#[test]
fn session_of_5_without_an_expiry_interval_ends_with_its_connection() {
    let broker = TestBroker::start();
    let clean = ["-t", "queue", "-q", "1", "-c", "-i", "s", "-x", "0", "-E"];
    Running::subscriber("mqttv5", &broker, &clean).finish();
    publish("mqttv5", &broker, &["-t", "queue", "-m", "lost", "-q", "1"]);
    let again = ["-t", "queue", "-q", "1", "-c", "-i", "s", "-x", "0"];
    let subscriber = Running::subscriber("mqttv5", &broker, &again);
    publish(
        "mqttv5",
        &broker,
        &["-t", "queue", "-m", "found", "-q", "1"],
    );
    assert_eq!(subscriber.payload(), "found");
}

// [3.1 MQTT31-CONNECT-5]
#[test]
fn identifier_of_more_than_23_characters_is_refused_in_3_1_alone() {
    let broker = TestBroker::start();
    let message = ["-t", "a", "-m", "x", "-q", "1", "-i"];
    let identifier = "twenty-three-characters";
    publish("mqttv31", &broker, &[&message[..], &[identifier]].concat());
    let longer = "twenty-four-characters--";
    publish("mqttv311", &broker, &[&message[..], &[longer]].concat());
    let refused = program("TIDEWIRE_MOSQUITTO_PUB", "mqttv31", &broker)
        .args(message)
        .arg(longer)
        .output()
        .expect("mosquitto_pub starts");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("identifier rejected"), "{said}");
}
