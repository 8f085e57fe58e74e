//! One packet type for the three versions, and the ways from and to bytes.

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod publish;
mod publish_header;
mod publish_view;
mod suback;
mod subscribe;
mod unsuback;
mod unsubscribe;

use std::borrow::Cow;

pub use ack::Ack;
pub use auth::Auth;
pub use connack::ConnAck;
pub use connect::{Connect, Will};
pub use disconnect::Disconnect;
pub use publish::Publish;
pub use publish_header::{EncodedPublish, PublishHeader};
pub use publish_view::PublishView;
pub use suback::SubAck;
pub use subscribe::{RetainHandling, Subscribe, Subscription, SubscriptionOptions};
pub use unsuback::UnsubAck;
pub use unsubscribe::Unsubscribe;

use crate::error::Field;
use crate::frame::Frame;
use crate::properties::checked_len;
use crate::reader::Reader;
use crate::{DecodeError, EncodeError, PacketType, ReasonCode, Sender, Version, wire};

/// A packet of any version. What a version does not know is empty in it after decoding, and left out when encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client asks for a session.
    Connect(Connect<'a>),
    /// The server's answer to CONNECT.
    ConnAck(ConnAck<'a>),
    /// An application message.
    Publish(Publish<'a>),
    /// Acknowledges a QoS 1 message.
    PubAck(Ack<'a>),
    /// The receiver of a QoS 2 message owns it now.
    PubRec(Ack<'a>),
    /// The sender of a QoS 2 message releases its packet identifier.
    PubRel(Ack<'a>),
    /// Ends the exchange of a QoS 2 message.
    PubComp(Ack<'a>),
    /// A client asks for messages.
    Subscribe(Subscribe<'a>),
    /// The server's answer to SUBSCRIBE.
    SubAck(SubAck<'a>),
    /// A client gives subscriptions up.
    Unsubscribe(Unsubscribe<'a>),
    /// The server's answer to UNSUBSCRIBE.
    UnsubAck(UnsubAck<'a>),
    /// A client shows that it lives.
    PingReq,
    /// The server's answer to PINGREQ.
    PingResp,
    /// The last packet of a connection.
    Disconnect(Disconnect<'a>),
    /// A step of enhanced authentication (MQTT 5.0 only).
    Auth(Auth<'a>),
}

impl<'a> Packet<'a> {
    /// Reads the packet in a frame. `version` is the one that CONNECT named; for CONNECT itself it is ignored. Texts,
    /// properties and payloads are borrowed from the frame.
    ///
    /// # Errors
    /// Everything that the version's specification calls malformed or a protocol error and that this packet alone shows.
    pub fn decode(version: Version, sender: Sender, frame: Frame<'a>) -> Result<Self, DecodeError> {
        let packet = expected_type(version, sender, frame)?;
        let mut reader = Reader::new(frame.body);
        let r = &mut reader;
        let decoded = match packet {
            PacketType::Connect => Packet::Connect(Connect::decode(frame, r)?),
            PacketType::ConnAck => Packet::ConnAck(ConnAck::decode(version, r)?),
            PacketType::Publish => {
                return Publish::decode(version, sender, frame).map(Packet::Publish);
            }
            PacketType::PubAck => Packet::PubAck(Ack::decode(packet, version, r)?),
            PacketType::PubRec => Packet::PubRec(Ack::decode(packet, version, r)?),
            PacketType::PubRel => Packet::PubRel(Ack::decode(packet, version, r)?),
            PacketType::PubComp => Packet::PubComp(Ack::decode(packet, version, r)?),
            PacketType::Subscribe => Packet::Subscribe(Subscribe::decode(version, r)?),
            PacketType::SubAck => Packet::SubAck(SubAck::decode(version, r)?),
            PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::decode(version, r)?),
            PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::decode(version, r)?),
            PacketType::PingReq => Packet::PingReq,
            PacketType::PingResp => Packet::PingResp,
            PacketType::Disconnect => Packet::Disconnect(Disconnect::decode(version, sender, r)?),
            PacketType::Auth => Packet::Auth(Auth::decode(sender, r)?),
        };
        reader.finish()?;
        Ok(decoded)
    }

    /// Appends the packet in the shortest form of the version; CONNECT in the version that it names. Before MQTT 5.0,
    /// properties and reason codes that the version has no place for are left out.
    ///
    /// # Errors
    /// A packet that would not be valid. Nothing is written then.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let packet = self.packet_type();
        match self {
            Packet::Publish(publish) => publish.encode(version, out),
            Packet::Auth(_) if !version.is_v5() => {
                Err(EncodeError::NotInVersion { packet, version })
            }
            _ => framed(packet, out, |out| self.encode_body(version, out)),
        }
    }

    fn encode_body(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            Packet::Connect(connect) => connect.encode_body(out),
            Packet::ConnAck(connack) => connack.encode_body(version, out),
            Packet::PubAck(ack)
            | Packet::PubRec(ack)
            | Packet::PubRel(ack)
            | Packet::PubComp(ack) => ack.encode_body(self.packet_type(), version, out),
            Packet::Subscribe(subscribe) => subscribe.encode_body(version, out),
            Packet::SubAck(suback) => suback.encode_body(version, out),
            Packet::Unsubscribe(unsubscribe) => unsubscribe.encode_body(version, out),
            Packet::UnsubAck(unsuback) => unsuback.encode_body(version, out),
            Packet::Disconnect(disconnect) => disconnect.encode_body(version, out),
            Packet::Auth(auth) => auth.encode_body(out),
            // PUBLISH writes its own header; pings have no body.
            Packet::Publish(_) | Packet::PingReq | Packet::PingResp => Ok(()),
        }
    }

    /// The type.
    #[must_use]
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::ConnAck(_) => PacketType::ConnAck,
            Packet::Publish(_) => PacketType::Publish,
            Packet::PubAck(_) => PacketType::PubAck,
            Packet::PubRec(_) => PacketType::PubRec,
            Packet::PubRel(_) => PacketType::PubRel,
            Packet::PubComp(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::SubAck(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::UnsubAck(_) => PacketType::UnsubAck,
            Packet::PingReq => PacketType::PingReq,
            Packet::PingResp => PacketType::PingResp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }

    /// The same, with texts and bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Packet<'static> {
        match self {
            Packet::Connect(packet) => Packet::Connect(packet.into_owned()),
            Packet::ConnAck(packet) => Packet::ConnAck(packet.into_owned()),
            Packet::Publish(packet) => Packet::Publish(packet.into_owned()),
            Packet::PubAck(packet) => Packet::PubAck(packet.into_owned()),
            Packet::PubRec(packet) => Packet::PubRec(packet.into_owned()),
            Packet::PubRel(packet) => Packet::PubRel(packet.into_owned()),
            Packet::PubComp(packet) => Packet::PubComp(packet.into_owned()),
            Packet::Subscribe(packet) => Packet::Subscribe(packet.into_owned()),
            Packet::SubAck(packet) => Packet::SubAck(packet.into_owned()),
            Packet::Unsubscribe(packet) => Packet::Unsubscribe(packet.into_owned()),
            Packet::UnsubAck(packet) => Packet::UnsubAck(packet.into_owned()),
            Packet::PingReq => Packet::PingReq,
            Packet::PingResp => Packet::PingResp,
            Packet::Disconnect(packet) => Packet::Disconnect(packet.into_owned()),
            Packet::Auth(packet) => Packet::Auth(packet.into_owned()),
        }
    }
}

/// The type of the frame, if this side may send it in this version and its header is what the version demands.
fn expected_type(
    version: Version,
    sender: Sender,
    frame: Frame<'_>,
) -> Result<PacketType, DecodeError> {
    let first_byte = frame.first_byte;
    let packet = frame
        .packet_type()
        .ok_or(DecodeError::UnknownPacketType { first_byte })?;
    if packet == PacketType::Auth && !version.is_v5() {
        return Err(DecodeError::UnknownPacketType { first_byte });
    }
    if !flags_are_legal(packet, version, first_byte) {
        return Err(DecodeError::UnexpectedFlags {
            packet,
            flags: first_byte & 0x0F,
        });
    }
    if !packet.may_come_from(sender, version) {
        return Err(DecodeError::UnexpectedSender { packet, sender });
    }
    if version.is_v5() && packet != PacketType::Connect && !frame.has_minimal_header() {
        return Err(DecodeError::VarintNotMinimal);
    }
    Ok(packet)
}

/// PUBLISH checks its own flags. MQTT 3.1 knows DUP on the other packets that it sends with QoS 1, too.
fn flags_are_legal(packet: PacketType, version: Version, first_byte: u8) -> bool {
    const DUP: u8 = 0b1000;
    let flags = first_byte & 0x0F;
    let may_repeat = version == Version::V31 && packet.reserved_flags() != 0;
    packet == PacketType::Publish
        || flags == packet.reserved_flags()
        || may_repeat && flags == packet.reserved_flags() | DUP
}

/// Writes the fixed header around a body. One byte is kept for the length: few packets other than PUBLISH need more.
fn framed(
    packet: PacketType,
    out: &mut Vec<u8>,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.len();
    out.extend_from_slice(&[packet.first_byte(), 0]);
    let written = body(out).and_then(|()| checked_len(out.len().saturating_sub(start + 2)));
    match written {
        Ok(length) => set_remaining_length(out, start + 1, length),
        Err(_) => out.truncate(start),
    }
    written.map(drop)
}

fn set_remaining_length(out: &mut Vec<u8>, at: usize, length: u32) {
    if length >= 0x80 {
        let mut digits = Vec::with_capacity(4);
        wire::put_varint(&mut digits, length);
        out.splice(at..=at, digits);
    } else if let Some(byte) = out.get_mut(at) {
        *byte = length as u8;
    }
}

/// A reason code that this packet from this side may carry.
fn read_reason(
    packet: PacketType,
    sender: Sender,
    reader: &mut Reader<'_>,
) -> Result<ReasonCode, DecodeError> {
    let code = reader.u8(Field::ReasonCode)?;
    ReasonCode::from_u8(code)
        .filter(|reason| reason.allowed_from(packet, sender))
        .ok_or(DecodeError::UnexpectedReasonCode { packet, code })
}

fn checked_reason(packet: PacketType, reason: ReasonCode) -> Result<u8, EncodeError> {
    if reason.allowed_in(packet) {
        Ok(reason as u8)
    } else {
        Err(EncodeError::UnexpectedReasonCode { packet, reason })
    }
}

fn owned_text(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

fn owned_bytes(bytes: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
    Cow::Owned(bytes.into_owned())
}
