//! A cursor over the body of a packet. Every read names the field, so that an error can say where the packet ended.

use crate::error::{DecodeError, Field};
use crate::{PacketId, wire};

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize, field: Field) -> Result<&'a [u8], DecodeError> {
        let (front, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(front)
    }

    #[inline]
    fn array<const N: usize>(&mut self, field: Field) -> Result<[u8; N], DecodeError> {
        let (front, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(*front)
    }

    #[inline]
    pub(crate) fn u8(&mut self, field: Field) -> Result<u8, DecodeError> {
        let (first, rest) = self
            .rest
            .split_first()
            .ok_or(DecodeError::Truncated(field))?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn u16(&mut self, field: Field) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self, field: Field) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// A variable byte integer inside a packet: MQTT 5.0 only, so it must have its shortest form [5.0 MQTT-1.5.5-1].
    #[inline]
    pub(crate) fn varint(&mut self, field: Field) -> Result<u32, DecodeError> {
        let (value, count) = wire::read_varint(self.rest)?.ok_or(DecodeError::Truncated(field))?;
        if count != wire::varint_len(value) {
            return Err(DecodeError::VarintNotMinimal);
        }
        self.take(count, field)?;
        Ok(value)
    }

    /// Bytes behind their length in two bytes.
    #[inline]
    pub(crate) fn bytes(&mut self, field: Field) -> Result<&'a [u8], DecodeError> {
        let length = self.u16(field)?;
        self.take(usize::from(length), field)
    }

    pub(crate) fn str(&mut self, field: Field) -> Result<&'a str, DecodeError> {
        text(self.bytes(field)?, field)
    }

    #[inline]
    pub(crate) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16(Field::PacketId)?).ok_or(DecodeError::ZeroPacketId)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// All that is left, without taking it.
    #[inline]
    pub(crate) fn peek(&self) -> &'a [u8] {
        self.rest
    }

    /// All that is left, for the payload.
    #[inline]
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// The packet must end here.
    #[inline]
    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes {
                count: count as u32,
            }),
        }
    }
}

/// The bytes as a string of the protocol: well-formed UTF-8 without U+0000 [5.0 section 1.5.4].
pub(crate) fn text(bytes: &[u8], field: Field) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::NotUtf8(field))?;
    match memchr::memchr(0, bytes) {
        Some(_) => Err(DecodeError::ContainsNul(field)),
        None => Ok(text),
    }
}
