//! Writing: every connection with something to send once a turn, with one call; and closing.

use crate::driver::{Driver, Transport};
use crate::worker::Worker;
use crate::worker::links::{Farewell, Phase, Writing};
use std::io::{self, IoSlice};
use std::time::Duration;
use tidewire_core::{ConnKey, Input, TransportEnd};

/// Pieces of one vectored write: a chunk of small frames, or a header and a shared payload, need one or two; Linux takes 1024.
const SLICES_PER_WRITE: usize = 32;
/// Writes to one connection in one turn. More than one is needed only when the first made room for messages that waited.
const WRITES_PER_TURN: usize = 16;
/// How long a closed connection is kept for the peer to read its farewell and close its side.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// How writing to a connection ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// Nothing is left.
    All,
    /// The transport takes no more; it will report room.
    Blocked,
    /// Enough for this turn.
    Enough,
    /// The transport is gone.
    Lost,
}

impl<D: Driver> Worker<D> {
    /// Writes what this turn has queued, and closes what is to be closed.
    pub(crate) fn flush(&mut self) {
        for _ in 0..self.unfinished.len() {
            if let Some(key) = self.unfinished.pop_front() {
                self.write(key);
            }
        }
        // A close may publish a will, whose receivers have something to write then.
        loop {
            while let Some(key) = self.core.next_dirty() {
                self.write(key);
            }
            match self.leaving.pop() {
                Some(key) => self.finish_close(key),
                None => break,
            }
        }
        self.resume_all();
    }

    /// Room was reported.
    pub(crate) fn unblock(&mut self, slot: u32) {
        let Some(key) = self.links.key_at(slot) else {
            return;
        };
        if let Some(link) = self.links.get_mut(key)
            && link.writing == Writing::Blocked
        {
            link.writing = Writing::Unblocked;
            self.unfinished.push_back(key);
        }
    }

    /// The core is done with a connection.
    pub(crate) fn begin_close(&mut self, key: ConnKey) {
        let owed = self
            .core
            .outbound(key)
            .is_some_and(|queue| !queue.is_empty());
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if link.phase == Phase::Lingering || link.phase.is_closing() {
            return;
        }
        link.phase = Phase::Closing(if owed || link.transport.says_farewell() {
            Farewell::Owed
        } else {
            Farewell::Nothing
        });
        let unread = std::mem::take(&mut link.unread);
        self.pool.release(unread);
        self.leaving.push(key);
        self.overdue
            .push_back((self.now.saturating_add(self.close_timeout), key));
    }

    /// Closes connections that have had their time.
    pub(crate) fn cut_overdue(&mut self) {
        while let Some(&(deadline, key)) = self.overdue.front() {
            if deadline > self.now {
                break;
            }
            self.overdue.pop_front();
            if self
                .links
                .get_mut(key)
                .is_some_and(|link| link.phase.is_closing())
            {
                self.forget(key);
                self.handle(Input::Closed {
                    conn: key,
                    end: TransportEnd::AsAsked,
                });
            }
        }
        while let Some(&(deadline, key)) = self.lingering.front() {
            if deadline > self.now {
                break;
            }
            self.lingering.pop_front();
            self.forget(key);
        }
    }

    /// Drops a connection's transport and frees its place; the core is not told.
    pub(crate) fn forget(&mut self, key: ConnKey) {
        if let Some(link) = self.links.remove(key) {
            self.pool.release(link.unread);
            self.leave(link.policy);
            self.openings.forget(key);
            self.raw.forget(key);
        }
    }

    fn write(&mut self, key: ConnKey) {
        match self.write_out(key) {
            Written::All => {}
            Written::Enough => self.unfinished.push_back(key),
            Written::Blocked => return,
            Written::Lost => return,
        }
        if self
            .links
            .get_mut(key)
            .is_some_and(|link| link.phase.is_closing())
        {
            self.leaving.push(key);
        }
    }

    fn write_out(&mut self, key: ConnKey) -> Written {
        for _ in 0..WRITES_PER_TURN {
            let Some(link) = self.links.get_mut(key) else {
                return Written::Lost;
            };
            if link.writing == Writing::Blocked {
                return Written::Blocked;
            }
            let Some(queue) = self.core.outbound(key).filter(|queue| !queue.is_empty()) else {
                return self.flush_transport(key);
            };
            let mut slices = [IoSlice::new(&[]); SLICES_PER_WRITE];
            let count = queue.io_slices(&mut slices);
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            let result = link.transport.write(&slices[..count]);
            match result {
                Ok(bytes) => {
                    self.core.written(self.now, key, bytes);
                    self.drain(None);
                    if bytes < offered {
                        return self.block(key);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.block(key),
                Err(error) => {
                    self.lose(key, TransportEnd::Failed(error.to_string().into()));
                    return Written::Lost;
                }
            }
        }
        Written::Enough
    }

    /// Nothing is queued; the transport itself may have kept something.
    fn flush_transport(&mut self, key: ConnKey) -> Written {
        let Some(link) = self.links.get_mut(key) else {
            return Written::Lost;
        };
        match link.transport.flush() {
            Ok(()) => Written::All,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.block(key),
            Err(error) => {
                self.lose(key, TransportEnd::Failed(error.to_string().into()));
                Written::Lost
            }
        }
    }

    /// A write fell short: the transport reports when there is room.
    pub(crate) fn block(&mut self, key: ConnKey) -> Written {
        let Some(link) = self.links.get_mut(key) else {
            return Written::Lost;
        };
        let asked = link.writing != Writing::Free;
        link.writing = Writing::Blocked;
        if !asked && let Err(error) = self.driver.want_writable(&mut link.transport, key.slot) {
            self.lose(key, TransportEnd::Failed(error.to_string().into()));
            return Written::Lost;
        }
        Written::Blocked
    }

    /// Closes a connection whose last bytes have left.
    fn finish_close(&mut self, key: ConnKey) {
        let empty = self.core.outbound(key).is_none_or(|queue| queue.is_empty());
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let Phase::Closing(farewell) = link.phase else {
            return;
        };
        if !empty {
            return;
        }
        if link
            .transport
            .flush()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        {
            // Room will be reported, and brings it back here.
            self.block(key);
            return;
        }
        if farewell == Farewell::Owed {
            link.phase = Phase::Lingering;
            link.transport.shutdown_write();
            self.lingering
                .push_back((self.now.saturating_add(LINGER), key));
            self.discard(key);
        } else {
            self.forget(key);
        }
        self.handle(Input::Closed {
            conn: key,
            end: TransportEnd::AsAsked,
        });
    }
}
