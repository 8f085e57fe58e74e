//! Finding packets in a stream of bytes: the fixed header, its limits, and the bytes of one whole packet.
//!
//! Nothing is copied and nothing is kept. Callers give the unread bytes again when more have come.

use crate::{DecodeError, PacketType, wire};

/// What a first byte may be, by all versions together: [`Packet::decode`](crate::Packet::decode) is stricter, as it knows
/// the version.
static FIRST_BYTE_LEGAL: [bool; 256] = first_bytes();

/// DUP: MQTT 3.1 also used it on repeated PUBREL, SUBSCRIBE and UNSUBSCRIBE packets.
const DUP: u8 = 0b1000;

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which would refuse an index out of range"
)]
const fn first_bytes() -> [bool; 256] {
    let mut legal = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        legal[byte] = is_legal_first_byte(byte as u8);
        byte += 1;
    }
    legal
}

const fn is_legal_first_byte(byte: u8) -> bool {
    let flags = byte & 0x0F;
    match PacketType::from_first_byte(byte) {
        None => false,
        Some(PacketType::Publish) => flags & 0b0110 != 0b0110,
        Some(packet @ (PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe)) => {
            flags & !DUP == packet.reserved_flags()
        }
        Some(packet) => flags == packet.reserved_flags(),
    }
}

#[cold]
const fn first_byte_error(first_byte: u8) -> DecodeError {
    match PacketType::from_first_byte(first_byte) {
        None => DecodeError::UnknownPacketType { first_byte },
        Some(PacketType::Publish) => DecodeError::QosThree,
        Some(packet) => DecodeError::UnexpectedFlags {
            packet,
            flags: first_byte & 0x0F,
        },
    }
}

/// The fixed header of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixedHeader {
    /// Type and flags.
    pub first_byte: u8,
    /// Bytes of this header: 2 to 5.
    pub header_len: usize,
    /// Bytes of the packet behind this header.
    pub remaining_len: u32,
}

impl FixedHeader {
    /// The type; `None` cannot come out of [`fixed_header`].
    #[must_use]
    pub const fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_first_byte(self.first_byte)
    }

    /// Bytes of the whole packet, header and all.
    #[inline]
    #[must_use]
    pub const fn total_len(&self) -> u32 {
        self.remaining_len.saturating_add(self.header_len as u32)
    }
}

/// Reads the fixed header in front of the bytes; `None` if it is not all here yet.
///
/// # Errors
/// A type or flags that no version knows, or a remaining length of more than four bytes: told from the first byte that shows it.
#[inline]
pub fn fixed_header(bytes: &[u8]) -> Result<Option<FixedHeader>, DecodeError> {
    let Some((&first_byte, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    // Eight bits index a table of 256: the look-up always finds an entry.
    if FIRST_BYTE_LEGAL.get(usize::from(first_byte)) != Some(&true) {
        return Err(first_byte_error(first_byte));
    }
    match rest.first() {
        None => Ok(None),
        Some(&length) if length < 0x80 => Ok(Some(FixedHeader {
            first_byte,
            header_len: 2,
            remaining_len: u32::from(length),
        })),
        Some(_) => Ok(
            wire::read_varint(rest)?.map(|(remaining_len, count)| FixedHeader {
                first_byte,
                header_len: 1 + count,
                remaining_len,
            }),
        ),
    }
}

/// The bytes of one whole packet, not yet looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Type and flags.
    pub first_byte: u8,
    /// The whole packet.
    pub bytes: &'a [u8],
    /// The packet behind its fixed header.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The type; `None` cannot come out of [`next_frame`].
    #[inline]
    #[must_use]
    pub const fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_first_byte(self.first_byte)
    }

    /// Bytes of the fixed header.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.bytes.len().saturating_sub(self.body.len())
    }

    /// Whether the remaining length is written in as few bytes as it needs. MQTT 5.0 demands it; earlier versions do not.
    #[inline]
    #[must_use]
    pub const fn has_minimal_header(&self) -> bool {
        // A longer form ends with a byte that adds nothing.
        match self.bytes.split_at_checked(self.header_len()) {
            Some(([_, _], _)) => true,
            Some(([.., last], _)) => *last != 0,
            _ => false,
        }
    }
}

/// Takes the packet in front of the bytes; `None` if it is not all here yet. The next packet begins `frame.bytes.len()` further.
///
/// # Errors
/// As [`fixed_header`]; and [`DecodeError::PacketTooLarge`], told from the header alone, before the rest has come.
/// `max_packet_size` counts the whole packet, as the property Maximum Packet Size does.
#[inline]
pub fn next_frame(bytes: &[u8], max_packet_size: u32) -> Result<Option<Frame<'_>>, DecodeError> {
    let Some(header) = fixed_header(bytes)? else {
        return Ok(None);
    };
    let size = header.total_len();
    if size > max_packet_size {
        return Err(DecodeError::PacketTooLarge {
            size,
            limit: max_packet_size,
        });
    }
    let Some(whole) = bytes.get(..size as usize) else {
        return Ok(None);
    };
    let Some(body) = whole.get(header.header_len..) else {
        return Ok(None);
    };
    Ok(Some(Frame {
        first_byte: header.first_byte,
        bytes: whole,
        body,
    }))
}
