//! MQTT packets: bytes to packets and back, for MQTT 3.1, 3.1.1 and 5.0, without I/O.
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
