//! MQTT packets, from bytes and to bytes: MQTT 3.1, 3.1.1 and 5.0 in one packet type. No I/O, no clock, no locks; it serves
//! both ends of a connection and anything that stands between them.
//!
//! # Layers
//! Each can be used without the ones behind it.
//!
//! 1. [`frame`] cuts a stream into packets. It looks at the fixed header alone: is the type legal, is the packet too large,
//!    is it all here? Nothing is copied.
//! 2. [`PublishView`] reads a PUBLISH where it lies, for a broker that forwards it: offsets for patching, properties that have
//!    been checked, and the characters of the topic left to whoever keeps a cache of topics ([`topic::validate_name`]).
//! 3. [`Packet`] reads and writes any packet. Its texts and payloads are borrowed from the frame;
//!    [`into_owned`](Packet::into_owned) makes one that stays.
//! 4. [`PublishHeader`] writes a PUBLISH up to its payload once for many receivers, and says which two bytes to patch.
//!
//! Beside them stand the tables: [`ReasonCode`] and [`Property`] know their number, their name and the packets that may
//! carry them; [`topic`] knows names, filters, shares and matching.
//!
//! # Contract
//! - **Any bytes are fine.** What a peer sends ends in a packet or in a [`DecodeError`], never in a panic. The error says in a
//!   sentence what is wrong, and [`reason_code`](DecodeError::reason_code) says it in the protocol.
//! - **A length is a claim.** No memory is taken for bytes that have not come. A packet above the limit is refused when its
//!   header is read; properties, texts and payloads are not copied at all.
//! - **Strict.** What the specification calls malformed or a protocol error, and one packet alone can show, is refused:
//!   flags, lengths, texts, reason codes and properties that do not belong into this packet from this [`Sender`]. What needs
//!   more than the packet (is this identifier in use, is this alias known) is the state machine's.
//! - **One packet type.** What a version does not know is empty after decoding, and left out when encoding. Where leaving it out
//!   would change the meaning, [`EncodeError`] says so and nothing is written.
//! - **Not checked**: where wildcards stand in the filters of SUBSCRIBE and UNSUBSCRIBE, as the answer is one reason code for each
//!   filter ([`topic::validate_filter`]), and which client identifiers are good.
//!
//! Choices that the texts leave open, and where other codecs do otherwise, are listed in `DIFFERENCES.md`.
//!
//! # Both sides of the wire
//! ```
//! use tidewire_codec::frame::next_frame;
//! use tidewire_codec::{Packet, Properties, Property, Publish, Qos, Sender, Version};
//!
//! // A client writes a message ...
//! let mut wire = Vec::new();
//! let message = Packet::Publish(Publish {
//!     dup: false,
//!     qos: Qos::AtMostOnce,
//!     retain: false,
//!     topic: "tide/level".into(),
//!     packet_id: None,
//!     properties: Properties::EMPTY.with(Property::MessageExpiryInterval(60)),
//!     payload: b"3.2 m"[..].into(),
//! });
//! message.encode(Version::V5, &mut wire)?;
//!
//! // ... of which the server has read a part so far: not an error, just not a packet yet.
//! let max_packet_size = 1024;
//! assert!(next_frame(&wire[..7], max_packet_size)?.is_none());
//!
//! // Now all of it is there.
//! let frame = next_frame(&wire, max_packet_size)?.expect("a whole packet");
//! let Packet::Publish(publish) = Packet::decode(Version::V5, Sender::Client, frame)? else {
//!     panic!("a client that connected may send other packets, too");
//! };
//! assert_eq!(publish.topic, "tide/level");
//! assert_eq!(publish.properties.message_expiry_interval_secs(), Some(60));
//! assert_eq!(*publish.payload, b"3.2 m"[..]);
//!
//! // The next packet begins where this one ends.
//! assert_eq!(frame.bytes.len(), wire.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing
    )
)]

pub mod carrier;
pub mod error;
pub mod frame;
mod packet;
mod packet_id;
mod packet_type;
mod properties;
mod property;
mod reader;
mod reason;
pub mod topic;
mod version;
pub mod wire;

pub use carrier::{Carrier, CarrierSet};
pub use error::{DecodeError, EncodeError, Field, ProtocolName};
pub use frame::{FixedHeader, Frame};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, EncodedPublish, Packet, Publish, PublishHeader,
    PublishView, RetainHandling, SubAck, Subscribe, Subscription, SubscriptionOptions, UnsubAck,
    Unsubscribe, Will,
};
pub use packet_id::PacketId;
pub use packet_type::PacketType;
pub use properties::Properties;
pub use property::{Property, PropertyId, WireType};
pub use reason::ReasonCode;
pub use topic::TopicError;
pub use version::{InvalidQos, Qos, Sender, Version};
