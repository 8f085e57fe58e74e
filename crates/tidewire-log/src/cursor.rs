//! Reading a log from a sequence number on, while it grows, is trimmed and rewritten.

use crate::log::{Log, SegmentId};
use crate::reader::{Next, RecordReader};
use crate::report::Damage;
use crate::segment::HEADER_BYTES;
use std::io;
use std::sync::Arc;

/// A place in a log. It holds no reference to the log, so that the log may change between two steps.
#[derive(Debug)]
pub struct Cursor {
    next: u64,
    open: Option<Open>,
    damage: Vec<Damage>,
}

#[derive(Debug)]
struct Open {
    id: SegmentId,
    reader: RecordReader,
}

/// One record of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record<'a> {
    /// Its sequence number.
    pub seq: u64,
    /// Where its header starts in its segment's file.
    pub at: u64,
    /// The segment.
    pub segment: SegmentId,
    /// What was appended.
    pub body: &'a [u8],
}

/// Whether a segment is worth reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Enter {
    /// Read its records.
    Read,
    /// Go on behind it.
    Skip,
}

/// A segment as a cursor sees it.
struct Seen {
    id: SegmentId,
    end: u64,
    below: u64,
    salt: u32,
}

impl Cursor {
    /// A cursor at the first record with that sequence number or a higher one.
    #[must_use]
    pub fn new(from: u64) -> Self {
        Self {
            next: from,
            open: None,
            damage: Vec::new(),
        }
    }

    /// The lowest sequence number that the next record may have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// The next record that is written; `None` at the end, from where it goes on when there is more.
    ///
    /// # Errors
    /// The file layer failed; the cursor stays where it is.
    pub fn next<'c>(&'c mut self, log: &Log) -> io::Result<Option<Record<'c>>> {
        self.next_in(log, &mut |_| Enter::Read)
    }

    /// As [`Cursor::next`], asking before it reads a sealed segment.
    ///
    /// # Errors
    /// As [`Cursor::next`].
    pub fn next_in<'c>(
        &'c mut self,
        log: &Log,
        enter: &mut dyn FnMut(SegmentId) -> Enter,
    ) -> io::Result<Option<Record<'c>>> {
        loop {
            let Some(seen) = see(log, self.next) else {
                return Ok(None);
            };
            if self.open.as_ref().is_none_or(|open| open.id != seen.id) {
                if seen.below != u64::MAX && enter(seen.id) == Enter::Skip {
                    self.next = seen.below;
                    continue;
                }
                self.open = Some(open(log, &seen, self.next)?);
            }
            let Some(open) = self.open.as_mut() else {
                return Ok(None);
            };
            match open.reader.next(seen.end, seen.below)? {
                Next::Record { seq, .. } if seq < self.next => {}
                Next::Record { seq, at, body } => {
                    self.next = seq.saturating_add(1);
                    let segment = seen.id;
                    // Asked for again, as the borrow of `open` ends with the loop's turn.
                    let reader = self.open.as_ref().map(|open| &open.reader);
                    let body = reader.map_or(&[][..], |reader| reader.body(body));
                    return Ok(Some(Record {
                        seq,
                        at,
                        segment,
                        body,
                    }));
                }
                Next::Damaged { from, to } => self.note(log, seen.id, from, to),
                Next::End { at } if seen.below == u64::MAX => {
                    debug_assert!(at <= seen.end);
                    return Ok(None);
                }
                Next::End { at } => {
                    if at < seen.end {
                        self.note(log, seen.id, at, seen.end);
                    }
                    self.next = seen.below;
                }
            }
        }
    }

    /// Goes on at the first record with that sequence number or a higher one, without reading what is before.
    pub fn skip_to(&mut self, seq: u64) {
        if seq > self.next {
            self.next = seq;
            self.open = None;
        }
    }

    /// Damage that was met and read over since the last call.
    pub fn take_damage(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.damage)
    }

    fn note(&mut self, log: &Log, id: SegmentId, from: u64, to: u64) {
        self.damage.push(Damage {
            file: log.file_name(id),
            from,
            to,
            after: self.next.checked_sub(1),
        });
    }
}

/// The first segment that may have records from `seq` on.
fn see(log: &Log, seq: u64) -> Option<Seen> {
    let at = log.sealed.partition_point(|sealed| sealed.covers_to <= seq);
    if let Some(sealed) = log.sealed.get(at) {
        return Some(Seen {
            id: sealed.id,
            end: sealed.data_end,
            below: sealed.covers_to,
            salt: sealed.salt,
        });
    }
    log.active.as_ref().map(|active| Seen {
        id: active.id,
        end: active.end,
        below: u64::MAX,
        salt: active.salt,
    })
}

fn open(log: &Log, seen: &Seen, seq: u64) -> io::Result<Open> {
    let inside = seq > seen.id.base;
    let sealed = log.sealed.iter().find(|sealed| sealed.id == seen.id);
    let (file, start) = match (sealed, log.active.as_ref()) {
        (Some(sealed), _) => {
            let file = log.files.open(&log.file_name(seen.id))?;
            let start = if inside {
                log.known(sealed)?.seek(seq)
            } else {
                HEADER_BYTES
            };
            (file, start)
        }
        (None, Some(active)) => {
            let after = active
                .tally
                .index
                .partition_point(|(first, _)| *first <= seq);
            let entry = after
                .checked_sub(1)
                .and_then(|at| active.tally.index.get(at));
            (
                Arc::clone(&active.file),
                entry.map_or(HEADER_BYTES, |(_, at)| *at),
            )
        }
        (None, None) => return Err(io::ErrorKind::NotFound.into()),
    };
    let reader = RecordReader::new(file, seen.salt, start, seen.id.base);
    Ok(Open {
        id: seen.id,
        reader,
    })
}
