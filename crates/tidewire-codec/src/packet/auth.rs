//! AUTH: 5.0 section 3.15.

use crate::carrier::Carrier;
use crate::packet::{checked_reason, read_reason};
use crate::reader::Reader;
use crate::{DecodeError, EncodeError, PacketType, Properties, ReasonCode, Sender};

/// A step of enhanced authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Success (server), continue (either side) or re-authenticate (client).
    pub reason: ReasonCode,
    /// Method and data of the exchange.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(crate) fn decode(sender: Sender, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut auth = Auth {
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        };
        if reader.is_empty() {
            return empty_form(sender).map(|()| auth);
        }
        auth.reason = read_reason(PacketType::Auth, sender, reader)?;
        if !reader.is_empty() {
            let carrier = match sender {
                Sender::Client => Carrier::AuthFromClient,
                Sender::Server => Carrier::AuthFromServer,
            };
            auth.properties = Properties::decode(reader, carrier)?;
        }
        // 3.15.2.2.2 demands the method, and 3.15.2.1 allows success without any property: the second is the exception.
        let is_bare_success = auth.reason == ReasonCode::Success && auth.properties.is_empty();
        if auth.properties.authentication_method().is_none() && !is_bare_success {
            return Err(DecodeError::NoAuthenticationMethod);
        }
        Ok(auth)
    }

    pub(crate) fn encode_body(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if self.reason == ReasonCode::Success && self.properties.is_empty() {
            return Ok(());
        }
        out.push(checked_reason(PacketType::Auth, self.reason)?);
        self.properties.encode(PacketType::Auth, out)
    }

    /// The same, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Auth<'static> {
        Auth {
            reason: self.reason,
            properties: self.properties.into_owned(),
        }
    }
}

/// A packet without a body says success, which only the server may say.
fn empty_form(sender: Sender) -> Result<(), DecodeError> {
    if ReasonCode::Success.allowed_from(PacketType::Auth, sender) {
        return Ok(());
    }
    Err(DecodeError::UnexpectedReasonCode {
        packet: PacketType::Auth,
        code: ReasonCode::Success as u8,
    })
}
