//! Latency from the intended send time, so that a stalled broker cannot hide the messages it delayed.

use std::time::{Duration, Instant};

use serde::Serialize;

/// A fixed timetable: message `k` is due at `start + k * interval`, publishers taking turns.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    start: Instant,
    interval: Duration,
    publishers: u64,
    /// Sequence number that each publisher's first message of this timetable carries.
    first_sequence: u64,
}

impl Schedule {
    /// A timetable of `messages_per_sec` in all.
    ///
    /// # Panics
    /// If the rate is not a positive number.
    #[must_use]
    pub fn new(
        start: Instant,
        messages_per_sec: f64,
        publishers: usize,
        first_sequence: u64,
    ) -> Self {
        assert!(messages_per_sec > 0.0, "a rate is positive");
        let interval = Duration::from_secs_f64(1.0 / messages_per_sec);
        Self {
            start,
            interval,
            publishers: publishers as u64,
            first_sequence,
        }
    }

    /// Time between two messages of the whole load.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// How many messages of the whole load are due at `now`.
    #[must_use]
    pub fn due(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.start);
        (elapsed.as_nanos() / self.interval.as_nanos().max(1)) as u64 + 1
    }

    /// When a message ought to have been sent, whenever it was.
    #[must_use]
    pub fn intended(&self, publisher: u32, sequence: u64) -> Instant {
        let turn =
            sequence.saturating_sub(self.first_sequence) * self.publishers + u64::from(publisher);
        self.start + Duration::from_nanos(self.interval.as_nanos() as u64 * turn)
    }
}

/// All latencies of a run.
#[derive(Debug, Default)]
pub struct Latencies {
    nanos: Vec<u64>,
}

/// What is reported of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencySummary {
    /// Half of the messages took no longer, in microseconds.
    pub p50_us: f64,
    /// 99 of 100 messages took no longer, in microseconds.
    pub p99_us: f64,
    /// The slowest message, in microseconds.
    pub max_us: f64,
    /// Messages measured.
    pub samples: usize,
}

impl Latencies {
    /// Notes one message.
    #[inline]
    pub fn record(&mut self, latency: Duration) {
        self.nanos.push(latency.as_nanos() as u64);
    }

    /// Percentiles of everything noted; `None` if nothing was.
    #[must_use]
    pub fn summary(&mut self) -> Option<LatencySummary> {
        self.nanos.sort_unstable();
        let micros = |nanos: u64| nanos as f64 / 1000.0;
        Some(LatencySummary {
            p50_us: micros(percentile(&self.nanos, 50.0)?),
            p99_us: micros(percentile(&self.nanos, 99.0)?),
            max_us: micros(*self.nanos.last()?),
            samples: self.nanos.len(),
        })
    }
}

/// The smallest value that at least `percent` of the sorted values do not exceed (nearest rank).
#[must_use]
pub fn percentile(sorted: &[u64], percent: f64) -> Option<u64> {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank.min(sorted.len()).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<u64> = (1..=100).collect();
        assert_eq!(percentile(&values, 50.0), Some(50));
        assert_eq!(percentile(&values, 99.0), Some(99));
        assert_eq!(percentile(&values, 100.0), Some(100));
        assert_eq!(percentile(&[7], 1.0), Some(7));
        assert_eq!(percentile(&[], 50.0), None);
    }

    #[test]
    fn messages_are_due_one_interval_apart_and_publishers_take_turns() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 1000.0, 4, 10);
        assert_eq!(schedule.due(start), 1);
        assert_eq!(schedule.due(start + Duration::from_micros(9_999)), 10);
        assert_eq!(schedule.intended(0, 10), start);
        assert_eq!(schedule.intended(3, 10), start + Duration::from_millis(3));
        assert_eq!(schedule.intended(1, 12), start + Duration::from_millis(9));
    }

    /// A broker that stops for a second delays every message of that second. Counted from the moment of
    /// sending, only one message would look slow; counted from the intended time, all of them do.
    #[test]
    fn a_stall_shows_in_every_message_it_delayed() {
        let start = Instant::now();
        let schedule = Schedule::new(start, 1000.0, 1, 0);
        let mut latencies = Latencies::default();
        let stall_ends = start + Duration::from_secs(1);
        for sequence in 0..2000 {
            let intended = schedule.intended(0, sequence);
            let delivered = intended.max(stall_ends) + Duration::from_micros(100);
            latencies.record(delivered - intended);
        }
        let summary = latencies.summary().unwrap();
        assert_eq!(summary.samples, 2000);
        assert!(summary.p50_us <= 1100.0, "{summary:?}");
        assert!((summary.p99_us - 980_000.0).abs() < 2_000.0, "{summary:?}");
        assert!((summary.max_us - 1_000_100.0).abs() < 1.0, "{summary:?}");
    }
}
