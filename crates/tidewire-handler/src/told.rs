//! What observing handlers are told.

use std::sync::Arc;
use tidewire_codec::{PacketId, Publish, Qos, ReasonCode, Version};

/// Where a client came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The listener's index.
    pub listener: u16,
    /// The address as text, `192.0.2.7:50123` or a transport's own form.
    pub address: Arc<str>,
}

/// Which handlers a notice is for.
pub(crate) trait Told {
    /// The listener that it belongs to; `None` = all.
    fn listener(&self) -> Option<u16>;
}

/// A client is connected.
#[derive(Clone, Debug)]
pub struct Connected {
    /// Client id.
    pub client_id: Arc<str>,
    /// From where.
    pub peer: Peer,
    /// Protocol version.
    pub version: Version,
    /// Whether an earlier session goes on.
    pub session_present: bool,
    /// Keep Alive in force, 0 = none.
    pub keep_alive_secs: u16,
}

/// A client was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Client id, if it came that far.
    pub client_id: Option<Arc<str>>,
    /// From where.
    pub peer: Peer,
    /// The reason as MQTT 5 names it.
    pub reason: ReasonCode,
    /// The sentence.
    pub text: Arc<str>,
}

/// A connected client has gone.
#[derive(Clone, Debug)]
pub struct Disconnected {
    /// Client id.
    pub client_id: Arc<str>,
    /// From where it had come.
    pub peer: Peer,
    /// Who ended the connection, and with which reason.
    pub cause: DisconnectCause,
    /// The cause as a sentence.
    pub text: Arc<str>,
    /// Whether its session stays.
    pub session_kept: bool,
}

/// Who ended a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisconnectCause {
    /// The client, with DISCONNECT.
    Client(ReasonCode),
    /// The broker.
    Server(ReasonCode),
    /// The transport ended.
    Transport,
}

/// A session ended.
#[derive(Clone, Debug)]
pub struct SessionEnded {
    /// Client id.
    pub client_id: Arc<str>,
    /// Why.
    pub cause: SessionEnd,
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

/// A client has a new subscription.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// Client id.
    pub client_id: Arc<str>,
    /// Who it is.
    pub principal: Option<Arc<str>>,
    /// From where.
    pub peer: Peer,
    /// The filter as the client wrote it.
    pub filter: Arc<str>,
    /// The granted quality of service.
    pub qos: Qos,
}

/// A client gave a subscription up.
#[derive(Clone, Debug)]
pub struct Unsubscribed {
    /// Client id.
    pub client_id: Arc<str>,
    /// From where.
    pub peer: Peer,
    /// The filter as the client wrote it.
    pub filter: Arc<str>,
}

/// Who published a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The server itself: an application that embeds it, a handler, `$SYS`.
    Server,
    /// A client, now or with its will.
    Client {
        /// Client id.
        client_id: Arc<str>,
        /// Who it is.
        principal: Option<Arc<str>>,
        /// The index of the listener through which it had come.
        listener: u16,
    },
}

/// A message was published.
#[derive(Clone, Debug)]
pub struct Published {
    /// The message as it goes to its subscribers, without packet identifier.
    pub publish: Arc<Publish<'static>>,
    /// Who published it. A handler that publishes in answer to messages leaves out those of the server, and so cannot run in
    /// a circle.
    pub origin: Origin,
}

/// A receiver acknowledged a message.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// The receiver.
    pub client_id: Arc<str>,
    /// From where.
    pub peer: Peer,
    /// The identifier under which it was sent.
    pub packet_id: PacketId,
    /// What the receiver said.
    pub reason: ReasonCode,
}

/// A message was dropped.
#[derive(Clone, Debug)]
pub struct Dropped {
    /// The receiver that does not get it; `None` = nobody does, or it is not retained.
    pub client_id: Option<Arc<str>>,
    /// Its topic.
    pub topic: Arc<str>,
    /// Why.
    pub reason: DropReason,
}

/// Why a message was dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DropReason {
    /// The receiver's queue is full.
    QueueFull,
    /// The receiver does not read fast enough.
    SlowReader,
    /// Its time had passed.
    Expired,
    /// It is larger than the receiver takes.
    TooLarge,
    /// A handler held it back.
    Suppressed,
    /// No subscription matches. What the server publishes of itself is not reported.
    NoSubscriber,
    /// The store of retained messages is full: it was delivered and is not kept.
    RetainedFull,
}

/// A client sent PINGREQ.
#[derive(Clone, Debug)]
pub struct Pinged {
    /// Client id.
    pub client_id: Arc<str>,
    /// From where.
    pub peer: Peer,
}

/// A client left a will with the broker.
#[derive(Clone, Debug)]
pub struct WillArmed {
    /// Client id.
    pub client_id: Arc<str>,
    /// From where.
    pub peer: Peer,
    /// Where the will would go.
    pub topic: Arc<str>,
}

/// A will was published.
#[derive(Clone, Debug)]
pub struct WillPublished {
    /// Whose.
    pub client_id: Arc<str>,
    /// Where to.
    pub topic: Arc<str>,
}

/// A will could not be published.
#[derive(Clone, Debug)]
pub struct WillRefused {
    /// Whose.
    pub client_id: Arc<str>,
    /// Where it would have gone.
    pub topic: Arc<str>,
    /// The reason.
    pub reason: ReasonCode,
}

/// A topic's retained message was set or cleared.
#[derive(Clone, Debug)]
pub struct RetainedChanged {
    /// The topic.
    pub topic: Arc<str>,
    /// Bytes of the new message; `None` = it was cleared.
    pub payload_bytes: Option<usize>,
}

/// A listener opened or closed.
#[derive(Clone, Debug)]
pub struct ListenerChange {
    /// The listener's index.
    pub listener: u16,
    /// The listener's name.
    pub name: Arc<str>,
    /// The address, with the port that was chosen for port 0.
    pub address: Arc<str>,
}

/// A worker started or ended.
#[derive(Clone, Copy, Debug)]
pub struct WorkerChange {
    /// Its number.
    pub worker: u16,
}

/// The broker is ready, or begins to stop.
#[derive(Clone, Copy, Debug)]
pub struct ServerChange {
    /// Its number of workers.
    pub workers: u16,
}

macro_rules! belongs_to_its_peers_listener {
    ($($told:ty),*) => {
        $( impl Told for $told {
            fn listener(&self) -> Option<u16> {
                Some(self.peer.listener)
            }
        } )*
    };
}

macro_rules! belongs_to_all {
    ($($told:ty),*) => {
        $( impl Told for $told {
            fn listener(&self) -> Option<u16> {
                None
            }
        } )*
    };
}

belongs_to_its_peers_listener!(
    Connected,
    Refused,
    Disconnected,
    Subscribed,
    Unsubscribed,
    Acknowledged,
    Pinged,
    WillArmed
);
belongs_to_all!(
    SessionEnded,
    Dropped,
    WillPublished,
    WillRefused,
    RetainedChanged,
    WorkerChange,
    ServerChange
);

impl Told for Published {
    fn listener(&self) -> Option<u16> {
        match &self.origin {
            Origin::Server => None,
            Origin::Client { listener, .. } => Some(*listener),
        }
    }
}

impl Told for ListenerChange {
    fn listener(&self) -> Option<u16> {
        Some(self.listener)
    }
}
