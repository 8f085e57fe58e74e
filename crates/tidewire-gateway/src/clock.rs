//! Where the time comes from.

pub use crate::pipeline::record::Clock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// The clock that values are stamped with.
#[derive(Clone, Debug)]
pub enum TimeSource {
    /// The machine's.
    System,
    /// One that a test moves, in milliseconds since 1970; it counts as synchronised.
    Fixed(Arc<AtomicI64>),
}

impl TimeSource {
    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => {
                let since = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
            }
            Self::Fixed(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Whether the clock follows a time server, as far as the system says so in the files of its time services.
    #[must_use]
    pub fn clock(&self) -> Clock {
        match self {
            Self::Fixed(_) => Clock::Synced,
            Self::System if is_synced() => Clock::Synced,
            Self::System => Clock::Unsynced,
        }
    }
}

/// Looked up at most once a minute.
fn is_synced() -> bool {
    static LOOKED_MS: AtomicI64 = AtomicI64::new(i64::MIN);
    static FOUND: AtomicI64 = AtomicI64::new(0);
    let now = TimeSource::System.now_ms();
    if now.saturating_sub(LOOKED_MS.load(Ordering::Relaxed)) > 60_000 {
        LOOKED_MS.store(now, Ordering::Relaxed);
        let places = [
            "/run/systemd/timesync/synchronized",
            "/run/chrony/chronyd.pid",
            "/run/ntpd.pid",
        ];
        let found = places
            .iter()
            .any(|place| std::path::Path::new(place).exists());
        FOUND.store(found.into(), Ordering::Relaxed);
    }
    FOUND.load(Ordering::Relaxed) == 1
}
