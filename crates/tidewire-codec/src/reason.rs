//! Reason codes: one table with number, name, the packets that may carry each, and its MQTT 3.1.1 CONNACK return code.

use std::fmt;

use crate::carrier::{Carrier, CarrierSet};
use crate::{PacketType, Sender};

const CONNACK: CarrierSet = CarrierSet::of(&[Carrier::ConnAck]);
const CONNACK_OR_DISCONNECT: CarrierSet = CONNACK.and(DISCONNECT);
const CONNACK_OR_SERVER_DISCONNECT: CarrierSet = CONNACK.and(SERVER_DISCONNECT);
const PUBACK_OR_PUBREC: CarrierSet = CarrierSet::of(&[Carrier::PubAck, Carrier::PubRec]);
const PUBREL_OR_PUBCOMP: CarrierSet = CarrierSet::of(&[Carrier::PubRel, Carrier::PubComp]);
const SUBACK: CarrierSet = CarrierSet::of(&[Carrier::SubAck]);
const UNSUBACK: CarrierSet = CarrierSet::of(&[Carrier::UnsubAck]);
const SUBACK_OR_UNSUBACK: CarrierSet = SUBACK.and(UNSUBACK);
const CLIENT_DISCONNECT: CarrierSet = CarrierSet::of(&[Carrier::DisconnectFromClient]);
const SERVER_DISCONNECT: CarrierSet = CarrierSet::of(&[Carrier::DisconnectFromServer]);
const DISCONNECT: CarrierSet = CLIENT_DISCONNECT.and(SERVER_DISCONNECT);
const CLIENT_AUTH: CarrierSet = CarrierSet::of(&[Carrier::AuthFromClient]);
const SERVER_AUTH: CarrierSet = CarrierSet::of(&[Carrier::AuthFromServer]);
const SUCCESS: CarrierSet = CONNACK
    .and(PUBACK_OR_PUBREC)
    .and(PUBREL_OR_PUBCOMP)
    .and(SUBACK_OR_UNSUBACK)
    .and(DISCONNECT)
    .and(SERVER_AUTH);
/// Failures that any request may end with.
const ANY_REQUEST: CarrierSet = CONNACK.and(PUBACK_OR_PUBREC).and(SUBACK_OR_UNSUBACK);

macro_rules! reason_codes {
    ($( $(#[$doc:meta])* $name:ident = $number:literal, $text:literal, $carriers:expr, $return_code:expr; )*) => {
        /// A reason code of MQTT 5.0 (section 2.4). Earlier versions know some of them as CONNACK return codes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum ReasonCode {
            $( $(#[$doc])* $name = $number, )*
        }

        impl ReasonCode {
            /// All reason codes, in the order of their numbers.
            pub const ALL: &'static [ReasonCode] = &[$( ReasonCode::$name, )*];

            /// The code with this number, if there is one.
            #[must_use]
            pub const fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $( $number => Some(ReasonCode::$name), )*
                    _ => None,
                }
            }

            /// The name in the words of the specification, lower case.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( ReasonCode::$name => $text, )*
                }
            }

            /// The packets that may carry this code, and from which side.
            #[must_use]
            pub const fn carriers(self) -> CarrierSet {
                match self {
                    $( ReasonCode::$name => const { $carriers }, )*
                }
            }

            /// The return code that says the same in a CONNACK of MQTT 3.1 and 3.1.1. `None` where none applies: the
            /// server then closes the connection without a CONNACK [3.1.1 section 3.2.2.3].
            #[must_use]
            pub const fn connack_return_code(self) -> Option<u8> {
                match self {
                    $( ReasonCode::$name => $return_code, )*
                }
            }
        }
    };
}

reason_codes! {
    /// Done; also normal disconnection and granted QoS 0.
    Success = 0x00, "success", SUCCESS, Some(0);
    /// The subscription is granted with QoS 1 at most.
    GrantedQos1 = 0x01, "granted QoS 1", SUBACK, None;
    /// The subscription is granted with QoS 2 at most.
    GrantedQos2 = 0x02, "granted QoS 2", SUBACK, None;
    /// The client leaves and wants its will published.
    DisconnectWithWill = 0x04, "disconnect with will message", CLIENT_DISCONNECT, None;
    /// Accepted, but nobody subscribes to the topic.
    NoMatchingSubscribers = 0x10, "no matching subscribers", PUBACK_OR_PUBREC, None;
    /// There was no such subscription.
    NoSubscriptionExisted = 0x11, "no subscription existed", UNSUBACK, None;
    /// Another step of authentication follows.
    ContinueAuthentication = 0x18, "continue authentication", CLIENT_AUTH.and(SERVER_AUTH), None;
    /// The client starts authentication anew.
    ReAuthenticate = 0x19, "re-authenticate", CLIENT_AUTH, None;
    /// The reason is not told, or no other code fits.
    UnspecifiedError = 0x80, "unspecified error", ANY_REQUEST.and(DISCONNECT), Some(3);
    /// The packet could not be read.
    MalformedPacket = 0x81, "malformed packet", CONNACK_OR_DISCONNECT, None;
    /// The packet was not expected, or holds what the protocol forbids.
    ProtocolError = 0x82, "protocol error", CONNACK_OR_DISCONNECT, None;
    /// Valid, but this implementation does not accept it.
    ImplementationSpecificError = 0x83, "implementation specific error", ANY_REQUEST.and(DISCONNECT), Some(3);
    /// The server does not speak this version.
    UnsupportedProtocolVersion = 0x84, "unsupported protocol version", CONNACK, Some(1);
    /// The server does not accept this client identifier.
    ClientIdentifierNotValid = 0x85, "client identifier not valid", CONNACK, Some(2);
    /// The user name or the password is wrong.
    BadUserNameOrPassword = 0x86, "bad user name or password", CONNACK, Some(4);
    /// The client may not do this.
    NotAuthorized = 0x87, "not authorized", ANY_REQUEST.and(SERVER_DISCONNECT), Some(5);
    /// The server cannot serve now.
    ServerUnavailable = 0x88, "server unavailable", CONNACK, Some(3);
    /// The server has too much to do; try later.
    ServerBusy = 0x89, "server busy", CONNACK_OR_SERVER_DISCONNECT, Some(3);
    /// An administrator has banned this client.
    Banned = 0x8A, "banned", CONNACK, Some(5);
    /// The server is shutting down.
    ServerShuttingDown = 0x8B, "server shutting down", SERVER_DISCONNECT, None;
    /// The authentication method is not supported or not the one in use. Section 2.4 names DISCONNECT, too, but the table
    /// of DISCONNECT that binds (3.14.2.1) does not.
    BadAuthenticationMethod = 0x8C, "bad authentication method", CONNACK, Some(5);
    /// Nothing was heard for one and a half times the keep-alive.
    KeepAliveTimeout = 0x8D, "keep alive timeout", SERVER_DISCONNECT, None;
    /// Another connection with the same client identifier took the session.
    SessionTakenOver = 0x8E, "session taken over", SERVER_DISCONNECT, None;
    /// The topic filter is well-formed but not accepted.
    TopicFilterInvalid = 0x8F, "topic filter invalid", SUBACK_OR_UNSUBACK.and(SERVER_DISCONNECT), None;
    /// The topic name is well-formed but not accepted.
    TopicNameInvalid = 0x90, "topic name invalid", CONNACK.and(PUBACK_OR_PUBREC).and(DISCONNECT), None;
    /// The packet identifier is in use already.
    PacketIdentifierInUse = 0x91, "packet identifier in use", PUBACK_OR_PUBREC.and(SUBACK_OR_UNSUBACK), None;
    /// The packet identifier is not known.
    PacketIdentifierNotFound = 0x92, "packet identifier not found", PUBREL_OR_PUBCOMP, None;
    /// More unacknowledged messages than the receiver announced it takes.
    ReceiveMaximumExceeded = 0x93, "receive maximum exceeded", DISCONNECT, None;
    /// The topic alias is zero, too large or unknown.
    TopicAliasInvalid = 0x94, "topic alias invalid", DISCONNECT, None;
    /// The packet is larger than the receiver takes.
    PacketTooLarge = 0x95, "packet too large", CONNACK_OR_DISCONNECT, None;
    /// Too many messages in a time.
    MessageRateTooHigh = 0x96, "message rate too high", DISCONNECT, None;
    /// A limit set for this client is reached.
    QuotaExceeded = 0x97, "quota exceeded", CONNACK.and(PUBACK_OR_PUBREC).and(SUBACK).and(DISCONNECT), Some(3);
    /// An administrator ended the connection.
    AdministrativeAction = 0x98, "administrative action", DISCONNECT, None;
    /// The payload is not what its format indicator says.
    PayloadFormatInvalid = 0x99, "payload format invalid", CONNACK.and(PUBACK_OR_PUBREC).and(DISCONNECT), None;
    /// The server keeps no retained messages.
    RetainNotSupported = 0x9A, "retain not supported", CONNACK_OR_SERVER_DISCONNECT, None;
    /// The quality of service is above the server's maximum.
    QosNotSupported = 0x9B, "QoS not supported", CONNACK_OR_SERVER_DISCONNECT, None;
    /// Use another server for a while.
    UseAnotherServer = 0x9C, "use another server", CONNACK_OR_SERVER_DISCONNECT, Some(3);
    /// Use another server from now on.
    ServerMoved = 0x9D, "server moved", CONNACK_OR_SERVER_DISCONNECT, Some(3);
    /// The server has no shared subscriptions.
    SharedSubscriptionsNotSupported = 0x9E, "shared subscriptions not supported", SUBACK.and(SERVER_DISCONNECT), None;
    /// Too many connections in a time.
    ConnectionRateExceeded = 0x9F, "connection rate exceeded", CONNACK_OR_SERVER_DISCONNECT, Some(3);
    /// The connection has lasted as long as it may.
    MaximumConnectTime = 0xA0, "maximum connect time", SERVER_DISCONNECT, None;
    /// The server takes no subscription identifiers.
    SubscriptionIdentifiersNotSupported = 0xA1, "subscription identifiers not supported", SUBACK.and(SERVER_DISCONNECT), None;
    /// The server takes no wildcards in subscriptions.
    WildcardSubscriptionsNotSupported = 0xA2, "wildcard subscriptions not supported", SUBACK.and(SERVER_DISCONNECT), None;
}

impl ReasonCode {
    /// Whether the code says that something failed (0x80 and above).
    #[inline]
    #[must_use]
    pub const fn is_error(self) -> bool {
        self as u8 >= 0x80
    }

    /// Whether a packet of this type may carry the code, from one side at least.
    #[must_use]
    pub const fn allowed_in(self, packet: PacketType) -> bool {
        self.allowed_from(packet, Sender::Client) || self.allowed_from(packet, Sender::Server)
    }

    /// Whether a packet of this type from this side may carry the code.
    #[must_use]
    pub const fn allowed_from(self, packet: PacketType, sender: Sender) -> bool {
        match Carrier::of(packet, sender) {
            Some(carrier) => self.carriers().contains(carrier),
            None => false,
        }
    }

    /// The reason that a CONNACK return code of MQTT 3.1 and 3.1.1 stands for; `None` for the reserved ones.
    #[must_use]
    pub const fn from_connack_return_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => ReasonCode::Success,
            1 => ReasonCode::UnsupportedProtocolVersion,
            2 => ReasonCode::ClientIdentifierNotValid,
            3 => ReasonCode::ServerUnavailable,
            4 => ReasonCode::BadUserNameOrPassword,
            5 => ReasonCode::NotAuthorized,
            _ => return None,
        })
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02X})", self.name(), *self as u8)
    }
}
