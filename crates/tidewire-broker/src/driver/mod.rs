//! What a worker needs of the world: a clock, readiness, transports. The operating
//! system's, through `mio`, is one such world, the [`simulated`](crate::simulated) one is another; the worker's turn is the same in both.

pub(crate) mod mio;

use crate::desk::StorePort;
use std::io::{self, IoSlice};
use std::time::Duration;
use tidewire_core::Time;
use tidewire_net::LayerFacts;

/// Moves the bytes of one connection; never blocks.
pub trait Transport: Send + 'static {
    /// Whether a read that does not fill its buffer has emptied the transport, and the next bytes bring an event.
    const SHORT_READ_MEANS_EMPTY: bool;

    /// Takes bytes that have come; 0 = the peer has finished.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, else what ended the transport.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Sends bytes, as many as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room, else what ended the transport.
    fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Ends the stream towards the peer; reading goes on.
    fn shutdown_write(&mut self);

    /// Sends what the transport has kept of earlier writes, if it keeps anything.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when something is still left, else what ended the transport.
    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What handshakes have told about the peer, once, when they are done; asked only of transports that were
    /// [`Accepted`] with a handshake.
    fn opened(&mut self) -> Option<LayerFacts> {
        Some(LayerFacts::default())
    }

    /// Whether [`shutdown_write`](Self::shutdown_write) has something to say that the peer should read.
    fn says_farewell(&self) -> bool {
        false
    }
}

/// The part of the world that a worker's turn uses. Dropping a transport ends its registration.
pub trait Driver: Send + 'static {
    /// Its connections.
    type Transport: Transport;

    /// The time; the same clock for all workers of a broker.
    fn now(&self) -> Time;

    /// Reports readability of a transport under `slot` from now on, on its edges; what is ready already is reported too.
    ///
    /// # Errors
    /// The operating system's.
    fn register(&mut self, transport: &mut Self::Transport, slot: u32) -> io::Result<()>;

    /// Reports writability as well, on its edges; room that is there already is reported too.
    ///
    /// # Errors
    /// The operating system's.
    fn want_writable(&mut self, transport: &mut Self::Transport, slot: u32) -> io::Result<()>;

    /// Ends the registration of a transport that goes to another worker.
    ///
    /// # Errors
    /// The operating system's.
    fn deregister(&mut self, transport: &mut Self::Transport) -> io::Result<()>;

    /// How many listening sockets there are.
    fn listeners(&self) -> usize;

    /// Takes the next connection that waits at a listening socket.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when none waits; [`io::ErrorKind::PermissionDenied`] for one that was closed because of
    /// where it came from; else the operating system's.
    fn accept(&mut self, listener: usize) -> io::Result<Accepted<Self::Transport>>;

    /// Index of the policy of a listening socket.
    fn policy_of(&self, listener: usize) -> u16;

    /// Closes the listening sockets.
    fn stop_listening(&mut self);

    /// The way to the store, if there is one. Its answers come as the worker's mail.
    fn store(&mut self) -> Option<&mut dyn StorePort>;
}

/// The part that waits, which stays with the thread.
pub trait Poller {
    /// Waits for readiness or until the time is over (`None` = as long as it takes), and appends what is ready.
    ///
    /// # Errors
    /// The operating system's.
    fn poll(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()>;
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Accepted<T> {
    /// Its transport.
    pub transport: T,
    /// Index of the policy in [`Config::listeners`](tidewire_core::Config::listeners).
    pub policy: u16,
    /// The peer's address as text.
    pub address: Box<str>,
    /// The time that the peer has for its handshakes; `None` = there are none.
    pub handshake: Option<Duration>,
}

/// Something became ready.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ready {
    /// Connections may wait at a listening socket.
    Listener(usize),
    /// Bytes may be there.
    Readable {
        /// The connection.
        slot: u32,
        /// The stream ended behind them: read until the end comes.
        ended: bool,
    },
    /// There may be room for bytes.
    Writable {
        /// The connection.
        slot: u32,
    },
}
