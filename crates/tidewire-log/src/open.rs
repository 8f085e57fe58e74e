//! Opening a log: it always starts, cuts a torn tail, and tells what it lost.

use crate::digest::Tally;
use crate::files::{File, Files, read_up_to};
use crate::log::{
    Active, FooterAt, Log, LogConfig, Preallocation, Sealed, SegmentId, UNSYNCED_SEGMENTS_MAX, scan,
};
use crate::report::{Damage, OpenError, OpenReport};
use crate::segment::{
    Footer, HEADER_BYTES, Header, HeaderError, TRAILER_BYTES, Trailer, base_in_name, file_name,
};
use std::io;
use std::sync::Arc;

/// A segment's file before it is known what of it can be used.
struct Found {
    base: u64,
    name: String,
    /// `None`: the header is damaged.
    salt: Option<u32>,
    trailer: Option<Trailer>,
}

impl Log {
    /// Opens the log of that name, which may have no files yet. Nothing is written but the cut of a torn tail. What was
    /// recovered may be in the system's cache only: [`Log::sync`] before anybody is told of it.
    ///
    /// # Errors
    /// A segment is of another version, or the file layer failed. Damage is no error: see [`OpenReport`].
    pub fn open(files: Arc<dyn Files>, config: LogConfig) -> Result<(Self, OpenReport), OpenError> {
        let found = find_segments(&*files, &config.name)?;
        let mut log = Self::empty(files, config);
        let mut report = OpenReport::default();
        log.remove_temporary(&mut report)?;
        // Another segment's salt serves one whose header is damaged.
        let known_salt = found.iter().rev().find_map(|segment| segment.salt);
        log.config.salt = known_salt.unwrap_or(log.config.salt);
        let last_base = found.last().map(|segment| segment.base);
        let mut cuts = Vec::new();
        for segment in found {
            let covered = log.sealed.back().map_or(0, |sealed| sealed.covers_to);
            if segment.base < covered {
                log.files.remove(&segment.name)?;
                report.leftovers.push(segment.name);
                continue;
            }
            let Some(salt) = segment.salt.or(known_salt) else {
                log.set_aside_unreadable(segment, &mut report)?;
                continue;
            };
            let is_last = Some(segment.base) == last_base;
            match segment.trailer {
                Some(trailer) => log.adopt_sealed(&segment, salt, trailer, &mut report),
                None if is_last => log.adopt_active(&segment, salt, &mut report)?,
                None => {
                    let cut = log.adopt_unindexed(&segment, salt, &mut report)?;
                    cuts.extend(cut.map(|damage| (segment.base, damage)));
                }
            }
        }
        log.judge_cuts(cuts, &mut report);
        log.close_gaps();
        log.queue_recent_for_sync()?;
        log.mark_all_written();
        report.segments = log.sealed.len() + usize::from(log.active.is_some());
        Ok((log, report))
    }

    fn remove_temporary(&self, report: &mut OpenReport) -> io::Result<()> {
        let prefix = format!("{}-", self.config.name);
        for name in self.files.list()? {
            if name.starts_with(&prefix) && name.ends_with(".tmp") {
                self.files.remove(&name)?;
                report.leftovers.push(name);
            }
        }
        Ok(())
    }

    fn next_id(&mut self, base: u64) -> SegmentId {
        self.generations += 1;
        SegmentId {
            base,
            generation: self.generations,
        }
    }

    fn adopt_sealed(
        &mut self,
        found: &Found,
        salt: u32,
        trailer: Trailer,
        report: &mut OpenReport,
    ) {
        if found.salt.is_none() {
            report.damage.push(Damage {
                file: found.name.clone(),
                from: 0,
                to: HEADER_BYTES,
                after: None,
            });
        }
        let id = self.next_id(found.base);
        self.next = self.next.max(trailer.covers_to);
        self.sealed.push_back(Sealed {
            id,
            covers_to: trailer.covers_to,
            records: trailer.records,
            data_end: trailer.footer_at,
            size_bytes: trailer.footer_at + u64::from(trailer.footer_bytes) + TRAILER_BYTES as u64,
            salt,
            footer: FooterAt::Disk(trailer),
        });
    }

    /// A segment that is not the last has no sound trailer: its records are read. Returns what is missing, if it was cut:
    /// also when it ends behind a record, as it was sealed once.
    fn adopt_unindexed(
        &mut self,
        found: &Found,
        salt: u32,
        report: &mut OpenReport,
    ) -> io::Result<Option<Damage>> {
        let file = self.files.open(&found.name)?;
        let (tally, end, size) = self.scan_found(found, &file, salt, report)?;
        let mut cut = None;
        if !is_footer_of(&*file, end, size, &tally)? {
            cut = Some(Damage {
                file: found.name.clone(),
                from: end,
                to: end + garbage_bytes(&*file, end, size)?,
                after: tally.last,
            });
        }
        report.reindexed.push(found.name.clone());
        self.push_unindexed(found, salt, tally, (end, size));
        Ok(cut)
    }

    fn push_unindexed(&mut self, found: &Found, salt: u32, tally: Tally, (end, size): (u64, u64)) {
        let id = self.next_id(found.base);
        let next = tally.last.map_or(found.base, |last| last.saturating_add(1));
        self.next = self.next.max(next);
        self.sealed.push_back(Sealed {
            id,
            covers_to: next,
            records: tally.records,
            data_end: end,
            size_bytes: size,
            salt,
            footer: FooterAt::Memory(Arc::new(Footer {
                digest: tally.digest.bytes(),
                index: tally.index,
            })),
        });
    }

    /// The last segment: what is behind its last sound record was never synced, and goes.
    fn adopt_active(
        &mut self,
        found: &Found,
        salt: u32,
        report: &mut OpenReport,
    ) -> io::Result<()> {
        let file = self.files.open(&found.name)?;
        let (tally, end, size) = self.scan_found(found, &file, salt, report)?;
        if !is_footer_of(&*file, end, size, &tally)? {
            report.torn_bytes += garbage_bytes(&*file, end, size)?;
        }
        let id = self.next_id(found.base);
        let next = tally.last.map_or(found.base, |last| last.saturating_add(1));
        self.next = self.next.max(next);
        if found.salt.is_none() {
            let base = found.base;
            file.write_at(&Header { salt, base }.encode(), 0)?;
        }
        file.set_size(end)?;
        if self.config.preallocation == Preallocation::Whole {
            // A full disk shows when it is written to.
            drop(file.preallocate(self.config.segment_bytes));
        }
        self.active = Some(Active {
            id,
            file,
            salt,
            end,
            tally,
            dirty: true,
        });
        Ok(())
    }

    /// No header, and no other segment to learn the salt from: nothing in it can be told from noise.
    fn set_aside_unreadable(&mut self, found: Found, report: &mut OpenReport) -> io::Result<()> {
        let file = self.files.open(&found.name)?;
        let size = file.size_bytes()?;
        if garbage_bytes(&*file, 0, size)? <= HEADER_BYTES {
            // It was just being created.
            self.files.remove(&found.name)?;
            report.torn_bytes += size.min(HEADER_BYTES);
            report.leftovers.push(found.name);
        } else {
            let aside = format!("{}.bad", found.name);
            self.files.rename(&found.name, &aside)?;
            report.set_aside.push(aside);
        }
        self.next = self.next.max(found.base);
        Ok(())
    }

    fn scan_found(
        &self,
        found: &Found,
        file: &Arc<dyn File>,
        salt: u32,
        report: &mut OpenReport,
    ) -> io::Result<(Tally, u64, u64)> {
        let mut tally = Tally::new((self.config.digest)());
        let size = file.size_bytes()?;
        let (end, damage) = scan(Arc::clone(file), salt, size, found.base, &mut tally)?;
        report
            .damage
            .extend(damage.into_iter().map(|(from, to)| Damage {
                file: found.name.clone(),
                from,
                to,
                after: None,
            }));
        Ok((tally, end.max(HEADER_BYTES), size))
    }

    /// A segment is synced before a later one: if a later one has records, what is missing was synced once.
    fn judge_cuts(&self, cuts: Vec<(u64, Damage)>, report: &mut OpenReport) {
        for (base, damage) in cuts {
            let sealed = self
                .sealed
                .iter()
                .map(|sealed| (sealed.id.base, sealed.records));
            let active = self
                .active
                .iter()
                .map(|active| (active.id.base, active.tally.records));
            if sealed
                .chain(active)
                .any(|(other, records)| other > base && records > 0)
            {
                report.damage.push(damage);
            } else {
                report.torn_bytes += damage.to - damage.from;
            }
        }
    }

    /// A process that was killed may have left writes that only the system's cache has.
    fn queue_recent_for_sync(&mut self) -> io::Result<()> {
        let recent = self
            .sealed
            .iter()
            .rev()
            .take(UNSYNCED_SEGMENTS_MAX + 1)
            .rev();
        let names: Vec<String> = recent.map(|sealed| self.file_name(sealed.id)).collect();
        for name in names {
            let file = self.files.open(&name)?;
            self.unsynced.push(file);
        }
        self.names_changed = true;
        Ok(())
    }

    /// A segment whose footer is lost covers all up to its successor.
    fn close_gaps(&mut self) {
        let mut next = self
            .active
            .as_ref()
            .map_or(self.next, |active| active.id.base);
        for sealed in self.sealed.iter_mut().rev() {
            if matches!(sealed.footer, FooterAt::Memory(_)) {
                sealed.covers_to = next;
            }
            next = sealed.id.base;
        }
    }
}

/// Whether every segment of a log can be read by this build; changes nothing.
///
/// # Errors
/// A segment is of another version, or the file layer failed.
pub fn check_version(files: &dyn Files, log: &str) -> Result<(), OpenError> {
    find_segments(files, log).map(drop)
}

fn find_segments(files: &dyn Files, log: &str) -> Result<Vec<Found>, OpenError> {
    let mut bases: Vec<u64> = files
        .list()?
        .iter()
        .filter_map(|name| base_in_name(log, name))
        .collect();
    bases.sort_unstable();
    let mut found = Vec::with_capacity(bases.len());
    for base in bases {
        let name = file_name(log, base);
        let file = files.open(&name)?;
        let salt = match Header::read(&*file) {
            Ok(header) => Some(header.salt),
            Err(HeaderError::Damaged) => None,
            Err(HeaderError::Version(found)) => {
                return Err(OpenError::Version { file: name, found });
            }
            Err(HeaderError::Io(error)) => return Err(error.into()),
        };
        let trailer = Trailer::read(&*file)?;
        found.push(Found {
            base,
            name,
            salt,
            trailer,
        });
    }
    Ok(found)
}

/// Whether what follows the records is a footer of just these, whose trailer is damaged: then nothing is lost.
fn is_footer_of(file: &dyn File, end: u64, size: u64, tally: &Tally) -> io::Result<bool> {
    let length = size
        .saturating_sub(end)
        .saturating_sub(TRAILER_BYTES as u64);
    let index_bytes = 4 + 16 * tally.index.len() as u64;
    if length < index_bytes || tally.records == 0 {
        return Ok(false);
    }
    let mut bytes = vec![0; usize::try_from(index_bytes).unwrap_or(usize::MAX)];
    read_up_to(file, &mut bytes, end)?;
    Ok(Footer::decode(&bytes).is_some_and(|footer| footer.index == tally.index))
}

/// How many bytes from `from` on there are up to the last that is not zero.
fn garbage_bytes(file: &dyn File, from: u64, size: u64) -> io::Result<u64> {
    let mut chunk = vec![0; 64 * 1024];
    let (mut at, mut garbage) = (from, 0);
    while at < size {
        let read = read_up_to(file, &mut chunk, at)?;
        if read == 0 {
            break;
        }
        let bytes = chunk.get(..read).unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            garbage = at + last as u64 + 1 - from;
        }
        at += read as u64;
    }
    Ok(garbage)
}
