//! The properties of one packet: validated bytes, read on demand. Decoding them allocates nothing.

use std::borrow::Cow;
use std::fmt;

use crate::carrier::Carrier;
use crate::error::Field;
use crate::property::{Property, PropertyId, ValueRule, WireType};
use crate::reader::Reader;
use crate::{DecodeError, EncodeError, PacketType, Sender, topic, wire};

/// The properties of a packet in the form of the wire, without their length. What it holds has been checked: by
/// decoding, or by [`push`](Self::push).
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Properties<'a>(Cow<'a, [u8]>);

impl<'a> Properties<'a> {
    /// No properties.
    pub const EMPTY: Properties<'static> = Properties(Cow::Borrowed(&[]));

    /// Reads properties behind their length.
    #[inline]
    pub(crate) fn decode(reader: &mut Reader<'a>, carrier: Carrier) -> Result<Self, DecodeError> {
        let length = reader.varint(Field::PropertyLength)?;
        let bytes = reader.take(length as usize, Field::PropertyLength)?;
        if !bytes.is_empty() {
            validate(bytes, carrier)?;
        }
        Ok(Properties(Cow::Borrowed(bytes)))
    }

    /// Reads properties without their length, as this carrier would hold them.
    ///
    /// # Errors
    /// As decoding the packet would fail.
    pub fn from_bytes(bytes: &'a [u8], carrier: Carrier) -> Result<Self, DecodeError> {
        validate(bytes, carrier)?;
        Ok(Properties(Cow::Borrowed(bytes)))
    }

    /// Appends a property.
    ///
    /// # Errors
    /// A text or bytes that are too long, U+0000, a value out of range, a property that is there already and is neither a
    /// user property nor a subscription identifier. Nothing changes then. Whether the packet may carry the property is
    /// checked when the packet is encoded.
    pub fn push(&mut self, property: Property<'_>) -> Result<(), EncodeError> {
        let id = property.id();
        check_value(&property)?;
        if !id.may_repeat_in(Carrier::PublishFromServer) && self.find(id).is_some() {
            return Err(EncodeError::RepeatedProperty(id));
        }
        let bytes = self.0.to_mut();
        let length = bytes.len();
        let written = property.write(bytes);
        if written.is_err() {
            bytes.truncate(length);
        }
        written
    }

    /// Appends a property in a chain of calls. A property that [`push`](Self::push) would refuse is left out, which is
    /// right for what may always be left out, such as a Reason String; use `push` where it matters.
    #[must_use]
    pub fn with(mut self, property: Property<'_>) -> Self {
        let _ = self.push(property);
        self
    }

    /// Whether there is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, without the length in front.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The properties in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = Property<'_>> {
        RawProperties(Reader::new(&self.0))
            .filter_map(|(id, value)| Property::read(id, &mut Reader::new(value)).ok())
    }

    /// The user properties, name and value, in the order in which they came.
    pub fn user_properties(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all_of(PropertyId::UserProperty)
            .filter_map(|property| match property {
                Property::UserProperty(name, value) => Some((name, value)),
                _ => None,
            })
    }

    /// The subscription identifiers in the order in which they came.
    pub fn subscription_identifiers(&self) -> impl Iterator<Item = u32> {
        self.all_of(PropertyId::SubscriptionIdentifier)
            .filter_map(|property| property.number())
    }

    /// The same, with bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Properties<'static> {
        match self.0 {
            Cow::Borrowed([]) => Properties::EMPTY,
            bytes => Properties(Cow::Owned(bytes.into_owned())),
        }
    }

    /// The same, borrowed from this.
    #[must_use]
    pub fn borrow(&self) -> Properties<'_> {
        Properties(Cow::Borrowed(&self.0))
    }

    /// The first property with this identifier; values of others are skipped, not read.
    pub(crate) fn find(&self, id: PropertyId) -> Option<Property<'_>> {
        if self.is_empty() {
            None
        } else {
            self.all_of(id).next()
        }
    }

    fn all_of(&self, wanted: PropertyId) -> impl Iterator<Item = Property<'_>> {
        RawProperties(Reader::new(&self.0))
            .filter(move |(id, _)| *id == wanted)
            .filter_map(|(id, value)| Property::read(id, &mut Reader::new(value)).ok())
    }

    /// Appends length and properties, if this packet may carry them from one side at least.
    pub(crate) fn encode(&self, packet: PacketType, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let from_client = Carrier::of(packet, Sender::Client);
        self.encode_in(packet, from_client, out)
    }

    /// As [`encode`](Self::encode), for the properties of the will.
    pub(crate) fn encode_will(&self, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.encode_in(PacketType::Connect, Some(Carrier::Will), out)
    }

    fn encode_in(
        &self,
        packet: PacketType,
        carrier: Option<Carrier>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        self.check_carried(packet, carrier)?;
        wire::put_varint(out, checked_len(self.0.len())?);
        out.extend_from_slice(&self.0);
        Ok(())
    }

    /// Whether this packet may carry all of them, from one side at least.
    pub(crate) fn check_carried_by(&self, packet: PacketType) -> Result<(), EncodeError> {
        self.check_carried(packet, Carrier::of(packet, Sender::Client))
    }

    fn check_carried(
        &self,
        packet: PacketType,
        carrier: Option<Carrier>,
    ) -> Result<(), EncodeError> {
        let misplaced = RawProperties(Reader::new(&self.0))
            .map(|(id, _)| id)
            .find(|id| {
                !carrier.is_some_and(|carrier| id.carriers().contains_from_either_side(carrier))
            });
        match misplaced {
            Some(property) => Err(EncodeError::MisplacedProperty { property, packet }),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// A length as a variable byte integer can say it.
pub(crate) fn checked_len(length: usize) -> Result<u32, EncodeError> {
    match u32::try_from(length) {
        Ok(short) if short <= wire::MAX_VARINT => Ok(short),
        _ => Err(EncodeError::PacketTooLarge { length }),
    }
}

/// Identifiers with the bytes of their values, of properties that are known to be valid.
struct RawProperties<'a>(Reader<'a>);

impl<'a> Iterator for RawProperties<'a> {
    type Item = (PropertyId, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let id = PropertyId::from_u8(self.0.u8(Field::PropertyId).ok()?)?;
        let length = value_len(id.wire_type(), self.0.peek())?;
        Some((id, self.0.take(length, Field::Property(id)).ok()?))
    }
}

/// Bytes of the value in front.
fn value_len(wire_type: WireType, bytes: &[u8]) -> Option<usize> {
    match wire_type {
        WireType::Byte => Some(1),
        WireType::TwoByte => Some(2),
        WireType::FourByte => Some(4),
        WireType::Varint => wire::read_varint(bytes).ok()?.map(|(_, count)| count),
        WireType::Text | WireType::Binary => prefixed_len(bytes),
        WireType::Pair => {
            let name = prefixed_len(bytes)?;
            Some(name + prefixed_len(bytes.get(name..)?)?)
        }
    }
}

fn prefixed_len(bytes: &[u8]) -> Option<usize> {
    bytes
        .first_chunk()
        .map(|length| 2 + usize::from(u16::from_be_bytes(*length)))
}

fn validate(bytes: &[u8], carrier: Carrier) -> Result<(), DecodeError> {
    let mut reader = Reader::new(bytes);
    let mut seen = 0_u64;
    while !reader.is_empty() {
        let number = reader.u8(Field::PropertyId)?;
        let id = PropertyId::from_u8(number).ok_or(DecodeError::UnknownProperty { id: number })?;
        if !id.carriers().contains(carrier) {
            return Err(DecodeError::MisplacedProperty {
                property: id,
                carrier,
            });
        }
        // Identifiers end at 0x2A, so each has a bit of its own.
        let bit = 1 << (id as u8);
        if seen & bit != 0 && !id.may_repeat_in(carrier) {
            return Err(DecodeError::RepeatedProperty(id));
        }
        seen |= bit;
        validate_value(&Property::read(id, &mut reader)?)?;
    }
    let has = |id: PropertyId| seen & 1 << (id as u8) != 0;
    if has(PropertyId::AuthenticationData) && !has(PropertyId::AuthenticationMethod) {
        return Err(DecodeError::NoAuthenticationMethod);
    }
    Ok(())
}

fn validate_value(property: &Property<'_>) -> Result<(), DecodeError> {
    let id = property.id();
    match (id.rule(), property.number()) {
        (ValueRule::Alias, Some(0)) => Err(DecodeError::ZeroTopicAlias),
        (rule, Some(value)) if !rule.allows(value) => Err(DecodeError::PropertyValue {
            property: id,
            value,
        }),
        _ => match property {
            Property::ResponseTopic(name) => topic::validate_name(name.as_bytes())
                .map(drop)
                .map_err(DecodeError::ResponseTopic),
            _ => Ok(()),
        },
    }
}

fn check_value(property: &Property<'_>) -> Result<(), EncodeError> {
    let id = property.id();
    let too_large = |value| id.wire_type() == WireType::Varint && value > wire::MAX_VARINT;
    match property {
        Property::ResponseTopic(name) => topic::validate_name(name.as_bytes())
            .map(drop)
            .map_err(EncodeError::TopicName),
        _ => match property.number() {
            Some(value) if !id.rule().allows(value) || too_large(value) => {
                Err(EncodeError::PropertyValue(id))
            }
            _ => Ok(()),
        },
    }
}
