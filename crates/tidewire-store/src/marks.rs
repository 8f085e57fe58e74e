//! The index of a segment with more topics than a dictionary holds: where in it a topic, or a level of topics, occurs.
//!
//! A mark is the checksum of a text and the number of a block of sequence numbers. The texts of a message are its topic and
//! each beginning of it that ends with `/`, so that a filter finds its blocks by the text before its first wildcard. Marks that
//! say too much cost time; there are none that say too little.

use crate::names::Offset;
use crate::wire::{Reader, put_u32, put_u64};
use std::io;
use tidewire_codec::topic;
use tidewire_log::{DigestReader, checksum};

/// A block has so many sequence numbers, as a power of two: with messages of some hundred bytes about as much as is read at
/// once.
const BLOCK_SHIFT: u32 = 6;
/// Marks are sorted, and found by the first bits of their checksum.
const BUCKET_BITS: u32 = 10;
const BUCKETS: usize = 1 << BUCKET_BITS;
/// Tag, first sequence number, and where each bucket begins.
const HEAD_BYTES: usize = 1 + 8 + 4 * (BUCKETS + 1);
const MARK_BYTES: usize = 8;
/// Marks that were made lately, so that what repeats is made once a block.
const RECENT: usize = 4096;
/// Marks that wait to be sorted.
const FRESH_MAX: usize = 4096;
/// What the digest begins with.
pub(crate) const TAG: u8 = 2;

/// The marks of a segment while it grows.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    first_seq: Option<u64>,
    /// Sorted, each at least twice as long as the next, so that they can be searched while the segment grows.
    runs: Vec<Vec<Mark>>,
    /// Not sorted yet.
    fresh: Vec<Mark>,
    recent: Vec<Mark>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Mark {
    sum: u32,
    block: u32,
}

impl Marks {
    /// Notes that a message of this topic is in the record of this sequence number.
    pub(crate) fn add(&mut self, seq: u64, name: &str) {
        let first = *self.first_seq.get_or_insert(seq);
        let block = block_of(first, seq);
        for (at, _) in name.match_indices('/') {
            self.note(name.get(..=at).unwrap_or_default(), block);
        }
        self.note(name, block);
    }

    fn note(&mut self, text: &str, block: u32) {
        let mark = Mark {
            sum: checksum(text.as_bytes()),
            block,
        };
        if self.recent.is_empty() {
            self.recent = vec![
                Mark {
                    sum: 0,
                    block: u32::MAX
                };
                RECENT
            ];
        }
        if let Some(recent) = self.recent.get_mut(mark.sum as usize % RECENT)
            && *recent != mark
        {
            *recent = mark;
            self.fresh.push(mark);
            if self.fresh.len() >= FRESH_MAX {
                self.begin_run();
            }
        }
    }

    fn begin_run(&mut self) {
        let mut run = std::mem::take(&mut self.fresh);
        run.sort_unstable();
        while let Some(before) = self.runs.pop_if(|before| before.len() < 2 * run.len()) {
            run.extend(before);
            // Two sorted stretches, which a stable sort merges.
            run.sort();
        }
        self.runs.push(run);
    }

    /// As [`stretches`], while the segment grows.
    pub(crate) fn stretches(&self, filters: &[Box<str>], from: Offset) -> Option<Vec<(u64, u64)>> {
        let sums = sums_of(filters)?;
        let mut blocks = Vec::new();
        for sum in sums {
            let fresh = self.fresh.iter().filter(|mark| mark.sum == sum);
            blocks.extend(fresh.map(|mark| mark.block));
            for run in &self.runs {
                let start = run.partition_point(|mark| mark.sum < sum);
                let found = run.iter().skip(start).take_while(|mark| mark.sum == sum);
                blocks.extend(found.map(|mark| mark.block));
            }
        }
        Some(joined(blocks, self.first_seq.unwrap_or(0), from))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut all = self.runs.concat();
        all.extend(&self.fresh);
        all.sort();
        all.dedup();
        let mut bytes = Vec::with_capacity(HEAD_BYTES + all.len() * MARK_BYTES);
        bytes.push(TAG);
        put_u64(&mut bytes, self.first_seq.unwrap_or(0));
        for bucket in 0..=BUCKETS {
            let start = all.partition_point(|mark| bucket_of(mark.sum) < bucket);
            put_u32(&mut bytes, u32::try_from(start).unwrap_or(u32::MAX));
        }
        for mark in all {
            put_u32(&mut bytes, mark.sum);
            put_u32(&mut bytes, mark.block);
        }
        bytes
    }
}

fn block_of(first: u64, seq: u64) -> u32 {
    u32::try_from(seq.saturating_sub(first) >> BLOCK_SHIFT).unwrap_or(u32::MAX)
}

fn bucket_of(sum: u32) -> usize {
    (sum >> (u32::BITS - BUCKET_BITS)) as usize
}

/// The stretches of a sealed segment that may have what some filters match, in order: sequence numbers from, and up to and not
/// including. `None` = its marks do not tell, read all.
pub(crate) fn stretches(
    digest: &DigestReader,
    filters: &[Box<str>],
    from: Offset,
) -> io::Result<Option<Vec<(u64, u64)>>> {
    let Some(sums) = sums_of(filters) else {
        return Ok(None);
    };
    let head = digest.part(0, 9)?;
    let Some(first) = Reader::new(head.get(1..).unwrap_or_default()).u64() else {
        return Ok(None);
    };
    let mut blocks = Vec::new();
    for sum in sums {
        find(digest, sum, &mut blocks)?;
    }
    Ok(Some(joined(blocks, first, from)))
}

/// The checksums that a reader has to look for; `None` if a filter begins with a wildcard.
fn sums_of(filters: &[Box<str>]) -> Option<Vec<u32>> {
    let mut sums = Vec::new();
    for filter in filters {
        sums.extend(texts_of(filter)?.map(|text| checksum(text.as_bytes())));
    }
    Some(sums)
}

/// Blocks as stretches of sequence numbers, those before `from` left out.
fn joined(mut blocks: Vec<u32>, first: u64, from: Offset) -> Vec<(u64, u64)> {
    blocks.sort_unstable();
    blocks.dedup();
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for block in blocks {
        let start = first + (u64::from(block) << BLOCK_SHIFT);
        let end = start + (1 << BLOCK_SHIFT);
        match stretches.last_mut() {
            _ if end <= from.seq() => {}
            Some(last) if last.1 == start => last.1 = end,
            _ => stretches.push((start, end)),
        }
    }
    stretches
}

fn find(digest: &DigestReader, sum: u32, blocks: &mut Vec<u32>) -> io::Result<()> {
    let bounds = digest.part(9 + 4 * bucket_of(sum), 8)?;
    let mut bounds = Reader::new(&bounds);
    let (start, end) = (
        bounds.u32().unwrap_or(0) as usize,
        bounds.u32().unwrap_or(0) as usize,
    );
    let marks = digest.part(
        HEAD_BYTES + start * MARK_BYTES,
        end.saturating_sub(start) * MARK_BYTES,
    )?;
    let mut marks = Reader::new(&marks);
    while let (Some(other), Some(block)) = (marks.u32(), marks.u32()) {
        if other == sum {
            blocks.push(block);
        }
    }
    Ok(())
}

/// The texts of which every topic that a filter matches has one; `None` if it begins with a wildcard.
fn texts_of(filter: &str) -> Option<impl Iterator<Item = &str>> {
    if !topic::has_wildcards(filter) {
        return Some([Some(filter), None].into_iter().flatten());
    }
    let literal = filter
        .get(..filter.find(['+', '#'])?)
        .filter(|text| !text.is_empty())?;
    // `a/#` matches `a` too.
    let parent = filter
        .ends_with('#')
        .then(|| literal.strip_suffix('/'))
        .flatten();
    Some([Some(literal), parent].into_iter().flatten())
}
