//! Long tests: marked `#[ignore]`, run on request, their result noted in `docs/long-tests.md`.
//!
//! `TIDEWIRE_LONG=1` tells tests that have a size (seeds, cases, rounds) to take the large one.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result};

use super::Environment;
use super::count::{self, Count};
use crate::process;

const RECORD: &str = "docs/long-tests.md";
const HEAD: &str = "# Long tests\n\nWritten by `cargo xtask test --long`, newest last.\n\n\
                    | date (UTC) | commit | seconds | result |\n|---|---|---:|---|\n";

/// Runs the long tests and appends a row to the record, whatever their result.
pub(super) fn run(root: &Path, environment: &Environment) -> (Count, Result<()>) {
    let started = Instant::now();
    let mut environment = environment.clone();
    environment.push(("TIDEWIRE_LONG", "1".into()));
    // `--tests` leaves doc tests out: an ignored one is not meant to compile.
    let (count, outcome) = count::cargo_test(root, &environment, &["--tests", "--", "--ignored"]);
    let noted = note(root, started.elapsed().as_secs(), count);
    (count, outcome.and(noted))
}

fn note(root: &Path, seconds: u64, count: Count) -> Result<()> {
    let date = process::read(Command::new("date").args(["-u", "+%F"]))?;
    let row = row(date.trim(), &commit(root), seconds, count);
    let path = root.join(RECORD);
    let record = fs::read_to_string(&path).unwrap_or_else(|_| HEAD.to_owned());
    fs::write(&path, record + &row).with_context(|| format!("cannot write {RECORD}"))
}

fn row(date: &str, commit: &str, seconds: u64, count: Count) -> String {
    format!("| {date} | {commit} | {seconds} | {count} |\n")
}

/// The short commit id, marked when files differ from it.
fn commit(root: &Path) -> String {
    let git =
        |arguments: &[&str]| process::read(Command::new("git").current_dir(root).args(arguments));
    let Ok(id) = git(&["rev-parse", "--short", "HEAD"]) else {
        return "no git".to_owned();
    };
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_ok_and(|list| !list.is_empty());
    format!("{}{}", id.trim(), if changed { " + changes" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_fits_the_head_of_the_record() {
        let row = row(
            "2025-01-31",
            "abc1234",
            61,
            Count {
                passed: 3,
                failed: 1,
            },
        );
        assert_eq!(row, "| 2025-01-31 | abc1234 | 61 | 3 passed, 1 failed |\n");
        let columns = |line: &str| line.matches('|').count();
        assert_eq!(
            columns(&row),
            columns(HEAD.lines().last().expect("a last line"))
        );
    }
}
