//! The places of a packet that carry reason codes and properties, and sets of them.

use std::fmt;

use crate::{PacketType, Sender};

/// A place that carries properties or a reason code, told apart by sender where the specification does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Carrier {
    /// CONNECT.
    Connect,
    /// The will inside CONNECT, which has properties of its own.
    Will,
    /// CONNACK.
    ConnAck,
    /// PUBLISH on its way to the server.
    PublishFromClient,
    /// PUBLISH on its way to a client.
    PublishFromServer,
    /// PUBACK.
    PubAck,
    /// PUBREC.
    PubRec,
    /// PUBREL.
    PubRel,
    /// PUBCOMP.
    PubComp,
    /// SUBSCRIBE.
    Subscribe,
    /// SUBACK.
    SubAck,
    /// UNSUBSCRIBE.
    Unsubscribe,
    /// UNSUBACK.
    UnsubAck,
    /// DISCONNECT from the client.
    DisconnectFromClient,
    /// DISCONNECT from the server.
    DisconnectFromServer,
    /// AUTH from the client.
    AuthFromClient,
    /// AUTH from the server.
    AuthFromServer,
}

impl Carrier {
    /// The carrier that a packet of this type from this side is; `None` for PINGREQ and PINGRESP, which carry nothing.
    #[inline]
    #[must_use]
    pub const fn of(packet: PacketType, sender: Sender) -> Option<Self> {
        let from_client = matches!(sender, Sender::Client);
        Some(match packet {
            PacketType::Connect => Carrier::Connect,
            PacketType::ConnAck => Carrier::ConnAck,
            PacketType::Publish if from_client => Carrier::PublishFromClient,
            PacketType::Publish => Carrier::PublishFromServer,
            PacketType::PubAck => Carrier::PubAck,
            PacketType::PubRec => Carrier::PubRec,
            PacketType::PubRel => Carrier::PubRel,
            PacketType::PubComp => Carrier::PubComp,
            PacketType::Subscribe => Carrier::Subscribe,
            PacketType::SubAck => Carrier::SubAck,
            PacketType::Unsubscribe => Carrier::Unsubscribe,
            PacketType::UnsubAck => Carrier::UnsubAck,
            PacketType::Disconnect if from_client => Carrier::DisconnectFromClient,
            PacketType::Disconnect => Carrier::DisconnectFromServer,
            PacketType::Auth if from_client => Carrier::AuthFromClient,
            PacketType::Auth => Carrier::AuthFromServer,
            PacketType::PingReq | PacketType::PingResp => return None,
        })
    }

    /// The same place when the other side sends it; itself where only one side can.
    #[must_use]
    pub const fn other_side(self) -> Self {
        match self {
            Carrier::PublishFromClient => Carrier::PublishFromServer,
            Carrier::PublishFromServer => Carrier::PublishFromClient,
            Carrier::DisconnectFromClient => Carrier::DisconnectFromServer,
            Carrier::DisconnectFromServer => Carrier::DisconnectFromClient,
            Carrier::AuthFromClient => Carrier::AuthFromServer,
            Carrier::AuthFromServer => Carrier::AuthFromClient,
            other => other,
        }
    }
}

impl fmt::Display for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Carrier::Connect => "CONNECT",
            Carrier::Will => "the will of CONNECT",
            Carrier::ConnAck => "CONNACK",
            Carrier::PublishFromClient => "PUBLISH from a client",
            Carrier::PublishFromServer => "PUBLISH from the server",
            Carrier::PubAck => "PUBACK",
            Carrier::PubRec => "PUBREC",
            Carrier::PubRel => "PUBREL",
            Carrier::PubComp => "PUBCOMP",
            Carrier::Subscribe => "SUBSCRIBE",
            Carrier::SubAck => "SUBACK",
            Carrier::Unsubscribe => "UNSUBSCRIBE",
            Carrier::UnsubAck => "UNSUBACK",
            Carrier::DisconnectFromClient => "DISCONNECT from a client",
            Carrier::DisconnectFromServer => "DISCONNECT from the server",
            Carrier::AuthFromClient => "AUTH from a client",
            Carrier::AuthFromServer => "AUTH from the server",
        })
    }
}

/// A set of carriers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CarrierSet(u32);

impl CarrierSet {
    /// A set of the given carriers.
    #[must_use]
    pub const fn of(carriers: &[Carrier]) -> Self {
        let mut bits = 0;
        let mut rest = carriers;
        while let [first, tail @ ..] = rest {
            bits |= 1 << (*first as u32);
            rest = tail;
        }
        CarrierSet(bits)
    }

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        CarrierSet(self.0 | other.0)
    }

    /// Whether the carrier is in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, carrier: Carrier) -> bool {
        self.0 & (1 << (carrier as u32)) != 0
    }

    /// Whether the carrier is in the set whichever side sends it.
    #[must_use]
    pub const fn contains_from_either_side(self, carrier: Carrier) -> bool {
        self.contains(carrier) || self.contains(carrier.other_side())
    }
}
