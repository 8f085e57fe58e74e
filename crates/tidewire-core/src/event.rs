//! What an operator may want to know: each refusal, drop and end has a sentence here and a counter in [`Stats`](crate::Stats).

use crate::admission::PeerFacts;
use crate::input::TransportEnd;
use std::fmt;
use std::sync::Arc;
use tidewire_codec::{ReasonCode, Version};

/// Something worth a log line. Per-message facts are counters, not events.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client is connected to its session.
    Connected {
        /// Client id.
        client_id: Box<str>,
        /// From where.
        peer: Arc<PeerFacts>,
        /// Protocol version.
        version: Version,
        /// Whether an earlier session goes on.
        session_present: bool,
        /// Keep Alive in force, 0 = none.
        keep_alive_secs: u16,
    },
    /// A CONNECT, or what should have been one, was refused.
    Refused {
        /// The client id, if it came that far.
        client_id: Option<Box<str>>,
        /// From where.
        peer: Arc<PeerFacts>,
        /// The reason as MQTT 5 names it, whatever the client's version could be told.
        reason: ReasonCode,
        /// The sentence.
        text: Box<str>,
    },
    /// A connected client has gone.
    Disconnected {
        /// Client id.
        client_id: Box<str>,
        /// From where it had come.
        peer: Arc<PeerFacts>,
        /// Why.
        cause: DisconnectCause,
        /// Whether its session stays.
        session_kept: bool,
    },
    /// A session ended.
    SessionEnded {
        /// Client id.
        client_id: Box<str>,
        /// Why.
        cause: SessionEnd,
    },
    /// A will was published.
    WillPublished {
        /// Whose.
        client_id: Box<str>,
        /// Where to.
        topic: Box<str>,
    },
    /// A will could not be published.
    WillRefused {
        /// Whose.
        client_id: Box<str>,
        /// Where it would have gone.
        topic: Box<str>,
        /// The reason.
        reason: ReasonCode,
    },
}

/// Why a connection ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DisconnectCause {
    /// The client sent DISCONNECT.
    ByClient {
        /// Its reason.
        reason: ReasonCode,
    },
    /// The broker ended it.
    ByServer {
        /// The reason that an MQTT 5 client was told.
        reason: ReasonCode,
        /// The sentence.
        text: Box<str>,
    },
    /// The transport ended without a DISCONNECT.
    Transport(TransportEnd),
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionEnd {
    /// It was to end with its connection.
    WithConnection,
    /// Its expiry interval passed.
    Expired,
    /// The client began anew.
    CleanStart,
}

impl fmt::Display for DisconnectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByClient {
                reason: ReasonCode::Success,
            } => f.write_str("client disconnected"),
            Self::ByClient { reason } => write!(f, "client disconnected with reason {reason}"),
            Self::ByServer { reason, text } => write!(f, "{text} ({reason})"),
            Self::Transport(TransportEnd::PeerClosed) => {
                f.write_str("peer closed the connection without DISCONNECT")
            }
            Self::Transport(TransportEnd::Failed(text)) => write!(f, "connection failed: {text}"),
            Self::Transport(TransportEnd::AsAsked) => f.write_str("connection closed"),
        }
    }
}
