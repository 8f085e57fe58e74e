//! Where bytes come from and go to.
//!
//! A connection's transport is a [`Socket`] (TCP, non-blocking), a [`LocalSocket`] (unix domain) or a [`PipeEnd`] (bounded
//! channel in memory: tests, embedders, connections that another server accepted). All are read and written alike, never
//! block and report readiness on its edges, so that one loop serves them without a task, a thread or a buffer per
//! connection.
//!
//! Layers, from the outside in:
//! 1. [`ListenUrl`] says where to listen; [`TcpListener::bind`] and [`LocalListener::bind`] open it and tell what is wrong
//!    if they cannot.
//! 2. [`Transport`] moves bytes.
//! 3. [`Layered`] puts [`Layer`]s between a transport and its reader: [`ProxyLayer`], [`TlsLayer`], [`WebSocketLayer`]
//!    are state machines that turn bytes into bytes. They share one set of buffers per thread, and own none while idle. What
//!    they learn of the peer is [`LayerFacts`].
//!
//! ```
//! use tidewire_net::{ListenUrl, Scheme};
//!
//! let url: ListenUrl = "tcp://127.0.0.1:1883".parse()?;
//! assert_eq!((url.scheme(), url.host(), url.port()), (Scheme::Tcp, "127.0.0.1", 1883));
//! let url: ListenUrl = "wss://0.0.0.0".parse()?;
//! assert_eq!((url.scheme(), url.port()), (Scheme::Wss, 8084));
//! # Ok::<(), tidewire_net::UrlError>(())
//! ```

mod blocking_pipe;
mod cidr;
mod facts;
mod layer;
#[cfg(feature = "mio")]
mod layered;
#[cfg(all(feature = "mio", unix))]
mod local;
mod pipe;
mod proxy;
#[cfg(feature = "mio")]
mod tcp;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "mio")]
mod transport;
mod url;
#[cfg(feature = "websocket")]
mod websocket;

pub use blocking_pipe::BlockingPipe;
pub use cidr::{AddressRange, RangeError};
pub use facts::{CertificateFacts, LayerFacts, TlsFacts};
pub use layer::{Layer, LayerError, LayerState};
#[cfg(feature = "mio")]
pub use layered::Layered;
#[cfg(all(feature = "mio", unix))]
pub use local::{LocalBindError, LocalListener, LocalSocket};
pub use pipe::{Notify, PipeEnd, PipeEvent, pipe};
pub use proxy::{ProxyIdentity, ProxyLayer};
#[cfg(feature = "mio")]
pub use tcp::{BindError, BindErrorKind, Socket, TcpListener, TcpOptions};
#[cfg(feature = "tls")]
pub use tls::{
    ClientCertificate, MaterialError, MaterialFault, MinTlsVersion, TlsLayer, TlsServer,
    TlsSettings, certificate_facts,
};
#[cfg(feature = "mio")]
pub use transport::Transport;
pub use url::{
    DEFAULT_MQTT_PORT, DEFAULT_MQTTS_PORT, DEFAULT_WS_PORT, DEFAULT_WSS_PORT, ListenUrl, Scheme,
    UrlError,
};
#[cfg(feature = "websocket")]
pub use websocket::{
    PagesError, StaticPages, UpgradeAccepted, UpgradeRefused, UpgradeRequest, WebSocketLayer,
    WebSocketSettings,
};
