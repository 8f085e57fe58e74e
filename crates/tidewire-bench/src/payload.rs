//! The stamp that starts every payload: who sent it, in which run, and its sequence number.

/// Bytes a stamp takes; no payload is shorter.
pub const STAMP_BYTES: usize = 16;

/// Byte offset of the sequence number inside the stamp.
pub const SEQUENCE_AT: usize = 8;

/// Identity of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Index of the publisher, from 0.
    pub publisher: u32,
    /// Distinguishes this run from messages that an earlier one left behind.
    pub run: u32,
    /// Counts a publisher's messages from 0.
    pub sequence: u64,
}

impl Stamp {
    /// Writes the stamp at the start of `payload`.
    ///
    /// # Panics
    /// If `payload` is shorter than [`STAMP_BYTES`].
    pub fn write(&self, payload: &mut [u8]) {
        payload[..4].copy_from_slice(&self.publisher.to_le_bytes());
        payload[4..8].copy_from_slice(&self.run.to_le_bytes());
        payload[SEQUENCE_AT..STAMP_BYTES].copy_from_slice(&self.sequence.to_le_bytes());
    }

    /// Reads a stamp from the start of `payload`; `None` if it is too short to hold one.
    #[inline]
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes: &[u8; STAMP_BYTES] = payload.first_chunk()?;
        let [p0, p1, p2, p3, r0, r1, r2, r3, sequence @ ..] = *bytes;
        Some(Self {
            publisher: u32::from_le_bytes([p0, p1, p2, p3]),
            run: u32::from_le_bytes([r0, r1, r2, r3]),
            sequence: u64::from_le_bytes(sequence),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_reads_back_as_written() {
        let stamp = Stamp {
            publisher: 7,
            run: 0xDEAD_BEEF,
            sequence: u64::MAX - 3,
        };
        let mut payload = [0u8; 20];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..15]), None);
    }
}
