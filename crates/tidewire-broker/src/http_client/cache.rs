//! Answers that hold for a while.

use lru::LruCache;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Remembers values until their time is over, at most so many; beyond, the one that was used least recently goes.
pub struct Cache<K: Hash + Eq, V> {
    entries_max: usize,
    entries: Mutex<LruCache<K, Entry<V>>>,
}

struct Entry<V> {
    value: V,
    until: Instant,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// Room for so many; 0 = it remembers nothing.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            entries_max,
            entries: Mutex::new(LruCache::unbounded()),
        }
    }

    /// The value, if it is there and still holds.
    pub fn get(&self, key: &K, now: Instant) -> Option<V> {
        let mut entries = self.lock();
        match entries.get(key) {
            Some(entry) if now < entry.until => Some(entry.value.clone()),
            Some(_) => {
                entries.pop(key);
                None
            }
            None => None,
        }
    }

    /// Remembers a value.
    pub fn put(&self, key: K, value: V, until: Instant) {
        if self.entries_max == 0 {
            return;
        }
        let mut entries = self.lock();
        entries.put(key, Entry { value, until });
        if entries.len() > self.entries_max {
            entries.pop_lru();
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// How many values there are, those included whose time is over.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries are whole between any two operations.
    fn lock(&self) -> MutexGuard<'_, LruCache<K, Entry<V>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("entries_max", &self.entries_max)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;
    use std::time::{Duration, Instant};

    #[test]
    fn it_forgets_what_is_over_and_what_was_used_least_recently() {
        let cache = Cache::new(2);
        let now = Instant::now();
        let second = Duration::from_secs(1);
        cache.put("a", 1, now + second);
        cache.put("b", 2, now + second * 3);
        assert_eq!(cache.get(&"a", now), Some(1));
        cache.put("c", 3, now + second);
        assert_eq!(cache.get(&"b", now), None, "the least recent one went");
        assert_eq!(cache.get(&"a", now + second), None, "its time is over");
        assert_eq!(cache.get(&"c", now), Some(3));
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn no_room_remembers_nothing() {
        let cache = Cache::new(0);
        let now = Instant::now();
        cache.put("a", 1, now + Duration::from_secs(1));
        assert!(cache.get(&"a", now).is_none() && cache.is_empty());
    }
}
