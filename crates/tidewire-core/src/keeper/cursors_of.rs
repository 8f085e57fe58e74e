//! A session's cursors, one for each shard.

use crate::cursors::{Feed, ShardCursor};
use crate::store::{Location, StoredCursor};
use std::sync::Arc;
use tidewire_codec::PacketId;

/// The cursors of one session whose state is loaded.
#[derive(Debug)]
pub(crate) struct Cursors {
    pub(crate) shards: Box<[ShardCursor]>,
    /// The filters of what it is owed, made when they are needed.
    pub(crate) filters: Option<Arc<[Box<str>]>>,
    /// Identifiers of outgoing QoS 2 messages that are complete, and still bound on disk.
    pub(crate) completed: Vec<PacketId>,
    /// Bound messages that are being read after a restart.
    pub(crate) awaited: Vec<(Location, PacketId)>,
    /// The store knows it as an owner.
    pub(crate) owned: bool,
    /// It stands on the worker's list of sessions with something to record.
    pub(crate) listed: bool,
}

impl Cursors {
    /// Of a session that is new.
    pub(crate) fn new(shards: u16, from: u64) -> Self {
        Self::of((0..shards).map(|_| ShardCursor::new(from)))
    }

    /// As they were recorded.
    pub(crate) fn load(shards: u16, cursors: Vec<StoredCursor>, horizons: &[u64]) -> Self {
        let mut cursors = cursors.into_iter();
        Self::of((0..usize::from(shards)).map(|shard| {
            let horizon = horizons.get(shard).copied().unwrap_or(0);
            cursors.next().map_or_else(
                || ShardCursor::new(0),
                |cursor| ShardCursor::load(cursor, horizon),
            )
        }))
    }

    fn of(shards: impl Iterator<Item = ShardCursor>) -> Self {
        Self {
            shards: shards.collect(),
            filters: None,
            completed: Vec::new(),
            awaited: Vec::new(),
            owned: false,
            listed: false,
        }
    }

    pub(crate) fn at_mut(&mut self, at: Location) -> Option<&mut ShardCursor> {
        self.shards.get_mut(usize::from(at.shard))
    }

    /// Whether something is to be read from the store.
    pub(crate) fn is_behind(&self) -> bool {
        self.shards.iter().any(|shard| shard.feed == Feed::Behind)
    }

    /// Whether a message of it is in memory.
    pub(crate) fn holds_open(&self) -> bool {
        self.shards.iter().any(ShardCursor::holds_open)
    }
}
