//! How long handlers take, as a histogram that costs little to keep.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Upper bounds of the buckets in microseconds; one more is for everything beyond.
const BOUNDS_MICROS: [u64; 12] = [
    1, 5, 25, 100, 500, 1_000, 5_000, 25_000, 100_000, 500_000, 1_000_000, 5_000_000,
];
/// Buckets.
const BUCKETS: usize = BOUNDS_MICROS.len() + 1;
/// Of the first calls each is measured ...
const MEASURED_FIRST: u64 = 64;
/// ... and then one of so many, which counts for all of them: reading a clock costs more than a handler that is ready at once.
const MEASURED_OF: u64 = 16;

/// How long a handler's answers took. Answers that had to be waited for are measured each, of those that were ready at once a
/// part that stands for the others.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Latency {
    /// Answers in each bucket: up to 1 us, 5 us, 25 us, 100 us, 500 us, 1 ms, 5 ms, 25 ms, 100 ms, 500 ms, 1 s, 5 s, and longer.
    pub buckets: [u64; BUCKETS],
    /// All of them together.
    pub total: Duration,
}

/// [`Latency`] that counts.
#[derive(Default)]
pub(crate) struct Stopwatch {
    buckets: [AtomicU64; BUCKETS],
    total_nanos: AtomicU64,
}

/// A call that is measured.
#[derive(Clone, Copy)]
pub(crate) struct Started {
    at: Instant,
    /// So many calls it stands for.
    weight: u64,
}

impl Latency {
    /// The upper bounds of the buckets but the last.
    pub fn bounds() -> impl Iterator<Item = Duration> {
        BOUNDS_MICROS.into_iter().map(Duration::from_micros)
    }

    /// Answers in all buckets.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Stopwatch {
    /// The `call`th call begins; `None` = it is not measured.
    #[inline]
    pub(crate) fn start(call: u64) -> Option<Started> {
        let weight = if call < MEASURED_FIRST {
            1
        } else if call.is_multiple_of(MEASURED_OF) {
            MEASURED_OF
        } else {
            return None;
        };
        let at = Instant::now();
        Some(Started { at, weight })
    }

    /// A call that was measured is answered.
    pub(crate) fn stop(&self, started: Started) {
        let took = started.at.elapsed();
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| bound * 1000 < nanos);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(started.weight, Ordering::Relaxed);
        }
        let nanos = nanos.saturating_mul(started.weight);
        self.total_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Latency {
        let mut latency = Latency::default();
        for (read, bucket) in latency.buckets.iter_mut().zip(&self.buckets) {
            *read = bucket.load(Ordering::Relaxed);
        }
        latency.total = Duration::from_nanos(self.total_nanos.load(Ordering::Relaxed));
        latency
    }
}

impl Started {
    /// An answer that is waited for stands for itself alone.
    pub(crate) fn waited(call: Option<Self>) -> Self {
        Self {
            at: call.map_or_else(Instant::now, |started| started.at),
            weight: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Latency, MEASURED_OF, Started, Stopwatch};
    use std::time::{Duration, Instant};

    #[test]
    fn measured_calls_stand_for_all() {
        let calls = 64 + 160;
        let weights = (0..calls).filter_map(|call| Stopwatch::start(call).map(|it| it.weight));
        assert_eq!(weights.sum::<u64>(), calls);
    }

    #[test]
    fn an_answer_is_in_the_bucket_of_its_time() {
        let stopwatch = Stopwatch::default();
        stopwatch.stop(Started {
            at: Instant::now() - Duration::from_secs(3),
            weight: MEASURED_OF,
        });
        let latency = stopwatch.read();
        let at = Latency::bounds().position(|bound| bound == Duration::from_secs(5));
        assert_eq!(at.map(|at| latency.buckets[at]), Some(MEASURED_OF));
        assert_eq!(latency.count(), MEASURED_OF);
        assert!(latency.total >= Duration::from_secs(48));
    }
}
