//! Writing certificates and keys: never over something, never readable by others for a moment.

use crate::exit::{Failure, Status};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Who may read a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Everybody: it is a certificate.
    Public,
    /// The owner: a key is in it.
    Private,
}

/// What may be in the way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Existing {
    /// Nothing; what is there stays.
    Keep,
    /// It is replaced.
    Replace,
}

/// A file to be written.
pub(super) struct Planned {
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
    pub(super) secrecy: Secrecy,
}

/// Writes all files, or none if one of them may not be written over.
pub(super) fn write_all(files: &[Planned], existing: Existing) -> Result<(), Failure> {
    if existing == Existing::Keep
        && let Some(taken) = files.iter().find(|file| file.path.exists())
    {
        let message = format!(
            "{} exists and is left as it is\n  help: choose another --dir, or write over it with --force",
            taken.path.display()
        );
        return Err(Failure::new(Status::Usage, message));
    }
    for file in files {
        write(file).map_err(|error| {
            let message = format!("{} cannot be written: {error}", file.path.display());
            Failure::new(Status::Failed, message)
        })?;
    }
    Ok(())
}

/// Makes the folder; only its owner may look into a new one.
pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder);
    made.map_err(|error| {
        let message = format!("the folder {} cannot be made: {error}", folder.display());
        Failure::new(Status::Failed, message)
    })
}

/// Reads a text file.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        let message = format!("{} cannot be read: {error}", path.display());
        Failure::new(Status::Failed, message)
    })
}

/// Under another name first, so that nobody reads half a file and an old file's mode does not outlive it.
fn write(file: &Planned) -> io::Result<()> {
    let mut part = file.path.clone().into_os_string();
    part.push(format!(".{}", std::process::id()));
    let mode = match file.secrecy {
        Secrecy::Public => 0o644,
        Secrecy::Private => 0o600,
    };
    let result = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&part)
        .and_then(|mut open| {
            open.write_all(&file.content)?;
            open.sync_all()
        })
        .and_then(|()| fs::rename(&part, &file.path));
    result.inspect_err(|_| drop(fs::remove_file(&part)))
}
