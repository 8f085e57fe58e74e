//! What scripts wait for: addresses and process id as JSON, written when clients can connect.

use super::Facts;
use crate::exit::{Failure, Status};
use serde_json::{Value as Json, json};
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file that exists from readiness to the end; removed when dropped.
#[derive(Debug)]
pub(super) struct ReadyFile(PathBuf);

impl ReadyFile {
    /// Writes the file in one step: whoever sees it sees all of it.
    pub(super) fn write(path: &Path, facts: &Facts) -> Result<Self, Failure> {
        let mut part = OsString::from(path);
        part.push(format!(".{}", std::process::id()));
        std::fs::write(&part, line(facts))
            .and_then(|()| std::fs::rename(&part, path))
            .map_err(|error| {
                let _ = std::fs::remove_file(&part);
                let message = format!(
                    "the ready file {} cannot be written: {error}",
                    path.display()
                );
                Failure::new(Status::Failed, message)
            })?;
        Ok(Self(
            path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        ))
    }
}

impl Drop for ReadyFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Writes the same line to standard output.
pub(super) fn print(facts: &Facts) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(line(facts).as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| {
            Failure::new(
                Status::Failed,
                format!("standard output cannot be written: {error}"),
            )
        })
}

fn line(facts: &Facts) -> String {
    format!("{}\n", document(facts))
}

fn document(facts: &Facts) -> Json {
    json!({
        "v": 1,
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "listeners": facts.listeners,
        "metrics": facts.metrics.map(|address| address.to_string()),
        "data_dir": facts.data_dir.as_ref().map(|path| path.display().to_string()),
    })
}
