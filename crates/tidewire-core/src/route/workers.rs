//! The workers of a broker and sets of them.

use std::fmt;

/// The most workers that one broker runs; a set of them is one word of this many bits.
pub const MAX_WORKERS: usize = 128;

/// A worker, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u16);

/// A set of workers. An identifier of [`MAX_WORKERS`] or more is never a member.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct WorkerSet(u128);

impl WorkerSet {
    /// No worker.
    pub const EMPTY: Self = Self(0);

    /// One worker.
    #[inline]
    pub const fn only(worker: WorkerId) -> Self {
        Self(bit(worker))
    }

    /// Adds `worker`.
    #[inline]
    pub const fn insert(&mut self, worker: WorkerId) {
        self.0 |= bit(worker);
    }

    /// Takes `worker` out.
    #[inline]
    pub const fn remove(&mut self, worker: WorkerId) {
        self.0 &= !bit(worker);
    }

    /// True if `worker` is a member.
    #[inline]
    pub const fn contains(self, worker: WorkerId) -> bool {
        self.0 & bit(worker) != 0
    }

    /// The members of either set.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// True without members.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many members there are.
    #[inline]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The members, smallest first.
    #[inline]
    pub const fn iter(self) -> WorkerIter {
        WorkerIter(self.0)
    }
}

impl IntoIterator for WorkerSet {
    type Item = WorkerId;
    type IntoIter = WorkerIter;

    fn into_iter(self) -> WorkerIter {
        self.iter()
    }
}

impl FromIterator<WorkerId> for WorkerSet {
    fn from_iter<I: IntoIterator<Item = WorkerId>>(workers: I) -> Self {
        let mut set = Self::EMPTY;
        for worker in workers {
            set.insert(worker);
        }
        set
    }
}

impl fmt::Debug for WorkerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|worker| worker.0))
            .finish()
    }
}

/// The members of a [`WorkerSet`], smallest first.
#[derive(Clone, Debug)]
pub struct WorkerIter(u128);

impl Iterator for WorkerIter {
    type Item = WorkerId;

    #[inline]
    fn next(&mut self) -> Option<WorkerId> {
        if self.0 == 0 {
            return None;
        }
        let worker = self.0.trailing_zeros() as u16;
        self.0 &= self.0 - 1;
        Some(WorkerId(worker))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.0.count_ones() as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for WorkerIter {}

const fn bit(worker: WorkerId) -> u128 {
    if (worker.0 as usize) < MAX_WORKERS {
        1 << worker.0
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_worker_set_behaves_like_a_set(steps in prop::collection::vec((any::<bool>(), 0_u16..140), 0..300)) {
            let (mut set, mut model) = (WorkerSet::EMPTY, BTreeSet::new());
            for (insert, id) in steps {
                let worker = WorkerId(id);
                if insert {
                    set.insert(worker);
                    if usize::from(id) < MAX_WORKERS {
                        model.insert(worker);
                    }
                } else {
                    set.remove(worker);
                    model.remove(&worker);
                }
                prop_assert_eq!(set.contains(worker), model.contains(&worker));
                prop_assert_eq!(set.len(), model.len());
                prop_assert_eq!(set.is_empty(), model.is_empty());
            }
            prop_assert_eq!(set.iter().len(), model.len());
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert_eq!(model.into_iter().collect::<WorkerSet>(), set);
        }

        #[test]
        fn a_union_holds_the_members_of_both(left in any::<[u16; 4]>(), right in any::<[u16; 4]>()) {
            let set = |ids: [u16; 4]| ids.iter().map(|id| WorkerId(id % 128)).collect::<WorkerSet>();
            let both = set(left).union(set(right));
            for id in 0..128 {
                let worker = WorkerId(id);
                prop_assert_eq!(both.contains(worker), set(left).contains(worker) || set(right).contains(worker));
            }
        }
    }
}
