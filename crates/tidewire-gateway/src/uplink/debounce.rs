//! The device list is published a while after a change, once for all changes meanwhile.

/// After a device came or went, or a connection began.
pub(crate) const LONG_MS: i64 = 1000;
/// After a device was modified.
pub(crate) const SHORT_MS: i64 = 100;

/// A timer that further triggers do not move.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Debounce {
    fires_at: Option<i64>,
}

impl Debounce {
    /// Something changed: fires after this time, unless it was going to fire anyway.
    pub(crate) fn trigger(&mut self, now_ms: i64, delay_ms: i64) {
        self.fires_at.get_or_insert(now_ms + delay_ms);
    }

    /// Whether it fires now.
    pub(crate) fn fires(&mut self, now_ms: i64) -> bool {
        let is_due = self.fires_at.is_some_and(|at| now_ms >= at);
        if is_due {
            self.fires_at = None;
        }
        is_due
    }

    /// Milliseconds until it fires.
    pub(crate) fn wait_ms(&self, now_ms: i64) -> Option<u64> {
        let left = self.fires_at?.saturating_sub(now_ms);
        Some(u64::try_from(left).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_while_it_is_armed_are_merged_and_do_not_move_it() {
        let mut timer = Debounce::default();
        timer.trigger(0, LONG_MS);
        timer.trigger(500, SHORT_MS);
        timer.trigger(900, LONG_MS);
        assert_eq!(timer.wait_ms(900), Some(100));
        assert!(!timer.fires(999));
        assert!(timer.fires(1000));
        assert!(!timer.fires(5000));
        timer.trigger(6000, SHORT_MS);
        assert!(timer.fires(6100));
    }
}
