//! Topic aliases of one connection, both ways \[5.0 3.3.2.3.4\].

use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Aliases that the client has set.
#[derive(Debug, Default)]
pub(crate) struct InboundAliases {
    topics: Vec<Option<Box<str>>>,
}

impl InboundAliases {
    /// Sets an alias, which the caller has checked against the maximum.
    pub(crate) fn set(&mut self, alias: u16, topic: &str) {
        let at = usize::from(alias);
        if at >= self.topics.len() {
            self.topics.resize(at + 1, None);
        }
        if let Some(place) = self.topics.get_mut(at)
            && place.as_deref() != Some(topic)
        {
            *place = Some(topic.into());
        }
    }

    pub(crate) fn get(&self, alias: u16) -> Option<&str> {
        self.topics.get(usize::from(alias))?.as_deref()
    }
}

/// Topic text that the broker remembers for one connection's aliases: enough for 64 topics of ordinary length, and no
/// more than that where publishers use long ones.
const OUTBOUND_TEXT_MAX_BYTES: usize = 8 * 1024;

/// Aliases that the broker has given, first come first served; when all are given, further topics go without.
#[derive(Debug)]
pub(crate) struct OutboundAliases {
    maximum: u16,
    topics: Vec<Box<str>>,
    /// Bytes of `topics` in all.
    text_bytes: usize,
    table: HashTable<u16>,
    state: foldhash::fast::FixedState,
}

/// How to name a topic to the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OutboundAlias {
    /// By its name only.
    None,
    /// By its name, and this alias stands for it from now on.
    New(u16),
    /// By the alias alone.
    Known(u16),
}

impl OutboundAliases {
    pub(crate) fn new(maximum: u16, seed: u64) -> Self {
        Self {
            maximum,
            topics: Vec::new(),
            text_bytes: 0,
            table: HashTable::new(),
            state: foldhash::fast::FixedState::with_seed(seed),
        }
    }

    pub(crate) fn name(&self, topic: &str) -> OutboundAlias {
        let hash = self.state.hash_one(topic);
        let same = |at: &u16| {
            self.topics
                .get(usize::from(*at))
                .is_some_and(|known| **known == *topic)
        };
        match self.table.find(hash, same) {
            Some(at) => OutboundAlias::Known(at + 1),
            None if self.has_room_for(topic) => OutboundAlias::New(
                u16::try_from(self.topics.len())
                    .unwrap_or(u16::MAX)
                    .saturating_add(1),
            ),
            None => OutboundAlias::None,
        }
    }

    fn has_room_for(&self, topic: &str) -> bool {
        self.topics.len() < usize::from(self.maximum)
            && self.text_bytes + topic.len() <= OUTBOUND_TEXT_MAX_BYTES
    }

    /// The packet that introduces the alias is on its way.
    pub(crate) fn introduced(&mut self, topic: &str) {
        let at = u16::try_from(self.topics.len()).unwrap_or(u16::MAX);
        self.topics.push(topic.into());
        self.text_bytes += topic.len();
        let (state, topics) = (&self.state, &self.topics);
        let rehash =
            |other: &u16| state.hash_one(topics.get(usize::from(*other)).map_or("", |topic| topic));
        self.table.insert_unique(state.hash_one(topic), at, rehash);
    }
}
