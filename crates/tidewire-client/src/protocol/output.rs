//! All that a machine can want of its driver.

use std::fmt;

use tidewire_codec::{Packet, PacketId, ReasonCode, Version};

use super::cause::Cause;
use super::publish::{Message, PublishFault};
use super::server::ServerLimits;

/// The driver's name for a request.
pub type Token = u64;

/// The machine's name for a message that waits for [`Input::Acknowledge`](super::Input::Acknowledge).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery(pub(crate) u64);

/// One thing to do or to know. Drained with [`Machine::poll_output`](super::Machine::poll_output) after each input, in order.
/// Bytes to write are not in here: see [`Machine::transmit`](super::Machine::transmit).
#[derive(Debug)]
pub enum Output {
    /// The server accepted the connection.
    Connected(Box<Connected>),
    /// The server's message of an enhanced authentication; answer with
    /// [`Input::Authenticate`](super::Input::Authenticate).
    Challenge {
        /// Authentication Data.
        data: Option<Box<[u8]>>,
    },
    /// An authentication on a live connection succeeded.
    Reauthenticated {
        /// Authentication Data of the last AUTH.
        data: Option<Box<[u8]>>,
    },
    /// A message was given its packet identifier and is on its way.
    Sent {
        /// Which message.
        token: Token,
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// A message is done with: acknowledged, at QoS 0 written, or it has failed.
    Published {
        /// Which message.
        token: Token,
        /// How it went.
        result: Result<Published, PublishError>,
    },
    /// The session in which a message was sent is lost and nobody knows whether the server had it. Publish it again or
    /// give it up. These come in the order of sending, before `Connected`.
    Unfinished {
        /// Which message.
        token: Token,
    },
    /// A message came.
    Message {
        /// The message.
        message: Message,
        /// What to acknowledge it by; `None` at QoS 0.
        delivery: Option<Delivery>,
    },
    /// SUBSCRIBE is done with.
    Subscribed {
        /// Which.
        token: Token,
        /// One reason code for each filter, in order.
        result: Result<Vec<ReasonCode>, RequestError>,
    },
    /// UNSUBSCRIBE is done with.
    Unsubscribed {
        /// Which.
        token: Token,
        /// One reason code for each filter, in order; success for each before MQTT 5.0.
        result: Result<Vec<ReasonCode>, RequestError>,
    },
    /// PINGRESP came.
    Pong,
    /// A packet came: told only under [`PacketTrace::On`], before what follows from it.
    Packet(Box<Packet<'static>>),
    /// The connection has ended: write what is left to write, then close the transport.
    Ended(Cause),
}

/// What CONNACK said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The version that is spoken.
    pub version: Version,
    /// Whether an earlier session goes on.
    pub session: SessionOrigin,
    /// What the server announced.
    pub server: ServerLimits,
}

/// Where the session of a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionOrigin {
    /// It begins with this connection: the server knows of no subscription.
    New,
    /// An earlier one goes on: subscriptions are still there, and messages in flight are resent.
    Resumed,
}

/// A message that has been published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The packet identifier that it had; none at QoS 0.
    pub packet_id: Option<PacketId>,
    /// Success, or that nobody subscribes to the topic.
    pub reason: ReasonCode,
}

/// Why a message was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishError {
    /// Nothing can be sent now; see [`Machine::can_publish`](super::Machine::can_publish).
    NotReady,
    /// No connection of this version can carry the message.
    Message(PublishFault),
    /// The packet is larger than the server takes.
    TooLarge {
        /// Bytes of the packet.
        size: usize,
        /// The most bytes that the server takes.
        limit: u32,
    },
    /// The quality of service is above the server's maximum.
    QosNotSupported,
    /// The server keeps no retained messages.
    RetainNotSupported,
    /// The server refused the message with this reason.
    Refused(ReasonCode),
    /// The connection ended before the message, at QoS 0, was written.
    ConnectionLost,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("nothing can be sent now"),
            Self::Message(fault) => write!(f, "{fault}"),
            Self::TooLarge { size, limit } => {
                write!(
                    f,
                    "the packet has {size} bytes; the server takes {limit} at most"
                )
            }
            Self::QosNotSupported => {
                f.write_str("the server does not take messages of this quality of service")
            }
            Self::RetainNotSupported => f.write_str("the server keeps no retained messages"),
            Self::Refused(reason) => write!(f, "the server refused the message: {reason}"),
            Self::ConnectionLost => {
                f.write_str("the connection was lost before the message was written")
            }
        }
    }
}

impl std::error::Error for PublishError {}

/// Why SUBSCRIBE or UNSUBSCRIBE has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// There is no live connection.
    NotConnected,
    /// The connection ended before the answer came.
    ConnectionLost,
    /// The packet would not be valid.
    Invalid(tidewire_codec::EncodeError),
    /// A topic filter is not valid.
    Filter(tidewire_codec::TopicError),
    /// The field of this name exists in MQTT 5.0 only.
    NeedsV5(&'static str),
    /// The server announced that it does not support this.
    NotSupported(ReasonCode),
    /// The packet is larger than the server takes.
    TooLarge {
        /// Bytes of the packet.
        size: usize,
        /// The most bytes that the server takes.
        limit: u32,
    },
    /// All 65,535 packet identifiers are in use.
    NoPacketId,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("there is no connection"),
            Self::ConnectionLost => f.write_str("the connection was lost before the answer came"),
            Self::Invalid(error) => write!(f, "the request is not valid: {error}"),
            Self::Filter(error) => write!(f, "the topic filter is not valid: {error}"),
            Self::NeedsV5(field) => write!(
                f,
                "{field} exists in MQTT 5.0 only; connect with version 5 or leave it out"
            ),
            Self::NotSupported(reason) => write!(f, "the server does not support it: {reason}"),
            Self::TooLarge { size, limit } => {
                write!(
                    f,
                    "the packet has {size} bytes; the server takes {limit} at most"
                )
            }
            Self::NoPacketId => f.write_str("all packet identifiers are in use"),
        }
    }
}

impl std::error::Error for RequestError {}

/// Whether [`Output::Packet`] is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PacketTrace {
    /// No: packets are not copied.
    #[default]
    Off,
    /// Each packet that comes.
    On,
}
