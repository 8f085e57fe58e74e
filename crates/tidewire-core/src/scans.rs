//! What a session has still to be told of the retained messages: its scans, one for each filter, one at a time.

use crate::keys::SessionKey;
use crate::route::topic_tree::Cursor;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Names beyond the number of subscriptions that may wait before those without a subscription are dropped.
const STALE_MIN: usize = 16;

/// The scans of one session; most sessions have none.
#[derive(Debug, Default)]
pub(crate) struct Scans(Option<Box<Outstanding>>);

#[derive(Debug, Default)]
struct Outstanding {
    running: Option<Scan>,
    order: VecDeque<Arc<str>>,
    /// The same filters as in `order`.
    names: BTreeSet<Arc<str>>,
    next_id: u32,
    queued: Queued,
}

/// Whether the session stands in the worker's queue for steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Queued {
    #[default]
    No,
    Yes,
}

/// A scan that has begun.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Names the last request to another worker.
    pub(crate) id: u32,
    /// The filter as subscribed, for the options that hold when a page comes.
    pub(crate) filter: Arc<str>,
    /// How many owners have shown everything.
    pub(crate) owners_done: u16,
    /// Where the next owner's next page begins.
    pub(crate) cursor: Option<Box<Cursor>>,
    /// Another worker owes a page.
    pub(crate) asked: bool,
}

/// A request for a page of what another worker owns.
#[derive(Debug)]
pub(crate) struct PageRequest {
    pub(crate) session: SessionKey,
    pub(crate) scan: u32,
    pub(crate) filter: Arc<str>,
    pub(crate) cursor: Option<Box<Cursor>>,
}

impl Scans {
    /// Whether nothing is left to be told.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Lets a filter wait for its turn. One that waits already is not added: its scan will begin after now, too. One
    /// whose scan is running is: what the scan has passed is owed again \[5.0 MQTT-3.3.1-9\].
    pub(crate) fn add(&mut self, filter: Box<str>) {
        let all = self.0.get_or_insert_default();
        let filter: Arc<str> = filter.into();
        if all.names.insert(Arc::clone(&filter)) {
            all.order.push_back(filter);
        }
    }

    /// Keeps the waiting set within the number of subscriptions, whatever a client subscribes and unsubscribes.
    pub(crate) fn drop_stale(&mut self, subscriptions: usize, holds: impl Fn(&str) -> bool) {
        if let Some(all) = &mut self.0
            && all.order.len() > subscriptions.saturating_mul(2) + STALE_MIN
        {
            all.order.retain(|filter| holds(filter));
            all.names.retain(|filter| holds(filter));
        }
    }

    /// The running scan, or the next one, which begins.
    pub(crate) fn current(&mut self) -> Option<&mut Scan> {
        let all = self.0.as_mut()?;
        if all.running.is_none() {
            let filter = all.order.pop_front()?;
            all.names.remove(&filter);
            all.next_id = all.next_id.wrapping_add(1);
            all.running = Some(Scan {
                id: all.next_id,
                filter,
                owners_done: 0,
                cursor: None,
                asked: false,
            });
        }
        all.running.as_mut()
    }

    /// The running scan, if this is its name and an answer is due.
    pub(crate) fn asked(&mut self, id: u32) -> Option<&mut Scan> {
        let running = self.0.as_mut()?.running.as_mut()?;
        (running.id == id && running.asked).then_some(running)
    }

    /// The running scan is over.
    pub(crate) fn finish(&mut self) {
        if let Some(all) = &mut self.0 {
            all.running = None;
        }
    }

    /// Whether no scan runs and none waits.
    pub(crate) fn is_done(&self) -> bool {
        let left = |all: &Outstanding| all.running.is_some() || !all.order.is_empty();
        !self.0.as_deref().is_some_and(left)
    }

    /// Forgets the scans that are done.
    pub(crate) fn clear(&mut self) {
        self.0 = None;
    }

    /// The client has gone. What it was not told stays owed, from where the scan stands; a page that is under way is
    /// not waited for: it will be asked for again.
    pub(crate) fn park(&mut self) {
        if let Some(all) = &mut self.0
            && let Some(scan) = &mut all.running
            && scan.asked
        {
            all.next_id = all.next_id.wrapping_add(1);
            scan.id = all.next_id;
            scan.asked = false;
        }
    }

    /// Notes that the session stands in the queue for steps; tells whether it did not before.
    pub(crate) fn enter_queue(&mut self) -> bool {
        self.0
            .as_mut()
            .is_some_and(|all| std::mem::replace(&mut all.queued, Queued::Yes) == Queued::No)
    }

    /// Its turn has come.
    pub(crate) fn leave_queue(&mut self) {
        if let Some(all) = &mut self.0 {
            all.queued = Queued::No;
        }
    }
}
