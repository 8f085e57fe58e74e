//! One worker: a core, its connections, and the turn that drives them. Knows no thread, no poll and no clock but those
//! of its [`Driver`].
//!
//! A turn takes the mail, reads what is readable, accepts, fires timers; then it publishes the interest that has
//! changed, ships the mail for other workers, and writes to each connection once.

mod accept;
mod entering;
mod figures;
mod input;
mod links;
mod opening;
mod post;
mod raw;
mod receive;
mod send;
mod unread;

use crate::answerer::AnswerPort;
use crate::desk::Desk;
use crate::driver::{Driver, Ready};
use crate::extend::Decider;
use crate::interest::InterestView;
use crate::mailbox::Mailbox;
use crate::request::Awaiting;
use crate::side::Side;
use crate::sys::SysTopics;
use accept::{Door, ListenerGauge};
use entering::Entering;
pub(crate) use entering::Entry;
use links::Links;
use opening::Openings;
pub(crate) use post::{Handover, LITTLE_MAIL_ITEMS};
use receive::ReadUntil;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tidewire_core::{ConnKey, Core, Stats, Ticket, Time, WorkerId};
use unread::UnreadPool;

pub(crate) use accept::gauges;
pub(crate) use raw::Controllers;
use raw::Raw;

/// The worker's one read buffer: one call takes what a fast publisher sends in a turn, and it still fits the
/// processor's second-level cache.
const READ_BUFFER_BYTES: usize = 64 * 1024;
/// The items in another worker's mailbox above which this one reads no more from its own clients, who feed it.
const PEER_BACKLOG_MAX: usize = 16 * 1024;
/// A worker that is held back looks again after this time, should it miss the peer's bell: both may happen at once.
const PEER_BACKLOG_RETRY: Duration = Duration::from_millis(1);

/// One worker's state; whoever has it can serve its turn.
pub(crate) struct Worker<D: Driver> {
    pub(crate) id: WorkerId,
    core: Core,
    driver: D,
    /// The time of this turn.
    now: Time,
    links: Links<D::Transport>,
    interest: InterestView,
    /// The mailboxes of all workers, this one's included.
    mailboxes: Arc<[Arc<Mailbox<D::Transport>>]>,
    decider: Decider,
    port: AnswerPort,
    /// Between the core and the store, if there is one.
    desk: Option<Desk>,
    /// Filled and used up within one call of `receive`.
    buffer: Box<[u8]>,
    pool: UnreadPool,
    /// Connections that had more to read than one turn gives them.
    again: VecDeque<ConnKey>,
    /// Connections whose gate has opened in this turn.
    resumed: Vec<ConnKey>,
    /// Connections to write to besides those that the core names.
    unfinished: VecDeque<ConnKey>,
    /// Connections that close as soon as their bytes are written.
    leaving: Vec<ConnKey>,
    /// When to give up on closing and lingering connections, soonest first: all wait equally long.
    overdue: VecDeque<(Time, ConnKey)>,
    lingering: VecDeque<(Time, ConnKey)>,
    close_timeout: Duration,
    /// Bytes in another worker's mailbox above which this one reads no more from its own clients.
    max_mailbox_bytes: usize,
    doors: Vec<Door>,
    openings: Openings,
    entering: Entering,
    raw: Raw,
    gauges: Arc<[ListenerGauge]>,
    awaiting: HashMap<Ticket, Awaiting>,
    next_ticket: u64,
    /// Items sent to each peer in this turn, as long as it has not been woken.
    shipped: Vec<usize>,
    /// Worker 0's `$SYS` topics.
    sys: Option<SysTopics>,
    stopping: Option<Stopping>,
}

/// A worker that is about to end.
struct Stopping {
    deadline: Time,
    connections: usize,
}

/// What a worker is made of.
pub(crate) struct WorkerParts<D: Driver> {
    pub(crate) id: WorkerId,
    pub(crate) core: Core,
    pub(crate) driver: D,
    pub(crate) interest: InterestView,
    pub(crate) mailboxes: Arc<[Arc<Mailbox<D::Transport>>]>,
    pub(crate) decider: Decider,
    pub(crate) controllers: Controllers,
    pub(crate) side: Option<Arc<Side>>,
    pub(crate) desk: Option<Desk>,
    pub(crate) gauges: Arc<[ListenerGauge]>,
    pub(crate) close_timeout: Duration,
    pub(crate) max_mailbox_bytes: usize,
    pub(crate) sys: Option<SysTopics>,
}

/// How a worker's life ended.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkerReport {
    /// Connections that were told.
    pub(crate) connections: usize,
    /// Of those, the ones that did not take their last bytes in time.
    pub(crate) cut: usize,
    pub(crate) stats: Stats,
}

impl<D: Driver> Worker<D> {
    pub(crate) fn new(parts: WorkerParts<D>) -> Self {
        let WorkerParts {
            id,
            core,
            driver,
            interest,
            mailboxes,
            decider,
            controllers,
            side,
            desk,
            gauges,
            close_timeout,
            max_mailbox_bytes,
            sys,
        } = parts;
        let own = Arc::clone(&mailboxes[usize::from(id.0)]);
        Self {
            id,
            core,
            now: driver.now(),
            links: Links::new(),
            interest,
            decider,
            port: AnswerPort::to(own),
            desk,
            buffer: vec![0; READ_BUFFER_BYTES].into(),
            pool: UnreadPool::default(),
            again: VecDeque::new(),
            resumed: Vec::new(),
            unfinished: VecDeque::new(),
            leaving: Vec::new(),
            overdue: VecDeque::new(),
            lingering: VecDeque::new(),
            close_timeout,
            max_mailbox_bytes,
            doors: (0..driver.listeners()).map(|_| Door::default()).collect(),
            openings: Openings::default(),
            entering: Entering::default(),
            raw: Raw::new(controllers, side),
            gauges,
            awaiting: HashMap::new(),
            next_ticket: 0,
            shipped: vec![0; mailboxes.len()],
            sys,
            stopping: None,
            mailboxes,
            driver,
        }
    }

    /// Serves everything that is ready.
    pub(crate) fn turn(&mut self, ready: &[Ready]) {
        self.now = self.driver.now();
        self.take_news();
        self.openings.begin_turn();
        if let Some(desk) = &mut self.desk {
            desk.begin_turn(self.now);
        }
        // What the core wants before anything has happened: to read what the store has.
        self.drain(None);
        self.take_mail();
        self.serve_ready(ready);
        self.read_again();
        self.accept();
        self.run_timers();
        self.ship();
        self.flush();
        // Writing makes room, which may release messages and paused publishers, whose mail is due in this turn too.
        self.ship();
    }

    /// How long nothing is to be done without new readiness or mail; `None` = for ever.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let busy = !self.unfinished.is_empty() || (!self.again.is_empty() && !self.is_held_back());
        if busy || self.doors.iter().any(|door| door.is_open(self.now)) {
            return Some(Duration::ZERO);
        }
        self.next_deadline()
            .map(|deadline| deadline.since(self.now))
    }

    /// When the next timer is due.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let retry = (!self.again.is_empty()).then(|| self.now.saturating_add(PEER_BACKLOG_RETRY));
        [
            self.core.next_deadline(),
            self.overdue.front().map(|&(deadline, _)| deadline),
            self.lingering.front().map(|&(deadline, _)| deadline),
            self.doors.iter().filter_map(Door::reopens).min(),
            self.openings.next_deadline(),
            self.sys.as_ref().map(SysTopics::next_due),
            self.stopping.as_ref().map(|stopping| stopping.deadline),
            retry,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The report of a worker that was asked to end and has nothing left to do, or no time left to do it.
    pub(crate) fn finished(&self) -> Option<WorkerReport> {
        let stopping = self.stopping.as_ref()?;
        if !self.links.is_empty() && self.now < stopping.deadline {
            return None;
        }
        Some(WorkerReport {
            connections: stopping.connections,
            cut: self.links.unfinished(),
            stats: *self.core.stats(),
        })
    }

    fn serve_ready(&mut self, ready: &[Ready]) {
        let held_back = self.is_held_back();
        for &ready in ready {
            match ready {
                Ready::Listener(index) => self.knock(index),
                Ready::Writable { slot } => self.unblock(slot),
                Ready::Readable { slot, ended } => {
                    let Some(key) = self.links.key_at(slot) else {
                        continue;
                    };
                    let until = if ended {
                        self.note_end(key);
                        ReadUntil::Blocked
                    } else {
                        ReadUntil::Short
                    };
                    if held_back {
                        self.read_later(key, until);
                    } else {
                        self.receive(key, until);
                    }
                }
            }
        }
        self.resume_all();
    }

    fn run_timers(&mut self) {
        let now = self.now;
        if self
            .core
            .next_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.handle(tidewire_core::Input::Timeout);
        }
        self.cut_overdue();
        self.cut_slow_openings();
        self.tick_sys();
        self.resume_all();
    }

    /// Whether some peer is so far behind that this worker must not feed it more. That peer rings once it has caught up.
    fn is_held_back(&self) -> bool {
        let crowded = |mailbox: &Arc<Mailbox<D::Transport>>| {
            let crowded = mailbox.backlog() > PEER_BACKLOG_MAX
                || mailbox.backlog_bytes() > self.max_mailbox_bytes;
            if crowded {
                mailbox.note_crowded();
            }
            crowded
        };
        self.mailboxes.len() > 1 && self.mailboxes.iter().any(crowded)
    }
}
