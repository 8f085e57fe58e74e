//! Opening a store: stamp, checkpoint, logs, replay. It starts whatever the files look like, and tells what is lost.

use super::stamp::{Found, STORE_FORMAT, Stamp};
use super::{DurableEngine, FileSync, Job, Shard, Wanted};
use crate::ledger::{Ledger, Limits};
use crate::names::ShardId;
use crate::request::Stats;
use crate::topics::TopicDigest;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use tidewire_log::{Cursor, Damage, Files, Log, LogConfig, Preallocation};

const LOCK_NAME: &str = "LOCK";

/// How a durable store is laid out, and what it may hold.
#[derive(Clone, Debug)]
pub struct Config {
    /// Shards of a store that is created; one that exists keeps its number.
    pub shards: u16,
    /// Makes the checksums of a store that is created its own; should be random.
    pub seed: u64,
    /// Length of a segment.
    pub segment_bytes: u64,
    /// Space that is left free for trims and checkpoints.
    pub reserve_bytes: u64,
    /// A checkpoint is written after so many bytes of log, or as many as the table has, if that is more.
    pub checkpoint_bytes: u64,
    /// Whether a segment's space is taken when it is created.
    pub preallocation: Preallocation,
    /// What the store may hold.
    pub limits: Limits,
}

impl Default for Config {
    /// Two shards, so that one fills while the other syncs: more only multiply the syncs (measured by `store_bench`).
    fn default() -> Self {
        Self {
            shards: 2,
            seed: 0,
            segment_bytes: 64 << 20,
            reserve_bytes: 256 << 20,
            checkpoint_bytes: 64 << 20,
            preallocation: Preallocation::Whole,
            limits: Limits::default(),
        }
    }
}

/// What opening a store found.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct OpenReport {
    /// Bytes cut off at the ends of the logs: written, never synced, never acknowledged as synced.
    pub torn_bytes: u64,
    /// Stretches of logs and checkpoint that hold nothing sound: what was there is lost.
    pub damage: Vec<Damage>,
    /// Files that could not be used and were put aside under these names.
    pub set_aside: Vec<String>,
    /// Remains of interrupted work that were removed.
    pub leftovers: Vec<String>,
    /// Segments whose index was made anew.
    pub reindexed: Vec<String>,
    /// One of the two stamps was damaged or missing, and was written anew.
    pub stamp_mended: Option<Mended>,
    /// Groups that were newer than the checkpoint.
    pub replayed: u64,
}

/// Marks something that was repaired from its copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mended;

impl OpenReport {
    /// Whether everything that was acknowledged is there, as far as opening could see.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.set_aside.is_empty()
    }
}

impl fmt::Display for OpenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for damage in &self.damage {
            writeln!(f, "lost: {damage}")?;
        }
        for name in &self.set_aside {
            writeln!(f, "lost: a file could not be read and is kept as {name}")?;
        }
        for name in &self.reindexed {
            writeln!(
                f,
                "mended: the index of {name} was damaged; nothing is lost"
            )?;
        }
        if self.stamp_mended.is_some() {
            writeln!(f, "mended: the store's stamp from its copy")?;
        }
        if self.torn_bytes > 0 {
            writeln!(f, "cut: {} bytes that were never synced", self.torn_bytes)?;
        }
        Ok(())
    }
}

/// Why a store was not opened. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// Somebody else has it open.
    Locked,
    /// It was written by another version of the layout.
    Version {
        /// That version.
        found: u16,
    },
    /// Both stamps are gone while there is data: the number of shards is not known.
    NoStamp,
    /// The file layer failed.
    Io(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("another process has this store open; stop it first"),
            Self::Version { found } => write!(
                f,
                "this store has format {found}, this build reads format {STORE_FORMAT}: use the build that wrote it; nothing was changed"
            ),
            Self::NoStamp => f.write_str(
                "the store has data but its stamp (STORE, STORE.copy) is gone; restore one of the two from a backup, or repair the store stating its number of shards",
            ),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<tidewire_log::OpenError> for OpenError {
    fn from(error: tidewire_log::OpenError) -> Self {
        match error {
            tidewire_log::OpenError::Version { found, .. } => Self::Version { found },
            tidewire_log::OpenError::Io(error) => Self::Io(error),
        }
    }
}

impl DurableEngine {
    /// Opens the store in a directory, or creates one in an empty directory.
    ///
    /// # Errors
    /// Locked, of another version, without a stamp, or the file layer failed. Damage is no error: see [`OpenReport`].
    pub fn open(files: Arc<dyn Files>, config: Config) -> Result<(Self, OpenReport), OpenError> {
        let lock = files.lock(LOCK_NAME).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked,
            _ => OpenError::Io(error),
        })?;
        let mut report = OpenReport::default();
        let stamp = open_stamp(&*files, &config, &mut report)?;
        let ledger = Ledger::new(stamp.shards, config.limits);
        let mut shards = Vec::new();
        for shard in 0..stamp.shards {
            shards.push(open_shard(&files, &config, stamp, shard, &mut report)?);
        }
        let mut engine = Self {
            replay_from: 0,
            generation: 0,
            log_bytes: 0,
            job: Job::None,
            file_sync: FileSync::None,
            checkpoint_wanted: Wanted::No,
            backups: VecDeque::new(),
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            pushed: Vec::new(),
            stats: Stats::default(),
            _lock: lock,
            files,
            config,
            ledger,
            shards,
        };
        engine.load_checkpoint(&mut report)?;
        engine.replay(&mut report)?;
        // What only the system's cache has must not be told to anybody as stored.
        for shard in &mut engine.shards {
            shard.log.sync().map_err(io::Error::other)?;
        }
        engine.stats.damaged = (report.damage.len() + report.set_aside.len()) as u64;
        Ok((engine, report))
    }

    /// Enters what the logs have beyond the checkpoint, in the order in which it was written.
    fn replay(&mut self, report: &mut OpenReport) -> io::Result<()> {
        let mut heads: Vec<Head> = Vec::new();
        for shard in &self.shards {
            heads.push(Head::new(self.replay_from, &shard.log)?);
        }
        loop {
            let first = (0_u16..)
                .zip(&heads)
                .filter_map(|(at, head)| Some((head.seq?, at)))
                .min();
            let Some((seq, at)) = first else { break };
            let (Some(head), Some(shard)) = (
                heads.get_mut(usize::from(at)),
                self.shards.get(usize::from(at)),
            ) else {
                break;
            };
            self.log_bytes += head.body.len() as u64;
            self.ledger.apply(ShardId(at), seq, &head.body);
            self.ledger.table.keep_changes();
            head.advance(&shard.log)?;
            report.replayed += 1;
        }
        for head in &mut heads {
            let known = |damage: &Damage| {
                report
                    .damage
                    .iter()
                    .any(|d| d.file == damage.file && d.from == damage.from)
            };
            let new: Vec<_> = head
                .cursor
                .take_damage()
                .into_iter()
                .filter(|damage| !known(damage))
                .collect();
            report.damage.extend(new);
        }
        for shard in &self.shards {
            self.ledger.next_seq = self.ledger.next_seq.max(shard.log.next_seq());
        }
        Ok(())
    }
}

/// The next record of one log that is replayed.
struct Head {
    cursor: Cursor,
    /// `None` at the end.
    seq: Option<u64>,
    body: Vec<u8>,
}

impl Head {
    fn new(from: u64, log: &Log) -> io::Result<Self> {
        let mut head = Self {
            cursor: Cursor::new(from),
            seq: None,
            body: Vec::new(),
        };
        head.advance(log)?;
        Ok(head)
    }

    fn advance(&mut self, log: &Log) -> io::Result<()> {
        let record = self.cursor.next(log)?;
        self.body.clear();
        self.seq = record.map(|record| record.seq);
        self.body
            .extend_from_slice(record.map_or(&[], |record| record.body));
        Ok(())
    }
}

fn open_stamp(
    files: &dyn Files,
    config: &Config,
    report: &mut OpenReport,
) -> Result<Stamp, OpenError> {
    let names = files.list()?;
    let stamp = match Stamp::read(files)? {
        Found::Version(found) => return Err(OpenError::Version { found }),
        Found::Stamp(stamp) => stamp,
        Found::Nothing | Found::Damaged => {
            if names
                .iter()
                .any(|name| name.ends_with(".seg") || name.ends_with(".snap"))
            {
                return Err(OpenError::NoStamp);
            }
            let stamp = Stamp {
                shards: config.shards.max(1),
                salt: salt_of(config.seed),
            };
            stamp.write(files)?;
            return Ok(stamp);
        }
    };
    // Looked at before anything is touched: a log of another version stops here as well.
    for shard in 0..stamp.shards {
        let log = shard_log(shard);
        tidewire_log::check_version(files, &log)?;
    }
    if !stamp.is_whole(files)? {
        stamp.write(files)?;
        report.stamp_mended = Some(Mended);
    }
    Ok(stamp)
}

fn open_shard(
    files: &Arc<dyn Files>,
    config: &Config,
    stamp: Stamp,
    shard: u16,
    report: &mut OpenReport,
) -> Result<Shard, OpenError> {
    let log = LogConfig {
        name: shard_log(shard),
        salt: stamp.salt,
        segment_bytes: config.segment_bytes,
        reserve_bytes: config.reserve_bytes,
        preallocation: config.preallocation,
        digest: || Box::new(TopicDigest::default()),
    };
    let (log, found) = Log::open(Arc::clone(files), log)?;
    report.torn_bytes += found.torn_bytes;
    report.damage.extend(found.damage);
    report.set_aside.extend(found.set_aside);
    report.leftovers.extend(found.leftovers);
    report.reindexed.extend(found.reindexed);
    Ok(Shard {
        log,
        waiting: VecDeque::new(),
        damaged: 0,
    })
}

/// The name of a shard's log.
pub(crate) fn shard_log(shard: u16) -> String {
    format!("s{shard:04x}")
}

fn salt_of(seed: u64) -> u32 {
    let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (seed >> 29);
    u32::try_from(mixed >> 32).unwrap_or(0)
}
