//! The engine that keeps everything in memory: for brokers without a data directory, and as the measure of the other.

use crate::engine::{Completion, Engine, PortId, Progress, Sync, Synced};
use crate::group::appended;
use crate::ledger::{Ledger, Limits};
use crate::message::StoredMessage;
use crate::names::{Offset, ShardId, Ticket, Version};
use crate::owed::Owed;
use crate::request::{Answer, Outcome, Page, Read, Request, Stats, Stored};
use std::collections::{BTreeMap, VecDeque};
use tidewire_codec::topic;

/// Between two trims at least so many messages come.
const TRIM_EVERY: u64 = 1024;

/// A store that ends with its process.
#[derive(Debug)]
pub struct MemoryEngine {
    ledger: Ledger,
    shards: Vec<BTreeMap<Offset, StoredMessage>>,
    inbox: VecDeque<(PortId, Ticket, Request)>,
    outbox: Vec<Completion>,
    stats: Stats,
    untrimmed: u64,
}

impl MemoryEngine {
    /// An empty store.
    #[must_use]
    pub fn new(shards: u16, limits: Limits) -> Self {
        let shards = shards.max(1);
        Self {
            ledger: Ledger::new(shards, limits),
            shards: (0..shards).map(|_| BTreeMap::new()).collect(),
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            stats: Stats::default(),
            untrimmed: 0,
        }
    }

    fn commit(&mut self, shard: ShardId, group: &crate::group::Group) -> Outcome {
        if let Err(refused) = self.ledger.check(shard, group) {
            return refused;
        }
        let seq = self.ledger.take_seq();
        self.ledger.apply(shard, seq, group.bytes());
        self.ledger.table.keep_changes();
        if let Some(messages) = self.shards.get_mut(usize::from(shard.0)) {
            for (index, (record, _)) in appended(group.bytes()).enumerate() {
                let offset = Offset::new(seq, u8::try_from(index).unwrap_or(u8::MAX));
                messages.extend(StoredMessage::new(record).map(|message| (offset, message)));
            }
        }
        self.untrimmed += group.messages() as u64;
        self.stats.appended += group.messages() as u64;
        self.stats.groups += 1;
        Outcome::Stored(Stored {
            first: Offset::new(seq, 0),
            version: Version(seq),
        })
    }

    fn read(&self, read: &Read) -> Page {
        let mut page = Page {
            next: Offset::new(self.ledger.next_seq, 0),
            at_head: true,
            ..Page::default()
        };
        let Some(messages) = self.shards.get(usize::from(read.shard.0)) else {
            return page;
        };
        let mut bytes = 0;
        for (offset, message) in messages.range(read.from..) {
            if page.messages.len() >= read.most || bytes >= read.most_bytes {
                page.next = *offset;
                page.at_head = false;
                break;
            }
            let view = message.get();
            if is_wanted(read, view.topic) && !view.is_expired(read.now_ms) {
                bytes += view.payload.len();
                page.messages.push((*offset, message.clone()));
            }
        }
        page.next = page.next.max(read.from);
        page
    }

    fn answer(&mut self, request: Request) -> Answer {
        let answer = match request {
            Request::Commit { shard, group, .. } => {
                Ok(Answer::Committed(self.commit(shard, &group)))
            }
            Request::Read(read) => Ok(Answer::Page(self.read(&read))),
            Request::Heads => {
                let head = Offset::new(self.ledger.next_seq, 0);
                Ok(Answer::Heads(vec![head; self.shards.len()]))
            }
            Request::Stats => Ok(Answer::Stats(Box::new(self.stats()))),
            Request::Backup(_) => Ok(Answer::BackedUp(Err(
                "a store in memory has no backup".into()
            ))),
            lookup => self.ledger.look_up(&lookup),
        };
        answer.unwrap_or_else(|error| Answer::Unreadable(error.to_string().into()))
    }

    fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.count(self.ledger.table.counts());
        stats
    }
}

impl Engine for MemoryEngine {
    fn shards(&self) -> u16 {
        self.ledger.shards
    }

    fn submit(&mut self, port: PortId, ticket: Ticket, request: Request) {
        self.inbox.push_back((port, ticket, request));
    }

    fn step(&mut self) -> Progress {
        while let Some((port, ticket, request)) = self.inbox.pop_front() {
            let answer = self.answer(request);
            self.outbox.push(Completion {
                port,
                ticket,
                answer,
            });
        }
        Progress::Idle
    }

    fn take_sync(&mut self) -> Option<Sync> {
        None
    }

    fn synced(&mut self, _done: Synced) {}

    fn maintain(&mut self, now_ms: u64) -> Progress {
        let kept: usize = self.shards.iter().map(BTreeMap::len).sum();
        // As many as there are, so that the work for each message stays the same however many there are.
        if self.untrimmed < TRIM_EVERY.max(kept as u64 / 2) {
            return Progress::Idle;
        }
        self.untrimmed = 0;
        for (shard, messages) in (0..).zip(&mut self.shards) {
            let owed = Owed::new(&self.ledger, ShardId(shard), now_ms);
            messages.retain(|offset, message| {
                let view = message.get();
                owed.is_owed(*offset, view.topic, view.expires_ms)
            });
        }
        Progress::Idle
    }

    fn request_checkpoint(&mut self) {
        self.untrimmed = u64::MAX;
    }

    fn take_completions(&mut self, into: &mut Vec<Completion>) {
        into.append(&mut self.outbox);
    }
}

pub(crate) fn is_wanted(read: &Read, name: &str) -> bool {
    read.filters.is_empty()
        || read
            .filters
            .iter()
            .any(|filter| topic::matches(filter, name))
}
