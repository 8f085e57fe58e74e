//! The Tidewire MQTT broker as a library.
//!
//! [`Broker::start`] opens listeners and starts worker threads. Each worker is one readiness loop that owns a
//! [`tidewire_core::Core`] and its connections; there is no task, thread or buffer per connection. A [`BrokerHandle`]
//! steers the broker from elsewhere.
//!
//! # Layers
//! - `start`, `broker`, `handle`, `ending`: a broker's life, seen from outside.
//! - `entrance`: what stands between a listener's socket and MQTT: TLS, WebSocket, trusted proxies.
//! - `crew`: the worker threads' loop. `worker`: one worker's turn, free of threads and clocks. `mailbox`: what workers
//!   send each other. `interest`: the shared first level of routing.
//! - [`driver`]: what a worker needs of the world; sockets through mio, or the [`simulated`] world that tests live in.
//! - [`handlers`]: passwords and access rules. `extend`: handlers, as `tidewire-handler` has them, in a running broker. [`Answerer`]: the seam below, who decides when the core asks. `sys`: the `$SYS` topics. `events`: log lines.
//!
//! # Example
//! ```
//! use std::io::{Read, Write};
//! use std::time::Duration;
//! use tidewire_broker::{Broker, Settings};
//! use tidewire_net::BlockingPipe;
//!
//! let broker = Broker::start(&Settings { workers: 1, ..Settings::default() })?;
//! let mut client = BlockingPipe::new(broker.handle().connect_piped()?);
//! // CONNECT of MQTT 3.1.1 with client id "a" and Clean Session; CONNACK comes back.
//! client.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a")?;
//! let mut connack = [0; 4];
//! client.read_exact(&mut connack)?;
//! assert_eq!(connack, [0x20, 2, 0, 0]);
//!
//! let report = broker.handle().shutdown(Duration::from_secs(1));
//! assert_eq!((report.connections, report.cut), (1, 0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answerer;
#[cfg(feature = "attach")]
pub mod attach;
mod broker;
mod builder;
mod crew;
pub mod desk;
pub mod driver;
mod ending;
mod entrance;
mod events;
mod extend;
mod handle;
pub mod handlers;
#[cfg(feature = "http")]
pub mod http_client;
mod interest;
mod mailbox;
mod plan;
mod request;
mod retained;
mod server;
mod settings;
mod side;
pub mod simulated;
mod start;
mod start_error;
mod storage;
mod subscription;
mod sys;
mod worker;

pub use answerer::{AnswerPort, Answerer, Answerers, DenyAll};
pub use broker::{BoundAddress, BoundPath, Broker};
pub use builder::BrokerBuilder;
pub use ending::{ShutdownReport, WorkerFailure};
pub use extend::HandlerRejected;
pub use handle::{
    BrokerGone, BrokerHandle, CertificateReload, ClientsCursor, ClientsPage, PagesReload,
};
pub use request::ListenerFigures;
pub use retained::{RetainedCursor, RetainedPage};
pub use server::PublishError;
pub use settings::{ListenerSettings, OpenSocket, Settings};
pub use start_error::StartError;
pub use storage::StoreSettings;
pub use subscription::{SubscribeError, Subscription};
