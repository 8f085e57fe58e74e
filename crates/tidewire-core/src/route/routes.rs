//! The route cache: topic -> who gets its messages, dropped by epochs.

use crate::keys::WorkerSet;
use crate::outbound::Identifiers;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use tidewire_codec::Qos;

/// Where a topic's messages go. The topic has been validated when a route for it exists.
#[derive(Debug, Default)]
pub(crate) struct Route {
    pub(crate) topic: String,
    hash: u64,
    /// Sessions of this worker, one entry each (two with No Local on some) however many of their subscriptions match.
    pub(crate) targets: Vec<Target>,
    /// Slots of the shared groups that this worker owns.
    pub(crate) groups: Vec<u32>,
    /// Other workers that have somebody for the topic.
    pub(crate) workers: WorkerSet,
    /// Somebody, here or elsewhere, is owed the topic's messages on disk.
    pub(crate) stored: bool,
    /// State of the two indexes when it was last found to be current.
    pub(crate) seen: (u64, u64),
    /// Epochs of the two indexes that it was made under.
    pub(crate) epochs: (u64, u64),
    /// What the cache counts for it.
    counted_bytes: usize,
}

/// One session's share in a route: its matching subscriptions merged \[5.0 MQTT-3.3.4-2\]. A session that has No Local on
/// some of them has two: one for other clients' messages, one for its own.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) session: u32,
    pub(crate) qos: Qos,
    pub(crate) audience: Audience,
    pub(crate) retain_as_published: bool,
    pub(crate) identifiers: Identifiers,
}

/// Whose messages a target takes \[5.0 MQTT-3.8.3-3\].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Audience {
    Everybody,
    /// Every matching subscription has No Local, or those without it have a target of their own.
    Others,
    /// The session itself: what its matching subscriptions without No Local say, where others have it.
    Itself,
}

impl Route {
    fn heap_bytes(&self) -> usize {
        let identifiers: usize = self
            .targets
            .iter()
            .map(|target| target.identifiers.heap_bytes())
            .sum();
        self.topic.capacity()
            + self.targets.capacity() * size_of::<Target>()
            + self.groups.capacity() * size_of::<u32>()
            + identifiers
    }

    pub(crate) fn leads_nowhere(&self) -> bool {
        self.targets.is_empty() && self.groups.is_empty() && self.workers.is_empty()
    }
}

/// A bounded number of routes; the oldest slot in turn makes room.
#[derive(Debug)]
pub(crate) struct RouteCache {
    state: FixedState,
    table: HashTable<u32>,
    routes: Vec<Route>,
    capacity: usize,
    hand: usize,
    /// Bytes of all routes, and how many they may be.
    bytes: usize,
    max_bytes: usize,
}

impl RouteCache {
    pub(crate) fn new(seed: u64, capacity: u32, max_bytes: u64) -> Self {
        Self {
            state: FixedState::with_seed(seed),
            table: HashTable::new(),
            routes: Vec::new(),
            capacity: (capacity as usize).max(1),
            hand: 0,
            bytes: 0,
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        }
    }

    /// The slot that holds the topic's route, current or not.
    pub(crate) fn find(&self, topic: &[u8]) -> Option<u32> {
        let hash = self.state.hash_one(topic);
        let same = |slot: &u32| {
            self.routes
                .get(*slot as usize)
                .is_some_and(|route| route.topic.as_bytes() == topic)
        };
        self.table.find(hash, same).copied()
    }

    /// Whether a slot holds this topic's route: spares the hash for a connection that repeats itself.
    pub(crate) fn holds(&self, slot: u32, topic: &[u8]) -> bool {
        self.routes
            .get(slot as usize)
            .is_some_and(|route| route.topic.as_bytes() == topic)
    }

    /// Makes room for a topic that is not there and returns its slot, with an empty route in it.
    pub(crate) fn claim(&mut self, topic: &str) -> u32 {
        let slot = if self.routes.len() < self.capacity {
            self.routes.push(Route::default());
            self.routes.len() - 1
        } else {
            let slot = self.hand;
            self.hand = (slot + 1) % self.capacity;
            self.forget(slot);
            slot
        };
        let hash = self.state.hash_one(topic.as_bytes());
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        let routes = &self.routes;
        self.table.insert_unique(hash, slot, |other| {
            routes.get(*other as usize).map_or(0, |route| route.hash)
        });
        if let Some(route) = self.routes.get_mut(slot as usize) {
            route.topic.clear();
            route.topic.push_str(topic);
            route.hash = hash;
            route.epochs = (u64::MAX, u64::MAX);
            route.seen = (u64::MAX, u64::MAX);
        }
        slot
    }

    /// Whether the route in a slot was found to be current in this state of the indexes.
    #[inline]
    pub(crate) fn is_current(&self, slot: u32, state: (u64, u64)) -> bool {
        self.routes
            .get(slot as usize)
            .is_some_and(|route| route.seen == state)
    }

    /// Takes a route out of its slot for the time of one publish; [`RouteCache::put`] brings it back.
    pub(crate) fn take(&mut self, slot: u32) -> Route {
        self.routes
            .get_mut(slot as usize)
            .map(std::mem::take)
            .unwrap_or_default()
    }

    pub(crate) fn put(&mut self, slot: u32, route: Route) {
        if let Some(place) = self.routes.get_mut(slot as usize) {
            *place = route;
        }
    }

    /// Counts a route that has been made anew while it was out of its slot, and makes room for it if the cache has come to
    /// hold too many bytes.
    pub(crate) fn recount(&mut self, slot: u32, route: &mut Route) {
        let bytes = route.heap_bytes();
        self.bytes = self.bytes + bytes - route.counted_bytes;
        route.counted_bytes = bytes;
        for _ in 0..self.routes.len() {
            if self.bytes <= self.max_bytes {
                return;
            }
            let victim = self.hand % self.routes.len();
            self.hand = (victim + 1) % self.capacity;
            if victim != slot as usize {
                self.forget(victim);
                if let Some(route) = self.routes.get_mut(victim) {
                    self.bytes -= route.counted_bytes;
                    *route = Route::default();
                }
            }
        }
    }

    fn forget(&mut self, slot: usize) {
        let Some(route) = self.routes.get(slot) else {
            return;
        };
        let entry = self
            .table
            .find_entry(route.hash, |other| *other as usize == slot);
        if let Ok(entry) = entry {
            entry.remove();
        }
    }
}
