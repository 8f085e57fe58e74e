//! Reading connections: into the worker's one buffer, or into a large packet's own.

use crate::driver::{Driver, Transport};
use crate::worker::Worker;
use crate::worker::input::Fate;
use crate::worker::links::{Phase, Queued};
use crate::worker::unread::{Large, Rest, Unread};
use std::io;
use tidewire_core::{ConnKey, Input, TransportEnd};

/// Reads of one connection in one turn, 256 KiB with the buffer full each time; then it is the others' turn.
const READS_PER_TURN: usize = 4;
/// Reads that empty a connection on which nothing more is expected.
const DISCARDS_PER_TURN: usize = 4;

/// Whether to read a connection again in this turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    Enough,
}

/// How far to read a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ReadUntil {
    /// A read that does not fill its buffer is the last: the next bytes bring an event.
    Short,
    /// Nothing is there or the stream has ended: its end may have been announced already.
    Blocked,
}

impl<D: Driver> Worker<D> {
    /// Reads the connection in the next turn, or later in this one.
    pub(crate) fn read_later(&mut self, key: ConnKey, until: ReadUntil) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if link.queued == Queued::No {
            self.again.push_back(key);
        }
        link.queued = link.queued.max(Queued::Until(until));
    }

    /// Reads the connections that wait for it; those that join meanwhile are left to the next turn.
    pub(crate) fn read_again(&mut self) {
        if self.is_held_back() {
            return;
        }
        for _ in 0..self.again.len() {
            let Some(key) = self.again.pop_front() else {
                break;
            };
            let Some(link) = self.links.get_mut(key) else {
                continue;
            };
            if let Queued::Until(until) = std::mem::replace(&mut link.queued, Queued::No) {
                self.receive(key, until);
            }
        }
        self.resume_all();
    }

    /// Reads what a connection has sent and handles it.
    pub(crate) fn receive(&mut self, key: ConnKey, until: ReadUntil) {
        match self.links.get_mut(key).map(|link| link.phase) {
            Some(Phase::Reading) => {}
            Some(Phase::Opening) => return self.open(key),
            Some(Phase::Lingering) => return self.discard(key),
            _ => return,
        }
        self.offer_unread(key);
        for _ in 0..READS_PER_TURN {
            if self.read_once(key, until) == Next::Enough {
                return;
            }
        }
        self.read_later(key, until);
    }

    /// Keeps, for the next read, what the core has not used.
    pub(crate) fn settle(&mut self, key: ConnKey, rest: &[u8], fate: Fate) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if link.phase.is_closing() {
            return;
        }
        let most = self.core.collect_limit(key) as usize;
        let (unread, state) = self.pool.keep(rest, most);
        link.unread = unread;
        if let Fate::Moves { to, admission } = fate {
            return self.hand_over(key, to, admission);
        }
        if state == Rest::Withheld {
            self.withhold(key);
        }
    }

    /// Reads no more until the core says so.
    fn withhold(&mut self, key: ConnKey) {
        if let Some(link) = self.links.get_mut(key) {
            link.phase = Phase::Withheld;
            if link.ended {
                self.core.peer_ended(self.now, key);
                self.drain(None);
            }
        }
    }

    /// The peer has ended its stream: what it sent before is still to be read.
    pub(crate) fn note_end(&mut self, key: ConnKey) {
        if let Some(link) = self.links.get_mut(key) {
            link.ended = true;
            if link.phase == Phase::Withheld {
                self.core.peer_ended(self.now, key);
                self.drain(None);
            }
        }
    }

    /// Offers bytes that are kept from before, if they are more than a packet's beginning: they came with a moved
    /// connection, or waited at a gate that is open now.
    fn offer_unread(&mut self, key: ConnKey) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let whole = match &link.unread {
            Unread::Nothing => false,
            Unread::Part(bytes) => Rest::is_worth_offering(bytes),
            Unread::Large(large) => large.is_complete(),
        };
        if !whole {
            return;
        }
        match std::mem::take(&mut link.unread) {
            Unread::Nothing => {}
            Unread::Part(bytes) => {
                let (used, fate) = self.offer(key, &bytes);
                self.settle(key, bytes.get(used..).unwrap_or_default(), fate);
                self.pool.release(Unread::Part(bytes));
            }
            Unread::Large(large) => self.offer_large(key, large),
        }
    }

    fn read_once(&mut self, key: ConnKey, until: ReadUntil) -> Next {
        let Some(link) = self.links.get_mut(key) else {
            return Next::Enough;
        };
        if link.phase != Phase::Reading {
            return Next::Enough;
        }
        if let Unread::Large(large) = &mut link.unread {
            let room = large.room();
            let wanted = room.len();
            let result = link.transport.read(room);
            return match self.count(key, result) {
                0 => Next::Enough,
                count => self.grow_large(key, count, wanted, until),
            };
        }
        let held = match std::mem::take(&mut link.unread) {
            Unread::Part(part) => {
                self.buffer[..part.len()].copy_from_slice(&part);
                let held = part.len();
                self.pool.release(Unread::Part(part));
                held
            }
            _ => 0,
        };
        let room = &mut self.buffer[held..];
        let wanted = room.len();
        if wanted == 0 {
            // An empty read would look like the end of the stream.
            self.offer_buffer(key, held);
            return Next::Enough;
        }
        let result = link.transport.read(room);
        let count = self.count(key, result);
        if count > 0 {
            self.offer_buffer(key, held + count);
        } else if held > 0 {
            self.put_back(key, held);
        }
        next::<D::Transport>(count, wanted, until)
    }

    /// The bytes that a read brought; 0 = nothing more can be read now, or ever.
    fn count(&mut self, key: ConnKey, result: io::Result<usize>) -> usize {
        match result {
            Ok(0) => self.lose(key, TransportEnd::PeerClosed),
            Ok(count) => return count,
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {}
                io::ErrorKind::Interrupted => self.read_later(key, ReadUntil::Blocked),
                io::ErrorKind::InvalidData => self.refuse(key, &error),
                _ => self.lose(key, TransportEnd::Failed(error.to_string().into())),
            },
        }
        0
    }

    /// Offers the first bytes of the read buffer.
    pub(crate) fn offer_buffer(&mut self, key: ConnKey, len: usize) {
        let buffer = std::mem::take(&mut self.buffer);
        let (used, fate) = self.offer(key, &buffer[..len]);
        self.settle(key, &buffer[used..len], fate);
        self.buffer = buffer;
    }

    /// A read brought nothing: the begun packet is kept again.
    fn put_back(&mut self, key: ConnKey, held: usize) {
        if let Some(link) = self.links.get_mut(key) {
            let most = self.core.collect_limit(key) as usize;
            link.unread = self.pool.keep(&self.buffer[..held], most).0;
        }
    }

    fn grow_large(&mut self, key: ConnKey, count: usize, wanted: usize, until: ReadUntil) -> Next {
        let Some(link) = self.links.get_mut(key) else {
            return Next::Enough;
        };
        let Unread::Large(large) = &mut link.unread else {
            return Next::Enough;
        };
        large.filled(count);
        if large.is_complete()
            && let Unread::Large(large) = std::mem::take(&mut link.unread)
        {
            self.offer_large(key, large);
        }
        next::<D::Transport>(count, wanted, until)
    }

    fn offer_large(&mut self, key: ConnKey, large: Box<Large>) {
        let (used, fate) = self.offer(key, large.bytes());
        if used < large.bytes().len()
            && let Some(link) = self.links.get_mut(key)
            && link.phase == Phase::Reading
        {
            link.unread = Unread::Large(large);
            return self.withhold(key);
        }
        self.pool.release(Unread::Large(large));
        self.settle(key, &[], fate);
    }

    /// Reads and throws away what comes on a lingering connection; ends it with its stream.
    pub(crate) fn discard(&mut self, key: ConnKey) {
        for _ in 0..DISCARDS_PER_TURN {
            let Some(link) = self.links.get_mut(key) else {
                return;
            };
            match link.transport.read(&mut self.buffer) {
                Ok(count) if count > 0 => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => return self.forget(key),
            }
        }
        self.read_later(key, ReadUntil::Blocked);
    }

    /// The transport has ended by itself.
    pub(crate) fn lose(&mut self, key: ConnKey, end: TransportEnd) {
        if let Some(link) = self.links.get_mut(key) {
            let told = matches!(
                link.phase,
                Phase::Lingering | Phase::Opening | Phase::Entering
            );
            self.forget(key);
            if !told {
                self.handle(Input::Closed { conn: key, end });
            }
        }
    }
}

fn next<T: Transport>(count: usize, wanted: usize, until: ReadUntil) -> Next {
    let emptied = count < wanted && T::SHORT_READ_MEANS_EMPTY && until == ReadUntil::Short;
    if count == 0 || emptied {
        Next::Enough
    } else {
        Next::More
    }
}
