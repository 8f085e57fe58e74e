//! The store of a simulated broker: the real engine, driven by the simulation's steps.

use super::world::SimWorld;
use crate::crew::Mailboxes;
use crate::mailbox::Mail;
use std::collections::{BTreeMap, VecDeque};
use tidewire_core::UnixClock;
use tidewire_store::{Completion, Engine, PortId, Progress, Sync};

pub(crate) struct SimStore {
    engine: Box<dyn Engine>,
    clock: UnixClock,
    /// Syncs that the disk has not finished.
    syncs: VecDeque<Sync>,
    progress: Progress,
    completions: Vec<Completion>,
}

impl SimStore {
    pub(crate) fn new(engine: Box<dyn Engine>, clock: UnixClock) -> Self {
        Self {
            engine,
            clock,
            syncs: VecDeque::new(),
            progress: Progress::Idle,
            completions: Vec::new(),
        }
    }

    /// The same with something in front of its engine.
    pub(crate) fn wrapped(mut self, wrap: impl FnOnce(Box<dyn Engine>) -> Box<dyn Engine>) -> Self {
        self.engine = wrap(self.engine);
        self
    }

    pub(crate) fn is_due(&self, world: &SimWorld) -> bool {
        self.progress == Progress::More || !self.syncs.is_empty() || world.has_requests()
    }

    /// One piece of the store's work: a sync that ends, or what was handed over.
    pub(crate) fn step<T>(&mut self, world: &SimWorld, mailboxes: &Mailboxes<T>) {
        let end_sync = !self.syncs.is_empty() && (!world.has_requests() || world.choose(2) == 0);
        if end_sync {
            let at = world.choose(self.syncs.len());
            if let Some(sync) = self.syncs.remove(at) {
                self.engine.synced(sync.run());
            }
        } else {
            while let Some((port, ticket, request)) = world.take_request() {
                self.engine.submit(port, ticket, request);
            }
            self.progress = self.engine.step();
        }
        let now_ms = self.clock.unix_ms(world.now());
        if self.engine.maintain(now_ms) == Progress::More {
            self.progress = Progress::More;
        }
        while let Some(sync) = self.engine.take_sync() {
            self.syncs.push_back(sync);
        }
        self.deliver(mailboxes);
    }

    fn deliver<T>(&mut self, mailboxes: &Mailboxes<T>) {
        self.engine.take_completions(&mut self.completions);
        let mut batches: BTreeMap<PortId, Vec<_>> = BTreeMap::new();
        let post = |batches: &mut BTreeMap<PortId, Vec<_>>| {
            for (port, batch) in std::mem::take(batches) {
                if let Some(mailbox) = mailboxes.get(port.0 as usize) {
                    mailbox.post(Mail::Stored(batch));
                }
            }
        };
        for completion in self.completions.drain(..) {
            if matches!(completion.answer, tidewire_store::Answer::Heads(_)) {
                post(&mut batches);
            }
            let batch = batches.entry(completion.port).or_default();
            batch.push((completion.ticket, completion.answer));
        }
        post(&mut batches);
    }
}
