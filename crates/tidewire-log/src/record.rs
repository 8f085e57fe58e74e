//! One record: marker, length, sequence number, checksum, body.

use crate::bytes::{u32_at, u64_at};

/// Bytes in front of every body.
pub const RECORD_HEADER_BYTES: usize = 20;

/// What every record starts with, so that the next one can be found behind a damaged one.
const MARKER: [u8; 4] = *b"\xA7TWr";

/// Appends a record whose body `encode` writes.
pub(crate) fn encode(into: &mut Vec<u8>, salt: u32, seq: u64, encode: impl FnOnce(&mut Vec<u8>)) {
    let start = into.len();
    into.extend_from_slice(&MARKER);
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&seq.to_le_bytes());
    into.extend_from_slice(&[0; 4]);
    let body = into.len();
    encode(into);
    let length = u32::try_from(into.len() - body).unwrap_or(u32::MAX);
    put(into, start + 4, &length.to_le_bytes());
    let sum = record_checksum(salt, into.get(start..).unwrap_or_default());
    put(into, start + 16, &sum.to_le_bytes());
}

/// A record at the start of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Parsed {
    /// Whole and sound: sequence number and length with its header.
    Sound { seq: u64, total: usize },
    /// A header that could be one, whose body is not all there: so many bytes are needed to tell.
    Needs { total: usize },
    /// No record.
    Bad,
}

/// Looks at the record at the start of `bytes`; `room` is how many bytes it may have at most.
pub(crate) fn parse(bytes: &[u8], salt: u32, room: u64) -> Parsed {
    if bytes.len() < RECORD_HEADER_BYTES {
        return if room < RECORD_HEADER_BYTES as u64 {
            Parsed::Bad
        } else {
            Parsed::Needs {
                total: RECORD_HEADER_BYTES,
            }
        };
    }
    let Some(total) = announced_total(bytes).filter(|total| *total as u64 <= room) else {
        return Parsed::Bad;
    };
    let Some(record) = bytes.get(..total) else {
        return Parsed::Needs { total };
    };
    match (u64_at(record, 8), u32_at(record, 16)) {
        (Some(seq), Some(sum)) if sum == record_checksum(salt, record) => {
            Parsed::Sound { seq, total }
        }
        _ => Parsed::Bad,
    }
}

/// The length, header included, that a header announces; `None` if it is no header.
fn announced_total(bytes: &[u8]) -> Option<usize> {
    if !bytes.starts_with(&MARKER) {
        return None;
    }
    let body = usize::try_from(u32_at(bytes, 4)?).ok()?;
    body.checked_add(RECORD_HEADER_BYTES)
}

/// Where in `bytes` the next sound record starts whose sequence number `fits`.
pub(crate) fn find(bytes: &[u8], salt: u32, fits: impl Fn(u64) -> bool) -> Option<usize> {
    memchr::memmem::find_iter(bytes, &MARKER).find(|at| {
        let rest = bytes.get(*at..).unwrap_or_default();
        matches!(parse(rest, salt, rest.len() as u64), Parsed::Sound { seq, .. } if fits(seq))
    })
}

/// The checksum of everything in these formats: CRC32C.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Covers length, sequence number and body. The salt, which no peer knows, keeps a payload from containing what would
/// pass for a record.
fn record_checksum(salt: u32, record: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(salt, record.get(4..16).unwrap_or_default());
    crc32c::crc32c_append(sum, record.get(RECORD_HEADER_BYTES..).unwrap_or_default())
}

fn put(into: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = into.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(seq: u64, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(&mut bytes, 7, seq, |into| into.extend_from_slice(body));
        bytes
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sound = record(9, b"body of a record");
        assert!(
            matches!(parse(&sound, 7, 1000), Parsed::Sound { seq: 9, total } if total == sound.len())
        );
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(
                !matches!(parse(&bytes, 7, 1000), Parsed::Sound { .. }),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_record_inside_a_body_does_not_pass_without_the_salt() {
        let mut forged = Vec::new();
        encode(&mut forged, 8, 10, |into| into.extend_from_slice(b"forged"));
        let mut bytes = record(9, &forged);
        bytes[RECORD_HEADER_BYTES] ^= 1;
        bytes.extend(record(11, b"next"));
        let next = bytes.len() - record(11, b"next").len();
        assert_eq!(find(&bytes, 7, |_| true), Some(next));
    }
}
