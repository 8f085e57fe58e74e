//! Giving space back: segments that nobody is owed go; those that are mostly dead are rewritten with what lives.
//!
//! So a session that never returns costs what it is owed, not all that came since. Only segments that the checkpoint
//! covers are touched: what else they say is in the checkpoint.

use super::{DurableEngine, FileSync, Job};
use crate::engine::Progress;
use crate::group::appended;
use crate::names::{Offset, ShardId};
use crate::owed::Owed;
use crate::topics::topics;
use std::collections::VecDeque;
use std::io;
use tidewire_log::{Cursor, Keep, Log, Rewrite, SegmentId, SegmentInfo, Step};

/// Records that are looked at where there is no dictionary.
const SAMPLES: u64 = 64;
/// Bytes of records that one piece of work copies.
const PIECE_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(super) struct Compaction {
    now_ms: u64,
    /// Shards that are still to be looked at.
    shards: VecDeque<u16>,
    /// The shard in work.
    shard: u16,
    owed: Option<Owed>,
    runs: VecDeque<Run>,
    rewrite: Option<Rewrite>,
    stage: Stage,
}

/// Neighbouring segments to be made one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    first: SegmentId,
    count: usize,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Copy,
    Sync,
}

impl DurableEngine {
    pub(super) fn begin_compaction(&mut self, now_ms: u64) {
        self.job = Job::Compaction(Box::new(Compaction {
            now_ms,
            shards: (0..self.ledger.shards).collect(),
            shard: 0,
            owed: None,
            runs: VecDeque::new(),
            rewrite: None,
            stage: Stage::Copy,
        }));
    }

    pub(super) fn work_on_compaction(&mut self, mut job: Box<Compaction>) -> io::Result<Progress> {
        let progress = if let Some(rewrite) = job.rewrite.take() {
            self.go_on_rewriting(&mut job, rewrite)?
        } else if let Some(run) = job.runs.pop_front() {
            if let Some(shard) = self.shards.get(usize::from(job.shard)) {
                job.rewrite = shard.log.begin_rewrite(run.first, run.count)?;
                job.stage = Stage::Copy;
            }
            Progress::More
        } else if let Some(shard) = job.shards.pop_front() {
            self.look_at_shard(&mut job, shard)?;
            Progress::More
        } else {
            return Ok(Progress::More);
        };
        self.job = Job::Compaction(job);
        Ok(progress)
    }

    /// Trims a shard and finds what in it is worth rewriting.
    fn look_at_shard(&mut self, job: &mut Compaction, id: u16) -> io::Result<()> {
        let owed = Owed::new(&self.ledger, ShardId(id), job.now_ms);
        let Some(shard) = self.shards.get_mut(usize::from(id)) else {
            return Ok(());
        };
        // A shard with only dead records would keep them until its segment is full.
        let idle = shard.log.active().is_some_and(|active| {
            active.records > 0 && shard.log.next_seq() <= owed.low_water.seq().min(self.replay_from)
        });
        if idle {
            shard.log.seal().map_err(io::Error::other)?;
        }
        shard.log.trim(owed.low_water.seq().min(self.replay_from))?;
        job.runs = worth_rewriting(
            &shard.log,
            &owed,
            self.replay_from,
            self.config.segment_bytes,
        )?;
        job.shard = id;
        job.owed = Some(owed);
        Ok(())
    }

    fn go_on_rewriting(
        &mut self,
        job: &mut Compaction,
        mut rewrite: Rewrite,
    ) -> io::Result<Progress> {
        let (Some(shard), Some(owed)) = (self.shards.get_mut(usize::from(job.shard)), &job.owed)
        else {
            return Ok(Progress::More);
        };
        if job.stage == Stage::Copy {
            let mut keep = |seq, body: &[u8]| keep(owed, seq, body);
            match rewrite.step(&shard.log, PIECE_BYTES, &mut keep) {
                Ok(Step::More) => {}
                Ok(Step::Written) => {
                    job.stage = Stage::Sync;
                    self.file_sync = FileSync::Wanted(rewrite.file());
                }
                Err(error) => {
                    shard.log.abandon_rewrite(&rewrite)?;
                    return Err(error);
                }
            }
            job.rewrite = Some(rewrite);
            return Ok(Progress::More);
        }
        match std::mem::replace(&mut self.file_sync, FileSync::None) {
            FileSync::Done(outcome) => {
                outcome?;
                shard.log.finish_rewrite(&rewrite)?;
                self.stats.rewrites += 1;
                Ok(Progress::More)
            }
            waiting => {
                self.file_sync = waiting;
                job.rewrite = Some(rewrite);
                Ok(Progress::Idle)
            }
        }
    }
}

fn keep(owed: &Owed, seq: u64, body: &[u8]) -> Keep {
    let is_owed = appended(body).enumerate().any(|(index, (_, message))| {
        let offset = Offset::new(seq, u8::try_from(index).unwrap_or(u8::MAX));
        owed.is_owed(offset, message.topic, message.expires_ms)
    });
    if is_owed { Keep::Yes } else { Keep::No }
}

/// Runs of segments of which less than half is owed, or may be; together with small neighbours, so that what is left
/// of many segments does not stay many files.
fn worth_rewriting(
    log: &Log,
    owed: &Owed,
    replay_from: u64,
    segment_bytes: u64,
) -> io::Result<VecDeque<Run>> {
    let mut runs = VecDeque::new();
    let mut run: Option<(Run, Worth)> = None;
    let mut end = |run: &mut Option<(Run, Worth)>| {
        if let Some((run, worth)) = run.take()
            && (worth == Worth::Rewriting || run.count > 1)
        {
            runs.push_back(run);
        }
    };
    for segment in log
        .sealed()
        .take_while(|segment| segment.covers_to <= replay_from)
    {
        let live = live_bytes(log, owed, &segment)?;
        let uneven = owed.is_uneven(
            Offset::new(segment.id.base, 0),
            Offset::new(segment.covers_to, 0),
        );
        let worth = if live * 2 < segment.size_bytes || uneven {
            Worth::Rewriting
        } else if segment.size_bytes * 4 < segment_bytes {
            Worth::Merging
        } else {
            end(&mut run);
            continue;
        };
        if run
            .as_ref()
            .is_some_and(|(run, _)| run.bytes + live > segment_bytes)
        {
            end(&mut run);
        }
        let (run, of_run) = run.get_or_insert((
            Run {
                first: segment.id,
                count: 0,
                bytes: 0,
            },
            Worth::Merging,
        ));
        run.count += 1;
        run.bytes += live;
        *of_run = if worth == Worth::Rewriting {
            worth
        } else {
            *of_run
        };
    }
    end(&mut run);
    Ok(runs)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Worth {
    Rewriting,
    Merging,
}

/// Bytes of a segment that somebody may be owed: by its topic dictionary, or, where it has more topics than that holds, by
/// looking at some of its records.
fn live_bytes(log: &Log, owed: &Owed, segment: &SegmentInfo) -> io::Result<u64> {
    let Some(reader) = log.digest_reader(segment.id)? else {
        return Ok(segment.size_bytes);
    };
    if reader
        .part(0, 1)
        .is_ok_and(|tag| tag == [crate::marks::TAG])
    {
        return sampled(log, owed, segment);
    }
    let digest = reader.part(0, reader.size_bytes())?;
    let Some(topics) = topics(&digest) else {
        return Ok(segment.size_bytes);
    };
    let live = topics
        .iter()
        .filter(|(name, _, last)| owed.may_be_owed(*last, name));
    Ok(live.map(|(_, bytes, _)| bytes).sum())
}

/// An estimate from records spread over the segment.
fn sampled(log: &Log, owed: &Owed, segment: &SegmentInfo) -> io::Result<u64> {
    let (base, end) = (segment.id.base, segment.covers_to);
    let stride = (end.saturating_sub(base) / SAMPLES).max(1);
    let (mut looked_at, mut live) = (0_u64, 0_u64);
    let mut seq = base;
    while seq < end {
        let mut cursor = Cursor::new(seq);
        let Some(record) = cursor.next(log)?.filter(|record| record.seq < end) else {
            break;
        };
        looked_at += 1;
        live += u64::from(keep(owed, record.seq, record.body) == Keep::Yes);
        seq = record.seq.max(seq).saturating_add(stride);
    }
    let share = segment.size_bytes.saturating_mul(live);
    Ok(share.checked_div(looked_at).unwrap_or(segment.size_bytes))
}
