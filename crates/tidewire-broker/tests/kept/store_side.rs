//! The store of a conversation: a real engine behind the desks of the workers, stepped as the plan's seed says.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use tidewire_broker::desk::{Desk, StoreBusy, StorePort};
use tidewire_core::{
    Durability, StoreAnswer, StoreConfig, StoreRequest, StoreTicket, Time, UnixClock, WorkerId,
};
use tidewire_log::{Files, Preallocation, SimFiles};
use tidewire_store::{
    Config, DurableEngine, Engine, Limits, MemoryEngine, PortId, Progress, Request, Sync, Ticket,
};

/// A message that waits on disk is delivered with what is granted when it is read.
pub(crate) const FIXES_QOS: bool = false;

const SHARDS: u16 = 3;
const CLOCK: UnixClock = UnixClock {
    origin_ms: 1_700_000_000_000,
};

/// Which engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Memory,
    Durable,
}

thread_local! {
    /// The engine of the conversations on this thread.
    static KIND: Cell<Kind> = const { Cell::new(Kind::Memory) };
}

/// Holds a conversation with an engine.
pub(crate) fn with_store<R>(kind: Kind, talk: impl FnOnce() -> R) -> R {
    KIND.set(kind);
    talk()
}

/// The side of the store.
pub(crate) struct StoreSide {
    desks: Vec<Desk>,
    inbox: VecDeque<(PortId, Ticket, Request)>,
    engine: Box<dyn Engine>,
    syncs: VecDeque<Sync>,
    progress: Progress,
    now: Time,
}

struct Port<'a> {
    worker: WorkerId,
    inbox: &'a mut VecDeque<(PortId, Ticket, Request)>,
}

impl StorePort for Port<'_> {
    fn submit(&mut self, ticket: Ticket, request: Request) -> Result<(), StoreBusy> {
        let port = PortId(self.worker.0.into());
        self.inbox.push_back((port, ticket, request));
        Ok(())
    }
}

impl StoreSide {
    pub(crate) fn new(workers: u16, seed: u64) -> Self {
        Self {
            desks: (0..workers).map(|_| Desk::new(CLOCK, SHARDS)).collect(),
            inbox: VecDeque::new(),
            engine: engine(KIND.get(), seed),
            syncs: VecDeque::new(),
            progress: Progress::Idle,
            now: Time::ZERO,
        }
    }

    /// What the cores are told of it.
    pub(crate) fn config(&self) -> Option<StoreConfig> {
        Some(StoreConfig {
            shards: SHARDS,
            clock: CLOCK,
            durability: Durability::Sync,
            topics: Vec::new(),
        })
    }

    /// A core wants something.
    pub(crate) fn take(
        &mut self,
        worker: WorkerId,
        now: Time,
        ticket: StoreTicket,
        request: StoreRequest,
    ) {
        self.now = now;
        let Self { desks, inbox, .. } = self;
        let desk = &mut desks[usize::from(worker.0)];
        desk.begin_turn(now);
        desk.take(&mut Port { worker, inbox }, ticket, request);
    }

    /// A worker's turn ends. True if something was handed over.
    pub(crate) fn end_turn(&mut self, worker: WorkerId) -> bool {
        let Self { desks, inbox, .. } = self;
        let desk = &mut desks[usize::from(worker.0)];
        let busy = !desk.is_empty();
        desk.hand_over(&mut Port { worker, inbox });
        busy
    }

    /// One piece of the store's work; `None` if there was none.
    pub(crate) fn step(
        &mut self,
        now: Time,
        chosen: u64,
    ) -> Option<Vec<(WorkerId, StoreTicket, StoreAnswer)>> {
        self.now = now;
        let idle = self.inbox.is_empty() && self.progress == Progress::Idle;
        if idle && self.syncs.is_empty() {
            return None;
        }
        if !self.syncs.is_empty() && (idle || chosen.is_multiple_of(2)) {
            let at = usize::try_from(chosen / 2).unwrap() % self.syncs.len();
            let sync = self.syncs.remove(at).unwrap();
            self.engine.synced(sync.run());
        } else {
            for (port, ticket, request) in self.inbox.drain(..) {
                self.engine.submit(port, ticket, request);
            }
            self.progress = self.engine.step();
        }
        if self.engine.maintain(CLOCK.unix_ms(now)) == Progress::More {
            self.progress = Progress::More;
        }
        while let Some(sync) = self.engine.take_sync() {
            self.syncs.push_back(sync);
        }
        Some(self.answers())
    }

    fn answers(&mut self) -> Vec<(WorkerId, StoreTicket, StoreAnswer)> {
        let mut completions = Vec::new();
        self.engine.take_completions(&mut completions);
        let mut answers = Vec::new();
        for completion in completions {
            let worker = WorkerId(u16::try_from(completion.port.0).unwrap());
            let desk = &mut self.desks[usize::from(worker.0)];
            desk.begin_turn(self.now);
            desk.settle(completion.ticket, completion.answer, |ticket, answer| {
                answers.push((worker, ticket, answer));
            });
        }
        answers
    }
}

fn engine(kind: Kind, seed: u64) -> Box<dyn Engine> {
    if kind == Kind::Memory {
        return Box::new(MemoryEngine::new(SHARDS, Limits::default()));
    }
    let files: Arc<dyn Files> = Arc::new(SimFiles::new(seed));
    let config = Config {
        shards: SHARDS,
        seed,
        segment_bytes: 64 << 10,
        reserve_bytes: 0,
        checkpoint_bytes: 64 << 10,
        preallocation: Preallocation::None,
        limits: Limits::default(),
    };
    let (engine, _) = DurableEngine::open(files, config).unwrap();
    Box::new(engine)
}

impl fmt::Debug for StoreSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreSide").finish_non_exhaustive()
    }
}
