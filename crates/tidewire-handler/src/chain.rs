//! The handlers in their order, and how that changes while they run.

use crate::event::{Event, Events, Notice};
use crate::latency::Latency;
use crate::registration::{Counters, Counts, Registration, Scope, count};
use crate::run::panic_text;
use std::cmp::Reverse;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All handlers of a broker. Whoever asks takes a [`Snapshot`] through a [`ChainReader`]; a change makes a new snapshot,
/// and what is under way ends with the old one, so a message meets one version of the chain.
pub struct Chain {
    listeners: Box<[Box<str>]>,
    state: Mutex<State>,
    /// Counts the snapshots.
    version: AtomicU64,
}

struct State {
    next: u64,
    entries: Vec<Arc<Entry>>,
    snapshot: Arc<Snapshot>,
}

/// Names a registered handler.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HandlerId(u64);

/// A handler's place in the chain.
#[derive(Clone)]
pub(crate) struct Entry {
    /// Also the order of registration.
    id: HandlerId,
    pub(crate) registration: Registration,
    events: Events,
    pub(crate) counters: Arc<Counters>,
}

/// One version of the chain.
pub struct Snapshot {
    entries: Box<[Arc<Entry>]>,
    listeners: Box<[Handled]>,
    /// What handlers of any listener handle.
    any: Handled,
}

/// What is handled, and by whom, in order.
struct Handled {
    events: Events,
    by: Box<[Box<[u16]>]>,
}

/// One reader's view of the chain, a worker's for instance.
pub struct ChainReader {
    chain: Arc<Chain>,
    version: u64,
    snapshot: Arc<Snapshot>,
}

/// A registered handler as an operator sees it.
#[derive(Clone, Debug)]
pub struct HandlerRow {
    /// Its id.
    pub id: HandlerId,
    /// Its name.
    pub name: Arc<str>,
    /// Its priority.
    pub priority: i32,
    /// Its listeners.
    pub scope: Scope,
    /// What it handles.
    pub events: Events,
    /// What has become of its questions.
    pub counts: Counts,
    /// How long its answers took; deciding only.
    pub latency: Latency,
    /// The latest error, panic or lateness, for operators.
    pub last_failure: Option<Box<str>>,
}

/// Why a handler could not be registered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegisterError {
    /// The broker has no listener of this name.
    UnknownListener {
        /// The handler's name.
        handler: Box<str>,
        /// The listener's name.
        listener: Box<str>,
        /// The listeners that there are.
        known: Vec<Box<str>>,
    },
    /// A handler of this id is not registered (any more).
    UnknownHandler,
    /// More handlers than can be numbered.
    TooMany,
}

impl Chain {
    /// A chain without handlers for the listeners with these names.
    #[must_use]
    pub fn new<'a>(listeners: impl IntoIterator<Item = &'a str>) -> Self {
        let listeners: Box<[Box<str>]> = listeners.into_iter().map(Into::into).collect();
        let snapshot = Snapshot::of(&[], &listeners);
        Self {
            listeners,
            state: Mutex::new(State {
                next: 0,
                entries: Vec::new(),
                snapshot: Arc::new(snapshot),
            }),
            version: AtomicU64::new(0),
        }
    }

    /// Adds a handler. What is asked from now on is asked of it, too.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing changes then.
    pub fn add(&self, registration: Registration) -> Result<HandlerId, RegisterError> {
        self.check(&registration)?;
        let mut state = self.lock();
        if state.entries.len() >= usize::from(u16::MAX) {
            return Err(RegisterError::TooMany);
        }
        let id = HandlerId(state.next);
        state.next += 1;
        state.entries.push(Arc::new(Entry {
            id,
            events: registration.handler.events(),
            registration,
            counters: Arc::default(),
        }));
        self.renew(&mut state);
        Ok(id)
    }

    /// Puts another handler in one's place. Its counters go on, and among equal priorities it keeps its turn.
    ///
    /// # Errors
    /// [`RegisterError`]; nothing changes then.
    pub fn replace(&self, id: HandlerId, registration: Registration) -> Result<(), RegisterError> {
        self.check(&registration)?;
        let mut state = self.lock();
        let entry = state.entries.iter_mut().find(|entry| entry.id == id);
        let entry = entry.ok_or(RegisterError::UnknownHandler)?;
        *entry = Arc::new(Entry {
            id,
            events: registration.handler.events(),
            registration,
            counters: Arc::clone(&entry.counters),
        });
        self.renew(&mut state);
        Ok(())
    }

    /// Removes a handler. Questions that it has already are still answered by it.
    ///
    /// # Errors
    /// [`RegisterError::UnknownHandler`].
    pub fn remove(&self, id: HandlerId) -> Result<(), RegisterError> {
        let mut state = self.lock();
        let before = state.entries.len();
        state.entries.retain(|entry| entry.id != id);
        if state.entries.len() == before {
            return Err(RegisterError::UnknownHandler);
        }
        self.renew(&mut state);
        Ok(())
    }

    /// The current version.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.lock().snapshot)
    }

    /// A view for one reader.
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> ChainReader {
        let state = self.lock();
        ChainReader {
            version: self.version.load(Ordering::Acquire),
            snapshot: Arc::clone(&state.snapshot),
            chain: Arc::clone(self),
        }
    }

    /// The names of the listeners, by index.
    pub fn listeners(&self) -> impl Iterator<Item = &str> {
        self.listeners.iter().map(|name| &**name)
    }

    fn check(&self, registration: &Registration) -> Result<(), RegisterError> {
        let Scope::Listeners(names) = &registration.scope else {
            return Ok(());
        };
        match names.iter().find(|name| !self.listeners.contains(name)) {
            Some(unknown) => Err(RegisterError::UnknownListener {
                handler: (&*registration.name).into(),
                listener: unknown.clone(),
                known: self.listeners.to_vec(),
            }),
            None => Ok(()),
        }
    }

    fn renew(&self, state: &mut State) {
        state.snapshot = Arc::new(Snapshot::of(&state.entries, &self.listeners));
        self.version.fetch_add(1, Ordering::Release);
    }

    /// A change is complete or has not begun when the lock is given back.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ChainReader {
    /// The current version. Costs one load as long as nothing has changed.
    #[inline]
    pub fn snapshot(&mut self) -> &Arc<Snapshot> {
        if self.chain.version.load(Ordering::Acquire) != self.version {
            self.refresh();
        }
        &self.snapshot
    }

    /// Counts the changes of the chain so far.
    #[inline]
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.chain.version.load(Ordering::Acquire)
    }

    #[cold]
    fn refresh(&mut self) {
        let state = self.chain.lock();
        self.version = self.chain.version.load(Ordering::Acquire);
        self.snapshot = Arc::clone(&state.snapshot);
    }
}

impl Snapshot {
    /// Whether anybody handles the event on this listener; `None` = on any.
    #[inline]
    #[must_use]
    pub fn handles(&self, listener: Option<u16>, event: Event) -> bool {
        self.handled(listener).events.contains(event)
    }

    /// What is handled on this listener; `None` = on any.
    #[must_use]
    pub fn events(&self, listener: Option<u16>) -> Events {
        self.handled(listener).events
    }

    /// Tells those who want to know. A handler that panics is counted, and the next one is told all the same.
    pub fn observe(&self, notice: &Notice) {
        for entry in self.in_turn(notice.listener(), notice.event()) {
            count(&entry.counters.calls);
            let handler = &*entry.registration.handler;
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| notice.tell(handler))) {
                count(&entry.counters.panics);
                entry.counters.note_failure(&panic_text(&*panic));
            }
        }
    }

    /// All handlers in the order in which they run.
    #[must_use]
    pub fn rows(&self) -> Vec<HandlerRow> {
        let row = |entry: &Arc<Entry>| HandlerRow {
            id: entry.id,
            name: Arc::clone(&entry.registration.name),
            priority: entry.registration.priority,
            scope: entry.registration.scope.clone(),
            events: entry.events,
            counts: entry.counters.read(),
            latency: entry.counters.stopwatch.read(),
            last_failure: entry.counters.last_failure(),
        };
        self.entries.iter().map(row).collect()
    }

    pub(crate) fn in_turn(
        &self,
        listener: Option<u16>,
        event: Event,
    ) -> impl Iterator<Item = &Arc<Entry>> {
        let by = self.handled(listener).by.get(event as usize);
        by.into_iter()
            .flatten()
            .filter_map(|&index| self.entries.get(usize::from(index)))
    }

    /// The `turn`th handler of the event.
    pub(crate) fn at(
        &self,
        listener: Option<u16>,
        event: Event,
        turn: usize,
    ) -> Option<&Arc<Entry>> {
        let by = self.handled(listener).by.get(event as usize)?;
        self.entries.get(usize::from(*by.get(turn)?))
    }

    /// A listener without an entry has come after the chain was made: everybody's handlers are asked.
    #[inline]
    fn handled(&self, listener: Option<u16>) -> &Handled {
        listener
            .and_then(|index| self.listeners.get(usize::from(index)))
            .unwrap_or(&self.any)
    }

    fn of(entries: &[Arc<Entry>], listeners: &[Box<str>]) -> Self {
        let mut entries = entries.to_vec();
        entries.sort_by_key(|entry| (Reverse(entry.registration.priority), entry.id));
        let handled = |is_for: &dyn Fn(&Scope) -> bool| {
            let mine = || {
                (0..)
                    .zip(&entries)
                    .filter(|(_, entry)| is_for(&entry.registration.scope))
            };
            let by = |event: &Event| {
                mine()
                    .filter(|(_, entry)| entry.events.contains(*event))
                    .map(|(index, _)| index)
                    .collect()
            };
            Handled {
                events: mine().fold(Events::NONE, |all, (_, entry)| all.and(entry.events)),
                by: Event::ALL.iter().map(by).collect(),
            }
        };
        let of_listener = |name: &str| {
            handled(&|scope| match scope {
                Scope::AllListeners => true,
                Scope::Listeners(names) => names.iter().any(|mine| &**mine == name),
            })
        };
        Self {
            listeners: listeners.iter().map(|name| of_listener(name)).collect(),
            any: handled(&|_| true),
            entries: entries.into(),
        }
    }
}

/// One line for each handler, in the order in which they run.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, row) in (1..).zip(self.rows()) {
            let listeners = match &row.scope {
                Scope::AllListeners => "all listeners".to_owned(),
                Scope::Listeners(names) => names.join(", "),
            };
            let events: Vec<&str> = row.events.iter().map(Event::name).collect();
            writeln!(
                f,
                "{place}. {} (priority {}, {listeners}): {}",
                row.name,
                row.priority,
                events.join(", ")
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownListener {
                handler,
                listener,
                known,
            } => write!(
                f,
                "handler `{handler}` is for listener `{listener}`, which does not exist; there are: {}",
                known.join(", ")
            ),
            Self::UnknownHandler => f.write_str("no such handler is registered"),
            Self::TooMany => f.write_str("65535 handlers are registered; no more are possible"),
        }
    }
}

impl std::error::Error for RegisterError {}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("rows", &self.snapshot().rows())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChainReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot.fmt(f)
    }
}
