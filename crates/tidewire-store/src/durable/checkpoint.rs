//! Checkpoints: the table in a file, so that opening replays only what came later, and bulky values leave memory.
//!
//! It is written while groups go on changing the table. That is sound because every change is a whole value: replaying
//! all that came since the checkpoint began makes each key what it was last set to, whichever of its values the file
//! caught. So it counts only when all logs are synced up to where they were when it was finished.

use super::{DurableEngine, FileSync, Job, OpenReport};
use crate::engine::Progress;
use crate::table::{Entry, Place, Row, lives_on_disk};
use crate::wire::{Reader, put_u64};
use std::io;
use std::ops::Bound;
use tidewire_log::{Damage, RECORD_HEADER_BYTES, RecordFile, RecordFileWriter};

/// Bytes of rows that one piece of work writes or reads: a millisecond or two, a quarter of what one step may log, so that
/// a checkpoint keeps up with the load.
const PIECE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Checkpoint {
    generation: u32,
    replay_from: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Rows behind this key are to be written.
    Rows {
        writer: RecordFileWriter,
        after: Option<Box<[u8]>>,
        rows: u64,
    },
    /// The logs have to be synced up to here, each.
    Logs {
        writer: RecordFileWriter,
        upto: Vec<u64>,
    },
    File,
    /// Values that the file holds now leave memory.
    Settle(RecordFile),
}

impl Checkpoint {
    /// Whether the logs have to be synced though nobody waits for it.
    pub(super) fn needs_logs(&self) -> bool {
        matches!(self.stage, Stage::Logs { .. })
    }
}

impl DurableEngine {
    pub(super) fn begin_checkpoint(&self) -> io::Result<Checkpoint> {
        let generation = self.generation + 1;
        let replay_from = self.ledger.next_seq;
        let mut writer =
            RecordFileWriter::create(&*self.files, &temporary(generation), generation, 0)?;
        // The first record repeats the footer, as the one thing that must not be lost.
        writer.push(0, |into| {
            into.extend_from_slice(&stamp(replay_from));
        })?;
        Ok(Checkpoint {
            generation,
            replay_from,
            stage: Stage::Rows {
                writer,
                after: None,
                rows: 1,
            },
        })
    }

    pub(super) fn work_on_checkpoint(
        &mut self,
        mut job: Box<Checkpoint>,
        now_ms: u64,
    ) -> io::Result<Progress> {
        let (stage, progress) = match job.stage {
            Stage::Rows {
                writer,
                after,
                rows,
            } => (
                self.write_rows(writer, after.as_deref(), rows, job.replay_from)?,
                Progress::More,
            ),
            Stage::Logs { writer, upto } => self.await_logs(writer, upto)?,
            Stage::File => match std::mem::replace(&mut self.file_sync, FileSync::None) {
                FileSync::Done(outcome) => {
                    outcome?;
                    let file = self.install(job.generation, job.replay_from)?;
                    (Stage::Settle(file), Progress::More)
                }
                waiting => {
                    self.file_sync = waiting;
                    (Stage::File, Progress::Idle)
                }
            },
            Stage::Settle(file) => match self.settle_rows(file, job.generation)? {
                Some(file) => (Stage::Settle(file), Progress::More),
                None => {
                    self.stats.damaged += self.ledger.table.drop_older_checkpoints(job.generation);
                    self.stats.checkpoints += 1;
                    self.begin_compaction(now_ms);
                    return Ok(Progress::More);
                }
            },
        };
        job.stage = stage;
        self.job = Job::Checkpoint(job);
        Ok(progress)
    }

    fn write_rows(
        &self,
        mut writer: RecordFileWriter,
        after: Option<&[u8]>,
        mut rows: u64,
        replay_from: u64,
    ) -> io::Result<Stage> {
        let start = match after {
            Some(key) => Bound::Excluded(key),
            None => Bound::Unbounded,
        };
        let mut written = 0;
        let mut last = None;
        for (key, entry) in self.ledger.table.from(&[], start) {
            if written >= PIECE_BYTES {
                break;
            }
            // One that the disk has damaged is lost; whoever drops the older file counts it.
            if let Some(record) = self.ledger.table.record(key, entry)? {
                writer.push(rows, |into| into.extend_from_slice(&record))?;
                rows += 1;
                written += record.len();
            }
            last = Some(key);
        }
        if let Some(last) = last {
            let after = Some(last.into());
            return Ok(Stage::Rows {
                writer,
                after,
                rows,
            });
        }
        writer.finish(rows, Some(stamp(replay_from)))?;
        let upto = self
            .shards
            .iter()
            .map(|shard| shard.log.written_to())
            .collect();
        Ok(Stage::Logs { writer, upto })
    }

    fn await_logs(
        &mut self,
        writer: RecordFileWriter,
        upto: Vec<u64>,
    ) -> io::Result<(Stage, Progress)> {
        if self
            .shards
            .iter()
            .any(|shard| shard.log.failure().is_some())
        {
            return Err(io::Error::other("a log failed"));
        }
        let is_synced = |(shard, upto): (&super::Shard, &u64)| shard.log.synced_to() >= *upto;
        let durable = self.shards.iter().zip(&upto).all(is_synced);
        if durable {
            self.file_sync = FileSync::Wanted(writer.file());
            Ok((Stage::File, Progress::Idle))
        } else {
            Ok((Stage::Logs { writer, upto }, Progress::Idle))
        }
    }

    /// Makes the finished and synced file the checkpoint.
    fn install(&mut self, generation: u32, replay_from: u64) -> io::Result<RecordFile> {
        let name = final_name(generation);
        self.files.rename(&temporary(generation), &name)?;
        self.files.sync_dir()?;
        let old = std::mem::replace(&mut self.generation, generation);
        self.replay_from = replay_from;
        if old > 0 {
            self.files.remove(&final_name(old))?;
        }
        let unreadable = || io::Error::other("the checkpoint that was just written is unreadable");
        let open = || RecordFile::open(&*self.files, &name)?.ok_or_else(unreadable);
        self.ledger.table.add_checkpoint(generation, open()?);
        open()
    }

    /// Reads the checkpoint back, which also proves that it can be read, and lets the values go that it holds.
    fn settle_rows(
        &mut self,
        mut file: RecordFile,
        generation: u32,
    ) -> io::Result<Option<RecordFile>> {
        let mut read = 0;
        while read < PIECE_BYTES {
            let Some(record) = file.next_record()? else {
                return Ok(None);
            };
            read += record.body.len() + RECORD_HEADER_BYTES;
            let place = Place::Disk {
                at: record.at,
                generation,
                bytes: u32::try_from(record.body.len()).unwrap_or(u32::MAX),
            };
            if let Some(row) = Row::decode(record.body).filter(|_| record.seq > 0) {
                self.ledger.table.settle(row.key, row.seq, place);
            }
        }
        Ok(Some(file))
    }

    /// Loads the newest checkpoint that can be read.
    pub(super) fn load_checkpoint(&mut self, report: &mut OpenReport) -> io::Result<()> {
        let names = self.files.list()?;
        for name in names
            .iter()
            .filter(|name| name.starts_with("state-") && name.ends_with(".tmp"))
        {
            self.files.remove(name)?;
            report.leftovers.push(name.clone());
        }
        let mut generations: Vec<u32> = names
            .iter()
            .filter_map(|name| checkpoint_generation(name))
            .collect();
        generations.sort_unstable_by(|a, b| b.cmp(a));
        for generation in generations {
            let name = final_name(generation);
            // So that a new one never gets the name of one that is put aside.
            let newest = self.generation.max(generation);
            if self.replay_from > 0 {
                self.files.remove(&name)?;
                report.leftovers.push(name);
            } else if !self.load(generation, report)? {
                let aside = format!("{name}.bad");
                self.files.rename(&name, &aside)?;
                report.set_aside.push(aside);
            }
            self.generation = newest;
        }
        Ok(())
    }

    fn load(&mut self, generation: u32, report: &mut OpenReport) -> io::Result<bool> {
        let name = final_name(generation);
        let Some(mut file) = RecordFile::open(&*self.files, &name)? else {
            return Ok(false);
        };
        let mut replay_from = file.digest().and_then(|digest| Reader::new(digest).u64());
        let whole = replay_from.is_some();
        while let Some(record) = file.next_record()? {
            if record.seq == 0 {
                replay_from = replay_from.or(Reader::new(record.body).u64());
                continue;
            }
            if let Some(row) = Row::decode(record.body) {
                let place = if lives_on_disk(row.key) {
                    Place::Disk {
                        at: record.at,
                        generation,
                        bytes: u32::try_from(record.body.len()).unwrap_or(u32::MAX),
                    }
                } else {
                    Place::Memory(row.value.into())
                };
                let entry = Entry {
                    seq: row.seq,
                    version: row.version,
                    place,
                };
                self.ledger.table.load(row.key, entry);
            }
        }
        report.damage.extend_from_slice(file.damage());
        if !file.is_sealed() && file.damage().is_empty() {
            // Cut behind a record, or only its end is damaged: how much is missing cannot be told.
            let end = self.files.open(&name)?.size_bytes()?;
            report.damage.push(Damage {
                file: name,
                from: end,
                to: end,
                after: None,
            });
        } else if !whole && file.damage().is_empty() {
            report.reindexed.push(name);
        }
        // Without either copy everything that the logs still have is replayed: too much rather than too little.
        self.replay_from = replay_from.unwrap_or(1);
        self.ledger.next_seq = self.ledger.next_seq.max(self.replay_from);
        self.ledger.table.add_checkpoint(generation, file);
        Ok(true)
    }

    pub(super) fn checkpoint_bytes(&self) -> u64 {
        let size = |name: String| self.files.open(&name).and_then(|file| file.size_bytes());
        match self.generation {
            0 => 0,
            generation => size(final_name(generation)).unwrap_or(0),
        }
    }

    pub(super) fn checkpoint_name(&self) -> Option<String> {
        (self.replay_from > 0).then(|| final_name(self.generation))
    }
}

/// The generation in a checkpoint's name.
pub(crate) fn checkpoint_generation(name: &str) -> Option<u32> {
    let hex = name.strip_prefix("state-")?.strip_suffix(".snap")?;
    (hex.len() == 8)
        .then(|| u32::from_str_radix(hex, 16).ok())
        .flatten()
}

fn final_name(generation: u32) -> String {
    format!("state-{generation:08x}.snap")
}

fn temporary(generation: u32) -> String {
    format!("state-{generation:08x}.tmp")
}

fn stamp(replay_from: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_u64(&mut bytes, replay_from);
    bytes
}
