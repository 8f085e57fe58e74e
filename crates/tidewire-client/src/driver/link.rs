//! One connection's bytes, between transport and machine.

use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::transport::Transport;
use crate::protocol::{Input, Machine, Time};

/// Bytes that one read takes at most: on the stack, so that an idle connection owns no buffer.
const READ_BYTES: usize = 16 * 1024;

/// A transport, and bytes of a packet that is not all here yet.
pub(crate) struct Link {
    transport: Transport,
    unread: Vec<u8>,
    /// Bytes were written that a layer of the transport may still hold.
    unflushed: bool,
}

impl Link {
    pub(crate) const fn new(transport: Transport) -> Self {
        Self {
            transport,
            unread: Vec::new(),
            unflushed: false,
        }
    }

    /// Reads once and gives it to the machine; ready with the number of bytes, 0 at the end of the stream.
    pub(crate) fn poll_read(
        &mut self,
        machine: &mut Machine,
        now: Time,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut bytes);
        ready!(self.transport.poll_read(context, &mut buffer))?;
        let read = buffer.filled();
        if self.unread.is_empty() {
            let used = machine.handle(now, Input::Bytes(read));
            self.unread
                .extend_from_slice(read.get(used..).unwrap_or_default());
        } else {
            self.unread.extend_from_slice(read);
            let used = machine.handle(now, Input::Bytes(&self.unread));
            if used >= self.unread.len() {
                self.unread = Vec::new();
            } else {
                self.unread.drain(..used);
            }
        }
        Poll::Ready(Ok(read.len()))
    }

    /// Writes what the machine has to say; ready when all of it has been taken.
    pub(crate) fn poll_write(
        &mut self,
        machine: &mut Machine,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !machine.transmit().is_empty() {
            match ready!(self.transport.poll_write(context, machine.transmit()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => machine.written(count),
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(self.transport.poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_shutdown(context)
    }
}
