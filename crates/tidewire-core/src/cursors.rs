//! What a session or shared group has done with of what the store keeps for it.
//!
//! Messages of one shard may come to a worker out of order, as several workers hand on what was stored: so nothing is
//! known of what lies between two messages, but below the place up to which all has certainly come.

use crate::store::StoredCursor;
use std::collections::VecDeque;

/// One message that was taken from the store or came live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Entry {
    offset: u64,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In memory: waits or is in flight.
    Open,
    /// Known, but left on disk: has to be read.
    Unread,
    /// Done with; kept while it is not known what came before it.
    Done,
}

/// How a shard's messages reach their owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Feed {
    /// As they are published.
    Live,
    /// From the store, page by page.
    Behind,
}

/// Whether an owner's queue takes more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    Open,
    Close,
}

/// The cursor in one shard.
#[derive(Debug)]
pub(crate) struct ShardCursor {
    /// All that is owed below is in `entries` or done with.
    complete_to: u64,
    /// In order of offsets.
    entries: VecDeque<Entry>,
    /// Done with as well, at or above `complete_to`: as the store said when it was loaded, or dropped because too much waited.
    acked: Vec<(u64, u64)>,
    pub(crate) feed: Feed,
    /// The name of the read that is out; 0 = none.
    pub(crate) reading: u32,
    /// Something came while it was read.
    missed: bool,
    /// Changed since it was last recorded.
    dirty: bool,
}

impl ShardCursor {
    /// Nothing before `from` is owed, and everything from there on comes live.
    pub(crate) fn new(from: u64) -> Self {
        Self {
            complete_to: from,
            entries: VecDeque::new(),
            acked: Vec::new(),
            feed: Feed::Live,
            reading: 0,
            missed: false,
            dirty: false,
        }
    }

    /// As it was recorded: what is behind has to be read. An open range ends at `horizon`.
    pub(crate) fn load(cursor: StoredCursor, horizon: u64) -> Self {
        let mut loaded = Self::new(cursor.position);
        loaded.acked = cursor.acked;
        for range in &mut loaded.acked {
            if range.1 == u64::MAX {
                range.1 = horizon;
            }
        }
        loaded.acked.retain(|(from, to)| from < to);
        loaded.feed = Feed::Behind;
        loaded
    }

    /// A message comes live: whether it is to be taken.
    pub(crate) fn offer(&mut self, offset: u64) -> bool {
        if self.feed == Feed::Behind {
            self.missed = true;
            return false;
        }
        offset >= self.complete_to && !self.is_acked(offset) && self.insert(offset)
    }

    /// A message was read: whether it is to be taken.
    pub(crate) fn take_read(&mut self, offset: u64) -> bool {
        match self.find(offset) {
            Ok(at) => match self.entries.get_mut(at) {
                Some(entry) if entry.state == State::Unread => {
                    entry.state = State::Open;
                    true
                }
                _ => false,
            },
            Err(_) if offset < self.complete_to || self.is_acked(offset) => false,
            Err(_) => self.insert(offset),
        }
    }

    /// A page ended: all below `next` was looked at. Returns whether the feed is live now.
    pub(crate) fn finish_page(&mut self, next: u64, at_head: bool) -> bool {
        self.reading = 0;
        // What was to be read and was not there has expired.
        self.entries
            .retain(|entry| entry.state != State::Unread || entry.offset >= next);
        self.complete(next);
        if at_head && !self.missed {
            self.feed = Feed::Live;
        }
        self.missed = false;
        self.feed == Feed::Live
    }

    /// Where to read on.
    pub(crate) fn read_from(&self) -> u64 {
        let unread = self
            .entries
            .iter()
            .find(|entry| entry.state == State::Unread);
        unread.map_or(self.complete_to, |entry| entry.offset.min(self.complete_to))
    }

    /// There is no room for more: what comes from now on is read later.
    pub(crate) fn fall_behind(&mut self) {
        if self.feed == Feed::Live {
            self.feed = Feed::Behind;
            self.missed = true;
        }
    }

    /// A read is sent out.
    pub(crate) fn begin_read(&mut self, name: u32) {
        self.reading = name;
        self.missed = false;
    }

    /// Everything below has come.
    pub(crate) fn complete(&mut self, to: u64) {
        if to <= self.complete_to {
            return;
        }
        self.complete_to = to;
        self.dirty = true;
        self.entries
            .retain(|entry| entry.state != State::Done || entry.offset >= to);
        self.acked.retain(|(_, end)| *end > to);
    }

    /// A message is done with.
    pub(crate) fn finish(&mut self, offset: u64) {
        let Ok(at) = self.find(offset) else { return };
        self.dirty = true;
        let Some(entry) = self.entries.get_mut(at) else {
            return;
        };
        if entry.offset >= self.complete_to {
            entry.state = State::Done;
            return;
        }
        self.entries.remove(at);
    }

    /// A message goes out of memory and stays owed.
    pub(crate) fn leave_unread(&mut self, offset: u64) {
        if let Ok(at) = self.find(offset)
            && let Some(entry) = self.entries.get_mut(at)
        {
            entry.state = State::Unread;
            self.feed = Feed::Behind;
        }
    }

    /// A message is in memory though no page had it.
    pub(crate) fn note_open(&mut self, offset: u64) {
        if !self.insert(offset) {
            self.take_read(offset);
        }
    }

    /// From here on nothing more is owed, as too much waits, or is owed again; returns whether that is news.
    pub(crate) fn set_gate(&mut self, offset: u64, gate: Gate) -> bool {
        let last = self.acked.last_mut().filter(|(_, to)| *to == u64::MAX);
        match (gate, last) {
            (Gate::Close, None) => self.acked.push((offset, u64::MAX)),
            (Gate::Open, Some((from, to))) => *to = offset.max(*from),
            _ => return false,
        }
        self.dirty = true;
        true
    }

    /// Whether there is something to record.
    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty
    }

    /// Whether messages are in memory.
    pub(crate) fn holds_open(&self) -> bool {
        self.entries.iter().any(|entry| entry.state == State::Open)
    }

    /// What to record.
    pub(crate) fn record(&mut self) -> StoredCursor {
        self.dirty = false;
        let mut ranges = Vec::new();
        let mut position = self.complete_to;
        let mut open = self.entries.iter().filter(|e| e.state != State::Done);
        let below = |offset: &u64| *offset < self.complete_to;
        let mut last = open.next().map(|entry| entry.offset).filter(below);
        if let Some(first) = last {
            position = first;
        }
        for entry in open {
            let Some(before) = last else { break };
            ranges.push((before + 1, entry.offset.min(self.complete_to)));
            last = Some(entry.offset).filter(below);
        }
        if let Some(before) = last {
            ranges.push((before + 1, self.complete_to));
        }
        let done = self.entries.iter().filter(|e| e.state == State::Done);
        ranges.extend(done.map(|entry| (entry.offset, entry.offset + 1)));
        ranges.extend(&self.acked);
        normal(position, ranges)
    }

    fn is_acked(&self, offset: u64) -> bool {
        self.acked
            .iter()
            .any(|(from, to)| (*from..*to).contains(&offset))
    }

    fn insert(&mut self, offset: u64) -> bool {
        match self.find(offset) {
            Ok(_) => false,
            Err(at) => {
                let state = State::Open;
                self.entries.insert(at, Entry { offset, state });
                true
            }
        }
    }

    /// Nearly always one looks for the last or the first.
    fn find(&self, offset: u64) -> Result<usize, usize> {
        match (self.entries.front(), self.entries.back()) {
            (_, Some(last)) if last.offset < offset => Err(self.entries.len()),
            (Some(first), _) if first.offset == offset => Ok(0),
            _ => self.entries.binary_search_by_key(&offset, |e| e.offset),
        }
    }
}

/// Ranges in order, merged where they touch, and without what lies before the position.
fn normal(mut position: u64, mut ranges: Vec<(u64, u64)>) -> StoredCursor {
    ranges.retain(|(from, to)| from < to);
    ranges.sort_unstable();
    let mut acked: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match acked.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ if from <= position && to != u64::MAX => position = to.max(position),
            _ => acked.push((from.max(position), to)),
        }
    }
    acked.retain(|(_, to)| *to > position);
    StoredCursor { position, acked }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(offsets: &[u64]) -> ShardCursor {
        let mut cursor = ShardCursor::new(10);
        for offset in offsets {
            assert!(cursor.offer(*offset));
        }
        cursor
    }

    #[test]
    fn what_lies_between_two_messages_is_not_done_before_all_has_come() {
        let mut cursor = live(&[20, 30]);
        cursor.finish(20);
        cursor.finish(30);
        let record = cursor.record();
        assert_eq!(
            (record.position, &*record.acked),
            (10, &[(20, 21), (30, 31)][..])
        );
        assert!(cursor.offer(25), "another worker was slower");
        cursor.complete(40);
        let record = cursor.record();
        assert_eq!((record.position, &*record.acked), (25, &[(26, 40)][..]));
        cursor.finish(25);
        assert_eq!(cursor.record().position, 40);
    }

    #[test]
    fn what_was_left_on_disk_is_read_once() {
        let mut cursor = live(&[20, 30, 40]);
        cursor.complete(50);
        cursor.finish(30);
        cursor.leave_unread(40);
        assert_eq!(cursor.read_from(), 40);
        assert!(!cursor.offer(60), "it is behind");
        cursor.begin_read(1);
        assert!(!cursor.take_read(20) && !cursor.take_read(30));
        assert!(cursor.take_read(40) && cursor.take_read(60));
        assert!(cursor.finish_page(70, true));
        assert!(!cursor.offer(60));
        assert!(cursor.offer(80));
    }

    #[test]
    fn what_comes_while_a_page_is_read_is_read_too() {
        let mut cursor = ShardCursor::load(StoredCursor::default(), 0);
        cursor.begin_read(1);
        assert!(!cursor.offer(7));
        assert!(!cursor.finish_page(5, true), "7 may be behind the page");
        cursor.begin_read(2);
        assert!(cursor.take_read(7));
        assert!(cursor.finish_page(8, true));
    }

    #[test]
    fn a_full_queue_takes_nothing_until_it_is_opened_again() {
        let mut cursor = live(&[20]);
        assert!(cursor.set_gate(30, Gate::Close) && !cursor.set_gate(40, Gate::Close));
        assert_eq!(cursor.record().acked, [(30, u64::MAX)]);
        assert!(!cursor.offer(50));
        assert!(cursor.set_gate(60, Gate::Open) && !cursor.set_gate(70, Gate::Open));
        assert!(cursor.offer(60));
        assert_eq!(cursor.record().acked, [(30, 60)]);
    }
}
