//! What an operator may want to know: each refusal, drop and end has a sentence here and a counter in [`Stats`](crate::Stats).

use crate::admission::PeerFacts;
use crate::input::TransportEnd;
use crate::message::{Message, Origin};
use std::fmt;
use std::sync::Arc;
use tidewire_codec::{PacketId, Qos, ReasonCode, Version};

/// Something worth a log line; or, where a [`Watch`](crate::Watch) asks for it, worth telling. Other per-message facts are counters.
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
    /// A client left a will. Watched.
    WillArmed {
        /// Whose.
        client_id: Box<str>,
        /// From where.
        peer: Arc<PeerFacts>,
        /// Where it would go.
        topic: Box<str>,
    },
    /// A message goes to its subscribers. Watched.
    Published {
        /// The message.
        message: Message,
    },
    /// A client has a new subscription, or one with new options. Watched.
    Subscribed {
        /// Client id.
        client_id: Box<str>,
        /// Who it is.
        principal: Option<Arc<str>>,
        /// From where.
        peer: Arc<PeerFacts>,
        /// The filter, `$share/name/` included.
        filter: Box<str>,
        /// The granted quality of service.
        qos: Qos,
    },
    /// A client gave a subscription up. Watched.
    Unsubscribed {
        /// Client id.
        client_id: Box<str>,
        /// From where.
        peer: Arc<PeerFacts>,
        /// The filter, `$share/name/` included.
        filter: Box<str>,
    },
    /// A receiver has acknowledged a message for good. Watched.
    Acknowledged {
        /// Client id.
        client_id: Box<str>,
        /// From where.
        peer: Arc<PeerFacts>,
        /// The identifier under which it was sent.
        packet_id: PacketId,
        /// What it said.
        reason: ReasonCode,
    },
    /// A message was dropped. Watched.
    Dropped {
        /// Whoever does not get it; `None` = nobody does, or it is not retained.
        receiver: Option<Arc<Origin>>,
        /// Its topic.
        topic: Box<str>,
        /// Why.
        reason: DropReason,
    },
    /// A client sent PINGREQ. Watched.
    Pinged {
        /// Client id.
        client_id: Box<str>,
        /// From where.
        peer: Arc<PeerFacts>,
    },
    /// A topic's retained message was set or cleared. Watched.
    RetainedChanged {
        /// The topic.
        topic: Box<str>,
        /// Bytes of the new message; `None` = it was cleared.
        payload_bytes: Option<usize>,
    },
}

/// Why a message was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropReason {
    /// No subscription matches.
    NoSubscriber,
    /// The receiver's queue is full.
    QueueFull,
    /// The receiver does not read fast enough (QoS 0).
    SlowReader,
    /// Its Message Expiry Interval has passed.
    Expired,
    /// It is larger than the receiver's Maximum Packet Size.
    TooLarge,
    /// Handlers held it back.
    Suppressed,
    /// The store of retained messages is full.
    RetainedFull,
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
