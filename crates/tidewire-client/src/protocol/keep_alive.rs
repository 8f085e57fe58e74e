//! When to send PINGREQ, and when to give up waiting for its answer.

use std::time::Duration;

use super::input::Reading;
use super::time::Time;

/// The longest time before the end of the keep-alive at which PINGREQ is sent: it has still to reach the server.
const MARGIN: Duration = Duration::from_secs(5);

/// Both directions are watched: a client that publishes without pause would never ping, and never learn that nobody
/// listens any more.
#[derive(Debug)]
pub(crate) struct KeepAlive {
    /// Silence after which PINGREQ is due; `None` without keep-alive.
    interval: Option<Duration>,
    timeout: Duration,
    last_sent: Time,
    last_received: Time,
    /// When the oldest PINGREQ without an answer was sent.
    asked_at: Option<Time>,
    /// PINGREQs without an answer.
    unanswered: u32,
    reading: Reading,
}

impl KeepAlive {
    pub(crate) const fn off() -> Self {
        Self {
            interval: None,
            timeout: Duration::ZERO,
            last_sent: Time::ZERO,
            last_received: Time::ZERO,
            asked_at: None,
            unanswered: 0,
            reading: Reading::On,
        }
    }

    pub(crate) fn start(&mut self, now: Time, keep_alive_secs: u16, timeout: Duration) {
        let whole = Duration::from_secs(keep_alive_secs.into());
        *self = Self {
            interval: (keep_alive_secs > 0).then(|| whole - MARGIN.min(whole / 4)),
            timeout,
            last_sent: now,
            last_received: now,
            ..Self::off()
        };
    }

    pub(crate) const fn sent(&mut self, now: Time) {
        self.last_sent = now;
    }

    pub(crate) const fn received(&mut self, now: Time) {
        self.last_received = now;
    }

    pub(crate) const fn asked(&mut self, now: Time) {
        self.unanswered = self.unanswered.saturating_add(1);
        if self.asked_at.is_none() {
            self.asked_at = Some(now);
        }
    }

    /// PINGRESP came; false if nobody asked.
    pub(crate) const fn answered(&mut self) -> bool {
        let expected = self.unanswered > 0;
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered == 0 {
            self.asked_at = None;
        }
        expected
    }

    /// While nothing is read no answer can come; the wait begins anew afterwards.
    pub(crate) const fn set_reading(&mut self, now: Time, reading: Reading) {
        self.reading = reading;
        self.last_received = now;
    }

    /// When PINGREQ is to be sent.
    pub(crate) fn ping_due(&self) -> Option<Time> {
        let interval = self.interval?;
        let idle_since = match (self.reading, self.asked_at) {
            (Reading::On, None) => self.last_sent.min(self.last_received),
            // The answer to an earlier one is awaited, or would not be read: only the promise to the server counts.
            _ => self.last_sent,
        };
        Some(idle_since.plus(interval))
    }

    /// When the answer to a PINGREQ is overdue. Whatever comes shows that the server lives.
    pub(crate) fn answer_due(&self) -> Option<Time> {
        match self.reading {
            Reading::Paused => None,
            Reading::On => Some(self.asked_at?.max(self.last_received).plus(self.timeout)),
        }
    }
}
