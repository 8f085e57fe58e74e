//! What an operator does with a store's files: check, repair, back up, restore.

use crate::durable::{
    Config, DurableEngine, Found, OpenError, OpenReport, STAMP_NAMES, Stamp, is_store,
};
use crate::engine::{Engine, Progress};
use crate::group::appended;
use std::fmt;
use std::io;
use std::sync::Arc;
use tidewire_log::{Damage, File, Files, RecordFile, checksum, read_up_to};

/// What a check found. Nothing was changed.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CheckReport {
    /// Shards, by the stamp; `None` = both stamps are gone.
    pub shards: Option<u16>,
    /// Segments and checkpoints, by name.
    pub files: Vec<FileReport>,
}

/// What a check found in one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// Its length.
    pub size_bytes: u64,
    /// Sound records in it.
    pub records: u64,
    /// Messages in those.
    pub messages: u64,
    /// Stretches without a sound record.
    pub damage: Vec<Damage>,
    /// Whether it is complete.
    pub state: FileState,
}

/// Whether a file is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileState {
    /// It is.
    Sealed,
    /// It has no end: a log's last segment while it grows; else it was cut.
    Open,
    /// Its header is damaged, or of another version.
    Unreadable,
}

impl CheckReport {
    /// Whether nothing is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.shards.is_some() && self.files.iter().all(FileReport::is_sound)
    }
}

impl FileReport {
    /// Whether nothing in it is damaged.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.state != FileState::Unreadable
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shards {
            Some(shards) => writeln!(f, "{shards} shards")?,
            None => writeln!(f, "damaged: both stamps (STORE, STORE.copy) are gone")?,
        }
        for file in &self.files {
            let FileReport {
                name,
                size_bytes,
                records,
                messages,
                ..
            } = file;
            let state = match file.state {
                FileState::Sealed => "sealed",
                FileState::Open => "open",
                FileState::Unreadable => "unreadable",
            };
            writeln!(
                f,
                "{name}: {state}, {size_bytes} bytes, {records} records, {messages} messages"
            )?;
            file.damage
                .iter()
                .try_for_each(|damage| writeln!(f, "  damaged: {damage}"))?;
        }
        Ok(())
    }
}

/// Reads every record of a store, also of one that is in use: then the ends of growing files may look torn.
///
/// # Errors
/// Another version of the layout, or the file layer failed.
pub fn check(files: &dyn Files) -> Result<CheckReport, OpenError> {
    let shards = match Stamp::read(files)? {
        Found::Stamp(stamp) => Some(stamp.shards),
        Found::Version(found) => return Err(OpenError::Version { found }),
        Found::Nothing | Found::Damaged => None,
    };
    let mut names = files.list()?;
    names.retain(|name| is_data(name));
    names.sort_unstable();
    let mut report = CheckReport {
        shards,
        files: Vec::new(),
    };
    for name in names {
        match check_file(files, name) {
            Ok(file) => report.files.push(file),
            // Trimmed or replaced while it was looked at.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(report)
}

/// Mends what can be mended: stamps, indexes, segments and checkpoint without their damaged stretches. A file that has
/// damage is first copied aside, with `.bad` behind its name. `shards` is needed only when both stamps are gone.
///
/// # Errors
/// As [`DurableEngine::open`], or the file layer failed.
pub fn repair(
    files: &Arc<dyn Files>,
    config: Config,
    shards: Option<u16>,
) -> Result<(CheckReport, OpenReport), OpenError> {
    let before = check(&**files)?;
    if let (None, Some(shards)) = (before.shards, shards) {
        let salt = checksum(&config.seed.to_le_bytes());
        Stamp { shards, salt }.write(&**files)?;
    }
    for file in before.files.iter().filter(|file| !file.damage.is_empty()) {
        let aside = format!("{}.bad", file.name);
        copy(&**files, &file.name, &**files, &aside)?;
    }
    let (mut engine, report) = DurableEngine::open(Arc::clone(files), config)?;
    let mended = before.files.iter().filter(|file| {
        !file.damage.is_empty()
            || (file.state == FileState::Open && report.reindexed.contains(&file.name))
    });
    for file in mended {
        engine.mend_segment(&file.name)?;
    }
    engine.request_checkpoint();
    run_maintenance(&mut engine);
    Ok((before, report))
}

/// Copies a store that is not in use into an empty directory. One that is in use has [`Request::Backup`](crate::Request).
///
/// # Errors
/// There is no store, it is in use, there is one at the other end, or the file layer failed.
pub fn backup(from: &dyn Files, to: &dyn Files) -> Result<u64, OpenError> {
    let _lock = from.lock("LOCK").map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked,
        _ => OpenError::Io(error),
    })?;
    copy_store(from, to)
}

/// Checks a backup and copies it to an empty directory, from where it can be opened.
///
/// # Errors
/// As [`check`]; there is a store already, or the backup is not sound: then nothing was copied.
pub fn restore(from: &dyn Files, to: &dyn Files) -> Result<CheckReport, OpenError> {
    let report = check(from)?;
    if !report.is_sound() {
        let why = format!("the backup is damaged; nothing was restored\n{report}");
        return Err(OpenError::Io(io::Error::other(why)));
    }
    copy_store(from, to)?;
    Ok(report)
}

fn copy_store(from: &dyn Files, to: &dyn Files) -> Result<u64, OpenError> {
    // Files without a stamp are what an interrupted copy left, or all that is left of a store.
    if is_store(to)? || to.list()?.iter().any(|name| is_data(name)) {
        return Err(OpenError::Io(io::Error::other(
            "there is a store in that directory",
        )));
    }
    if !is_store(from)? {
        return Err(OpenError::NoStamp);
    }
    let mut names = from.list()?;
    names.retain(|name| is_data(name));
    names.sort_unstable();
    // The stamps last, so that a directory with a stamp is a whole store.
    let stamps = STAMP_NAMES.map(str::to_owned);
    let stamps = stamps.into_iter().filter(|name| from.open(name).is_ok());
    let mut copied = 0;
    for name in names.into_iter().chain(stamps) {
        copied += copy(from, &name, to, &name)?;
    }
    to.sync_dir()?;
    Ok(copied)
}

fn is_data(name: &str) -> bool {
    name.ends_with(".seg") || name.ends_with(".snap")
}

fn check_file(files: &dyn Files, name: String) -> io::Result<FileReport> {
    let size_bytes = files.open(&name)?.size_bytes()?;
    let mut report = FileReport {
        size_bytes,
        records: 0,
        messages: 0,
        damage: Vec::new(),
        state: FileState::Unreadable,
        name,
    };
    let Some(mut file) = RecordFile::open(files, &report.name)? else {
        return Ok(report);
    };
    let is_log = report.name.ends_with(".seg");
    let mut end = 0;
    while let Some(record) = file.next_record()? {
        report.records += 1;
        end = record.at;
        if is_log {
            report.messages += appended(record.body).count() as u64;
        }
    }
    report.damage = file.damage().to_vec();
    report.state = if file.is_sealed() {
        FileState::Sealed
    } else {
        // What is behind the last record of a growing file is space, or was never synced.
        report.damage.retain(|damage| damage.from <= end);
        FileState::Open
    };
    Ok(report)
}

fn copy(from: &dyn Files, name: &str, to: &dyn Files, new_name: &str) -> io::Result<u64> {
    let (source, target): (Arc<dyn File>, Arc<dyn File>) = (from.open(name)?, to.create(new_name)?);
    let mut chunk = vec![0; 1 << 20];
    let mut at = 0;
    loop {
        let read = read_up_to(&*source, &mut chunk, at)?;
        if read == 0 {
            target.sync()?;
            return Ok(at);
        }
        target.write_at(chunk.get(..read).unwrap_or_default(), at)?;
        at += read as u64;
    }
}

fn run_maintenance(engine: &mut DurableEngine) {
    loop {
        let progress = engine.maintain(0);
        let mut synced = Progress::Idle;
        while let Some(sync) = engine.take_sync() {
            engine.synced(sync.run());
            synced = Progress::More;
        }
        if progress == Progress::Idle && synced == Progress::Idle {
            return;
        }
    }
}
