//! Reading messages of a shard.

use super::DurableEngine;
use crate::group::appended;
use crate::memory::is_wanted;
use crate::message::StoredMessage;
use crate::names::Offset;
use crate::request::{Page, Read};
use crate::topics::topics;
use std::io;
use tidewire_codec::topic;
use tidewire_log::{Cursor, Enter, Log, SegmentId};

/// Bytes that one page looks at, so that a filter that matches nothing does not hold up the engine.
const LOOKED_AT_BYTES: usize = 4 << 20;

impl DurableEngine {
    pub(super) fn read(&mut self, read: &Read) -> io::Result<Page> {
        let head = Offset::new(self.ledger.next_seq, 0);
        let mut page = Page {
            next: read.from.max(head),
            at_head: true,
            ..Page::default()
        };
        let Some(shard) = self.shards.get_mut(usize::from(read.shard.0)) else {
            return Ok(page);
        };
        // What waits for its sync may still turn out not to be stored.
        let visible = shard
            .waiting
            .front()
            .map_or(u64::MAX, |waiting| waiting.seq);
        let mut cursor = Cursor::new(read.from.seq());
        let (mut bytes, mut looked_at) = (0, 0);
        let log = &shard.log;
        let mut enter = |id| enter(log, read, id);
        while let Some(record) = cursor.next_in(log, &mut enter)? {
            let here = Offset::new(record.seq, 0);
            let full = page.messages.len() >= read.most || bytes >= read.most_bytes;
            if record.seq >= visible || full || looked_at >= LOOKED_AT_BYTES {
                page.next = here.max(read.from);
                page.at_head = record.seq >= visible;
                break;
            }
            looked_at += record.body.len();
            for (index, (bytes_of, message)) in appended(record.body).enumerate() {
                let offset = Offset::new(record.seq, u8::try_from(index).unwrap_or(u8::MAX));
                let wanted = offset >= read.from && is_wanted(read, message.topic);
                if wanted && !message.is_expired(read.now_ms) {
                    bytes += bytes_of.len();
                    page.messages
                        .extend(StoredMessage::new(bytes_of).map(|m| (offset, m)));
                }
            }
        }
        let damage = cursor.take_damage().len();
        page.damaged = u32::try_from(damage).unwrap_or(u32::MAX);
        shard.damaged += damage as u64;
        Ok(page)
    }
}

/// Whether a sealed segment has a topic that the reader wants.
fn enter(log: &Log, read: &Read, id: SegmentId) -> Enter {
    if read.filters.is_empty() {
        return Enter::Read;
    }
    // A dictionary that cannot be read costs time, not messages.
    let Ok(Some(digest)) = log.digest(id) else {
        return Enter::Read;
    };
    let Some(topics) = topics(&digest) else {
        return Enter::Read;
    };
    let wanted = |name: &str| {
        read.filters
            .iter()
            .any(|filter| topic::matches(filter, name))
    };
    if topics
        .iter()
        .any(|(name, _, last)| *last >= read.from && wanted(name))
    {
        Enter::Read
    } else {
        Enter::Skip
    }
}
