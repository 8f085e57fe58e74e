//! SUBACK: 3.9 of the specifications.

use crate::carrier::Carrier;
use crate::error::Field;
use crate::packet::{checked_reason, read_reason};
use crate::reader::Reader;
use crate::{
    DecodeError, EncodeError, PacketId, PacketType, Properties, ReasonCode, Sender, Version, wire,
};

/// The only failure that SUBACK could say before MQTT 5.0.
const FAILURE: u8 = 0x80;

/// The server's answer to SUBSCRIBE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
    /// One for each filter, in order: the granted QoS or a failure. MQTT 3.1.1 has one failure for all,
    /// MQTT 3.1 none: encoding one there is an error.
    pub reasons: Vec<ReasonCode>,
}

impl<'a> SubAck<'a> {
    pub(crate) fn decode(version: Version, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = if version.is_v5() {
            Properties::decode(reader, Carrier::SubAck)?
        } else {
            Properties::EMPTY
        };
        let mut reasons = Vec::new();
        while !reader.is_empty() {
            reasons.push(decode_reason(version, reader)?);
        }
        if reasons.is_empty() {
            return Err(DecodeError::NoFilters(PacketType::SubAck));
        }
        Ok(SubAck {
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
        if self.reasons.is_empty() {
            return Err(EncodeError::NoFilters(PacketType::SubAck));
        }
        wire::put_u16(out, self.packet_id.get());
        if version.is_v5() {
            self.properties.encode(PacketType::SubAck, out)?;
        }
        for &reason in &self.reasons {
            out.push(return_code(version, reason)?);
        }
        Ok(())
    }

    /// The same, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> SubAck<'static> {
        SubAck {
            packet_id: self.packet_id,
            properties: self.properties.into_owned(),
            reasons: self.reasons,
        }
    }
}

/// MQTT 3.1.1 has one failure, MQTT 3.1 none: there a server grants a refused filter and delivers nothing.
fn return_code(version: Version, reason: ReasonCode) -> Result<u8, EncodeError> {
    let code = checked_reason(PacketType::SubAck, reason)?;
    match version {
        Version::V5 => Ok(code),
        Version::V311 => Ok(code.min(FAILURE)),
        Version::V31 if !reason.is_error() => Ok(code),
        Version::V31 => Err(EncodeError::UnexpectedReasonCode {
            packet: PacketType::SubAck,
            reason,
        }),
    }
}

/// MQTT 3.1 servers in the field send the failure of MQTT 3.1.1, so it is read in both.
fn decode_reason(version: Version, reader: &mut Reader<'_>) -> Result<ReasonCode, DecodeError> {
    if version.is_v5() {
        return read_reason(PacketType::SubAck, Sender::Server, reader);
    }
    match reader.u8(Field::ReasonCode)? {
        0 => Ok(ReasonCode::Success),
        1 => Ok(ReasonCode::GrantedQos1),
        2 => Ok(ReasonCode::GrantedQos2),
        FAILURE => Ok(ReasonCode::UnspecifiedError),
        other => Err(DecodeError::ReservedReturnCode(other)),
    }
}
