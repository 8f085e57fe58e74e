//! UNSUBSCRIBE: 3.10 of the specifications.

use std::borrow::Cow;

use crate::carrier::Carrier;
use crate::error::Field;
use crate::packet::owned_text;
use crate::reader::Reader;
use crate::{DecodeError, EncodeError, PacketId, PacketType, Properties, Version, wire};

/// A client gives subscriptions up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The identifier that UNSUBACK repeats.
    pub packet_id: PacketId,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
    /// One or more topic filters; that they are strings has been checked, where their wildcards stand has not.
    pub filters: Vec<Cow<'a, str>>,
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn decode(version: Version, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = if version.is_v5() {
            Properties::decode(reader, Carrier::Unsubscribe)?
        } else {
            Properties::EMPTY
        };
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(Cow::Borrowed(reader.str(Field::TopicFilter)?));
        }
        if filters.is_empty() {
            return Err(DecodeError::NoFilters(PacketType::Unsubscribe));
        }
        Ok(Unsubscribe {
            packet_id,
            properties,
            filters,
        })
    }

    pub(crate) fn encode_body(
        &self,
        version: Version,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::NoFilters(PacketType::Unsubscribe));
        }
        wire::put_u16(out, self.packet_id.get());
        if version.is_v5() {
            self.properties.encode(PacketType::Unsubscribe, out)?;
        }
        self.filters
            .iter()
            .try_for_each(|filter| wire::put_str(out, filter))
    }

    /// The same, with texts and bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Unsubscribe<'static> {
        Unsubscribe {
            packet_id: self.packet_id,
            properties: self.properties.into_owned(),
            filters: self.filters.into_iter().map(owned_text).collect(),
        }
    }
}
