//! Memory of a process, from `/proc/PID/smaps_rollup`.

use serde::Serialize;

use crate::error::{BenchError, Result};

/// A process's memory at one moment, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryReading {
    /// Resident set: all pages present.
    pub rss_bytes: u64,
    /// Proportional set: shared pages divided among those that share them.
    pub pss_bytes: u64,
    /// Pages that no file backs: heap and stacks.
    pub anonymous_bytes: u64,
}

impl MemoryReading {
    /// Reads the memory of process `pid`.
    ///
    /// # Errors
    /// When there is no such process, or it belongs to somebody else.
    #[cfg(target_os = "linux")]
    pub fn of(pid: u32) -> Result<Self> {
        let rollup = super::read_proc(pid, "smaps_rollup")?;
        parse(&rollup)
            .ok_or_else(|| BenchError::Environment(format!("/proc/{pid}/smaps_rollup has no sums")))
    }

    /// Reads the memory of process `pid`.
    ///
    /// # Errors
    /// Always, on this system.
    #[cfg(not(target_os = "linux"))]
    pub fn of(_pid: u32) -> Result<Self> {
        Err(BenchError::Environment(
            "a process's memory is read on Linux only".into(),
        ))
    }
}

#[cfg(target_os = "linux")]
fn parse(rollup: &str) -> Option<MemoryReading> {
    let bytes = |name: &str| -> Option<u64> {
        let line = rollup
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    };
    Some(MemoryReading {
        rss_bytes: bytes("Rss")?,
        pss_bytes: bytes("Pss")?,
        anonymous_bytes: bytes("Anonymous")?,
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn sums_are_read_in_bytes() {
        let rollup =
            "5581-7ffc [rollup]\nRss:  884 kB\nPss: 385 kB\nPss_Dirty: 68 kB\nAnonymous: 68 kB\n";
        let expected = MemoryReading {
            rss_bytes: 884 * 1024,
            pss_bytes: 385 * 1024,
            anonymous_bytes: 68 * 1024,
        };
        assert_eq!(parse(rollup), Some(expected));
        assert_eq!(parse("Rss: 1 kB"), None);
    }

    #[test]
    fn memory_that_is_touched_shows_in_the_reading() {
        let pid = std::process::id();
        let before = MemoryReading::of(pid).unwrap();
        let touched = std::hint::black_box(vec![1u8; 32 << 20]);
        let after = MemoryReading::of(pid).unwrap();
        assert!(after.anonymous_bytes >= before.anonymous_bytes + (24 << 20));
        drop(touched);
    }
}
