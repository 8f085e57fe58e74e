//! Wakes the engine on a schedule finer than a poll's milliseconds.

use std::time::Duration;

use mio::{Registry, Token};

use crate::error::Result;

#[cfg(target_os = "linux")]
pub(super) use linux::Pacer;
#[cfg(not(target_os = "linux"))]
pub(super) use spinning::Pacer;

#[cfg(target_os = "linux")]
mod linux {
    use std::os::fd::{AsFd, AsRawFd};

    use mio::Interest;
    use mio::unix::SourceFd;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

    use super::{Duration, Registry, Result, Token};
    use crate::error::BenchError;

    /// A kernel timer that the poll waits for.
    #[derive(Debug)]
    pub(in crate::engine) struct Pacer {
        timer: TimerFd,
    }

    impl Pacer {
        pub(in crate::engine) fn new(
            interval: Duration,
            registry: &Registry,
            token: Token,
        ) -> Result<Self> {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(failed)?;
            let every = Expiration::Interval(interval.into());
            timer
                .set(every, TimerSetTimeFlags::empty())
                .map_err(failed)?;
            registry
                .register(
                    &mut SourceFd(&timer.as_fd().as_raw_fd()),
                    token,
                    Interest::READABLE,
                )
                .map_err(BenchError::io("registering a timer"))?;
            Ok(Self { timer })
        }

        /// Makes room for the next wake-up.
        pub(in crate::engine) fn clear(&self) {
            // Not yet due after all: nothing to clear.
            let _nothing_due = self.timer.wait();
        }

        /// How long a poll may wait at most.
        pub(in crate::engine) fn poll_timeout(longest: Duration) -> Duration {
            longest
        }
    }

    fn failed(error: nix::Error) -> BenchError {
        BenchError::io("setting a timer")(error.into())
    }
}

#[cfg(not(target_os = "linux"))]
mod spinning {
    use super::{Duration, Registry, Result, Token};

    /// Without a kernel timer the engine polls without waiting.
    #[derive(Debug)]
    pub(in crate::engine) struct Pacer;

    impl Pacer {
        pub(in crate::engine) fn new(_: Duration, _: &Registry, _: Token) -> Result<Self> {
            Ok(Self)
        }

        pub(in crate::engine) fn clear(&self) {}

        pub(in crate::engine) fn poll_timeout(_: Duration) -> Duration {
            Duration::ZERO
        }
    }
}
