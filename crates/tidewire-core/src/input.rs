//! All that can happen to a core.

use crate::admission::{Admission, PeerFacts};
use crate::keys::{ConnKey, SessionKey, Ticket, WorkerId};
use crate::mail::Batch;
use std::sync::Arc;
use tidewire_codec::{Qos, ReasonCode};

/// One thing that happened. [`Core::handle`](crate::Core::handle) takes them one at a time.
#[derive(Debug)]
pub enum Input<'a> {
    /// A transport is open and ready for its first byte.
    Open {
        /// The driver's name for it; must not be in use.
        conn: ConnKey,
        /// What the transport knows about the peer.
        peer: Arc<PeerFacts>,
    },
    /// Bytes came. `handle` returns how many it has used up: whole packets only. The driver keeps the rest and
    /// offers it again together with what follows; at a gate ([`Output::Resume`](crate::Output::Resume) tells its end) it offers nothing.
    Bytes {
        /// From whom.
        conn: ConnKey,
        /// Unused rest first, new bytes behind it.
        bytes: &'a [u8],
    },
    /// The transport is gone. Nothing more is sent to this key, and the driver has already dropped it.
    Closed {
        /// Whose transport.
        conn: ConnKey,
        /// How it ended.
        end: TransportEnd,
    },
    /// A connection that another worker admitted moves in.
    Adopt {
        /// The receiving driver's name for it.
        conn: ConnKey,
        /// What the other worker's core learned from CONNECT.
        admission: Box<Admission>,
    },
    /// Messages from another worker, in the order that it sent them.
    Mail {
        /// The sender.
        from: WorkerId,
        /// The driver takes it back with [`Core::take_spent_batch`](crate::Core::take_spent_batch) and returns it to its sender for reuse.
        batch: Batch,
    },
    /// An answer to [`Output::Ask`](crate::Output::Ask). One for a question whose connection has gone is ignored.
    Answer {
        /// The question's ticket.
        ticket: Ticket,
        /// What was decided.
        answer: Answer,
    },
    /// The time of [`Core::next_deadline`](crate::Core::next_deadline) has come (or any other time: it does no harm).
    Timeout,
    /// A request of the server's own: control socket, embedder, `$SYS`.
    Command(Command),
}

/// How a transport ended, as far as the driver could see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransportEnd {
    /// The peer closed its side.
    PeerClosed,
    /// The transport failed; the text is for the log.
    Failed(Box<str>),
    /// The core asked for it with [`Output::Close`](crate::Output::Close).
    AsAsked,
}

/// What was decided about a [`Question`](crate::Question).
#[derive(Clone, Debug)]
pub enum Answer {
    /// Authenticate, authentication step: the peer is who it says.
    Authenticated(Authenticated),
    /// Authenticate, authentication step: an AUTH packet with this data goes to the client, whose reply is the next question.
    Continue {
        /// Authentication Data for the client.
        data: Box<[u8]>,
    },
    /// Authorise publish or subscribe: go on.
    Allowed,
    /// Whatever was asked: no.
    Denied {
        /// The reason that the client is told, where its version can be told one.
        reason: ReasonCode,
        /// A sentence for the client and the log.
        text: Option<Box<str>>,
    },
}

/// The outcome of an authentication that succeeded.
#[derive(Clone, Default, Debug)]
pub struct Authenticated {
    /// Who it is. Sessions belong to a principal: another principal's client id of the same name is another session.
    pub principal: Option<Arc<str>>,
    /// Authentication Data of the final CONNACK or AUTH.
    pub data: Option<Box<[u8]>>,
}

/// What the server itself wants of a core.
#[derive(Clone, Debug)]
pub enum Command {
    /// Publish with the server as origin; passes the same stages as a client's message.
    Publish(ServerPublish),
    /// Close a client's connection with DISCONNECT 0x98; the reply is [`Reply::Kicked`](crate::Reply::Kicked).
    Kick {
        /// Names the reply.
        ticket: Ticket,
        /// The client id, under any principal.
        client_id: Box<str>,
    },
    /// List sessions, from `after` on, at most `most`; the reply is [`Reply::Sessions`](crate::Reply::Sessions).
    ListSessions {
        /// Names the reply.
        ticket: Ticket,
        /// Start behind this one; `None` = from the beginning.
        after: Option<SessionKey>,
        /// At most so many rows.
        most: usize,
    },
    /// Begin to stop: every client gets DISCONNECT 0x8B and is closed; new connections are refused.
    Shutdown,
}

/// A message that the server itself publishes.
#[derive(Clone, Debug)]
pub struct ServerPublish {
    /// Topic name; `$`-topics are allowed here.
    pub topic: Box<str>,
    /// The message.
    pub payload: Box<[u8]>,
    /// Quality of service.
    pub qos: Qos,
    /// Whether the topic keeps it.
    pub retain: bool,
}
