//! The state beside the messages: one ordered map from keys to values, of which the bulky ones live in the checkpoint.

use crate::names::{Owner, SessionName, ShardId};
use crate::wire::{Reader, put_long, put_u64};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use tidewire_log::RecordFile;

/// What a key's first byte says; the order is that of the table.
pub(crate) mod kind {
    pub(crate) const BINDING: u8 = b'b';
    pub(crate) const CURSOR: u8 = b'c';
    pub(crate) const MARK: u8 = b'm';
    pub(crate) const OWNER: u8 = b'o';
    pub(crate) const RETAINED: u8 = b'r';
    pub(crate) const SESSION: u8 = b's';
    pub(crate) const WILL: u8 = b'w';
}

/// A value and when it was written.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The group that wrote it.
    pub(crate) seq: u64,
    /// Of a retained message its topic's version; else the same as `seq`.
    pub(crate) version: u64,
    pub(crate) place: Place,
}

/// Where a value is.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    Memory(Box<[u8]>),
    /// In a checkpoint file; `bytes` is the length of the whole record body there.
    Disk {
        at: u64,
        generation: u32,
        bytes: u32,
    },
}

/// What a change replaced, so that it can be taken back while its group is not written.
#[derive(Debug)]
struct Undone {
    shard: ShardId,
    seq: u64,
    key: Box<[u8]>,
    old: Option<Entry>,
}

/// The map, and the files that its values live in.
#[derive(Debug, Default)]
pub(crate) struct Table {
    map: BTreeMap<Box<[u8]>, Entry>,
    undo: Vec<Undone>,
    /// Checkpoints that entries refer to: the last one, and the one before while its entries move.
    checkpoints: Vec<(u32, RecordFile)>,
    counts: Counts,
}

/// How much there is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Counts {
    pub(crate) sessions: u64,
    pub(crate) owners: u64,
    pub(crate) retained: u64,
    pub(crate) retained_bytes: u64,
    /// Keys, and values in memory.
    pub(crate) memory_bytes: u64,
    /// What a checkpoint of it has to write, about.
    pub(crate) total_bytes: u64,
}

impl Table {
    pub(crate) fn set(&mut self, by: (ShardId, u64), key: Vec<u8>, version: u64, value: &[u8]) {
        let entry = Entry {
            seq: by.1,
            version,
            place: Place::Memory(value.into()),
        };
        let key = key.into_boxed_slice();
        self.count(&key, &entry, true);
        let old = self.map.insert(key.clone(), entry);
        if let Some(old) = &old {
            self.count(&key, old, false);
        }
        self.undo.push(Undone {
            shard: by.0,
            seq: by.1,
            key,
            old,
        });
    }

    pub(crate) fn remove(&mut self, by: (ShardId, u64), key: &[u8]) {
        if let Some((key, old)) = self.map.remove_entry(key) {
            self.count(&key, &old, false);
            self.undo.push(Undone {
                shard: by.0,
                seq: by.1,
                key,
                old: Some(old),
            });
        }
    }

    /// Removes all keys that begin with `prefix`.
    pub(crate) fn remove_all(&mut self, by: (ShardId, u64), prefix: &[u8]) {
        let keys: Vec<_> = self
            .with_prefix(prefix)
            .map(|(key, _)| key.to_vec())
            .collect();
        keys.iter().for_each(|key| self.remove(by, key));
    }

    /// What was changed is written.
    pub(crate) fn keep_changes(&mut self) {
        self.undo.clear();
    }

    /// Takes back, newest first, what groups of these shards changed that could not be written.
    pub(crate) fn take_back(&mut self, failed: &[ShardId]) {
        for undone in std::mem::take(&mut self.undo).into_iter().rev() {
            let now = self.map.get(&undone.key).map(|entry| entry.seq);
            // A later group of a shard that was written may have changed it again.
            let overtaken = now.is_some_and(|seq| seq != undone.seq);
            if !failed.contains(&undone.shard) || overtaken {
                continue;
            }
            if let Some(new) = self.map.remove(&undone.key) {
                self.count(&undone.key, &new, false);
            }
            if let Some(old) = undone.old {
                self.count(&undone.key, &old, true);
                self.map.insert(undone.key, old);
            }
        }
    }

    /// Enters a value that a checkpoint file holds.
    pub(crate) fn load(&mut self, key: &[u8], entry: Entry) {
        self.count(key, &entry, true);
        if let Some(old) = self.map.insert(key.into(), entry) {
            self.count(key, &old, false);
        }
    }

    /// A checkpoint holds this value at that place: if it is still the current one and bulky, memory lets go of it.
    pub(crate) fn settle(&mut self, key: &[u8], seq: u64, place: Place) {
        let Some(entry) = self.map.get_mut(key).filter(|entry| entry.seq == seq) else {
            return;
        };
        if !lives_on_disk(key) {
            return;
        }
        if let Place::Memory(value) = &entry.place {
            self.counts.memory_bytes = self.counts.memory_bytes.saturating_sub(value.len() as u64);
        }
        entry.place = place;
    }

    pub(crate) fn add_checkpoint(&mut self, generation: u32, file: RecordFile) {
        self.checkpoints.push((generation, file));
    }

    /// Lets go of older checkpoint files. Entries that still refer to one could not be read for the new one: they are
    /// lost, and counted.
    pub(crate) fn drop_older_checkpoints(&mut self, newest: u32) -> u64 {
        self.checkpoints
            .retain(|(generation, _)| *generation >= newest);
        let is_lost = |entry: &Entry| matches!(entry.place, Place::Disk { generation, .. } if generation < newest);
        let lost: Vec<_> = self
            .map
            .iter()
            .filter(|(_, entry)| is_lost(entry))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &lost {
            if let Some(entry) = self.map.remove(key) {
                self.count(key, &entry, false);
            }
        }
        lost.len() as u64
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&Entry> {
        self.map.get(key)
    }

    /// An entry's value; `None` if the disk has damaged it.
    pub(crate) fn value(&self, key: &[u8], entry: &Entry) -> io::Result<Option<Vec<u8>>> {
        match &entry.place {
            Place::Memory(value) => Ok(Some(value.to_vec())),
            Place::Disk { .. } => Ok(self.record(key, entry)?.and_then(|record| {
                let row = Row::decode(&record)?;
                (row.key == key).then(|| row.value.to_vec())
            })),
        }
    }

    /// The value in memory; `None` for one that lives on disk.
    pub(crate) fn value_in_memory<'e>(&self, entry: &'e Entry) -> Option<&'e [u8]> {
        match &entry.place {
            Place::Memory(value) => Some(value),
            Place::Disk { .. } => None,
        }
    }

    /// What a checkpoint writes for an entry.
    pub(crate) fn record(&self, key: &[u8], entry: &Entry) -> io::Result<Option<Vec<u8>>> {
        match entry.place {
            Place::Memory(ref value) => {
                let mut record = Vec::with_capacity(key.len() + value.len() + 20);
                Row {
                    key,
                    seq: entry.seq,
                    version: entry.version,
                    value,
                }
                .encode(&mut record);
                Ok(Some(record))
            }
            Place::Disk {
                at,
                generation,
                bytes,
            } => {
                let file = self.checkpoints.iter().find(|(g, _)| *g == generation);
                match file {
                    Some((_, file)) => file.body_at(at, bytes as usize),
                    None => Ok(None),
                }
            }
        }
    }

    /// Entries whose keys begin with `prefix`, in order.
    pub(crate) fn with_prefix<'t>(
        &'t self,
        prefix: &'t [u8],
    ) -> impl Iterator<Item = (&'t [u8], &'t Entry)> {
        self.from(prefix, Bound::Included(prefix))
    }

    /// As [`Table::with_prefix`], from a key on.
    pub(crate) fn from<'t>(
        &'t self,
        prefix: &'t [u8],
        start: Bound<&[u8]>,
    ) -> impl Iterator<Item = (&'t [u8], &'t Entry)> {
        self.map
            .range::<[u8], _>((start, Bound::Unbounded))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, entry)| (&**key, entry))
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    fn count(&mut self, key: &[u8], entry: &Entry, added: bool) {
        let change = |number: &mut u64, by: u64| {
            *number = if added {
                *number + by
            } else {
                number.saturating_sub(by)
            };
        };
        let (in_memory, value) = match &entry.place {
            Place::Memory(value) => (value.len() as u64, value.len() as u64),
            // The record has the key and 20 bytes more, so that it comes out even wherever the value lives.
            Place::Disk { bytes, .. } => {
                (0, u64::from(*bytes).saturating_sub(key.len() as u64 + 20))
            }
        };
        let counts = &mut self.counts;
        change(&mut counts.memory_bytes, key.len() as u64 + in_memory);
        change(&mut counts.total_bytes, key.len() as u64 + value + 40);
        match key.first() {
            Some(&kind::SESSION) => change(&mut counts.sessions, 1),
            Some(&kind::OWNER) => change(&mut counts.owners, 1),
            Some(&kind::RETAINED) => {
                change(&mut counts.retained, 1);
                change(&mut counts.retained_bytes, key.len() as u64 + value);
            }
            _ => {}
        }
    }
}

/// Values that are read when their client comes, or a subscription: not needed to decide anything.
pub(crate) fn lives_on_disk(key: &[u8]) -> bool {
    matches!(
        key.first(),
        Some(&(kind::SESSION | kind::RETAINED | kind::WILL))
    )
}

/// One entry as a checkpoint holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) seq: u64,
    pub(crate) version: u64,
    pub(crate) value: &'a [u8],
}

impl<'a> Row<'a> {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        put_long(into, self.key);
        put_u64(into, self.seq);
        put_u64(into, self.version);
        into.extend_from_slice(self.value);
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        Some(Self {
            key: from.long()?,
            seq: from.u64()?,
            version: from.u64()?,
            value: from.rest(),
        })
    }
}

pub(crate) fn session_key(kind: u8, name: &SessionName) -> Vec<u8> {
    let mut key = vec![kind];
    name.encode(&mut key);
    key
}

/// Of a mark or a binding.
pub(crate) fn id_key(kind: u8, name: &SessionName, packet_id: u16) -> Vec<u8> {
    let mut key = session_key(kind, name);
    key.extend_from_slice(&packet_id.to_be_bytes());
    key
}

/// Of an owner's interest, or, with a shard behind it, of a cursor.
pub(crate) fn owner_key(kind: u8, owner: &Owner) -> Vec<u8> {
    let mut key = vec![kind];
    owner.encode(&mut key);
    key
}

pub(crate) fn cursor_key(owner: &Owner, shard: ShardId) -> Vec<u8> {
    let mut key = owner_key(kind::CURSOR, owner);
    key.extend_from_slice(&shard.0.to_be_bytes());
    key
}

pub(crate) fn retained_key(topic: &str) -> Vec<u8> {
    let mut key = vec![kind::RETAINED];
    key.extend_from_slice(topic.as_bytes());
    key
}

/// The packet identifier at the end of a mark's or binding's key.
pub(crate) fn id_in_key(key: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*key.last_chunk()?))
}
