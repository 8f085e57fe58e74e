//! SUBSCRIBE: 3.8 of the specifications.

use std::borrow::Cow;

use crate::carrier::Carrier;
use crate::error::Field;
use crate::packet::owned_text;
use crate::reader::Reader;
use crate::{DecodeError, EncodeError, PacketId, PacketType, Properties, Qos, Version, wire};

const NO_LOCAL: u8 = 1 << 2;
const RETAIN_AS_PUBLISHED: u8 = 1 << 3;
const RETAIN_HANDLING_SHIFT: u8 = 4;
const RESERVED_V5: u8 = 0b1100_0000;
/// Before MQTT 5.0 the byte holds the QoS alone.
const RESERVED_V3: u8 = 0b1111_1100;

/// A client asks for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The identifier that SUBACK repeats.
    pub packet_id: PacketId,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
    /// One or more. That the filters are strings has been checked, where their wildcards stand has not
    /// (see [`topic::validate_filter`](crate::topic::validate_filter)): the server answers for each filter alone.
    pub filters: Vec<Subscription<'a>>,
}

/// A topic filter and what the client wants of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// The topic filter, shared or not.
    pub filter: Cow<'a, str>,
    /// The options.
    pub options: SubscriptionOptions,
}

/// The options of a subscription; before MQTT 5.0 only the QoS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SubscriptionOptions {
    /// The highest quality of service to deliver with.
    pub qos: Qos,
    /// Do not deliver what the same client published.
    pub no_local: bool,
    /// Leave the RETAIN flag as the publisher set it.
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent for a subscription.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RetainHandling {
    /// With every SUBSCRIBE.
    #[default]
    SendAlways = 0,
    /// Only if the subscription did not exist.
    SendIfNew = 1,
    /// Never.
    DoNotSend = 2,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn decode(version: Version, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let properties = if version.is_v5() {
            Properties::decode(reader, Carrier::Subscribe)?
        } else {
            Properties::EMPTY
        };
        let mut filters = Vec::new();
        while !reader.is_empty() {
            filters.push(Subscription::decode(version, reader)?);
        }
        if filters.is_empty() {
            return Err(DecodeError::NoFilters(PacketType::Subscribe));
        }
        Ok(Subscribe {
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
            return Err(EncodeError::NoFilters(PacketType::Subscribe));
        }
        wire::put_u16(out, self.packet_id.get());
        if version.is_v5() {
            self.properties.encode(PacketType::Subscribe, out)?;
        }
        self.filters
            .iter()
            .try_for_each(|subscription| subscription.encode(version, out))
    }

    /// The same, with texts and bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Subscribe<'static> {
        let owned = |subscription: Subscription<'_>| Subscription {
            filter: owned_text(subscription.filter),
            options: subscription.options,
        };
        Subscribe {
            packet_id: self.packet_id,
            properties: self.properties.into_owned(),
            filters: self.filters.into_iter().map(owned).collect(),
        }
    }
}

impl<'a> Subscription<'a> {
    fn decode(version: Version, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let filter = reader.str(Field::TopicFilter)?;
        let options = SubscriptionOptions::decode(version, reader.u8(Field::SubscriptionOptions)?)?;
        if options.no_local && is_shared(filter) {
            return Err(DecodeError::NoLocalOnShared);
        }
        Ok(Subscription {
            filter: Cow::Borrowed(filter),
            options,
        })
    }

    fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if version.is_v5() && self.options.no_local && is_shared(&self.filter) {
            return Err(EncodeError::NoLocalOnShared);
        }
        wire::put_str(out, &self.filter)?;
        out.push(self.options.to_byte(version));
        Ok(())
    }
}

impl SubscriptionOptions {
    /// The options with this QoS and nothing else: all that the versions before MQTT 5.0 know.
    #[must_use]
    pub const fn with_qos(qos: Qos) -> Self {
        SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAlways,
        }
    }

    fn decode(version: Version, byte: u8) -> Result<Self, DecodeError> {
        let reserved = if version.is_v5() {
            RESERVED_V5
        } else {
            RESERVED_V3
        };
        let invalid = DecodeError::InvalidSubscriptionOptions(byte);
        if byte & reserved != 0 {
            return Err(invalid);
        }
        Ok(SubscriptionOptions {
            qos: Qos::try_from(byte & 0b11).map_err(|_| invalid)?,
            no_local: byte & NO_LOCAL != 0,
            retain_as_published: byte & RETAIN_AS_PUBLISHED != 0,
            retain_handling: match byte >> RETAIN_HANDLING_SHIFT & 0b11 {
                0 => RetainHandling::SendAlways,
                1 => RetainHandling::SendIfNew,
                2 => RetainHandling::DoNotSend,
                _ => return Err(DecodeError::RetainHandlingThree),
            },
        })
    }

    fn to_byte(self, version: Version) -> u8 {
        if !version.is_v5() {
            return self.qos as u8;
        }
        let no_local = if self.no_local { NO_LOCAL } else { 0 };
        let retain_as_published = if self.retain_as_published {
            RETAIN_AS_PUBLISHED
        } else {
            0
        };
        self.qos as u8
            | no_local
            | retain_as_published
            | (self.retain_handling as u8) << RETAIN_HANDLING_SHIFT
    }
}

fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}
