//! The fifteen packet types, who may send them, and the places that carry reason codes and properties.

use std::fmt;

use crate::{Sender, Version};

/// The type of a packet; the number is the upper half of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// A client asks for a session.
    Connect = 1,
    /// The server's answer to CONNECT.
    ConnAck = 2,
    /// An application message.
    Publish = 3,
    /// Acknowledges a QoS 1 message.
    PubAck = 4,
    /// The receiver of a QoS 2 message owns it now.
    PubRec = 5,
    /// The sender of a QoS 2 message releases its packet identifier.
    PubRel = 6,
    /// Ends the exchange of a QoS 2 message.
    PubComp = 7,
    /// A client asks for messages.
    Subscribe = 8,
    /// The server's answer to SUBSCRIBE.
    SubAck = 9,
    /// A client gives subscriptions up.
    Unsubscribe = 10,
    /// The server's answer to UNSUBSCRIBE.
    UnsubAck = 11,
    /// A client shows that it lives.
    PingReq = 12,
    /// The server's answer to PINGREQ.
    PingResp = 13,
    /// The last packet of a connection.
    Disconnect = 14,
    /// A step of enhanced authentication (MQTT 5.0 only).
    Auth = 15,
}

impl PacketType {
    /// All types, in the order of their numbers.
    pub const ALL: [PacketType; 15] = [
        PacketType::Connect,
        PacketType::ConnAck,
        PacketType::Publish,
        PacketType::PubAck,
        PacketType::PubRec,
        PacketType::PubRel,
        PacketType::PubComp,
        PacketType::Subscribe,
        PacketType::SubAck,
        PacketType::Unsubscribe,
        PacketType::UnsubAck,
        PacketType::PingReq,
        PacketType::PingResp,
        PacketType::Disconnect,
        PacketType::Auth,
    ];

    /// The type that a packet's first byte names; `None` for the reserved type 0.
    #[inline]
    #[must_use]
    pub const fn from_first_byte(first_byte: u8) -> Option<Self> {
        Some(match first_byte >> 4 {
            1 => PacketType::Connect,
            2 => PacketType::ConnAck,
            3 => PacketType::Publish,
            4 => PacketType::PubAck,
            5 => PacketType::PubRec,
            6 => PacketType::PubRel,
            7 => PacketType::PubComp,
            8 => PacketType::Subscribe,
            9 => PacketType::SubAck,
            10 => PacketType::Unsubscribe,
            11 => PacketType::UnsubAck,
            12 => PacketType::PingReq,
            13 => PacketType::PingResp,
            14 => PacketType::Disconnect,
            15 => PacketType::Auth,
            _ => return None,
        })
    }

    /// The first byte of a packet of this type with the flags that the specification prescribes (PUBLISH: no flag set).
    #[inline]
    #[must_use]
    pub const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.reserved_flags()
    }

    /// The value of the four flag bits of every type but PUBLISH [5.0 section 2.1.3].
    #[inline]
    #[must_use]
    pub const fn reserved_flags(self) -> u8 {
        match self {
            PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// Whether this side may send such a packet in this version.
    #[must_use]
    pub const fn may_come_from(self, sender: Sender, version: Version) -> bool {
        match self {
            PacketType::Connect
            | PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::PingReq => {
                matches!(sender, Sender::Client)
            }
            PacketType::ConnAck
            | PacketType::SubAck
            | PacketType::UnsubAck
            | PacketType::PingResp => {
                matches!(sender, Sender::Server)
            }
            PacketType::Disconnect => matches!(sender, Sender::Client) || version.is_v5(),
            PacketType::Auth => version.is_v5(),
            PacketType::Publish
            | PacketType::PubAck
            | PacketType::PubRec
            | PacketType::PubRel
            | PacketType::PubComp => true,
        }
    }

    /// The name as the specification writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            PacketType::Connect => "CONNECT",
            PacketType::ConnAck => "CONNACK",
            PacketType::Publish => "PUBLISH",
            PacketType::PubAck => "PUBACK",
            PacketType::PubRec => "PUBREC",
            PacketType::PubRel => "PUBREL",
            PacketType::PubComp => "PUBCOMP",
            PacketType::Subscribe => "SUBSCRIBE",
            PacketType::SubAck => "SUBACK",
            PacketType::Unsubscribe => "UNSUBSCRIBE",
            PacketType::UnsubAck => "UNSUBACK",
            PacketType::PingReq => "PINGREQ",
            PacketType::PingResp => "PINGRESP",
            PacketType::Disconnect => "DISCONNECT",
            PacketType::Auth => "AUTH",
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
