//! Bytes that wait for the transport.

/// Bytes to write, and how many have been written so far.
#[derive(Debug, Default)]
pub(crate) struct OutBytes {
    bytes: Vec<u8>,
    /// Bytes at the front that the transport has taken.
    taken: usize,
    /// Bytes that the transport has taken since the connection opened.
    written: u64,
}

/// From here on memory is given back when all has been written: one large message must not be paid for ever.
const KEPT_BYTES: usize = 64 * 1024;

impl OutBytes {
    pub(crate) fn pending(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    /// Where new packets are appended.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(crate) fn advance(&mut self, count: usize) {
        let count = count.min(self.pending().len());
        self.taken += count;
        self.written = self.written.saturating_add(count as u64);
        if self.taken == self.bytes.len() {
            self.taken = 0;
            if self.bytes.capacity() > KEPT_BYTES {
                self.bytes = Vec::new();
            } else {
                self.bytes.clear();
            }
        } else if self.taken > KEPT_BYTES {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Bytes written and waiting since the connection opened: the place where the next packet begins.
    pub(crate) fn end(&self) -> u64 {
        self.written.saturating_add(self.pending().len() as u64)
    }

    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}
