//! A broker in a world without threads, sockets or clocks: time is a number that the test moves, bytes arrive in pieces
//! that a seed chooses, and the workers take turns in one thread. The same seed gives the same life.
//!
//! ```
//! use tidewire_broker::Settings;
//! use tidewire_broker::simulated::{Pieces, Simulation};
//!
//! let mut sim = Simulation::new(&Settings { workers: 2, ..Settings::default() }, 7, Pieces::Seeded);
//! let client = sim.connect();
//! sim.send(client, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a");
//! sim.settle();
//! assert_eq!(sim.take_received(client), b"\x20\x02\x00\x00");
//! ```

mod store;
mod world;

use crate::answerer::Answerers;
use crate::crew::{After, Crew, Mailboxes};
use crate::extend::{Extension, Observing, Reach};
use crate::mailbox::{Mail, Mailbox};
use crate::request::Request;
use crate::settings::Settings;
use crate::side::Side;
use crate::start::{Guard, seat};
use crate::start_error::StartError;
use crate::worker::Controllers;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use store::SimStore;
use tidewire_core::{ServerPublish, Stats, Time, UnixClock};
use tidewire_handler::{Events, Registration};
use tidewire_store::Engine;
use tokio::runtime::{Builder, Runtime};
pub use world::Pieces;
use world::SimTransport;
pub(crate) use world::{SimDriver, SimWorld};

/// Turns without a moment's rest that count as a worker running wild.
const TURNS_MAX: usize = 1_000_000;
/// How long handlers that need time are waited for before it is looked whether they have answered.
const HANDLERS_TURN: Duration = Duration::from_millis(1);

/// A whole broker and its clients.
pub struct Simulation {
    world: SimWorld,
    crew: Crew<SimDriver>,
    mailboxes: Mailboxes<SimTransport>,
    store: Option<SimStore>,
    /// Workers that have ended.
    ended: Vec<bool>,
    /// Workers that want another turn at once.
    busy: Vec<bool>,
    /// Workers that get no turns for now.
    stalled: Vec<bool>,
    store_stalls: bool,
    turns: u64,
    /// Where handlers wait that need time.
    waiting: Option<Waiting>,
}

struct Waiting {
    side: Arc<Side>,
    runtime: Runtime,
}

/// A client of a [`Simulation`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SimClient(usize);

impl Simulation {
    /// A broker with `settings`, whose listeners are all reachable by [`connect_to`](Self::connect_to) and need no address. `seed`
    /// takes the place of `hash_seed`, chooses the order of events and, with [`Pieces::Seeded`], the pieces in which bytes travel.
    ///
    /// # Panics
    /// With more workers than 65,535, or if its store cannot be opened.
    #[must_use]
    pub fn new(settings: &Settings, seed: u64, pieces: Pieces) -> Self {
        Self::build(settings, seed, pieces, Guard::Nobody)
    }

    /// As [`Simulation::new`], with something between the broker and the engine of its store.
    ///
    /// # Panics
    /// As [`Simulation::new`].
    #[must_use]
    pub fn with_engine(
        settings: &Settings,
        seed: u64,
        pieces: Pieces,
        wrap: impl FnOnce(Box<dyn Engine>) -> Box<dyn Engine>,
    ) -> Self {
        let mut simulation = Self::new(settings, seed, pieces);
        let store = simulation.store.take();
        simulation.store = store.map(|store| store.wrapped(wrap));
        simulation
    }

    /// As [`Simulation::new`], with somebody who decides, as in [`Broker::start_with`](crate::Broker::start_with).
    ///
    /// # Panics
    /// With more workers than 65,535.
    #[must_use]
    pub fn with_answerers(
        settings: &Settings,
        seed: u64,
        pieces: Pieces,
        answerers: Answerers<'_>,
    ) -> Self {
        Self::build(settings, seed, pieces, Guard::Answerers(answerers))
    }

    /// As [`Simulation::new`], with handlers. Observing ones are told on the spot. A handler that needs time is waited for in
    /// [`settle`](Self::settle), while the broker's own time stands still. See [`BrokerBuilder::simulate`](crate::BrokerBuilder::simulate).
    pub(crate) fn with_handlers(
        settings: &Settings,
        seed: u64,
        pieces: Pieces,
        handlers: Vec<Registration>,
        later: Events,
    ) -> Result<Self, StartError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StartError::System)?;
        let side = Side::start(Some(runtime.handle().clone())).map_err(StartError::System)?;
        let side = Arc::new(side);
        let reaches = vec![Reach::Inside; settings.listeners.len() + 1];
        let shared = Arc::clone(&side);
        let observing = Observing::OnTheSpot;
        let extension = Extension::start(settings, handlers, later, &reaches, shared, observing)?;
        let mut this = Self::build(settings, seed, pieces, Guard::Handlers(extension));
        this.waiting = Some(Waiting { side, runtime });
        Ok(this)
    }

    fn build(settings: &Settings, seed: u64, pieces: Pieces, mut guard: Guard<'_>) -> Self {
        let count = settings.worker_count();
        let workers = u16::try_from(count).expect("at most 65,535 workers");
        let world = SimWorld::new(count, seed, pieces);
        let mailboxes: Mailboxes<SimTransport> =
            (0..count).map(|_| Arc::new(Mailbox::new(|| {}))).collect();
        let mut facts = None;
        let store = settings.store.as_ref().map(|wanted| {
            let (engine, _) = wanted.open().expect("the store can be opened");
            let clock = UnixClock {
                origin_ms: wanted.unix_origin_ms.unwrap_or(0),
            };
            facts = Some(wanted.core_config(engine.shards(), clock));
            world.give_store();
            SimStore::new(Box::new(engine), clock)
        });
        let has_store = store.is_some();
        let drivers = (0..count).map(|worker| world.driver(worker)).collect();
        let crew = Crew::new(
            Arc::clone(&mailboxes),
            seat(
                (settings, workers, seed, facts.as_ref()),
                &mailboxes,
                drivers,
                &mut guard,
                (&Controllers::default(), None),
            ),
        );
        Self {
            world,
            crew,
            mailboxes,
            store,
            ended: vec![false; count],
            // What they have to read from the store first.
            busy: vec![has_store; count],
            stalled: vec![false; count],
            store_stalls: false,
            turns: 0,
            waiting: None,
        }
    }

    /// A client opens a connection under the first listener's policy (or that of pipes, if there is no listener).
    pub fn connect(&mut self) -> SimClient {
        self.connect_to(0)
    }

    /// A client opens a connection under a policy, by its index in the settings; the one behind the last is that of pipes.
    pub fn connect_to(&mut self, policy: u16) -> SimClient {
        SimClient(self.world.connect(policy))
    }

    /// The client sends bytes; they arrive in the course of the following steps.
    pub fn send(&mut self, client: SimClient, bytes: &[u8]) {
        self.world.send(client.0, bytes);
    }

    /// The client closes its side behind what it has sent.
    pub fn close(&mut self, client: SimClient) {
        self.world.close(client.0);
    }

    /// The connection breaks: of the client's bytes that are on their way the broker gets `keep` at most, and the client gets
    /// nothing more.
    pub fn cut(&mut self, client: SimClient, keep: usize) {
        self.world.cut(client.0, keep);
    }

    /// Bytes that the client has sent and that have not arrived.
    #[must_use]
    pub fn on_the_way(&self, client: SimClient) -> usize {
        self.world.on_the_way(client.0)
    }

    /// Whether a worker gets no turn, as if the operating system gave its thread no time.
    pub fn stall(&mut self, worker: usize, stalled: bool) {
        self.stalled[worker] = stalled;
    }

    /// Whether the store gets no time, as if its disk did not answer.
    pub fn stall_store(&mut self, stalled: bool) {
        self.store_stalls = stalled;
    }

    /// How many workers there are.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.stalled.len()
    }

    /// From now on the client takes nothing that is sent to it.
    pub fn stop_reading(&mut self, client: SimClient) {
        self.world.set_reading(client.0, false);
    }

    /// The client takes what is sent to it again.
    pub fn start_reading(&mut self, client: SimClient) {
        self.world.set_reading(client.0, true);
    }

    /// Whether accepting a connection fails from now on, as it does when the operating system has no descriptor left.
    pub fn refuse_accepts(&mut self, refuse: bool) {
        self.world.refuse_accepts(refuse);
    }

    /// What has come for the client since the last call.
    pub fn take_received(&mut self, client: SimClient) -> Vec<u8> {
        self.world.take_received(client.0)
    }

    /// Whether the broker has closed its side of the client's connection.
    #[must_use]
    pub fn is_closed(&self, client: SimClient) -> bool {
        self.world.is_closed(client.0)
    }

    /// Whether the broker has closed its side and the client has taken all that was sent to it.
    #[must_use]
    pub fn is_at_end(&self, client: SimClient) -> bool {
        self.world.is_at_end(client.0)
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Time {
        self.world.now()
    }

    /// Turns that all workers have taken so far.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Calls of `read` and `write` on transports so far.
    #[must_use]
    pub fn transport_calls(&self) -> u64 {
        self.world.calls()
    }

    /// One event: some bytes arrive somewhere, or a worker takes a turn. False when nothing is left to happen before the
    /// next timer.
    pub fn step(&mut self) -> bool {
        let moved = self.world.move_some_bytes();
        let ready: Vec<usize> = (0..self.mailboxes.len())
            .filter(|&worker| self.is_due(worker))
            .collect();
        let store_is_due = self
            .store
            .as_ref()
            .is_some_and(|store| !self.store_stalls && store.is_due(&self.world));
        let actors = ready.len() + usize::from(store_is_due);
        if actors == 0 {
            return moved;
        }
        match (ready.get(self.world.choose(actors)), &mut self.store) {
            (Some(&worker), _) => self.turn(worker),
            (None, Some(store)) => store.step(&self.world, &self.mailboxes),
            (None, None) => {}
        }
        true
    }

    /// Goes on until nothing is left to happen at this time.
    ///
    /// # Panics
    /// When that never ends.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            if !self.step() && !self.await_handlers() {
                return;
            }
        }
        panic!("the simulated broker does not come to rest");
    }

    /// Lets time pass, timer by timer.
    pub fn advance(&mut self, by: Duration) {
        let end = self.now().saturating_add(by);
        self.settle();
        while let Some(next) = self.next_deadline().filter(|&next| next <= end) {
            self.world.set_now(next.max(self.now()));
            self.settle();
        }
        self.world.set_now(end);
    }

    /// Counters and gauges of all workers, added up.
    pub fn stats(&mut self) -> Stats {
        let (reply, answers) = channel();
        for mailbox in self.mailboxes.iter() {
            mailbox.post(Mail::Request(Box::new(Request::Stats {
                reply: reply.clone(),
            })));
        }
        drop(reply);
        self.settle();
        let mut sum = Stats::default();
        answers.into_iter().for_each(|stats| sum.add(&stats));
        sum
    }

    /// The server itself publishes, by way of one worker.
    pub fn publish(&mut self, worker: usize, message: ServerPublish) {
        self.mailboxes[worker].post(Mail::Request(Box::new(Request::Publish(message))));
    }

    /// Begins to stop the broker; after `deadline` clients that have not taken their last bytes are cut off.
    pub fn begin_shutdown(&mut self, deadline: Duration) {
        let deadline = self.now().saturating_add(deadline);
        for mailbox in self.mailboxes.iter() {
            mailbox.post(Mail::Request(Box::new(Request::Shutdown { deadline })));
        }
    }

    /// Whether all workers have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.iter().all(|&ended| ended)
    }

    /// Lets handlers that need time go on; false if there are none.
    fn await_handlers(&mut self) -> bool {
        let Some(Waiting { side, runtime }) = &self.waiting else {
            return false;
        };
        if side.waiting() == 0 {
            return false;
        }
        runtime.block_on(async { tokio::time::sleep(HANDLERS_TURN).await });
        true
    }

    fn is_due(&self, worker: usize) -> bool {
        if self.ended[worker] || self.stalled[worker] {
            return false;
        }
        let due = || {
            self.crew
                .next_deadline(worker)
                .is_some_and(|deadline| deadline <= self.now())
        };
        self.busy[worker]
            || self.world.is_ready(worker)
            || !self.mailboxes[worker].is_empty()
            || due()
    }

    fn turn(&mut self, worker: usize) {
        self.turns += 1;
        let ready = self.world.take_ready(worker);
        // A handler's future may want the runtime's timers and sockets at its first poll, which is here.
        let _entered = self.waiting.as_ref().map(|waiting| waiting.runtime.enter());
        match self.crew.turn(worker, &ready) {
            Ok(After::Wait(timeout)) => self.busy[worker] = timeout == Some(Duration::ZERO),
            Ok(After::End(_)) => self.ended[worker] = true,
            Err(error) => panic!("worker {worker}: {error}"),
        }
    }

    fn next_deadline(&self) -> Option<Time> {
        let live = (0..self.mailboxes.len())
            .filter(|&worker| !self.ended[worker] && !self.stalled[worker]);
        live.filter_map(|worker| self.crew.next_deadline(worker))
            .min()
    }
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation")
            .field("now", &self.now())
            .field("turns", &self.turns)
            .finish_non_exhaustive()
    }
}
