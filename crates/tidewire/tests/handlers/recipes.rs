//! The guides and the cookbook: each script and each server is taken from the page and tried against the real program.

use crate::peer::Peer;
use crate::start::{broker, enter, enter_as, open};
use crate::support::{TestBroker, repository};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use tempfile::TempDir;
use tidewire_codec::{
    Connect, Packet, Properties, Property, Publish, Qos, ReasonCode, Version, Will,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Lua,
    Http,
}

/// A broker with a recipe, and the server that it asks.
struct Kitchen {
    broker: TestBroker,
    hook: Option<Hook>,
    _folder: TempDir,
}

/// A server in Python; it ends when it is dropped.
struct Hook {
    child: Child,
    output: BufReader<ChildStdout>,
}

fn page(name: &str) -> String {
    fs::read_to_string(repository().join("docs").join(name)).expect("the page")
}

/// The block of this language below a heading.
fn block(page: &str, heading: &str, language: &str) -> String {
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(heading));
    let section = section.unwrap_or_else(|| panic!("no heading {heading}"));
    let fence = format!("```{language}\n");
    let (_, rest) = section
        .split_once(&fence)
        .unwrap_or_else(|| panic!("{heading} has no {language}"));
    rest.split("```").next().expect("the block ends").to_owned()
}

impl Kitchen {
    fn with(kind: Kind, heading: &str) -> Self {
        let cookbook = page("cookbook.md");
        match kind {
            Kind::Lua => Self::with_script(&block(&cookbook, heading, "lua")),
            Kind::Http => Self::with_server(&block(&cookbook, heading, "python")),
        }
    }

    fn with_script(script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("recipe.lua"), script).expect("written");
        Self {
            broker: broker(
                folder.path(),
                "[[handler]]\nlua = \"recipe.lua\"\ndeadline_ms = 20000\n",
            ),
            hook: None,
            _folder: folder,
        }
    }

    fn with_server(recipe: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (hook, port) = Hook::start(&folder, recipe);
        let events = recipe
            .lines()
            .find_map(|line| line.strip_prefix("# events = "));
        let events = events.expect("the recipe names its events");
        let config = format!(
            "[[handler]]\nurl = \"http://127.0.0.1:{port}/\"\nevents = {events}\ndeadline_ms = 20000\n"
        );
        Self {
            broker: broker(folder.path(), &config),
            hook: Some(hook),
            _folder: folder,
        }
    }

    /// A line that the handler printed with this in it.
    fn printed(&mut self, part: &str) -> String {
        match &mut self.hook {
            None => self.broker.wait_for_log(part),
            Some(hook) => hook.line_with(part),
        }
    }
}

impl Hook {
    fn start(folder: &TempDir, recipe: &str) -> (Self, String) {
        let guide = page("guides/webhooks.md");
        let server = block(&guide, "What is sent", "json").is_empty();
        assert!(!server, "the guide shows what is sent");
        let (_, rest) = guide
            .split_once("```python\n")
            .expect("the guide has a server");
        let server = rest.split("```").next().expect("it ends");
        let (classes, main) = server.split_once("if __name__").expect("it is a program");
        let file = folder.path().join("hook.py");
        fs::write(&file, format!("{classes}\n{recipe}\nif __name__{main}")).expect("written");
        let python = std::env::var("TIDEWIRE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut child = Command::new(python)
            .arg(&file)
            .arg("0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut hook = Self { child, output };
        let port = hook
            .line_with("listening on ")
            .trim()
            .rsplit(' ')
            .next()
            .map(str::to_owned);
        (hook, port.expect("a port"))
    }

    fn line_with(&mut self, part: &str) -> String {
        loop {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).expect("a line");
            assert!(read > 0, "the server ended before it printed {part}");
            if line.contains(part) {
                return line;
            }
        }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn acknowledged(peer: &mut Peer<TcpStream>, topic: &str, payload: &str) -> ReasonCode {
    peer.publish(topic, payload, Qos::AtLeastOnce, 9);
    loop {
        match peer.receive() {
            Packet::PubAck(ack) => return ack.reason,
            Packet::Publish(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_guide_to_lua_does_what_it_says() {
    let guide = page("guides/lua.md");
    let (_, rest) = guide
        .split_once("```lua\n")
        .expect("the guide has a script");
    let kitchen = Kitchen::with_script(rest.split("```").next().expect("it ends"));
    assert_eq!(
        enter_as(&kitchen.broker, "mallory", "secret").err(),
        Some(ReasonCode::BadUserNameOrPassword)
    );
    let mut alice = enter_as(&kitchen.broker, "alice", "secret").expect("she comes in");
    alice.subscribe("hello", Qos::AtMostOnce);
    alice.publish("hello", "hi", Qos::AtMostOnce, 0);
    assert_eq!(alice.message().1, "hi (from alice)");
    assert_eq!(
        acknowledged(&mut alice, "hello", &"x".repeat(101)),
        ReasonCode::ImplementationSpecificError
    );
}

#[test]
fn the_guide_to_webhooks_does_what_it_says() {
    let mut kitchen =
        Kitchen::with_server("# events = [\"authenticate\", \"connected\", \"disconnected\"]\n");
    assert_eq!(
        enter_as(&kitchen.broker, "mallory", "secret").err(),
        Some(ReasonCode::BadUserNameOrPassword)
    );
    drop(enter_as(&kitchen.broker, "alice", "secret").expect("she comes in"));
    assert!(
        kitchen
            .printed("'event': 'disconnected'")
            .contains("'client_id': 'alice'")
    );
}

#[test]
fn users_have_topics_of_their_own() {
    for kind in [Kind::Lua, Kind::Http] {
        let kitchen = Kitchen::with(kind, "Users and their topics");
        assert_eq!(
            enter_as(&kitchen.broker, "alice", "hidden").err(),
            Some(ReasonCode::BadUserNameOrPassword)
        );
        let mut alice = enter_as(&kitchen.broker, "alice", "secret").expect("she comes in");
        let mut bob = enter_as(&kitchen.broker, "bob", "hidden").expect("he comes in");
        assert_eq!(
            alice.subscribe("/public/#", Qos::AtMostOnce),
            ReasonCode::Success
        );
        assert_eq!(
            bob.subscribe("/users/bob/#", Qos::AtMostOnce),
            ReasonCode::Success
        );
        if kind == Kind::Lua {
            let announced = "bob has subscribed topic: /users/bob/#";
            while alice.message() != ("/public/systemInfo".to_owned(), announced.to_owned()) {}
        }
        for filter in [
            "#",
            "/users/+/x",
            "/users/alice/#",
            "users/bob/x",
            "$share/public/users/alice/x",
        ] {
            assert_eq!(
                bob.subscribe(filter, Qos::AtMostOnce),
                ReasonCode::NotAuthorized,
                "{kind:?} {filter}"
            );
        }
        assert_eq!(
            acknowledged(&mut bob, "/users/alice/x", ""),
            ReasonCode::NotAuthorized
        );
        assert_eq!(
            acknowledged(&mut bob, "/users/bob/x", ""),
            ReasonCode::Success
        );
    }
}

#[test]
fn every_connect_is_printed_as_json() {
    let line = r#"{"type":1,"protocol_name":"MQTT","protocol_level":4,"clean_session":1,"will":{"qos":0,"retain":0,"topic":"simps-mqtt\/user001\/delete","message":"byebye"},"user_name":"","password":"","keep_alive":10,"client_id":"Simps_60e5aa0c4284f"}"#;
    assert_eq!(line.len(), 234);
    for kind in [Kind::Lua, Kind::Http] {
        let mut kitchen = Kitchen::with(kind, "Print every CONNECT as JSON");
        let mut peer = open(&kitchen.broker, Version::V311);
        peer.send(&Packet::Connect(Connect {
            keep_alive_secs: 10,
            will: Some(Will {
                qos: Qos::AtMostOnce,
                retain: false,
                properties: Properties::EMPTY,
                topic: "simps-mqtt/user001/delete".into(),
                payload: b"byebye"[..].into(),
            }),
            ..crate::peer::connect(Version::V311, "Simps_60e5aa0c4284f")
        }));
        assert!(matches!(peer.receive(), Packet::ConnAck(_)));
        kitchen.printed(line);
    }
}

#[test]
fn the_topic_decides_about_the_answer() {
    for kind in [Kind::Lua, Kind::Http] {
        let kitchen = Kitchen::with(kind, "Answer by topic");
        let mut client = enter(&kitchen.broker, "client");
        client.subscribe("#", Qos::AtMostOnce);
        assert_eq!(acknowledged(&mut client, "a", ""), ReasonCode::Success);
        assert_eq!(
            acknowledged(&mut client, "b", ""),
            ReasonCode::NoMatchingSubscribers
        );
        assert_eq!(
            acknowledged(&mut client, "c", ""),
            ReasonCode::QuotaExceeded
        );
        if kind == Kind::Lua {
            client.publish("d", "loud", Qos::AtMostOnce, 0);
            assert_eq!(client.message(), ("d/reply".to_owned(), "LOUD".to_owned()));
        }
        client.publish("e", "through", Qos::AtMostOnce, 0);
        assert_eq!(
            client.message(),
            ("e".to_owned(), "through".to_owned()),
            "{kind:?}"
        );
    }
}

#[test]
fn messages_are_enriched() {
    for kind in [Kind::Lua, Kind::Http] {
        let kitchen = Kitchen::with(kind, "Enrich messages");
        let mut client = enter(&kitchen.broker, "plc-7");
        client.subscribe("#", Qos::AtMostOnce);
        client.publish("t", "1", Qos::AtMostOnce, 0);
        let received = client.received_publish();
        let mut added: Vec<_> = received.properties.user_properties().collect();
        added.sort_unstable();
        assert_eq!(
            added,
            [("listener", "mqtt"), ("sender", "plc-7")],
            "{kind:?}"
        );
    }
}

#[test]
fn a_request_becomes_its_response() {
    for kind in [Kind::Lua, Kind::Http] {
        let kitchen = Kitchen::with(kind, "A request/response service");
        let mut client = enter(&kitchen.broker, "client");
        client.subscribe("answers/client", Qos::AtMostOnce);
        let request = |payload: &str| Publish {
            properties: Properties::EMPTY
                .with(Property::ResponseTopic("answers/client"))
                .with(Property::CorrelationData(b"\x07\xFF")),
            ..crate::peer::publish("service/sum", payload, Qos::AtLeastOnce, 3)
        };
        client.send(&Packet::Publish(request("[1, 2, 39]")));
        let mut packets = [client.receive(), client.receive()];
        packets.sort_by_key(|packet| matches!(packet, Packet::PubAck(_)));
        let [Packet::Publish(response), Packet::PubAck(ack)] = &packets else {
            panic!("{packets:?}")
        };
        assert_eq!(
            (&*response.topic, &*response.payload),
            ("answers/client", &br#"{"sum":42}"#[..]),
            "{kind:?}"
        );
        assert_eq!(
            response.properties.correlation_data(),
            Some(&b"\x07\xFF"[..])
        );
        assert_eq!(response.properties.response_topic(), None);
        assert_eq!(ack.reason, ReasonCode::Success);
        client.send(&Packet::Publish(request("seven")));
        let Packet::PubAck(ack) = client.receive() else {
            panic!()
        };
        assert_eq!(ack.reason, ReasonCode::PayloadFormatInvalid, "{kind:?}");
        assert_eq!(
            acknowledged(&mut client, "service/sum", "[1]"),
            ReasonCode::ImplementationSpecificError
        );
    }
}

#[test]
fn what_does_not_fit_the_schema_is_refused() {
    for kind in [Kind::Lua, Kind::Http] {
        let kitchen = Kitchen::with(kind, "Refuse what does not fit");
        let mut client = enter(&kitchen.broker, "client");
        client.subscribe("#", Qos::AtMostOnce);
        for (payload, expected) in [
            (r#"{"value":21.5,"unit":"C"}"#, ReasonCode::Success),
            (
                r#"{"value":"hot","unit":"C"}"#,
                ReasonCode::PayloadFormatInvalid,
            ),
            (r#"{"value":1}"#, ReasonCode::PayloadFormatInvalid),
            ("7", ReasonCode::PayloadFormatInvalid),
            ("{", ReasonCode::PayloadFormatInvalid),
        ] {
            let answer = acknowledged(&mut client, "sensors/oven", payload);
            assert_eq!(answer, expected, "{kind:?} {payload}");
        }
        assert_eq!(acknowledged(&mut client, "other", "{"), ReasonCode::Success);
    }
}
