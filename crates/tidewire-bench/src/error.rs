//! What can keep a measurement from happening.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::frame::ScanError;

/// A run that produced no figure for a reason other than lost messages.
#[derive(Debug)]
pub enum BenchError {
    /// The scenario or an option makes no sense.
    Usage(String),
    /// The machine lacks something: descriptors, a program, a file in `/proc`.
    Environment(String),
    /// A system call failed.
    Io {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The broker answered the set-up with something else than expected.
    Refused {
        /// Which step.
        step: &'static str,
        /// What came.
        answer: String,
    },
    /// The broker closed a connection in the middle of a run.
    ConnectionLost {
        /// Which connection, and how.
        what: String,
    },
    /// The broker sent something that is not MQTT.
    Malformed(ScanError),
    /// The broker's process ended.
    BrokerDied {
        /// Which broker.
        peer: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote.
        stderr_tail: String,
    },
    /// A peer could not be had.
    PeerUnavailable {
        /// Which broker.
        peer: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Ctrl-C.
    Interrupted,
}

/// Result of anything here.
pub type Result<T> = std::result::Result<T, BenchError>;

impl BenchError {
    /// Wraps an I/O error with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// Wraps an I/O error on a file.
    pub fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        Self::io(format!("{doing} {}", path.into().display()))
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Environment(text) => f.write_str(text),
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Refused { step, answer } => write!(f, "the broker answered {step} with {answer}"),
            Self::ConnectionLost { what } => write!(f, "the broker closed {what}"),
            Self::Malformed(error) => write!(f, "the broker sent {error}"),
            Self::BrokerDied {
                peer,
                status,
                stderr_tail,
            } => {
                write!(f, "{peer} ended in the middle of the run ({status})")?;
                if stderr_tail.is_empty() {
                    Ok(())
                } else {
                    write!(f, "; it wrote:\n{stderr_tail}")
                }
            }
            Self::PeerUnavailable { peer, reason } => {
                write!(f, "{peer} is not available: {reason}")
            }
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl std::error::Error for BenchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Malformed(source) => Some(source),
            _ => None,
        }
    }
}

impl From<ScanError> for BenchError {
    fn from(error: ScanError) -> Self {
        Self::Malformed(error)
    }
}
