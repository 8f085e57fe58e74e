//! A publisher's packets, laid out once; sending one means writing its number into it.

use std::ops::Range;

use crate::encode::{self, COUNTER_DIGITS, PublishKind, Topic};
use crate::payload::{SEQUENCE_AT, STAMP_BYTES, Stamp};

/// Contiguous encoded packets, used in turn; a burst is one range of its bytes.
#[derive(Debug)]
pub(super) struct PacketBlock {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// The slot that the next message goes to.
    next: usize,
}

/// Where one packet and its changing fields are. Offset 0 means the field is absent.
#[derive(Debug, Clone, Copy)]
struct Slot {
    start: usize,
    packet_id_at: usize,
    sequence_at: usize,
    counter_at: usize,
}

/// Packet identifiers run from 1 to this and start again.
const PACKET_IDS: u64 = 65_535;

/// The packet identifier that message `sequence` carries.
pub(super) fn packet_id(sequence: u64) -> u16 {
    (sequence % PACKET_IDS) as u16 + 1
}

impl PacketBlock {
    /// Lays out at least `burst` packets, each topic equally often.
    pub(super) fn new(topics: &[Topic], kind: PublishKind, burst: usize, stamp: Stamp) -> Self {
        let packets = burst.max(1).next_multiple_of(topics.len());
        let mut block = Self {
            bytes: Vec::new(),
            slots: Vec::with_capacity(packets),
            next: 0,
        };
        for topic in topics.iter().cycle().take(packets) {
            block.push(topic, kind, stamp);
        }
        block
    }

    fn push(&mut self, topic: &Topic, kind: PublishKind, stamp: Stamp) {
        let start = self.bytes.len();
        let mut template = encode::publish(topic, kind);
        stamp.write(&mut template.bytes[template.payload_at..][..STAMP_BYTES]);
        self.slots.push(Slot {
            start,
            packet_id_at: template.packet_id_at.map_or(0, |at| start + at),
            sequence_at: start + template.payload_at + SEQUENCE_AT,
            counter_at: template.counter_at.map_or(0, |at| start + at),
        });
        self.bytes.extend_from_slice(&template.bytes);
    }

    /// Numbers up to `count` packets from `sequence` on; returns their bytes' range and how many they are,
    /// fewer than asked at the end of the block.
    pub(super) fn number(&mut self, sequence: u64, count: usize) -> (Range<usize>, usize) {
        let first = self.next;
        let count = count.min(self.slots.len() - first);
        for (slot, sequence) in self.slots[first..first + count].iter().zip(sequence..) {
            self.bytes[slot.sequence_at..slot.sequence_at + 8]
                .copy_from_slice(&sequence.to_le_bytes());
            if slot.packet_id_at > 0 {
                let id = packet_id(sequence).to_be_bytes();
                self.bytes[slot.packet_id_at..slot.packet_id_at + 2].copy_from_slice(&id);
            }
            if slot.counter_at > 0 {
                write_hex(
                    &mut self.bytes[slot.counter_at..][..COUNTER_DIGITS],
                    sequence,
                );
            }
        }
        self.next = (first + count) % self.slots.len();
        let end = self
            .slots
            .get(first + count)
            .map_or(self.bytes.len(), |slot| slot.start);
        (self.slots[first].start..end, count)
    }

    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[range]
    }
}

fn write_hex(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Qos, Retain, Version};
    use crate::frame::{Frame, FrameScanner};

    fn kind(qos: Qos) -> PublishKind {
        PublishKind {
            version: Version::V311,
            qos,
            retain: Retain::No,
            payload_bytes: 16,
        }
    }

    #[test]
    fn bursts_are_whole_numbered_packets_and_wrap_at_the_end() {
        let topics = [
            Topic::fixed("a"),
            Topic::counted("bb/", "/c"),
            Topic::fixed("ccc"),
        ];
        let stamp = Stamp {
            publisher: 5,
            run: 6,
            sequence: 0,
        };
        let mut block = PacketBlock::new(&topics, kind(Qos::AtLeastOnce), 4, stamp);
        let mut stream = Vec::new();
        let mut sent = 0;
        while sent < 65_540 {
            let (range, count) = block.number(sent, 4);
            stream.extend_from_slice(block.bytes(range));
            sent += count as u64;
        }
        let mut expected = 0u64;
        let mut scanner = FrameScanner::new(Version::V311);
        let scanned = scanner.feed(&stream, |frame| {
            let Frame::Publish(delivery) = frame else {
                panic!("{frame:?}")
            };
            let wanted = Stamp {
                sequence: expected,
                ..stamp
            };
            assert_eq!(delivery.stamp, Some(wanted));
            assert_eq!(delivery.packet_id, (expected % 65_535) as u16 + 1);
            expected += 1;
        });
        assert_eq!(scanned, Ok(()));
        assert_eq!(expected, sent);
    }

    #[test]
    fn the_counter_makes_every_topic_new() {
        let stamp = Stamp {
            publisher: 0,
            run: 0,
            sequence: 0,
        };
        let mut block =
            PacketBlock::new(&[Topic::counted("t/", "")], kind(Qos::AtMostOnce), 1, stamp);
        let (range, _) = block.number(0xABC, 1);
        assert_eq!(block.bytes(range)[4..14], *b"t/00000abc");
    }
}
