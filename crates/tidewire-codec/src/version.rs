//! The protocol versions, the quality of service levels and the two sides of a connection.

use std::fmt;

/// A version of MQTT; the number is the protocol level that a CONNECT packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Version {
    /// MQTT 3.1, protocol name `MQIsdp`.
    V31 = 3,
    /// MQTT 3.1.1, protocol name `MQTT`.
    V311 = 4,
    /// MQTT 5.0, protocol name `MQTT`.
    V5 = 5,
}

impl Version {
    /// Whether packets of this version carry properties and reason codes.
    #[inline]
    #[must_use]
    pub const fn is_v5(self) -> bool {
        matches!(self, Version::V5)
    }

    /// The protocol level byte of CONNECT.
    #[must_use]
    pub const fn level(self) -> u8 {
        self as u8
    }

    /// The protocol name of CONNECT.
    #[must_use]
    pub const fn protocol_name(self) -> &'static str {
        match self {
            Version::V31 => "MQIsdp",
            Version::V311 | Version::V5 => "MQTT",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::V31 => "MQTT 3.1",
            Version::V311 => "MQTT 3.1.1",
            Version::V5 => "MQTT 5.0",
        })
    }
}

/// The quality of service of a message or the most that a subscription grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Qos {
    /// QoS 0: no acknowledgement, a message may be lost.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: acknowledged with PUBACK, a message may arrive twice.
    AtLeastOnce = 1,
    /// QoS 2: PUBREC, PUBREL, PUBCOMP; a message arrives once.
    ExactlyOnce = 2,
}

impl TryFrom<u8> for Qos {
    type Error = InvalidQos;

    #[inline]
    fn try_from(value: u8) -> Result<Self, InvalidQos> {
        match value {
            0 => Ok(Qos::AtMostOnce),
            1 => Ok(Qos::AtLeastOnce),
            2 => Ok(Qos::ExactlyOnce),
            other => Err(InvalidQos(other)),
        }
    }
}

/// A number that is no quality of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidQos(pub u8);

impl fmt::Display for InvalidQos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QoS {} does not exist; it is 0, 1 or 2", self.0)
    }
}

impl std::error::Error for InvalidQos {}

/// The side of the connection that sent a packet: it decides which packets, reason codes and properties are legal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The side that opened the connection and sent CONNECT.
    Client,
    /// The side that accepted it.
    Server,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sender::Client => "client",
            Sender::Server => "server",
        })
    }
}
