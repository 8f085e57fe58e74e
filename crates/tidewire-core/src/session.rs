//! Sessions: what a client owns on its worker, connected or not.

use crate::admission::Will;
use crate::cursors::Gate;
use crate::keeper::cursors_of::Cursors;
use crate::keys::{ConnKey, SessionKey, Ticket};
use crate::message::Origin;
use crate::outbound::Outbound;
use crate::qos2_ids::PacketIdSet;
use crate::scans::Scans;
use crate::stats::Stats;
use crate::store::{Durability, Location};
use crate::subscriptions::Subscriptions;
use crate::time::Time;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;
use tidewire_codec::Version;

#[derive(Debug)]
pub(crate) struct Session {
    /// Client id, principal, address: shared with the session's messages.
    pub(crate) origin: Arc<Origin>,
    pub(crate) conn: Option<ConnKey>,
    /// Version of the live or last connection.
    pub(crate) version: Version,
    /// How long it outlives its connection; `u32::MAX` = for ever.
    pub(crate) expiry_secs: u32,
    /// When it ends if its client does not return; [`Time::NEVER`] while connected.
    pub(crate) ends: Time,
    /// Messages that may be in flight to the connected client at once.
    pub(crate) quota: u16,
    /// Retained scans whose results have to come before anything else.
    pub(crate) scans: Scans,
    pub(crate) subscriptions: Subscriptions,
    /// How many of them are shared.
    pub(crate) shared_subscriptions: u32,
    /// The question about a delivery that has left the queue; nothing else is sent before it is answered.
    pub(crate) clearing: Option<Ticket>,
    pub(crate) outbound: Option<Box<Outbound>>,
    /// QoS 2 messages received and not released.
    pub(crate) inbound: Option<Box<PacketIdSet>>,
    pub(crate) will: Option<Box<Will>>,
    /// When the will of a client that has gone is due; [`Time::NEVER`] while connected.
    pub(crate) will_due: Time,
    /// How it is kept; in memory only, if nothing else is said.
    pub(crate) kept: Durability,
    /// What it has done with of what is stored for it; `None` if it is not kept in a store, or not loaded.
    pub(crate) cursors: Option<Box<Cursors>>,
    /// Received QoS 2 identifiers that are noted in the store.
    pub(crate) marks: Option<Box<PacketIdSet>>,
    /// Messages that opened or closed its queue while its cursors, which have to say so, are being read.
    #[allow(
        clippy::box_collection,
        reason = "8 bytes in every session instead of 24"
    )]
    pub(crate) gates: Option<Box<Vec<(Location, Gate)>>>,
    /// Stored messages that wait for it on disk, as far as is known.
    pub(crate) behind: Behind,
}

/// What waits for a session on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Behind {
    pub(crate) messages: u32,
    pub(crate) bytes: u64,
}

impl Behind {
    pub(crate) fn add(&mut self, stats: &mut Stats, bytes: u64) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        stats.queued_messages += 1;
    }

    /// One was read, which need not have been counted: it may be from before a restart.
    pub(crate) fn take(&mut self, stats: &mut Stats, bytes: u64) {
        if self.messages > 0 {
            self.messages -= 1;
            stats.queued_messages = stats.queued_messages.saturating_sub(1);
        }
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    pub(crate) fn clear(&mut self, stats: &mut Stats) {
        let messages = u64::from(std::mem::take(self).messages);
        stats.queued_messages = stats.queued_messages.saturating_sub(messages);
    }
}

impl Session {
    pub(crate) fn new(origin: Arc<Origin>, version: Version) -> Self {
        Self {
            origin,
            conn: None,
            version,
            expiry_secs: 0,
            ends: Time::NEVER,
            quota: u16::MAX,
            scans: Scans::default(),
            subscriptions: Subscriptions::default(),
            shared_subscriptions: 0,
            clearing: None,
            outbound: None,
            inbound: None,
            will: None,
            will_due: Time::NEVER,
            kept: Durability::Memory,
            cursors: None,
            marks: None,
            gates: None,
            behind: Behind::default(),
        }
    }

    pub(crate) fn client_id(&self) -> &str {
        &self.origin.client_id
    }

    /// Whether a message of QoS 0 must not go out at once: retained ones, or others before it, come first, or one that
    /// handlers are asked about.
    #[inline]
    pub(crate) fn holds_qos0(&self) -> bool {
        !self.scans.is_empty()
            || self.clearing.is_some()
            || self
                .outbound
                .as_ref()
                .is_some_and(|outbound| outbound.holds_qos0())
    }

    /// The outbound queues, which a session that was never owed anything does not have.
    pub(crate) fn outbound_mut(&mut self) -> &mut Outbound {
        self.outbound.get_or_insert_default()
    }
}

/// The sessions of one worker.
#[derive(Debug)]
pub(crate) struct Sessions {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// By client id: sessions of one client id that belong to different principals are few.
    by_name: HashTable<u32>,
    state: FixedState,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    session: Option<Session>,
}

impl Sessions {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            state: FixedState::with_seed(seed),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The session of this principal and client id.
    pub(crate) fn find(&self, principal: Option<&str>, client_id: &str) -> Option<SessionKey> {
        let hash = self.state.hash_one(client_id);
        let same = |slot: &u32| {
            self.session_in(*slot)
                .is_some_and(|session| is_named(session, principal, client_id))
        };
        self.by_name
            .find(hash, same)
            .and_then(|slot| self.key_of(*slot))
    }

    /// All sessions with this client id, whosever they are.
    pub(crate) fn find_all(&self, client_id: &str) -> Vec<SessionKey> {
        let named = |slot: &&u32| {
            self.session_in(**slot)
                .is_some_and(|session| session.client_id() == client_id)
        };
        self.by_name
            .iter_hash(self.state.hash_one(client_id))
            .filter(named)
            .filter_map(|slot| self.key_of(*slot))
            .collect()
    }

    /// The key that the next session will have.
    pub(crate) fn next_key(&self) -> SessionKey {
        let slot = self
            .free
            .last()
            .copied()
            .unwrap_or(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        let generation = self
            .slots
            .get(slot as usize)
            .map_or(0, |slot| slot.generation);
        SessionKey { slot, generation }
    }

    /// Enters a session under [`Sessions::next_key`].
    pub(crate) fn insert(&mut self, session: Session) -> SessionKey {
        let key = self.next_key();
        let hash = self.state.hash_one(session.client_id());
        if self.free.pop().is_none() {
            self.slots.push(Slot {
                generation: 0,
                session: None,
            });
        }
        if let Some(slot) = self.slots.get_mut(key.slot as usize) {
            slot.session = Some(session);
        }
        let (slots, state) = (&self.slots, &self.state);
        self.by_name.insert_unique(hash, key.slot, |other| {
            let session = slots
                .get(*other as usize)
                .and_then(|slot| slot.session.as_ref());
            session.map_or(0, |session| state.hash_one(session.client_id()))
        });
        key
    }

    pub(crate) fn remove(&mut self, key: SessionKey) -> Option<Session> {
        let hash = self.state.hash_one(self.get(key)?.client_id());
        if let Ok(entry) = self.by_name.find_entry(hash, |slot| *slot == key.slot) {
            entry.remove();
        }
        let slot = self.slots.get_mut(key.slot as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        slot.session.take()
    }

    pub(crate) fn get(&self, key: SessionKey) -> Option<&Session> {
        let slot = self.slots.get(key.slot as usize)?;
        slot.session
            .as_ref()
            .filter(|_| slot.generation == key.generation)
    }

    pub(crate) fn get_mut(&mut self, key: SessionKey) -> Option<&mut Session> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        slot.session
            .as_mut()
            .filter(|_| slot.generation == key.generation)
    }

    /// The session in a slot: for references that are taken out before the session goes, such as the index's.
    #[inline]
    pub(crate) fn in_slot_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)?.session.as_mut()
    }

    pub(crate) fn session_in(&self, slot: u32) -> Option<&Session> {
        self.slots.get(slot as usize)?.session.as_ref()
    }

    pub(crate) fn key_of(&self, slot: u32) -> Option<SessionKey> {
        let generation = self.slots.get(slot as usize)?.generation;
        Some(SessionKey { slot, generation })
    }

    /// The live keys behind `after`, in order of their slots.
    pub(crate) fn keys_after(
        &self,
        after: Option<SessionKey>,
    ) -> impl Iterator<Item = SessionKey> + '_ {
        let start = after.map_or(0, |key| key.slot as usize + 1);
        self.slots
            .iter()
            .enumerate()
            .skip(start)
            .filter_map(|(at, slot)| {
                slot.session.as_ref()?;
                Some(SessionKey {
                    slot: u32::try_from(at).ok()?,
                    generation: slot.generation,
                })
            })
    }
}

fn name_of(session: &Session) -> (Option<&str>, &str) {
    (session.origin.principal.as_deref(), session.client_id())
}

fn is_named(session: &Session, principal: Option<&str>, client_id: &str) -> bool {
    name_of(session) == (principal, client_id)
}
