//! The shared interest index, replicated so that readers never wait: every worker reads the published copy while the
//! other one takes in changes.

use left_right::{Absorb, ReadHandle, WriteHandle};
use std::sync::{Arc, Mutex, PoisonError};
use tidewire_core::{Interest, InterestChange};

/// One of the two copies.
#[derive(Clone)]
pub(crate) struct Replica(Interest);

/// Where changes go. Locked only when a worker gains its first or loses its last subscriber of a filter.
pub(crate) type InterestBoard = Arc<Mutex<WriteHandle<Replica, InterestChange>>>;

/// A worker's view of the index.
pub(crate) enum InterestView {
    /// The only worker: its own index says it all, and this one stays empty.
    Alone(Interest),
    /// One of several.
    Shared {
        reader: ReadHandle<Replica>,
        board: InterestBoard,
        /// Changes of this turn, published together.
        pending: Vec<InterestChange>,
        /// What is seen after the board has gone, which is when the broker ends.
        nobody: Interest,
    },
}

impl InterestView {
    /// One view for each worker. `seed` makes the tables unpredictable to clients.
    pub(crate) fn for_workers(workers: usize, seed: u64) -> Vec<Self> {
        if workers == 1 {
            return vec![Self::Alone(Interest::new(seed))];
        }
        let (writer, reader) = left_right::new_from_empty(Replica(Interest::new(seed)));
        let board = Arc::new(Mutex::new(writer));
        (0..workers)
            .map(|_| Self::Shared {
                reader: reader.clone(),
                board: Arc::clone(&board),
                pending: Vec::new(),
                nobody: Interest::new(seed),
            })
            .collect()
    }

    /// Reads the newest published state. Publishing waits for the end of `read`, so it must be short.
    #[inline]
    pub(crate) fn read<R>(&self, read: impl FnOnce(&Interest) -> R) -> R {
        match self {
            Self::Alone(interest) => read(interest),
            Self::Shared { reader, nobody, .. } => match reader.enter() {
                Some(replica) => read(&replica.0),
                None => read(nobody),
            },
        }
    }

    /// Remembers a change for [`publish`](Self::publish).
    pub(crate) fn note(&mut self, change: InterestChange) {
        if let Self::Shared { pending, .. } = self {
            pending.push(change);
        }
    }

    /// Makes the changes of this turn visible to all workers before it returns.
    #[inline]
    pub(crate) fn publish(&mut self) {
        match self {
            Self::Shared { board, pending, .. } if !pending.is_empty() => {
                let mut writer = board.lock().unwrap_or_else(PoisonError::into_inner);
                writer.extend(pending.drain(..));
                writer.publish();
            }
            _ => {}
        }
    }
}

impl Absorb<InterestChange> for Replica {
    fn absorb_first(&mut self, change: &mut InterestChange, _: &Self) {
        self.0.apply(change);
    }

    fn sync_with(&mut self, first: &Self) {
        self.0.clone_from(&first.0);
    }
}

#[cfg(test)]
mod tests {
    use super::InterestView;
    use tidewire_core::{Change, InterestChange, InterestKind, WorkerId};

    fn change(change: Change) -> InterestChange {
        InterestChange {
            filter: "a/+".into(),
            worker: WorkerId(1),
            change,
            kind: InterestKind::Messages,
        }
    }

    #[test]
    fn a_change_is_seen_by_every_worker_once_it_is_published_and_not_before() {
        let mut views = InterestView::for_workers(3, 7);
        let seen = |views: &[InterestView]| -> Vec<bool> {
            views
                .iter()
                .map(|view| view.read(|interest| interest.matches("a/b").contains(WorkerId(1))))
                .collect()
        };
        views[1].note(change(Change::Gained));
        assert_eq!(seen(&views), [false; 3]);
        views[1].publish();
        assert_eq!(seen(&views), [true; 3]);
        // Both copies have it: the next publication shows the other one.
        views[2].note(InterestChange {
            filter: "x".into(),
            worker: WorkerId(2),
            change: Change::Gained,
            kind: InterestKind::Messages,
        });
        views[2].publish();
        assert_eq!(seen(&views), [true; 3]);
        views[1].note(change(Change::Lost));
        views[1].publish();
        assert_eq!(seen(&views), [false; 3]);
    }
}
