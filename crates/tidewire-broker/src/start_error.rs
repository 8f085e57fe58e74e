//! Why a broker does not start, in words for whoever starts it.

use crate::extend::HandlerRejected;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use tidewire_core::MAX_WORKERS;
#[cfg(unix)]
use tidewire_net::LocalBindError;
use tidewire_net::{BindError, ListenUrl, MaterialError, PagesError};

/// Why a broker could not start. Nothing is left running then.
#[derive(Debug)]
pub enum StartError {
    /// More workers than can be named.
    TooManyWorkers {
        /// What was asked for.
        workers: usize,
    },
    /// More listeners than can be named.
    TooManyListeners {
        /// What was asked for.
        listeners: usize,
    },
    /// Two listeners of one name.
    DuplicateListener {
        /// The name.
        name: Box<str>,
    },
    /// A listener's host name could not be resolved.
    Resolve {
        /// The listener's name.
        listener: Box<str>,
        /// Its address.
        url: Box<ListenUrl>,
        /// The resolver's error.
        error: io::Error,
    },
    /// A listener could not be opened.
    Bind {
        /// The listener's name.
        listener: Box<str>,
        /// What is wrong with which address.
        error: BindError,
    },
    /// A listener's path could not be opened.
    #[cfg(unix)]
    BindPath {
        /// The listener's name.
        listener: Box<str>,
        /// What is wrong with which path.
        error: LocalBindError,
    },
    /// A listener's certificates cannot be used.
    Certificates {
        /// The listener's name.
        listener: Box<str>,
        /// What is wrong with which file.
        error: MaterialError,
    },
    /// A listener's pages cannot be read.
    Pages {
        /// The listener's name.
        listener: Box<str>,
        /// What is wrong.
        error: PagesError,
    },
    /// A listener would let in everybody on the network, and nobody said that this is meant.
    OpenToAll {
        /// The listener's name.
        listener: Box<str>,
        /// The address beyond loopback.
        address: SocketAddr,
    },
    /// As [`OpenToAll`](Self::OpenToAll), of a listener whose connections an application's server brings.
    AttachedToAll {
        /// The listener's name.
        listener: Box<str>,
    },
    /// A handler is refused.
    Handler(HandlerRejected),
    /// The store cannot be opened.
    Store(tidewire_store::OpenError),
    /// The operating system gave no thread, event queue or descriptor.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyWorkers { workers } => {
                write!(
                    f,
                    "{workers} workers are too many; at most {MAX_WORKERS} are possible, 0 means one for each processor"
                )
            }
            Self::TooManyListeners { listeners } => write!(f, "{listeners} listeners are too many"),
            Self::DuplicateListener { name } => {
                write!(
                    f,
                    "two listeners are named `{name}`; give each its own name"
                )
            }
            Self::Resolve {
                listener,
                url,
                error,
            } => {
                write!(
                    f,
                    "listener `{listener}`: cannot find the address of `{}`: {error}",
                    url.host()
                )
            }
            Self::Bind { listener, error } => write!(f, "listener `{listener}`: {error}"),
            #[cfg(unix)]
            Self::BindPath { listener, error } => write!(f, "listener `{listener}`: {error}"),
            Self::Certificates { listener, error } => write!(f, "listener `{listener}`: {error}"),
            Self::Pages { listener, error } => write!(f, "listener `{listener}`: {error}"),
            Self::OpenToAll { listener, address } => write!(
                f,
                "listener `{listener}` on {address} would let in everybody who reaches this machine, as no authenticator is configured; \
                 listen on 127.0.0.1, or set allow_anonymous = true if that is meant"
            ),
            Self::AttachedToAll { listener } => write!(
                f,
                "listener `{listener}` would let in everybody who reaches the application's server, as no authenticator is configured; \
                 register one, or set allow_anonymous = true if that is meant"
            ),
            Self::Handler(rejected) => rejected.fmt(f),
            Self::Store(error) => write!(f, "the store cannot be opened: {error}"),
            Self::System(error) => write!(f, "the operating system refused: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { error, .. } | Self::System(error) => Some(error),
            Self::Bind { error, .. } => Some(error),
            #[cfg(unix)]
            Self::BindPath { error, .. } => Some(error),
            Self::Store(error) => Some(error),
            Self::Certificates { error, .. } => Some(error),
            Self::Pages { error, .. } => Some(error),
            _ => None,
        }
    }
}
