//! The data types of the wire (5.0 section 1.5): integers, variable byte integers, prefixed bytes.

use crate::{DecodeError, EncodeError};

/// The largest value of a variable byte integer, and so the largest remaining length.
pub const MAX_VARINT: u32 = 268_435_455;

/// Appends a variable byte integer in its shortest form. Only the 28 bits that such an integer has are written:
/// callers compare with [`MAX_VARINT`] first.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, value: u32) {
    let mut rest = value & MAX_VARINT;
    while rest >= 0x80 {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The number of bytes that [`put_varint`] writes: 1 to 4.
#[inline]
#[must_use]
pub const fn varint_len(value: u32) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Reads a variable byte integer from the front: the value and how many bytes it took. `None` if it is not all here yet.
/// A form that is longer than needed is read; whether it is legal is the caller's question.
///
/// # Errors
/// [`DecodeError::VarintTooLong`] if the fourth byte says that a fifth follows.
#[inline]
pub fn read_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    let mut value = 0;
    for (count, byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * count);
        if byte & 0x80 == 0 {
            return Ok(Some((value, count + 1)));
        }
    }
    if bytes.len() < 4 {
        Ok(None)
    } else {
        Err(DecodeError::VarintTooLong)
    }
}

/// Appends a two byte integer.
#[inline]
pub fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a four byte integer.
#[inline]
pub fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends binary data, or the UTF-8 of a string, behind its length in two bytes.
///
/// # Errors
/// [`EncodeError::FieldTooLong`] beyond 65,535 bytes; nothing is written then.
#[inline]
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), EncodeError> {
    let Ok(length) = u16::try_from(bytes.len()) else {
        return Err(EncodeError::FieldTooLong {
            length: bytes.len(),
        });
    };
    put_u16(out, length);
    out.extend_from_slice(bytes);
    Ok(())
}

/// Appends a string behind its length.
///
/// # Errors
/// [`EncodeError::FieldTooLong`] beyond 65,535 bytes, [`EncodeError::ContainsNul`]; nothing is written then.
pub fn put_str(out: &mut Vec<u8>, text: &str) -> Result<(), EncodeError> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(EncodeError::ContainsNul);
    }
    put_bytes(out, text.as_bytes())
}
