//! Reads the records of one file in order, finding the next one behind damage.

use crate::files::{File, read_up_to};
use crate::record::{self, Parsed, RECORD_HEADER_BYTES};
use std::io;
use std::sync::Arc;

/// Read at once; a larger record is read whole.
const CHUNK_BYTES: usize = 64 * 1024;

/// The records from a position of a file on.
#[derive(Debug)]
pub(crate) struct RecordReader {
    file: Arc<dyn File>,
    salt: u32,
    /// Where the next record starts.
    at: u64,
    /// Sequence numbers rise; the next one is at least this.
    least: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// A sound record; [`RecordReader::body`] has its bytes until the next call.
    Record { seq: u64, at: u64, body: usize },
    /// No record from here to there, and a sound one there.
    Damaged { from: u64, to: u64 },
    /// No sound record from here to the end.
    End { at: u64 },
}

impl RecordReader {
    pub(crate) fn new(file: Arc<dyn File>, salt: u32, at: u64, least: u64) -> Self {
        Self {
            file,
            salt,
            at,
            least,
            buffer: Vec::new(),
            buffer_at: at,
        }
    }

    /// The next record that ends at or before `end` and has a sequence number below `below`.
    pub(crate) fn next(&mut self, end: u64, below: u64) -> io::Result<Next> {
        let at = self.at;
        if at >= end {
            return Ok(Next::End { at });
        }
        let mut wanted = RECORD_HEADER_BYTES;
        loop {
            self.fill(wanted, end)?;
            match record::parse(self.buffered(), self.salt, end - at) {
                Parsed::Sound { seq, total } if seq >= self.least && seq < below => {
                    self.at = at + total as u64;
                    self.least = seq.saturating_add(1);
                    let body = total - RECORD_HEADER_BYTES;
                    return Ok(Next::Record { seq, at, body });
                }
                Parsed::Needs { total } if total > wanted || total > self.buffered().len() => {
                    // Fewer bytes than announced: the file is shorter than it should be.
                    if self.buffered().len() < wanted {
                        return self.resync(end, below);
                    }
                    wanted = total;
                }
                _ => return self.resync(end, below),
            }
        }
    }

    /// The bytes of the record that [`RecordReader::next`] returned last.
    pub(crate) fn body(&self, bytes: usize) -> &[u8] {
        let end = usize::try_from(self.at - self.buffer_at).unwrap_or(usize::MAX);
        let start = end.saturating_sub(bytes);
        self.buffer.get(start..end).unwrap_or_default()
    }

    fn buffered(&self) -> &[u8] {
        let start = self.at.checked_sub(self.buffer_at);
        let start = start.and_then(|start| usize::try_from(start).ok());
        start
            .and_then(|start| self.buffer.get(start..))
            .unwrap_or_default()
    }

    /// Reads until so many bytes from the position on are there, if the file has them.
    fn fill(&mut self, wanted: usize, end: u64) -> io::Result<()> {
        if self.buffered().len() >= wanted {
            return Ok(());
        }
        let left = usize::try_from(end - self.at).unwrap_or(usize::MAX);
        let size = wanted.max(CHUNK_BYTES).min(left);
        self.buffer_at = self.at;
        self.buffer.clear();
        self.buffer.resize(size, 0);
        let read = read_up_to(&*self.file, &mut self.buffer, self.at)?;
        self.buffer.truncate(read);
        Ok(())
    }

    /// The position holds no record: looks for the next one. The bytes up to `end` are held in memory meanwhile.
    fn resync(&mut self, end: u64, below: u64) -> io::Result<Next> {
        let from = self.at;
        let size = usize::try_from(end - from).unwrap_or(usize::MAX);
        let mut rest = vec![0; size];
        let read = read_up_to(&*self.file, &mut rest, from)?;
        rest.truncate(read);
        let least = self.least;
        let fits = |seq| seq >= least && seq < below;
        let found = record::find(rest.get(1..).unwrap_or_default(), self.salt, fits);
        Ok(match found {
            Some(skip) => {
                let to = from + 1 + skip as u64;
                self.at = to;
                Next::Damaged { from, to }
            }
            None => Next::End { at: from },
        })
    }
}
