//! Incremental scanner: finds packets in a byte stream, cut anywhere, without allocating per packet.
//!
//! It reads of a PUBLISH only the head and the stamp; the rest of a large payload is counted, not kept.

use std::fmt;

use crate::encode::{AckKind, Version};
use crate::payload::{STAMP_BYTES, Stamp};

/// What the load generator needs to know of one incoming packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// A delivery.
    Publish(Delivery),
    /// One of the four acknowledgements, with its packet identifier and reason code (0 if left out).
    Ack {
        /// Which one.
        kind: AckKind,
        /// Packet identifier.
        packet_id: u16,
        /// Reason code; 0x80 and above are failures.
        reason: u8,
    },
    /// A DISCONNECT that the broker sent (MQTT 5), with its reason code.
    Disconnect {
        /// Reason code, 0 if left out.
        reason: u8,
    },
    /// Any other packet, by its type (1 to 15).
    Other {
        /// The high four bits of the first byte.
        packet_type: u8,
    },
}

/// A PUBLISH that arrived whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// The message's identity; `None` if the payload is too short to be one of ours.
    pub stamp: Option<Stamp>,
    /// QoS bits of the first byte.
    pub qos: u8,
    /// Packet identifier, 0 at QoS 0.
    pub packet_id: u16,
}

/// The stream is not MQTT as far as this scanner can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanError {
    /// The remaining length has more than four digits.
    LengthTooLong,
    /// A packet ends inside one of its own fields.
    Truncated {
        /// The high four bits of the first byte.
        packet_type: u8,
    },
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthTooLong => write!(f, "a remaining length of more than four bytes"),
            Self::Truncated { packet_type } => {
                write!(
                    f,
                    "a packet of type {packet_type} that ends inside its own fields"
                )
            }
        }
    }
}

impl std::error::Error for ScanError {}

/// Bytes of fresh input that are joined to a cut head at a time; a head with a usual topic fits.
const JOIN_BYTES: usize = 256;

/// State of one connection's incoming stream.
#[derive(Debug)]
pub struct FrameScanner {
    version: Version,
    /// A packet's head that was cut by the end of a read. Empty nearly always.
    carry: Vec<u8>,
    /// Payload bytes of `pending` that are still to come.
    skip: usize,
    /// Told when its last byte arrives.
    pending: Option<Frame>,
}

struct Head {
    frame: Frame,
    total_bytes: usize,
}

impl FrameScanner {
    /// A scanner at the start of a packet.
    #[must_use]
    pub fn new(version: Version) -> Self {
        Self {
            version,
            carry: Vec::new(),
            skip: 0,
            pending: None,
        }
    }

    /// Consumes all of `bytes` and calls `sink` for each packet that ended in them, in order.
    ///
    /// # Errors
    /// When the bytes cannot be packets; the stream is then lost.
    #[inline]
    pub fn feed(&mut self, mut bytes: &[u8], mut sink: impl FnMut(Frame)) -> Result<(), ScanError> {
        while !self.carry.is_empty() {
            if bytes.is_empty() {
                return Ok(());
            }
            bytes = self.join(bytes, &mut sink)?;
        }
        let used = self.scan(bytes, &mut sink)?;
        self.carry.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    /// Completes the carried head with some of `bytes`; returns those not yet consumed.
    #[cold]
    fn join<'a>(
        &mut self,
        bytes: &'a [u8],
        sink: &mut impl FnMut(Frame),
    ) -> Result<&'a [u8], ScanError> {
        let mut carry = std::mem::take(&mut self.carry);
        let held = carry.len();
        let fresh = bytes.len().min(JOIN_BYTES);
        carry.extend_from_slice(&bytes[..fresh]);
        let used = self.scan(&carry, sink)?;
        if used == 0 {
            self.carry = carry;
            return Ok(&bytes[fresh..]);
        }
        // Nothing was complete before the join, so whatever was used reaches into the fresh bytes.
        carry.clear();
        self.carry = carry;
        Ok(&bytes[used - held..])
    }

    /// Scans whole packets and payload parts; returns how many bytes it consumed.
    #[inline]
    fn scan(&mut self, bytes: &[u8], sink: &mut impl FnMut(Frame)) -> Result<usize, ScanError> {
        let mut at = 0;
        if self.skip > 0 {
            at = self.skip.min(bytes.len());
            self.skip -= at;
            if self.skip > 0 {
                return Ok(at);
            }
            if let Some(frame) = self.pending.take() {
                sink(frame);
            }
        }
        loop {
            if let Some((delivery, total_bytes)) = self.short_publish(&bytes[at..]) {
                at += total_bytes;
                sink(Frame::Publish(delivery));
                continue;
            }
            let Some(head) = self.head(&bytes[at..])? else {
                return Ok(at);
            };
            let available = bytes.len() - at;
            if head.total_bytes <= available {
                at += head.total_bytes;
                sink(head.frame);
            } else {
                self.skip = head.total_bytes - available;
                self.pending = Some(head.frame);
                return Ok(bytes.len());
            }
        }
    }

    /// The packet that batches are made of, read without detours: whole, QoS 0, below 128 bytes, no properties.
    #[inline]
    fn short_publish(&self, bytes: &[u8]) -> Option<(Delivery, usize)> {
        let &[first_byte, length @ ..128, high, low, ..] = bytes else {
            return None;
        };
        let without_flags = first_byte & !0b1001;
        if without_flags != 0x30 {
            return None;
        }
        let packet = bytes.get(..2 + usize::from(length))?;
        let mut payload_at = 4 + usize::from(u16::from_be_bytes([high, low]));
        if self.version == Version::V5 {
            if *packet.get(payload_at)? != 0 {
                return None;
            }
            payload_at += 1;
        }
        let stamp = Stamp::read(packet.get(payload_at..)?)?;
        Some((
            Delivery {
                stamp: Some(stamp),
                qos: 0,
                packet_id: 0,
            },
            packet.len(),
        ))
    }

    /// Reads a packet's head; `None` while too little of it is there.
    #[inline]
    fn head(&self, bytes: &[u8]) -> Result<Option<Head>, ScanError> {
        let Some((remaining, body_at)) = remaining_length(bytes)? else {
            return Ok(None);
        };
        let packet_type = bytes[0] >> 4;
        let total_bytes = body_at + remaining;
        let body = &bytes[body_at..bytes.len().min(total_bytes)];
        let frame = match packet_type {
            3 => self.publish(bytes[0], body, remaining),
            4..=7 => acknowledgement(packet_type, body, remaining),
            14 => disconnect(body, remaining),
            _ => Partial::Whole(Frame::Other { packet_type }),
        };
        match frame {
            Partial::Whole(frame) => Ok(Some(Head { frame, total_bytes })),
            Partial::More => Ok(None),
            Partial::Never => Err(ScanError::Truncated { packet_type }),
        }
    }

    #[inline]
    fn publish(&self, first_byte: u8, body: &[u8], remaining: usize) -> Partial {
        let short = || {
            if body.len() < remaining {
                Partial::More
            } else {
                Partial::Never
            }
        };
        let Some(topic_bytes) = read_u16(body, 0) else {
            return short();
        };
        let qos = (first_byte >> 1) & 3;
        let mut at = 2 + usize::from(topic_bytes);
        let mut packet_id = 0;
        if qos > 0 {
            let Some(id) = read_u16(body, at) else {
                return short();
            };
            packet_id = id;
            at += 2;
        }
        if self.version == Version::V5 {
            let Some(rest) = body.get(at..) else {
                return short();
            };
            match variable_integer(rest) {
                Ok(Some((length, digits))) => at += digits + length,
                Ok(None) => return short(),
                Err(_) => return Partial::Never,
            }
        }
        if at > remaining {
            return Partial::Never;
        }
        let wanted = STAMP_BYTES.min(remaining - at);
        if body.len() < at + wanted {
            return Partial::More;
        }
        let stamp = Stamp::read(&body[at..]);
        Partial::Whole(Frame::Publish(Delivery {
            stamp,
            qos,
            packet_id,
        }))
    }
}

enum Partial {
    Whole(Frame),
    More,
    Never,
}

#[inline]
fn acknowledgement(packet_type: u8, body: &[u8], remaining: usize) -> Partial {
    if remaining < 2 {
        return Partial::Never;
    }
    if body.len() < remaining.min(3) {
        return Partial::More;
    }
    let kind = match packet_type {
        4 => AckKind::PubAck,
        5 => AckKind::PubRec,
        6 => AckKind::PubRel,
        _ => AckKind::PubComp,
    };
    let packet_id = u16::from_be_bytes([body[0], body[1]]);
    let reason = if remaining > 2 { body[2] } else { 0 };
    Partial::Whole(Frame::Ack {
        kind,
        packet_id,
        reason,
    })
}

fn disconnect(body: &[u8], remaining: usize) -> Partial {
    match body.first() {
        Some(&reason) => Partial::Whole(Frame::Disconnect { reason }),
        None if remaining == 0 => Partial::Whole(Frame::Disconnect { reason: 0 }),
        None => Partial::More,
    }
}

/// The remaining length of the packet at the start of `bytes`, and where its body begins.
///
/// # Errors
/// When the length has more than four digits.
#[inline]
pub fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, ScanError> {
    let Some(rest) = bytes.get(1..) else {
        return Ok(None);
    };
    Ok(variable_integer(rest)?.map(|(value, digits)| (value, 1 + digits)))
}

/// A variable byte integer and how many bytes it took.
#[inline]
pub(crate) fn variable_integer(bytes: &[u8]) -> Result<Option<(usize, usize)>, ScanError> {
    let mut value = 0usize;
    for digit in 0..4 {
        let Some(&byte) = bytes.get(digit) else {
            return Ok(None);
        };
        value |= usize::from(byte & 0x7F) << (7 * digit);
        if byte & 0x80 == 0 {
            return Ok(Some((value, digit + 1)));
        }
    }
    Err(ScanError::LengthTooLong)
}

#[inline]
fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{self, PublishKind, Qos, Retain, Topic};

    fn stamped(version: Version, qos: Qos, payload_bytes: usize, sequence: u64) -> Vec<u8> {
        let kind = PublishKind {
            version,
            qos,
            retain: Retain::No,
            payload_bytes,
        };
        let mut template = encode::publish(&Topic::fixed("some/topic"), kind);
        let payload_at = template.payload_at;
        Stamp {
            publisher: 3,
            run: 9,
            sequence,
        }
        .write(&mut template.bytes[payload_at..]);
        template.bytes
    }

    fn expected(qos: u8, sequence: u64) -> Frame {
        Frame::Publish(Delivery {
            stamp: Some(Stamp {
                publisher: 3,
                run: 9,
                sequence,
            }),
            qos,
            packet_id: u16::from(qos > 0),
        })
    }

    /// Every packet kind the generator can meet, back to back, and what must be seen.
    fn conversation(version: Version) -> (Vec<u8>, Vec<Frame>) {
        let mut bytes = stamped(version, Qos::AtMostOnce, 16, 1);
        bytes.extend(stamped(version, Qos::AtLeastOnce, 16, 2));
        bytes.extend(encode::ack(AckKind::PubRec, 77));
        bytes.extend(stamped(version, Qos::ExactlyOnce, 700, 3));
        bytes.extend([0x40, 3, 1, 2, 0x97]);
        bytes.extend([0xD0, 0]);
        bytes.extend(stamped(version, Qos::AtMostOnce, 16, 4));
        bytes.extend([0xE0, 1, 0x8B]);
        let ack = |kind, packet_id, reason| Frame::Ack {
            kind,
            packet_id,
            reason,
        };
        let frames = vec![
            expected(0, 1),
            expected(1, 2),
            ack(AckKind::PubRec, 77, 0),
            expected(2, 3),
            ack(AckKind::PubAck, 0x0102, 0x97),
            Frame::Other { packet_type: 13 },
            expected(0, 4),
            Frame::Disconnect { reason: 0x8B },
        ];
        (bytes, frames)
    }

    #[test]
    fn a_stream_split_at_every_byte_gives_the_same_frames() {
        for version in [Version::V311, Version::V5] {
            let (bytes, frames) = conversation(version);
            for cut in 0..=bytes.len() {
                let mut scanner = FrameScanner::new(version);
                let mut seen = Vec::new();
                scanner
                    .feed(&bytes[..cut], |frame| seen.push(frame))
                    .unwrap();
                scanner
                    .feed(&bytes[cut..], |frame| seen.push(frame))
                    .unwrap();
                assert_eq!(seen, frames, "{version:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_stream_in_pieces_of_any_size_gives_the_same_frames() {
        for version in [Version::V311, Version::V5] {
            let (bytes, frames) = conversation(version);
            for size in 1..80 {
                let mut scanner = FrameScanner::new(version);
                let mut seen = Vec::new();
                for piece in bytes.chunks(size) {
                    scanner.feed(piece, |frame| seen.push(frame)).unwrap();
                }
                assert_eq!(seen, frames, "{version:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn a_large_payload_is_not_kept() {
        let mut scanner = FrameScanner::new(Version::V311);
        let bytes = stamped(Version::V311, Qos::AtMostOnce, 1 << 20, 5);
        let mut seen = Vec::new();
        for piece in bytes.chunks(1000) {
            scanner.feed(piece, |frame| seen.push(frame)).unwrap();
            assert!(scanner.carry.capacity() < 1024);
        }
        assert_eq!(seen, [expected(0, 5)]);
    }

    #[test]
    fn a_payload_without_a_stamp_is_a_delivery_without_identity() {
        let mut seen = Vec::new();
        let mut scanner = FrameScanner::new(Version::V311);
        scanner
            .feed(b"\x30\x06\x00\x01ahi!", |frame| seen.push(frame))
            .unwrap();
        let delivery = Delivery {
            stamp: None,
            qos: 0,
            packet_id: 0,
        };
        assert_eq!(seen, [Frame::Publish(delivery)]);
    }

    #[test]
    fn nonsense_is_an_error_and_not_a_wait() {
        let mut scanner = FrameScanner::new(Version::V311);
        let too_long = scanner.feed(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF], |_| {});
        assert_eq!(too_long, Err(ScanError::LengthTooLong));
        let mut scanner = FrameScanner::new(Version::V311);
        let cut_topic = scanner.feed(&[0x30, 3, 0, 9, b'a'], |_| {});
        assert_eq!(cut_topic, Err(ScanError::Truncated { packet_type: 3 }));
    }
}
