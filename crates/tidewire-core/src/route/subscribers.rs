//! Who subscribed to one filter on this worker.

use std::collections::BTreeMap;
use tidewire_codec::SubscriptionOptions;

/// Up to here a list is smaller and faster than a tree.
const LIST_MAX: usize = 8;

/// One session's subscription to the filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Subscriber {
    pub(crate) session: u32,
    pub(crate) options: SubscriptionOptions,
    /// Subscription Identifier, 0 = none.
    pub(crate) identifier: u32,
    /// What it is owed is stored.
    pub(crate) kept: bool,
}

/// What the worker's index keeps for a filter.
#[derive(Debug, Default)]
pub(crate) struct FilterEntry {
    subscribers: Subscribers,
    /// How many of them are owed what is stored.
    kept: u32,
    /// Slots of the shared groups with this filter that this worker owns.
    #[allow(
        clippy::box_collection,
        reason = "8 bytes in every filter's entry instead of 24"
    )]
    groups: Option<Box<Vec<u32>>>,
}

#[derive(Debug, Default)]
enum Subscribers {
    #[default]
    None,
    One(Subscriber),
    List(Vec<Subscriber>),
    Tree(BTreeMap<u32, Subscriber>),
}

impl FilterEntry {
    /// Sets a session's subscription; tells whether the filter had no subscriber before.
    pub(crate) fn set(&mut self, subscriber: Subscriber) -> bool {
        let was_kept = self.find(subscriber.session).is_some_and(|old| old.kept);
        self.kept += u32::from(subscriber.kept);
        self.kept -= u32::from(was_kept);
        match &mut self.subscribers {
            Subscribers::None => {
                self.subscribers = Subscribers::One(subscriber);
                true
            }
            Subscribers::One(one) if one.session == subscriber.session => {
                *one = subscriber;
                false
            }
            Subscribers::One(one) => {
                self.subscribers = Subscribers::List(vec![*one, subscriber]);
                false
            }
            Subscribers::List(list) => {
                if let Some(known) = list
                    .iter_mut()
                    .find(|known| known.session == subscriber.session)
                {
                    *known = subscriber;
                } else if list.len() < LIST_MAX {
                    list.push(subscriber);
                } else {
                    let all = list.iter().copied().chain([subscriber]);
                    let tree = all.map(|each| (each.session, each)).collect();
                    self.subscribers = Subscribers::Tree(tree);
                }
                false
            }
            Subscribers::Tree(tree) => {
                tree.insert(subscriber.session, subscriber);
                false
            }
        }
    }

    /// Removes a session's subscription; tells whether it was the last one.
    pub(crate) fn remove(&mut self, session: u32) -> bool {
        let was_kept = self.find(session).is_some_and(|old| old.kept);
        self.kept -= u32::from(was_kept);
        let now_empty = match &mut self.subscribers {
            Subscribers::None => return false,
            Subscribers::One(one) => one.session == session,
            Subscribers::List(list) => {
                list.retain(|known| known.session != session);
                list.is_empty()
            }
            Subscribers::Tree(tree) => {
                tree.remove(&session);
                tree.is_empty()
            }
        };
        if now_empty {
            self.subscribers = Subscribers::None;
        }
        now_empty
    }

    /// Enters a shared group; returns its place, which the group keeps so that it can be taken out without a search.
    pub(crate) fn add_group(&mut self, group: u32) -> usize {
        let groups = self.groups.get_or_insert_default();
        groups.push(group);
        groups.len() - 1
    }

    /// Takes out the group at a place; returns the group that is there now, if one has moved.
    pub(crate) fn remove_group(&mut self, place: usize) -> Option<u32> {
        let groups = self.groups.as_mut()?;
        if place < groups.len() {
            groups.swap_remove(place);
        }
        let moved = groups.get(place).copied();
        if groups.is_empty() {
            self.groups = None;
        }
        moved
    }

    /// Slots of the shared groups with this filter that this worker owns.
    pub(crate) fn groups(&self) -> &[u32] {
        self.groups.as_deref().map_or(&[], Vec::as_slice)
    }

    /// Whether somebody is owed what is stored.
    pub(crate) fn is_stored(&self) -> bool {
        self.kept > 0
    }

    fn find(&self, session: u32) -> Option<&Subscriber> {
        match &self.subscribers {
            Subscribers::None => None,
            Subscribers::One(one) => Some(one).filter(|one| one.session == session),
            Subscribers::List(list) => list.iter().find(|known| known.session == session),
            Subscribers::Tree(tree) => tree.get(&session),
        }
    }

    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Subscriber)) {
        match &self.subscribers {
            Subscribers::None => {}
            Subscribers::One(one) => visit(one),
            Subscribers::List(list) => list.iter().for_each(visit),
            Subscribers::Tree(tree) => tree.values().for_each(visit),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.subscribers, Subscribers::None) && self.groups.is_none()
    }
}
