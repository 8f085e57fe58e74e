//! Bytes that have been read and not yet used: what does not end on a packet boundary, and packets larger than the
//! worker's read buffer.

use tidewire_codec::frame::fixed_header;

/// A packet that announces more than this is received into a buffer of its own; smaller ones are completed in the
/// worker's read buffer. At this size copying the begun packet twice costs about as much as one more call.
pub(crate) const LARGE_PACKET_BYTES: usize = 16 * 1024;
/// First size of a large packet's buffer; it doubles as bytes arrive. A stranger gets it for the few bytes of a header, so it
/// is small; who sends on has most of a packet in the worker's read buffer and starts with twice that.
const LARGE_START_BYTES: usize = 4 * 1024;
/// Spare buffers for unfinished packets, of at most [`LARGE_PACKET_BYTES`] each.
const SPARE_PARTS: usize = 64;
/// Spare buffers for large packets ...
const SPARE_LARGES: usize = 4;
/// ... of at most so many bytes each.
const SPARE_LARGE_BYTES: usize = 1024 * 1024;

/// What a connection keeps between two reads.
#[derive(Default)]
pub(crate) enum Unread {
    /// Everything was used: the usual case, and it owns nothing.
    #[default]
    Nothing,
    /// Bytes to be offered again, in front of what comes next.
    Part(Vec<u8>),
    /// A large packet on its way.
    Large(Box<Large>),
}

/// A large packet on its way. Its buffer grows with what has arrived, never with what was announced.
#[derive(Default)]
pub(crate) struct Large {
    /// All of it is initialised, so that a reused buffer need not be cleared; the first `filled` bytes have come.
    bytes: Vec<u8>,
    filled: usize,
    /// The packet's announced length, within the limit under which collecting it began.
    total: usize,
}

/// Whether what is left over can be added to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    /// It begins with an incomplete packet: read on.
    Incomplete,
    /// It begins with a whole packet that the core does not take now, or with one too large to be collected before the core
    /// takes it: wait.
    Withheld,
}

impl Rest {
    /// Whether the core has something to say about bytes that were kept: unless they are a small packet's beginning, which
    /// more bytes have to join first.
    pub(crate) fn is_worth_offering(rest: &[u8]) -> bool {
        match fixed_header(rest) {
            Ok(None) => false,
            Ok(Some(header)) => {
                let total = header.total_len() as usize;
                total <= rest.len() || total > LARGE_PACKET_BYTES
            }
            Err(_) => true,
        }
    }
}

/// One worker's spare buffers.
#[derive(Default)]
pub(crate) struct UnreadPool {
    parts: Vec<Vec<u8>>,
    #[allow(clippy::vec_box, reason = "a connection takes the box as it is")]
    larges: Vec<Box<Large>>,
}

impl Large {
    /// Room for the next bytes of this packet, never empty before it is complete.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            let grown = (self.bytes.len() * 2)
                .max(LARGE_START_BYTES)
                .min(self.total);
            self.bytes.resize(grown.max(self.filled), 0);
        }
        let end = self.bytes.len().min(self.total);
        &mut self.bytes[self.filled.min(end)..end]
    }

    /// So many bytes have been put into [`room`](Self::room).
    pub(crate) fn filled(&mut self, bytes: usize) {
        self.filled += bytes;
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.filled >= self.total
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    fn begin(&mut self, bytes: &[u8], total: usize) {
        let wanted = (bytes.len() * 2).max(LARGE_START_BYTES);
        let size = bytes.len().max(wanted.min(total));
        if self.bytes.len() < size {
            self.bytes.resize(size, 0);
        }
        self.bytes[..bytes.len()].copy_from_slice(bytes);
        self.filled = bytes.len();
        self.total = total;
    }
}

impl UnreadPool {
    /// Keeps what the core did not use; a packet that announces more than `most` bytes is not collected.
    pub(crate) fn keep(&mut self, rest: &[u8], most: usize) -> (Unread, Rest) {
        if rest.is_empty() {
            return (Unread::Nothing, Rest::Incomplete);
        }
        match announced(rest) {
            Some(total) if total <= rest.len() || total > most => (self.part(rest), Rest::Withheld),
            Some(total) if total > LARGE_PACKET_BYTES => {
                (self.large(rest, total), Rest::Incomplete)
            }
            _ => (self.part(rest), Rest::Incomplete),
        }
    }

    /// Takes back the memory of bytes that are used up.
    pub(crate) fn release(&mut self, unread: Unread) {
        match unread {
            Unread::Nothing => {}
            Unread::Part(bytes) => {
                if self.parts.len() < SPARE_PARTS && bytes.capacity() <= LARGE_PACKET_BYTES {
                    self.parts.push(bytes);
                }
            }
            Unread::Large(large) => {
                if self.larges.len() < SPARE_LARGES && large.bytes.len() <= SPARE_LARGE_BYTES {
                    self.larges.push(large);
                }
            }
        }
    }

    fn part(&mut self, rest: &[u8]) -> Unread {
        let mut bytes = self.parts.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(rest);
        Unread::Part(bytes)
    }

    fn large(&mut self, rest: &[u8], total: usize) -> Unread {
        let mut large = self.larges.pop().unwrap_or_default();
        large.begin(rest, total);
        Unread::Large(large)
    }
}

/// The length of the packet that begins here, if that much can be told.
fn announced(rest: &[u8]) -> Option<usize> {
    match fixed_header(rest) {
        Ok(Some(header)) => Some(header.total_len() as usize),
        // The core closes a connection for a broken header.
        Ok(None) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGE_START_BYTES, Rest, Unread, UnreadPool};

    /// PUBLISH headers with a remaining length of 2, of 65,536 and of 268,435,455.
    const SMALL: &[u8] = &[0x30, 2];
    const LARGE: &[u8] = &[0x30, 0x80, 0x80, 0x04];
    const LARGEST: &[u8] = &[0x30, 0xFF, 0xFF, 0xFF, 0x7F];
    const MOST: usize = usize::MAX;

    #[test]
    fn a_whole_packet_is_withheld_and_a_begun_one_is_not() {
        let mut pool = UnreadPool::default();
        assert!(matches!(
            pool.keep(&[], MOST),
            (Unread::Nothing, Rest::Incomplete)
        ));
        assert!(matches!(
            pool.keep(SMALL, MOST),
            (Unread::Part(_), Rest::Incomplete)
        ));
        assert!(matches!(
            pool.keep(&[0x30], MOST),
            (Unread::Part(_), Rest::Incomplete)
        ));
        assert!(matches!(
            pool.keep(&[0xC0, 0], MOST),
            (Unread::Part(_), Rest::Withheld)
        ));
        assert!(matches!(
            pool.keep(LARGE, MOST),
            (Unread::Large(_), Rest::Incomplete)
        ));
    }

    #[test]
    fn a_packet_beyond_the_limit_is_not_collected_but_offered_again() {
        let mut pool = UnreadPool::default();
        assert!(matches!(
            pool.keep(LARGE, 65_000),
            (Unread::Part(_), Rest::Withheld)
        ));
        assert!(Rest::is_worth_offering(LARGE));
        assert!(Rest::is_worth_offering(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF]));
        assert!(!Rest::is_worth_offering(SMALL));
        assert!(!Rest::is_worth_offering(&[0x30]));
    }

    #[test]
    fn an_announced_length_takes_no_memory_before_its_bytes_come() {
        let mut pool = UnreadPool::default();
        let (Unread::Large(mut large), _) = pool.keep(LARGEST, MOST) else {
            panic!("not large")
        };
        let mut arrived = LARGEST.len();
        while arrived < 3 * 1024 * 1024 {
            let room = large.room().len();
            assert!(room > 0);
            let some = room.min(50_000);
            large.filled(some);
            arrived += some;
            assert!(
                large.bytes.capacity() <= (2 * arrived).max(LARGE_START_BYTES),
                "{arrived}"
            );
        }
    }

    #[test]
    fn a_large_packet_is_complete_with_its_last_byte_and_takes_no_further_one() {
        let mut pool = UnreadPool::default();
        for _ in 0..2 {
            let (mut unread, _) = pool.keep(LARGE, MOST);
            let Unread::Large(large) = &mut unread else {
                panic!("not large")
            };
            let mut left = 65_536;
            while !large.is_complete() {
                let room = large.room();
                let some = room.len().min(1000);
                room[..some].fill(7);
                large.filled(some);
                left -= some;
            }
            assert_eq!(left, 0);
            assert!(large.bytes().starts_with(LARGE));
            assert!(large.bytes()[LARGE.len()..].iter().all(|&byte| byte == 7));
            pool.release(unread);
        }
        assert_eq!(
            pool.larges.len(),
            1,
            "the second packet used the first one's buffer"
        );
    }
}
