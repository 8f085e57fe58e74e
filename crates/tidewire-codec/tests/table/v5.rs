//! Rows of MQTT 5.0.

use tidewire_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Properties, Property, Publish, Qos,
    ReasonCode, RetainHandling, Sender, SubAck, Subscribe, Subscription, SubscriptionOptions,
    UnsubAck, Unsubscribe, Version, Will,
};

use super::{Row, V5, bytes, id, properties, row, text};

use Sender::{Client, Server};

pub(super) fn rows() -> Vec<Row> {
    let mut rows = connect();
    rows.extend(connack());
    rows.extend(publish());
    rows.extend(acknowledgements());
    rows.extend(subscriptions());
    rows.extend(endings());
    rows
}

fn plain_connect() -> Connect<'static> {
    Connect {
        version: Version::V5,
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
    let all_properties = properties(&[
        Property::SessionExpiryInterval(u32::MAX),
        Property::ReceiveMaximum(20),
        Property::MaximumPacketSize(1024),
        Property::TopicAliasMaximum(5),
        Property::RequestResponseInformation(1),
        Property::RequestProblemInformation(0),
        Property::UserProperty("k", "v"),
        Property::AuthenticationMethod("m"),
        Property::AuthenticationData(b"d"),
    ]);
    let will = Will {
        qos: Qos::ExactlyOnce,
        retain: false,
        properties: properties(&[
            Property::WillDelayInterval(30),
            Property::PayloadFormatIndicator(1),
            Property::MessageExpiryInterval(60),
            Property::ContentType("t"),
            Property::ResponseTopic("r"),
            Property::CorrelationData(b"x"),
            Property::UserProperty("k", "v"),
        ]),
        topic: text("w"),
        payload: bytes(b""),
    };
    vec![
        // No properties is a length of 0. [5.0 MQTT-2.2.2-1] [5.0 MQTT-3.1.3-3]
        row(
            "CONNECT 5.0, plain",
            V5,
            Client,
            b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01c",
            Packet::Connect(plain_connect()),
        ),
        // [5.0 MQTT-1.5.4-3]
        row(
            "CONNECT 5.0, EF BB BF is a character of the client identifier",
            V5,
            Client,
            b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x03\xEF\xBB\xBF",
            Packet::Connect(Connect { client_id: text("\u{FEFF}"), ..plain_connect() }),
        ),
        // [5.0 MQTT-3.1.2-19]
        row(
            "CONNECT 5.0, password without user name",
            V5,
            Client,
            b"\x10\x11\x00\x04MQTT\x05\x42\x00\x3C\x00\x00\x01c\x00\x01p",
            Packet::Connect(Connect { password: Some(bytes(b"p")), ..plain_connect() }),
        ),
        row(
            "CONNECT 5.0, all properties",
            V5,
            Client,
            b"\x10\x31\x00\x04MQTT\x05\x02\x00\x3C\x23\
              \x11\xFF\xFF\xFF\xFF\x21\x00\x14\x27\x00\x00\x04\x00\x22\x00\x05\x19\x01\x17\x00\
              \x26\x00\x01k\x00\x01v\x15\x00\x01m\x16\x00\x01d\x00\x01c",
            Packet::Connect(Connect { properties: all_properties, ..plain_connect() }),
        ),
        // [5.0 MQTT-3.1.3-1] [5.0 MQTT-3.1.2-9] [5.0 MQTT-3.1.2-17] [5.0 MQTT-3.1.2-19]
        row(
            "CONNECT 5.0, will with all properties, user name and password",
            V5,
            Client,
            b"\x10\x39\x00\x04MQTT\x05\xD6\x00\x3C\x00\x00\x01c\
              \x1F\x18\x00\x00\x00\x1E\x01\x01\x02\x00\x00\x00\x3C\x03\x00\x01t\x08\x00\x01r\x09\x00\x01x\
              \x26\x00\x01k\x00\x01v\x00\x01w\x00\x00\x00\x01u\x00\x01p",
            Packet::Connect(Connect {
                will: Some(will),
                username: Some(text("u")),
                password: Some(bytes(b"p")),
                ..plain_connect()
            }),
        ),
    ]
}

fn connack() -> Vec<Row> {
    let all_properties = properties(&[
        Property::SessionExpiryInterval(1),
        Property::ReceiveMaximum(2),
        Property::MaximumQos(1),
        Property::RetainAvailable(0),
        Property::MaximumPacketSize(3),
        Property::AssignedClientIdentifier("i"),
        Property::TopicAliasMaximum(4),
        Property::ReasonString("r"),
        Property::UserProperty("", ""),
        Property::WildcardSubscriptionAvailable(0),
        Property::SubscriptionIdentifierAvailable(1),
        Property::SharedSubscriptionAvailable(0),
        Property::ServerKeepAlive(5),
        Property::ResponseInformation("o"),
        Property::ServerReference("s"),
        Property::AuthenticationMethod("m"),
        Property::AuthenticationData(b""),
    ]);
    let connack = |session_present, reason, properties| {
        Packet::ConnAck(ConnAck {
            session_present,
            reason,
            properties,
        })
    };
    vec![
        // [5.0 MQTT-2.2.2-1]
        row(
            "CONNACK 5.0, session present",
            V5,
            Server,
            b"\x20\x03\x01\x00\x00",
            connack(true, ReasonCode::Success, Properties::EMPTY),
        ),
        row(
            "CONNACK 5.0, refused",
            V5,
            Server,
            b"\x20\x03\x00\x87\x00",
            connack(false, ReasonCode::NotAuthorized, Properties::EMPTY),
        ),
        row(
            "CONNACK 5.0, all properties",
            V5,
            Server,
            b"\x20\x3C\x00\x00\x39\x11\x00\x00\x00\x01\x21\x00\x02\x24\x01\x25\x00\x27\x00\x00\x00\x03\
              \x12\x00\x01i\x22\x00\x04\x1F\x00\x01r\x26\x00\x00\x00\x00\x28\x00\x29\x01\x2A\x00\x13\x00\x05\
              \x1A\x00\x01o\x1C\x00\x01s\x15\x00\x01m\x16\x00\x00",
            connack(false, ReasonCode::Success, all_properties),
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
    let all_properties = properties(&[
        Property::PayloadFormatIndicator(1),
        Property::MessageExpiryInterval(9),
        Property::TopicAlias(3),
        Property::ResponseTopic("r/t"),
        Property::CorrelationData(b"\x00\x01"),
        Property::UserProperty("k", "1"),
        Property::UserProperty("k", "2"),
        Property::ContentType("c"),
    ]);
    let two_identifiers = properties(&[
        Property::SubscriptionIdentifier(1),
        Property::SubscriptionIdentifier(268_435_455),
    ]);
    vec![
        // [5.0 MQTT-2.2.2-1] [5.0 MQTT-2.2.1-2]
        row("PUBLISH 5.0 QoS 0", V5, Client, b"\x30\x08\x00\x03a/b\x00hi", Packet::Publish(publish.clone())),
        row(
            "PUBLISH 5.0 QoS 2, repeated, retained",
            V5,
            Server,
            b"\x3D\x0A\x00\x03a/b\x00\x01\x00hi",
            Packet::Publish(Publish {
                dup: true,
                qos: Qos::ExactlyOnce,
                retain: true,
                packet_id: Some(id(1)),
                ..publish.clone()
            }),
        ),
        row(
            "PUBLISH 5.0, topic alias alone",
            V5,
            Client,
            b"\x30\x08\x00\x00\x03\x23\x00\x01hi",
            Packet::Publish(Publish {
                topic: text(""),
                properties: properties(&[Property::TopicAlias(1)]),
                ..publish.clone()
            }),
        ),
        row(
            "PUBLISH 5.0, all properties",
            V5,
            Client,
            b"\x32\x31\x00\x03a/b\x00\x05\x27\x01\x01\x02\x00\x00\x00\x09\x23\x00\x03\x08\x00\x03r/t\
              \x09\x00\x02\x00\x01\x26\x00\x01k\x00\x011\x26\x00\x01k\x00\x012\x03\x00\x01chi",
            Packet::Publish(Publish {
                qos: Qos::AtLeastOnce,
                packet_id: Some(id(5)),
                properties: all_properties,
                ..publish.clone()
            }),
        ),
        row(
            "PUBLISH 5.0, two subscription identifiers",
            V5,
            Server,
            b"\x30\x0F\x00\x03a/b\x07\x0B\x01\x0B\xFF\xFF\xFF\x7Fhi",
            Packet::Publish(Publish { properties: two_identifiers, ..publish }),
        ),
    ]
}

fn acknowledgements() -> Vec<Row> {
    let mut rows = Vec::new();
    let because = |reason| Ack {
        packet_id: id(7),
        reason,
        properties: properties(&[
            Property::ReasonString("no"),
            Property::UserProperty("k", "v"),
        ]),
    };
    for sender in [Client, Server] {
        rows.extend([
            row(
                "PUBACK 5.0, reason alone",
                V5,
                sender,
                b"\x40\x03\x00\x07\x10",
                Packet::PubAck(Ack::with_reason(id(7), ReasonCode::NoMatchingSubscribers)),
            ),
            row(
                "PUBACK 5.0, success written out",
                V5,
                sender,
                b"\x40\x04\x00\x07\x00\x00",
                Packet::PubAck(Ack::success(id(7))),
            )
            .in_another_form(),
            row(
                "PUBACK 5.0, success without properties written out",
                V5,
                sender,
                b"\x40\x03\x00\x07\x00",
                Packet::PubAck(Ack::success(id(7))),
            )
            .in_another_form(),
            row(
                "PUBACK 5.0, properties",
                V5,
                sender,
                b"\x40\x10\x00\x07\x87\x0C\x1F\x00\x02no\x26\x00\x01k\x00\x01v",
                Packet::PubAck(because(ReasonCode::NotAuthorized)),
            ),
            row(
                "PUBREC 5.0, properties",
                V5,
                sender,
                b"\x50\x10\x00\x07\x91\x0C\x1F\x00\x02no\x26\x00\x01k\x00\x01v",
                Packet::PubRec(because(ReasonCode::PacketIdentifierInUse)),
            ),
            row(
                "PUBREL 5.0, properties",
                V5,
                sender,
                b"\x62\x10\x00\x07\x92\x0C\x1F\x00\x02no\x26\x00\x01k\x00\x01v",
                Packet::PubRel(because(ReasonCode::PacketIdentifierNotFound)),
            ),
            row(
                "PUBCOMP 5.0, properties with success",
                V5,
                sender,
                b"\x70\x10\x00\x07\x00\x0C\x1F\x00\x02no\x26\x00\x01k\x00\x01v",
                Packet::PubComp(because(ReasonCode::Success)),
            ),
        ]);
    }
    rows
}

fn subscriptions() -> Vec<Row> {
    let user = || properties(&[Property::UserProperty("k", "v")]);
    let because = || {
        properties(&[
            Property::ReasonString("no"),
            Property::UserProperty("k", "v"),
        ])
    };
    let subscribe = Subscribe {
        packet_id: id(1),
        properties: properties(&[
            Property::SubscriptionIdentifier(128),
            Property::UserProperty("k", "v"),
        ]),
        filters: vec![
            Subscription {
                filter: text("a/+"),
                options: SubscriptionOptions {
                    qos: Qos::AtLeastOnce,
                    no_local: true,
                    retain_as_published: true,
                    retain_handling: RetainHandling::DoNotSend,
                },
            },
            Subscription {
                filter: text("$share/g/x"),
                options: SubscriptionOptions {
                    retain_handling: RetainHandling::SendIfNew,
                    ..SubscriptionOptions::with_qos(Qos::AtMostOnce)
                },
            },
        ],
    };
    vec![
        row(
            "SUBSCRIBE 5.0, all options",
            V5,
            Client,
            b"\x82\x20\x00\x01\x0A\x0B\x80\x01\x26\x00\x01k\x00\x01v\x00\x03a/+\x2D\x00\x0A$share/g/x\x10",
            Packet::Subscribe(subscribe),
        ),
        row(
            "SUBACK 5.0, every code",
            V5,
            Server,
            b"\x90\x1B\x00\x01\x0C\x1F\x00\x02no\x26\x00\x01k\x00\x01v\
              \x00\x01\x02\x80\x83\x87\x8F\x91\x97\x9E\xA1\xA2",
            Packet::SubAck(SubAck {
                packet_id: id(1),
                properties: because(),
                reasons: vec![
                    ReasonCode::Success,
                    ReasonCode::GrantedQos1,
                    ReasonCode::GrantedQos2,
                    ReasonCode::UnspecifiedError,
                    ReasonCode::ImplementationSpecificError,
                    ReasonCode::NotAuthorized,
                    ReasonCode::TopicFilterInvalid,
                    ReasonCode::PacketIdentifierInUse,
                    ReasonCode::QuotaExceeded,
                    ReasonCode::SharedSubscriptionsNotSupported,
                    ReasonCode::SubscriptionIdentifiersNotSupported,
                    ReasonCode::WildcardSubscriptionsNotSupported,
                ],
            }),
        ),
        row(
            "UNSUBSCRIBE 5.0",
            V5,
            Client,
            b"\xA2\x0D\x00\x02\x07\x26\x00\x01k\x00\x01v\x00\x01#",
            Packet::Unsubscribe(Unsubscribe { packet_id: id(2), properties: user(), filters: vec![text("#")] }),
        ),
        row(
            "UNSUBACK 5.0, every code",
            V5,
            Server,
            b"\xB0\x16\x00\x02\x0C\x1F\x00\x02no\x26\x00\x01k\x00\x01v\x00\x11\x80\x83\x87\x8F\x91",
            Packet::UnsubAck(UnsubAck {
                packet_id: id(2),
                properties: because(),
                reasons: vec![
                    ReasonCode::Success,
                    ReasonCode::NoSubscriptionExisted,
                    ReasonCode::UnspecifiedError,
                    ReasonCode::ImplementationSpecificError,
                    ReasonCode::NotAuthorized,
                    ReasonCode::TopicFilterInvalid,
                    ReasonCode::PacketIdentifierInUse,
                ],
            }),
        ),
    ]
}

fn endings() -> Vec<Row> {
    let auth = |reason| {
        Packet::Auth(Auth {
            reason,
            properties: properties(&[
                Property::AuthenticationMethod("m"),
                Property::AuthenticationData(b"d"),
                Property::ReasonString("r"),
                Property::UserProperty("k", "v"),
            ]),
        })
    };
    vec![
        row(
            "DISCONNECT 5.0, reason alone",
            V5,
            Client,
            b"\xE0\x01\x04",
            Packet::Disconnect(Disconnect::with_reason(ReasonCode::DisconnectWithWill)),
        ),
        row(
            "DISCONNECT 5.0, success written out",
            V5,
            Client,
            b"\xE0\x02\x00\x00",
            Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)),
        )
        .in_another_form(),
        row(
            "DISCONNECT 5.0 from a client, all properties",
            V5,
            Client,
            b"\xE0\x12\x00\x10\x11\x00\x00\x00\x00\x1F\x00\x01r\x26\x00\x01k\x00\x01v",
            Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties: properties(&[
                    Property::SessionExpiryInterval(0),
                    Property::ReasonString("r"),
                    Property::UserProperty("k", "v"),
                ]),
            }),
        ),
        row(
            "DISCONNECT 5.0 from the server, all properties",
            V5,
            Server,
            b"\xE0\x11\x9C\x0F\x1F\x00\x01r\x26\x00\x01k\x00\x01v\x1C\x00\x01s",
            Packet::Disconnect(Disconnect {
                reason: ReasonCode::UseAnotherServer,
                properties: properties(&[
                    Property::ReasonString("r"),
                    Property::UserProperty("k", "v"),
                    Property::ServerReference("s"),
                ]),
            }),
        ),
        row(
            "AUTH 5.0, success without a body",
            V5,
            Server,
            b"\xF0\x00",
            Packet::Auth(Auth {
                reason: ReasonCode::Success,
                properties: Properties::EMPTY,
            }),
        ),
        row(
            "AUTH 5.0, continue",
            V5,
            Server,
            b"\xF0\x15\x18\x13\x15\x00\x01m\x16\x00\x01d\x1F\x00\x01r\x26\x00\x01k\x00\x01v",
            auth(ReasonCode::ContinueAuthentication),
        ),
        row(
            "AUTH 5.0, again",
            V5,
            Client,
            b"\xF0\x15\x19\x13\x15\x00\x01m\x16\x00\x01d\x1F\x00\x01r\x26\x00\x01k\x00\x01v",
            auth(ReasonCode::ReAuthenticate),
        ),
    ]
}
