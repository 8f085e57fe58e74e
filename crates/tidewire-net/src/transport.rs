//! A connection's bytes, wherever they come from.

use crate::facts::LayerFacts;
use crate::layered::Layered;
#[cfg(unix)]
use crate::local::LocalSocket;
use crate::pipe::PipeEnd;
use crate::tcp::Socket;
use std::io::{self, IoSlice};

/// What a worker reads from and writes to.
#[derive(Debug)]
pub enum Transport {
    /// A TCP socket in the worker's own readiness loop.
    Socket(Socket),
    /// A channel in memory, pumped by somebody else at its other end.
    Piped(PipeEnd),
    /// A socket in the file system.
    #[cfg(unix)]
    Local(LocalSocket),
    /// One of the others under TLS, WebSocket or the PROXY protocol.
    Layered(Box<Layered>),
}

impl Transport {
    /// Takes bytes that have come; 0 = the peer has finished.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, else what ended the transport. With layers also
    /// [`io::ErrorKind::InvalidData`] and [`io::ErrorKind::Interrupted`]: see [`Layered::read`].
    #[inline]
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.read(into),
            Self::Piped(pipe) => pipe.read(into),
            #[cfg(unix)]
            Self::Local(socket) => socket.read(into),
            Self::Layered(layered) => layered.read(into),
        }
    }

    /// Sends bytes, as many as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room, else what ended the transport.
    #[inline]
    pub fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.write(from),
            Self::Piped(pipe) => pipe.write(from),
            #[cfg(unix)]
            Self::Local(socket) => socket.write(from),
            Self::Layered(layered) => layered.write(from),
        }
    }

    /// Sends what layers have kept of earlier writes; nothing is kept without layers.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when something is still left, else what ended the transport.
    #[inline]
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Layered(layered) => layered.flush(),
            _ => Ok(()),
        }
    }

    /// Ends the stream towards the peer, with the layers' farewells; reading goes on.
    pub fn shutdown_write(&mut self) {
        match self {
            Self::Socket(socket) => socket.shutdown_write(),
            Self::Piped(pipe) => pipe.shutdown_write(),
            #[cfg(unix)]
            Self::Local(socket) => socket.shutdown_write(),
            Self::Layered(layered) => layered.shutdown_write(),
        }
    }

    /// Whether layers would say farewell at the end.
    #[must_use]
    pub fn says_farewell(&self) -> bool {
        matches!(self, Self::Layered(_))
    }

    /// What the layers know of the peer: once, as soon as their handshakes are done. Layers that have nothing more to do
    /// are taken off.
    pub fn opened(&mut self) -> Option<LayerFacts> {
        let Self::Layered(layered) = self else {
            return Some(LayerFacts::default());
        };
        let facts = layered.take_facts()?;
        if let Some(bare) = layered.take_hollow() {
            *self = bare;
        }
        Some(facts)
    }
}

#[cfg(test)]
mod tests {
    use super::Transport;

    #[test]
    fn a_transport_is_two_words() {
        // Debug builds of mio note in each socket which loop it belongs to.
        let words = if cfg!(debug_assertions) { 3 } else { 2 };
        assert!(size_of::<Transport>() <= words * size_of::<usize>());
    }
}
