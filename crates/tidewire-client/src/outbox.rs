//! Messages that were accepted and are not yet delivered.

use std::collections::BTreeMap;
use std::time::Duration;

use tidewire_codec::Qos;

use crate::protocol::{Publish, Time};

/// An outbox's name for a message: larger than that of every earlier one.
pub type Key = u64;

/// Where accepted messages wait until they are delivered, in the order in which they were accepted.
///
/// The client hands a message out as soon as the connection can take it, keeps it here until the server has acknowledged
/// it, and hands it out again if the server lost it. An implementation that survives its process keeps what `push`
/// accepted until `remove`; [`MemoryOutbox`] does not survive.
pub trait Outbox: Send {
    /// Accepts a message; gives it back when there is no room.
    ///
    /// # Errors
    /// The message, untouched.
    fn push(&mut self, now: Time, message: Publish) -> Result<Key, Publish>;

    /// The quality of service of the oldest message that was not handed out.
    fn next_qos(&self) -> Option<Qos>;

    /// Hands the oldest message out that was not.
    fn hand_out(&mut self) -> Option<(Key, Publish)>;

    /// Takes a message back that was handed out: it will be handed out again, in its old place.
    fn take_back(&mut self, key: Key);

    /// Forgets a message: it was delivered, or has failed for good.
    fn remove(&mut self, key: Key) -> Option<Publish>;

    /// Forgets the oldest message that was not handed out, to make room.
    fn drop_oldest(&mut self) -> Option<(Key, Publish)>;

    /// Forgets the next message that has waited too long without having been handed out.
    fn drop_expired(&mut self, now: Time) -> Option<(Key, Publish)>;

    /// Messages in it, handed out or not.
    fn len(&self) -> usize;

    /// Whether it holds none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Why it takes nothing more, if it is broken: told to publishers in place of "full".
    fn failure(&self) -> Option<&str> {
        None
    }

    /// Gives up everything, in order.
    fn drain(&mut self) -> Vec<(Key, Publish)>;
}

/// The bounds of an outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxLimits {
    /// Messages at once.
    pub max_messages: usize,
    /// Bytes of topics, payloads and properties at once; one message is accepted into an empty outbox whatever its size.
    pub max_bytes: usize,
    /// How long a message may wait before it is sent for the first time; `None` = as long as it takes.
    pub max_age: Option<Duration>,
}

impl Default for OutboxLimits {
    fn default() -> Self {
        Self {
            max_messages: 10_000,
            max_bytes: 64 * 1024 * 1024,
            max_age: None,
        }
    }
}

/// An outbox that lives as long as its process.
#[derive(Debug)]
pub struct MemoryOutbox {
    limits: OutboxLimits,
    waiting: BTreeMap<Key, Entry>,
    handed_out: BTreeMap<Key, Entry>,
    bytes: usize,
    next_key: Key,
    /// Some message has a lifetime of its own, so that any one may expire before those in front of it.
    has_lifetimes: bool,
}

#[derive(Debug)]
struct Entry {
    message: Publish,
    expires_at: Option<Time>,
}

impl MemoryOutbox {
    /// An empty outbox with these bounds.
    #[must_use]
    pub const fn new(limits: OutboxLimits) -> Self {
        Self {
            limits,
            waiting: BTreeMap::new(),
            handed_out: BTreeMap::new(),
            bytes: 0,
            next_key: 0,
            has_lifetimes: false,
        }
    }

    /// Puts a message back that an earlier process accepted; the limits are not asked.
    pub(crate) fn restore(&mut self, key: Key, message: Publish, expires_at: Option<Time>) {
        self.bytes = self.bytes.saturating_add(message.size());
        self.has_lifetimes |= expires_at.is_some();
        self.raise_next_key(key + 1);
        let entry = Entry {
            message,
            expires_at,
        };
        self.waiting.insert(key, entry);
    }

    pub(crate) fn raise_next_key(&mut self, key: Key) {
        self.next_key = self.next_key.max(key);
    }

    /// A key that no message has.
    pub(crate) const fn take_key(&mut self) -> Key {
        let key = self.next_key;
        self.next_key += 1;
        key
    }

    pub(crate) fn oldest_key(&self) -> Option<Key> {
        let first = |entries: &BTreeMap<Key, Entry>| entries.keys().next().copied();
        let oldest = [first(&self.waiting), first(&self.handed_out)];
        oldest.into_iter().flatten().min()
    }

    pub(crate) const fn max_age(&self) -> Option<Duration> {
        self.limits.max_age
    }

    /// A message that waits, and when it is void.
    pub(crate) fn entry(&self, key: Key) -> Option<(&Publish, Option<Time>)> {
        let entry = self.waiting.get(&key)?;
        Some((&entry.message, entry.expires_at))
    }

    fn forget(&mut self, entry: Entry) -> Publish {
        self.bytes = self.bytes.saturating_sub(entry.message.size());
        entry.message
    }
}

impl Outbox for MemoryOutbox {
    fn push(&mut self, now: Time, message: Publish) -> Result<Key, Publish> {
        let bytes = self.bytes.saturating_add(message.size());
        let is_full = self.len() >= self.limits.max_messages || bytes > self.limits.max_bytes;
        if is_full && !self.is_empty() {
            return Err(message);
        }
        let lifetime = message.lifetime();
        self.has_lifetimes |= lifetime.is_some();
        let longest = [lifetime, self.limits.max_age].into_iter().flatten().min();
        let key = self.next_key;
        self.next_key += 1;
        self.bytes = bytes;
        let expires_at = longest.map(|longest| now.plus(longest));
        self.waiting.insert(
            key,
            Entry {
                message,
                expires_at,
            },
        );
        Ok(key)
    }

    fn next_qos(&self) -> Option<Qos> {
        let (_, entry) = self.waiting.first_key_value()?;
        Some(entry.message.qos)
    }

    fn hand_out(&mut self) -> Option<(Key, Publish)> {
        let (key, entry) = self.waiting.pop_first()?;
        let message = entry.message.clone();
        self.handed_out.insert(key, entry);
        Some((key, message))
    }

    fn take_back(&mut self, key: Key) {
        if let Some(entry) = self.handed_out.remove(&key) {
            self.waiting.insert(key, entry);
        }
    }

    fn remove(&mut self, key: Key) -> Option<Publish> {
        let entry = self
            .handed_out
            .remove(&key)
            .or_else(|| self.waiting.remove(&key))?;
        Some(self.forget(entry))
    }

    fn drop_oldest(&mut self) -> Option<(Key, Publish)> {
        let (key, entry) = self.waiting.pop_first()?;
        Some((key, self.forget(entry)))
    }

    fn drop_expired(&mut self, now: Time) -> Option<(Key, Publish)> {
        let is_expired = |entry: &Entry| entry.expires_at.is_some_and(|at| at <= now);
        let looked_at = if self.has_lifetimes { usize::MAX } else { 1 };
        let found = self
            .waiting
            .iter()
            .take(looked_at)
            .find(|(_, entry)| is_expired(entry));
        let key = *found?.0;
        Some((key, self.remove(key)?))
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.handed_out.len()
    }

    fn drain(&mut self) -> Vec<(Key, Publish)> {
        let mut all = std::mem::take(&mut self.handed_out);
        all.append(&mut self.waiting);
        self.bytes = 0;
        all.into_iter()
            .map(|(key, entry)| (key, entry.message))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox(max_messages: usize, max_bytes: usize, max_age_secs: Option<u64>) -> MemoryOutbox {
        MemoryOutbox::new(OutboxLimits {
            max_messages,
            max_bytes,
            max_age: max_age_secs.map(Duration::from_secs),
        })
    }

    fn message(payload: &'static str) -> Publish {
        Publish::new("t", payload)
    }

    #[test]
    fn full_outbox_gives_the_message_back() {
        let mut by_count = outbox(1, 100, None);
        assert!(by_count.push(Time::ZERO, message("a")).is_ok());
        assert_eq!(by_count.push(Time::ZERO, message("b")), Err(message("b")));
        let mut by_bytes = outbox(10, 4, None);
        assert!(by_bytes.push(Time::ZERO, message("abcdef")).is_ok());
        assert!(by_bytes.push(Time::ZERO, message("a")).is_err());
        by_bytes.remove(0);
        assert!(by_bytes.push(Time::ZERO, message("a")).is_ok());
        assert!(by_bytes.push(Time::ZERO, message("a")).is_ok());
        assert!(by_bytes.push(Time::ZERO, message("a")).is_err());
    }

    #[test]
    fn message_that_was_taken_back_keeps_its_place() {
        let mut outbox = outbox(10, 100, None);
        for payload in ["a", "b", "c"] {
            outbox.push(Time::ZERO, message(payload)).expect("room");
        }
        let (first, _) = outbox.hand_out().expect("a");
        let (second, _) = outbox.hand_out().expect("b");
        outbox.take_back(second);
        outbox.take_back(first);
        let order: Vec<_> = std::iter::from_fn(|| outbox.hand_out())
            .map(|(_, message)| message.payload)
            .collect();
        assert_eq!(order, ["a", "b", "c"]);
        assert_eq!(outbox.len(), 3);
    }

    #[test]
    fn what_waited_too_long_is_dropped_and_what_was_sent_is_not() {
        let mut outbox = outbox(10, 100, Some(5));
        for payload in ["a", "b"] {
            outbox.push(Time::ZERO, message(payload)).expect("room");
        }
        outbox.hand_out();
        let later = Time::from_millis(5_000);
        assert_eq!(outbox.drop_expired(Time::from_millis(4_999)), None);
        assert_eq!(outbox.drop_expired(later), Some((1, message("b"))));
        assert_eq!(outbox.drop_expired(later), None);
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn lifetime_of_a_message_counts_even_behind_one_that_lives_longer() {
        let mut outbox = outbox(10, 100, None);
        outbox.push(Time::ZERO, message("a")).expect("room");
        let short = message("b").expires_after(Duration::from_secs(1));
        outbox.push(Time::ZERO, short).expect("room");
        let dropped = outbox.drop_expired(Time::from_millis(1_000));
        assert_eq!(dropped.map(|(key, _)| key), Some(1));
    }
}
