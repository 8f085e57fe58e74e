//! The log: appends to its last segment, seals it when it is full, trims from the front.

use crate::digest::{Digest, Tally};
use crate::files::{File, Files};
use crate::known::{DigestReader, Known};
use crate::reader::{Next, RecordReader};
use crate::record::{self, RECORD_HEADER_BYTES};
use crate::report::AppendError;
use crate::segment::{Footer, HEADER_BYTES, Header, Trailer, file_name};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Sealed segments whose index is remembered, at 16 bytes for each 64 KiB of them.
const KNOWN_MAX: usize = 1024;

/// Sealed segments that wait for a sync at most; then the write that seals waits for the oldest. Opening syncs as many
/// again, as a killed process may have left them.
pub(crate) const UNSYNCED_SEGMENTS_MAX: usize = 8;

/// How a log is laid out.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Starts the names of its files; several logs may share a directory.
    pub name: String,
    /// Mixed into every checksum of a new log; one that has segments keeps theirs. Should be random, so that no payload
    /// can pass for a record.
    pub salt: u32,
    /// A segment is sealed when the next batch would make it longer. A batch is never split.
    pub segment_bytes: u64,
    /// Space that appends leave free, so that trims, rewrites and checkpoints still can work on a full disk.
    pub reserve_bytes: u64,
    /// Whether the space of a segment is taken when it is created.
    pub preallocation: Preallocation,
    /// Makes the digest of one segment.
    pub digest: fn() -> Box<dyn Digest>,
}

/// Whether the space of a segment is taken when it is created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preallocation {
    /// It is: syncs are cheaper, and a full disk shows between segments.
    Whole,
    /// Files grow with what is written: many small logs, tests.
    None,
}

/// A segmented log of opaque records with rising sequence numbers, which its user gives.
///
/// [`Log::push`] collects a batch in memory, [`Log::write`] writes it with one call, [`Log::start_sync`] hands out what
/// makes it durable, on whatever thread. Whatever is pushed while a sync runs goes with the next one.
#[derive(Debug)]
pub struct Log {
    pub(crate) files: Arc<dyn Files>,
    pub(crate) config: LogConfig,
    pub(crate) sealed: VecDeque<Sealed>,
    pub(crate) active: Option<Active>,
    pub(crate) generations: u32,
    batch: Vec<u8>,
    /// Sequence number, start and end of each record of the batch.
    pushed: Vec<(u64, usize, usize)>,
    /// The lowest sequence number that the next record may have.
    pub(crate) next: u64,
    pub(crate) unsynced: Vec<Arc<dyn File>>,
    pub(crate) names_changed: bool,
    written: u64,
    synced: u64,
    syncing: bool,
    poison: Option<Box<str>>,
    known: Mutex<BTreeMap<SegmentId, Arc<Known>>>,
}

/// Names one state of one segment: a rewritten one has another generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SegmentId {
    /// No record in it has a lower sequence number.
    pub base: u64,
    /// Tells it from the same segment before a rewrite.
    pub generation: u32,
}

/// A segment, as its log knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentInfo {
    /// Its name.
    pub id: SegmentId,
    /// All sequence numbers from the base up to, not including, this one are in it or are gone.
    pub covers_to: u64,
    /// Bytes of its file that are in use, header and footer included.
    pub size_bytes: u64,
    /// Records in it.
    pub records: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) id: SegmentId,
    pub(crate) covers_to: u64,
    pub(crate) records: u64,
    pub(crate) data_end: u64,
    pub(crate) size_bytes: u64,
    pub(crate) salt: u32,
    pub(crate) footer: FooterAt,
}

#[derive(Clone, Debug)]
pub(crate) enum FooterAt {
    Disk(Trailer),
    /// The file has no sound one.
    Memory(Arc<Footer>),
}

#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) id: SegmentId,
    pub(crate) file: Arc<dyn File>,
    pub(crate) salt: u32,
    pub(crate) end: u64,
    pub(crate) tally: Tally,
    /// It has writes that no sync was started for.
    pub(crate) dirty: bool,
}

/// What has to be synced; may be run on another thread while the log goes on.
#[derive(Debug)]
#[must_use = "what was written is durable only after this ran and was given back"]
pub struct SyncJob {
    files: Vec<Arc<dyn File>>,
    names: Option<Arc<dyn Files>>,
    upto: u64,
}

/// The outcome of a [`SyncJob`].
#[derive(Debug)]
#[must_use = "the log waits for it"]
pub struct SyncDone {
    outcome: io::Result<()>,
    upto: u64,
}

impl SyncJob {
    /// Waits for the disk. Older segments go first, so that what is durable is a prefix of the log.
    pub fn run(self) -> SyncDone {
        let synced = self.files.iter().try_for_each(|file| file.sync());
        let outcome = synced.and_then(|()| self.names.map_or(Ok(()), |files| files.sync_dir()));
        SyncDone {
            outcome,
            upto: self.upto,
        }
    }
}

impl Log {
    pub(crate) fn empty(files: Arc<dyn Files>, config: LogConfig) -> Self {
        Self {
            files,
            config,
            sealed: VecDeque::new(),
            active: None,
            generations: 0,
            batch: Vec::new(),
            pushed: Vec::new(),
            next: 0,
            unsynced: Vec::new(),
            names_changed: false,
            written: 0,
            synced: 0,
            syncing: false,
            poison: None,
            known: Mutex::new(BTreeMap::new()),
        }
    }

    /// Adds a record to the batch. A sequence number below [`Log::next_seq`] is raised to it; returns the one given.
    pub fn push(&mut self, seq: u64, encode: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let seq = seq.max(self.next);
        let start = self.batch.len();
        record::encode(&mut self.batch, self.config.salt, seq, encode);
        self.pushed.push((seq, start, self.batch.len()));
        self.next = seq.saturating_add(1);
        seq
    }

    /// Writes the batch, not yet durably, and empties it.
    ///
    /// # Errors
    /// The whole batch is not in the log. Its sequence numbers are not used again; whether a part of it comes back after
    /// a crash is not known.
    pub fn write(&mut self) -> Result<(), AppendError> {
        if self.pushed.is_empty() {
            return Ok(());
        }
        let outcome = self.write_batch();
        if outcome.is_ok() {
            self.written = self.next;
        }
        self.batch.clear();
        self.pushed.clear();
        outcome
    }

    fn write_batch(&mut self) -> Result<(), AppendError> {
        self.check_poison()?;
        let bytes = self.batch.len() as u64;
        let is_over = |active: &Active| {
            active.end + bytes > self.config.segment_bytes && active.tally.records > 0
        };
        if self.active.as_ref().is_some_and(is_over) {
            self.seal()?;
        }
        if self.active.is_none() {
            let base = self.pushed.first().map_or(self.next, |(seq, ..)| *seq);
            self.active = Some(self.create_segment(base, bytes)?);
        }
        let Some(active) = self.active.as_mut() else {
            return Ok(());
        };
        match active.file.write_at(&self.batch, active.end) {
            Ok(()) => {}
            Err(error) if is_full(&error) => return Err(AppendError::Full),
            Err(error) => return Err(self.poison(&error)),
        }
        for (seq, start, end) in &self.pushed {
            let body = self.batch.get(start + RECORD_HEADER_BYTES..*end);
            let at = active.end + *start as u64;
            active.tally.add(*seq, at, body.unwrap_or_default());
        }
        active.end += bytes;
        active.dirty = true;
        Ok(())
    }

    /// Seals the last segment, if it has records; the next write begins another.
    ///
    /// # Errors
    /// As [`Log::write`]; the segment then stays as it was.
    pub fn seal(&mut self) -> Result<(), AppendError> {
        self.check_poison()?;
        let Some(active) = self.active.take_if(|active| active.tally.records > 0) else {
            return Ok(());
        };
        // What waits in the batch belongs to the next segment.
        let covers_to = self.pushed.first().map_or(self.next, |(seq, ..)| *seq);
        let footer = Footer {
            index: active.tally.index.clone(),
            digest: active.tally.digest.bytes(),
        };
        let last = active.tally.last.unwrap_or(active.id.base);
        let bytes = footer.encode(active.end, active.tally.records, last, covers_to);
        let size_bytes = active.end + bytes.len() as u64;
        let written = active.file.write_at(&bytes, active.end);
        let outcome = written.and_then(|()| active.file.set_size(size_bytes));
        if let Err(error) = outcome {
            self.active = Some(active);
            return Err(if is_full(&error) {
                AppendError::Full
            } else {
                self.poison(&error)
            });
        }
        self.unsynced.push(Arc::clone(&active.file));
        if self.unsynced.len() > UNSYNCED_SEGMENTS_MAX {
            let oldest = self.unsynced.remove(0);
            oldest.sync().map_err(|error| self.poison(&error))?;
        }
        let trailer = Trailer {
            footer_at: active.end,
            footer_bytes: u32::try_from(bytes.len() - crate::segment::TRAILER_BYTES).unwrap_or(0),
            footer_sum: crc32c::crc32c(
                bytes
                    .get(..bytes.len() - crate::segment::TRAILER_BYTES)
                    .unwrap_or_default(),
            ),
            records: active.tally.records,
            last,
            covers_to,
        };
        self.sealed.push_back(Sealed {
            id: active.id,
            covers_to,
            records: active.tally.records,
            data_end: active.end,
            size_bytes,
            salt: active.salt,
            footer: FooterAt::Disk(trailer),
        });
        Ok(())
    }

    fn create_segment(&mut self, base: u64, bytes: u64) -> Result<Active, AppendError> {
        let size = match self.config.preallocation {
            Preallocation::Whole => self.config.segment_bytes.max(HEADER_BYTES + bytes),
            Preallocation::None => HEADER_BYTES + bytes,
        };
        let wanted = size.saturating_add(self.config.reserve_bytes);
        let name = file_name(&self.config.name, base);
        match self.files.free_bytes() {
            Ok(free) if free < wanted => return Err(AppendError::Full),
            Ok(_) => {}
            Err(error) => return Err(self.poison(&error)),
        }
        let salt = self.config.salt;
        let create = || {
            let file = self.files.create(&name)?;
            if self.config.preallocation == Preallocation::Whole {
                file.preallocate(size)?;
            }
            file.write_at(&Header { salt, base }.encode(), 0)?;
            Ok(file)
        };
        match create() {
            Ok(file) => {
                self.names_changed = true;
                self.generations += 1;
                let generation = self.generations;
                Ok(Active {
                    id: SegmentId { base, generation },
                    file,
                    salt,
                    end: HEADER_BYTES,
                    tally: Tally::new((self.config.digest)()),
                    dirty: true,
                })
            }
            Err(error) if is_full(&error) => {
                // What is left of it would be in the way of nothing but the space; opening removes it too.
                drop(self.files.remove(&name));
                Err(AppendError::Full)
            }
            Err(error) => Err(self.poison(&error)),
        }
    }

    /// What has to be synced for all that is written by now to be durable; `None` if nothing has, or while an earlier
    /// job is out: then this is the group that goes next.
    pub fn start_sync(&mut self) -> Option<SyncJob> {
        if self.syncing || self.poison.is_some() || !self.needs_sync() {
            return None;
        }
        self.syncing = true;
        let mut files = std::mem::take(&mut self.unsynced);
        if let Some(active) = self.active.as_mut().filter(|active| active.dirty) {
            active.dirty = false;
            files.push(Arc::clone(&active.file));
        }
        let names = std::mem::take(&mut self.names_changed).then(|| Arc::clone(&self.files));
        Some(SyncJob {
            files,
            names,
            upto: self.written,
        })
    }

    /// Takes a job's outcome.
    ///
    /// # Errors
    /// The sync failed: the log is poisoned for good, and nothing that was written since the last successful sync may be
    /// called durable.
    pub fn finish_sync(&mut self, done: SyncDone) -> Result<(), AppendError> {
        self.syncing = false;
        match done.outcome {
            Ok(()) => {
                self.synced = self.synced.max(done.upto);
                self.check_poison()
            }
            Err(error) => Err(self.poison(&error)),
        }
    }

    /// Syncs on this thread.
    ///
    /// # Errors
    /// As [`Log::finish_sync`].
    pub fn sync(&mut self) -> Result<(), AppendError> {
        match self.start_sync() {
            Some(job) => self.finish_sync(job.run()),
            None => self.check_poison(),
        }
    }

    /// Forgets whole sealed segments that have no record from `seq` on; returns how many bytes that frees.
    ///
    /// # Errors
    /// A file could not be removed; those before it are.
    pub fn trim(&mut self, seq: u64) -> io::Result<u64> {
        let mut freed = 0;
        while let Some(first) = self.sealed.front().filter(|first| first.covers_to <= seq) {
            self.files
                .remove(&file_name(&self.config.name, first.id.base))?;
            freed += first.size_bytes;
            self.sealed.pop_front();
        }
        self.forget_gone();
        Ok(freed)
    }

    /// The lowest sequence number that the next record may have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// Makes sure that no record gets a sequence number below.
    pub fn raise_next_seq(&mut self, seq: u64) {
        self.next = self.next.max(seq);
    }

    /// All records with lower sequence numbers are durable.
    #[must_use]
    pub fn synced_to(&self) -> u64 {
        self.synced
    }

    /// All records with lower sequence numbers are written.
    #[must_use]
    pub fn written_to(&self) -> u64 {
        self.written
    }

    /// Bytes of the batch that is not written yet.
    #[must_use]
    pub fn batch_bytes(&self) -> usize {
        self.batch.len()
    }

    /// Whether something written is not durable yet and no job is out for it.
    #[must_use]
    pub fn needs_sync(&self) -> bool {
        let active = self.active.as_ref().is_some_and(|active| active.dirty);
        active || self.names_changed || !self.unsynced.is_empty()
    }

    /// The first failure, if the log is poisoned.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.poison.as_deref()
    }

    /// The sealed segments, oldest first.
    pub fn sealed(&self) -> impl DoubleEndedIterator<Item = SegmentInfo> + '_ {
        self.sealed.iter().map(|sealed| SegmentInfo {
            id: sealed.id,
            covers_to: sealed.covers_to,
            size_bytes: sealed.size_bytes,
            records: sealed.records,
        })
    }

    /// The segment that grows, if there is one.
    #[must_use]
    pub fn active(&self) -> Option<SegmentInfo> {
        self.active.as_ref().map(|active| SegmentInfo {
            id: active.id,
            covers_to: u64::MAX,
            size_bytes: active.end,
            records: active.tally.records,
        })
    }

    /// The digest of the segment that grows, if there is one.
    #[must_use]
    pub fn active_digest(&self) -> Option<&dyn Digest> {
        self.active.as_ref().map(|active| &*active.tally.digest)
    }

    /// The name of a segment's file.
    #[must_use]
    pub fn file_name(&self, id: SegmentId) -> String {
        file_name(&self.config.name, id.base)
    }

    /// The digest of a segment; `None` if the log has no such segment any more.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn digest(&self, id: SegmentId) -> io::Result<Option<Vec<u8>>> {
        if let Some(active) = self.active.as_ref().filter(|active| active.id == id) {
            return Ok(Some(active.tally.digest.bytes()));
        }
        let Some(sealed) = self.sealed.iter().find(|sealed| sealed.id == id) else {
            return Ok(None);
        };
        let digest = self.digest_of(sealed)?;
        digest.part(0, digest.size_bytes()).map(Some)
    }

    /// A way to read parts of a sealed segment's digest; `None` if the log has no such segment any more.
    ///
    /// # Errors
    /// The file could not be read.
    pub fn digest_reader(&self, id: SegmentId) -> io::Result<Option<DigestReader>> {
        let sealed = self.sealed.iter().find(|sealed| sealed.id == id);
        sealed.map(|sealed| self.digest_of(sealed)).transpose()
    }

    fn digest_of(&self, sealed: &Sealed) -> io::Result<DigestReader> {
        let name = file_name(&self.config.name, sealed.id.base);
        self.known(sealed)?.digest(|| self.files.open(&name))
    }

    /// What a sealed segment's footer says: remembered, from the file, or, if that one is damaged, made by reading the records.
    pub(crate) fn known(&self, sealed: &Sealed) -> io::Result<Arc<Known>> {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&sealed.id) {
            return Ok(Arc::clone(known));
        }
        let known = Arc::new(self.read_footer(sealed)?);
        all.insert(sealed.id, Arc::clone(&known));
        if all.len() > KNOWN_MAX {
            all.pop_first();
        }
        Ok(known)
    }

    fn read_footer(&self, sealed: &Sealed) -> io::Result<Known> {
        let trailer = match &sealed.footer {
            FooterAt::Memory(footer) => return Ok(Known::in_memory(footer)),
            FooterAt::Disk(trailer) => trailer,
        };
        let name = file_name(&self.config.name, sealed.id.base);
        let file = self.files.open(&name)?;
        if let Some(footer) = Footer::read(&*file, trailer)? {
            return Ok(Known::on_disk(footer, trailer));
        }
        let mut tally = Tally::new((self.config.digest)());
        let end = sealed.data_end;
        scan(file, sealed.salt, end, sealed.id.base, &mut tally)?;
        Ok(Known::in_memory(&Footer {
            index: tally.index,
            digest: tally.digest.bytes(),
        }))
    }

    /// What is remembered of segments that are no more is forgotten.
    pub(crate) fn forget_gone(&self) {
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|id, _| self.sealed.iter().any(|sealed| sealed.id == *id));
    }

    pub(crate) fn mark_all_written(&mut self) {
        self.written = self.next;
    }

    fn check_poison(&self) -> Result<(), AppendError> {
        match &self.poison {
            Some(why) => Err(AppendError::Poisoned(why.clone())),
            None => Ok(()),
        }
    }

    fn poison(&mut self, error: &io::Error) -> AppendError {
        let why = self.poison.get_or_insert_with(|| error.to_string().into());
        AppendError::Poisoned(why.clone())
    }
}

/// Reads a file's records into a tally; returns where the last sound one ends, and the damage before it as stretches.
pub(crate) fn scan(
    file: Arc<dyn File>,
    salt: u32,
    end: u64,
    least: u64,
    tally: &mut Tally,
) -> io::Result<(u64, Vec<(u64, u64)>)> {
    let mut reader = RecordReader::new(file, salt, HEADER_BYTES, least);
    let mut damage = Vec::new();
    loop {
        match reader.next(end, u64::MAX)? {
            Next::Record { seq, at, body } => tally.add(seq, at, reader.body(body)),
            Next::Damaged { from, to } => damage.push((from, to)),
            Next::End { at } => return Ok((at, damage)),
        }
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
