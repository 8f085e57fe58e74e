//! A rate with a burst of one second.

/// Lets so many units a second through.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Bucket {
    rate: f64,
    left: f64,
    at_ms: i64,
}

impl Bucket {
    /// `per_second` units; 0 = no bound.
    pub(crate) fn new(per_second: u32, now_ms: i64) -> Self {
        Self {
            rate: per_second.into(),
            left: per_second.into(),
            at_ms: now_ms,
        }
    }

    /// Whether anything may pass now.
    pub(crate) fn is_open(&mut self, now_ms: i64) -> bool {
        self.refill(now_ms);
        self.rate == 0.0 || self.left > 0.0
    }

    /// So many have passed; what is too much is taken from the next seconds.
    pub(crate) fn take(&mut self, units: u32) {
        self.left -= f64::from(units);
    }

    /// Milliseconds until something may pass.
    pub(crate) fn wait_ms(&self) -> u64 {
        if self.rate == 0.0 || self.left > 0.0 {
            return 0;
        }
        let wait = (-self.left * 1000.0 / self.rate).ceil() as u64;
        wait.max(1)
    }

    fn refill(&mut self, now_ms: i64) {
        // A clock that was set back gives nothing.
        let passed = now_ms.saturating_sub(self.at_ms).clamp(0, 60_000);
        self.at_ms = now_ms;
        let gained = self.rate * passed as f64 / 1000.0;
        self.left = (self.left + gained).min(self.rate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_is_kept_and_no_debt_is_forgiven() {
        let mut bucket = Bucket::new(100, 0);
        assert!(bucket.is_open(0));
        bucket.take(350);
        assert!(!bucket.is_open(2000));
        assert!(bucket.wait_ms() <= 501);
        assert!(bucket.is_open(2600));
        let mut free = Bucket::new(0, 0);
        free.take(u32::MAX);
        assert!(free.is_open(0));
    }
}
