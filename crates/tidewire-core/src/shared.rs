//! Shared subscription groups: one owner each, the worker of hash(share name, filter), which picks the member.

mod homes;
mod members;
mod presence;

use crate::config::{Limits, SharedStrategy};
use crate::keys::{SessionAddress, WorkerId};
use crate::message::{Message, Parts};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use homes::Homes;
pub(crate) use members::Member;
use members::Members;
use presence::Presences;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use tidewire_codec::Qos;

/// Which group chose a session for a message, so that the message finds back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupMark {
    pub(crate) owner: WorkerId,
    pub(crate) group: GroupKey,
    pub(crate) counting: Counting,
}

/// Whether the group's owner counts a delivery as in flight, and wants to hear of its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counting {
    Counted,
    /// QoS 0 is never in flight, and only one strategy asks.
    Uncounted,
}

/// Names a group within its owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupKey {
    pub(crate) slot: u32,
    generation: u32,
}

/// What a member subscribed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MemberOptions {
    pub(crate) qos: Qos,
    pub(crate) retain_as_published: bool,
    /// Subscription Identifier, 0 = none.
    pub(crate) identifier: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    Online,
    Offline,
}

#[derive(Debug)]
pub(crate) struct Group {
    share: Box<str>,
    filter: Box<str>,
    members: Members,
    /// Where its slot is in the index entry of its filter.
    pub(crate) place_in_entry: usize,
    /// Messages that wait for any member to come back.
    waiting: VecDeque<Message>,
    waiting_bytes: u64,
}

/// The groups that this worker owns, and what it has to know about groups elsewhere.
#[derive(Debug)]
pub(crate) struct Groups {
    slots: Vec<(u32, Option<Group>)>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    state: FixedState,
    presences: Presences,
    /// For this worker's sessions, whoever owns their groups.
    pub(crate) homes: Homes,
}

/// What became of a message that found no member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waiting {
    Kept { bytes: u64 },
    Full,
}

impl Groups {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            state: FixedState::with_seed(seed),
            presences: Presences::new(seed),
            homes: Homes::new(seed),
        }
    }

    /// The group of that name, made if there is none; tells whether it is new.
    pub(crate) fn get_or_make(&mut self, share: &str, filter: &str) -> (GroupKey, bool) {
        if let Some(key) = self.find(share, filter) {
            return (key, false);
        }
        let group = Group {
            share: share.into(),
            filter: filter.into(),
            members: Members::default(),
            place_in_entry: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        let mut generation = 0;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.1 = Some(group);
            generation = place.0;
        }
        let hash = self.state.hash_one((share, filter));
        let (slots, state) = (&self.slots, &self.state);
        self.by_name.insert_unique(hash, slot, |other| {
            let group = slots.get(*other as usize).and_then(|(_, g)| g.as_ref());
            group.map_or(0, |group| state.hash_one((&*group.share, &*group.filter)))
        });
        (GroupKey { slot, generation }, true)
    }

    pub(crate) fn get_mut(&mut self, key: GroupKey) -> Option<&mut Group> {
        let (generation, group) = self.slots.get_mut(key.slot as usize)?;
        group.as_mut().filter(|_| *generation == key.generation)
    }

    /// Enters a member or changes its options; tells whether it is new.
    pub(crate) fn join(
        &mut self,
        key: GroupKey,
        address: SessionAddress,
        options: MemberOptions,
    ) -> bool {
        let Some(group) = group_in(&mut self.slots, key) else {
            return false;
        };
        if let Some(member) = group.member_mut(address) {
            member.options = options;
            return false;
        }
        group.members.push(Member {
            address,
            options,
            presence: self.presences.enter(address),
            in_flight: 0,
        });
        true
    }

    /// Tells whether it was a member.
    pub(crate) fn leave(&mut self, key: GroupKey, address: SessionAddress) -> bool {
        let left = self.get_mut(key).and_then(|group| {
            let at = group.members.find(address)?;
            group.members.remove(at)
        });
        if left.is_some() {
            self.presences.leave(address);
        }
        left.is_some()
    }

    /// A session's client has come or gone; returns the groups that had passed over it and have it again.
    pub(crate) fn set_presence(
        &mut self,
        address: SessionAddress,
        presence: Presence,
    ) -> Vec<GroupKey> {
        let mut groups = self.presences.set(address, presence);
        groups.retain(|key| {
            let Some(group) = group_in(&mut self.slots, *key) else {
                return false;
            };
            let Some(at) = group.members.find(address) else {
                return false;
            };
            group.members.ask_again(at);
            true
        });
        groups
    }

    /// The connected members in the order in which they should be asked, at most [`ASKED_MAX`]. Members that turn out
    /// to be away are passed over from then on: whoever goes pays nothing for its groups, and each of them looks once.
    pub(crate) fn candidates(
        &mut self,
        key: GroupKey,
        strategy: SharedStrategy,
        parts: &Parts<'_>,
        into: &mut Vec<Member>,
    ) {
        into.clear();
        let Some(group) = group_in(&mut self.slots, key) else {
            return;
        };
        let presences = &mut self.presences;
        let first = loop {
            let first = group.first(strategy, parts);
            let Some(member) = group.members.asked().get(first) else {
                return;
            };
            if presences.is_online(member.presence) {
                break first;
            }
            presences.pass_over(member.presence, key);
            group.members.pass_over(first);
        };
        group.took_turn(strategy);
        let (before, from) = group.members.asked().split_at(first);
        let mut away = Vec::new();
        for member in from.iter().chain(before) {
            if into.len() == ASKED_MAX {
                break;
            }
            if presences.is_online(member.presence) {
                into.push(*member);
            } else {
                away.push(*member);
            }
        }
        for member in away {
            presences.pass_over(member.presence, key);
            if let Some(at) = group.members.find(member.address) {
                group.members.pass_over(at);
            }
        }
    }

    /// Takes a group out once its last member has left; returns it for its filter and its waiting messages.
    pub(crate) fn remove_if_empty(&mut self, key: GroupKey) -> Option<Group> {
        if !self.get_mut(key)?.members.is_empty() {
            return None;
        }
        let place = self.slots.get_mut(key.slot as usize)?;
        place.0 = place.0.wrapping_add(1);
        let group = place.1.take()?;
        let hash = self.state.hash_one((&*group.share, &*group.filter));
        if let Ok(entry) = self.by_name.find_entry(hash, |slot| *slot == key.slot) {
            entry.remove();
        }
        self.free.push(key.slot);
        Some(group)
    }

    /// Notes where a group is in the index entry of its filter.
    pub(crate) fn set_place_in_entry(&mut self, slot: u32, place: usize) {
        if let Some((_, Some(group))) = self.slots.get_mut(slot as usize) {
            group.place_in_entry = place;
        }
    }

    pub(crate) fn find(&self, share: &str, filter: &str) -> Option<GroupKey> {
        let hash = self.state.hash_one((share, filter));
        let named = |slot: &u32| {
            let group = self.slots.get(*slot as usize).and_then(|(_, g)| g.as_ref());
            group.is_some_and(|group| *group.share == *share && *group.filter == *filter)
        };
        let slot = *self.by_name.find(hash, named)?;
        self.key_of(slot)
    }

    /// The key of the live group in a slot.
    pub(crate) fn key_of(&self, slot: u32) -> Option<GroupKey> {
        let (generation, group) = self.slots.get(slot as usize)?;
        group.as_ref().map(|_| GroupKey {
            slot,
            generation: *generation,
        })
    }
}

/// As [`Groups::get_mut`], while the presences are borrowed too.
fn group_in(slots: &mut [(u32, Option<Group>)], key: GroupKey) -> Option<&mut Group> {
    let (generation, group) = slots.get_mut(key.slot as usize)?;
    group.as_mut().filter(|_| *generation == key.generation)
}

impl Group {
    /// Counts a message that is in flight to a member from now on.
    pub(crate) fn started(&mut self, address: SessionAddress) {
        if let Some(member) = self.member_mut(address) {
            member.in_flight = member.in_flight.saturating_add(1);
        }
    }

    /// Counts the end of a message that was in flight.
    pub(crate) fn finished(&mut self, address: SessionAddress) {
        if let Some(member) = self.member_mut(address) {
            member.in_flight = member.in_flight.saturating_sub(1);
        }
    }

    /// Keeps a message until a member comes back.
    pub(crate) fn wait(&mut self, message: Message, limits: &Limits) -> Waiting {
        let bytes = message.cost_bytes();
        let full = self.waiting.len() >= limits.max_queued_messages as usize
            || self.waiting_bytes.saturating_add(bytes) > limits.max_queued_bytes;
        if full {
            return Waiting::Full;
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(message);
        Waiting::Kept { bytes }
    }

    /// Everything that has been waiting, and its bytes.
    pub(crate) fn take_waiting(&mut self) -> (VecDeque<Message>, u64) {
        (
            std::mem::take(&mut self.waiting),
            std::mem::take(&mut self.waiting_bytes),
        )
    }

    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    fn member_mut(&mut self, address: SessionAddress) -> Option<&mut Member> {
        let at = self.members.find(address)?;
        self.members.get_mut(at)
    }

    /// Who is first in the order of a strategy, among those that are asked.
    fn first(&self, strategy: SharedStrategy, parts: &Parts<'_>) -> usize {
        let asked = self.members.asked();
        match strategy {
            SharedStrategy::RoundRobin => self.members.whose_turn(),
            // Whoever comes stands behind, and when the first one goes another takes its place.
            SharedStrategy::Sticky => 0,
            SharedStrategy::LeastInFlight => {
                // Equals take turns, so that an idle group is not all on its first member.
                let start = self.members.whose_turn();
                let (before, from) = asked.split_at(start);
                let places = (start..).zip(from).chain((0..).zip(before));
                places
                    .min_by_key(|(_, member)| member.in_flight)
                    .map_or(0, |(at, _)| at)
            }
            SharedStrategy::HashPublisher => {
                let publisher = parts.origin.map_or("", |origin| &origin.client_id);
                pick(publisher, asked.len())
            }
            SharedStrategy::HashTopic => pick(parts.topic, asked.len()),
        }
    }

    fn took_turn(&mut self, strategy: SharedStrategy) {
        if matches!(
            strategy,
            SharedStrategy::RoundRobin | SharedStrategy::LeastInFlight
        ) {
            self.members.next_turn();
        }
    }
}

/// Members asked before a message waits or is dropped: bounds the work of one publish to a large, full group.
pub(crate) const ASKED_MAX: usize = 16;

/// One of `count`, always the same for a text; 0 of none.
fn pick(text: &str, count: usize) -> usize {
    let hash = FixedState::with_seed(0).hash_one(text);
    usize::try_from(hash.checked_rem(count as u64).unwrap_or(0)).unwrap_or(0)
}
