//! Bytes that are no packet, with what is wrong and the reason code that says so.

use tidewire_codec::{
    Carrier, DecodeError as E, Field, PacketType as P, PropertyId as Id, ProtocolName,
    ReasonCode as R, Sender, TopicError, Version,
};

use super::{ALL, V3, V5, V31, V311};

use Sender::{Client, Server};

/// Bytes that must be refused.
pub(crate) struct Malformed {
    pub(crate) name: &'static str,
    pub(crate) versions: &'static [Version],
    pub(crate) sender: Sender,
    pub(crate) bytes: Vec<u8>,
    pub(crate) error: E,
    pub(crate) reason: R,
}

type Refusal = (
    &'static str,
    &'static [Version],
    Sender,
    &'static [u8],
    E,
    R,
);

pub(crate) fn rows() -> Vec<Malformed> {
    let groups = [
        headers(),
        connect(),
        will(),
        strings(),
        connack(),
        publish(),
        acknowledgements(),
        subscriptions(),
        properties(),
        endings(),
    ];
    let row = |(name, versions, sender, bytes, error, reason): Refusal| Malformed {
        name,
        versions,
        sender,
        bytes: bytes.to_vec(),
        error,
        reason,
    };
    groups.into_iter().flatten().map(row).collect()
}

const LEGAL_V311: &[Version] = &[Version::V311, Version::V5];

fn flags(packet: P, flags: u8) -> E {
    E::UnexpectedFlags { packet, flags }
}

fn headers() -> Vec<Refusal> {
    let sender = |packet, sender| E::UnexpectedSender { packet, sender };
    vec![
        (
            "type 0",
            ALL,
            Client,
            b"\x00\x00",
            E::UnknownPacketType { first_byte: 0 },
            R::MalformedPacket,
        ),
        (
            "AUTH before 5.0",
            V3,
            Client,
            b"\xF0\x00",
            E::UnknownPacketType { first_byte: 0xF0 },
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of CONNECT",
            ALL,
            Client,
            b"\x11\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c",
            flags(P::Connect, 1),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of CONNACK",
            ALL,
            Server,
            b"\x22\x02\x00\x00",
            flags(P::ConnAck, 2),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of PUBACK",
            ALL,
            Client,
            b"\x42\x02\x00\x01",
            flags(P::PubAck, 2),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of PUBREC",
            ALL,
            Client,
            b"\x58\x02\x00\x01",
            flags(P::PubRec, 8),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.6.1-1] [3.1.1 MQTT-3.6.1-1]
        (
            "flags of PUBREL",
            ALL,
            Client,
            b"\x60\x02\x00\x01",
            flags(P::PubRel, 0),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.6.1-1] [3.1.1 MQTT-3.6.1-1]
        (
            "DUP of PUBREL",
            LEGAL_V311,
            Client,
            b"\x6A\x02\x00\x01",
            flags(P::PubRel, 10),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of PUBCOMP",
            ALL,
            Client,
            b"\x72\x02\x00\x01",
            flags(P::PubComp, 2),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.8.1-1] [3.1.1 MQTT-3.8.1-1]
        (
            "flags of SUBSCRIBE",
            ALL,
            Client,
            b"\x80\x06\x00\x01\x00\x01a\x00",
            flags(P::Subscribe, 0),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.8.1-1] [3.1.1 MQTT-3.8.1-1]
        (
            "DUP of SUBSCRIBE",
            LEGAL_V311,
            Client,
            b"\x8A\x06\x00\x01\x00\x01a\x00",
            flags(P::Subscribe, 10),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of SUBACK",
            ALL,
            Server,
            b"\x91\x03\x00\x01\x00",
            flags(P::SubAck, 1),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.10.1-1] [3.1.1 MQTT-3.10.1-1]
        (
            "flags of UNSUBSCRIBE",
            ALL,
            Client,
            b"\xA0\x05\x00\x01\x00\x01a",
            flags(P::Unsubscribe, 0),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.10.1-1] [3.1.1 MQTT-3.10.1-1]
        (
            "DUP of UNSUBSCRIBE",
            LEGAL_V311,
            Client,
            b"\xAA\x05\x00\x01\x00\x01a",
            flags(P::Unsubscribe, 10),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of UNSUBACK",
            ALL,
            Server,
            b"\xB4\x02\x00\x01",
            flags(P::UnsubAck, 4),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of PINGREQ",
            ALL,
            Client,
            b"\xC1\x00",
            flags(P::PingReq, 1),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
        (
            "flags of PINGRESP",
            ALL,
            Server,
            b"\xD8\x00",
            flags(P::PingResp, 8),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.14.1-1] [3.1.1 MQTT-3.14.1-1]
        (
            "flags of DISCONNECT",
            ALL,
            Client,
            b"\xE2\x00",
            flags(P::Disconnect, 2),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.15.1-1]
        (
            "flags of AUTH",
            V5,
            Client,
            b"\xF1\x00",
            flags(P::Auth, 1),
            R::MalformedPacket,
        ),
        (
            "remaining length of five bytes",
            ALL,
            Client,
            b"\x30\x80\x80\x80\x80\x01",
            E::VarintTooLong,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.5-1]
        (
            "remaining length with a byte too many",
            V5,
            Client,
            b"\xC0\x80\x00",
            E::VarintNotMinimal,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.5-1]
        (
            "remaining length of PUBLISH with a byte too many",
            V5,
            Client,
            b"\x30\x84\x00\x00\x01a\x00",
            E::VarintNotMinimal,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.5-1]
        (
            "remaining length of CONNECT with a byte too many",
            V5,
            Client,
            b"\x10\x8E\x00\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01c",
            E::VarintNotMinimal,
            R::MalformedPacket,
        ),
        (
            "CONNECT from a server",
            ALL,
            Server,
            b"\x10\x00",
            sender(P::Connect, Server),
            R::ProtocolError,
        ),
        (
            "CONNACK from a client",
            ALL,
            Client,
            b"\x20\x02\x00\x00",
            sender(P::ConnAck, Client),
            R::ProtocolError,
        ),
        (
            "SUBSCRIBE from a server",
            ALL,
            Server,
            b"\x82\x06\x00\x01\x00\x01a\x00",
            sender(P::Subscribe, Server),
            R::ProtocolError,
        ),
        (
            "SUBACK from a client",
            ALL,
            Client,
            b"\x90\x03\x00\x01\x00",
            sender(P::SubAck, Client),
            R::ProtocolError,
        ),
        (
            "UNSUBSCRIBE from a server",
            ALL,
            Server,
            b"\xA2\x05\x00\x01\x00\x01a",
            sender(P::Unsubscribe, Server),
            R::ProtocolError,
        ),
        (
            "UNSUBACK from a client",
            ALL,
            Client,
            b"\xB0\x02\x00\x01",
            sender(P::UnsubAck, Client),
            R::ProtocolError,
        ),
        (
            "PINGREQ from a server",
            ALL,
            Server,
            b"\xC0\x00",
            sender(P::PingReq, Server),
            R::ProtocolError,
        ),
        (
            "PINGRESP from a client",
            ALL,
            Client,
            b"\xD0\x00",
            sender(P::PingResp, Client),
            R::ProtocolError,
        ),
        // [3.1 MQTT31-CLOSE-1]
        (
            "DISCONNECT from a server before 5.0",
            V3,
            Server,
            b"\xE0\x00",
            sender(P::Disconnect, Server),
            R::ProtocolError,
        ),
        (
            "PINGREQ with a body",
            ALL,
            Client,
            b"\xC0\x01\x00",
            E::TrailingBytes { count: 1 },
            R::MalformedPacket,
        ),
        (
            "PINGRESP with a body",
            ALL,
            Server,
            b"\xD0\x02\x00\x00",
            E::TrailingBytes { count: 2 },
            R::MalformedPacket,
        ),
        (
            "DISCONNECT with a body before 5.0",
            V3,
            Client,
            b"\xE0\x01\x00",
            E::TrailingBytes { count: 1 },
            R::MalformedPacket,
        ),
    ]
}

fn connect() -> Vec<Refusal> {
    let unsupported = |name, level| E::UnsupportedProtocolVersion { name, level };
    vec![
        // [5.0 MQTT-3.1.2-1] [3.1.1 MQTT-3.1.2-1]
        (
            "protocol name mqtt",
            ALL,
            Client,
            b"\x10\x0D\x00\x04mqtt\x04\x02\x00\x3C\x00\x01c",
            unsupported(ProtocolName::Other, 4),
            R::UnsupportedProtocolVersion,
        ),
        // [5.0 MQTT-3.1.2-2] [3.1.1 MQTT-3.1.2-2]
        (
            "protocol level 6",
            ALL,
            Client,
            b"\x10\x0D\x00\x04MQTT\x06\x02\x00\x3C\x00\x01c",
            unsupported(ProtocolName::Mqtt, 6),
            R::UnsupportedProtocolVersion,
        ),
        // [3.1 MQTT31-CONNECT-3]
        (
            "protocol MQTT, level 3",
            ALL,
            Client,
            b"\x10\x0D\x00\x04MQTT\x03\x02\x00\x3C\x00\x01c",
            unsupported(ProtocolName::Mqtt, 3),
            R::UnsupportedProtocolVersion,
        ),
        // [3.1 MQTT31-CONNECT-2]
        (
            "protocol MQIsdp, level 4",
            ALL,
            Client,
            b"\x10\x0F\x00\x06MQIsdp\x04\x02\x00\x3C\x00\x01c",
            unsupported(ProtocolName::MqIsdp, 4),
            R::UnsupportedProtocolVersion,
        ),
        (
            "level of a bridge",
            ALL,
            Client,
            b"\x10\x0F\x00\x06MQIsdp\x83\x02\x00\x3C\x00\x01c",
            unsupported(ProtocolName::MqIsdp, 0x83),
            R::UnsupportedProtocolVersion,
        ),
        // [3.1.1 MQTT-3.1.2-3]
        (
            "reserved flag, 3.1.1",
            V311,
            Client,
            b"\x10\x0D\x00\x04MQTT\x04\x03\x00\x3C\x00\x01c",
            E::ReservedConnectFlag,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-3]
        (
            "reserved flag, 5.0",
            V5,
            Client,
            b"\x10\x0E\x00\x04MQTT\x05\x03\x00\x3C\x00\x00\x01c",
            E::ReservedConnectFlag,
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.2-22]
        (
            "password without user name, 3.1.1",
            V311,
            Client,
            b"\x10\x10\x00\x04MQTT\x04\x42\x00\x3C\x00\x01c\x00\x01p",
            E::PasswordWithoutUserName,
            R::MalformedPacket,
        ),
        // [3.1 MQTT31-CONNECT-6]
        (
            "password without user name, 3.1",
            V31,
            Client,
            b"\x10\x12\x00\x06MQIsdp\x03\x42\x00\x3C\x00\x01c\x00\x01p",
            E::PasswordWithoutUserName,
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.3-3]
        (
            "no client identifier, 3.1.1",
            V311,
            Client,
            b"\x10\x0A\x00\x04MQTT\x04\x02\x00\x3C",
            E::Truncated(Field::ClientId),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.3-3]
        (
            "no client identifier, 5.0",
            V5,
            Client,
            b"\x10\x0B\x00\x04MQTT\x05\x02\x00\x3C\x00",
            E::Truncated(Field::ClientId),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.2-19]
        (
            "user name announced, missing, 3.1.1",
            V311,
            Client,
            b"\x10\x0D\x00\x04MQTT\x04\x82\x00\x3C\x00\x01c",
            E::Truncated(Field::UserName),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-17]
        (
            "user name announced, missing, 5.0",
            V5,
            Client,
            b"\x10\x0E\x00\x04MQTT\x05\x82\x00\x3C\x00\x00\x01c",
            E::Truncated(Field::UserName),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.2-21]
        (
            "password announced, missing, 3.1.1",
            V311,
            Client,
            b"\x10\x10\x00\x04MQTT\x04\xC2\x00\x3C\x00\x01c\x00\x01u",
            E::Truncated(Field::Password),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-19]
        (
            "password announced, missing, 5.0",
            V5,
            Client,
            b"\x10\x11\x00\x04MQTT\x05\xC2\x00\x3C\x00\x00\x01c\x00\x01u",
            E::Truncated(Field::Password),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.2-18] [3.1.1 MQTT-3.1.2-20]
        (
            "user name not announced, 3.1.1",
            V311,
            Client,
            b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3C\x00\x01c\x00\x01u",
            E::TrailingBytes { count: 3 },
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-16] [5.0 MQTT-3.1.2-18]
        (
            "user name not announced, 5.0",
            V5,
            Client,
            b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01c\x00\x01u",
            E::TrailingBytes { count: 3 },
            R::MalformedPacket,
        ),
        (
            "half a user name, 3.1",
            V31,
            Client,
            b"\x10\x10\x00\x06MQIsdp\x03\x82\x00\x3C\x00\x01c\x00",
            E::Truncated(Field::UserName),
            R::MalformedPacket,
        ),
        (
            "ends in the protocol name",
            ALL,
            Client,
            b"\x10\x05\x00\x04MQT",
            E::Truncated(Field::ProtocolName),
            R::MalformedPacket,
        ),
        (
            "ends before the level",
            ALL,
            Client,
            b"\x10\x06\x00\x04MQTT",
            E::Truncated(Field::ProtocolLevel),
            R::MalformedPacket,
        ),
        (
            "ends before the flags",
            ALL,
            Client,
            b"\x10\x07\x00\x04MQTT\x04",
            E::Truncated(Field::Flags),
            R::MalformedPacket,
        ),
        (
            "ends in the keep-alive",
            ALL,
            Client,
            b"\x10\x09\x00\x04MQTT\x04\x02\x00",
            E::Truncated(Field::KeepAlive),
            R::MalformedPacket,
        ),
        (
            "ends before the properties",
            V5,
            Client,
            b"\x10\x0A\x00\x04MQTT\x05\x02\x00\x3C",
            E::Truncated(Field::PropertyLength),
            R::MalformedPacket,
        ),
    ]
}

fn will() -> Vec<Refusal> {
    vec![
        // [3.1.1 MQTT-3.1.2-13] [3.1.1 MQTT-3.1.2-11]
        (
            "will QoS without a will, 3.1.1",
            V311,
            Client,
            b"\x10\x0D\x00\x04MQTT\x04\x0A\x00\x3C\x00\x01c",
            E::WillFlagsWithoutWill,
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.2-15] [3.1.1 MQTT-3.1.2-11]
        (
            "will retain without a will, 3.1.1",
            V311,
            Client,
            b"\x10\x0D\x00\x04MQTT\x04\x22\x00\x3C\x00\x01c",
            E::WillFlagsWithoutWill,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-11]
        (
            "will QoS without a will, 5.0",
            V5,
            Client,
            b"\x10\x0E\x00\x04MQTT\x05\x12\x00\x3C\x00\x00\x01c",
            E::WillFlagsWithoutWill,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-13]
        (
            "will retain without a will, 5.0",
            V5,
            Client,
            b"\x10\x0E\x00\x04MQTT\x05\x22\x00\x3C\x00\x00\x01c",
            E::WillFlagsWithoutWill,
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.2-14]
        (
            "will QoS 3, 3.1.1",
            V311,
            Client,
            b"\x10\x13\x00\x04MQTT\x04\x1E\x00\x3C\x00\x01c\x00\x01w\x00\x01p",
            E::WillQosThree,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-12]
        (
            "will QoS 3, 5.0",
            V5,
            Client,
            b"\x10\x15\x00\x04MQTT\x05\x1E\x00\x3C\x00\x00\x01c\x00\x00\x01w\x00\x01p",
            E::WillQosThree,
            R::MalformedPacket,
        ),
        (
            "will QoS 3, 3.1",
            V31,
            Client,
            b"\x10\x15\x00\x06MQIsdp\x03\x1E\x00\x3C\x00\x01c\x00\x01w\x00\x01p",
            E::WillQosThree,
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.2-9]
        (
            "no will message, 3.1.1",
            V311,
            Client,
            b"\x10\x10\x00\x04MQTT\x04\x06\x00\x3C\x00\x01c\x00\x01w",
            E::Truncated(Field::WillPayload),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.2-9]
        (
            "no will topic, 3.1.1",
            V311,
            Client,
            b"\x10\x0D\x00\x04MQTT\x04\x06\x00\x3C\x00\x01c",
            E::Truncated(Field::WillTopic),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-9]
        (
            "no will properties, 5.0",
            V5,
            Client,
            b"\x10\x0E\x00\x04MQTT\x05\x06\x00\x3C\x00\x00\x01c",
            E::Truncated(Field::PropertyLength),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-9]
        (
            "no will topic, 5.0",
            V5,
            Client,
            b"\x10\x0F\x00\x04MQTT\x05\x06\x00\x3C\x00\x00\x01c\x00",
            E::Truncated(Field::WillTopic),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.2-9]
        (
            "no will payload, 5.0",
            V5,
            Client,
            b"\x10\x12\x00\x04MQTT\x05\x06\x00\x3C\x00\x00\x01c\x00\x00\x01w",
            E::Truncated(Field::WillPayload),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.1.3-10]
        (
            "will topic not UTF-8, 3.1.1",
            V311,
            Client,
            b"\x10\x13\x00\x04MQTT\x04\x06\x00\x3C\x00\x01c\x00\x01\xFF\x00\x01p",
            E::TopicName(TopicError::NotUtf8),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.1.3-11]
        (
            "will topic not UTF-8, 5.0",
            V5,
            Client,
            b"\x10\x15\x00\x04MQTT\x05\x06\x00\x3C\x00\x00\x01c\x00\x00\x01\xFF\x00\x01p",
            E::TopicName(TopicError::NotUtf8),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-4.7.1-1]
        (
            "will topic with a wildcard, 3.1.1",
            V311,
            Client,
            b"\x10\x13\x00\x04MQTT\x04\x06\x00\x3C\x00\x01c\x00\x01+\x00\x01p",
            E::TopicName(TopicError::WildcardInName),
            R::TopicNameInvalid,
        ),
        // [5.0 MQTT-4.7.0-1]
        (
            "will topic with a wildcard, 5.0",
            V5,
            Client,
            b"\x10\x15\x00\x04MQTT\x05\x06\x00\x3C\x00\x00\x01c\x00\x00\x01#\x00\x01p",
            E::TopicName(TopicError::WildcardInName),
            R::TopicNameInvalid,
        ),
        // [5.0 MQTT-4.7.3-1]
        (
            "empty will topic, 5.0",
            V5,
            Client,
            b"\x10\x14\x00\x04MQTT\x05\x06\x00\x3C\x00\x00\x01c\x00\x00\x00\x00\x01p",
            E::TopicName(TopicError::Empty),
            R::TopicNameInvalid,
        ),
        // [3.1.1 MQTT-4.7.3-1]
        (
            "empty will topic, 3.1.1",
            V311,
            Client,
            b"\x10\x12\x00\x04MQTT\x04\x06\x00\x3C\x00\x01c\x00\x00\x00\x01p",
            E::TopicName(TopicError::Empty),
            R::TopicNameInvalid,
        ),
        // [5.0 MQTT-3.3.2-14]
        (
            "response topic of the will with a wildcard",
            V5,
            Client,
            b"\x10\x19\x00\x04MQTT\x05\x06\x00\x3C\x00\x00\x01c\x04\x08\x00\x01+\x00\x01w\x00\x01p",
            E::ResponseTopic(TopicError::WildcardInName),
            R::ProtocolError,
        ),
        (
            "topic alias in the will",
            V5,
            Client,
            b"\x10\x18\x00\x04MQTT\x05\x06\x00\x3C\x00\x00\x01c\x03\x23\x00\x01\x00\x01w\x00\x01p",
            E::MisplacedProperty {
                property: Id::TopicAlias,
                carrier: Carrier::Will,
            },
            R::MalformedPacket,
        ),
    ]
}

fn strings() -> Vec<Refusal> {
    vec![
        // [5.0 MQTT-1.5.4-1] [5.0 MQTT-3.1.3-4]
        (
            "client identifier with a surrogate, 5.0",
            V5,
            Client,
            b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x03\xED\xA0\x80",
            E::NotUtf8(Field::ClientId),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-1.5.3-1] [3.1.1 MQTT-3.1.3-4]
        (
            "client identifier with a surrogate, 3.1.1",
            V311,
            Client,
            b"\x10\x0F\x00\x04MQTT\x04\x02\x00\x3C\x00\x03\xED\xA0\x80",
            E::NotUtf8(Field::ClientId),
            R::MalformedPacket,
        ),
        // [3.1 MQTT31-STRING-1]
        (
            "client identifier not UTF-8, 3.1",
            V31,
            Client,
            b"\x10\x0F\x00\x06MQIsdp\x03\x02\x00\x3C\x00\x01\x80",
            E::NotUtf8(Field::ClientId),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.4-2]
        (
            "client identifier with U+0000, 5.0",
            V5,
            Client,
            b"\x10\x0E\x00\x04MQTT\x05\x02\x00\x3C\x00\x00\x01\x00",
            E::ContainsNul(Field::ClientId),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-1.5.3-2]
        (
            "client identifier with U+0000, 3.1.1",
            V311,
            Client,
            b"\x10\x0D\x00\x04MQTT\x04\x02\x00\x3C\x00\x01\x00",
            E::ContainsNul(Field::ClientId),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.4-1] [5.0 MQTT-3.1.3-12]
        (
            "user name not UTF-8, 5.0",
            V5,
            Client,
            b"\x10\x11\x00\x04MQTT\x05\x82\x00\x3C\x00\x00\x01c\x00\x01\xC3",
            E::NotUtf8(Field::UserName),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-1.5.3-1] [3.1.1 MQTT-3.1.3-11]
        (
            "user name not UTF-8, 3.1.1",
            V311,
            Client,
            b"\x10\x10\x00\x04MQTT\x04\x82\x00\x3C\x00\x01c\x00\x01\xC3",
            E::NotUtf8(Field::UserName),
            R::MalformedPacket,
        ),
        // An over-long form of U+0000. [5.0 MQTT-1.5.4-1]
        (
            "topic filter with an over-long form",
            V5,
            Client,
            b"\x82\x08\x00\x01\x00\x00\x02\xC0\x80\x00",
            E::NotUtf8(Field::TopicFilter),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.7-1]
        (
            "name of a user property not UTF-8",
            V5,
            Client,
            b"\x30\x0B\x00\x01a\x07\x26\x00\x01\xFF\x00\x01v",
            E::NotUtf8(Field::Property(Id::UserProperty)),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.7-1]
        (
            "value of a user property with U+0000",
            V5,
            Client,
            b"\x30\x0B\x00\x01a\x07\x26\x00\x01k\x00\x01\x00",
            E::ContainsNul(Field::Property(Id::UserProperty)),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.3.2-19]
        (
            "content type not UTF-8",
            V5,
            Client,
            b"\x30\x08\x00\x01a\x04\x03\x00\x01\xFF",
            E::NotUtf8(Field::Property(Id::ContentType)),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.3.2-13]
        (
            "response topic not UTF-8",
            V5,
            Client,
            b"\x30\x08\x00\x01a\x04\x08\x00\x01\xFF",
            E::NotUtf8(Field::Property(Id::ResponseTopic)),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.3.2-13]
        (
            "response topic with U+0000",
            V5,
            Client,
            b"\x30\x08\x00\x01a\x04\x08\x00\x01\x00",
            E::ContainsNul(Field::Property(Id::ResponseTopic)),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.3.2-1]
        (
            "topic name not UTF-8, 5.0",
            V5,
            Client,
            b"\x30\x04\x00\x01\xFF\x00",
            E::TopicName(TopicError::NotUtf8),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.3.2-1]
        (
            "topic name not UTF-8, 3.1.1",
            V3,
            Client,
            b"\x30\x03\x00\x01\xFF",
            E::TopicName(TopicError::NotUtf8),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-4.7.3-2]
        (
            "topic name with U+0000, 5.0",
            V5,
            Client,
            b"\x30\x04\x00\x01\x00\x00",
            E::TopicName(TopicError::ContainsNul),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-4.7.3-2] [3.1 MQTT31-STRING-2]
        (
            "topic name with U+0000, 3.1.1",
            V3,
            Client,
            b"\x30\x03\x00\x01\x00",
            E::TopicName(TopicError::ContainsNul),
            R::MalformedPacket,
        ),
    ]
}

fn connack() -> Vec<Refusal> {
    vec![
        // [5.0 MQTT-3.2.2-1]
        (
            "CONNACK flags, 5.0",
            V5,
            Server,
            b"\x20\x03\x02\x00\x00",
            E::ReservedConnAckFlags(2),
            R::MalformedPacket,
        ),
        (
            "CONNACK flags, 3.1.1",
            V311,
            Server,
            b"\x20\x02\x80\x00",
            E::ReservedConnAckFlags(0x80),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.2.2-6]
        (
            "CONNACK refuses with a session, 5.0",
            V5,
            Server,
            b"\x20\x03\x01\x87\x00",
            E::SessionPresentWithRefusal,
            R::ProtocolError,
        ),
        // [3.1.1 MQTT-3.2.2-4]
        (
            "CONNACK refuses with a session, 3.1.1",
            V311,
            Server,
            b"\x20\x02\x01\x05",
            E::SessionPresentWithRefusal,
            R::ProtocolError,
        ),
        // [3.1 MQTT31-CONNACK-2]
        (
            "CONNACK return code 6",
            V3,
            Server,
            b"\x20\x02\x00\x06",
            E::ReservedReturnCode(6),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.2.2-8]
        (
            "CONNACK with a reason of DISCONNECT",
            V5,
            Server,
            b"\x20\x03\x00\x8E\x00",
            E::UnexpectedReasonCode {
                packet: P::ConnAck,
                code: 0x8E,
            },
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.2.2-8]
        (
            "CONNACK with an unknown reason",
            V5,
            Server,
            b"\x20\x03\x00\xFF\x00",
            E::UnexpectedReasonCode {
                packet: P::ConnAck,
                code: 0xFF,
            },
            R::ProtocolError,
        ),
        (
            "CONNACK without properties, 5.0",
            V5,
            Server,
            b"\x20\x02\x00\x00",
            E::Truncated(Field::PropertyLength),
            R::MalformedPacket,
        ),
        (
            "CONNACK with a byte too many",
            V3,
            Server,
            b"\x20\x03\x00\x00\x00",
            E::TrailingBytes { count: 1 },
            R::MalformedPacket,
        ),
    ]
}

fn publish() -> Vec<Refusal> {
    vec![
        // [5.0 MQTT-3.3.1-4] [3.1.1 MQTT-3.3.1-4]
        (
            "QoS 3",
            ALL,
            Client,
            b"\x36\x06\x00\x01a\x00\x01\x00",
            E::QosThree,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.3.1-2] [3.1.1 MQTT-3.3.1-2]
        (
            "DUP at QoS 0",
            LEGAL_V311,
            Client,
            b"\x38\x04\x00\x01a\x00",
            E::DupWithQosZero,
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-2.3.1-1]
        (
            "packet identifier 0",
            ALL,
            Client,
            b"\x32\x06\x00\x01a\x00\x00\x00",
            E::ZeroPacketId,
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.3.2-2]
        (
            "+ in the topic name, 5.0",
            V5,
            Client,
            b"\x30\x06\x00\x03a/+\x00",
            E::TopicName(TopicError::WildcardInName),
            R::TopicNameInvalid,
        ),
        // [3.1.1 MQTT-3.3.2-2]
        (
            "# in the topic name, 3.1.1",
            V3,
            Client,
            b"\x30\x05\x00\x03a/#",
            E::TopicName(TopicError::WildcardInName),
            R::TopicNameInvalid,
        ),
        (
            "neither topic nor alias",
            V5,
            Client,
            b"\x30\x03\x00\x00\x00",
            E::NoTopic,
            R::ProtocolError,
        ),
        // [3.1.1 MQTT-4.7.3-1]
        (
            "no topic before 5.0",
            V3,
            Client,
            b"\x30\x02\x00\x00",
            E::TopicName(TopicError::Empty),
            R::TopicNameInvalid,
        ),
        // [5.0 MQTT-3.3.2-8]
        (
            "topic alias 0",
            V5,
            Client,
            b"\x30\x07\x00\x01a\x03\x23\x00\x00",
            E::ZeroTopicAlias,
            R::TopicAliasInvalid,
        ),
        // [5.0 MQTT-3.3.2-14]
        (
            "response topic with a wildcard",
            V5,
            Client,
            b"\x30\x08\x00\x01a\x04\x08\x00\x01#",
            E::ResponseTopic(TopicError::WildcardInName),
            R::ProtocolError,
        ),
        // [5.0 MQTT-4.7.3-1]
        (
            "empty response topic",
            V5,
            Client,
            b"\x30\x07\x00\x01a\x03\x08\x00\x00",
            E::ResponseTopic(TopicError::Empty),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.3.4-6]
        (
            "subscription identifier from a client",
            V5,
            Client,
            b"\x30\x06\x00\x01a\x02\x0B\x01",
            E::MisplacedProperty {
                property: Id::SubscriptionIdentifier,
                carrier: Carrier::PublishFromClient,
            },
            R::ProtocolError,
        ),
        (
            "payload format 2",
            V5,
            Client,
            b"\x30\x06\x00\x01a\x02\x01\x02",
            E::PropertyValue {
                property: Id::PayloadFormatIndicator,
                value: 2,
            },
            R::ProtocolError,
        ),
        (
            "ends in the topic",
            ALL,
            Client,
            b"\x30\x03\x00\x02a",
            E::Truncated(Field::TopicName),
            R::MalformedPacket,
        ),
        (
            "ends before the packet identifier",
            ALL,
            Client,
            b"\x32\x03\x00\x01a",
            E::Truncated(Field::PacketId),
            R::MalformedPacket,
        ),
        (
            "ends before the properties",
            V5,
            Client,
            b"\x30\x03\x00\x01a",
            E::Truncated(Field::PropertyLength),
            R::MalformedPacket,
        ),
        (
            "ends in the properties",
            V5,
            Client,
            b"\x30\x05\x00\x01a\x05\x01",
            E::Truncated(Field::PropertyLength),
            R::MalformedPacket,
        ),
    ]
}

fn acknowledgements() -> Vec<Refusal> {
    let reason = |packet, code| E::UnexpectedReasonCode { packet, code };
    vec![
        (
            "PUBACK without an identifier",
            ALL,
            Client,
            b"\x40\x01\x00",
            E::Truncated(Field::PacketId),
            R::MalformedPacket,
        ),
        (
            "PUBACK with identifier 0",
            ALL,
            Client,
            b"\x40\x02\x00\x00",
            E::ZeroPacketId,
            R::ProtocolError,
        ),
        (
            "PUBACK with a reason before 5.0",
            V3,
            Client,
            b"\x40\x03\x00\x01\x00",
            E::TrailingBytes { count: 1 },
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.4.2-1]
        (
            "PUBACK with a reason of PUBREL",
            V5,
            Client,
            b"\x40\x03\x00\x01\x92",
            reason(P::PubAck, 0x92),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.5.2-1]
        (
            "PUBREC with a reason of DISCONNECT",
            V5,
            Client,
            b"\x50\x03\x00\x01\x8B",
            reason(P::PubRec, 0x8B),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.6.2-1]
        (
            "PUBREL with a reason of PUBREC",
            V5,
            Client,
            b"\x62\x03\x00\x01\x87",
            reason(P::PubRel, 0x87),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.7.2-1]
        (
            "PUBCOMP with a reason of PUBACK",
            V5,
            Client,
            b"\x70\x03\x00\x01\x10",
            reason(P::PubComp, 0x10),
            R::ProtocolError,
        ),
        (
            "PUBACK goes on behind its properties",
            V5,
            Client,
            b"\x40\x05\x00\x01\x00\x00\x00",
            E::TrailingBytes { count: 1 },
            R::MalformedPacket,
        ),
        (
            "PUBACK with a topic alias",
            V5,
            Client,
            b"\x40\x07\x00\x01\x00\x03\x23\x00\x01",
            E::MisplacedProperty {
                property: Id::TopicAlias,
                carrier: Carrier::PubAck,
            },
            R::MalformedPacket,
        ),
    ]
}

fn subscriptions() -> Vec<Refusal> {
    let reason = |packet, code| E::UnexpectedReasonCode { packet, code };
    vec![
        // [3.1.1 MQTT-3.8.3-3]
        (
            "SUBSCRIBE without a filter, 3.1.1",
            V3,
            Client,
            b"\x82\x02\x00\x01",
            E::NoFilters(P::Subscribe),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.8.3-2]
        (
            "SUBSCRIBE without a filter, 5.0",
            V5,
            Client,
            b"\x82\x03\x00\x01\x00",
            E::NoFilters(P::Subscribe),
            R::ProtocolError,
        ),
        // [3.1.1 MQTT-3.10.3-2]
        (
            "UNSUBSCRIBE without a filter, 3.1.1",
            V3,
            Client,
            b"\xA2\x02\x00\x01",
            E::NoFilters(P::Unsubscribe),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.10.3-2]
        (
            "UNSUBSCRIBE without a filter, 5.0",
            V5,
            Client,
            b"\xA2\x03\x00\x01\x00",
            E::NoFilters(P::Unsubscribe),
            R::ProtocolError,
        ),
        // [3.1.1 MQTT-2.3.1-1]
        (
            "SUBSCRIBE with identifier 0",
            V3,
            Client,
            b"\x82\x06\x00\x00\x00\x01a\x00",
            E::ZeroPacketId,
            R::ProtocolError,
        ),
        // [3.1.1 MQTT-2.3.1-1]
        (
            "UNSUBSCRIBE with identifier 0",
            V3,
            Client,
            b"\xA2\x05\x00\x00\x00\x01a",
            E::ZeroPacketId,
            R::ProtocolError,
        ),
        // [3.1.1 MQTT-3.8.3-4]
        (
            "SUBSCRIBE with reserved bits, 3.1.1",
            V3,
            Client,
            b"\x82\x06\x00\x01\x00\x01a\x04",
            E::InvalidSubscriptionOptions(4),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.8.3-4]
        (
            "SUBSCRIBE with QoS 3, 3.1.1",
            V3,
            Client,
            b"\x82\x06\x00\x01\x00\x01a\x03",
            E::InvalidSubscriptionOptions(3),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.8.3-5]
        (
            "SUBSCRIBE with reserved bits, 5.0",
            V5,
            Client,
            b"\x82\x07\x00\x01\x00\x00\x01a\x40",
            E::InvalidSubscriptionOptions(0x40),
            R::MalformedPacket,
        ),
        (
            "SUBSCRIBE with QoS 3, 5.0",
            V5,
            Client,
            b"\x82\x07\x00\x01\x00\x00\x01a\x03",
            E::InvalidSubscriptionOptions(3),
            R::MalformedPacket,
        ),
        (
            "SUBSCRIBE with retain handling 3",
            V5,
            Client,
            b"\x82\x07\x00\x01\x00\x00\x01a\x30",
            E::RetainHandlingThree,
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.8.3-4]
        (
            "No Local on a shared subscription",
            V5,
            Client,
            b"\x82\x10\x00\x01\x00\x00\x0A$share/g/a\x04",
            E::NoLocalOnShared,
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.8.3-1]
        (
            "SUBSCRIBE with a filter that is not UTF-8, 5.0",
            V5,
            Client,
            b"\x82\x07\x00\x01\x00\x00\x01\xFF\x00",
            E::NotUtf8(Field::TopicFilter),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.8.3-1]
        (
            "SUBSCRIBE with a filter that is not UTF-8, 3.1.1",
            V3,
            Client,
            b"\x82\x06\x00\x01\x00\x01\xFF\x00",
            E::NotUtf8(Field::TopicFilter),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.10.3-1]
        (
            "UNSUBSCRIBE with a filter that is not UTF-8, 5.0",
            V5,
            Client,
            b"\xA2\x06\x00\x01\x00\x00\x01\xFF",
            E::NotUtf8(Field::TopicFilter),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-3.10.3-1]
        (
            "UNSUBSCRIBE with a filter that is not UTF-8, 3.1.1",
            V3,
            Client,
            b"\xA2\x05\x00\x01\x00\x01\xFF",
            E::NotUtf8(Field::TopicFilter),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-4.7.3-2]
        (
            "SUBSCRIBE with U+0000 in a filter, 5.0",
            V5,
            Client,
            b"\x82\x07\x00\x01\x00\x00\x01\x00\x00",
            E::ContainsNul(Field::TopicFilter),
            R::MalformedPacket,
        ),
        // [3.1.1 MQTT-4.7.3-2] [3.1 MQTT31-STRING-2]
        (
            "SUBSCRIBE with U+0000 in a filter, 3.1.1",
            V3,
            Client,
            b"\x82\x06\x00\x01\x00\x01\x00\x00",
            E::ContainsNul(Field::TopicFilter),
            R::MalformedPacket,
        ),
        (
            "SUBSCRIBE ends before the options",
            V3,
            Client,
            b"\x82\x05\x00\x01\x00\x01a",
            E::Truncated(Field::SubscriptionOptions),
            R::MalformedPacket,
        ),
        (
            "SUBSCRIBE ends in a filter",
            V3,
            Client,
            b"\x82\x05\x00\x01\x00\x02a",
            E::Truncated(Field::TopicFilter),
            R::MalformedPacket,
        ),
        (
            "subscription identifier 0",
            V5,
            Client,
            b"\x82\x09\x00\x01\x02\x0B\x00\x00\x01a\x00",
            E::PropertyValue {
                property: Id::SubscriptionIdentifier,
                value: 0,
            },
            R::ProtocolError,
        ),
        (
            "two subscription identifiers in SUBSCRIBE",
            V5,
            Client,
            b"\x82\x0B\x00\x01\x04\x0B\x01\x0B\x02\x00\x01a\x00",
            E::RepeatedProperty(Id::SubscriptionIdentifier),
            R::ProtocolError,
        ),
        // [3.1.1 MQTT-3.9.3-2]
        (
            "SUBACK return code 3",
            V3,
            Server,
            b"\x90\x03\x00\x01\x03",
            E::ReservedReturnCode(3),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-3.9.3-2]
        (
            "SUBACK with a reason of UNSUBACK",
            V5,
            Server,
            b"\x90\x04\x00\x01\x00\x11",
            reason(P::SubAck, 0x11),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.11.3-2]
        (
            "UNSUBACK with a reason of SUBACK",
            V5,
            Server,
            b"\xB0\x04\x00\x01\x00\x01",
            reason(P::UnsubAck, 1),
            R::ProtocolError,
        ),
        (
            "SUBACK without a code, 5.0",
            V5,
            Server,
            b"\x90\x03\x00\x01\x00",
            E::NoFilters(P::SubAck),
            R::ProtocolError,
        ),
        (
            "SUBACK without a code, 3.1.1",
            V3,
            Server,
            b"\x90\x02\x00\x01",
            E::NoFilters(P::SubAck),
            R::ProtocolError,
        ),
        (
            "UNSUBACK without a code",
            V5,
            Server,
            b"\xB0\x03\x00\x01\x00",
            E::NoFilters(P::UnsubAck),
            R::ProtocolError,
        ),
        (
            "UNSUBACK with codes before 5.0",
            V3,
            Server,
            b"\xB0\x03\x00\x01\x00",
            E::TrailingBytes { count: 1 },
            R::MalformedPacket,
        ),
    ]
}

fn properties() -> Vec<Refusal> {
    vec![
        (
            "unknown property",
            V5,
            Client,
            b"\x30\x06\x00\x01a\x02\x04\x00",
            E::UnknownProperty { id: 4 },
            R::MalformedPacket,
        ),
        (
            "identifier of two bytes",
            V5,
            Client,
            b"\x30\x07\x00\x01a\x03\x81\x00\x00",
            E::UnknownProperty { id: 0x81 },
            R::MalformedPacket,
        ),
        (
            "property of another packet",
            V5,
            Client,
            b"\x30\x06\x00\x01a\x02\x24\x01",
            E::MisplacedProperty {
                property: Id::MaximumQos,
                carrier: Carrier::PublishFromClient,
            },
            R::MalformedPacket,
        ),
        (
            "repeated property",
            V5,
            Client,
            b"\x30\x08\x00\x01a\x04\x01\x00\x01\x00",
            E::RepeatedProperty(Id::PayloadFormatIndicator),
            R::ProtocolError,
        ),
        (
            "property cut off",
            V5,
            Client,
            b"\x30\x07\x00\x01a\x03\x02\x00\x00",
            E::Truncated(Field::Property(Id::MessageExpiryInterval)),
            R::MalformedPacket,
        ),
        (
            "text of a property cut off",
            V5,
            Client,
            b"\x30\x07\x00\x01a\x03\x03\x00\x01",
            E::Truncated(Field::Property(Id::ContentType)),
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.5-1]
        (
            "property length with a byte too many",
            V5,
            Client,
            b"\x30\x05\x00\x01a\x80\x00",
            E::VarintNotMinimal,
            R::MalformedPacket,
        ),
        // [5.0 MQTT-1.5.5-1]
        (
            "subscription identifier with a byte too many",
            V5,
            Server,
            b"\x30\x07\x00\x01a\x03\x0B\x81\x00",
            E::VarintNotMinimal,
            R::MalformedPacket,
        ),
        (
            "property length of five bytes",
            V5,
            Client,
            b"\x30\x08\x00\x01a\x80\x80\x80\x80\x01",
            E::VarintTooLong,
            R::MalformedPacket,
        ),
        (
            "receive maximum 0",
            V5,
            Client,
            b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3C\x03\x21\x00\x00\x00\x01c",
            E::PropertyValue {
                property: Id::ReceiveMaximum,
                value: 0,
            },
            R::ProtocolError,
        ),
        (
            "maximum packet size 0",
            V5,
            Client,
            b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3C\x05\x27\x00\x00\x00\x00\x00\x01c",
            E::PropertyValue {
                property: Id::MaximumPacketSize,
                value: 0,
            },
            R::ProtocolError,
        ),
        (
            "request problem information 2",
            V5,
            Client,
            b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3C\x02\x17\x02\x00\x01c",
            E::PropertyValue {
                property: Id::RequestProblemInformation,
                value: 2,
            },
            R::ProtocolError,
        ),
        (
            "request response information 2",
            V5,
            Client,
            b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3C\x02\x19\x02\x00\x01c",
            E::PropertyValue {
                property: Id::RequestResponseInformation,
                value: 2,
            },
            R::ProtocolError,
        ),
        (
            "authentication data without method",
            V5,
            Client,
            b"\x10\x12\x00\x04MQTT\x05\x02\x00\x3C\x04\x16\x00\x01d\x00\x01c",
            E::NoAuthenticationMethod,
            R::ProtocolError,
        ),
        (
            "maximum QoS 2",
            V5,
            Server,
            b"\x20\x05\x00\x00\x02\x24\x02",
            E::PropertyValue {
                property: Id::MaximumQos,
                value: 2,
            },
            R::ProtocolError,
        ),
        (
            "retain available 2",
            V5,
            Server,
            b"\x20\x05\x00\x00\x02\x25\x02",
            E::PropertyValue {
                property: Id::RetainAvailable,
                value: 2,
            },
            R::ProtocolError,
        ),
        (
            "will delay in CONNECT itself",
            V5,
            Client,
            b"\x10\x13\x00\x04MQTT\x05\x02\x00\x3C\x05\x18\x00\x00\x00\x01\x00\x01c",
            E::MisplacedProperty {
                property: Id::WillDelayInterval,
                carrier: Carrier::Connect,
            },
            R::MalformedPacket,
        ),
    ]
}

fn endings() -> Vec<Refusal> {
    let reason = |packet, code| E::UnexpectedReasonCode { packet, code };
    vec![
        // [5.0 MQTT-3.14.2-1]
        (
            "DISCONNECT with a reason of CONNACK",
            V5,
            Server,
            b"\xE0\x01\x86",
            reason(P::Disconnect, 0x86),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.14.2-1]
        (
            "DISCONNECT from a client with a server's reason",
            V5,
            Client,
            b"\xE0\x01\x8B",
            reason(P::Disconnect, 0x8B),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.14.2-1]
        (
            "DISCONNECT from a server with a client's reason",
            V5,
            Server,
            b"\xE0\x01\x04",
            reason(P::Disconnect, 4),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.14.2-2]
        (
            "session expiry from a server",
            V5,
            Server,
            b"\xE0\x07\x00\x05\x11\x00\x00\x00\x00",
            E::MisplacedProperty {
                property: Id::SessionExpiryInterval,
                carrier: Carrier::DisconnectFromServer,
            },
            R::ProtocolError,
        ),
        (
            "server reference from a client",
            V5,
            Client,
            b"\xE0\x06\x00\x04\x1C\x00\x01s",
            E::MisplacedProperty {
                property: Id::ServerReference,
                carrier: Carrier::DisconnectFromClient,
            },
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.15.2-1]
        (
            "AUTH with another reason",
            V5,
            Client,
            b"\xF0\x02\x87\x00",
            reason(P::Auth, 0x87),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.15.2-1]
        (
            "AUTH with success from a client",
            V5,
            Client,
            b"\xF0\x00",
            reason(P::Auth, 0),
            R::ProtocolError,
        ),
        // [5.0 MQTT-3.15.2-1]
        (
            "AUTH again from a server",
            V5,
            Server,
            b"\xF0\x06\x19\x04\x15\x00\x01m",
            reason(P::Auth, 0x19),
            R::ProtocolError,
        ),
        (
            "AUTH without a method",
            V5,
            Client,
            b"\xF0\x02\x18\x00",
            E::NoAuthenticationMethod,
            R::ProtocolError,
        ),
        (
            "AUTH with data alone",
            V5,
            Client,
            b"\xF0\x06\x18\x04\x16\x00\x01d",
            E::NoAuthenticationMethod,
            R::ProtocolError,
        ),
    ]
}
