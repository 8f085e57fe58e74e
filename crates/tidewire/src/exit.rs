//! The program's exit codes, and a failure that knows which one it ends with.

use std::fmt;
use std::process::ExitCode;

/// What the program's exit code tells a script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Status {
    /// Something failed while the program ran.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was started.
    Usage = 2,
    /// A listener could not be opened: the address is in use, not there, or not permitted.
    Listener = 3,
    /// The data directory is in use by another broker, or cannot be used.
    DataDir = 4,
    /// `ctl` found no broker that answers.
    NoBroker = 5,
    /// A second signal stopped the broker before its clients were told.
    Interrupted = 6,
    /// `store` found damage.
    Damaged = 7,
    /// `explain` found that it is denied.
    Denied = 8,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command ends early: a sentence for the person, a status for the script.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) status: Status,
    /// What is wrong and what to do next; one or more lines.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with the given exit status.
    pub(crate) fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The exit codes as `tidewire serve --help` explains them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  stopped cleanly
  1  failed while running
  2  the command line or the configuration is wrong
  3  a listener could not be opened (address in use, not permitted)
  4  the data directory is in use by another broker, or cannot be used
  5  no running broker was found (ctl)
  6  stopped at once by a second signal";
