//! Where bytes come from and go to.
//!
//! A connection's transport is a [`Socket`] (TCP, non-blocking) or a [`PipeEnd`] (bounded channel in memory: tests,
//! embedders, connections that another server accepted). Both are read and written alike, never block and report
//! readiness on its edges, so that one loop serves them without a task, a thread or a buffer per connection.
//!
//! Layers, from the outside in:
//! 1. [`ListenUrl`] says where to listen; [`TcpListener::bind`] opens it and tells what is wrong if it cannot.
//! 2. [`Transport`] moves bytes.
//! 3. [`Layer`] is the seam between transport and protocol: TLS and WebSocket are state machines that turn bytes into
//!    bytes there. None exists yet.
//!
//! ```
//! use tidewire_net::{ListenUrl, Scheme};
//!
//! let url: ListenUrl = "tcp://127.0.0.1:1883".parse()?;
//! assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Tcp, "127.0.0.1", 1883));
//! assert_eq!(
//!     "wss://0.0.0.0".parse::<ListenUrl>().unwrap_err().to_string(),
//!     "`wss://` listeners are not in this build yet; use `tcp://host:port`",
//! );
//! # Ok::<(), tidewire_net::UrlError>(())
//! ```

mod blocking_pipe;
mod layer;
mod pipe;
#[cfg(feature = "mio")]
mod tcp;
#[cfg(feature = "mio")]
mod transport;
mod url;

pub use blocking_pipe::BlockingPipe;
pub use layer::{Layer, LayerError, LayerState};
pub use pipe::{Notify, PipeEnd, PipeEvent, pipe};
#[cfg(feature = "mio")]
pub use tcp::{BindError, BindErrorKind, Socket, TcpListener, TcpOptions};
#[cfg(feature = "mio")]
pub use transport::Transport;
pub use url::{DEFAULT_MQTT_PORT, ListenUrl, Scheme, UrlError};
