//! Reading messages of a shard.

use super::DurableEngine;
use crate::group::appended;
use crate::marks;
use crate::memory::is_wanted;
use crate::message::StoredMessage;
use crate::names::Offset;
use crate::request::{Page, Read};
use crate::topics::{TopicDigest, topics};
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
        let mut plan = None;
        while let Some(record) = cursor.next_in(log, &mut |id| enter(log, read, id, &mut plan))? {
            if plan
                .as_ref()
                .is_none_or(|plan| plan.segment != record.segment)
            {
                plan = plan_of_active(log, read, record.segment);
            }
            let of_plan = plan.as_ref().filter(|plan| plan.segment == record.segment);
            if let Some(Err(next)) = of_plan.map(|plan| plan.next(record.seq)) {
                let behind = log.sealed().find(|segment| segment.id == record.segment);
                let behind = behind.map_or(log.next_seq(), |segment| segment.covers_to);
                cursor.skip_to(next.unwrap_or(behind));
                continue;
            }
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

/// What of a sealed segment a reader has to look at.
#[derive(Debug)]
struct Plan {
    segment: SegmentId,
    /// Stretches of sequence numbers, in order; the rest has nothing for the reader.
    stretches: Vec<(u64, u64)>,
}

impl Plan {
    /// Whether a record is worth a look; else where the next one is that may be, `None` = not in this segment.
    fn next(&self, seq: u64) -> Result<(), Option<u64>> {
        let at = self.stretches.partition_point(|(_, end)| *end <= seq);
        match self.stretches.get(at) {
            Some((start, _)) if *start <= seq => Ok(()),
            Some((start, _)) => Err(Some(*start)),
            None => Err(None),
        }
    }
}

/// Where the segment that grows may have something for the reader; `None` for another one, or where it does not tell.
fn plan_of_active(log: &Log, read: &Read, segment: SegmentId) -> Option<Plan> {
    let digest = log.active_digest().filter(|_| !read.filters.is_empty())?;
    log.active().filter(|active| active.id == segment)?;
    let digest: &TopicDigest = digest.as_any()?.downcast_ref()?;
    let stretches = digest.marks().stretches(&read.filters, read.from)?;
    Some(Plan { segment, stretches })
}

/// Whether a sealed segment has a topic that the reader wants, and, where its digest tells, in which stretches.
fn enter(log: &Log, read: &Read, id: SegmentId, plan: &mut Option<Plan>) -> Enter {
    if read.filters.is_empty() || plan.as_ref().is_some_and(|plan| plan.segment == id) {
        return Enter::Read;
    }
    *plan = None;
    // A digest that cannot be read costs time, not messages.
    let Ok(Some(digest)) = log.digest_reader(id) else {
        return Enter::Read;
    };
    if digest.part(0, 1).is_ok_and(|tag| tag == [marks::TAG]) {
        let found = marks::stretches(&digest, &read.filters, read.from);
        let Ok(Some(stretches)) = found else {
            return Enter::Read;
        };
        if stretches.is_empty() {
            return Enter::Skip;
        }
        *plan = Some(Plan {
            segment: id,
            stretches,
        });
        return Enter::Read;
    }
    let digest = digest.part(0, digest.size_bytes()).unwrap_or_default();
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
