//! What the core asks of a store, and what it is told: requests leave as [`Output::Store`](crate::Output::Store), answers
//! come as [`Input::Stored`](crate::Input::Stored). The core does not know what keeps them.

use crate::message::Message;
use std::sync::Arc;
use tidewire_codec::{PacketId, Qos};

/// How far a message has to be before it is acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Durability {
    /// In this process' memory.
    #[default]
    Memory,
    /// Written: survives the process.
    Os,
    /// Synced: survives a power loss.
    Sync,
}

/// Where a stored message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Location {
    /// The shard, which is its publisher's.
    pub shard: u16,
    /// Its place there; later messages of the shard have higher ones.
    pub offset: u64,
}

/// Ties a store's answer to its request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StoreTicket(pub u64);

/// Whose session.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionName {
    /// Who it belongs to.
    pub principal: Option<Arc<str>>,
    /// Client id.
    pub client_id: Arc<str>,
}

/// One request. Those of one core are to be dealt with in their order.
#[derive(Clone, Debug)]
pub enum StoreRequest {
    /// Store a message in its publisher's shard; answered with [`StoreAnswer::Stored`].
    Append(Append),
    /// Store changes of one session, all or none, in its home shard; answered with [`StoreAnswer::Stored`].
    Write {
        /// Whose.
        name: SessionName,
        /// When to answer.
        durability: Durability,
        /// What.
        ops: Vec<StoreOp>,
    },
    /// Store changes of one shared group; answered with [`StoreAnswer::Stored`].
    WriteGroup {
        /// Share name.
        share: Box<str>,
        /// The filter behind it.
        filter: Box<str>,
        /// What.
        op: GroupOp,
    },
    /// Everything that is kept for a session; answered with [`StoreAnswer::Session`].
    Load(SessionName),
    /// A shared group's cursors; answered with [`StoreAnswer::Group`].
    LoadGroup {
        /// Share name.
        share: Box<str>,
        /// The filter behind it.
        filter: Box<str>,
    },
    /// Messages of one shard; answered with [`StoreAnswer::Page`].
    Read {
        /// Which shard.
        shard: u16,
        /// From here on.
        from: u64,
        /// Those that match one of them.
        filters: Arc<[Box<str>]>,
        /// At most so many.
        most: usize,
        /// Ends behind the one that reaches so many bytes.
        most_bytes: usize,
    },
    /// Session records behind one; answered with [`StoreAnswer::Sessions`].
    Sessions {
        /// Start behind this one.
        after: Option<SessionName>,
        /// At most so many.
        most: usize,
    },
    /// Wills behind one; answered with [`StoreAnswer::Wills`].
    Wills {
        /// Start behind this one.
        after: Option<SessionName>,
        /// At most so many.
        most: usize,
    },
    /// Retained messages behind a topic; answered with [`StoreAnswer::Retained`].
    Retained {
        /// Start behind this one.
        after: Option<Box<str>>,
        /// At most so many.
        most: usize,
    },
    /// Up to where each shard's messages have all been answered; [`StoreAnswer::Heads`].
    Heads,
}

/// A message to store.
#[derive(Clone, Debug)]
pub struct Append {
    /// The message.
    pub message: Message,
    /// Whether somebody is owed it.
    pub owed: bool,
    /// Its version as its topic's retained message, or that of its topic's having none; `None` = it is not retained.
    pub version: Option<u64>,
    /// The packet identifier of a received QoS 2 message, to be noted for its publisher's session.
    pub mark: Option<PacketId>,
    /// When to answer.
    pub durability: Durability,
}

/// A change of what is kept for a session.
#[derive(Clone, Debug)]
pub enum StoreOp {
    /// The record.
    PutSession(Vec<u8>),
    /// Record, marks, bindings, interest and cursors go.
    DeleteSession,
    /// A received QoS 2 identifier is held.
    Mark(PacketId),
    /// It is released.
    Unmark(PacketId),
    /// An outgoing QoS 2 message has an identifier.
    Bind {
        /// The identifier.
        packet_id: PacketId,
        /// The message.
        at: Location,
        /// Whether PUBREC has come.
        received: bool,
    },
    /// The identifier is free.
    Unbind(PacketId),
    /// The filters of the messages that it is owed.
    PutOwner(Vec<Box<str>>),
    /// What it is done with in one shard.
    PutCursor {
        /// The shard.
        shard: u16,
        /// Where it stands.
        cursor: StoredCursor,
    },
    /// The will.
    PutWill(Vec<u8>),
    /// There is none any more.
    DeleteWill,
    /// Its will, as a message.
    Append(Message),
}

/// A change of what is kept for a shared group.
#[derive(Clone, Debug)]
pub enum GroupOp {
    /// It is owed messages.
    Put,
    /// It is gone.
    Delete,
    /// What it is done with in one shard.
    PutCursor {
        /// The shard.
        shard: u16,
        /// Where it stands.
        cursor: StoredCursor,
    },
}

/// What an owner is done with in one shard: all before `position`, and the ranges behind it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct StoredCursor {
    /// Everything below is done with.
    pub position: u64,
    /// Done with as well: from, up to and not including; rising, not touching.
    pub acked: Vec<(u64, u64)>,
}

/// What a store says.
#[derive(Clone, Debug)]
pub enum StoreAnswer {
    /// It has reached the durability that was asked for. `at` is the place of the first message that was appended, and of
    /// what was stored at all: whatever else is stored later is above it.
    Stored {
        /// The place.
        at: Location,
    },
    /// It can never be stored as it is; nothing of it is.
    Refused {
        /// For the log.
        why: Box<str>,
    },
    /// It is not known whether it is stored: it must not be acknowledged.
    Unavailable(Unavailability),
    /// To [`StoreRequest::Load`].
    Session(Option<Box<StoredSession>>),
    /// To [`StoreRequest::LoadGroup`]: its cursors, one for each shard.
    Group(Option<Vec<StoredCursor>>),
    /// To [`StoreRequest::Read`].
    Page(Box<StoredPage>),
    /// To [`StoreRequest::Sessions`]; shorter than asked for only at the end.
    Sessions(Vec<(SessionName, Box<[u8]>)>),
    /// To [`StoreRequest::Wills`]; shorter than asked for only at the end.
    Wills(Vec<(SessionName, Box<[u8]>)>),
    /// To [`StoreRequest::Retained`].
    Retained {
        /// With their versions.
        messages: Vec<(u64, Message)>,
        /// Ask again behind this topic; `None` = that was all.
        after: Option<Box<str>>,
    },
    /// To [`StoreRequest::Heads`]: everything below that was or will be stored has been answered before this.
    Heads(Vec<u64>),
    /// A read failed.
    Unreadable(Box<str>),
}

/// Why it is not known whether something is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unavailability {
    /// More waits for the store than it may hold: to be tried again soon.
    Busy,
    /// The disk is full: to be tried again.
    Full,
    /// The shard takes nothing more until a restart.
    Failed,
}

/// What is kept for a session.
#[derive(Clone, Debug, Default)]
pub struct StoredSession {
    /// The record.
    pub record: Box<[u8]>,
    /// Received QoS 2 identifiers.
    pub marks: Vec<u16>,
    /// Outgoing QoS 2 messages.
    pub bindings: Vec<StoredBinding>,
    /// The filters of what it is owed, and from which place on each.
    pub filters: Option<Vec<(Box<str>, u64)>>,
    /// One for each shard.
    pub cursors: Vec<StoredCursor>,
    /// The will's record.
    pub will: Option<Box<[u8]>>,
}

/// An outgoing QoS 2 message and its identifier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredBinding {
    /// The identifier.
    pub packet_id: u16,
    /// The message.
    pub at: Location,
    /// Whether PUBREC has come.
    pub received: bool,
}

/// Messages of one shard.
#[derive(Clone, Debug, Default)]
pub struct StoredPage {
    /// Offset and message.
    pub messages: Vec<(u64, Message)>,
    /// Where to read on.
    pub next: u64,
    /// Whether there is nothing more that may be read yet.
    pub at_head: bool,
    /// Damaged stretches that were read over.
    pub damaged: u32,
}

/// A message as a store gives it back.
#[derive(Clone, Copy, Debug)]
pub struct MessageRecord<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Encoded properties that are forwarded as they are.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The QoS that it was published with.
    pub qos: Qos,
    /// Whether it was published with RETAIN.
    pub retain: bool,
    /// When it expires, in milliseconds of Unix time.
    pub expires_ms: Option<u64>,
    /// When it was received, in milliseconds of Unix time.
    pub received_ms: u64,
    /// Principal, client id and listener of its publisher; `None` = the server.
    pub origin: Option<(Option<&'a str>, &'a str, u16)>,
}

impl Append {
    /// The client id whose shard it goes to.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.message
            .origin()
            .map_or("", |origin| &*origin.client_id)
    }
}

/// The wall clock, as far as the core has to know it: what is stored says times that outlive the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnixClock {
    /// Unix time at [`Time::ZERO`](crate::Time::ZERO), in milliseconds.
    pub origin_ms: u64,
}

impl UnixClock {
    /// A time as milliseconds of Unix time.
    #[must_use]
    pub fn unix_ms(self, time: crate::Time) -> u64 {
        self.origin_ms.saturating_add(time.as_millis())
    }

    /// The time of a moment of Unix time; the past is [`Time::ZERO`](crate::Time::ZERO).
    #[must_use]
    pub fn time_of(self, unix_ms: u64) -> crate::Time {
        crate::Time::from_millis(unix_ms.saturating_sub(self.origin_ms))
    }
}
