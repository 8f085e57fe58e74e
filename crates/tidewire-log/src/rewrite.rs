//! Rewriting sealed segments without the records that nobody wants any more. Sequence numbers stay.

use crate::cursor::Cursor;
use crate::files::File;
use crate::log::{FooterAt, Log, Sealed, SegmentId};
use crate::segment::{Trailer, file_name};
use crate::writer::RecordFileWriter;
use std::io;
use std::sync::Arc;

/// Whether a rewrite keeps a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// It stays.
    Yes,
    /// It goes.
    No,
}

/// How far a rewrite is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// There is more to do.
    More,
    /// All is written: sync [`Rewrite::file`], then give it to [`Log::finish_rewrite`].
    Written,
}

/// A run of neighbouring sealed segments on its way to become one.
#[derive(Debug)]
pub struct Rewrite {
    /// What it replaces, in order.
    replaces: Vec<SegmentId>,
    covers_to: u64,
    cursor: Cursor,
    writer: RecordFileWriter,
    temporary: String,
}

impl Log {
    /// Begins to rewrite `count` sealed segments from `first` on into one; `None` if there are no such segments.
    ///
    /// # Errors
    /// As the file layer says; nothing has changed.
    pub fn begin_rewrite(&self, first: SegmentId, count: usize) -> io::Result<Option<Rewrite>> {
        let Some(start) = self.sealed.iter().position(|sealed| sealed.id == first) else {
            return Ok(None);
        };
        let run = || self.sealed.iter().skip(start).take(count.max(1));
        let (Some(first), Some(last)) = (run().next(), run().next_back()) else {
            return Ok(None);
        };
        let temporary = format!("{}-{:016x}.tmp", self.config.name, first.id.base);
        let digest = (self.config.digest)();
        let base = first.id.base;
        let writer = RecordFileWriter::with_digest(
            &*self.files,
            &temporary,
            self.config.salt,
            base,
            digest,
        )?;
        Ok(Some(Rewrite {
            replaces: run().map(|sealed| sealed.id).collect(),
            covers_to: last.covers_to,
            cursor: Cursor::new(base),
            writer,
            temporary,
        }))
    }

    /// Puts the rewritten file in place of what it replaces. Must come after a sync of the file. A crash at any point
    /// leaves the old or the new.
    ///
    /// # Errors
    /// As the file layer says; the log is as before, or as after.
    pub fn finish_rewrite(&mut self, rewrite: &Rewrite) -> io::Result<()> {
        let present = |id: &SegmentId| self.sealed.iter().any(|sealed| sealed.id == *id);
        if !rewrite.replaces.iter().all(present) {
            // Trimmed meanwhile: what it would bring back is not wanted.
            return self.files.remove(&rewrite.temporary);
        }
        let base = rewrite.writer.base();
        let name = file_name(&self.config.name, base);
        self.files.rename(&rewrite.temporary, &name)?;
        self.files.sync_dir()?;
        self.replace(rewrite)?;
        let rest = rewrite.replaces.iter().skip(1);
        rest.map(|id| file_name(&self.config.name, id.base))
            .try_for_each(|name| self.files.remove(&name))
    }

    /// Gives up a rewrite.
    ///
    /// # Errors
    /// As the file layer says.
    pub fn abandon_rewrite(&self, rewrite: &Rewrite) -> io::Result<()> {
        self.files.remove(&rewrite.temporary)
    }

    fn replace(&mut self, rewrite: &Rewrite) -> io::Result<()> {
        let file = rewrite.writer.file();
        let Some(trailer) = Trailer::read(&*file)? else {
            return Err(io::Error::other("the rewritten segment has no trailer"));
        };
        self.generations += 1;
        let sealed = Sealed {
            id: SegmentId {
                base: rewrite.writer.base(),
                generation: self.generations,
            },
            covers_to: rewrite.covers_to,
            records: rewrite.writer.records(),
            data_end: trailer.footer_at,
            size_bytes: rewrite.writer.size_bytes(),
            salt: rewrite.writer.salt(),
            footer: FooterAt::Disk(trailer),
        };
        self.sealed
            .retain(|old| !rewrite.replaces.contains(&old.id));
        let at = self
            .sealed
            .partition_point(|other| other.id.base < sealed.id.base);
        self.sealed.insert(at, sealed);
        self.forget_gone();
        Ok(())
    }
}

impl Rewrite {
    /// Copies about so many bytes of records, those that `keep` wants.
    ///
    /// # Errors
    /// As the file layer says; abandon it then.
    pub fn step(
        &mut self,
        log: &Log,
        bytes: u64,
        keep: &mut dyn FnMut(u64, &[u8]) -> Keep,
    ) -> io::Result<Step> {
        let mut left = bytes;
        while left > 0 {
            let record = if self.cursor.next_seq() < self.covers_to {
                self.cursor.next(log)?
            } else {
                None
            };
            let Some(record) = record.filter(|record| record.seq < self.covers_to) else {
                self.writer.finish(self.covers_to, None)?;
                return Ok(Step::Written);
            };
            left = left.saturating_sub(record.body.len() as u64 + 20);
            if keep(record.seq, record.body) == Keep::Yes {
                let body = record.body;
                self.writer
                    .push(record.seq, |into| into.extend_from_slice(body))?;
            }
        }
        Ok(Step::More)
    }

    /// The new file, to be synced.
    #[must_use]
    pub fn file(&self) -> Arc<dyn File> {
        self.writer.file()
    }

    /// The segments that it replaces.
    #[must_use]
    pub fn replaces(&self) -> &[SegmentId] {
        &self.replaces
    }
}
