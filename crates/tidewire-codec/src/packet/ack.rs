//! PUBACK, PUBREC, PUBREL and PUBCOMP: 3.4 to 3.7 of the specifications.

use crate::carrier::Carrier;
use crate::packet::{checked_reason, read_reason};
use crate::reader::Reader;
use crate::{
    DecodeError, EncodeError, PacketId, PacketType, Properties, ReasonCode, Sender, Version, wire,
};

/// The content of PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The packet identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// How it went; always success before MQTT 5.0.
    pub reason: ReasonCode,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    /// The acknowledgement that says nothing but the identifier.
    #[must_use]
    pub const fn success(packet_id: PacketId) -> Self {
        Ack::with_reason(packet_id, ReasonCode::Success)
    }

    /// An acknowledgement without properties.
    #[must_use]
    pub const fn with_reason(packet_id: PacketId, reason: ReasonCode) -> Self {
        Ack {
            packet_id,
            reason,
            properties: Properties::EMPTY,
        }
    }

    pub(crate) fn decode(
        packet: PacketType,
        version: Version,
        reader: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let mut ack = Ack::success(reader.packet_id()?);
        if !version.is_v5() || reader.is_empty() {
            return Ok(ack);
        }
        // Either side sends acknowledgements, with the same reason codes and properties.
        ack.reason = read_reason(packet, Sender::Client, reader)?;
        if let (false, Some(carrier)) = (reader.is_empty(), Carrier::of(packet, Sender::Client)) {
            ack.properties = Properties::decode(reader, carrier)?;
        }
        Ok(ack)
    }

    pub(crate) fn encode_body(
        &self,
        packet: PacketType,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        wire::put_u16(out, self.packet_id.get());
        if !version.is_v5() || (self.reason == ReasonCode::Success && self.properties.is_empty()) {
            return Ok(());
        }
        out.push(checked_reason(packet, self.reason)?);
        if !self.properties.is_empty() {
            self.properties.encode(packet, out)?;
        }
        Ok(())
    }

    /// The same, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Ack<'static> {
        Ack {
            packet_id: self.packet_id,
            reason: self.reason,
            properties: self.properties.into_owned(),
        }
    }
}
