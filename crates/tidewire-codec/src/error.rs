//! What can be wrong with bytes from a peer, and with a packet that is to be written.

use std::fmt;

use crate::carrier::Carrier;
use crate::{PacketType, PropertyId, ReasonCode, Sender, TopicError, Version};

/// The part of a packet that an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The protocol name of CONNECT.
    ProtocolName,
    /// The protocol level of CONNECT.
    ProtocolLevel,
    /// The flags of CONNECT or CONNACK.
    Flags,
    /// The keep-alive of CONNECT.
    KeepAlive,
    /// The client identifier.
    ClientId,
    /// The topic of the will.
    WillTopic,
    /// The payload of the will.
    WillPayload,
    /// The user name.
    UserName,
    /// The password.
    Password,
    /// The topic name of PUBLISH.
    TopicName,
    /// A topic filter.
    TopicFilter,
    /// The options behind a topic filter.
    SubscriptionOptions,
    /// The packet identifier.
    PacketId,
    /// A reason code or an MQTT 3.1.1 return code.
    ReasonCode,
    /// The length of the properties.
    PropertyLength,
    /// The identifier of a property.
    PropertyId,
    /// The value of a property.
    Property(PropertyId),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::ProtocolName => "protocol name",
            Field::ProtocolLevel => "protocol level",
            Field::Flags => "flags byte",
            Field::KeepAlive => "keep-alive",
            Field::ClientId => "client identifier",
            Field::WillTopic => "will topic",
            Field::WillPayload => "will payload",
            Field::UserName => "user name",
            Field::Password => "password",
            Field::TopicName => "topic name",
            Field::TopicFilter => "topic filter",
            Field::SubscriptionOptions => "subscription options byte",
            Field::PacketId => "packet identifier",
            Field::ReasonCode => "reason code",
            Field::PropertyLength => "property length",
            Field::PropertyId => "property identifier",
            Field::Property(id) => return write!(f, "property {}", id.name()),
        })
    }
}

/// The protocol name that an unsupported CONNECT gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtocolName {
    /// `MQTT`, the name since version 3.1.1.
    Mqtt,
    /// `MQIsdp`, the name of version 3.1.
    MqIsdp,
    /// Anything else.
    Other,
}

/// Why bytes are not a packet. Small and `Copy`: bytes of the peer are never kept in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The type of the packet does not exist in this version (0 in all, AUTH before MQTT 5.0).
    UnknownPacketType {
        /// The first byte of the packet.
        first_byte: u8,
    },
    /// The lower half of the first byte is not what the specification prescribes for this type.
    UnexpectedFlags {
        /// The packet.
        packet: PacketType,
        /// The flags that came.
        flags: u8,
    },
    /// A PUBLISH with both QoS bits set.
    QosThree,
    /// A PUBLISH with QoS 0 that claims to be a repetition.
    DupWithQosZero,
    /// A variable byte integer goes on after its fourth byte.
    VarintTooLong,
    /// A variable byte integer has more bytes than its value needs.
    VarintNotMinimal,
    /// The packet is larger than the receiver takes.
    PacketTooLarge {
        /// Bytes of the whole packet, as its header says.
        size: u32,
        /// The most bytes that a packet may have.
        limit: u32,
    },
    /// The other side of the connection may send this packet, this one may not.
    UnexpectedSender {
        /// The packet.
        packet: PacketType,
        /// Who sent it.
        sender: Sender,
    },
    /// The packet ends inside this field.
    Truncated(Field),
    /// The packet goes on after its last field.
    TrailingBytes {
        /// How many bytes are left.
        count: u32,
    },
    /// A string is not well-formed UTF-8.
    NotUtf8(Field),
    /// A string contains U+0000.
    ContainsNul(Field),
    /// A packet identifier is zero.
    ZeroPacketId,
    /// CONNECT names a protocol or a level that does not exist here.
    UnsupportedProtocolVersion {
        /// The protocol name that came.
        name: ProtocolName,
        /// The protocol level that came.
        level: u8,
    },
    /// Bit 0 of the CONNECT flags is set.
    ReservedConnectFlag,
    /// The CONNECT flags give a will QoS or a will retain without a will.
    WillFlagsWithoutWill,
    /// The CONNECT flags give the will QoS 3.
    WillQosThree,
    /// The CONNECT flags announce a password without a user name before MQTT 5.0.
    PasswordWithoutUserName,
    /// A reserved bit of the CONNACK flags is set.
    ReservedConnAckFlags(u8),
    /// A CONNACK refuses the connection and says that a session is present.
    SessionPresentWithRefusal,
    /// A reason code does not exist or is not for this packet from this sender.
    UnexpectedReasonCode {
        /// The packet.
        packet: PacketType,
        /// The number that came.
        code: u8,
    },
    /// A return code of an MQTT 3.1.1 packet is reserved.
    ReservedReturnCode(u8),
    /// SUBSCRIBE or UNSUBSCRIBE without a topic filter, or an acknowledgement of one without a code.
    NoFilters(PacketType),
    /// Reserved bits of the subscription options are set, or they ask for QoS 3.
    InvalidSubscriptionOptions(u8),
    /// The subscription options ask for the reserved retain handling 3.
    RetainHandlingThree,
    /// No Local on a shared subscription.
    NoLocalOnShared,
    /// The topic name of a PUBLISH or of a will.
    TopicName(TopicError),
    /// A PUBLISH has neither a topic name nor a topic alias.
    NoTopic,
    /// No property has this identifier.
    UnknownProperty {
        /// The identifier, or the first byte of it if it has several.
        id: u8,
    },
    /// The property exists but not in this packet or not from this side.
    MisplacedProperty {
        /// The property.
        property: PropertyId,
        /// Where it was found.
        carrier: Carrier,
    },
    /// The property may appear only once here.
    RepeatedProperty(PropertyId),
    /// The value is out of the property's range.
    PropertyValue {
        /// The property.
        property: PropertyId,
        /// The number that came.
        value: u32,
    },
    /// The response topic is no topic name.
    ResponseTopic(TopicError),
    /// The topic alias is zero.
    ZeroTopicAlias,
    /// Authentication data without an authentication method, or AUTH without one.
    NoAuthenticationMethod,
}

impl DecodeError {
    /// The reason code for the DISCONNECT or CONNACK that answers such bytes.
    #[must_use]
    pub const fn reason_code(&self) -> ReasonCode {
        use DecodeError as E;
        match self {
            E::PacketTooLarge { .. } => ReasonCode::PacketTooLarge,
            E::UnsupportedProtocolVersion { .. } => ReasonCode::UnsupportedProtocolVersion,
            E::ZeroTopicAlias => ReasonCode::TopicAliasInvalid,
            E::TopicName(error) => error.name_reason_code(),
            E::MisplacedProperty { property, carrier } => {
                // Known to the packet but sent by the wrong side: readable, yet not allowed. Otherwise 2.2.2.2 says malformed.
                if property.carriers().contains_from_either_side(*carrier) {
                    ReasonCode::ProtocolError
                } else {
                    ReasonCode::MalformedPacket
                }
            }
            E::UnexpectedSender { .. }
            | E::SessionPresentWithRefusal
            | E::UnexpectedReasonCode { .. }
            | E::NoFilters(_)
            | E::RetainHandlingThree
            | E::NoLocalOnShared
            | E::NoTopic
            | E::ZeroPacketId
            | E::RepeatedProperty(_)
            | E::PropertyValue { .. }
            | E::ResponseTopic(_)
            | E::NoAuthenticationMethod => ReasonCode::ProtocolError,
            E::UnknownPacketType { .. }
            | E::UnexpectedFlags { .. }
            | E::QosThree
            | E::DupWithQosZero
            | E::VarintTooLong
            | E::VarintNotMinimal
            | E::Truncated(_)
            | E::TrailingBytes { .. }
            | E::NotUtf8(_)
            | E::ContainsNul(_)
            | E::ReservedConnectFlag
            | E::WillFlagsWithoutWill
            | E::WillQosThree
            | E::PasswordWithoutUserName
            | E::ReservedConnAckFlags(_)
            | E::ReservedReturnCode(_)
            | E::InvalidSubscriptionOptions(_)
            | E::UnknownProperty { .. } => ReasonCode::MalformedPacket,
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use DecodeError as E;
        match self {
            E::UnknownPacketType { first_byte } => {
                write!(
                    f,
                    "packet type {} does not exist in this version",
                    first_byte >> 4
                )
            }
            E::UnexpectedFlags { packet, flags } => {
                write!(
                    f,
                    "{packet} must have the flags {:04b}, not {flags:04b}",
                    packet.reserved_flags()
                )
            }
            E::PacketTooLarge { size, limit } => {
                write!(f, "the packet has {size} bytes; {limit} are allowed")
            }
            E::UnexpectedSender { packet, sender } => write!(f, "a {sender} may not send {packet}"),
            E::Truncated(field) => write!(f, "the packet ends inside the {field}"),
            E::TrailingBytes { count } => {
                write!(f, "{count} bytes follow the last field of the packet")
            }
            E::NotUtf8(field) => write!(f, "the {field} is not well-formed UTF-8"),
            E::ContainsNul(field) => write!(f, "the {field} contains U+0000"),
            E::UnsupportedProtocolVersion { name, level } => name.write_unsupported(*level, f),
            E::ReservedConnAckFlags(flags) => write!(
                f,
                "CONNACK has the flags {flags:08b}; bits 7 to 1 must be 0"
            ),
            E::UnexpectedReasonCode { packet, code } => {
                write!(f, "{packet} may not carry reason code 0x{code:02X} here")
            }
            E::ReservedReturnCode(code) => write!(f, "return code 0x{code:02X} is reserved"),
            E::NoFilters(packet) => write!(f, "{packet} has an empty list"),
            E::InvalidSubscriptionOptions(byte) => {
                write!(
                    f,
                    "the subscription options {byte:08b} have reserved bits or QoS 3"
                )
            }
            E::TopicName(error) => write!(f, "the topic name is not valid: {error}"),
            E::UnknownProperty { id } => write!(f, "property 0x{id:02X} does not exist"),
            E::MisplacedProperty { property, carrier } => {
                write!(
                    f,
                    "property {} does not belong into {carrier}",
                    property.name()
                )
            }
            E::RepeatedProperty(property) => {
                write!(f, "property {} appears twice", property.name())
            }
            E::PropertyValue { property, value } => {
                write!(
                    f,
                    "property {} may not have the value {value}",
                    property.name()
                )
            }
            E::ResponseTopic(error) => write!(f, "the response topic is not valid: {error}"),
            _ => f.write_str(self.fixed_sentence()),
        }
    }
}

impl DecodeError {
    /// The sentence of an error that carries nothing.
    const fn fixed_sentence(&self) -> &'static str {
        use DecodeError as E;
        match self {
            E::QosThree => "PUBLISH has QoS 3; it is 0, 1 or 2",
            E::DupWithQosZero => "PUBLISH with QoS 0 has the DUP flag",
            E::VarintTooLong => "a variable byte integer has more than four bytes",
            E::VarintNotMinimal => "a variable byte integer is not in its shortest form",
            E::ZeroPacketId => "the packet identifier is 0",
            E::ReservedConnectFlag => "the reserved flag of CONNECT is set",
            E::WillFlagsWithoutWill => "CONNECT has a will QoS or will retain flag without a will",
            E::WillQosThree => "CONNECT has the will QoS 3; it is 0, 1 or 2",
            E::PasswordWithoutUserName => {
                "CONNECT has a password without a user name; only MQTT 5.0 allows that"
            }
            E::SessionPresentWithRefusal => "CONNACK refuses and says that a session is present",
            E::RetainHandlingThree => "retain handling is 3; it is 0, 1 or 2",
            E::NoLocalOnShared => "No Local is set on a shared subscription",
            E::NoTopic => "PUBLISH has neither a topic name nor a topic alias",
            E::ZeroTopicAlias => "the topic alias is 0",
            E::NoAuthenticationMethod => "the authentication method is missing",
            _ => "the packet is not valid",
        }
    }
}

impl ProtocolName {
    fn write_unsupported(self, level: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProtocolName::Mqtt => write!(
                f,
                "protocol MQTT has no supported level {level}; it is 4 or 5"
            ),
            ProtocolName::MqIsdp => {
                write!(f, "protocol MQIsdp has no supported level {level}; it is 3")
            }
            ProtocolName::Other => write!(
                f,
                "the protocol name is neither MQTT nor MQIsdp (level {level})"
            ),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Why a packet or a property cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// A string or binary field is longer than 65,535 bytes.
    FieldTooLong {
        /// Bytes of the field.
        length: usize,
    },
    /// The packet or its properties are larger than a variable byte integer can say (268,435,455 bytes).
    PacketTooLarge {
        /// Bytes behind the length field.
        length: usize,
    },
    /// A string contains U+0000.
    ContainsNul,
    /// The version has no such packet.
    NotInVersion {
        /// The packet.
        packet: PacketType,
        /// The version.
        version: Version,
    },
    /// The packet identifier is missing at QoS 1 or 2, or present at QoS 0.
    PacketIdMismatch,
    /// DUP is set at QoS 0.
    DupWithQosZero,
    /// The topic name is not valid.
    TopicName(TopicError),
    /// CONNECT has a password without a user name before MQTT 5.0.
    PasswordWithoutUserName,
    /// CONNACK refuses and says that a session is present.
    SessionPresentWithRefusal,
    /// No return code of MQTT 3.1.1 says this; the connection is closed without a CONNACK [3.1.1 MQTT-3.2.2-6].
    NoReturnCode(ReasonCode),
    /// The reason code is not for this packet.
    UnexpectedReasonCode {
        /// The packet.
        packet: PacketType,
        /// The reason code.
        reason: ReasonCode,
    },
    /// SUBSCRIBE, UNSUBSCRIBE or an acknowledgement of one with an empty list.
    NoFilters(PacketType),
    /// No Local on a shared subscription.
    NoLocalOnShared,
    /// The property does not belong into this packet.
    MisplacedProperty {
        /// The property.
        property: PropertyId,
        /// The packet.
        packet: PacketType,
    },
    /// The property may appear only once.
    RepeatedProperty(PropertyId),
    /// The value is out of the property's range.
    PropertyValue(PropertyId),
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use EncodeError as E;
        match self {
            E::FieldTooLong { length } => write!(f, "a field has {length} bytes; 65535 fit"),
            E::PacketTooLarge { length } => {
                write!(f, "the packet has {length} bytes; 268435455 fit")
            }
            E::ContainsNul => f.write_str("a string contains U+0000"),
            E::NotInVersion { packet, version } => write!(f, "{version} has no {packet}"),
            E::PacketIdMismatch => {
                f.write_str("QoS 1 and 2 need a packet identifier, QoS 0 has none")
            }
            E::DupWithQosZero => f.write_str("DUP is set at QoS 0"),
            E::TopicName(error) => write!(f, "the topic name is not valid: {error}"),
            E::PasswordWithoutUserName => {
                f.write_str("before MQTT 5.0 a password needs a user name")
            }
            E::SessionPresentWithRefusal => {
                f.write_str("a refusing CONNACK cannot say that a session is present")
            }
            E::NoReturnCode(reason) => {
                write!(f, "MQTT 3.1.1 has no CONNACK return code for: {reason}")
            }
            E::UnexpectedReasonCode { packet, reason } => {
                write!(f, "{packet} may not carry: {reason}")
            }
            E::NoFilters(packet) => write!(f, "{packet} needs at least one entry"),
            E::NoLocalOnShared => f.write_str("No Local is set on a shared subscription"),
            E::MisplacedProperty { property, packet } => {
                write!(
                    f,
                    "property {} does not belong into {packet}",
                    property.name()
                )
            }
            E::RepeatedProperty(property) => {
                write!(f, "property {} appears twice", property.name())
            }
            E::PropertyValue(property) => write!(
                f,
                "the value of property {} is out of range",
                property.name()
            ),
        }
    }
}

impl std::error::Error for EncodeError {}
