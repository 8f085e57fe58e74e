//! A script's text, and the file that it comes from.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A script that has not been loaded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    name: Box<str>,
    source: Box<[u8]>,
}

/// A file with a script, which may change.
#[derive(Clone, Debug)]
pub struct ScriptFile {
    path: PathBuf,
    seen: Option<Stamp>,
}

/// By what a changed file is told from the one that was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
}

impl Script {
    /// A script; the name is what errors show.
    #[must_use]
    pub fn new(name: &str, source: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.into(),
            source: source.as_ref().into(),
        }
    }

    /// What errors show.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        &self.source
    }
}

impl ScriptFile {
    /// The file at this path, which has not been read.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            seen: None,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The script as it is now. Errors show the file's name without its folder.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self) -> io::Result<Script> {
        // The stamp is older than the text at worst: then a change is seen once more, never missed.
        let stamp = self.stamp()?;
        let source = std::fs::read(&self.path)?;
        self.seen = Some(stamp);
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        Ok(Script::new(&name.to_string_lossy(), source))
    }

    /// The script, if the file has changed since it was read. A file that is gone has not changed.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read_if_changed(&mut self) -> io::Result<Option<Script>> {
        match self.stamp() {
            Ok(stamp) if Some(stamp) == self.seen => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Ok(_) | Err(_) => self.read().map(Some),
        }
    }

    fn stamp(&self) -> io::Result<Stamp> {
        let about = std::fs::metadata(&self.path)?;
        Ok(Stamp {
            modified: about.modified().ok(),
            bytes: about.len(),
        })
    }
}
