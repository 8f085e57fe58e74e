//! Cores of one broker in one thread, under a clock that only the test moves, with a driver that does what the
//! contract says: mail is carried in order, connections move, unread bytes are offered again, a closing connection is
//! flushed first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidewire_core::{
    Admission, Answer, Batch, Command, Config, ConnKey, Core, Event, Input, Interest, Output,
    PeerFacts, Question, Reply, Stats, StoreAnswer, StoreTicket, Ticket, Time, TransportEnd,
    WorkerId,
};

use crate::store_side::StoreSide;

/// How a run of the same conversation differs from the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) workers: u16,
    pub(crate) seed: u64,
    pub(crate) chunks: Chunks,
}

/// How a client's bytes are cut before a core sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// As they were sent.
    Whole,
    /// At random places.
    Cut,
}

/// A transport: both of its ends.
#[derive(Debug)]
pub(crate) struct Link {
    worker: WorkerId,
    /// The worker's name for it; `None` while it moves and once it has gone.
    key: Option<ConnKey>,
    /// Sent by the client, not yet used up by a core.
    unread: Vec<u8>,
    /// Written by a core, not yet looked at by the client.
    pub(crate) received: Vec<u8>,
    /// How many more bytes the client takes; `u64::MAX` when it reads all.
    pub(crate) appetite: u64,
    /// Closed by the broker.
    pub(crate) closed: bool,
    /// The client has gone.
    cut: Option<TransportEnd>,
    /// The core wants it closed as soon as all is written.
    closing: bool,
}

/// A question that nobody has answered yet.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) worker: WorkerId,
    pub(crate) ticket: Ticket,
    pub(crate) question: Question,
}

enum Letter {
    Mail {
        from: WorkerId,
        batch: Batch,
    },
    Moved {
        link: usize,
        admission: Box<Admission>,
    },
    Stored(StoreTicket, StoreAnswer),
}

#[derive(Default)]
struct Worker {
    slots: Vec<Option<usize>>,
    generations: Vec<u32>,
    mailbox: VecDeque<Letter>,
    /// Mail that is on its way to the mailboxes, in the order in which the core gave it.
    outgoing: VecDeque<(WorkerId, Batch)>,
}

/// The broker and its transports.
pub(crate) struct Net {
    pub(crate) now: Time,
    plan: Plan,
    random: u64,
    cores: Vec<Core>,
    interest: Interest,
    workers: Vec<Worker>,
    pub(crate) links: Vec<Link>,
    pub(crate) asked: VecDeque<Asked>,
    pub(crate) events: Vec<Event>,
    pub(crate) replies: BTreeMap<u64, Vec<Reply>>,
    next_ticket: u64,
    store: StoreSide,
}

impl Net {
    pub(crate) fn new(plan: Plan, config: &Config) -> Self {
        let store = StoreSide::new(plan.workers, plan.seed);
        let mut net = Self::with_store(plan, config, store);
        net.settle();
        net
    }

    fn with_store(plan: Plan, config: &Config, store: StoreSide) -> Self {
        let store_config = store.config();
        let core = |worker| {
            let mut config = config.clone();
            config.worker = WorkerId(worker);
            config.workers = plan.workers;
            config.store = store_config.clone();
            config.home_seed = plan.seed;
            config.seed = plan.seed.wrapping_mul(31).wrapping_add(u64::from(worker));
            Core::new(config)
        };
        Self {
            now: Time::from_secs(1_000),
            plan,
            random: plan.seed ^ 0x5851_f42d_4c95_7f2d,
            cores: (0..plan.workers).map(core).collect(),
            interest: Interest::new(plan.seed),
            workers: (0..plan.workers).map(|_| Worker::default()).collect(),
            links: Vec::new(),
            asked: VecDeque::new(),
            events: Vec::new(),
            replies: BTreeMap::new(),
            next_ticket: 0,
            store,
        }
    }

    /// Opens a transport to one of the workers.
    pub(crate) fn open(&mut self, listener: u16) -> usize {
        let worker = WorkerId(u16::try_from(self.below(u64::from(self.plan.workers))).unwrap());
        let link = self.links.len();
        self.links.push(Link {
            worker,
            key: None,
            unread: Vec::new(),
            received: Vec::new(),
            appetite: u64::MAX,
            closed: false,
            cut: None,
            closing: false,
        });
        let conn = self.take_slot(worker, link);
        let peer = Arc::new(PeerFacts {
            way: None,
            listener,
            address: format!("link {link}").into(),
        });
        self.handle(worker, Input::Open { conn, peer });
        self.settle();
        link
    }

    /// The client sends bytes, and everything happens that they lead to.
    pub(crate) fn send(&mut self, link: usize, bytes: &[u8]) {
        self.push(link, bytes);
        self.settle();
    }

    /// The client sends bytes; the workers have not yet told each other about them.
    pub(crate) fn push(&mut self, link: usize, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let len = match self.plan.chunks {
                Chunks::Whole => rest.len(),
                Chunks::Cut => 1 + usize::try_from(self.below(rest.len() as u64)).unwrap(),
            };
            let (chunk, after) = rest.split_at(len);
            self.links[link].unread.extend_from_slice(chunk);
            self.offer(link);
            if self.plan.chunks == Chunks::Cut && self.below(2) == 0 {
                self.settle();
            }
            rest = after;
        }
    }

    /// The client's side ends.
    pub(crate) fn cut(&mut self, link: usize, end: TransportEnd) {
        if self.links[link].closed || self.links[link].cut.is_some() {
            return;
        }
        self.links[link].cut = Some(end);
        self.links[link].received.clear();
        self.drop_cut(link);
        self.settle();
    }

    /// Moves the clock, stopping at every deadline on the way.
    pub(crate) fn advance(&mut self, duration: Duration) {
        let target = self.now.saturating_add(duration);
        let mut idle = 0;
        while let Some(next) = self.next_deadline().filter(|next| *next <= target) {
            idle = if next <= self.now { idle + 1 } else { 0 };
            assert!(idle < 10_000, "a deadline that never goes away");
            self.now = self.now.max(next);
            for worker in 0..self.plan.workers {
                let due = |core: &Core| core.next_deadline().is_some_and(|at| at <= self.now);
                if self.cores.get(usize::from(worker)).is_some_and(due) {
                    self.handle(WorkerId(worker), Input::Timeout);
                }
            }
            self.settle();
        }
        self.now = target;
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.cores.iter().filter_map(Core::next_deadline).min()
    }

    pub(crate) fn answer(&mut self, asked: &Asked, answer: Answer) {
        self.handle(
            asked.worker,
            Input::Answer {
                ticket: asked.ticket,
                answer,
            },
        );
        self.settle();
    }

    /// Gives a command to one worker, or to all of them.
    pub(crate) fn command_one(&mut self, command: Command) {
        let worker = WorkerId(u16::try_from(self.below(u64::from(self.plan.workers))).unwrap());
        self.handle(worker, Input::Command(command));
        self.settle();
    }

    /// Gives a command to every worker and returns the replies to it.
    pub(crate) fn command_all(&mut self, command: impl Fn(Ticket) -> Command) -> Vec<Reply> {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        for worker in 0..self.plan.workers {
            self.handle(WorkerId(worker), Input::Command(command(Ticket(ticket))));
        }
        self.settle();
        self.replies.remove(&ticket).unwrap_or_default()
    }

    /// The figures of all workers together.
    pub(crate) fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        self.cores.iter().for_each(|core| sum.add(core.stats()));
        sum
    }

    /// Lets the client of a link take more (or no) bytes.
    pub(crate) fn set_appetite(&mut self, link: usize, bytes: u64) {
        self.links[link].appetite = bytes;
        self.flush(link);
        self.settle();
    }

    /// Lets everything happen that can happen at this time, the workers in an order of the plan's seed.
    pub(crate) fn settle(&mut self) {
        let mut quiet = 0;
        let mut turns = 0;
        while quiet < self.plan.workers {
            let start = u16::try_from(self.below(u64::from(self.plan.workers))).unwrap();
            quiet = 0;
            for step in 0..self.plan.workers {
                if !self.turn(WorkerId((start + step) % self.plan.workers)) {
                    quiet += 1;
                }
            }
            if self.serve_store() {
                quiet = 0;
            }
            turns += 1;
            assert!(turns < 1_000_000, "the broker never comes to rest");
        }
    }

    /// One piece of the store's work. False if there was nothing to do.
    fn serve_store(&mut self) -> bool {
        let chosen = self.below(1 << 20);
        let Some(answers) = self.store.step(self.now, chosen) else {
            return false;
        };
        for (worker, ticket, answer) in answers {
            let letter = Letter::Stored(ticket, answer);
            self.worker(worker).mailbox.push_back(letter);
        }
        true
    }

    /// Lets some workers have a turn or two, and leaves the rest for later.
    pub(crate) fn stir(&mut self) {
        if self.below(2) == 0 {
            self.serve_store();
        }
        for _ in 0..self.below(6) {
            let worker = self.below(u64::from(self.plan.workers));
            self.turn(WorkerId(u16::try_from(worker).unwrap()));
        }
    }

    /// A number below `bound`, from the plan's seed.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound.max(1)
    }

    /// One turn of one worker: a letter, then its outputs, its mail, its writes. False if there was nothing to do.
    fn turn(&mut self, worker: WorkerId) -> bool {
        self.drain(worker);
        let letter = self.worker(worker).mailbox.pop_front();
        let mut busy = letter.is_some();
        match letter {
            Some(Letter::Mail { from, batch }) => {
                self.handle(worker, Input::Mail { from, batch });
                if let Some(batch) = self.core(worker).take_spent_batch() {
                    self.core(from).reuse_batch(batch);
                }
            }
            Some(Letter::Moved { link, admission }) => self.adopt(worker, link, admission),
            Some(Letter::Stored(ticket, answer)) => {
                self.handle(worker, Input::Stored { ticket, answer });
            }
            None => {}
        }
        busy |= self.store.end_turn(worker);
        while let Some(mail) = self.core(worker).take_mail() {
            self.worker(worker).outgoing.push_back(mail);
        }
        // Other workers may be quick enough to come in between two mailboxes.
        for _ in 0..=self.below(2) {
            if let Some((to, batch)) = self.worker(worker).outgoing.pop_front() {
                busy = true;
                let letter = Letter::Mail {
                    from: worker,
                    batch,
                };
                self.worker(to).mailbox.push_back(letter);
            }
        }
        while let Some(key) = self.core(worker).next_dirty() {
            busy = true;
            if let Some(link) = self.link_of(worker, key) {
                self.flush(link);
            }
        }
        busy
    }

    fn handle(&mut self, worker: WorkerId, input: Input<'_>) -> usize {
        let Self {
            cores,
            interest,
            now,
            ..
        } = self;
        let used = cores[usize::from(worker.0)].handle(*now, interest, input);
        self.drain(worker);
        used
    }

    fn drain(&mut self, worker: WorkerId) {
        while let Some(output) = self.core(worker).poll_output() {
            match output {
                Output::Close { conn } => {
                    if let Some(link) = self.link_of(worker, conn) {
                        self.links[link].closing = true;
                        self.flush(link);
                    }
                }
                Output::Move {
                    conn,
                    to,
                    admission,
                } => {
                    let link = self
                        .link_of(worker, conn)
                        .expect("a moving connection is known");
                    self.free_slot(worker, conn);
                    self.links[link].key = None;
                    self.links[link].worker = to;
                    self.worker(to)
                        .mailbox
                        .push_back(Letter::Moved { link, admission });
                }
                Output::Resume { conn } => {
                    if let Some(link) = self.link_of(worker, conn) {
                        self.offer(link);
                    }
                }
                Output::Ask { ticket, question } => {
                    self.asked.push_back(Asked {
                        worker,
                        ticket,
                        question,
                    });
                }
                Output::Consult { .. } => panic!("no scenario's listener watches for PUBLISH"),
                Output::Store { ticket, request } => {
                    self.store.take(worker, self.now, ticket, request);
                }
                Output::Interest(change) => self.interest.apply(&change),
                Output::Event(event) => self.events.push(event),
                Output::Reply { ticket, reply } => {
                    self.replies.entry(ticket.0).or_default().push(reply);
                }
            }
        }
    }

    fn adopt(&mut self, worker: WorkerId, link: usize, admission: Box<Admission>) {
        let conn = self.take_slot(worker, link);
        self.handle(worker, Input::Adopt { conn, admission });
        self.offer(link);
        self.drop_cut(link);
    }

    /// Offers a connection's unread bytes to its core.
    fn offer(&mut self, link: usize) {
        let (Some(conn), worker) = (self.links[link].key, self.links[link].worker) else {
            return;
        };
        let bytes = std::mem::take(&mut self.links[link].unread);
        if bytes.is_empty() {
            return;
        }
        let used = {
            let Self {
                cores,
                interest,
                now,
                ..
            } = self;
            cores[usize::from(worker.0)].handle(
                *now,
                interest,
                Input::Bytes {
                    conn,
                    bytes: &bytes,
                },
            )
        };
        assert!(used <= bytes.len(), "more used than offered");
        self.links[link].unread = bytes[used..].to_vec();
        self.drain(worker);
    }

    /// Writes what is queued for a connection, as far as its client reads; then closes it if that was asked for.
    fn flush(&mut self, link: usize) {
        let worker = self.links[link].worker;
        while let Some(conn) = self.links[link].key {
            let appetite = usize::try_from(self.links[link].appetite).unwrap_or(usize::MAX);
            let queue = self.cores[usize::from(worker.0)].outbound(conn);
            let first = queue.map_or(&[][..], |queue| queue.first());
            let len = first.len().min(appetite);
            if len == 0 {
                break;
            }
            self.links[link].received.extend_from_slice(&first[..len]);
            if self.links[link].appetite != u64::MAX {
                self.links[link].appetite -= len as u64;
            }
            let now = self.now;
            self.core(worker).written(now, conn, len);
            self.drain(worker);
        }
        self.close_if_flushed(link);
    }

    fn close_if_flushed(&mut self, link: usize) {
        let worker = self.links[link].worker;
        let Some(conn) = self.links[link].key.filter(|_| self.links[link].closing) else {
            return;
        };
        let left = self
            .core(worker)
            .outbound(conn)
            .map_or(0, |queue| queue.len());
        if left == 0 {
            self.free_slot(worker, conn);
            self.links[link].key = None;
            self.links[link].closed = true;
            self.handle(
                worker,
                Input::Closed {
                    conn,
                    end: TransportEnd::AsAsked,
                },
            );
        }
    }

    fn drop_cut(&mut self, link: usize) {
        let worker = self.links[link].worker;
        if let (Some(end), Some(conn)) = (self.links[link].cut.clone(), self.links[link].key) {
            self.free_slot(worker, conn);
            self.links[link].key = None;
            self.handle(worker, Input::Closed { conn, end });
        }
    }

    fn core(&mut self, worker: WorkerId) -> &mut Core {
        &mut self.cores[usize::from(worker.0)]
    }

    fn worker(&mut self, worker: WorkerId) -> &mut Worker {
        &mut self.workers[usize::from(worker.0)]
    }

    fn link_of(&mut self, worker: WorkerId, key: ConnKey) -> Option<usize> {
        let worker = self.worker(worker);
        let slot = key.slot as usize;
        let current = worker.generations.get(slot) == Some(&key.generation);
        worker
            .slots
            .get(slot)
            .copied()
            .flatten()
            .filter(|_| current)
    }

    fn take_slot(&mut self, worker: WorkerId, link: usize) -> ConnKey {
        let table = self.worker(worker);
        let slot = table
            .slots
            .iter()
            .position(Option::is_none)
            .unwrap_or_else(|| {
                table.slots.push(None);
                table.generations.push(0);
                table.slots.len() - 1
            });
        table.slots[slot] = Some(link);
        let key = ConnKey {
            slot: u32::try_from(slot).unwrap(),
            generation: table.generations[slot],
        };
        self.links[link].key = Some(key);
        self.links[link].worker = worker;
        key
    }

    fn free_slot(&mut self, worker: WorkerId, key: ConnKey) {
        let table = self.worker(worker);
        table.slots[key.slot as usize] = None;
        table.generations[key.slot as usize] += 1;
    }
}
