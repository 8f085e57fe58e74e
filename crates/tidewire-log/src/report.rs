//! What opening and reading found wrong, and the errors of the log.

use std::fmt;
use std::io;

/// What opening a log found.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct OpenReport {
    /// Segments that are part of the log now.
    pub segments: usize,
    /// Bytes cut off at the end of the last segment: written and never synced when the machine stopped.
    pub torn_bytes: u64,
    /// Stretches that hold no sound record although sound ones, or a sealed end, follow.
    pub damage: Vec<Damage>,
    /// Files of an interrupted rewrite or trim that were removed.
    pub leftovers: Vec<String>,
    /// Files that could not be made part of the log and were put aside under this name.
    pub set_aside: Vec<String>,
    /// Segments before the last that had no sound index: theirs was made anew in memory.
    pub reindexed: Vec<String>,
}

impl OpenReport {
    /// Whether something that may have been acknowledged is lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.set_aside.is_empty()
    }
}

/// A stretch of a file without a sound record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The file's name.
    pub file: String,
    /// Where it begins, in bytes.
    pub from: u64,
    /// Where the next sound record is, or the end.
    pub to: u64,
    /// The last sound sequence number before it, if there is one in this file.
    pub after: Option<u64>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, from, to, .. } = self;
        write!(f, "{file}: no sound record from byte {from} to {to}")
    }
}

/// Why a log could not be opened. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// A segment was written by another version of the layout.
    Version {
        /// The file.
        file: String,
        /// Its version.
        found: u16,
    },
    /// The file layer failed.
    Io(io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { file, found } => write!(
                f,
                "{file} has log format {found}, this build reads format {}: use the build that wrote it",
                crate::FORMAT_VERSION
            ),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why a batch is not in the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AppendError {
    /// No space but the reserve. The log goes on as soon as there is.
    Full,
    /// A write or a sync failed before, so what the disk holds is not known: this log takes nothing more until it is
    /// opened anew. The text is the first failure.
    Poisoned(Box<str>),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::Poisoned(why) => write!(f, "the log failed and needs a restart: {why}"),
        }
    }
}

impl std::error::Error for AppendError {}
