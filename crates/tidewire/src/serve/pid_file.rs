//! The file that holds the process id while the broker runs.

use crate::exit::{Failure, Status};
use std::path::{Path, PathBuf};

/// Removed when dropped.
#[derive(Debug)]
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Writes this process's id.
    pub(super) fn write(path: &Path) -> Result<Self, Failure> {
        std::fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
            let message = format!("the pid file {} cannot be written: {error}", path.display());
            Failure::new(Status::Failed, message)
        })?;
        // The broker may be told to stop from another folder than the one it was started in.
        Ok(Self(
            path.canonicalize().unwrap_or_else(|_| path.to_owned()),
        ))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
