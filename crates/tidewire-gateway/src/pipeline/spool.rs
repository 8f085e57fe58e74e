//! A lane's durable log: what is in it survives the process and the machine, until every uplink has sent it.

use super::record::Summary;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidewire_log::{
    AppendError, Cursor, Damage, Digest, Enter, Files, Log, LogConfig, OpenError, OpenReport,
    Preallocation, SegmentInfo,
};

/// What happens when there is no room.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Overflow {
    /// The oldest data make room, and are counted.
    #[default]
    DropOldest,
    /// The newest data are dropped, and counted, until there is room.
    DropNewest,
    /// Sources that can wait have to; what the others bring is kept in memory up to its bound, then dropped and counted.
    Hold,
}

/// The bounds of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes on disk.
    pub max_bytes: u64,
    /// Data that are older are dropped, and counted; 0 = none.
    pub max_age_ms: i64,
    /// Bytes of the disk that are left free.
    pub min_free_bytes: u64,
    /// Bytes of one file. Space is given back in whole files.
    pub segment_bytes: u64,
    /// What happens when there is no room.
    pub overflow: Overflow,
}

impl Default for SpoolLimits {
    fn default() -> Self {
        Self {
            max_bytes: 1024 * 1024 * 1024,
            max_age_ms: 0,
            min_free_bytes: 64 * 1024 * 1024,
            segment_bytes: 4 * 1024 * 1024,
            overflow: Overflow::DropOldest,
        }
    }
}

/// A durable log of records.
#[derive(Debug)]
pub struct Spool {
    files: Arc<dyn Files>,
    name: String,
    limits: SpoolLimits,
    inner: Mutex<Inner>,
    dropped: AtomicU64,
}

#[derive(Debug)]
struct Inner {
    log: Log,
    /// The first record that each uplink still needs.
    places: Vec<u64>,
    /// Points that became durable since the log was opened, and their bytes.
    appended: u64,
    appended_bytes: u64,
}

/// Figures of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpoolStats {
    /// Bytes on disk.
    pub used_bytes: u64,
    /// Bytes that it may take.
    pub max_bytes: u64,
    /// Bytes that can still be written, by its bound and by the disk.
    pub free_bytes: u64,
    /// Points that were dropped for want of room or for their age, whether or not some uplink had sent them.
    pub dropped_points: u64,
}

/// Why records are not in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// There is no room.
    Full,
    /// The disk failed, and so did opening the log anew.
    Failed(Box<str>),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("there is no room for more data"),
            Self::Failed(why) => write!(f, "the data log cannot be written: {why}"),
        }
    }
}

/// Points of a segment, and when its newest record came.
#[derive(Debug, Default)]
struct Sum {
    points: u64,
    newest_ms: i64,
}

impl Digest for Sum {
    fn add(&mut self, _seq: u64, body: &[u8]) {
        if let Some(summary) = Summary::of(body) {
            self.points += u64::from(summary.points);
            self.newest_ms = self.newest_ms.max(summary.oldest_ms);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.points.to_le_bytes().to_vec();
        bytes.extend_from_slice(&self.newest_ms.to_le_bytes());
        bytes
    }
}

impl Sum {
    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            points: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            newest_ms: i64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?),
        })
    }
}

impl Spool {
    /// Opens the log of that name.
    ///
    /// # Errors
    /// Another version wrote it, or the disk failed. Damage is no error: see the report.
    pub fn open(
        files: Arc<dyn Files>,
        name: &str,
        limits: SpoolLimits,
        salt: u32,
    ) -> Result<(Self, OpenReport), OpenError> {
        let (mut log, report) = Log::open(Arc::clone(&files), config(name, &limits, salt))?;
        // What was recovered may be in the system's cache only.
        log.sync()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let spool = Self {
            files,
            name: name.to_owned(),
            limits,
            inner: Mutex::new(Inner {
                log,
                places: Vec::new(),
                appended: 0,
                appended_bytes: 0,
            }),
            dropped: AtomicU64::new(0),
        };
        Ok((spool, report))
    }

    /// Writes records and makes them durable. After an error none of them is in the log.
    pub(crate) fn append(&self, records: &[Vec<u8>]) -> Result<(), Refused> {
        let bytes = records.iter().map(|record| record.len() as u64 + 20).sum();
        loop {
            match self.try_append(records, bytes) {
                Ok(()) => return Ok(()),
                Err(AppendError::Full) if self.limits.overflow == Overflow::DropOldest => {
                    if !self.drop_oldest_segment() {
                        return Err(Refused::Full);
                    }
                }
                Err(AppendError::Full) => return Err(Refused::Full),
                Err(AppendError::Poisoned(why)) => {
                    self.reopen().map_err(|_| Refused::Failed(why.clone()))?;
                    return Err(Refused::Failed(why));
                }
            }
        }
    }

    fn try_append(&self, records: &[Vec<u8>], bytes: u64) -> Result<(), AppendError> {
        let job = {
            let log = &mut self.lock().log;
            if used(log).saturating_add(bytes) > self.limits.max_bytes && used(log) > 0 {
                return Err(AppendError::Full);
            }
            for record in records {
                log.push(0, |into| into.extend_from_slice(record));
            }
            log.write()?;
            log.start_sync()
        };
        // Readers go on while the disk works.
        let Some(job) = job else { return Ok(()) };
        let done = job.run();
        let mut inner = self.lock();
        inner.log.finish_sync(done)?;
        inner.appended_bytes += bytes;
        inner.appended += records.iter().map(|record| points(record)).sum::<u64>();
        Ok(())
    }

    /// What a failed sync left is in doubt: the log is read again, as after a crash.
    fn reopen(&self) -> Result<(), OpenError> {
        let mut inner = self.lock();
        let next = inner.log.next_seq();
        let config = config(&self.name, &self.limits, 0);
        let (mut log, _) = Log::open(Arc::clone(&self.files), config)?;
        log.raise_next_seq(next);
        log.sync()
            .map_err(|error| io::Error::other(error.to_string()))?;
        inner.log = log;
        Ok(())
    }

    fn drop_oldest_segment(&self) -> bool {
        let log = &mut self.lock().log;
        if log.sealed().next().is_none() {
            // The only segment is the one that grows; on a full disk its end may not fit.
            drop(log.seal());
        }
        let Some(first) = log.sealed().next() else {
            return false;
        };
        self.drop_segment(log, &first)
    }

    fn drop_segment(&self, log: &mut Log, segment: &SegmentInfo) -> bool {
        let sum = digest(log, segment).unwrap_or_default();
        match log.trim(segment.covers_to) {
            Ok(freed) if freed > 0 => {
                self.dropped.fetch_add(sum.points, Ordering::Relaxed);
                tracing::warn!(
                    log = self.name,
                    points = sum.points,
                    "the oldest data were dropped to make room"
                );
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::error!(log = self.name, %error, "a file of old data cannot be removed");
                false
            }
        }
    }

    /// Drops what is too old. Space is given back when every record of a file is.
    pub(crate) fn drop_aged(&self, now_ms: i64) {
        if self.limits.max_age_ms == 0 {
            return;
        }
        let log = &mut self.lock().log;
        loop {
            let Some(first) = log.sealed().next() else {
                return;
            };
            let newest = digest(log, &first).map_or(i64::MAX, |sum| sum.newest_ms);
            let is_old = newest.saturating_add(self.limits.max_age_ms) < now_ms;
            if !is_old || !self.drop_segment(log, &first) {
                return;
            }
        }
    }

    /// Another uplink that needs everything from this record on; returns its number here.
    pub(crate) fn add_place(&self, seq: u64) -> usize {
        let mut inner = self.lock();
        inner.places.push(seq);
        // A record that was sent is never again given to another one, even if the log was lost.
        inner.log.raise_next_seq(seq);
        inner.places.len() - 1
    }

    /// An uplink has sent everything before this record.
    pub(crate) fn set_place(&self, number: usize, seq: u64) {
        let mut inner = self.lock();
        if let Some(place) = inner.places.get_mut(number) {
            *place = seq;
        }
        inner.forget_sent(&self.name);
    }

    /// Without an uplink there is nobody to keep data for.
    pub(crate) fn forget_if_nobody_needs(&self) {
        let mut inner = self.lock();
        if inner.places.is_empty() {
            inner.forget_sent(&self.name);
        }
    }

    /// All records before this one are durable, and may be sent.
    #[must_use]
    pub fn durable_to(&self) -> u64 {
        self.lock().log.synced_to()
    }

    /// The first record that is still there.
    #[must_use]
    pub fn first(&self) -> u64 {
        let log = &self.lock().log;
        let first = log.sealed().next().or_else(|| log.active());
        first.map_or(log.next_seq(), |segment| segment.id.base)
    }

    /// The first record of the last two files: there the newest values are.
    pub(crate) fn last_files_from(&self) -> u64 {
        let log = &self.lock().log;
        let last = log
            .active()
            .into_iter()
            .chain(log.sealed().rev())
            .take(2)
            .last();
        last.map_or(0, |segment| segment.id.base)
    }

    /// Points that became durable since the log was opened.
    #[must_use]
    pub fn appended_points(&self) -> u64 {
        self.lock().appended
    }

    /// Bytes that became durable since the log was opened.
    #[must_use]
    pub fn appended_bytes(&self) -> u64 {
        self.lock().appended_bytes
    }

    /// Durable points of these stretches of records (the end is not in it), and [`Spool::appended_points`] of the same
    /// moment.
    ///
    /// # Errors
    /// The disk failed.
    pub fn count(&self, stretches: &[(u64, u64)]) -> io::Result<(u64, u64)> {
        let inner = self.lock();
        let mut counted = 0;
        for (from, to) in stretches {
            counted += count_between(&inner.log, *from, (*to).min(inner.log.synced_to()))?;
        }
        Ok((counted, inner.appended))
    }

    /// When the gateway learned of the first point from a record on.
    ///
    /// # Errors
    /// The disk failed.
    pub fn oldest_ms(&self, seq: u64) -> io::Result<Option<i64>> {
        let log = &self.lock().log;
        let mut cursor = Cursor::new(seq);
        let record = cursor.next(log)?;
        Ok(record
            .and_then(|record| Summary::of(record.body))
            .map(|summary| summary.oldest_ms))
    }

    /// Figures.
    #[must_use]
    pub fn stats(&self) -> SpoolStats {
        let used_bytes = used(&self.lock().log);
        let disk = self.files.free_bytes().unwrap_or(0);
        let own = self.limits.max_bytes.saturating_sub(used_bytes);
        SpoolStats {
            used_bytes,
            max_bytes: self.limits.max_bytes,
            free_bytes: own.min(disk.saturating_sub(self.limits.min_free_bytes)),
            dropped_points: self.dropped.load(Ordering::Relaxed),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn forget_sent(&mut self, name: &str) {
        let needed = self.places.iter().copied().min().unwrap_or(u64::MAX);
        if let Err(error) = self.log.trim(needed) {
            tracing::warn!(log = name, %error, "a file of sent data cannot be removed");
        }
    }
}

/// Reads durable records in order.
#[derive(Debug)]
pub(crate) struct Reader {
    cursor: Cursor,
}

impl Reader {
    pub(crate) fn new(from: u64) -> Self {
        Self {
            cursor: Cursor::new(from),
        }
    }

    /// The next durable record before `until`, with its number.
    pub(crate) fn next(&mut self, spool: &Spool, until: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
        let log = &spool.lock().log;
        let until = until.min(log.synced_to());
        if self.cursor.next_seq() >= until {
            return Ok(None);
        }
        let found = match self.cursor.next(log)? {
            None => return Ok(None),
            Some(record) if record.seq < until => Ok(record.body.to_vec()),
            Some(record) => Err(record.seq),
        };
        match found {
            Ok(body) => Ok(Some((self.cursor.next_seq() - 1, body))),
            // It is there, and not yet durable: read again when it is.
            Err(seq) => {
                self.cursor = Cursor::new(seq);
                Ok(None)
            }
        }
    }

    /// Damage that was read over since the last call.
    pub(crate) fn take_damage(&mut self) -> Vec<Damage> {
        self.cursor.take_damage()
    }
}

fn config(name: &str, limits: &SpoolLimits, salt: u32) -> LogConfig {
    LogConfig {
        name: name.to_owned(),
        salt,
        segment_bytes: limits.segment_bytes,
        reserve_bytes: limits.min_free_bytes,
        preallocation: Preallocation::None,
        digest: || Box::new(Sum::default()),
    }
}

fn used(log: &Log) -> u64 {
    log.sealed()
        .chain(log.active())
        .map(|segment| segment.size_bytes)
        .sum()
}

/// Whole segments are counted by their summaries, the others by reading them.
fn count_between(log: &Log, from: u64, to: u64) -> io::Result<u64> {
    let is_inside = |segment: &SegmentInfo| segment.id.base >= from && segment.covers_to <= to;
    let whole: Vec<_> = log
        .sealed()
        .filter(is_inside)
        .filter_map(|segment| Some((segment.id, digest(log, &segment)?.points)))
        .collect();
    let mut counted = 0;
    let mut enter = |id| match whole.iter().find(|(known, _)| *known == id) {
        Some((_, points)) => {
            counted += points;
            Enter::Skip
        }
        None => Enter::Read,
    };
    let mut cursor = Cursor::new(from);
    let mut read = 0;
    while cursor.next_seq() < to {
        match cursor.next_in(log, &mut enter)? {
            Some(record) if record.seq < to => read += points(record.body),
            _ => break,
        }
    }
    Ok(counted + read)
}

fn points(record: &[u8]) -> u64 {
    Summary::of(record).map_or(0, |summary| summary.points.into())
}

fn digest(log: &Log, segment: &SegmentInfo) -> Option<Sum> {
    match log.digest(segment.id) {
        Ok(bytes) => bytes.and_then(|bytes| Sum::read(&bytes)),
        Err(error) => {
            tracing::warn!(%error, "the summary of a data file cannot be read");
            None
        }
    }
}
