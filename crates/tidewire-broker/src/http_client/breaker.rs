//! A circuit breaker: whoever does not answer is left alone for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts failures in a row. After so many it lets nothing through for a while, then one attempt at a time until one succeeds.
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Instant,
    },
    /// One attempt is under way.
    Trying,
}

/// Leave for one attempt. Say how it went; one that is dropped without a word has failed.
#[derive(Debug)]
pub struct Pass {
    breaker: Arc<Breaker>,
    said: bool,
}

impl Breaker {
    /// Opens after `failures_max` failures in a row, for `pause`.
    #[must_use]
    pub fn new(failures_max: u32, pause: Duration) -> Arc<Self> {
        Arc::new(Self {
            failures_max: failures_max.max(1),
            pause,
            state: Mutex::new(State::Closed { failures: 0 }),
        })
    }

    /// Leave for an attempt; `None` = not now.
    #[must_use]
    pub fn pass(self: &Arc<Self>, now: Instant) -> Option<Pass> {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => {}
            State::Open { until } if until <= now => *state = State::Trying,
            State::Open { .. } | State::Trying => return None,
        }
        Some(Pass {
            breaker: Arc::clone(self),
            said: false,
        })
    }

    /// Whether attempts are held back now.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        match *self.lock() {
            State::Closed { .. } => false,
            State::Open { until } => now < until,
            State::Trying => true,
        }
    }

    fn went_well(&self) {
        *self.lock() = State::Closed { failures: 0 };
    }

    fn failed(&self, now: Instant) {
        let mut state = self.lock();
        let failures = match *state {
            State::Closed { failures } => failures + 1,
            State::Trying => self.failures_max,
            // A late failure of an attempt that began before says nothing new.
            State::Open { .. } => return,
        };
        *state = if failures >= self.failures_max {
            State::Open {
                until: now + self.pause,
            }
        } else {
            State::Closed { failures }
        };
    }

    /// A state is whole between any two operations.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass {
    /// It went well.
    pub fn went_well(mut self) {
        self.said = true;
        self.breaker.went_well();
    }

    /// It failed.
    pub fn failed(mut self) {
        self.said = true;
        self.breaker.failed(Instant::now());
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if !self.said {
            self.breaker.failed(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Breaker;
    use std::time::{Duration, Instant};

    const PAUSE: Duration = Duration::from_secs(60);

    #[test]
    fn it_opens_after_failures_in_a_row_and_tries_once_when_its_pause_is_over() {
        let breaker = Breaker::new(3, PAUSE);
        let now = Instant::now();
        for _ in 0..2 {
            breaker.pass(now).unwrap().failed();
        }
        breaker.pass(now).unwrap().went_well();
        for _ in 0..3 {
            assert!(!breaker.is_open(now));
            breaker.pass(now).unwrap().failed();
        }
        assert!(breaker.is_open(now) && breaker.pass(now).is_none());

        let later = Instant::now() + PAUSE;
        let trial = breaker.pass(later).unwrap();
        assert!(breaker.pass(later).is_none(), "one at a time");
        trial.failed();
        assert!(breaker.pass(Instant::now()).is_none(), "open again");
        breaker.pass(Instant::now() + PAUSE).unwrap().went_well();
        assert!(breaker.pass(now).is_some() && breaker.pass(now).is_some());
    }

    #[test]
    fn an_attempt_that_is_given_up_has_failed() {
        let breaker = Breaker::new(1, PAUSE);
        drop(breaker.pass(Instant::now()));
        assert!(breaker.is_open(Instant::now()));
    }
}
