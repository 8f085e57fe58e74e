//! What a client tells about its connection.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tidewire_codec::ReasonCode;

use crate::protocol::{Cause, Connected};

/// Something that happened to the connection or to messages on it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A connection is there; it says whether an earlier session goes on, and what the server's limits are.
    Connected(Arc<Connected>),
    /// A connection has ended, or an attempt has failed.
    Disconnected {
        /// Why.
        cause: Arc<ConnectError>,
        /// When the next attempt follows; `None` if there will be none.
        retry_in: Option<Duration>,
    },
    /// The server had lost the session, and has the subscriptions again.
    Resubscribed {
        /// Those that it refused this time.
        refused: Vec<(Box<str>, ReasonCode)>,
    },
    /// A message was dropped on its way to the application or to the server.
    Dropped {
        /// Its topic.
        topic: Arc<str>,
        /// Why.
        why: DropReason,
    },
    /// The server names another one. The client does not follow by itself.
    Redirected {
        /// Where: host and port, or several of them.
        server_reference: Box<str>,
        /// For now ([`ReasonCode::UseAnotherServer`]) or for good ([`ReasonCode::ServerMoved`]).
        reason: ReasonCode,
    },
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// Nobody has subscribed to its topic, or whoever had is gone.
    NoRoute,
    /// The stream that it was for was full.
    StreamFull,
    /// The outbox was full.
    OutboxFull,
    /// It waited too long in the outbox.
    Expired,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host name has no address.
    Lookup {
        /// The server.
        server: Box<str>,
        /// What the resolver says.
        error: Arc<io::Error>,
    },
    /// The transport could not be opened, or failed.
    Io {
        /// The server.
        server: Box<str>,
        /// What the operating system says.
        error: Arc<io::Error>,
    },
    /// TLS could not be set up.
    Tls {
        /// The server.
        server: Box<str>,
        /// What is wrong, and what to do.
        text: Box<str>,
    },
    /// This build cannot open such a transport.
    NotSupported {
        /// The server.
        server: Box<str>,
        /// What is missing.
        what: &'static str,
    },
    /// Transport, TLS and CONNACK took longer than the connect timeout.
    TimedOut {
        /// The server.
        server: Box<str>,
    },
    /// The credentials callback failed.
    Credentials(Box<str>),
    /// The protocol ended the connection.
    Protocol(Cause),
    /// The client was closed.
    Closed,
}

impl ConnectError {
    /// Whether another attempt cannot be expected to end otherwise unless somebody changes something.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Protocol(cause) => cause.is_permanent(),
            Self::Tls { .. } | Self::NotSupported { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup { server, error } => {
                write!(f, "the address of {server} cannot be found: {error}")
            }
            Self::Io { server, error } => write!(f, "no connection to {server}: {error}"),
            Self::Tls { server, text } => write!(f, "no TLS connection to {server}: {text}"),
            Self::NotSupported { server, what } => {
                write!(f, "no connection to {server}: {what}")
            }
            Self::TimedOut { server } => write!(f, "{server} did not answer in time"),
            Self::Credentials(text) => write!(f, "there are no credentials: {text}"),
            Self::Protocol(cause) => write!(f, "{cause}"),
            Self::Closed => f.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for ConnectError {}
