//! All that a core can want of its driver.

use crate::admission::{Admission, PeerFacts};
use crate::event::Event;
use crate::keys::{ConnKey, SessionKey, Ticket, WorkerId};
use crate::message::Message;
use crate::retained_list::RetainedRow;
use crate::route::interest::InterestChange;
use crate::route::topic_tree::Cursor;
use crate::store::{StoreRequest, StoreTicket};
use std::sync::Arc;
use tidewire_codec::{
    Connect, Packet, Qos, ReasonCode, Subscribe, SubscriptionOptions, Unsubscribe, Version,
};

/// One thing to do. Drained with [`Core::poll_output`](crate::Core::poll_output) after each input, in order.
///
/// Bytes to write and mail for other workers are not in here: the driver finds them with
/// [`Core::next_dirty`](crate::Core::next_dirty) and [`Core::take_mail`](crate::Core::take_mail) once a turn, after it has drained these.
#[derive(Debug)]
pub enum Output {
    /// Write what is queued for the connection, then close its transport and report [`Input::Closed`](crate::Input::Closed).
    /// If the peer does not take it within `close_timeout_secs`, close all the same.
    Close {
        /// Which connection.
        conn: ConnKey,
    },
    /// The connection's session lives with another worker: send transport, unread bytes and admission there, to be
    /// given to its core as [`Input::Adopt`](crate::Input::Adopt). This core has forgotten the connection; no `Closed` is due.
    Move {
        /// This driver's name for it, free from now on.
        conn: ConnKey,
        /// Where to.
        to: WorkerId,
        /// What goes along.
        admission: Box<Admission>,
    },
    /// A gate opened: offer the connection's unread bytes again, and read on.
    Resume {
        /// Which connection.
        conn: ConnKey,
    },
    /// A question that somebody outside must answer with [`Input::Answer`](crate::Input::Answer).
    Ask {
        /// Ties the answer to it.
        ticket: Ticket,
        /// What is asked.
        question: Question,
    },
    /// Handlers are to be consulted about the PUBLISH frames at the beginning of the bytes that the core has just not used.
    /// The driver says with [`Input::Consulted`](crate::Input::Consulted) what can be said on the spot, before it does anything else with this
    /// connection. The frames have passed all checks that come before.
    Consult {
        /// Whose frames.
        conn: ConnKey,
        /// Ties the answer to it.
        ticket: Ticket,
        /// Bytes of each frame: they differ in their payload alone.
        frame_len: usize,
        /// How many.
        count: u32,
        /// The topic's name, if the frame gives an alias in its place.
        topic: Option<Box<str>>,
    },
    /// Something for the store. To be handed over before the turn's interest is published and its mail is shipped; input goes
    /// on meanwhile, and [`Input::Stored`](crate::Input::Stored) brings the answer.
    Store {
        /// Ties the answer to it.
        ticket: StoreTicket,
        /// What is wanted.
        request: StoreRequest,
    },
    /// A change of the shared interest index. Must be visible to all workers before this turn's bytes are written.
    Interest(InterestChange),
    /// Something that an operator may want to know.
    Event(Event),
    /// The answer to a command.
    Reply {
        /// The command's ticket.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
}

/// What the core needs somebody to decide. A question owns what it tells.
#[derive(Clone, Debug)]
pub enum Question {
    /// May this client come in, and who is it?
    Authenticate(Credentials),
    /// The client's next message of an enhanced authentication, at CONNECT time or later \[5.0 4.12\].
    AuthenticationStep {
        /// Whose connection.
        conn: ConnKey,
        /// The client id.
        client_id: Box<str>,
        /// The method named in CONNECT.
        method: Box<str>,
        /// Authentication Data of the AUTH packet.
        data: Option<Box<[u8]>>,
        /// First message of a re-authentication, or a further one of a running exchange.
        step: AuthenticationStep,
    },
    /// May this client publish this?
    AuthorizePublish {
        /// Whose connection.
        conn: ConnKey,
        /// The client id.
        client_id: Box<str>,
        /// Who it is.
        principal: Option<Arc<str>>,
        /// Topic name, aliases resolved.
        topic: Box<str>,
        /// The message.
        payload: Box<[u8]>,
        /// Quality of service.
        qos: Qos,
        /// Whether it is to be retained.
        retain: bool,
        /// All of it, properties and origin included.
        message: Message,
    },
    /// Which of these subscriptions may the client have?
    Subscribe {
        /// Whose connection.
        conn: ConnKey,
        /// The client id.
        client_id: Box<str>,
        /// Who it is.
        principal: Option<Arc<str>>,
        /// The packet.
        packet: Box<Subscribe<'static>>,
        /// What the broker itself would answer. What it refuses stays refused.
        reasons: Vec<ReasonCode>,
    },
    /// Which of these subscriptions may the client give up?
    Unsubscribe {
        /// Whose connection.
        conn: ConnKey,
        /// The client id.
        client_id: Box<str>,
        /// Who it is.
        principal: Option<Arc<str>>,
        /// The packet.
        packet: Box<Unsubscribe<'static>>,
    },
    /// A packet came on a raw listener: what is the reply? [`Answer::Reply`](crate::Answer::Reply), or
    /// [`Answer::Allowed`](crate::Answer::Allowed) for none.
    Raw {
        /// Whose connection.
        conn: ConnKey,
        /// The packet.
        packet: Box<Packet<'static>>,
    },
    /// Does this message go to this client as it is? A question about a delivery holds the client's further deliveries, not
    /// its input.
    Deliver {
        /// Whose connection.
        conn: ConnKey,
        /// The receiver's client id.
        client_id: Box<str>,
        /// Who the receiver is.
        principal: Option<Arc<str>>,
        /// The message.
        message: Message,
        /// The quality of service to send it with.
        qos: Qos,
        /// The RETAIN flag to send.
        retain: bool,
        /// What is left of its Message Expiry Interval.
        expiry_secs: Option<u32>,
    },
    /// May this client subscribe to this?
    AuthorizeSubscribe {
        /// Whose connection.
        conn: ConnKey,
        /// The client id.
        client_id: Box<str>,
        /// Who it is.
        principal: Option<Arc<str>>,
        /// The filter, without `$share/name/`.
        filter: Box<str>,
        /// The share name, if shared.
        share: Option<Box<str>>,
        /// What was asked for.
        options: SubscriptionOptions,
    },
}

/// Where an authentication exchange stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthenticationStep {
    /// AUTH 0x18: a further message.
    Continue,
    /// AUTH 0x19: the client begins to authenticate anew.
    Again,
}

/// What a CONNECT says about its sender.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Whose connection.
    pub conn: ConnKey,
    /// What the transport knows.
    pub peer: Arc<PeerFacts>,
    /// The client id, assigned ones included.
    pub client_id: Box<str>,
    /// User name.
    pub username: Option<Box<str>>,
    /// Password; never logged.
    pub password: Option<Box<[u8]>>,
    /// Protocol version.
    pub version: Version,
    /// Authentication Method of enhanced authentication.
    pub method: Option<Box<str>>,
    /// Authentication Data of enhanced authentication; never logged.
    pub data: Option<Box<[u8]>>,
    /// The whole packet, where the listener's [`Watch::CONNECT`](crate::Watch::CONNECT) wants it.
    pub packet: Option<Box<Connect<'static>>>,
}

/// The answer to a [`Command`](crate::Command).
#[derive(Clone, Debug)]
pub enum Reply {
    /// So many connections were closed.
    Kicked {
        /// How many.
        connections: usize,
    },
    /// A packet was sent to so many connections; those that could not take it are not counted.
    Sent {
        /// How many.
        connections: usize,
    },
    /// A client's sessions, one for each principal.
    Inspected {
        /// The sessions.
        sessions: Vec<SessionDetails>,
    },
    /// A page of sessions.
    Sessions {
        /// The rows.
        rows: Vec<SessionRow>,
        /// Where the next page starts; `None` = this was the last.
        next: Option<SessionKey>,
    },
    /// A page of retained messages.
    Retained {
        /// The rows; there may be none though this is not the last page.
        rows: Vec<RetainedRow>,
        /// Where the next page starts; `None` = this was the last.
        next: Option<Box<Cursor>>,
    },
}

/// A session with all that it subscribes to.
#[derive(Clone, Debug)]
pub struct SessionDetails {
    /// The session.
    pub row: SessionRow,
    /// Its subscriptions.
    pub subscriptions: Vec<SubscriptionRow>,
}

/// A subscription as an operator sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriptionRow {
    /// The filter, `$share/name/` included.
    pub filter: Box<str>,
    /// What is in force.
    pub options: SubscriptionOptions,
    /// Subscription Identifier.
    pub identifier: Option<u32>,
}

/// A session as an operator sees it.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Client id.
    pub client_id: Box<str>,
    /// Who it belongs to.
    pub principal: Option<Arc<str>>,
    /// The live connection's facts, if there is one.
    pub peer: Option<Arc<PeerFacts>>,
    /// Protocol version of the live or last connection.
    pub version: Version,
    /// Number of subscriptions.
    pub subscriptions: usize,
    /// Messages sent and not yet acknowledged.
    pub inflight: usize,
    /// Messages waiting.
    pub queued: usize,
    /// Keep Alive in force, 0 = none.
    pub keep_alive_secs: u16,
    /// How long the session outlives its connection.
    pub expiry_secs: u32,
}
