//! CPU time of a process, all threads, those that ended included.
//!
//! The total comes from the process's CPU clock (`clock_getcpuclockid`), in nanoseconds. The share of user time
//! comes from `/proc/PID/stat`, which has a grain of 10 ms; it is reported for information.

use serde::Serialize;

use crate::error::{BenchError, Result};

/// A process's CPU clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuReading {
    total_nanos: u64,
    user_ticks: u64,
    system_ticks: u64,
}

/// CPU used between two readings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CpuUse {
    /// User and system time together, in nanoseconds.
    pub total_nanos: u64,
    /// The user part of it, in nanoseconds, as exact as clock ticks of 10 ms allow.
    pub user_nanos: u64,
}

impl CpuReading {
    /// Reads the clocks of process `pid`.
    ///
    /// # Errors
    /// When there is no such process, or the system has no such clocks.
    #[cfg(target_os = "linux")]
    pub fn of(pid: u32) -> Result<Self> {
        let total_nanos = process_clock_nanos(pid)?;
        let stat = super::read_proc(pid, "stat")?;
        let (user_ticks, system_ticks) = parse_stat(&stat)
            .ok_or_else(|| BenchError::Environment(format!("/proc/{pid}/stat has no CPU times")))?;
        Ok(Self {
            total_nanos,
            user_ticks,
            system_ticks,
        })
    }

    /// Reads the clocks of process `pid`.
    ///
    /// # Errors
    /// Always, on this system.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_pid: u32) -> Result<Self> {
        Err(BenchError::Environment(
            "a process's CPU clock is read on Linux only".into(),
        ))
    }

    /// What was used since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> CpuUse {
        let total_nanos = self.total_nanos.saturating_sub(earlier.total_nanos);
        let user = self.user_ticks.saturating_sub(earlier.user_ticks);
        let system = self.system_ticks.saturating_sub(earlier.system_ticks);
        // The ticks' ratio is applied to the exact total, so that the parts add up.
        let share = if user + system == 0 {
            0.0
        } else {
            user as f64 / (user + system) as f64
        };
        CpuUse {
            total_nanos,
            user_nanos: (total_nanos as f64 * share) as u64,
        }
    }
}

/// CPU time of this very process so far, in nanoseconds; 0 where the system does not say.
#[must_use]
pub fn own_cpu_nanos() -> u64 {
    #[cfg(unix)]
    {
        use nix::time::{ClockId, clock_gettime};
        clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(0, nanos)
    }
    #[cfg(not(unix))]
    0
}

#[cfg(target_os = "linux")]
fn process_clock_nanos(pid: u32) -> Result<u64> {
    use nix::time::{clock_getcpuclockid, clock_gettime};
    use nix::unistd::Pid;

    let doing = || format!("reading the CPU clock of process {pid}");
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32))
        .map_err(|error| BenchError::io(doing())(error.into()))?;
    clock_gettime(clock)
        .map(nanos)
        .map_err(|error| BenchError::io(doing())(error.into()))
}

#[cfg(unix)]
fn nanos(time: nix::sys::time::TimeSpec) -> u64 {
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

/// User and system ticks: the 14th and 15th field, counted after the name, which may hold anything.
#[cfg(target_os = "linux")]
fn parse_stat(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_after_a_name_with_spaces_and_parentheses() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 123 45 0 0 20";
        assert_eq!(parse_stat(stat), Some((123, 45)));
        assert_eq!(parse_stat("12 (cut) S 1"), None);
    }

    #[test]
    fn work_shows_in_the_reading_in_less_than_a_tick() {
        let pid = std::process::id();
        let before = CpuReading::of(pid).unwrap();
        let own_before = own_cpu_nanos();
        let mut sum = 0u64;
        while own_cpu_nanos() - own_before < 2_000_000 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let used = CpuReading::of(pid).unwrap().since(&before).total_nanos;
        assert!(used >= 2_000_000, "{used}");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(CpuReading::of(u32::MAX / 4).is_err());
    }

    #[test]
    fn user_time_is_the_ticks_share_of_the_exact_total() {
        let reading = |total_nanos, user_ticks, system_ticks| CpuReading {
            total_nanos,
            user_ticks,
            system_ticks,
        };
        let used = reading(5_000_000_000, 130, 70).since(&reading(3_000_000_000, 100, 0));
        assert_eq!(
            used,
            CpuUse {
                total_nanos: 2_000_000_000,
                user_nanos: 600_000_000
            }
        );
    }
}
