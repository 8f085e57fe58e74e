//! CONNACK: 3.2 of the specifications.

use crate::carrier::Carrier;
use crate::error::Field;
use crate::packet::{checked_reason, read_reason};
use crate::reader::Reader;
use crate::{DecodeError, EncodeError, PacketType, Properties, ReasonCode, Sender, Version};

const SESSION_PRESENT: u8 = 1;

/// The server's answer to CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server goes on with a session that it had; never in MQTT 3.1, which does not tell.
    pub session_present: bool,
    /// Success, or why the connection is refused.
    pub reason: ReasonCode,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
}

impl<'a> ConnAck<'a> {
    pub(crate) fn decode(version: Version, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let flags = reader.u8(Field::Flags)?;
        let session_present = decode_flags(version, flags)?;
        let reason = if version.is_v5() {
            read_reason(PacketType::ConnAck, Sender::Server, reader)?
        } else {
            let code = reader.u8(Field::ReasonCode)?;
            ReasonCode::from_connack_return_code(code)
                .ok_or(DecodeError::ReservedReturnCode(code))?
        };
        if session_present && reason != ReasonCode::Success {
            return Err(DecodeError::SessionPresentWithRefusal);
        }
        let properties = if version.is_v5() {
            Properties::decode(reader, Carrier::ConnAck)?
        } else {
            Properties::EMPTY
        };
        Ok(ConnAck {
            session_present,
            reason,
            properties,
        })
    }

    pub(crate) fn encode_body(
        &self,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.session_present && self.reason != ReasonCode::Success {
            return Err(EncodeError::SessionPresentWithRefusal);
        }
        let session_present = self.session_present && version != Version::V31;
        out.push(u8::from(session_present));
        if !version.is_v5() {
            out.push(
                self.reason
                    .connack_return_code()
                    .ok_or(EncodeError::NoReturnCode(self.reason))?,
            );
            return Ok(());
        }
        out.push(checked_reason(PacketType::ConnAck, self.reason)?);
        self.properties.encode(PacketType::ConnAck, out)
    }

    /// The same, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> ConnAck<'static> {
        ConnAck {
            session_present: self.session_present,
            reason: self.reason,
            properties: self.properties.into_owned(),
        }
    }
}

/// MQTT 3.1 has a reserved byte here, which says nothing.
fn decode_flags(version: Version, flags: u8) -> Result<bool, DecodeError> {
    match flags {
        _ if version == Version::V31 => Ok(false),
        0 => Ok(false),
        SESSION_PRESENT => Ok(true),
        other => Err(DecodeError::ReservedConnAckFlags(other)),
    }
}
