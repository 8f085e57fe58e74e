//! The properties of MQTT 5.0: one table with identifier, name, wire type, value rule and the packets that may carry each.

use std::fmt;

use crate::carrier::Carrier::{
    AuthFromClient, AuthFromServer, ConnAck, Connect, DisconnectFromClient, DisconnectFromServer,
    PubAck, PubComp, PubRec, PubRel, PublishFromClient, PublishFromServer, SubAck, Subscribe,
    UnsubAck, Unsubscribe, Will,
};
use crate::carrier::CarrierSet;
use crate::error::Field;
use crate::reader::{Reader, text};
use crate::{DecodeError, Properties, wire};

/// How a property's value is written (5.0 section 1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WireType {
    /// One byte.
    Byte,
    /// Two bytes.
    TwoByte,
    /// Four bytes.
    FourByte,
    /// A variable byte integer.
    Varint,
    /// A string behind its length.
    Text,
    /// Bytes behind their length.
    Binary,
    /// Two strings.
    Pair,
}

/// Which values of its wire type a property may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ValueRule {
    Any,
    ZeroOrOne,
    NotZero,
    /// Zero has a reason code of its own.
    Alias,
    /// A topic name: no wildcards.
    Topic,
}

impl ValueRule {
    /// Whether a number obeys the rule; a rule about texts says yes.
    pub(crate) const fn allows(self, value: u32) -> bool {
        match self {
            ValueRule::Any | ValueRule::Topic => true,
            ValueRule::ZeroOrOne => value <= 1,
            ValueRule::NotZero | ValueRule::Alias => value != 0,
        }
    }
}

const WILL: CarrierSet = CarrierSet::of(&[Will]);
const CONNECT: CarrierSet = CarrierSet::of(&[Connect]);
const CONNACK: CarrierSet = CarrierSet::of(&[ConnAck]);
const PUBLISH: CarrierSet = CarrierSet::of(&[PublishFromClient, PublishFromServer]);
const SERVER_PUBLISH: CarrierSet = CarrierSet::of(&[PublishFromServer]);
const SUBSCRIBE: CarrierSet = CarrierSet::of(&[Subscribe]);
const CLIENT_DISCONNECT: CarrierSet = CarrierSet::of(&[DisconnectFromClient]);
const SERVER_DISCONNECT: CarrierSet = CarrierSet::of(&[DisconnectFromServer]);
const AUTH: CarrierSet = CarrierSet::of(&[AuthFromClient, AuthFromServer]);
/// Packets that answer, and those that end a connection.
const ANSWERS: CarrierSet = CarrierSet::of(&[
    ConnAck,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    SubAck,
    UnsubAck,
    DisconnectFromClient,
    DisconnectFromServer,
    AuthFromClient,
    AuthFromServer,
]);
const ALL: CarrierSet = ANSWERS
    .and(CONNECT)
    .and(WILL)
    .and(PUBLISH)
    .and(SUBSCRIBE)
    .and(CarrierSet::of(&[Unsubscribe]));

macro_rules! value_type {
    (Byte, $a:lifetime) => { u8 };
    (TwoByte, $a:lifetime) => { u16 };
    (FourByte, $a:lifetime) => { u32 };
    (Varint, $a:lifetime) => { u32 };
    (Text, $a:lifetime) => { &$a str };
    (Binary, $a:lifetime) => { &$a [u8] };
}

macro_rules! read_value {
    (Byte, $reader:ident, $field:expr) => {
        $reader.u8($field)?
    };
    (TwoByte, $reader:ident, $field:expr) => {
        $reader.u16($field)?
    };
    (FourByte, $reader:ident, $field:expr) => {
        $reader.u32($field)?
    };
    (Varint, $reader:ident, $field:expr) => {
        $reader.varint($field)?
    };
    (Text, $reader:ident, $field:expr) => {
        text($reader.bytes($field)?, $field)?
    };
    (Binary, $reader:ident, $field:expr) => {
        $reader.bytes($field)?
    };
}

macro_rules! write_value {
    (Byte, $out:ident, $value:ident) => {
        $out.push(*$value)
    };
    (TwoByte, $out:ident, $value:ident) => {
        wire::put_u16($out, *$value)
    };
    (FourByte, $out:ident, $value:ident) => {
        wire::put_u32($out, *$value)
    };
    (Varint, $out:ident, $value:ident) => {
        wire::put_varint($out, *$value)
    };
    (Text, $out:ident, $value:ident) => {
        wire::put_str($out, $value)?
    };
    (Binary, $out:ident, $value:ident) => {
        wire::put_bytes($out, $value)?
    };
}

macro_rules! number {
    (Byte, $value:ident) => {
        Some(u32::from(*$value))
    };
    (TwoByte, $value:ident) => {
        Some(u32::from(*$value))
    };
    (FourByte, $value:ident) => {
        Some(*$value)
    };
    (Varint, $value:ident) => {
        Some(*$value)
    };
    (Text, $value:ident) => {{
        let _ = $value;
        None
    }};
    (Binary, $value:ident) => {{
        let _ = $value;
        None
    }};
}

macro_rules! getter {
    ($(#[$doc:meta])* repeated $name:ident $wire:ident) => {};
    ($(#[$doc:meta])* $getter:ident $name:ident $wire:ident) => {
        $(#[$doc])*
        ///
        /// `None` where the property is absent.
        #[must_use]
        pub fn $getter(&self) -> Option<value_type!($wire, '_)> {
            match self.find(PropertyId::$name)? {
                Property::$name(value) => Some(value),
                _ => None,
            }
        }
    };
}

macro_rules! properties {
    ($( $(#[$doc:meta])* $id:literal $name:ident / $getter:ident : $wire:ident $rule:ident, $carriers:expr; )*) => {
        /// The identifier of a property; the number is the one on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum PropertyId {
            $( $(#[$doc])* $name = $id, )*
            /// A name and a value whose meaning the two ends agree on.
            UserProperty = 0x26,
        }

        impl PropertyId {
            /// All properties.
            pub const ALL: &'static [PropertyId] = &[$( PropertyId::$name, )* PropertyId::UserProperty];

            /// The property with this number, if there is one.
            #[inline]
            #[must_use]
            pub const fn from_u8(number: u8) -> Option<Self> {
                match number {
                    $( $id => Some(PropertyId::$name), )*
                    0x26 => Some(PropertyId::UserProperty),
                    _ => None,
                }
            }

            /// The name, as the variants of [`Property`] write it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $( PropertyId::$name => stringify!($name), )*
                    PropertyId::UserProperty => "UserProperty",
                }
            }

            /// How the value is written.
            #[inline]
            #[must_use]
            pub const fn wire_type(self) -> WireType {
                match self {
                    $( PropertyId::$name => WireType::$wire, )*
                    PropertyId::UserProperty => WireType::Pair,
                }
            }

            /// The packets that may carry the property, and from which side.
            #[inline]
            #[must_use]
            pub const fn carriers(self) -> CarrierSet {
                match self {
                    $( PropertyId::$name => const { $carriers }, )*
                    PropertyId::UserProperty => ALL,
                }
            }

            #[inline]
            pub(crate) const fn rule(self) -> ValueRule {
                match self {
                    $( PropertyId::$name => ValueRule::$rule, )*
                    PropertyId::UserProperty => ValueRule::Any,
                }
            }
        }

        /// A property with its value.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Property<'a> {
            $( $(#[$doc])* $name(value_type!($wire, 'a)), )*
            /// A name and a value whose meaning the two ends agree on.
            UserProperty(&'a str, &'a str),
        }

        impl<'a> Property<'a> {
            /// The identifier.
            #[must_use]
            pub const fn id(&self) -> PropertyId {
                match self {
                    $( Property::$name(_) => PropertyId::$name, )*
                    Property::UserProperty(..) => PropertyId::UserProperty,
                }
            }

            /// The value of a property with this identifier.
            pub(crate) fn read(id: PropertyId, reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
                let field = Field::Property(id);
                Ok(match id {
                    $( PropertyId::$name => Property::$name(read_value!($wire, reader, field)), )*
                    PropertyId::UserProperty => Property::UserProperty(reader.str(field)?, reader.str(field)?),
                })
            }

            /// Writes identifier and value; on an error a part may have been written.
            pub(crate) fn write(&self, out: &mut Vec<u8>) -> Result<(), crate::EncodeError> {
                out.push(self.id() as u8);
                match self {
                    $( Property::$name(value) => write_value!($wire, out, value), )*
                    Property::UserProperty(name, value) => {
                        wire::put_str(out, name)?;
                        wire::put_str(out, value)?;
                    }
                }
                Ok(())
            }

            /// The value, if it is a number.
            pub fn number(&self) -> Option<u32> {
                match self {
                    $( Property::$name(value) => number!($wire, value), )*
                    Property::UserProperty(..) => None,
                }
            }
        }

        impl fmt::Debug for Property<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // A secret: its length may be shown, its bytes may not.
                if let Property::AuthenticationData(data) = self {
                    return write!(f, "AuthenticationData({} bytes)", data.len());
                }
                match self {
                    $( Property::$name(value) => f.debug_tuple(stringify!($name)).field(value).finish(), )*
                    Property::UserProperty(name, value) => {
                        f.debug_tuple("UserProperty").field(name).field(value).finish()
                    }
                }
            }
        }

        impl Properties<'_> {
            $( getter! { $(#[$doc])* $getter $name $wire } )*
        }
    };
}

// `repeated` in place of a getter's name: the property may appear several times, `Properties` has an iterator for it.
properties! {
    /// 1: the payload is UTF-8; 0: bytes without a declared format.
    0x01 PayloadFormatIndicator / payload_format_indicator: Byte ZeroOrOne, PUBLISH.and(WILL);
    /// Seconds until the message expires.
    0x02 MessageExpiryInterval / message_expiry_interval_secs: FourByte Any, PUBLISH.and(WILL);
    /// The media type of the payload, or what the two ends agree on.
    0x03 ContentType / content_type: Text Any, PUBLISH.and(WILL);
    /// The topic to answer a request on.
    0x08 ResponseTopic / response_topic: Text Topic, PUBLISH.and(WILL);
    /// What tells the requester which request an answer is for.
    0x09 CorrelationData / correlation_data: Binary Any, PUBLISH.and(WILL);
    /// The number that a client gave to a subscription, 1 to 268,435,455.
    0x0B SubscriptionIdentifier / repeated: Varint NotZero, SERVER_PUBLISH.and(SUBSCRIBE);
    /// Seconds that the session outlives its connection; 4,294,967,295 is for ever.
    0x11 SessionExpiryInterval / session_expiry_interval_secs: FourByte Any, CONNECT.and(CONNACK).and(CLIENT_DISCONNECT);
    /// The client identifier that the server chose.
    0x12 AssignedClientIdentifier / assigned_client_identifier: Text Any, CONNACK;
    /// Seconds of keep-alive that the server wants in place of the client's.
    0x13 ServerKeepAlive / server_keep_alive_secs: TwoByte Any, CONNACK;
    /// The name of the authentication method.
    0x15 AuthenticationMethod / authentication_method: Text Any, CONNECT.and(CONNACK).and(AUTH);
    /// What the authentication method exchanges; secret.
    0x16 AuthenticationData / authentication_data: Binary Any, CONNECT.and(CONNACK).and(AUTH);
    /// 0: the server leaves reason strings and user properties out of most packets.
    0x17 RequestProblemInformation / request_problem_information: Byte ZeroOrOne, CONNECT;
    /// Seconds between the end of the connection and the will's publication.
    0x18 WillDelayInterval / will_delay_interval_secs: FourByte Any, WILL;
    /// 1: the client asks for Response Information.
    0x19 RequestResponseInformation / request_response_information: Byte ZeroOrOne, CONNECT;
    /// What response topics are built from.
    0x1A ResponseInformation / response_information: Text Any, CONNACK;
    /// Where another server is.
    0x1C ServerReference / server_reference: Text Any, CONNACK.and(SERVER_DISCONNECT);
    /// A sentence for people that says why.
    0x1F ReasonString / reason_string: Text Any, ANSWERS;
    /// The most unacknowledged QoS 1 and 2 messages that the sender of the property takes.
    0x21 ReceiveMaximum / receive_maximum: TwoByte NotZero, CONNECT.and(CONNACK);
    /// The largest topic alias that the sender of the property takes.
    0x22 TopicAliasMaximum / topic_alias_maximum: TwoByte Any, CONNECT.and(CONNACK);
    /// A number that stands for the topic name.
    0x23 TopicAlias / topic_alias: TwoByte Alias, PUBLISH;
    /// The highest QoS of messages that the server takes, 0 or 1.
    0x24 MaximumQos / maximum_qos: Byte ZeroOrOne, CONNACK;
    /// 0: the server keeps no retained messages.
    0x25 RetainAvailable / retain_available: Byte ZeroOrOne, CONNACK;
    /// The largest packet, in bytes with its header, that the sender of the property takes.
    0x27 MaximumPacketSize / maximum_packet_size: FourByte NotZero, CONNECT.and(CONNACK);
    /// 0: the server takes no wildcards in subscriptions.
    0x28 WildcardSubscriptionAvailable / wildcard_subscription_available: Byte ZeroOrOne, CONNACK;
    /// 0: the server takes no subscription identifiers.
    0x29 SubscriptionIdentifierAvailable / subscription_identifier_available: Byte ZeroOrOne, CONNACK;
    /// 0: the server has no shared subscriptions.
    0x2A SharedSubscriptionAvailable / shared_subscription_available: Byte ZeroOrOne, CONNACK;
}

impl PropertyId {
    /// Whether one carrier may hold the property several times: user properties everywhere, subscription identifiers in
    /// a PUBLISH to a client, one for each subscription that matched.
    #[inline]
    #[must_use]
    pub const fn may_repeat_in(self, carrier: crate::Carrier) -> bool {
        match self {
            PropertyId::UserProperty => true,
            PropertyId::SubscriptionIdentifier => matches!(carrier, PublishFromServer),
            _ => false,
        }
    }
}
