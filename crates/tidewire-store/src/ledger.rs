//! What every engine does with a group: look whether it may be stored, and enter what it says into the table.

use crate::group::{
    CursorState, Expect, GROUP_MESSAGES_MAX, Group, Op, decode_filters, encode_binding, ops,
};
use crate::names::{Owner, SessionName, ShardId, Version};
use crate::request::{Outcome, Refusal};
use crate::table::{Table, cursor_key, id_key, kind, owner_key, retained_key, session_key};
use crate::wire::{Reader, put_short, put_u64};
use std::collections::HashMap;

/// What a store keeps at most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one group.
    pub max_group_bytes: usize,
    /// Retained messages.
    pub max_retained: u64,
    /// Bytes of retained messages.
    pub max_retained_bytes: u64,
}

impl Default for Limits {
    /// One MQTT packet of the largest size and its surroundings; a million retained messages in a gigabyte.
    fn default() -> Self {
        Self {
            max_group_bytes: 300 << 20,
            max_retained: 1_000_000,
            max_retained_bytes: 1 << 30,
        }
    }
}

/// The table and the rules for changing it.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) table: Table,
    pub(crate) shards: u16,
    /// The next group's sequence number. One count for all shards, so that it orders what they hold.
    pub(crate) next_seq: u64,
    limits: Limits,
}

impl Ledger {
    pub(crate) fn new(shards: u16, limits: Limits) -> Self {
        Self {
            table: Table::default(),
            shards,
            next_seq: 1,
            limits,
        }
    }

    /// Whether a group may be stored as things are; else why not.
    pub(crate) fn check(&self, shard: ShardId, group: &Group) -> Result<(), Outcome> {
        if shard.0 >= self.shards {
            return Err(Outcome::Refused(Refusal::NoSuchShard));
        }
        if group.size_bytes() > self.limits.max_group_bytes || group.messages() > GROUP_MESSAGES_MAX
        {
            return Err(Outcome::Refused(Refusal::TooLarge));
        }
        if is_only_one_message(group.bytes(), group) {
            return Ok(());
        }
        let mut appended: Vec<&str> = Vec::new();
        let (mut retained, mut retained_bytes) = (0, 0);
        for op in ops(group.bytes()) {
            if session_of(&op).is_some_and(|name| name.home(self.shards) != shard) {
                return Err(Outcome::Refused(Refusal::Misrouted));
            }
            match &op {
                Op::Append { message, .. } => appended.push(message.topic),
                Op::Fence { name, expect } => self
                    .expect(name, *expect)
                    .map_err(|current| Outcome::Fenced { current })?,
                Op::PutSession { name, expect, .. } | Op::DeleteSession { name, expect } => {
                    self.expect(name, *expect)
                        .map_err(|current| Outcome::Conflict { current })?;
                }
                Op::Retain { topic, record, .. } => {
                    retained += self.is_new_topic(topic);
                    retained_bytes += record.len() as u64;
                }
                Op::RetainAppended { index, .. } => {
                    let topic = appended.get(usize::from(*index)).copied().unwrap_or("");
                    retained += self.is_new_topic(topic);
                    retained_bytes += group.size_bytes() as u64;
                }
                _ => {}
            }
        }
        self.check_retained(retained, retained_bytes)
    }

    fn check_retained(&self, more: u64, bytes: u64) -> Result<(), Outcome> {
        let counts = self.table.counts();
        let too_many = more > 0 && counts.retained + more > self.limits.max_retained;
        let too_large = bytes > 0 && counts.retained_bytes + bytes > self.limits.max_retained_bytes;
        if too_many || too_large {
            return Err(Outcome::Refused(Refusal::RetainedFull));
        }
        Ok(())
    }

    /// Gives the next sequence number away.
    pub(crate) fn take_seq(&mut self) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    /// Enters a group into the table. The same for one that was just accepted and for one that is read after a restart.
    pub(crate) fn apply(&mut self, shard: ShardId, seq: u64, bytes: &[u8]) {
        let by = (shard, seq);
        let mut appended: Vec<(&str, &[u8])> = Vec::new();
        for op in ops(bytes) {
            match op {
                Op::Append { message, record } => appended.push((message.topic, record)),
                Op::Fence { .. } => {}
                Op::RetainAppended { index, version } => {
                    if let Some((topic, record)) = appended.get(usize::from(index)) {
                        self.retain(by, topic, version, record);
                    }
                }
                Op::Retain {
                    version,
                    record,
                    topic,
                } => self.retain(by, topic, version, record),
                Op::Unretain { version, topic } => {
                    let key = retained_key(topic);
                    if self
                        .table
                        .get(&key)
                        .is_some_and(|old| old.version < version)
                    {
                        self.table.remove(by, &key);
                    }
                }
                other => self.apply_owned(by, other),
            }
        }
    }

    fn retain(&mut self, by: (ShardId, u64), topic: &str, version: u64, record: &[u8]) {
        let key = retained_key(topic);
        if self.table.get(&key).is_none_or(|old| old.version < version) {
            self.table.set(by, key, version, record);
        }
    }

    fn apply_owned(&mut self, by: (ShardId, u64), op: Op<'_>) {
        let seq = by.1;
        let mut value = Vec::new();
        match op {
            Op::PutSession { name, record, .. } => {
                self.table
                    .set(by, session_key(kind::SESSION, &name), seq, record);
            }
            Op::DeleteSession { name, .. } => {
                self.table.remove(by, &session_key(kind::SESSION, &name));
                self.table.remove_all(by, &session_key(kind::MARK, &name));
                self.table
                    .remove_all(by, &session_key(kind::BINDING, &name));
                self.delete_owner(by, &Owner::Session(name));
            }
            Op::Mark { name, packet_id } => {
                self.table
                    .set(by, id_key(kind::MARK, &name, packet_id), seq, &[]);
            }
            Op::Unmark { name, packet_id } => {
                self.table.remove(by, &id_key(kind::MARK, &name, packet_id));
            }
            Op::Bind { name, binding } => {
                encode_binding(&mut value, binding);
                let key = id_key(kind::BINDING, &name, binding.packet_id);
                self.table.set(by, key, seq, &value);
            }
            Op::Unbind { name, packet_id } => {
                self.table
                    .remove(by, &id_key(kind::BINDING, &name, packet_id));
            }
            Op::PutOwner { owner, filters } => {
                let key = owner_key(kind::OWNER, &owner);
                let old = self
                    .table
                    .get(&key)
                    .and_then(|old| self.table.value_in_memory(old));
                put_owner(&mut value, old, seq, filters);
                self.table.set(by, key, seq, &value);
            }
            Op::DeleteOwner { owner } => self.delete_owner(by, &owner),
            Op::PutCursor {
                owner,
                shard,
                cursor,
            } => self.put_cursor(by, &owner, shard, &cursor),
            Op::PutWill { name, will } => {
                self.table
                    .set(by, session_key(kind::WILL, &name), seq, will);
            }
            Op::DeleteWill { name } => self.table.remove(by, &session_key(kind::WILL, &name)),
            _ => {}
        }
    }

    fn put_cursor(
        &mut self,
        by: (ShardId, u64),
        owner: &Owner,
        shard: ShardId,
        cursor: &CursorState,
    ) {
        if self.table.get(&owner_key(kind::OWNER, owner)).is_some() {
            let mut value = Vec::new();
            cursor.encode(&mut value);
            self.table.set(by, cursor_key(owner, shard), by.1, &value);
        }
    }

    fn delete_owner(&mut self, by: (ShardId, u64), owner: &Owner) {
        self.table.remove(by, &owner_key(kind::OWNER, owner));
        self.table.remove_all(by, &owner_key(kind::CURSOR, owner));
    }

    fn is_new_topic(&self, topic: &str) -> u64 {
        u64::from(self.table.get(&retained_key(topic)).is_none())
    }

    fn expect(&self, name: &SessionName, expect: Expect) -> Result<(), Option<Version>> {
        let entry = self.table.get(&session_key(kind::SESSION, name));
        let current = entry.map(|entry| Version(entry.version));
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => current.is_none(),
            Expect::Version(version) => current == Some(version),
        };
        if holds { Ok(()) } else { Err(current) }
    }
}

/// Most groups by far: nothing in them can be refused.
fn is_only_one_message(bytes: &[u8], group: &Group) -> bool {
    if group.messages() != 1 {
        return false;
    }
    let mut all = ops(bytes);
    matches!(all.next(), Some(Op::Append { .. })) && all.next().is_none()
}

fn session_of<'o>(op: &'o Op<'_>) -> Option<&'o SessionName> {
    match op {
        Op::PutSession { name, .. }
        | Op::DeleteSession { name, .. }
        | Op::Fence { name, .. }
        | Op::Mark { name, .. }
        | Op::Unmark { name, .. }
        | Op::Bind { name, .. }
        | Op::Unbind { name, .. }
        | Op::PutWill { name, .. }
        | Op::DeleteWill { name } => Some(name),
        _ => None,
    }
}

/// Set in an owner's first number where each filter has its own; rows of older builds have not.
const SINCE_EACH: u64 = 1 << 63;

/// An owner's value: from which group on it is owed messages, and for each filter from which group on it has had it.
fn put_owner(value: &mut Vec<u8>, old: Option<&[u8]>, seq: u64, filters: &[u8]) {
    put_u64(value, old.and_then(start_of).unwrap_or(seq) | SINCE_EACH);
    let known: HashMap<&str, u64> = old.into_iter().flat_map(interest_of).collect();
    for filter in decode_filters(filters) {
        put_u64(value, known.get(filter).copied().unwrap_or(seq));
        put_short(value, filter.as_bytes());
    }
}

/// An owner's filters with the group from which on it has had each, from its value.
pub(crate) fn interest_of(value: &[u8]) -> impl Iterator<Item = (&str, u64)> {
    let mut from = Reader::new(value);
    let first = from.u64().unwrap_or(0);
    std::iter::from_fn(move || {
        let since = if first & SINCE_EACH == 0 {
            first
        } else {
            from.u64()?
        };
        Some((from.short_str()?, since))
    })
}

/// From which group on an owner is owed messages; it stands in front of its filters.
pub(crate) fn start_of(value: &[u8]) -> Option<u64> {
    Reader::new(value).u64().map(|first| first & !SINCE_EACH)
}
