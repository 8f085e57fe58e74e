//! The few packets a load generator sends, encoded once before the timed part.
//!
//! Only what the scenarios need exists here; this is not a codec.

use serde::Serialize;

use crate::payload;

/// The protocol version a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    #[serde(rename = "3.1.1")]
    V311,
    /// MQTT 5.0, protocol level 5.
    #[serde(rename = "5")]
    V5,
}

/// Quality of service of a publish or a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[repr(u8)]
pub enum Qos {
    /// QoS 0: no acknowledgement.
    #[serde(rename = "0")]
    AtMostOnce = 0,
    /// QoS 1: PUBACK.
    #[serde(rename = "1")]
    AtLeastOnce = 1,
    /// QoS 2: PUBREC, PUBREL, PUBCOMP.
    #[serde(rename = "2")]
    ExactlyOnce = 2,
}

/// The two-byte packets and acknowledgements share this shape: type, length 2, packet identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum AckKind {
    /// Acknowledges a QoS 1 publish.
    PubAck = 0x40,
    /// First answer to a QoS 2 publish.
    PubRec = 0x50,
    /// Releases a QoS 2 publish; its reserved flags are `0010`.
    PubRel = 0x62,
    /// Ends a QoS 2 publish.
    PubComp = 0x70,
}

/// A DISCONNECT that is the same in both versions: no reason, no properties.
pub const DISCONNECT: [u8; 2] = [0xE0, 0];

/// Long enough that no ping is due during a run, short enough for brokers that cap it.
const KEEP_ALIVE_SECS: u16 = 3600;

/// An acknowledgement without reason code, legal in both versions.
#[must_use]
pub fn ack(kind: AckKind, packet_id: u16) -> [u8; 4] {
    let [high, low] = packet_id.to_be_bytes();
    [kind as u8, 2, high, low]
}

/// A CONNECT with a clean session and no credentials.
#[must_use]
pub fn connect(client_id: &str, version: Version) -> Vec<u8> {
    let mut body = Vec::with_capacity(16 + client_id.len());
    push_string(&mut body, "MQTT");
    body.push(match version {
        Version::V311 => 4,
        Version::V5 => 5,
    });
    body.push(0b0000_0010);
    body.extend_from_slice(&KEEP_ALIVE_SECS.to_be_bytes());
    push_no_properties(&mut body, version);
    push_string(&mut body, client_id);
    packet(0x10, &body)
}

/// A SUBSCRIBE for all `filters` at `qos`.
#[must_use]
pub fn subscribe(packet_id: u16, filters: &[String], qos: Qos, version: Version) -> Vec<u8> {
    let mut body = packet_id.to_be_bytes().to_vec();
    push_no_properties(&mut body, version);
    for filter in filters {
        push_string(&mut body, filter);
        body.push(qos as u8);
    }
    packet(0x82, &body)
}

/// A topic name; with `counter_at`, eight hexadecimal digits from there change with every message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The name as it is encoded first.
    pub name: String,
    /// Byte offset of the counter digits inside `name`.
    pub counter_at: Option<usize>,
}

/// Digits of the counter in a topic: 4,294,967,296 distinct names.
pub const COUNTER_DIGITS: usize = 8;

impl Topic {
    /// A name that never changes.
    #[must_use]
    pub fn fixed(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            counter_at: None,
        }
    }

    /// `before`, the counter, `after`.
    #[must_use]
    pub fn counted(before: &str, after: &str) -> Self {
        let name = format!("{before}{:0width$x}{after}", 0, width = COUNTER_DIGITS);
        Self {
            name,
            counter_at: Some(before.len()),
        }
    }
}

/// What all publishes of one publisher have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishKind {
    /// Protocol version of the connection.
    pub version: Version,
    /// Quality of service of the publish.
    pub qos: Qos,
    /// Whether the RETAIN flag is set.
    pub retain: Retain,
    /// Application payload in bytes, at least [`payload::STAMP_BYTES`].
    pub payload_bytes: usize,
}

/// The RETAIN flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    /// An ordinary message.
    No,
    /// The broker keeps it for later subscribers.
    Yes,
}

/// One encoded PUBLISH and where its changing fields are, as offsets into `bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishTemplate {
    /// The whole packet.
    pub bytes: Vec<u8>,
    /// The packet identifier, absent at QoS 0.
    pub packet_id_at: Option<usize>,
    /// The payload's first byte, where the stamp is.
    pub payload_at: usize,
    /// The topic's counter digits.
    pub counter_at: Option<usize>,
}

/// Encodes a PUBLISH with a zeroed stamp.
#[must_use]
pub fn publish(topic: &Topic, kind: PublishKind) -> PublishTemplate {
    let payload_bytes = kind.payload_bytes.max(payload::STAMP_BYTES);
    let mut body = Vec::with_capacity(topic.name.len() + payload_bytes + 8);
    push_string(&mut body, &topic.name);
    let packet_id_in_body = (kind.qos != Qos::AtMostOnce).then_some(body.len());
    if packet_id_in_body.is_some() {
        body.extend_from_slice(&1u16.to_be_bytes());
    }
    push_no_properties(&mut body, kind.version);
    let payload_in_body = body.len();
    body.resize(body.len() + payload_bytes, b'.');
    let retain_flag = u8::from(kind.retain == Retain::Yes);
    let bytes = packet(0x30 | (kind.qos as u8) << 1 | retain_flag, &body);
    let header = bytes.len() - body.len();
    PublishTemplate {
        packet_id_at: packet_id_in_body.map(|at| header + at),
        payload_at: header + payload_in_body,
        counter_at: topic.counter_at.map(|at| header + 2 + at),
        bytes,
    }
}

/// A QoS 0 PUBLISH that removes the topic's retained message.
#[must_use]
pub fn clear_retained(topic: &Topic, version: Version) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.name.len() + 3);
    push_string(&mut body, &topic.name);
    push_no_properties(&mut body, version);
    packet(0x31, &body)
}

fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 5);
    bytes.push(first_byte);
    let mut rest = body.len();
    loop {
        let digit = (rest % 128) as u8;
        rest /= 128;
        if rest == 0 {
            bytes.push(digit);
            break;
        }
        bytes.push(digit | 0x80);
    }
    bytes.extend_from_slice(body);
    bytes
}

fn push_string(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("scenario names stay below 65,536 bytes");
    body.extend_from_slice(&length.to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}

fn push_no_properties(body: &mut Vec<u8>, version: Version) {
    if version == Version::V5 {
        body.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_is_the_smallest_clean_session() {
        assert_eq!(
            connect("c", Version::V311),
            b"\x10\x0d\x00\x04MQTT\x04\x02\x0e\x10\x00\x01c".to_vec()
        );
        assert_eq!(
            connect("c", Version::V5),
            b"\x10\x0e\x00\x04MQTT\x05\x02\x0e\x10\x00\x00\x01c".to_vec()
        );
    }

    #[test]
    fn publish_names_where_its_fields_are() {
        let kind = PublishKind {
            version: Version::V5,
            qos: Qos::AtLeastOnce,
            retain: Retain::No,
            payload_bytes: 16,
        };
        let template = publish(&Topic::counted("t/", "/x"), kind);
        assert_eq!(template.bytes[..2], [0x32, 33]);
        assert_eq!(
            template.bytes[template.counter_at.unwrap()..][..8],
            *b"00000000"
        );
        assert_eq!(
            template.bytes[template.packet_id_at.unwrap()..][..3],
            [0, 1, 0]
        );
        assert_eq!(template.bytes.len() - template.payload_at, 16);
    }

    #[test]
    fn a_long_body_has_a_length_of_more_digits() {
        let kind = PublishKind {
            version: Version::V311,
            qos: Qos::AtMostOnce,
            retain: Retain::Yes,
            payload_bytes: 65_536,
        };
        let template = publish(&Topic::fixed("a"), kind);
        // 65,539 = 3 + 0 * 128 + 4 * 16,384
        assert_eq!(template.bytes[..4], [0x31, 0x83, 0x80, 0x04]);
        assert_eq!(template.payload_at, 7);
    }
}
