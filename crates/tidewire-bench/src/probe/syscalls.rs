//! Counts a process's system calls with `strace -c -f`.
//!
//! Tracing slows the process many times over, so a run with a counter attached gives no CPU figure.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::error::{BenchError, Result};

/// Whether `strace` can be started.
#[must_use]
pub fn strace_is_available() -> bool {
    Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// A running `strace`; it lets go of the process when dropped.
#[derive(Debug)]
pub struct SyscallCounter {
    strace: Option<Child>,
    summary: PathBuf,
}

impl SyscallCounter {
    /// Attaches to `pid` and all its threads; returns once it counts.
    ///
    /// # Errors
    /// When `strace` is missing or may not trace the process.
    pub fn attach(pid: u32) -> Result<Self> {
        let summary = std::env::temp_dir().join(format!(
            "tidewire-bench-{}-{pid}.strace",
            std::process::id()
        ));
        let mut strace = Command::new("strace")
            .args(["-c", "-f", "-p", &pid.to_string(), "-o"])
            .arg(&summary)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(BenchError::io("starting strace"))?;
        let stderr = strace.stderr.take();
        let counter = Self {
            strace: Some(strace),
            summary,
        };
        let mut said = String::new();
        if let Some(stderr) = stderr {
            let mut lines = BufReader::new(stderr);
            lines
                .read_line(&mut said)
                .map_err(BenchError::io("reading from strace"))?;
            // The rest is read elsewhere, so that strace never blocks on a full pipe.
            std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        }
        if said.contains("attached") {
            return Ok(counter);
        }
        Err(BenchError::Environment(format!(
            "strace cannot attach: {}",
            said.trim()
        )))
    }

    /// Detaches; returns the number of system calls since [`SyscallCounter::attach`].
    ///
    /// # Errors
    /// When `strace` left no summary.
    pub fn finish(mut self) -> Result<u64> {
        self.detach();
        let summary = std::fs::read_to_string(&self.summary)
            .map_err(BenchError::file("reading", self.summary.clone()))?;
        total_calls(&summary)
            .ok_or_else(|| BenchError::Environment("strace's summary has no total".into()))
    }

    fn detach(&mut self) {
        if let Some(mut strace) = self.strace.take() {
            #[cfg(unix)]
            {
                use nix::sys::signal::{Signal, kill};
                use nix::unistd::Pid;
                // An interrupt lets it detach and write the summary. It may have ended by itself.
                let _ended_already = kill(Pid::from_raw(strace.id() as i32), Signal::SIGINT);
            }
            let _reaped = strace.wait();
        }
    }
}

impl Drop for SyscallCounter {
    fn drop(&mut self) {
        self.detach();
        let _may_be_gone = std::fs::remove_file(&self.summary);
    }
}

/// The call count of the last line of `strace -c`: `100.00 0.123 12 CALLS [ERRORS] total`.
fn total_calls(summary: &str) -> Option<u64> {
    let line = summary
        .lines()
        .rev()
        .find(|line| line.trim_end().ends_with("total"))?;
    line.split_ascii_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_found_with_and_without_errors() {
        let table = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000060           6        10         2 read
------ ----------- ----------- --------- --------- ----------------
100.00    0.000100           3        33         2 total
";
        assert_eq!(total_calls(table), Some(33));
        assert_eq!(
            total_calls("100.00    0.000100           3        41           total\n"),
            Some(41)
        );
        assert_eq!(total_calls(""), None);
    }
}
