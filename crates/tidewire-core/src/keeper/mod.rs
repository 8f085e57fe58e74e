//! The core's side of the store: what is on its way there, and what its answers set going.
//!
//! Nothing here waits. A message that somebody is owed on disk is handed to the store, and delivered and acknowledged when
//! the answer comes; a session's record, cursor, bindings and will are written as they change.

pub(crate) mod cursors_of;
mod horizon;
pub(crate) mod publish;
mod qos2;
mod reading;
mod record;
mod sessions;
pub(crate) mod subscribe;
mod warm;

use crate::ack::Permit;
use crate::ack_lane::{AckLane, Receipt};
use crate::config::StoreConfig;
use crate::core::Core;
use crate::keys::{ConnKey, SessionKey, WorkerId};
use crate::message::Message;
use crate::output::Output;
use crate::route::interest::Interest;
use crate::store::{
    Durability, Location, SessionName, StoreAnswer, StoreOp, StoreRequest, StoreTicket,
    Unavailability,
};
use crate::timers::Timer;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use horizon::Round;
pub(crate) use horizon::name_of;
use publish::Lanes;
use std::collections::{BTreeMap, VecDeque};
use tidewire_codec::PacketId;
use warm::Warmth;

/// Between two attempts to store what the store had no room for.
const RETRY_AFTER_MILLIS: u64 = 200;

/// What a core keeps of its dealings with the store.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) config: StoreConfig,
    pending: Slab,
    lanes: Lanes,
    /// The highest version of a retained message that was given or seen.
    last_version: u64,
    round: Round,
    warmth: Warmth,
    /// Clients whose CONNECT waits for the store, each with the connections in line.
    admitting: BTreeMap<SessionName, VecDeque<ConnKey>>,
    /// Lanes of connections that have ended while something in them waits.
    pub(crate) parted: HashMap<ConnKey, Box<AckLane>, FixedState>,
    /// Requests that the store had no room for.
    again: VecDeque<(StoreRequest, Pending)>,
    /// A deadline for them is on the wheel.
    again_timed: bool,
    next_read: u32,
}

/// What goes on when the store has answered.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Deliver and acknowledge.
    Publish {
        message: Message,
        receipt: Option<Receipt>,
        owed: bool,
    },
    /// A message in the lane of its topic.
    Topic { hash: u64, number: u64 },
    /// The session's record has been read: a CONNECT goes on.
    Load(ConnKey, SessionName),
    /// The session's record is written: CONNACK.
    Admit(ConnKey, SessionName),
    /// SUBACK.
    Subscribe(Box<subscribe::Subscribed>),
    /// UNSUBACK.
    Unsubscribe(Box<subscribe::Unsubscribed>),
    /// PUBCOMP: the identifier is released.
    Release { conn: ConnKey, id: PacketId },
    /// PUBREC for a message that is repeated.
    Repeat { receipt: Receipt },
    /// PUBLISH: the identifier is bound.
    Bind { session: SessionKey, id: PacketId },
    /// PUBREL: it is noted that PUBREC has come.
    Note { session: SessionKey, id: PacketId },
    /// A page of what a session is owed.
    Page {
        session: SessionKey,
        shard: u16,
        name: u32,
    },
    /// A message that a session has bound to an identifier.
    BoundPage { session: SessionKey, at: Location },
    /// A session's cursor has to be known, as too much waits for it.
    Close(SessionKey),
    /// A page of sessions, wills or retained messages after a restart.
    Warm,
    /// Where all has been answered.
    Heads { round: u32 },
    /// Nothing waits for it.
    Lazy,
}

/// Requests that are out, by ticket.
#[derive(Debug, Default)]
struct Slab {
    slots: Vec<(u32, Option<Pending>)>,
    free: Vec<u32>,
}

impl Slab {
    fn insert(&mut self, pending: Pending) -> StoreTicket {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let mut generation = 0;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.1 = Some(pending);
            generation = place.0;
        }
        StoreTicket(u64::from(generation) << 32 | u64::from(slot))
    }

    fn remove(&mut self, ticket: StoreTicket) -> Option<Pending> {
        let slot = u32::try_from(ticket.0 & u64::from(u32::MAX)).ok()?;
        let place = self.slots.get_mut(slot as usize)?;
        if u64::from(place.0) != ticket.0 >> 32 {
            return None;
        }
        let pending = place.1.take()?;
        place.0 = place.0.wrapping_add(1);
        self.free.push(slot);
        Some(pending)
    }

    fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl Keeper {
    pub(crate) fn new(config: StoreConfig, workers: u16, seed: u64) -> Self {
        let shards = config.shards;
        Self {
            config,
            pending: Slab::default(),
            lanes: Lanes::default(),
            last_version: 0,
            round: Round::new(shards),
            warmth: Warmth::new(workers),
            admitting: BTreeMap::new(),
            parted: HashMap::with_hasher(FixedState::with_seed(seed)),
            again: VecDeque::new(),
            again_timed: false,
            next_read: 0,
        }
    }

    /// Requests that are out or wait for room.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len() + self.again.len()
    }
}

impl Core {
    /// Sends a request out.
    pub(crate) fn ask_store(&mut self, request: StoreRequest, pending: Pending) {
        if let Some(keeper) = &mut self.keeper {
            let ticket = keeper.pending.insert(pending);
            self.stats.store_waiting = keeper.waiting() as u64;
            self.outputs.push_back(Output::Store { ticket, request });
        }
    }

    /// Writes changes of a session.
    pub(crate) fn write_session(
        &mut self,
        name: SessionName,
        durability: Durability,
        ops: Vec<StoreOp>,
        pending: Pending,
    ) {
        let request = StoreRequest::Write {
            name,
            durability,
            ops,
        };
        self.ask_store(request, pending);
    }

    pub(crate) fn on_stored(
        &mut self,
        interest: &Interest,
        ticket: StoreTicket,
        answer: StoreAnswer,
    ) {
        let keeper = self.keeper.as_mut();
        let Some(pending) = keeper.and_then(|keeper| keeper.pending.remove(ticket)) else {
            return;
        };
        self.stats.store_waiting = self.keeper.as_ref().map_or(0, |k| k.waiting() as u64);
        match pending {
            Pending::Publish {
                message,
                receipt,
                owed,
            } => self.on_publish_stored(interest, message, receipt, owed, &answer),
            Pending::Topic { hash, number } => {
                self.on_topic_stored(interest, hash, number, &answer);
            }
            Pending::Load(conn, name) => self.on_loaded(interest, conn, &name, answer),
            Pending::Admit(conn, name) => {
                self.on_admission_stored(interest, conn, &name, &answer);
            }
            Pending::Subscribe(subscribed) => self.on_subscription_stored(*subscribed, answer),
            Pending::Unsubscribe(unsubscribed) => {
                self.on_unsubscription_stored(interest, *unsubscribed, &answer);
            }
            Pending::Release { conn, id } => self.on_release_stored(interest, conn, id, &answer),
            Pending::Repeat { receipt } => self.on_repeat_stored(interest, receipt, &answer),
            Pending::Bind { session, id } => self.on_bound(session, id, &answer),
            Pending::Note { session, id } => self.on_noted(session, id, &answer),
            Pending::Page {
                session,
                shard,
                name,
            } => self.on_page(session, shard, name, answer),
            Pending::BoundPage { session, at } => {
                self.on_bound_page(interest, session, at, answer);
            }
            Pending::Close(session) => self.on_loaded_to_close(session, answer),
            Pending::Warm => self.on_warm_page(interest, answer),
            Pending::Heads { round } => self.on_heads(round, answer),
            Pending::Lazy => self.on_lazy(&answer),
        }
    }

    /// Sends a request again after a while: the store had no room for it.
    fn try_again(&mut self, request: StoreRequest, pending: Pending) {
        self.stats.store_retries += 1;
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        keeper.again.push_back((request, pending));
        if !keeper.again_timed {
            keeper.again_timed = true;
            let wait = std::time::Duration::from_millis(RETRY_AFTER_MILLIS);
            self.timers
                .schedule(self.now.saturating_add(wait), Timer::StoreAgain);
        }
    }

    pub(crate) fn on_store_again(&mut self) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        keeper.again_timed = false;
        for (request, pending) in std::mem::take(&mut keeper.again) {
            self.ask_store(request, pending);
        }
    }

    /// What nobody waits for could not be written: what it says will be written again with the next change, or is lost
    /// with this process, which costs repetitions.
    fn on_lazy(&mut self, answer: &StoreAnswer) {
        if !matches!(answer, StoreAnswer::Stored { .. }) {
            self.stats.store_failures += 1;
        }
    }

    /// How far what comes through a listener, about a topic, has to be before it is acknowledged.
    pub(crate) fn durability_of(&self, listener: Option<u16>, topic: &str) -> Durability {
        let Some(keeper) = &self.keeper else {
            return Durability::Memory;
        };
        let matching =
            |(filter, _): &&(Box<str>, Durability)| tidewire_codec::topic::matches(filter, topic);
        if let Some((_, durability)) = keeper.config.topics.iter().find(matching) {
            return *durability;
        }
        self.listener_durability(listener)
    }

    pub(crate) fn listener_durability(&self, listener: Option<u16>) -> Durability {
        let Some(keeper) = &self.keeper else {
            return Durability::Memory;
        };
        let policy = listener.and_then(|at| self.config.listeners.get(usize::from(at)));
        policy.map_or(keeper.config.durability, |policy| policy.durability)
    }
}

/// The permit that a store's answer is.
pub(crate) fn permit_of(
    answer: &StoreAnswer,
) -> Result<(Permit, Location), Option<Unavailability>> {
    match answer {
        StoreAnswer::Stored { at } => Ok((Permit::of_store(*at), *at)),
        StoreAnswer::Unavailable(why) => Err(Some(*why)),
        _ => Err(None),
    }
}

/// The worker itself.
pub(crate) fn is_here(core: &Core, worker: WorkerId) -> bool {
    core.config.worker == worker
}
