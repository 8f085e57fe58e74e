//! Raw listeners: a controller in the place of the broker, seen by real TCP clients at packet level.

use crate::peer::*;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tidewire_broker::{Broker, ListenerSettings, Settings};
use tidewire_codec::{
    Ack, ConnAck, Connect, Disconnect, Packet, PacketId, Properties, Publish, Qos, ReasonCode,
    SubAck, Subscribe, Version,
};
use tidewire_core::Limits;
use tidewire_handler::{Connection, Controller, Reply};

fn ack(id: u16) -> Ack<'static> {
    Ack {
        packet_id: PacketId::new(id).unwrap(),
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    }
}

/// What the controller was told, and by which connection.
type Word = (String, Option<Connection>);

/// The controller of the first seed's example: acknowledges of every kind for messages of QoS 0, and a message before SUBACK.
#[derive(Default)]
struct Imi {
    told: Option<Mutex<Sender<Word>>>,
}

impl Imi {
    fn tell(&self, what: &str, connection: Option<&Connection>) {
        if let Some(told) = &self.told {
            let _ = told
                .lock()
                .unwrap()
                .send((what.to_owned(), connection.cloned()));
        }
    }
}

impl Controller for Imi {
    fn connect(&self, connection: &Connection, packet: &Connect<'_>) -> Reply {
        self.tell(&format!("connect {}", packet.client_id), Some(connection));
        let reason = match packet.username.as_deref() {
            Some("mallory") => ReasonCode::NotAuthorized,
            _ => ReasonCode::Success,
        };
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason,
            properties: Properties::EMPTY,
        })
        .into()
    }

    fn publish(&self, connection: &Connection, packet: &Publish<'_>) -> Reply {
        let id = 1;
        match &*packet.topic {
            "a" => Packet::PubAck(ack(id)).into(),
            "b" => Packet::PubRec(ack(id)).into(),
            "c" => Packet::PubRel(ack(id)).into(),
            "d" => Packet::PubComp(ack(id)).into(),
            "panic" => panic!("a bug"),
            "close" => Reply::Close(ReasonCode::QuotaExceeded),
            "slow" => {
                let payload = String::from_utf8_lossy(&packet.payload).into_owned();
                let own = connection.clone();
                Reply::later(async move {
                    own.push(Packet::Publish(publish(
                        "early",
                        &payload,
                        Qos::AtMostOnce,
                        0,
                    )))
                    .unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    Packet::Publish(publish("late", &payload, Qos::AtMostOnce, 0))
                })
            }
            "connack" => Packet::ConnAck(ConnAck {
                session_present: false,
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            })
            .into(),
            _ => Reply::None,
        }
    }

    fn publish_received(&self, _: &Connection, packet: &Ack<'_>) -> Reply {
        Packet::PubRel(ack(packet.packet_id.get())).into()
    }

    fn subscribe(&self, connection: &Connection, packet: &Subscribe<'_>) -> Reply {
        let before = publish("before", "the SUBACK", Qos::AtMostOnce, 0);
        connection.push(Packet::Publish(before)).unwrap();
        Packet::SubAck(SubAck {
            packet_id: packet.packet_id,
            properties: Properties::EMPTY,
            reasons: packet.filters.iter().map(|_| ReasonCode::Success).collect(),
        })
        .into()
    }

    fn disconnect(&self, _: &Connection, packet: &Disconnect<'_>) -> Reply {
        self.tell(&format!("disconnect {:?}", packet.reason), None);
        Reply::None
    }

    fn closed(&self, connection: &Connection) {
        self.tell(&format!("closed {}", connection.client_id()), None);
    }
}

/// Echoes each message to its sender.
struct Echo;

impl Controller for Echo {
    fn publish(&self, _: &Connection, packet: &Publish<'_>) -> Reply {
        Packet::Publish(packet.clone().into_owned()).into()
    }
}

fn listener(name: &str) -> ListenerSettings {
    ListenerSettings::new(name, "tcp://127.0.0.1:0".parse().unwrap())
}

type Told = Receiver<Word>;

fn house(limits: Limits) -> (Broker, Told) {
    let (send, told) = channel();
    let imi = Imi {
        told: Some(Mutex::new(send)),
    };
    let settings = Settings {
        limits,
        ..settings()
    };
    let broker = Broker::builder()
        .settings(settings)
        .raw_listener(listener("imi"), imi)
        .raw_listener(listener("echo"), Echo)
        .listener(listener("broker"))
        .start()
        .unwrap();
    (broker, told)
}

fn address(broker: &Broker, name: &str) -> SocketAddr {
    let mut addresses = broker.addresses().iter();
    addresses
        .find(|bound| *bound.listener == *name)
        .unwrap()
        .address
}

fn dial(broker: &Broker, name: &str, version: Version) -> Peer<TcpStream> {
    let stream = TcpStream::connect(address(broker, name)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Peer::over(stream, version)
}

fn expect(told: &Told, text: &str) -> Option<Connection> {
    let (heard, connection) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(heard, text);
    connection
}

#[test]
fn a_message_of_qos_0_is_answered_with_the_packet_that_its_topic_asks_for() {
    let (broker, _) = house(Limits::default());
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut client = dial(&broker, "imi", version);
        client.connect("c");
        let table = [
            ("a", Packet::PubAck(ack(1))),
            ("b", Packet::PubRec(ack(1))),
            ("c", Packet::PubRel(ack(1))),
            ("d", Packet::PubComp(ack(1))),
        ];
        for (topic, reply) in table {
            client.publish(topic, "x", Qos::AtMostOnce, 0);
            assert_eq!(client.receive(), reply, "{topic}");
        }
        client.publish("e", "x", Qos::ExactlyOnce, 7);
        client.ping();
        client.send(&Packet::PubRec(ack(9)));
        assert_eq!(client.receive(), Packet::PubRel(ack(9)));
        client.publish("connack", "x", Qos::AtMostOnce, 0);
        assert!(matches!(client.receive(), Packet::ConnAck(_)));
    }
}

#[test]
fn what_a_controller_pushes_before_it_returns_goes_out_before_the_suback() {
    let (broker, _) = house(Limits::default());
    let mut client = dial(&broker, "imi", Version::V311);
    client.connect("c");
    client.send(&Packet::Subscribe(subscribe(&["x", "y"], Qos::AtMostOnce)));
    assert_eq!(
        client.message(),
        ("before".to_owned(), "the SUBACK".to_owned())
    );
    match client.receive() {
        Packet::SubAck(suback) => assert_eq!(suback.reasons.len(), 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn any_packet_is_pushed_to_any_connection_from_anywhere_as_long_as_it_is_open() {
    let (broker, told) = house(Limits::default());
    let mut first = dial(&broker, "imi", Version::V5);
    first.connect("first");
    let to_first = expect(&told, "connect first").unwrap();
    let mut second = dial(&broker, "imi", Version::V311);
    second.connect("second");
    let to_second = expect(&told, "connect second").unwrap();
    assert_eq!(to_first.client_id(), "first");
    assert_eq!(to_first.listener_name(), "imi");
    let pusher = std::thread::spawn(move || {
        for id in 1..=200 {
            to_first.push(Packet::PubComp(ack(id))).unwrap();
            to_second.push(Packet::PubRel(ack(id))).unwrap();
        }
        (to_first, to_second)
    });
    for id in 1..=200 {
        assert_eq!(first.receive(), Packet::PubComp(ack(id)));
        assert_eq!(second.receive(), Packet::PubRel(ack(id)));
    }
    let (to_first, to_second) = pusher.join().unwrap();
    to_second.close(ReasonCode::AdministrativeAction);
    assert_eq!(second.try_receive(), None);
    to_first.close(ReasonCode::AdministrativeAction);
    match first.receive() {
        Packet::Disconnect(disconnect) => {
            assert_eq!(disconnect.reason, ReasonCode::AdministrativeAction);
        }
        other => panic!("{other:?}"),
    }
    drop((first, second));
    let mut closed = [
        told.recv_timeout(PATIENCE).unwrap().0,
        told.recv_timeout(PATIENCE).unwrap().0,
    ];
    closed.sort_unstable();
    assert_eq!(closed, ["closed first", "closed second"]);
    assert!(to_first.push(Packet::PingResp).is_err());
}

#[test]
fn a_reply_that_takes_time_holds_the_connections_later_packets_and_no_other_connection() {
    let (broker, _) = house(Limits::default());
    let mut client = dial(&broker, "imi", Version::V311);
    client.connect("c");
    let mut other = dial(&broker, "imi", Version::V311);
    other.connect("other");
    for number in 0..10 {
        client.publish("slow", &number.to_string(), Qos::AtMostOnce, 0);
    }
    client.publish("a", "x", Qos::AtMostOnce, 0);
    other.ping();
    for number in 0..10 {
        assert_eq!(client.message(), ("early".to_owned(), number.to_string()));
        assert_eq!(client.message(), ("late".to_owned(), number.to_string()));
    }
    assert_eq!(client.receive(), Packet::PubAck(ack(1)));
}

#[test]
fn named_listeners_answer_differently_and_stand_beside_the_broker() {
    let (broker, _) = house(Limits::default());
    let mut raw = dial(&broker, "imi", Version::V311);
    let mut echo = dial(&broker, "echo", Version::V311);
    let mut member = dial(&broker, "broker", Version::V311);
    for client in [&mut raw, &mut echo, &mut member] {
        client.connect("c");
    }
    member.subscribe("#", Qos::AtMostOnce);
    raw.publish("a", "x", Qos::AtMostOnce, 0);
    assert_eq!(raw.receive(), Packet::PubAck(ack(1)));
    echo.publish("a", "x", Qos::AtMostOnce, 0);
    assert_eq!(echo.message(), ("a".to_owned(), "x".to_owned()));
    member.publish("a", "y", Qos::AtMostOnce, 0);
    assert_eq!(member.message(), ("a".to_owned(), "y".to_owned()));
    let rows = broker.handle().clients(None, 10).unwrap().rows;
    assert_eq!(rows.len(), 1, "raw connections have no session: {rows:?}");
}

#[test]
fn framing_limits_and_keep_alive_are_the_listeners_own() {
    let limits = Limits {
        max_packet_size_bytes: 1000,
        ..Limits::default()
    };
    let (broker, told) = house(limits);
    let mut large = dial(&broker, "imi", Version::V5);
    large.connect("large");
    expect(&told, "connect large");
    large.publish("e", &"x".repeat(1000), Qos::AtMostOnce, 0);
    match large.receive() {
        Packet::Disconnect(disconnect) => assert_eq!(disconnect.reason, ReasonCode::PacketTooLarge),
        other => panic!("{other:?}"),
    }
    drop(large);
    expect(&told, "closed large");

    let mut twice = dial(&broker, "imi", Version::V5);
    twice.connect("twice");
    expect(&told, "connect twice");
    twice.send(&Packet::Connect(connect(Version::V5, "twice")));
    match twice.receive() {
        Packet::Disconnect(disconnect) => assert_eq!(disconnect.reason, ReasonCode::ProtocolError),
        other => panic!("{other:?}"),
    }
    drop(twice);
    expect(&told, "closed twice");

    let mut early = dial(&broker, "imi", Version::V311);
    early.publish("a", "x", Qos::AtMostOnce, 0);
    assert_eq!(early.try_receive(), None, "the first packet is CONNECT");

    let mut silent = dial(&broker, "imi", Version::V5);
    let mut packet = connect(Version::V5, "silent");
    packet.keep_alive_secs = 1;
    silent.send(&Packet::Connect(packet));
    silent.receive();
    expect(&told, "connect silent");
    match silent.receive() {
        Packet::Disconnect(disconnect) => {
            assert_eq!(disconnect.reason, ReasonCode::KeepAliveTimeout);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_controller_that_panics_or_closes_ends_that_connection_and_no_other() {
    let (broker, told) = house(Limits::default());
    let mut other = dial(&broker, "imi", Version::V5);
    other.connect("other");
    expect(&told, "connect other");
    for (topic, reason) in [
        ("panic", ReasonCode::UnspecifiedError),
        ("close", ReasonCode::QuotaExceeded),
    ] {
        let mut client = dial(&broker, "imi", Version::V5);
        client.connect(topic);
        expect(&told, &format!("connect {topic}"));
        client.publish(topic, "x", Qos::AtMostOnce, 0);
        match client.receive() {
            Packet::Disconnect(disconnect) => assert_eq!(disconnect.reason, reason),
            other => panic!("{other:?}"),
        }
        assert_eq!(client.try_receive(), None);
        drop(client);
        expect(&told, &format!("closed {topic}"));
        other.ping();
    }
    let mut refused = dial(&broker, "imi", Version::V311);
    let mut packet = connect(Version::V311, "refused");
    packet.username = Some("mallory".into());
    refused.send(&Packet::Connect(packet));
    match refused.receive() {
        Packet::ConnAck(connack) => assert_eq!(connack.reason, ReasonCode::NotAuthorized),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_disconnect_reaches_the_controller_and_ends_the_connection() {
    let (broker, told) = house(Limits::default());
    let mut client = dial(&broker, "imi", Version::V5);
    client.connect("c");
    expect(&told, "connect c");
    client.send(&Packet::Disconnect(Disconnect {
        reason: ReasonCode::DisconnectWithWill,
        properties: Properties::EMPTY,
    }));
    assert_eq!(client.try_receive(), None);
    drop(client);
    expect(&told, "disconnect DisconnectWithWill");
    expect(&told, "closed c");
    let report = broker.handle().shutdown(PATIENCE);
    assert_eq!(report.connections, 0);
}
