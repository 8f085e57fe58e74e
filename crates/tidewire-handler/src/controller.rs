//! Raw listeners: a controller in the place of a broker, with a method for each packet.

use crate::client::Client;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidewire_codec::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, Properties, Publish, ReasonCode, Subscribe,
    Unsubscribe,
};

/// Packets that wait to be taken from one connection's [`Connection::push`]. Beyond it they are refused.
const PUSHES_MAX: usize = 1024;

/// Serves a raw listener: what its methods return is the reply, whatever packet it is, and without one there is no reply.
/// Only CONNECT and PINGREQ are answered by default. Framing, the limits of packets and Keep Alive are kept by the
/// listener; packet identifiers, sessions and subscriptions are the controller's own.
///
/// One value serves all connections and all workers at once. A method that panics ends its connection.
///
/// ```
/// use tidewire_codec::{Ack, Packet, PacketId, Properties, Publish, ReasonCode};
/// use tidewire_handler::{Connection, Controller, Reply};
///
/// /// Acknowledges every message, whatever its quality of service.
/// struct Acknowledges;
///
/// impl Controller for Acknowledges {
///     fn publish(&self, _: &Connection, _: &Publish<'_>) -> Reply {
///         Packet::PubAck(Ack {
///             packet_id: PacketId::MIN,
///             reason: ReasonCode::Success,
///             properties: Properties::EMPTY,
///         })
///         .into()
///     }
/// }
/// ```
#[allow(
    unused_variables,
    reason = "the defaults have no use for what they are told"
)]
pub trait Controller: Send + Sync + 'static {
    /// CONNECT: accepted by default.
    fn connect(&self, connection: &Connection, packet: &Connect<'_>) -> Reply {
        Reply::from(Packet::ConnAck(ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        }))
    }

    /// PINGREQ: answered with PINGRESP by default.
    fn ping(&self, connection: &Connection) -> Reply {
        Packet::PingResp.into()
    }

    /// PUBLISH.
    fn publish(&self, connection: &Connection, packet: &Publish<'_>) -> Reply {
        Reply::None
    }

    /// PUBACK.
    fn publish_ack(&self, connection: &Connection, packet: &Ack<'_>) -> Reply {
        Reply::None
    }

    /// PUBREC.
    fn publish_received(&self, connection: &Connection, packet: &Ack<'_>) -> Reply {
        Reply::None
    }

    /// PUBREL.
    fn publish_release(&self, connection: &Connection, packet: &Ack<'_>) -> Reply {
        Reply::None
    }

    /// PUBCOMP.
    fn publish_complete(&self, connection: &Connection, packet: &Ack<'_>) -> Reply {
        Reply::None
    }

    /// SUBSCRIBE.
    fn subscribe(&self, connection: &Connection, packet: &Subscribe<'_>) -> Reply {
        Reply::None
    }

    /// UNSUBSCRIBE.
    fn unsubscribe(&self, connection: &Connection, packet: &Unsubscribe<'_>) -> Reply {
        Reply::None
    }

    /// AUTH (MQTT 5.0).
    fn auth(&self, connection: &Connection, packet: &Auth<'_>) -> Reply {
        Reply::None
    }

    /// DISCONNECT. The connection ends behind the reply.
    fn disconnect(&self, connection: &Connection, packet: &Disconnect<'_>) -> Reply {
        Reply::None
    }

    /// The connection is gone, with DISCONNECT or without.
    fn closed(&self, connection: &Connection) {}
}

/// What a controller answers to a packet.
#[derive(Default)]
pub enum Reply {
    /// Nothing.
    #[default]
    None,
    /// This packet.
    Packet(Box<Packet<'static>>),
    /// No: the connection ends, and a client that can be told is told this reason.
    Close(ReasonCode),
    /// It takes time. The connection's further packets wait.
    Later(LaterReply),
}

/// A reply that takes time.
pub type LaterReply = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A connection of a raw listener; a [`Client`] that packets can be pushed to. Clones are the same connection and may be
/// kept and used anywhere.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    client: Arc<Client>,
    pushed: Mutex<VecDeque<Packet<'static>>>,
    /// No packet is taken any more.
    closed: AtomicBool,
    /// Tells the worker to take what is pushed, or to close.
    bell: Box<dyn Fn(Bell) + Send + Sync>,
}

/// What a connection's worker is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bell {
    /// Packets are there that have been pushed.
    Pushed,
    /// The connection is to end.
    Close(ReasonCode),
}

/// Why a packet was not pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PushError {
    /// The connection is gone.
    Closed,
    /// 1,024 packets wait already.
    Full,
}

impl Reply {
    /// The reply takes time.
    #[must_use]
    pub fn later<R: Into<Self>>(work: impl Future<Output = R> + Send + 'static) -> Self {
        Self::Later(Box::pin(async move { work.await.into() }))
    }
}

impl From<Packet<'static>> for Reply {
    fn from(packet: Packet<'static>) -> Self {
        Self::Packet(Box::new(packet))
    }
}

impl From<Option<Packet<'static>>> for Reply {
    fn from(packet: Option<Packet<'static>>) -> Self {
        packet.map_or(Self::None, Self::from)
    }
}

impl From<()> for Reply {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl Connection {
    /// For the broker: a connection and the bell of its worker.
    #[must_use]
    pub fn new(client: Arc<Client>, bell: impl Fn(Bell) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            client,
            pushed: Mutex::default(),
            closed: AtomicBool::new(false),
            bell: Box::new(bell),
        }))
    }

    /// Sends a packet, whatever it is, from anywhere and at any time. What a controller's method pushes goes out before what
    /// it returns.
    ///
    /// # Errors
    /// [`PushError`]; the packet is not sent then.
    pub fn push(&self, packet: Packet<'static>) -> Result<(), PushError> {
        if self.is_closed() {
            return Err(PushError::Closed);
        }
        let mut pushed = self.lock();
        if pushed.len() >= PUSHES_MAX {
            return Err(PushError::Full);
        }
        pushed.push_back(packet);
        let first = pushed.len() == 1;
        drop(pushed);
        if first {
            (self.0.bell)(Bell::Pushed);
        }
        Ok(())
    }

    /// Ends the connection behind what was pushed before; a client that can be told is told this reason.
    pub fn close(&self, reason: ReasonCode) {
        (self.0.bell)(Bell::Close(reason));
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// For the broker: the next packet that was pushed.
    #[must_use]
    pub fn take_pushed(&self) -> Option<Packet<'static>> {
        self.lock().pop_front()
    }

    /// For the broker: the connection is gone.
    pub fn end(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
        self.lock().clear();
    }

    /// A queue is whole between any two operations, whoever panicked.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Packet<'static>>> {
        self.0.pushed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connections are compared by identity.
impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Connection {}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0.client
    }
}

/// Calls the method for a packet.
pub fn dispatch(controller: &dyn Controller, of: &Connection, packet: &Packet<'_>) -> Reply {
    match packet {
        Packet::Connect(packet) => controller.connect(of, packet),
        Packet::Publish(packet) => controller.publish(of, packet),
        Packet::PubAck(packet) => controller.publish_ack(of, packet),
        Packet::PubRec(packet) => controller.publish_received(of, packet),
        Packet::PubRel(packet) => controller.publish_release(of, packet),
        Packet::PubComp(packet) => controller.publish_complete(of, packet),
        Packet::Subscribe(packet) => controller.subscribe(of, packet),
        Packet::Unsubscribe(packet) => controller.unsubscribe(of, packet),
        Packet::PingReq => controller.ping(of),
        Packet::Disconnect(packet) => controller.disconnect(of, packet),
        Packet::Auth(packet) => controller.auth(of, packet),
        // Not for a client to send: decoding has refused them.
        Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
            Reply::None
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("client", &self.0.client)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Packet(packet) => f.debug_tuple("Packet").field(packet).finish(),
            Self::Close(reason) => f.debug_tuple("Close").field(reason).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection is gone"),
            Self::Full => write!(f, "{PUSHES_MAX} packets wait to be sent already"),
        }
    }
}

impl std::error::Error for PushError {}
