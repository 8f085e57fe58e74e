//! The shared interest index: which workers have a subscriber for a topic. A pure value; the shell replicates it.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use super::filter_tree::FilterTree;
use super::workers::{WorkerId, WorkerSet};

/// Buckets of [`Epochs`]: a subscription drops the cached routes of one topic in 256, for 2 KiB an index.
pub const EPOCH_BUCKETS: usize = 256;

/// A worker gained or lost interest in a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterestChange {
    /// The topic filter, validated.
    pub filter: Box<str>,
    /// The worker whose interest changes.
    pub worker: WorkerId,
    /// Which way.
    pub change: Change,
    /// In what.
    pub kind: InterestKind,
}

/// What a worker is interested in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterestKind {
    /// Messages: somebody subscribed.
    Messages,
    /// That they are stored before they are acknowledged: somebody is owed them whose queue is kept on disk. Beside, not
    /// instead of, the other.
    Storing,
}

/// The direction of an [`InterestChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// One more reason for interest.
    Gained,
    /// One reason less; ignored when there is none.
    Lost,
}

/// Topic filters and the workers interested in them.
#[derive(Clone, Debug)]
pub struct Interest {
    filters: FilterTree<Interested>,
    storing: FilterTree<Interested>,
    epochs: Epochs,
}

impl Interest {
    /// No interest at all. `seed` makes the tables unpredictable to clients.
    pub fn new(seed: u64) -> Self {
        Self {
            filters: FilterTree::new(seed),
            storing: FilterTree::new(seed ^ 1),
            epochs: Epochs::new(seed),
        }
    }

    /// Counts a worker's interest up or down.
    pub fn apply(&mut self, change: &InterestChange) {
        match change.change {
            Change::Gained => self.gain(change),
            Change::Lost => self.lose(change),
        }
    }

    /// The workers that have a subscriber for `topic`.
    #[inline]
    pub fn matches(&self, topic: &str) -> WorkerSet {
        let mut workers = WorkerSet::EMPTY;
        self.filters.for_each_match(topic, |interested| {
            workers = workers.union(interested.workers());
        });
        workers
    }

    /// Whether somebody is owed messages of `topic` on disk.
    pub fn is_stored(&self, topic: &str) -> bool {
        let mut stored = false;
        if !self.storing.is_empty() {
            self.storing.for_each_match(topic, |_| stored = true);
        }
        stored
    }

    /// A number that changes whenever [`matches`](Self::matches) of this topic could.
    #[inline]
    pub fn epoch(&self, topic: &str) -> u64 {
        self.epochs.of(topic)
    }

    /// The epochs themselves, for callers that keep a topic's bucket.
    #[inline]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// How many filters somebody is interested in.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// True when nobody is interested in anything.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Heap bytes of the index, without the lists of filters that several workers share; an estimate.
    pub fn heap_bytes(&self) -> usize {
        self.filters.heap_bytes() + self.storing.heap_bytes() + self.epochs.heap_bytes()
    }

    fn gain(&mut self, change: &InterestChange) {
        let interested = self.tree(change.kind).get_or_insert(&change.filter);
        if interested.gain(change.worker) == Membership::Changed {
            self.epochs.bump(&change.filter);
        }
    }

    fn lose(&mut self, change: &InterestChange) {
        let tree = self.tree(change.kind);
        let Some(interested) = tree.get_mut(&change.filter) else {
            return;
        };
        if interested.lose(change.worker) == Membership::Unchanged {
            return;
        }
        if interested.workers().is_empty() {
            tree.remove(&change.filter);
        }
        self.epochs.bump(&change.filter);
    }

    fn tree(&mut self, kind: InterestKind) -> &mut FilterTree<Interested> {
        match kind {
            InterestKind::Messages => &mut self.filters,
            InterestKind::Storing => &mut self.storing,
        }
    }
}

/// Counters that tell whether a cached match may be stale: one for each bucket of first levels, one for filters whose first
/// level is a wildcard. They wrap, after more changes than a broker will see.
#[derive(Clone, Debug)]
pub struct Epochs {
    state: FixedState,
    buckets: Box<[u64; EPOCH_BUCKETS]>,
    wildcards: u64,
    changes: u64,
}

/// The bucket of a topic in one [`Epochs`]; kept with a cached match it spares hashing the topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochBucket(u8);

impl Epochs {
    /// Counters at zero.
    pub fn new(seed: u64) -> Self {
        Self {
            state: FixedState::with_seed(seed),
            buckets: Box::new([0; EPOCH_BUCKETS]),
            wildcards: 0,
            changes: 0,
        }
    }

    /// Notes that what `filter` leads to has changed.
    pub fn bump(&mut self, filter: &str) {
        self.changes = self.changes.wrapping_add(1);
        let level = first_level(filter);
        if matches!(level, "+" | "#") {
            self.wildcards = self.wildcards.wrapping_add(1);
            return;
        }
        let bucket = self.bucket_of(level);
        if let Some(counter) = self.buckets.get_mut(usize::from(bucket.0)) {
            *counter = counter.wrapping_add(1);
        }
    }

    /// A number that changes with every bump: while it stands still, no cached match is stale.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// A number that changes whenever a filter that may match `topic` was bumped.
    #[inline]
    pub fn of(&self, topic: &str) -> u64 {
        self.at(self.bucket(topic))
    }

    /// The bucket of `topic`, always the same.
    #[inline]
    pub fn bucket(&self, topic: &str) -> EpochBucket {
        self.bucket_of(first_level(topic))
    }

    /// [`of`](Self::of) for a topic of this bucket.
    #[inline]
    pub fn at(&self, bucket: EpochBucket) -> u64 {
        // Both only count up, so their sum changes with either.
        let named = self.buckets.get(usize::from(bucket.0));
        named.map_or(0, |named| named.wrapping_add(self.wildcards))
    }

    /// Heap bytes of the counters.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    #[inline]
    fn bucket_of(&self, level: &str) -> EpochBucket {
        let mut hasher = self.state.build_hasher();
        hasher.write(level.as_bytes());
        EpochBucket((hasher.finish() >> 56) as u8)
    }
}

/// Whether a count went between nothing and something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Membership {
    Changed,
    Unchanged,
}

/// The workers interested in one filter, 16 bytes for the usual one.
#[derive(Clone, Debug)]
enum Interested {
    /// One worker, or nobody when the count is 0.
    One { worker: WorkerId, count: u32 },
    /// Two or more at some time.
    Several(Box<Several>),
}

#[derive(Clone, Debug, Default)]
struct Several {
    /// The workers in `counts`, ready for a match.
    workers: WorkerSet,
    /// Reasons for interest, none of them 0.
    counts: Vec<(WorkerId, u32)>,
}

impl Default for Interested {
    fn default() -> Self {
        Self::One {
            worker: WorkerId(0),
            count: 0,
        }
    }
}

impl Interested {
    #[inline]
    fn workers(&self) -> WorkerSet {
        match self {
            Self::One { count: 0, .. } => WorkerSet::EMPTY,
            Self::One { worker, .. } => WorkerSet::only(*worker),
            Self::Several(several) => several.workers,
        }
    }

    fn gain(&mut self, worker: WorkerId) -> Membership {
        match self {
            Self::One { count: 0, .. } => {
                *self = Self::One { worker, count: 1 };
                Membership::Changed
            }
            Self::One {
                worker: only,
                count,
            } if *only == worker => {
                *count = count.saturating_add(1);
                Membership::Unchanged
            }
            &mut Self::One {
                worker: first,
                count,
            } => {
                let mut several = Several::default();
                several.add(first, count);
                let membership = several.add(worker, 1);
                *self = Self::Several(Box::new(several));
                membership
            }
            Self::Several(several) => several.add(worker, 1),
        }
    }

    fn lose(&mut self, worker: WorkerId) -> Membership {
        match self {
            Self::One {
                worker: only,
                count,
            } if *only == worker && *count > 0 => {
                *count -= 1;
                Membership::when(*count == 0)
            }
            Self::One { .. } => Membership::Unchanged,
            Self::Several(several) => {
                let membership = several.take(worker);
                if let &[(worker, count)] = several.counts.as_slice() {
                    *self = Self::One { worker, count };
                }
                membership
            }
        }
    }
}

impl Several {
    fn add(&mut self, worker: WorkerId, more: u32) -> Membership {
        if let Some((_, count)) = self.counts.iter_mut().find(|(id, _)| *id == worker) {
            *count = count.saturating_add(more);
            return Membership::Unchanged;
        }
        self.counts.push((worker, more));
        self.workers.insert(worker);
        Membership::Changed
    }

    fn take(&mut self, worker: WorkerId) -> Membership {
        let Some(at) = self.counts.iter().position(|(id, _)| *id == worker) else {
            return Membership::Unchanged;
        };
        let Some((_, count)) = self.counts.get_mut(at) else {
            return Membership::Unchanged;
        };
        *count -= 1;
        let gone = *count == 0;
        if gone {
            self.counts.swap_remove(at);
            self.workers.remove(worker);
        }
        Membership::when(gone)
    }
}

impl Membership {
    fn when(changed: bool) -> Self {
        if changed {
            Self::Changed
        } else {
            Self::Unchanged
        }
    }
}

#[inline]
fn first_level(text: &str) -> &str {
    super::filter_tree::level::split_level(text).0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    const FILTERS: [&str; 12] = [
        "a", "a/b", "a/+", "a/#", "+", "+/b", "#", "b/c", "$SYS/x", "$SYS/#", "b", "+/#",
    ];
    const TOPICS: [&str; 7] = ["a", "a/b", "b", "b/c", "$SYS/x", "$SYS", "a/b/c"];

    fn change() -> impl Strategy<Value = InterestChange> {
        let way = prop_oneof![3 => Just(Change::Gained), 2 => Just(Change::Lost)];
        (prop::sample::select(FILTERS.to_vec()), 0_u16..4, way).prop_map(
            |(filter, worker, change)| InterestChange {
                kind: InterestKind::Messages,
                filter: filter.into(),
                worker: WorkerId(worker),
                change,
            },
        )
    }

    fn expected(model: &BTreeMap<(String, WorkerId), u32>, topic: &str) -> WorkerSet {
        let matching = model.keys().filter(|(filter, _)| {
            let mut one: FilterTree<u32> = FilterTree::new(0);
            one.get_or_insert(filter);
            let mut matched = false;
            one.for_each_match(topic, |_| matched = true);
            matched
        });
        matching.map(|(_, worker)| *worker).collect()
    }

    proptest! {
        #[test]
        fn interest_equals_counting_and_every_change_of_a_match_changes_its_epoch(
            seed in any::<u64>(),
            changes in prop::collection::vec(change(), 1..150),
        ) {
            let mut interest = Interest::new(seed);
            let mut model: BTreeMap<(String, WorkerId), u32> = BTreeMap::new();
            for change in changes {
                let before = TOPICS.map(|topic| (interest.matches(topic), interest.epoch(topic)));
                interest.apply(&change);
                let key = (change.filter.to_string(), change.worker);
                match change.change {
                    Change::Gained => *model.entry(key).or_default() += 1,
                    Change::Lost => {
                        if let Some(count) = model.get_mut(&key) {
                            *count -= 1;
                        }
                        model.retain(|_, count| *count > 0);
                    }
                }
                for (topic, (workers, epoch)) in TOPICS.into_iter().zip(before) {
                    let now = interest.matches(topic);
                    prop_assert_eq!(now, expected(&model, topic), "{}", topic);
                    prop_assert!(now == workers || interest.epoch(topic) != epoch, "{} kept its epoch", topic);
                }
                let mut filters: Vec<&String> = model.keys().map(|(filter, _)| filter).collect();
                filters.dedup();
                prop_assert_eq!(interest.len(), filters.len());
                prop_assert_eq!(interest.is_empty(), filters.is_empty());
            }
        }
    }

    #[test]
    fn counting_without_a_change_of_members_keeps_every_epoch() {
        let mut interest = Interest::new(5);
        let gain = |worker| InterestChange {
            kind: InterestKind::Messages,
            filter: "a/+".into(),
            worker: WorkerId(worker),
            change: Change::Gained,
        };
        let lose = |worker| InterestChange {
            kind: InterestKind::Messages,
            change: Change::Lost,
            ..gain(worker)
        };
        for change in [gain(1), gain(2)] {
            interest.apply(&change);
        }
        let epoch = interest.epoch("a/b");
        for change in [gain(1), gain(2), lose(2), lose(3), lose(1)] {
            interest.apply(&change);
        }
        assert_eq!(interest.epoch("a/b"), epoch);
        interest.apply(&lose(1));
        assert_ne!(interest.epoch("a/b"), epoch);
    }

    #[test]
    fn a_change_under_one_first_level_spares_nearly_all_others() {
        let mut epochs = Epochs::new(9);
        let topics: Vec<String> = (0..10_000)
            .map(|number| format!("plant{number}/x"))
            .collect();
        let before: Vec<u64> = topics.iter().map(|topic| epochs.of(topic)).collect();
        epochs.bump("plant7/+");
        let changed = topics
            .iter()
            .zip(&before)
            .filter(|(topic, old)| epochs.of(topic) != **old);
        assert!((1..200).contains(&changed.count()));
        assert_ne!(epochs.of(&topics[7]), before[7]);
        epochs.bump("+/x");
        assert!(
            topics
                .iter()
                .zip(&before)
                .all(|(topic, old)| epochs.of(topic) != *old)
        );
        assert_eq!(epochs.at(epochs.bucket(&topics[3])), epochs.of(&topics[3]));
    }

    #[test]
    fn the_usual_entry_is_sixteen_bytes() {
        assert_eq!(size_of::<Option<Interested>>(), 16);
    }

    #[test]
    fn forgotten_interest_leaves_nothing_behind() {
        let mut interest = Interest::new(5);
        for change in [Change::Gained, Change::Lost] {
            for number in 0..100_000_u32 {
                let filter = format!("a/{number}/+").into();
                let worker = WorkerId((number % 8) as u16);
                interest.apply(&InterestChange {
                    kind: InterestKind::Messages,
                    filter,
                    worker,
                    change,
                });
            }
        }
        assert!(interest.is_empty());
        assert!(interest.heap_bytes() < 10_000);
    }
}
