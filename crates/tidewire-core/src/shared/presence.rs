//! Which members of this owner's groups are connected: told once for each session, however many groups it is in, and
//! looked up by a group when it needs a member.

use crate::keys::SessionAddress;
use crate::shared::{GroupKey, Presence};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A session's place in [`Presences`]; good while the session is in one of the owner's groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PresenceSlot(u32);

#[derive(Debug)]
pub(super) struct Presences {
    places: HashMap<SessionAddress, PresenceSlot, FixedState>,
    slots: Vec<Known>,
    free: Vec<PresenceSlot>,
}

#[derive(Debug)]
struct Known {
    presence: Presence,
    /// How many of the owner's groups it is in.
    groups: u32,
    /// Groups that found it away and pass over it until they are told that it is back.
    passed_over_by: Vec<GroupKey>,
}

impl Presences {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            places: HashMap::with_hasher(FixedState::with_seed(seed)),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// A session enters one more group. One that is in none yet has just subscribed, so its client is there.
    pub(super) fn enter(&mut self, address: SessionAddress) -> PresenceSlot {
        if let Some(slot) = self.places.get(&address).copied() {
            if let Some(known) = self.slots.get_mut(slot.0 as usize) {
                known.groups += 1;
            }
            return slot;
        }
        let known = Known {
            presence: Presence::Online,
            groups: 1,
            passed_over_by: Vec::new(),
        };
        let slot = if let Some(slot) = self.free.pop() {
            if let Some(place) = self.slots.get_mut(slot.0 as usize) {
                *place = known;
            }
            slot
        } else {
            self.slots.push(known);
            PresenceSlot(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
        };
        self.places.insert(address, slot);
        slot
    }

    /// A session leaves one of its groups.
    pub(super) fn leave(&mut self, address: SessionAddress) {
        let Some(slot) = self.places.get(&address).copied() else {
            return;
        };
        let Some(known) = self.slots.get_mut(slot.0 as usize) else {
            return;
        };
        known.groups -= 1;
        if known.groups == 0 {
            known.passed_over_by = Vec::new();
            self.places.remove(&address);
            self.free.push(slot);
        }
    }

    /// Notes whether a session's client is there; returns the groups that pass over it, if it is.
    pub(super) fn set(&mut self, address: SessionAddress, presence: Presence) -> Vec<GroupKey> {
        let place = self.places.get(&address).copied();
        let Some(known) = place.and_then(|slot| self.slots.get_mut(slot.0 as usize)) else {
            return Vec::new();
        };
        known.presence = presence;
        match presence {
            Presence::Online => std::mem::take(&mut known.passed_over_by),
            Presence::Offline => Vec::new(),
        }
    }

    #[inline]
    pub(super) fn is_online(&self, slot: PresenceSlot) -> bool {
        self.slots
            .get(slot.0 as usize)
            .is_some_and(|known| known.presence == Presence::Online)
    }

    /// A group passes over a session until it is told.
    pub(super) fn pass_over(&mut self, slot: PresenceSlot, group: GroupKey) {
        if let Some(known) = self.slots.get_mut(slot.0 as usize) {
            known.passed_over_by.push(group);
        }
    }
}
