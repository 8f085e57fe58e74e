//! The broker's folder: one broker at a time owns it.

use crate::exit::{Failure, Status};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Whoever holds a lock on this file owns the folder. The file stays: removing it would race with the next owner.
const LOCK_FILE: &str = "tidewire.lock";

/// A folder that this process owns until it ends; the system releases the lock of a process that died.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    // Never read: the lock lives as long as the open file.
    _lock: File,
}

impl DataDir {
    /// Creates the folder if needed, readable by its owner alone, and takes its lock.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |what: &str, error: &std::io::Error| {
            let message = format!(
                "the data directory {} {what}: {error}\n  help: choose another one with `--data DIR`, or run with `--dev` to need none",
                path.display()
            );
            Failure::new(Status::DataDir, message)
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| failed("cannot be created", &error))?;
        let path = path
            .canonicalize()
            .map_err(|error| failed("cannot be opened", &error))?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join(LOCK_FILE))
            .map_err(|error| failed("cannot be written", &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(&path, &mut lock)),
            Err(TryLockError::Error(error)) => return Err(failed("cannot be locked", &error)),
        }
        write_owner(&mut lock).map_err(|error| failed("cannot be written", &error))?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder, absolute.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The folder that suits the user: what `serve` and `ctl` use when they are told nothing.
pub(crate) fn default_path() -> Result<PathBuf, Failure> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/tidewire"));
    }
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("tidewire"))
        .ok_or_else(|| {
            let message = "no place for the data directory: neither XDG_STATE_HOME nor HOME is set\n  help: name one with `--data DIR`";
            Failure::new(Status::Usage, message)
        })
}

/// Where the durable store is in a data directory.
pub(crate) fn store_folder(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}

fn write_owner(lock: &mut File) -> std::io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    writeln!(lock, "{}", std::process::id())
}

fn in_use(path: &Path, lock: &mut File) -> Failure {
    let mut owner = String::new();
    // The owner writes its id a moment after it took the lock.
    let owner = match lock.take(32).read_to_string(&mut owner) {
        Ok(_) if !owner.trim().is_empty() => format!("process {}", owner.trim()),
        _ => "another process".to_owned(),
    };
    let message = format!(
        "the data directory {} belongs to a running broker, {owner}\n  help: stop that one, or give this one a folder of its own with `--data DIR`",
        path.display()
    );
    Failure::new(Status::DataDir, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_has_one_owner_at_a_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a/b");
        let first = DataDir::open(&path).expect("free");
        let refused = DataDir::open(&path).expect_err("taken");
        assert_eq!(refused.status, Status::DataDir);
        assert!(
            refused
                .message
                .contains(&format!("process {}", std::process::id())),
            "{refused}"
        );
        drop(first);
        DataDir::open(&path).expect("free again");
    }

    #[test]
    fn lock_file_of_a_dead_broker_is_no_obstacle() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(
            folder.path().join(LOCK_FILE),
            "999999999\nleft over from a longer text",
        )
        .expect("written");
        let _owned = DataDir::open(folder.path()).expect("nobody holds it");
        let text = std::fs::read_to_string(folder.path().join(LOCK_FILE)).expect("read");
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn folder_is_closed_to_others() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("data");
        let _owned = DataDir::open(&path).expect("free");
        assert_eq!(
            std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode()
                & 0o777,
            0o700
        );
    }
}
