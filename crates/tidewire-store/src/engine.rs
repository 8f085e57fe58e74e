//! What an engine is: a value that is driven step by step, by one thread or by a simulator.

use crate::names::Ticket;
use crate::request::{Answer, Request};
use std::fmt;
use std::sync::Arc;
use tidewire_log::File;

/// Who submitted: chosen by the driver, given back with the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PortId(pub u32);

/// One answer on its way.
#[derive(Clone, PartialEq, Debug)]
pub struct Completion {
    /// Who asked.
    pub port: PortId,
    /// What for.
    pub ticket: Ticket,
    /// The answer.
    pub answer: Answer,
}

/// Whether there is more to do at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Call again soon.
    More,
    /// Nothing until something is submitted or synced.
    Idle,
}

/// A storage engine.
///
/// The turn of its driver: [`submit`](Engine::submit) what came, [`step`](Engine::step), run every
/// [`take_sync`](Engine::take_sync) (here, or on other threads while this one goes on) and give it back with
/// [`synced`](Engine::synced), [`take_completions`](Engine::take_completions); and [`maintain`](Engine::maintain) when there is
/// time, at the least once a turn while it says [`Progress::More`].
///
/// Groups of one port, shard and durability that are stored are answered in the order of submission.
pub trait Engine: Send + fmt::Debug {
    /// How many shards there are.
    fn shards(&self) -> u16;

    /// Takes a request, to be dealt with in the next step.
    fn submit(&mut self, port: PortId, ticket: Ticket, request: Request);

    /// Deals with what was submitted: a bounded part of it. Writes, but does not wait for the disk to sync.
    fn step(&mut self) -> Progress;

    /// What has to be synced now; several may be out at once.
    fn take_sync(&mut self) -> Option<Sync>;

    /// A sync has ended.
    fn synced(&mut self, done: Synced);

    /// A bounded piece of the work that can wait: checkpoints, trims, rewrites. `now_ms` is Unix time.
    fn maintain(&mut self, now_ms: u64) -> Progress;

    /// Asks for a checkpoint, and a trim behind it, soon.
    fn request_checkpoint(&mut self);

    /// Moves the answers so far behind those in `into`.
    fn take_completions(&mut self, into: &mut Vec<Completion>);
}

/// Something to sync.
#[derive(Debug)]
#[must_use = "run it and give it back"]
pub struct Sync(pub(crate) SyncKind);

#[derive(Debug)]
pub(crate) enum SyncKind {
    Shard {
        shard: u16,
        job: tidewire_log::SyncJob,
    },
    File {
        file: Arc<dyn File>,
    },
}

/// Something that was synced.
#[derive(Debug)]
#[must_use = "the engine waits for it"]
pub struct Synced(pub(crate) SyncedKind);

#[derive(Debug)]
pub(crate) enum SyncedKind {
    Shard {
        shard: u16,
        done: tidewire_log::SyncDone,
    },
    File {
        outcome: std::io::Result<()>,
    },
}

impl Sync {
    /// Waits for the disk.
    pub fn run(self) -> Synced {
        Synced(match self.0 {
            SyncKind::Shard { shard, job } => SyncedKind::Shard {
                shard,
                done: job.run(),
            },
            SyncKind::File { file } => SyncedKind::File {
                outcome: file.sync(),
            },
        })
    }
}
