//! How long to wait before the next attempt to connect.

use std::time::Duration;

/// When to try again after a connection has ended or did not come about.
///
/// The ceiling of the wait doubles with every attempt and falls back only after a connection that lasted: a server that
/// throws its clients out right after CONNACK is not hammered. The default draws each wait between its floor and its
/// ceiling, so that the clients of a broker that restarts do not all come at once; with its floor of half a second there
/// are at most four attempts in the first two seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    floor: Duration,
    first: Duration,
    max: Duration,
    stable_after: Duration,
    draw: Draw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draw {
    /// Anything between floor and ceiling.
    Jittered,
    /// The ceiling itself.
    Exact,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::jittered(Duration::from_millis(500), Duration::from_secs(60))
    }
}

impl Backoff {
    /// Waits between `floor` and a ceiling that begins at twice the floor and doubles up to `max`.
    #[must_use]
    pub fn jittered(floor: Duration, max: Duration) -> Self {
        Self {
            floor: floor.min(max),
            first: floor.saturating_mul(2).min(max),
            max,
            stable_after: Duration::from_secs(10),
            draw: Draw::Jittered,
        }
    }

    /// Waits of `first`, twice that, four times that, up to `max`: the same for all clients.
    #[must_use]
    pub fn doubling(first: Duration, max: Duration) -> Self {
        Self {
            draw: Draw::Exact,
            first: first.min(max),
            ..Self::jittered(first, max)
        }
    }

    /// How long a connection must have lasted for the waits to begin anew; 10 seconds if not said otherwise.
    #[must_use]
    pub fn stable_after(mut self, lasted: Duration) -> Self {
        self.stable_after = lasted;
        self
    }
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    /// Attempts since the last connection that lasted.
    failed: u32,
}

/// Whether another attempt may succeed by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    MayRecover,
    /// Somebody must change something first.
    Permanent,
}

impl Attempts {
    /// The wait before the next attempt. `lasted` is how long the connection was open, zero if it did not come about.
    pub(crate) fn wait(
        &mut self,
        backoff: &Backoff,
        lasted: Duration,
        outlook: Outlook,
        random: u64,
    ) -> Duration {
        if !lasted.is_zero() && lasted >= backoff.stable_after {
            self.failed = 0;
        }
        let doubled = 1_u32.checked_shl(self.failed).unwrap_or(u32::MAX);
        self.failed = (self.failed + 1).min(31);
        let (floor, ceiling) = match outlook {
            Outlook::MayRecover => (
                backoff.floor,
                backoff.first.saturating_mul(doubled).min(backoff.max),
            ),
            Outlook::Permanent => (backoff.max / 2, backoff.max),
        };
        match backoff.draw {
            Draw::Exact => ceiling,
            Draw::Jittered => {
                let span = ceiling.saturating_sub(floor).as_nanos();
                let share = (span * u128::from(random)) >> 64;
                floor + Duration::from_nanos(u64::try_from(share).unwrap_or(u64::MAX))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(backoff: &Backoff, count: usize, random: u64) -> Vec<u128> {
        let mut attempts = Attempts::default();
        let mut wait = || attempts.wait(backoff, Duration::ZERO, Outlook::MayRecover, random);
        (0..count).map(|_| wait().as_millis()).collect()
    }

    #[test]
    fn default_makes_at_most_four_attempts_in_two_seconds_whatever_is_drawn() {
        let first_three: u128 = waits(&Backoff::default(), 3, 0).iter().sum();
        let first_four: u128 = waits(&Backoff::default(), 4, 0).iter().sum();
        assert!(first_three < 2_000 && first_four >= 2_000);
    }

    #[test]
    fn ceiling_doubles_up_to_the_maximum() {
        let highest = waits(&Backoff::default(), 9, u64::MAX);
        assert_eq!(
            highest,
            [
                999, 1_999, 3_999, 7_999, 15_999, 31_999, 59_999, 59_999, 59_999
            ]
        );
    }

    #[test]
    fn doubling_is_exact() {
        let backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(5));
        assert_eq!(waits(&backoff, 5, 7), [1_000, 2_000, 4_000, 5_000, 5_000]);
    }

    #[test]
    fn only_a_connection_that_lasted_begins_anew() {
        let backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60));
        let mut attempts = Attempts::default();
        let mut wait = |secs| {
            let lasted = Duration::from_secs(secs);
            let wait = attempts.wait(&backoff, lasted, Outlook::MayRecover, 0);
            wait.as_secs()
        };
        assert_eq!(
            [wait(0), wait(1), wait(9), wait(10), wait(0)],
            [1, 2, 4, 1, 2]
        );
    }

    #[test]
    fn permanent_refusal_waits_long_at_once() {
        let mut attempts = Attempts::default();
        let wait = attempts.wait(&Backoff::default(), Duration::ZERO, Outlook::Permanent, 0);
        assert_eq!(wait, Duration::from_secs(30));
    }
}
