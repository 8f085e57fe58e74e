//! Where a store is, and what keeps a command from it.

use crate::data_dir;
use crate::exit::{Failure, Status};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewire_log::{DiskFiles, Files};
use tidewire_store::OpenError;

/// A store's folder.
#[derive(Debug)]
pub(super) struct Place {
    /// What the person named.
    pub(super) data: PathBuf,
    /// Where the files are.
    pub(super) folder: PathBuf,
}

impl Place {
    /// The store of a data directory, or the folder itself if it holds a store's files.
    pub(super) fn of(data: Option<&Path>) -> Result<Self, Failure> {
        let data = data.map_or_else(data_dir::default_path, |path| Ok(path.to_owned()))?;
        let folder = if holds_store(&data) {
            data.clone()
        } else {
            data_dir::store_folder(&data)
        };
        Ok(Self { data, folder })
    }

    /// Its files; there must be some.
    pub(super) fn files(&self) -> Result<Arc<dyn Files>, Failure> {
        if !holds_store(&self.folder) {
            let message = format!(
                "there is no store in {}\n  help: name the broker's data directory, or the folder of a backup, with `--data DIR`",
                self.data.display()
            );
            return Err(Failure::new(Status::DataDir, message));
        }
        open(&self.folder)
    }

    /// What keeps the store from being used, as a failure.
    pub(super) fn failure(&self, error: &OpenError) -> Failure {
        let shown = self.folder.display();
        match error {
            OpenError::Locked => Failure::new(
                Status::DataDir,
                format!(
                    "the store in {shown} is in use by a running broker\n  help: stop it first; `check` also works beside it"
                ),
            ),
            OpenError::Version { .. } => Failure::new(Status::DataDir, format!("{shown}: {error}")),
            OpenError::NoStamp => Failure::new(
                Status::Damaged,
                format!(
                    "{shown}: the stamps (STORE, STORE.copy) are gone, so the number of shards is not known\n  help: copy one of the two back from a backup, or run `tidewire store repair --shards {}` if the names of its segments tell the truth",
                    shards_by_name(&self.folder)
                ),
            ),
            OpenError::Io(error) => failure(&self.folder, error),
        }
    }
}

/// The files of a folder, which is created if it does not exist.
pub(super) fn open(folder: &Path) -> Result<Arc<dyn Files>, Failure> {
    match DiskFiles::open(folder) {
        Ok(files) => Ok(Arc::new(files)),
        Err(error) => Err(failure(folder, &error)),
    }
}

/// The operating system's objection.
pub(super) fn failure(folder: &Path, error: &io::Error) -> Failure {
    let status = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound => Status::DataDir,
        _ => Status::Failed,
    };
    Failure::new(status, format!("{}: {error}", folder.display()))
}

/// Whether a folder has files that only a store has.
pub(super) fn holds_store(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.any(|name| {
        name == "STORE" || name == "STORE.copy" || name.ends_with(".seg") || name.ends_with(".snap")
    })
}

/// One more than the highest shard that a segment's name says, which is right unless the last shards never got a message.
fn shards_by_name(folder: &Path) -> u16 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let shards = names.filter_map(|name| {
        let (shard, _) = name
            .strip_suffix(".seg")?
            .strip_prefix('s')?
            .split_once('-')?;
        u16::from_str_radix(shard, 16).ok()
    });
    shards.max().unwrap_or(0).saturating_add(1)
}
