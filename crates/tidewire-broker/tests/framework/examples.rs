//! The examples, run as a user runs them: started, and talked to over TCP.

use crate::peer::*;
use std::net::TcpStream;
use std::sync::mpsc::channel;
use tidewire_broker::Broker;
use tidewire_codec::{Ack, Packet, PacketId, Properties, Property, Qos, ReasonCode, Version};

#[path = "../../examples/enricher.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
mod enricher;
#[path = "../../examples/print_connects.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
mod print_connects;
#[path = "../../examples/raw_controller.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
mod raw_controller;
#[path = "../../examples/request_response.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
mod request_response;
#[path = "../../examples/schema_check.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
mod schema_check;
#[path = "../../examples/user_areas.rs"]
#[allow(dead_code, unreachable_pub, reason = "a program of its own")]
mod user_areas;

const ANY_PORT: &str = "tcp://127.0.0.1:0";

fn dial(broker: &Broker, version: Version) -> Peer<TcpStream> {
    let stream = TcpStream::connect(broker.addresses()[0].address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Peer::over(stream, version)
}

fn member(broker: &Broker, version: Version, client_id: &str) -> Peer<TcpStream> {
    let mut peer = dial(broker, version);
    peer.connect(client_id);
    peer
}

fn ack(id: u16) -> Ack<'static> {
    Ack {
        packet_id: PacketId::new(id).unwrap(),
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    }
}

#[test]
fn raw_controller_answers_by_topic_and_greets_those_who_are_there() {
    let broker = raw_controller::start(ANY_PORT).unwrap();
    let mut first = member(&broker, Version::V311, "first");
    let table = [
        ("a", Packet::PubAck(ack(1))),
        ("b", Packet::PubRec(ack(1))),
        ("c", Packet::PubRel(ack(1))),
        ("d", Packet::PubComp(ack(1))),
    ];
    for (topic, reply) in table {
        first.publish(topic, "x", Qos::AtMostOnce, 0);
        assert_eq!(first.receive(), reply);
    }
    first.send(&Packet::Subscribe(subscribe(&["t"], Qos::AtMostOnce)));
    assert_eq!(first.message(), ("subscribed".to_owned(), "t".to_owned()));
    assert!(matches!(first.receive(), Packet::SubAck(_)));
    let _second = member(&broker, Version::V5, "second");
    assert_eq!(first.message(), ("present".to_owned(), "second".to_owned()));
}

#[test]
fn print_connects_prints_one_line_of_json_for_each_connect() {
    let (send, lines) = channel();
    let send = std::sync::Mutex::new(send);
    let print = move |line: &str| send.lock().unwrap().send(line.to_owned()).unwrap();
    let broker = print_connects::start(ANY_PORT, print).unwrap();
    let mut peer = dial(&broker, Version::V311);
    let mut packet = connect(Version::V311, "printed");
    packet.username = Some("u".into());
    packet.password = Some(b"p"[..].into());
    peer.send(&Packet::Connect(packet.clone()));
    peer.receive();
    let line = lines.recv_timeout(PATIENCE).unwrap();
    assert_eq!(line, tidewire_handler::json::connect(&packet));
    assert!(
        line.starts_with('{') && line.contains("\"printed\""),
        "{line}"
    );
}

const USERS: &[(&str, &str)] = &[("alice", "secret"), ("bob", "hidden")];

fn user(
    broker: &Broker,
    name: &'static str,
    password: &'static str,
) -> (Peer<TcpStream>, ReasonCode) {
    let mut peer = dial(broker, Version::V5);
    let mut packet = connect(Version::V5, name);
    packet.username = Some(name.into());
    packet.password = Some(password.as_bytes().into());
    peer.send(&Packet::Connect(packet));
    match peer.receive() {
        Packet::ConnAck(connack) => (peer, connack.reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn user_areas_keeps_everybody_to_their_own_area_and_announces_subscribers() {
    let broker = user_areas::start(ANY_PORT, USERS).unwrap();
    assert_eq!(user(&broker, "alice", "wrong").1, ReasonCode::NotAuthorized);
    let (mut alice, reason) = user(&broker, "alice", "secret");
    assert_eq!(reason, ReasonCode::Success);
    let (mut bob, _) = user(&broker, "bob", "hidden");
    let refused = [
        "#",
        "/#",
        "/users/#",
        "/users/+/x",
        "/users/bob/#",
        "users/alice",
        "anything/public",
        "$share/public/anything",
        "$share/g//users/bob/x",
        "/users",
    ];
    for filter in refused {
        assert_eq!(
            alice.subscribe(filter, Qos::AtMostOnce),
            ReasonCode::NotAuthorized,
            "{filter}"
        );
    }
    assert_eq!(
        alice.subscribe("/users/alice/#", Qos::AtMostOnce),
        ReasonCode::Success
    );
    assert_eq!(
        alice.subscribe("/public/#", Qos::AtMostOnce),
        ReasonCode::Success
    );
    let (topic, text) = alice.message();
    assert_eq!(topic, "/public/systemInfo");
    assert!(text.starts_with("alice has subscribed topic: "), "{text}");
    bob.publish("/users/alice/door", "x", Qos::AtLeastOnce, 1);
    match bob.receive() {
        Packet::PubAck(ack) => assert_eq!(ack.reason, ReasonCode::NotAuthorized),
        other => panic!("{other:?}"),
    }
    bob.publish("/public/test1", "x", Qos::AtMostOnce, 0);
    let mut heard = Vec::new();
    // The message and the answer to it come from different workers.
    while !["/public/test1", "/public/other"]
        .iter()
        .all(|topic| heard.contains(&topic.to_string()))
    {
        heard.push(alice.message().0);
    }
}

#[test]
fn enricher_adds_who_published_and_where() {
    let broker = enricher::start(ANY_PORT).unwrap();
    let mut subscriber = member(&broker, Version::V5, "subscriber");
    subscriber.subscribe("t", Qos::AtMostOnce);
    let mut publisher = member(&broker, Version::V311, "device-7");
    publisher.publish("t", "x", Qos::AtMostOnce, 0);
    let received = subscriber.received_publish();
    let added: Vec<_> = received.properties.user_properties().collect();
    assert_eq!(added, [("publisher", "device-7"), ("listener", "mqtt")]);
}

#[test]
fn request_response_answers_where_it_is_asked_to_and_ends_with_the_broker() {
    let (broker, service) = request_response::start(ANY_PORT).unwrap();
    let mut client = member(&broker, Version::V5, "client");
    client.subscribe("answers/client", Qos::AtMostOnce);
    let mut request = publish("service/upper", "hello", Qos::AtMostOnce, 0);
    request.properties = Properties::EMPTY
        .with(Property::ResponseTopic("answers/client"))
        .with(Property::CorrelationData(b"17"));
    client.send(&Packet::Publish(request));
    let response = client.received_publish();
    assert_eq!(&*response.payload, b"HELLO");
    assert_eq!(response.properties.correlation_data(), Some(&b"17"[..]));
    drop(broker);
    service.join().unwrap();
}

#[test]
fn schema_check_refuses_what_is_not_as_its_schema_says() {
    let broker = schema_check::start(ANY_PORT).unwrap();
    let mut client = member(&broker, Version::V5, "client");
    let table = [
        (
            "telemetry/1",
            r#"{"temperature": 21.5, "unit": "C"}"#,
            ReasonCode::NoMatchingSubscribers,
        ),
        (
            "telemetry/1",
            r#"{"temperature": "warm", "unit": "C"}"#,
            ReasonCode::PayloadFormatInvalid,
        ),
        (
            "telemetry/1",
            r#"{"temperature": 21.5}"#,
            ReasonCode::PayloadFormatInvalid,
        ),
        ("telemetry/1", "21.5 C", ReasonCode::PayloadFormatInvalid),
        ("other", "21.5 C", ReasonCode::NoMatchingSubscribers),
    ];
    for (topic, payload, reason) in table {
        client.publish(topic, payload, Qos::AtLeastOnce, 1);
        match client.receive() {
            Packet::PubAck(ack) => assert_eq!(ack.reason, reason, "{payload}"),
            other => panic!("{other:?}"),
        }
    }
}
