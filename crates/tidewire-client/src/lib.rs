//! An MQTT client.

pub mod protocol;

pub use protocol::{Message, Publish};
pub use tidewire_codec::{Qos, ReasonCode, Version};
