//! Rows of MQTT 3.1 and 3.1.1, and those that are alike in all versions.

use tidewire_codec::{
    Ack, ConnAck, Connect, Disconnect, Packet, Properties, Publish, Qos, ReasonCode, Sender,
    SubAck, Subscribe, Subscription, SubscriptionOptions, UnsubAck, Unsubscribe, Version, Will,
};

use super::{ALL, Row, V3, V31, V311, bytes, id, row, text};

use Sender::{Client, Server};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = connect();
    rows.extend(connack());
    rows.extend(publish());
    rows.extend(acknowledgements());
    rows.extend(subscriptions());
    rows.extend(without_a_body());
    rows
}

fn plain_connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 60,
        properties: Properties::EMPTY,
        client_id: text("c"),
        will: None,
        username: None,
        password: None,
    }
}

fn connect() -> Vec<Row> {
    let will = Will {
        qos: Qos::AtLeastOnce,
        retain: true,
        properties: Properties::EMPTY,
        topic: text("w/t"),
        payload: bytes(b"gone"),
    };
    vec![
        // [3.1 MQTT31-CONNECT-1]
        row(
            "CONNECT 3.1, plain",
            V31,
            Client,
            b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01c",
            Packet::Connect(plain_connect(Version::V31)),
        ),
        // [3.1.1 MQTT-3.1.3-3]
        row(
            "CONNECT 3.1.1, plain",
            V311,
            Client,
            b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c",
            Packet::Connect(plain_connect(Version::V311)),
        ),
        row(
            "CONNECT 3.1.1, empty client identifier, no clean session",
            V311,
            Client,
            b"\x10\x0C\x00\x04MQTT\x04\x00\x00\x00\x00\x00",
            Packet::Connect(Connect {
                clean_start: false,
                keep_alive_secs: 0,
                client_id: text(""),
                ..plain_connect(Version::V311)
            }),
        ),
        // [3.1.1 MQTT-3.1.3-1] [3.1.1 MQTT-3.1.2-9] [3.1.1 MQTT-3.1.2-19] [3.1.1 MQTT-3.1.2-21]
        row(
            "CONNECT 3.1.1, all fields",
            V311,
            Client,
            b"\x10\x1E\x00\x04MQTT\x04\xEE\x00\x0A\x00\x01c\x00\x03w/t\x00\x04gone\x00\x01u\x00\x01p",
            Packet::Connect(Connect {
                keep_alive_secs: 10,
                will: Some(will.clone()),
                username: Some(text("u")),
                password: Some(bytes(b"p")),
                ..plain_connect(Version::V311)
            }),
        ),
        // The payload behind the prefix is the will message. [3.1 MQTT31-CONNECT-8]
        row(
            "CONNECT 3.1, will",
            V31,
            Client,
            b"\x10\x1A\x00\x06MQIsdp\x03\x2E\x00\x3C\x00\x01c\x00\x03w/t\x00\x04gone",
            Packet::Connect(Connect { will: Some(will), ..plain_connect(Version::V31) }),
        ),
        // [3.1.1 MQTT-3.1.2-20]
        row(
            "CONNECT 3.1.1, user name without password",
            V311,
            Client,
            b"\x10\x10\x00\x04MQTT\x04\x82\x00\x3C\x00\x01c\x00\x01u",
            Packet::Connect(Connect { username: Some(text("u")), ..plain_connect(Version::V311) }),
        ),
        // [3.1 MQTT31-CONNECT-7]
        row(
            "CONNECT 3.1, user name and password announced, both missing",
            V31,
            Client,
            b"\x10\x0F\x00\x06MQIsdp\x03\xC2\x00\x3C\x00\x01c",
            Packet::Connect(plain_connect(Version::V31)),
        )
        .in_another_form(),
        // [3.1 MQTT31-CONNECT-7]
        row(
            "CONNECT 3.1, password announced and missing",
            V31,
            Client,
            b"\x10\x12\x00\x06MQIsdp\x03\xC2\x00\x3C\x00\x01c\x00\x01u",
            Packet::Connect(Connect { username: Some(text("u")), ..plain_connect(Version::V31) }),
        )
        .in_another_form(),
        row(
            "CONNECT 3.1, unused flag and will flags without a will are disregarded",
            V31,
            Client,
            b"\x10\x0F\x00\x06MQIsdp\x03\x3B\x00\x3C\x00\x01c",
            Packet::Connect(plain_connect(Version::V31)),
        )
        .in_another_form(),
        // [3.1.1 MQTT-1.5.3-3]
        row(
            "CONNECT 3.1.1, EF BB BF is a character of the client identifier",
            V311,
            Client,
            b"\x10\x0F\x00\x04MQTT\x04\x02\x00\x3C\x00\x03\xEF\xBB\xBF",
            Packet::Connect(Connect {
                client_id: text("\u{FEFF}"),
                ..plain_connect(Version::V311)
            }),
        ),
    ]
}

fn connack() -> Vec<Row> {
    let connack = |session_present, reason| {
        Packet::ConnAck(ConnAck {
            session_present,
            reason,
            properties: Properties::EMPTY,
        })
    };
    vec![
        row(
            "CONNACK, accepted",
            V3,
            Server,
            b"\x20\x02\x00\x00",
            connack(false, ReasonCode::Success),
        ),
        row(
            "CONNACK, session present",
            V311,
            Server,
            b"\x20\x02\x01\x00",
            connack(true, ReasonCode::Success),
        ),
        row(
            "CONNACK 3.1, reserved byte set",
            V31,
            Server,
            b"\x20\x02\x01\x00",
            connack(false, ReasonCode::Success),
        )
        .in_another_form(),
        row(
            "CONNACK, version refused",
            V3,
            Server,
            b"\x20\x02\x00\x01",
            connack(false, ReasonCode::UnsupportedProtocolVersion),
        ),
        row(
            "CONNACK, client identifier refused",
            V3,
            Server,
            b"\x20\x02\x00\x02",
            connack(false, ReasonCode::ClientIdentifierNotValid),
        ),
        row(
            "CONNACK, unavailable",
            V3,
            Server,
            b"\x20\x02\x00\x03",
            connack(false, ReasonCode::ServerUnavailable),
        ),
        row(
            "CONNACK, bad password",
            V3,
            Server,
            b"\x20\x02\x00\x04",
            connack(false, ReasonCode::BadUserNameOrPassword),
        ),
        row(
            "CONNACK, not authorized",
            V3,
            Server,
            b"\x20\x02\x00\x05",
            connack(false, ReasonCode::NotAuthorized),
        ),
    ]
}

fn publish() -> Vec<Row> {
    let publish = Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: text("a/b"),
        packet_id: None,
        properties: Properties::EMPTY,
        payload: bytes(b"hi"),
    };
    let qos1 = Publish {
        qos: Qos::AtLeastOnce,
        packet_id: Some(id(7)),
        ..publish.clone()
    };
    let qos2 = Publish {
        qos: Qos::ExactlyOnce,
        packet_id: Some(id(0x1234)),
        ..publish.clone()
    };
    vec![
        // The two bytes behind the topic are payload. [3.1.1 MQTT-2.3.1-5]
        row(
            "PUBLISH QoS 0",
            V3,
            Client,
            b"\x30\x07\x00\x03a/bhi",
            Packet::Publish(publish.clone()),
        ),
        row(
            "PUBLISH QoS 0, retained, from the server",
            V3,
            Server,
            b"\x31\x07\x00\x03a/bhi",
            Packet::Publish(Publish {
                retain: true,
                ..publish.clone()
            }),
        ),
        row(
            "PUBLISH QoS 0, empty payload",
            V3,
            Client,
            b"\x31\x05\x00\x03a/b",
            Packet::Publish(Publish {
                retain: true,
                payload: bytes(b""),
                ..publish.clone()
            }),
        ),
        row(
            "PUBLISH QoS 1",
            V3,
            Client,
            b"\x32\x09\x00\x03a/b\x00\x07hi",
            Packet::Publish(qos1.clone()),
        ),
        // [3.1 MQTT31-DUP-4]
        row(
            "PUBLISH QoS 1, repeated",
            V3,
            Client,
            b"\x3A\x09\x00\x03a/b\x00\x07hi",
            Packet::Publish(Publish { dup: true, ..qos1 }),
        ),
        row(
            "PUBLISH QoS 2",
            V3,
            Client,
            b"\x34\x09\x00\x03a/b\x12\x34hi",
            Packet::Publish(qos2),
        ),
        row(
            "PUBLISH 3.1 QoS 0 with DUP, which has no meaning there",
            V31,
            Client,
            b"\x38\x07\x00\x03a/bhi",
            Packet::Publish(publish.clone()),
        )
        .in_another_form(),
        row(
            "PUBLISH, remaining length longer than needed",
            V3,
            Client,
            b"\x30\x87\x80\x00\x00\x03a/bhi",
            Packet::Publish(publish),
        )
        .in_another_form(),
    ]
}

fn acknowledgements() -> Vec<Row> {
    let mut rows = Vec::new();
    for sender in [Client, Server] {
        rows.extend([
            row(
                "PUBACK",
                ALL,
                sender,
                b"\x40\x02\x00\x07",
                Packet::PubAck(Ack::success(id(7))),
            ),
            row(
                "PUBREC",
                ALL,
                sender,
                b"\x50\x02\xFF\xFF",
                Packet::PubRec(Ack::success(id(65535))),
            ),
            row(
                "PUBREL",
                ALL,
                sender,
                b"\x62\x02\x00\x07",
                Packet::PubRel(Ack::success(id(7))),
            ),
            row(
                "PUBCOMP",
                ALL,
                sender,
                b"\x70\x02\x00\x07",
                Packet::PubComp(Ack::success(id(7))),
            ),
            // [3.1 MQTT31-DUP-3]
            row(
                "PUBREL 3.1, repeated",
                V31,
                sender,
                b"\x6A\x02\x00\x07",
                Packet::PubRel(Ack::success(id(7))),
            )
            .in_another_form(),
        ]);
    }
    rows
}

fn subscriptions() -> Vec<Row> {
    let subscription = |filter, qos| Subscription {
        filter: text(filter),
        options: SubscriptionOptions::with_qos(qos),
    };
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: id(1),
        properties: Properties::EMPTY,
        filters: vec![
            subscription("a/#", Qos::AtMostOnce),
            subscription("+", Qos::ExactlyOnce),
        ],
    });
    let unsubscribe = Packet::Unsubscribe(Unsubscribe {
        packet_id: id(2),
        properties: Properties::EMPTY,
        filters: vec![text("a/#"), text("+")],
    });
    let suback = |reasons: &[ReasonCode]| {
        Packet::SubAck(SubAck {
            packet_id: id(1),
            properties: Properties::EMPTY,
            reasons: reasons.to_vec(),
        })
    };
    let granted = [
        ReasonCode::Success,
        ReasonCode::GrantedQos1,
        ReasonCode::GrantedQos2,
    ];
    vec![
        row(
            "SUBSCRIBE, two filters",
            V3,
            Client,
            b"\x82\x0C\x00\x01\x00\x03a/#\x00\x00\x01+\x02",
            subscribe.clone(),
        ),
        // [3.1 MQTT31-DUP-1]
        row(
            "SUBSCRIBE 3.1, repeated",
            V31,
            Client,
            b"\x8A\x0C\x00\x01\x00\x03a/#\x00\x00\x01+\x02",
            subscribe,
        )
        .in_another_form(),
        row(
            "UNSUBSCRIBE, two filters",
            V3,
            Client,
            b"\xA2\x0A\x00\x02\x00\x03a/#\x00\x01+",
            unsubscribe.clone(),
        ),
        // [3.1 MQTT31-DUP-2]
        row(
            "UNSUBSCRIBE 3.1, repeated",
            V31,
            Client,
            b"\xAA\x0A\x00\x02\x00\x03a/#\x00\x01+",
            unsubscribe,
        )
        .in_another_form(),
        row(
            "SUBACK, granted",
            V3,
            Server,
            b"\x90\x05\x00\x01\x00\x01\x02",
            suback(&granted),
        ),
        row(
            "SUBACK 3.1.1, refused",
            V311,
            Server,
            b"\x90\x03\x00\x01\x80",
            suback(&[ReasonCode::UnspecifiedError]),
        ),
        row(
            "UNSUBACK",
            V3,
            Server,
            b"\xB0\x02\x00\x02",
            Packet::UnsubAck(UnsubAck {
                packet_id: id(2),
                properties: Properties::EMPTY,
                reasons: Vec::new(),
            }),
        ),
    ]
}

fn without_a_body() -> Vec<Row> {
    vec![
        row("PINGREQ", ALL, Client, b"\xC0\x00", Packet::PingReq),
        row("PINGRESP", ALL, Server, b"\xD0\x00", Packet::PingResp),
        row(
            "DISCONNECT",
            ALL,
            Client,
            b"\xE0\x00",
            Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)),
        ),
    ]
}
