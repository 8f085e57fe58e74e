//! Answers from the table.

use crate::group::{CursorState, decode_binding};
use crate::ledger::{Ledger, interest_of, start_of};
use crate::message::StoredMessage;
use crate::names::{Offset, Owner, SessionName, ShardId, Version};
use crate::request::{Answer, Request, RetainedPage, SessionRow, SessionState, Stats};
use crate::table::{
    Counts, Entry, cursor_key, id_in_key, kind, owner_key, retained_key, session_key,
};
use crate::wire::Reader;
use std::io;
use std::ops::Bound;
use tidewire_codec::topic;

impl Ledger {
    /// Answers what the table alone can answer.
    pub(crate) fn look_up(&self, request: &Request) -> io::Result<Answer> {
        match request {
            Request::Session(name) => self.session(name),
            Request::Sessions { after, most } => self.sessions(after.as_ref(), *most),
            Request::Wills { after, most } => self.wills(after.as_ref(), *most),
            Request::Retained {
                filter,
                after,
                most,
                now_ms,
            } => self.retained(filter, after.as_deref(), *most, *now_ms),
            Request::Cursors(owner) => Ok(Answer::Cursors(self.cursors(owner))),
            _ => Ok(Answer::Unreadable("not a question about the table".into())),
        }
    }

    fn session(&self, name: &SessionName) -> io::Result<Answer> {
        let key = session_key(kind::SESSION, name);
        let Some(entry) = self.table.get(&key) else {
            return Ok(Answer::Session(None));
        };
        let Some(record) = self.table.value(&key, entry)? else {
            return Ok(Answer::Unreadable(
                format!("the record of session {name} is damaged").into(),
            ));
        };
        let owner = Owner::Session(name.clone());
        let owned = self.owner_value(&owner);
        let state = SessionState {
            version: Version(entry.version),
            record: record.into(),
            marks: self.marks(name),
            bindings: self.bindings(name),
            filters: owned.map(|value| {
                let interest = interest_of(value);
                interest
                    .map(|(filter, since)| (filter.into(), Offset::new(since, 0)))
                    .collect()
            }),
            cursors: self.cursors(&owner).unwrap_or_default(),
            will: self.will(name)?,
        };
        Ok(Answer::Session(Some(Box::new(state))))
    }

    fn sessions(&self, after: Option<&SessionName>, most: usize) -> io::Result<Answer> {
        self.named(kind::SESSION, after, most).map(Answer::Sessions)
    }

    fn wills(&self, after: Option<&SessionName>, most: usize) -> io::Result<Answer> {
        let rows = self.named(kind::WILL, after, most)?;
        let rows = rows.into_iter();
        Ok(Answer::Wills(
            rows.map(|(name, _, value)| (name, value)).collect(),
        ))
    }

    fn retained(
        &self,
        filter: &str,
        after: Option<&str>,
        most: usize,
        now_ms: u64,
    ) -> io::Result<Answer> {
        let mut page = RetainedPage::default();
        if !topic::has_wildcards(filter) {
            let key = retained_key(filter);
            if let Some(entry) = self.table.get(&key) {
                page.messages
                    .extend(self.retained_message(&key, entry, now_ms)?);
            }
            return Ok(Answer::Retained(page));
        }
        let literal = filter.find(['+', '#']).unwrap_or(filter.len());
        // `a/#` matches `a` too, so the search begins with the level before the wildcard, without its slash.
        let literal = filter.get(..literal).unwrap_or_default();
        let prefix = retained_key(literal.strip_suffix('/').unwrap_or(literal));
        let behind = after.map(retained_key);
        let start = match &behind {
            Some(key) => Bound::Excluded(&**key),
            None => Bound::Included(&*prefix),
        };
        for (key, entry) in self.table.from(&prefix, start) {
            let topic = std::str::from_utf8(key.get(1..).unwrap_or_default()).unwrap_or_default();
            if !topic::matches(filter, topic) {
                continue;
            }
            if page.messages.len() >= most {
                let last = page.messages.last();
                page.after = last.map(|(_, message)| message.get().topic.into());
                break;
            }
            page.messages
                .extend(self.retained_message(key, entry, now_ms)?);
        }
        Ok(Answer::Retained(page))
    }

    /// One for each shard; `None` if the owner is not known.
    pub(crate) fn cursors(&self, owner: &Owner) -> Option<Vec<CursorState>> {
        let start = start_of(self.owner_value(owner)?)?;
        let shards = (0..self.shards).map(ShardId);
        Some(
            shards
                .map(|shard| self.cursor(owner, shard, start))
                .collect(),
        )
    }

    pub(crate) fn cursor(&self, owner: &Owner, shard: ShardId, start: u64) -> CursorState {
        let entry = self.table.get(&cursor_key(owner, shard));
        let value = entry.and_then(|entry| self.table.value_in_memory(entry));
        value
            .and_then(|value| CursorState::decode(&mut Reader::new(value)))
            .unwrap_or(CursorState {
                position: Offset::new(start, 0),
                acked: Vec::new(),
            })
    }

    fn owner_value(&self, owner: &Owner) -> Option<&[u8]> {
        let entry = self.table.get(&owner_key(kind::OWNER, owner))?;
        self.table.value_in_memory(entry)
    }

    fn marks(&self, name: &SessionName) -> Vec<u16> {
        let prefix = session_key(kind::MARK, name);
        let keys = self.table.with_prefix(&prefix);
        keys.filter_map(|(key, _)| id_in_key(key)).collect()
    }

    fn bindings(&self, name: &SessionName) -> Vec<crate::group::Binding> {
        let prefix = session_key(kind::BINDING, name);
        let entries = self.table.with_prefix(&prefix);
        entries
            .filter_map(|(key, entry)| {
                let value = self.table.value_in_memory(entry)?;
                decode_binding(id_in_key(key)?, &mut Reader::new(value))
            })
            .collect()
    }

    fn will(&self, name: &SessionName) -> io::Result<Option<Box<[u8]>>> {
        let key = session_key(kind::WILL, name);
        match self.table.get(&key) {
            Some(entry) => Ok(self.table.value(&key, entry)?.map(Into::into)),
            None => Ok(None),
        }
    }

    fn retained_message(
        &self,
        key: &[u8],
        entry: &Entry,
        now_ms: u64,
    ) -> io::Result<Option<(u64, StoredMessage)>> {
        let value = self.table.value(key, entry)?;
        let message = value.and_then(|value| StoredMessage::new(&value));
        let fresh = message.filter(|message| !message.get().is_expired(now_ms));
        Ok(fresh.map(|message| (entry.version, message)))
    }

    fn named(
        &self,
        kind: u8,
        after: Option<&SessionName>,
        most: usize,
    ) -> io::Result<Vec<SessionRow>> {
        let prefix = [kind];
        let behind = after.map(|name| session_key(kind, name));
        let start = match &behind {
            Some(key) => Bound::Excluded(&**key),
            None => Bound::Included(&prefix[..]),
        };
        let mut rows = Vec::new();
        for (key, entry) in self.table.from(&prefix, start) {
            if rows.len() >= most {
                break;
            }
            let name = SessionName::decode(&mut Reader::new(key.get(1..).unwrap_or_default()));
            // One whose value is damaged is passed over; asking for it by name tells.
            if let (Some(name), Some(value)) = (name, self.table.value(key, entry)?) {
                rows.push((name, Version(entry.version), value.into()));
            }
        }
        Ok(rows)
    }
}

impl Stats {
    pub(crate) fn count(&mut self, counts: Counts) {
        self.sessions = counts.sessions;
        self.owners = counts.owners;
        self.retained = counts.retained;
        self.retained_bytes = counts.retained_bytes;
        self.state_memory_bytes = counts.memory_bytes;
    }
}

/// An owner's filters, from its value.
pub(crate) fn filters_of(value: &[u8]) -> impl Iterator<Item = &str> {
    interest_of(value).map(|(filter, _)| filter)
}
