//! All that can happen to a core.

use crate::admission::{Admission, PeerFacts};
use crate::keys::{ConnKey, SessionKey, Ticket, WorkerId};
use crate::mail::Batch;
use crate::route::topic_tree::Cursor;
use crate::store::{StoreAnswer, StoreTicket};
use crate::watch::Watch;
use std::sync::Arc;
use tidewire_codec::{Packet, Properties, Publish, Qos, ReasonCode};

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
    /// What handlers say on the spot about the PUBLISH frames of [`Output::Consult`](crate::Output::Consult). `handle` goes on with the bytes,
    /// as with [`Input::Bytes`].
    Consulted {
        /// From whom.
        conn: ConnKey,
        /// The consultation's ticket.
        ticket: Ticket,
        /// The same bytes that could not be used: they begin with the first frame.
        bytes: &'a [u8],
        /// So many frames may be published as they are.
        allowed: u32,
        /// What is said about the frame behind them.
        next: Next,
    },
    /// An answer to [`Output::Ask`](crate::Output::Ask). One for a question whose connection has gone is ignored.
    Answer {
        /// The question's ticket.
        ticket: Ticket,
        /// What was decided.
        answer: Answer,
    },
    /// A store's answer to [`Output::Store`](crate::Output::Store). Those to messages of one shard that were stored come in the order of
    /// the requests.
    Stored {
        /// The request's ticket.
        ticket: StoreTicket,
        /// What became of it.
        answer: StoreAnswer,
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

/// What is said about the first frame of a consultation that is not simply allowed.
#[derive(Debug)]
pub enum Next {
    /// There is no such frame.
    All,
    /// This.
    Said(Answer),
    /// Nothing yet: [`Input::Answer`] will follow. The connection's gate stays closed until then.
    Later,
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
    /// Whatever was asked: no, and the connection ends.
    Closed {
        /// The reason that the client is told, where its version can be told one.
        reason: ReasonCode,
        /// A sentence for the client and the log.
        text: Option<Box<str>>,
    },
    /// Publish, will, deliver: this in its place.
    Replaced(Box<Publish<'static>>),
    /// Publish: it goes no further, and its sender is acknowledged with this reason. Deliver: it is not sent.
    Consumed(ReasonCode),
    /// Publish: it goes no further, and this is sent in place of the acknowledgement.
    Reply(Box<Packet<'static>>),
    /// Subscribe, unsubscribe: these are the answers.
    Codes {
        /// One for each filter.
        reasons: Vec<ReasonCode>,
        /// Properties of SUBACK or UNSUBACK.
        properties: Properties<'static>,
    },
}

/// The outcome of an authentication that succeeded.
#[derive(Clone, Default, Debug)]
pub struct Authenticated {
    /// Who it is. Sessions belong to a principal: another principal's client id of the same name is another session.
    pub principal: Option<Arc<str>>,
    /// Authentication Data of the final CONNACK or AUTH.
    pub data: Option<Box<[u8]>>,
    /// User properties and the like for CONNACK; what CONNACK may not carry, or what the broker sets itself, is left out.
    pub properties: Properties<'static>,
    /// For how many seconds that holds; `None` = as long as the connection. When they are over and the client has not
    /// authenticated anew, it is disconnected with 0xA0.
    pub valid_secs: Option<u64>,
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
    /// Publish a whole packet with the server as origin, properties included; packet identifier and DUP are not looked at.
    Forward(Box<Publish<'static>>),
    /// Send a packet to one connection, if there is room for it.
    Push {
        /// Which connection.
        conn: ConnKey,
        /// The packet.
        packet: Box<Packet<'static>>,
    },
    /// Close one connection, behind what is queued for it.
    Close {
        /// Which connection.
        conn: ConnKey,
        /// The reason that an MQTT 5 client is told.
        reason: ReasonCode,
    },
    /// Send a packet to a client, whatever it is; the reply is [`Reply::Sent`](crate::Reply::Sent).
    Send {
        /// Names the reply.
        ticket: Ticket,
        /// The client id, under any principal.
        client_id: Box<str>,
        /// The packet. Nothing is kept of it: at QoS 1 and 2 the sender answers for identifier and repetition.
        packet: Box<Packet<'static>>,
    },
    /// Close a client's connection with DISCONNECT; the reply is [`Reply::Kicked`](crate::Reply::Kicked).
    Disconnect {
        /// Names the reply.
        ticket: Ticket,
        /// The client id, under any principal.
        client_id: Box<str>,
        /// The reason that an MQTT 5 client is told.
        reason: ReasonCode,
        /// The sentence that it is told, and the log.
        text: Box<str>,
    },
    /// Show a client's sessions with their subscriptions; the reply is [`Reply::Inspected`](crate::Reply::Inspected).
    Inspect {
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
    /// List the retained messages that this worker owns and that match a filter, from a place on; the reply is
    /// [`Reply::Retained`](crate::Reply::Retained).
    ListRetained {
        /// Names the reply.
        ticket: Ticket,
        /// The topic filter, not shared.
        filter: Box<str>,
        /// Where the page before ended; `None` = from the beginning.
        from: Option<Box<Cursor>>,
        /// At most so many rows; a page may have fewer and not be the last.
        most: usize,
    },
    /// From now on these matters of a listener's clients are asked or told.
    Watch {
        /// The listener's index.
        listener: u16,
        /// All of them; what is missing is no longer asked or told.
        watch: Watch,
    },
    /// Begin to stop: every client gets DISCONNECT 0x8B and is closed; new connections are refused.
    Shutdown,
}

impl Command {
    /// The same with another ticket, if it has one.
    #[must_use]
    pub fn named(mut self, name: Ticket) -> Self {
        match &mut self {
            Self::Send { ticket, .. }
            | Self::Disconnect { ticket, .. }
            | Self::Inspect { ticket, .. }
            | Self::Kick { ticket, .. }
            | Self::ListRetained { ticket, .. }
            | Self::ListSessions { ticket, .. } => *ticket = name,
            Self::Publish(_)
            | Self::Forward(_)
            | Self::Push { .. }
            | Self::Close { .. }
            | Self::Watch { .. }
            | Self::Shutdown => {}
        }
        self
    }
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
