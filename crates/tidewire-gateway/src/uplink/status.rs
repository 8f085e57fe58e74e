//! What is told of an uplink.

use super::outflow::SentCounters;
use std::sync::{Mutex, PoisonError};

/// How an uplink is.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct UplinkStatus {
    /// Whether there is a connection.
    pub is_connected: bool,
    /// Connections so far.
    pub connects: u64,
    /// The latest problem; none since the latest connection.
    pub error: Option<Box<str>>,
    /// Points that the server has not acknowledged.
    pub waiting_points: u64,
    /// When the gateway learned of the oldest of them, in milliseconds since 1970.
    pub oldest_ms: Option<i64>,
    /// Whether older data are sent beside newer ones.
    pub is_backfilling: bool,
    /// Counters since the start.
    pub counters: SentCounters,
}

/// The status of an uplink, for whoever asks.
#[derive(Debug, Default)]
pub struct UplinkState {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    status: UplinkStatus,
    /// Looking for the oldest point reads the disk: only for somebody who asks.
    is_asked: bool,
}

impl UplinkState {
    pub(crate) fn set(&self, change: impl FnOnce(&mut UplinkStatus)) {
        change(
            &mut self
                .inner
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .status,
        );
    }

    pub(crate) fn look_if_asked(&self, look: impl FnOnce() -> Option<i64>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut inner.is_asked) {
            inner.status.oldest_ms = look();
        }
    }

    /// The status; the age of the oldest point is at most a second older than the second question for it.
    #[must_use]
    pub fn get(&self) -> UplinkStatus {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.is_asked = true;
        inner.status.clone()
    }
}
