//! PUBLISH up to its payload, written once for all receivers that can share the bytes.

use crate::properties::checked_len;
use crate::{EncodeError, PacketId, PacketType, Qos, Version, wire};

/// Everything of a PUBLISH but its payload, which the caller appends. The packet identifier can be patched afterwards,
/// so one encoding serves many receivers. Topic and properties are taken as valid.
#[derive(Clone, Copy, Debug)]
pub struct PublishHeader<'a> {
    /// A repetition of an earlier attempt.
    pub dup: bool,
    /// The quality of service of this hop.
    pub qos: Qos,
    /// The RETAIN flag.
    pub retain: bool,
    /// The topic name; empty only with a topic alias among the properties.
    pub topic: &'a str,
    /// Present at QoS 1 and 2, absent at QoS 0.
    pub packet_id: Option<PacketId>,
    /// Encoded properties in pieces that follow one another; not written before MQTT 5.0.
    pub properties: &'a [&'a [u8]],
    /// Bytes of the payload that will follow.
    pub payload_len: usize,
}

/// Where things lie in an encoded PUBLISH, counted from its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedPublish {
    /// Where the packet identifier lies, at QoS 1 and 2.
    pub packet_id_offset: Option<usize>,
    /// Where the payload begins: the length of what was written.
    pub payload_offset: usize,
}

impl PublishHeader<'_> {
    /// Bytes of the whole packet, payload and all.
    #[must_use]
    pub fn encoded_len(&self, version: Version) -> usize {
        let remaining = self.remaining_len(version);
        let header = 1 + wire::varint_len(u32::try_from(remaining).unwrap_or(u32::MAX));
        remaining.saturating_add(header)
    }

    /// Appends the header.
    ///
    /// # Errors
    /// A topic or a packet too long to say, a packet identifier at QoS 0 or none above, DUP at QoS 0. Nothing is written then.
    #[inline]
    pub fn encode(
        &self,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<EncodedPublish, EncodeError> {
        let remaining_len = checked_len(self.remaining_len(version))?;
        self.check()?;
        let start = out.len();
        out.reserve(self.encoded_len(version));
        out.push(self.first_byte());
        wire::put_varint(out, remaining_len);
        wire::put_bytes(out, self.topic.as_bytes())?;
        let mut packet_id_offset = None;
        if let Some(packet_id) = self.packet_id {
            packet_id_offset = Some(out.len() - start);
            wire::put_u16(out, packet_id.get());
        }
        if version.is_v5() {
            wire::put_varint(out, self.properties_len() as u32);
            for piece in self.properties {
                out.extend_from_slice(piece);
            }
        }
        Ok(EncodedPublish {
            packet_id_offset,
            payload_offset: out.len() - start,
        })
    }

    fn check(&self) -> Result<(), EncodeError> {
        if self.topic.len() > crate::topic::MAX_LEN {
            return Err(EncodeError::FieldTooLong {
                length: self.topic.len(),
            });
        }
        if self.packet_id.is_some() != (self.qos != Qos::AtMostOnce) {
            return Err(EncodeError::PacketIdMismatch);
        }
        if self.dup && self.qos == Qos::AtMostOnce {
            return Err(EncodeError::DupWithQosZero);
        }
        Ok(())
    }

    fn first_byte(&self) -> u8 {
        PacketType::Publish.first_byte()
            | u8::from(self.dup) << 3
            | (self.qos as u8) << 1
            | u8::from(self.retain)
    }

    fn remaining_len(&self, version: Version) -> usize {
        let packet_id = if self.packet_id.is_some() { 2 } else { 0 };
        let properties = if version.is_v5() {
            let length = self.properties_len();
            wire::varint_len(u32::try_from(length).unwrap_or(u32::MAX)) + length
        } else {
            0
        };
        (2 + self.topic.len() + packet_id + properties).saturating_add(self.payload_len)
    }

    fn properties_len(&self) -> usize {
        self.properties.iter().map(|piece| piece.len()).sum()
    }
}
