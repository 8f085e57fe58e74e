//! One non-blocking connection: batched reads into a shared buffer, batched writes.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::encode::Version;
use crate::error::{BenchError, Result};
use crate::frame::{Frame, FrameScanner};

/// One buffer for all connections; large enough that a busy socket is emptied by one read.
pub(super) const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Whether everything went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    All,
    /// The socket is full; a writable event will come.
    Part,
}

#[derive(Debug)]
pub(super) struct Link {
    stream: TcpStream,
    scanner: FrameScanner,
    /// Acknowledgements that wait to be written.
    out: Vec<u8>,
    written: usize,
}

impl Link {
    /// Takes over a blocking stream after its handshake.
    pub(super) fn new(
        stream: std::net::TcpStream,
        version: Version,
        registry: &Registry,
        token: Token,
    ) -> Result<Self> {
        stream
            .set_nonblocking(true)
            .map_err(BenchError::io("making a socket non-blocking"))?;
        let mut stream = TcpStream::from_std(stream);
        // Both from the start: events are edge-triggered, so asking for writability costs nothing.
        registry
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(BenchError::io("registering a socket"))?;
        Ok(Self {
            stream,
            scanner: FrameScanner::new(version),
            out: Vec::new(),
            written: 0,
        })
    }

    /// Reads until the socket is empty; `sink` gets each frame and may append answers to write.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        mut sink: impl FnMut(Frame, &mut Vec<u8>),
    ) -> Result<()> {
        let Self {
            stream,
            scanner,
            out,
            ..
        } = self;
        loop {
            match stream.read(buffer) {
                Ok(0) => {
                    return Err(BenchError::ConnectionLost {
                        what: "a connection".into(),
                    });
                }
                Ok(count) => {
                    scanner.feed(&buffer[..count], |frame| sink(frame, out))?;
                    // A short read emptied the socket: no second read only to hear that.
                    if count < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Err(BenchError::ConnectionLost {
                        what: "a connection (reset)".into(),
                    });
                }
                Err(error) => return Err(BenchError::io("reading from the broker")(error)),
            }
        }
    }

    /// Writes what answers have gathered.
    pub(super) fn flush(&mut self) -> Result<Written> {
        if self.out.is_empty() {
            return Ok(Written::All);
        }
        self.written += write_some(&mut self.stream, &self.out[self.written..])?;
        if self.written < self.out.len() {
            return Ok(Written::Part);
        }
        self.out.clear();
        self.written = 0;
        Ok(Written::All)
    }

    /// Writes as much of `bytes` as the socket takes; returns how many bytes that was.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        write_some(&mut self.stream, bytes)
    }

    /// Says `farewell`, and has the socket leave nothing behind when it is dropped.
    pub(super) fn part(&mut self, farewell: &[u8]) {
        let _may_be_gone = write_some(&mut self.stream, farewell);
        let _lingers_at_worst = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    pub(super) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }
}

fn write_some(stream: &mut TcpStream, bytes: &[u8]) -> Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match stream.write(&bytes[done..]) {
            Ok(count) => done += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ) =>
            {
                return Err(BenchError::ConnectionLost {
                    what: "a connection (write)".into(),
                });
            }
            Err(error) => return Err(BenchError::io("writing to the broker")(error)),
        }
    }
    Ok(done)
}
