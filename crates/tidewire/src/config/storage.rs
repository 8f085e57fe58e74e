//! The keys that say how far a message has to be before it is acknowledged.

use super::key::{Access, Key, Kind, Section};
use super::table::{key, meaning, word};
use super::value::Value;
use tidewire_core::Durability;

/// Words for the policies.
const POLICIES: &[(&str, Durability)] = &[
    ("memory", Durability::Memory),
    ("os", Durability::Os),
    ("sync", Durability::Sync),
];

/// Topics that are kept otherwise than their listener says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct TopicPolicies {
    /// In memory.
    pub(crate) memory: Vec<String>,
    /// Written, not synced.
    pub(crate) os: Vec<String>,
    /// Synced.
    pub(crate) sync: Vec<String>,
}

impl TopicPolicies {
    /// All of them; the first that matches holds, the safest first.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, Durability)> {
        fn with(
            filters: &[String],
            durability: Durability,
        ) -> impl Iterator<Item = (&str, Durability)> {
            filters.iter().map(move |filter| (&**filter, durability))
        }
        with(&self.sync, Durability::Sync)
            .chain(with(&self.os, Durability::Os))
            .chain(with(&self.memory, Durability::Memory))
    }
}

macro_rules! topics {
    ($name:literal, $field:ident, $doc:literal) => {
        key(
            Section::Broker,
            $name,
            Kind::Texts,
            "",
            $doc,
            Access::Broker {
                get: |config| match &*config.topics.$field {
                    [] => Value::Unset,
                    filters => Value::Texts(filters.to_vec()),
                },
                set: |config, value| {
                    if let Value::Texts(filters) = value {
                        config.topics.$field = filters;
                    }
                },
            },
        )
    };
}

/// In the order of the reference.
pub(super) static KEYS: &[Key] = &[
    key(
        Section::Listener,
        "durability",
        Kind::Choice(&["memory", "os", "sync"]),
        "",
        "How far a message of QoS 1 or 2 that somebody is owed has to be before it is acknowledged: `sync`, on disk for good; \
         `os`, written but not synced, so that it survives the broker but not a power loss; `memory`. The sessions of clients that \
         come through it are kept likewise. Without a data directory (`--dev`) everything is in memory.",
        Access::Listener {
            get: |listener| Value::Choice(word(POLICIES, &listener.durability)),
            set: |listener, value| {
                if let Value::Choice(chosen) = value
                    && let Some(policy) = meaning(POLICIES, chosen)
                {
                    listener.durability = policy;
                }
            },
        },
    ),
    topics!(
        "sync_topics",
        sync,
        "Topic filters whose messages are kept with `sync` whatever their listener says; these come before `os_topics` and `memory_topics`."
    ),
    topics!(
        "os_topics",
        os,
        "Topic filters whose messages are kept with `os` whatever their listener says."
    ),
    topics!(
        "memory_topics",
        memory,
        "Topic filters whose messages are kept in memory only, whatever their listener says."
    ),
];
