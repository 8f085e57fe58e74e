//! Shared subscription groups: one owner each, the worker of hash(share name, filter), which picks the member.

use crate::config::{Limits, SharedStrategy};
use crate::keys::{SessionAddress, WorkerId};
use crate::message::{Message, Parts};
use foldhash::fast::FixedState;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use tidewire_codec::Qos;

/// Which group chose a session for a message, so that the message finds back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupMark {
    pub(crate) owner: WorkerId,
    pub(crate) group: GroupKey,
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

#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) address: SessionAddress,
    pub(crate) options: MemberOptions,
    presence: Presence,
    /// Messages given to it and not finished; kept for least-in-flight.
    in_flight: u32,
}

#[derive(Debug)]
pub(crate) struct Group {
    share: Box<str>,
    filter: Box<str>,
    members: Vec<Member>,
    /// Whose turn it is; for the sticky strategy, whose it stays.
    turn: usize,
    /// Messages that wait for any member to come back.
    waiting: VecDeque<Message>,
    waiting_bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Groups {
    slots: Vec<(u32, Option<Group>)>,
    free: Vec<u32>,
    by_name: std::collections::BTreeMap<(Box<str>, Box<str>), u32>,
}

/// What became of a message that found no member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waiting {
    Kept { bytes: u64 },
    Full,
}

impl Groups {
    /// The group of that name, made if there is none; tells whether it is new.
    pub(crate) fn get_or_make(&mut self, share: &str, filter: &str) -> (GroupKey, bool) {
        if let Some(key) = self.find(share, filter) {
            return (key, false);
        }
        let group = Group {
            share: share.into(),
            filter: filter.into(),
            members: Vec::new(),
            turn: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
        };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push((0, None));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.by_name.insert((share.into(), filter.into()), slot);
        let mut generation = 0;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.1 = Some(group);
            generation = place.0;
        }
        (GroupKey { slot, generation }, true)
    }

    pub(crate) fn find(&self, share: &str, filter: &str) -> Option<GroupKey> {
        let slot = *self.by_name.get(&(Box::from(share), Box::from(filter)))?;
        let generation = self.slots.get(slot as usize)?.0;
        Some(GroupKey { slot, generation })
    }

    /// The key of the live group in a slot.
    pub(crate) fn key_of(&self, slot: u32) -> Option<GroupKey> {
        let (generation, group) = self.slots.get(slot as usize)?;
        group.as_ref().map(|_| GroupKey {
            slot,
            generation: *generation,
        })
    }

    pub(crate) fn get_mut(&mut self, key: GroupKey) -> Option<&mut Group> {
        let (generation, group) = self.slots.get_mut(key.slot as usize)?;
        group.as_mut().filter(|_| *generation == key.generation)
    }

    /// Takes a group out once its last member has left; returns it for its filter and its waiting messages.
    pub(crate) fn remove_if_empty(&mut self, key: GroupKey) -> Option<Group> {
        if !self.get_mut(key)?.members.is_empty() {
            return None;
        }
        let place = self.slots.get_mut(key.slot as usize)?;
        place.0 = place.0.wrapping_add(1);
        let group = place.1.take()?;
        self.by_name
            .remove(&(group.share.clone(), group.filter.clone()));
        self.free.push(key.slot);
        Some(group)
    }
}

impl Group {
    /// Enters a member or changes its options; tells whether it is new.
    pub(crate) fn join(
        &mut self,
        address: SessionAddress,
        options: MemberOptions,
        presence: Presence,
    ) -> bool {
        if let Some(member) = self
            .members
            .iter_mut()
            .find(|member| member.address == address)
        {
            member.options = options;
            member.presence = presence;
            return false;
        }
        self.members.push(Member {
            address,
            options,
            presence,
            in_flight: 0,
        });
        true
    }

    /// Tells whether it was a member.
    pub(crate) fn leave(&mut self, address: SessionAddress) -> bool {
        let Some(at) = self
            .members
            .iter()
            .position(|member| member.address == address)
        else {
            return false;
        };
        self.members.remove(at);
        if at < self.turn {
            self.turn -= 1;
        }
        true
    }

    pub(crate) fn set_presence(&mut self, address: SessionAddress, presence: Presence) {
        if let Some(member) = self
            .members
            .iter_mut()
            .find(|member| member.address == address)
        {
            member.presence = presence;
            if presence == Presence::Offline {
                member.in_flight = 0;
            }
        }
    }

    pub(crate) fn started(&mut self, address: SessionAddress) {
        if let Some(member) = self
            .members
            .iter_mut()
            .find(|member| member.address == address)
        {
            member.in_flight += 1;
        }
    }

    pub(crate) fn finished(&mut self, address: SessionAddress) {
        if let Some(member) = self
            .members
            .iter_mut()
            .find(|member| member.address == address)
        {
            member.in_flight = member.in_flight.saturating_sub(1);
        }
    }

    /// The connected members in the order in which they should be asked, at most [`ASKED_MAX`].
    pub(crate) fn candidates(
        &mut self,
        strategy: SharedStrategy,
        parts: &Parts<'_>,
        into: &mut Vec<Member>,
    ) {
        into.clear();
        let count = self.members.len();
        if count == 0 {
            return;
        }
        let first = self.first(strategy, parts);
        let (before, from) = self.members.split_at(first.min(count));
        let online = from
            .iter()
            .chain(before)
            .filter(|member| member.presence == Presence::Online);
        into.extend(online.take(ASKED_MAX).cloned());
    }

    fn first(&mut self, strategy: SharedStrategy, parts: &Parts<'_>) -> usize {
        let count = self.members.len();
        match strategy {
            SharedStrategy::RoundRobin => {
                let first = self.turn % count;
                self.turn = first + 1;
                first
            }
            SharedStrategy::Sticky => {
                let online = |member: &Member| member.presence == Presence::Online;
                if !self.members.get(self.turn).is_some_and(online) {
                    self.turn = self.members.iter().position(online).unwrap_or(0);
                }
                self.turn
            }
            SharedStrategy::LeastInFlight => {
                // Equals take turns, so that an idle group is not all on its first member.
                let start = self.turn % count;
                self.turn = start + 1;
                let load = |at: &usize| {
                    let member = self.members.get(*at);
                    member
                        .filter(|m| m.presence == Presence::Online)
                        .map_or(u32::MAX, |m| m.in_flight)
                };
                (0..count)
                    .map(|step| (start + step) % count)
                    .min_by_key(load)
                    .unwrap_or(start)
            }
            SharedStrategy::HashPublisher => {
                pick(parts.origin.map_or("", |origin| &origin.client_id), count)
            }
            SharedStrategy::HashTopic => pick(parts.topic, count),
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

    pub(crate) fn has_online_member(&self) -> bool {
        self.members
            .iter()
            .any(|member| member.presence == Presence::Online)
    }

    /// Everything that has been waiting, and its bytes.
    pub(crate) fn take_waiting(&mut self) -> (VecDeque<Message>, u64) {
        (
            std::mem::take(&mut self.waiting),
            std::mem::take(&mut self.waiting_bytes),
        )
    }

    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }
}

/// Members asked before a message waits or is dropped: bounds the work of one publish to a large, full group.
pub(crate) const ASKED_MAX: usize = 16;

fn pick(text: &str, count: usize) -> usize {
    let hash = FixedState::with_seed(0).hash_one(text);
    usize::try_from(hash % count as u64).unwrap_or(0)
}
