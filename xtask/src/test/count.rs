//! `cargo test` with its output on the terminal and its results counted.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::ops::AddAssign;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Environment;
use crate::process;

/// Tests that ran, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs `cargo test --workspace` with `extra` arguments; a run that fails counts at least one failure,
/// also when no test said so (a binary that does not compile or dies has no result line).
pub(super) fn cargo_test(
    root: &Path,
    environment: &Environment,
    extra: &[&str],
) -> (Count, Result<()>) {
    let mut command = process::cargo();
    command
        .current_dir(root)
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(extra);
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let mut count = Count::default();
    let outcome = stream(&mut command, &mut count);
    if outcome.is_err() {
        count.failed = count.failed.max(1);
    }
    (count, outcome)
}

fn stream(command: &mut Command, count: &mut Count) -> Result<()> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let output = child
        .stdout
        .take()
        .context("cargo test has no standard output")?;
    let echoed = echo(output, count);
    let status = child.wait()?;
    echoed?;
    match (status.success(), count.failed) {
        (true, _) => Ok(()),
        (false, 0) => bail!("a test binary did not build or did not end by itself ({status})"),
        (false, failed) => bail!("{failed} of {} tests failed", count.passed + failed),
    }
}

fn echo(output: ChildStdout, count: &mut Count) -> Result<()> {
    // Tests may print any bytes, so lines are read as bytes.
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        if let Some(result) = result_line(&line) {
            *count += result;
        }
    }
    Ok(())
}

/// The numbers of a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
fn result_line(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| {
        let part = numbers
            .split("; ")
            .find_map(|part| part.strip_suffix(word))?;
        part.trim().parse::<usize>().ok()
    };
    Some(Count {
        passed: number("passed")?,
        failed: number("failed")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_counted_and_others_are_not() {
        let ok = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.02s";
        let bad = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(
            result_line(ok),
            Some(Count {
                passed: 12,
                failed: 0
            })
        );
        assert_eq!(
            result_line(bad),
            Some(Count {
                passed: 3,
                failed: 2
            })
        );
        assert_eq!(result_line("running 12 tests"), None);
        assert_eq!(result_line(" test result: ok. 12 passed; 0 failed"), None);
    }

    #[test]
    fn output_is_summed_over_binaries_and_survives_odd_bytes() {
        let script = r"printf 'test result: ok. 2 passed; 0 failed; 0 ignored\n\377\ntest result: FAILED. 1 passed; 4 failed; 0 ignored\n'; exit 101";
        let mut count = Count::default();
        let outcome = stream(Command::new("sh").args(["-c", script]), &mut count);
        assert_eq!(
            count,
            Count {
                passed: 3,
                failed: 4
            }
        );
        assert!(
            outcome
                .expect_err("exit code 101")
                .to_string()
                .starts_with("4 of 7 tests failed")
        );
    }
}
