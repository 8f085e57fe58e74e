//! An MQTT client for versions 3.1, 3.1.1 and 5.0.
//!
//! A [`Client`] is a handle that can be cloned and used from any task or thread. Behind it runs one task that connects,
//! carries messages, and connects again when the connection breaks. What one would otherwise build around a client is in
//! it: who published a message learns of its delivery, who subscribed has a bounded stream, and neither a broken
//! connection nor a restarted broker needs code of the application.
//!
//! # Publishing
//! [`Client::publish`] returns as soon as the client has *accepted* the message into its outbox; this is where a publisher
//! that is too quick has to wait ([`OnFull`] knows other policies). The [`Receipt`] tells when it is *delivered*.
//! [`Client::try_publish`] never waits and gives the message back. Nothing is lost by dropping one of these futures:
//! before acceptance the message is not published, afterwards it goes on.
//!
//! # Subscribing
//! [`Client::subscribe`] returns [`Messages`], a bounded stream of its own for each [`Subscription`]. [`Overflow`] says
//! what happens when it is full: by default the server has to wait, while pings go on. [`Acknowledge`] says when the server
//! hears that a message was taken over: by default when the stream has yielded it. Streams that are
//! registered with the [`Builder`] miss nothing of what a resumed session brings right after the connection is there.
//!
//! # Connections
//! Waits between attempts are drawn at random between bounds that grow, and shrink only after a connection that lasted
//! ([`Backoff`]). A resumed session sends again what was in flight, in order; after a lost one the client
//! subscribes again. [`Client::events`] tells of all of it.
//!
//! # Layers
//! - [`protocol`]: the client's side of MQTT as a pure state machine, usable without anything else of this crate.
//! - [`Outbox`]: where accepted messages wait: a [`MemoryOutbox`], or a [`DiskOutbox`], which survives the process.
//! - The task behind the handles: transports, back-off, routing of messages to streams.
//! - `blocking` (feature `blocking`): the same names for programs without an async runtime.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use tidewire_client::{Client, Publish, Qos, Subscription};
//!
//! # use tidewire_broker::{Broker, ListenerSettings, Settings};
//! # let listener = ListenerSettings::new("doc", "tcp://127.0.0.1:0".parse()?);
//! # let settings = Settings { workers: 1, listeners: vec![listener], ..Settings::default() };
//! # let broker = Broker::start(&settings)?;
//! # let url = format!("mqtt://{}", broker.addresses()[0].address);
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # runtime.block_on(async {
//! let client = Client::builder(&url)
//!     .client_id("harbour")
//!     .keep_alive(Duration::from_secs(30))
//!     .connect()
//!     .await?;
//! let mut levels = client.subscribe(Subscription::new("tide/+/level").qos(Qos::AtLeastOnce)).await?;
//!
//! let message = Publish::new("tide/north/level", "3.2 m").qos(Qos::AtLeastOnce);
//! let mut receipt = client.publish(message).await?; // accepted
//! receipt.delivered().await?; // acknowledged by the server
//!
//! let level = levels.recv().await.expect("the client is not closed");
//! assert_eq!((&*level.topic, level.text()), ("tide/north/level", Some("3.2 m")));
//!
//! let report = client.close(Duration::from_secs(1)).await;
//! assert!(report.undelivered.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod backoff;
#[cfg(feature = "blocking")]
pub mod blocking;
mod client;
mod disk_outbox;
mod driver;
mod event;
mod listener;
mod messages;
mod options;
mod options_error;
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
mod will;

pub use backoff::Backoff;
pub use client::{Client, CloseReport, Events, Packets, SubscribeError};
pub use disk_outbox::{DiskOutbox, DiskOutboxError, Durability, KeepQos0};
pub use event::{ConnectError, DropReason, Event};
pub use listener::{Authenticator, Listener};
pub use messages::{Granted, Messages, Received};
pub use options::{Builder, Credentials, OnSessionLost};
pub use options_error::{OptionsError, StartError};
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
pub use will::LastWill;
