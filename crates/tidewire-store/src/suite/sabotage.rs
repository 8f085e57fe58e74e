//! Faults that are planted in an engine, to show that whoever tests a broker with it notices. Nothing but tests makes one.

use crate::engine::{Completion, Engine, PortId, Progress, Sync, Synced};
use crate::group::{Group, Kind};
use crate::names::Ticket;
use crate::request::{Durability, Request};

/// What is wrong with the engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// Groups are answered when they are written, not when they are synced.
    AnswersEarly,
    /// It is never noted that a received QoS 2 message is released.
    ForgetsReleases,
    /// Received QoS 2 messages are stored without their identifiers.
    ForgetsMarks,
    /// What outgoing QoS 2 messages are bound to is not stored.
    ForgetsBindings,
    /// Wills are not stored.
    ForgetsWills,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::AnswersEarly,
        Self::ForgetsReleases,
        Self::ForgetsMarks,
        Self::ForgetsBindings,
        Self::ForgetsWills,
    ];
}

/// An engine with something wrong.
#[derive(Debug)]
pub struct Saboteur {
    engine: Box<dyn Engine>,
    sabotage: Sabotage,
}

impl Saboteur {
    /// Puts something wrong in front of an engine.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>, sabotage: Sabotage) -> Self {
        Self { engine, sabotage }
    }

    fn spoil(&self, group: &Group) -> Group {
        let gone = match self.sabotage {
            Sabotage::AnswersEarly => return group.clone(),
            Sabotage::ForgetsReleases => Kind::Unmark,
            Sabotage::ForgetsMarks => Kind::Mark,
            Sabotage::ForgetsBindings => Kind::Bind,
            Sabotage::ForgetsWills => Kind::PutWill,
        };
        group.without(gone)
    }
}

impl Engine for Saboteur {
    fn shards(&self) -> u16 {
        self.engine.shards()
    }

    fn submit(&mut self, port: PortId, ticket: Ticket, request: Request) {
        let request = match request {
            Request::Commit {
                shard,
                durability,
                group,
            } => Request::Commit {
                shard,
                durability: match self.sabotage {
                    Sabotage::AnswersEarly => Durability::Os,
                    _ => durability,
                },
                group: self.spoil(&group),
            },
            other => other,
        };
        self.engine.submit(port, ticket, request);
    }

    fn step(&mut self) -> Progress {
        self.engine.step()
    }

    fn take_sync(&mut self) -> Option<Sync> {
        self.engine.take_sync()
    }

    fn synced(&mut self, done: Synced) {
        self.engine.synced(done);
    }

    fn maintain(&mut self, now_ms: u64) -> Progress {
        self.engine.maintain(now_ms)
    }

    fn request_checkpoint(&mut self) {
        self.engine.request_checkpoint();
    }

    fn take_completions(&mut self, into: &mut Vec<Completion>) {
        self.engine.take_completions(into);
    }
}
