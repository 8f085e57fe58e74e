//! A backup beside the running work: a copy of the files as they are at one moment.
//!
//! Logs only grow at their ends, and nothing is trimmed or rewritten while a backup runs, so copying each file up to the
//! length that it had at the beginning gives what a crash at that moment would have left.

use super::stamp::{Found, STAMP_NAMES, Stamp};
use super::{DurableEngine, Job};
use crate::engine::{Completion, PortId};
use crate::names::Ticket;
use crate::request::Answer;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use tidewire_log::{File, Files, read_up_to};

/// Bytes that one piece of work copies.
const PIECE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Backup {
    port: PortId,
    ticket: Ticket,
    to: Arc<dyn Files>,
    /// Names and lengths, still to be copied.
    left: VecDeque<(String, u64)>,
    copy: Option<Copying>,
    copied: u64,
}

#[derive(Debug)]
struct Copying {
    from: Arc<dyn File>,
    to: Arc<dyn File>,
    at: u64,
    end: u64,
}

impl DurableEngine {
    pub(super) fn begin_backup(&self, port: PortId, ticket: Ticket, to: Arc<dyn Files>) -> Backup {
        let mut left = VecDeque::new();
        if let Some(name) = self.checkpoint_name() {
            left.push_back((name, u64::MAX));
        }
        for shard in &self.shards {
            for segment in shard.log.sealed().chain(shard.log.active()) {
                left.push_back((shard.log.file_name(segment.id), segment.size_bytes));
            }
        }
        // Last, so that a directory with a stamp is a whole backup.
        left.extend(STAMP_NAMES.map(|name| (name.to_owned(), u64::MAX)));
        Backup {
            port,
            ticket,
            to,
            left,
            copy: None,
            copied: 0,
        }
    }

    pub(super) fn work_on_backup(&mut self, mut job: Box<Backup>) {
        let outcome = match job.step(&*self.files) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => {
                self.job = Job::Backup(job);
                return;
            }
            Err(error) => Err(error.to_string().into()),
        };
        self.outbox.push(Completion {
            port: job.port,
            ticket: job.ticket,
            answer: Answer::BackedUp(outcome),
        });
    }
}

impl Backup {
    /// One piece; `Some` when all is copied.
    fn step(&mut self, from: &dyn Files) -> io::Result<Option<u64>> {
        if let Some(copy) = &mut self.copy {
            let bytes = copy.piece()?;
            self.copied += bytes;
            if bytes == 0 {
                copy.to.sync()?;
                self.copy = None;
            }
            return Ok(None);
        }
        if self.copied == 0 && is_store(&*self.to)? {
            return Err(io::Error::other("there is a store in that directory"));
        }
        match self.left.pop_front() {
            Some((name, end)) => {
                self.copy = Some(Copying {
                    from: from.open(&name)?,
                    to: self.to.create(&name)?,
                    at: 0,
                    end,
                });
                Ok(None)
            }
            None => {
                self.to.sync_dir()?;
                Ok(Some(self.copied))
            }
        }
    }
}

impl Copying {
    fn piece(&mut self) -> io::Result<u64> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let mut bytes = vec![0; PIECE_BYTES.min(left)];
        let read = read_up_to(&*self.from, &mut bytes, self.at)?;
        self.to
            .write_at(bytes.get(..read).unwrap_or_default(), self.at)?;
        self.at += read as u64;
        Ok(read as u64)
    }
}

/// Whether the directory has a store.
pub(crate) fn is_store(files: &dyn Files) -> io::Result<bool> {
    Ok(!matches!(Stamp::read(files)?, Found::Nothing))
}
