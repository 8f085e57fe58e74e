//! A PUBLISH as it lies in the read buffer: what a broker looks at for each message, and nothing more.

use crate::carrier::Carrier;
use crate::error::Field;
use crate::frame::Frame;
use crate::reader::Reader;
use crate::{DecodeError, PacketId, Properties, Qos, Sender, TopicError, Version};

const DUP: u8 = 0b1000;
const RETAIN: u8 = 0b0001;

/// A checked view of a PUBLISH frame. All is checked but the characters of the topic name: whoever keeps a cache per
/// topic checks them once, when a new name comes, with [`topic::validate_name`](crate::topic::validate_name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishView<'a> {
    /// Type and flags.
    pub first_byte: u8,
    /// The bytes of the topic name: not validated yet, and empty only where a topic alias is given.
    pub topic: &'a [u8],
    /// Present at QoS 1 and 2, absent at QoS 0.
    pub packet_id: Option<PacketId>,
    /// Validated; empty before MQTT 5.0.
    pub properties: Properties<'a>,
    /// The message itself.
    pub payload: &'a [u8],
    header_len: usize,
    frame_len: usize,
}

impl<'a> PublishView<'a> {
    /// Reads a PUBLISH frame; that it is one has been seen before, by [`Frame::packet_type`].
    ///
    /// # Errors
    /// Everything that decoding the packet would report, but for the characters of the topic name.
    #[inline]
    pub fn parse(version: Version, sender: Sender, frame: Frame<'a>) -> Result<Self, DecodeError> {
        if version.is_v5() && !frame.has_minimal_header() {
            return Err(DecodeError::VarintNotMinimal);
        }
        let qos = checked_qos(version, frame.first_byte)?;
        let mut reader = Reader::new(frame.body);
        let topic = reader.bytes(Field::TopicName)?;
        let packet_id = if qos == Qos::AtMostOnce {
            None
        } else {
            Some(reader.packet_id()?)
        };
        let properties = if version.is_v5() {
            decode_properties(sender, &mut reader)?
        } else {
            Properties::EMPTY
        };
        if topic.is_empty() {
            check_alias(version, &properties)?;
        }
        Ok(PublishView {
            first_byte: frame.first_byte,
            topic,
            packet_id,
            properties,
            payload: reader.rest(),
            header_len: frame.header_len(),
            frame_len: frame.bytes.len(),
        })
    }

    /// The quality of service.
    #[inline]
    #[must_use]
    pub fn qos(&self) -> Qos {
        // QoS 3 does not get past `parse`.
        qos_bits(self.first_byte).unwrap_or_default()
    }

    /// A repetition of an earlier attempt. Never at QoS 0, where MQTT 3.1 has no use for the flag.
    #[inline]
    #[must_use]
    pub fn dup(&self) -> bool {
        self.first_byte & DUP != 0 && self.packet_id.is_some()
    }

    /// Whether the message is, or shall become, a retained message.
    #[inline]
    #[must_use]
    pub fn retain(&self) -> bool {
        self.first_byte & RETAIN != 0
    }

    /// Where the packet identifier lies in [`Frame::bytes`].
    #[inline]
    #[must_use]
    pub fn packet_id_offset(&self) -> Option<usize> {
        self.packet_id
            .map(|_| self.header_len + 2 + self.topic.len())
    }

    /// Where the payload begins in [`Frame::bytes`].
    #[inline]
    #[must_use]
    pub fn payload_offset(&self) -> usize {
        self.frame_len.saturating_sub(self.payload.len())
    }
}

#[inline]
fn qos_bits(first_byte: u8) -> Option<Qos> {
    Qos::try_from(first_byte >> 1 & 0b11).ok()
}

/// MQTT 3.1 says of DUP only that it applies where QoS is above 0; the later versions forbid it at QoS 0.
#[inline]
fn checked_qos(version: Version, first_byte: u8) -> Result<Qos, DecodeError> {
    let qos = qos_bits(first_byte).ok_or(DecodeError::QosThree)?;
    if qos == Qos::AtMostOnce && first_byte & DUP != 0 && version != Version::V31 {
        return Err(DecodeError::DupWithQosZero);
    }
    Ok(qos)
}

#[inline]
fn decode_properties<'a>(
    sender: Sender,
    reader: &mut Reader<'a>,
) -> Result<Properties<'a>, DecodeError> {
    let carrier = match sender {
        Sender::Client => Carrier::PublishFromClient,
        Sender::Server => Carrier::PublishFromServer,
    };
    Properties::decode(reader, carrier)
}

#[cold]
fn check_alias(version: Version, properties: &Properties<'_>) -> Result<(), DecodeError> {
    match properties.topic_alias() {
        Some(_) => Ok(()),
        None if version.is_v5() => Err(DecodeError::NoTopic),
        None => Err(DecodeError::TopicName(TopicError::Empty)),
    }
}
