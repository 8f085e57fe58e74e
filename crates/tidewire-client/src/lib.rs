//! An MQTT client.

mod backoff;
#[cfg(feature = "blocking")]
pub mod blocking;
mod client;
mod driver;
mod event;
mod listener;
mod messages;
mod options;
mod outbox;
pub mod protocol;
mod random;
mod receipt;
mod request;
mod router;
mod shared;
mod subscription;
#[cfg(feature = "tls")]
mod tls;
mod url;

pub use backoff::Backoff;
pub use client::{Client, CloseReport, Events, Packets, SubscribeError};
pub use event::{ConnectError, DropReason, Event};
pub use listener::{Authenticator, Listener};
pub use messages::{Granted, Messages, Received};
pub use options::{Builder, Credentials, LastWill, OnSessionLost, OptionsError, StartError};
pub use outbox::{Key, MemoryOutbox, Outbox, OutboxLimits};
pub use protocol::{Message, Publish};
pub use receipt::{DeliveryError, Receipt, Rejected, Rejection};
pub use request::{RequestFailure, Requester};
pub use shared::{OfflineQos0, OnFull};
pub use subscription::{Acknowledge, Overflow, Subscription};
pub use tidewire_codec as codec;
pub use tidewire_codec::{Qos, ReasonCode, Version};
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
pub use url::{Scheme, ServerUrl, UrlError};
