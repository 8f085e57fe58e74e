//! DISCONNECT: 3.14 of the specifications.

use crate::carrier::Carrier;
use crate::packet::{checked_reason, read_reason};
use crate::reader::Reader;
use crate::{DecodeError, EncodeError, PacketType, Properties, ReasonCode, Sender, Version};

/// The last packet of a connection. Before MQTT 5.0 only clients send it, and it says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; always success before MQTT 5.0.
    pub reason: ReasonCode,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    /// A DISCONNECT without properties.
    #[must_use]
    pub const fn with_reason(reason: ReasonCode) -> Self {
        Disconnect {
            reason,
            properties: Properties::EMPTY,
        }
    }

    pub(crate) fn decode(
        version: Version,
        sender: Sender,
        reader: &mut Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let mut disconnect = Disconnect::with_reason(ReasonCode::Success);
        if !version.is_v5() || reader.is_empty() {
            return Ok(disconnect);
        }
        disconnect.reason = read_reason(PacketType::Disconnect, sender, reader)?;
        if !reader.is_empty() {
            let carrier = match sender {
                Sender::Client => Carrier::DisconnectFromClient,
                Sender::Server => Carrier::DisconnectFromServer,
            };
            disconnect.properties = Properties::decode(reader, carrier)?;
        }
        Ok(disconnect)
    }

    pub(crate) fn encode_body(
        &self,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if !version.is_v5() || (self.reason == ReasonCode::Success && self.properties.is_empty()) {
            return Ok(());
        }
        out.push(checked_reason(PacketType::Disconnect, self.reason)?);
        if !self.properties.is_empty() {
            self.properties.encode(PacketType::Disconnect, out)?;
        }
        Ok(())
    }

    /// The same, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Disconnect<'static> {
        Disconnect {
            reason: self.reason,
            properties: self.properties.into_owned(),
        }
    }
}
