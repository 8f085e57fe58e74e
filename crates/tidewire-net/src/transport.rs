//! A connection's bytes, wherever they come from.

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
}

impl Transport {
    /// Takes bytes that have come; 0 = the peer has finished.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there, else what ended the transport.
    #[inline]
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.read(into),
            Self::Piped(pipe) => pipe.read(into),
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
        }
    }

    /// Ends the stream towards the peer; reading goes on.
    pub fn shutdown_write(&mut self) {
        match self {
            Self::Socket(socket) => socket.shutdown_write(),
            Self::Piped(pipe) => pipe.shutdown_write(),
        }
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
