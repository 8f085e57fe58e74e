//! UNSUBACK: 3.11 of the specifications.

use crate::carrier::Carrier;
use crate::packet::{checked_reason, read_reason};
use crate::reader::Reader;
use crate::{
    DecodeError, EncodeError, PacketId, PacketType, Properties, ReasonCode, Sender, Version, wire,
};

/// The server's answer to UNSUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
    /// One for each filter, in order; empty before MQTT 5.0.
    pub reasons: Vec<ReasonCode>,
}

impl<'a> UnsubAck<'a> {
    pub(crate) fn decode(version: Version, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        if !version.is_v5() {
            return Ok(UnsubAck {
                packet_id,
                properties: Properties::EMPTY,
                reasons: Vec::new(),
            });
        }
        let properties = Properties::decode(reader, Carrier::UnsubAck)?;
        let mut reasons = Vec::new();
        while !reader.is_empty() {
            reasons.push(read_reason(PacketType::UnsubAck, Sender::Server, reader)?);
        }
        if reasons.is_empty() {
            return Err(DecodeError::NoFilters(PacketType::UnsubAck));
        }
        Ok(UnsubAck {
            packet_id,
            properties,
            reasons,
        })
    }

    pub(crate) fn encode_body(
        &self,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        wire::put_u16(out, self.packet_id.get());
        if !version.is_v5() {
            return Ok(());
        }
        if self.reasons.is_empty() {
            return Err(EncodeError::NoFilters(PacketType::UnsubAck));
        }
        self.properties.encode(PacketType::UnsubAck, out)?;
        for &reason in &self.reasons {
            out.push(checked_reason(PacketType::UnsubAck, reason)?);
        }
        Ok(())
    }

    /// The same, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> UnsubAck<'static> {
        UnsubAck {
            packet_id: self.packet_id,
            properties: self.properties.into_owned(),
            reasons: self.reasons,
        }
    }
}
