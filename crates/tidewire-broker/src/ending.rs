//! How the workers end, and who waits for it.

use crate::worker::WorkerReport;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tidewire_core::Stats;

/// What came of a broker's end.
#[derive(Clone, Debug, Default)]
pub struct ShutdownReport {
    /// Connections that were told to go.
    pub connections: usize,
    /// Of those, the ones that had not taken their last bytes when the time was over.
    pub cut: usize,
    /// The figures of all workers at their end.
    pub stats: Stats,
    /// What made the broker end, if it was not asked to.
    pub failure: Option<WorkerFailure>,
}

/// A worker ended before its time, and took its connections with it; the broker stops then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkerFailure {
    /// Which worker.
    pub worker: usize,
    /// What happened.
    pub text: Box<str>,
}

/// Collects the workers' ends.
pub(crate) struct Ending {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    alive: usize,
    report: ShutdownReport,
}

impl Ending {
    pub(crate) fn new(workers: usize) -> Self {
        let report = ShutdownReport::default();
        Self {
            state: Mutex::new(State {
                alive: workers,
                report,
            }),
            changed: Condvar::new(),
        }
    }

    /// A worker ended as it was asked to.
    pub(crate) fn finished(&self, report: &WorkerReport) {
        let mut state = self.lock();
        state.report.connections += report.connections;
        state.report.cut += report.cut;
        state.report.stats.add(&report.stats);
        state.alive = state.alive.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }

    /// A worker ended otherwise; the first failure is the one that is told.
    pub(crate) fn failed(&self, failure: WorkerFailure) {
        let mut state = self.lock();
        state.report.failure.get_or_insert(failure);
        state.alive = state.alive.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until all workers have ended.
    pub(crate) fn wait(&self) -> ShutdownReport {
        let state = self.lock();
        let state = self.changed.wait_while(state, |state| state.alive > 0);
        state.unwrap_or_else(PoisonError::into_inner).report.clone()
    }

    /// Waits until all workers have ended, or the time is over.
    pub(crate) fn wait_for(&self, most: Duration) -> ShutdownReport {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, most, |state| state.alive > 0);
        waited
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .report
            .clone()
    }

    /// The state is a few sums: whoever panicked has left it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for WorkerFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker {} failed: {}", self.worker, self.text)
    }
}

impl std::error::Error for WorkerFailure {}
