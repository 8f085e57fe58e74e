//! What the log's user wants to know of a segment without reading it.

use crate::segment::INDEX_STRIDE_BYTES;
use std::any::Any;
use std::fmt;

/// Sums up the records of one segment; the result is kept in the segment's footer.
pub trait Digest: Send + fmt::Debug {
    /// One more record, in order.
    fn add(&mut self, seq: u64, body: &[u8]);

    /// The bytes to keep. Also asked for while the segment still grows.
    fn bytes(&self) -> Vec<u8>;

    /// Itself, for a user who wants to ask what it knows of a segment that still grows.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

/// The digest of logs whose user wants none.
#[derive(Clone, Copy, Debug)]
pub struct NoDigest;

impl Digest for NoDigest {
    fn add(&mut self, _seq: u64, _body: &[u8]) {}

    fn bytes(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// What is counted while a segment's records are written or scanned.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) records: u64,
    pub(crate) last: Option<u64>,
    pub(crate) index: Vec<(u64, u64)>,
    pub(crate) digest: Box<dyn Digest>,
    indexed_to: u64,
}

impl Tally {
    pub(crate) fn new(digest: Box<dyn Digest>) -> Self {
        Self {
            records: 0,
            last: None,
            index: Vec::new(),
            digest,
            indexed_to: 0,
        }
    }

    pub(crate) fn add(&mut self, seq: u64, at: u64, body: &[u8]) {
        if at >= self.indexed_to {
            self.index.push((seq, at));
            self.indexed_to = at + INDEX_STRIDE_BYTES;
        }
        self.records += 1;
        self.last = Some(seq);
        self.digest.add(seq, body);
    }
}
