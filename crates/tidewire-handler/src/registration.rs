//! How a handler is registered, and what is counted about it.

use crate::event::Handler;
use crate::latency::Stopwatch;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The deadline of a registration that names none. Below the core's own default of 30 s for all handlers together.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(5);

/// A handler, and when and where it is asked.
#[derive(Clone)]
pub struct Registration {
    pub(crate) name: Arc<str>,
    pub(crate) handler: Arc<dyn Handler>,
    pub(crate) priority: i32,
    pub(crate) scope: Scope,
    pub(crate) on_failure: OnFailure,
    pub(crate) deadline: Duration,
}

/// Which listeners' clients a handler is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All, and what belongs to no listener.
    AllListeners,
    /// Those of the listeners with these names.
    Listeners(Vec<Box<str>>),
}

/// What follows when a handler panics, errs or is late.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OnFailure {
    /// What was asked is denied.
    #[default]
    Deny,
    /// The next handler is asked, as if this one had nothing to say.
    Skip,
}

/// What has become of a handler's questions so far.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counts {
    /// Questions and notices.
    pub calls: u64,
    /// Answers that were not ready at once.
    pub waits: u64,
    /// Denials, closed connections included; failures are not among them.
    pub denials: u64,
    /// Errors that it returned.
    pub errors: u64,
    /// Panics.
    pub panics: u64,
    /// Answers that came too late.
    pub timeouts: u64,
}

/// [`Counts`] that count.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) calls: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) denials: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) panics: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) stopwatch: Stopwatch,
    last_failure: Mutex<Option<Box<str>>>,
}

impl Registration {
    /// Priority 0, for all listeners, denying on failure, with 5 seconds for each answer.
    pub fn new(name: &str, handler: impl Handler) -> Self {
        Self::shared(name, Arc::new(handler))
    }

    /// The same for a handler that somebody else has, too.
    pub fn shared(name: &str, handler: Arc<dyn Handler>) -> Self {
        Self {
            name: name.into(),
            handler,
            priority: 0,
            scope: Scope::AllListeners,
            on_failure: OnFailure::default(),
            deadline: DEFAULT_DEADLINE,
        }
    }

    /// Larger runs first; ties run in order of registration.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }

    /// For this listener, and others that were named before.
    #[must_use]
    pub fn listener(mut self, name: &str) -> Self {
        match &mut self.scope {
            Scope::Listeners(names) => names.push(name.into()),
            Scope::AllListeners => self.scope = Scope::Listeners(vec![name.into()]),
        }
        self
    }

    /// What follows when it panics, errs or is late.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }

    /// How long an answer may take.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The handler's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which listeners' clients it is asked about.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The handler.
    #[must_use]
    pub fn handler(&self) -> &Arc<dyn Handler> {
        &self.handler
    }
}

impl Counters {
    pub(crate) fn note_failure(&self, text: &str) {
        *self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(text.into());
    }

    pub(crate) fn last_failure(&self) -> Option<Box<str>> {
        self.last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn read(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            calls: read(&self.calls),
            waits: read(&self.waits),
            denials: read(&self.denials),
            errors: read(&self.errors),
            panics: read(&self.panics),
            timeouts: read(&self.timeouts),
        }
    }
}

/// Counts, and returns what there was before.
pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("name", &self.name)
            .field("priority", &self.priority)
            .field("scope", &self.scope)
            .field("on_failure", &self.on_failure)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
