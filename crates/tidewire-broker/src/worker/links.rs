//! The worker's connections: a dense table of small entries, whose places are reused.

use crate::worker::receive::ReadUntil;
use crate::worker::unread::Unread;
use std::sync::Arc;
use tidewire_core::ConnKey;
use tidewire_handler::Client;

/// What the shell keeps of a connection.
pub(crate) struct Link<T> {
    pub(crate) transport: T,
    pub(crate) unread: Unread,
    pub(crate) phase: Phase,
    pub(crate) writing: Writing,
    /// Waits in the worker's queue of connections to be read again, once.
    pub(crate) queued: Queued,
    /// The peer's end of the stream has been reported; it may not have been read yet.
    pub(crate) ended: bool,
    /// Index of the policy under which it came in.
    pub(crate) policy: u16,
    /// What handlers know of it, if any may be asked.
    pub(crate) client: Option<Arc<Client>>,
}

/// What is done with a connection's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Handshakes go on in front of the first byte of MQTT; the core does not know it yet.
    Opening,
    /// Handlers decide whether it may come in; nothing is read, and the core does not know it yet.
    Entering,
    /// They are read and offered to the core.
    Reading,
    /// A packet waits at a gate; nothing is read until it opens.
    Withheld,
    /// Nothing is read; what is queued is written, then the transport closed.
    Closing(Farewell),
    /// The core has forgotten it. What still comes is thrown away, so that the operating system does not answer it
    /// with a reset, which would destroy the farewell before the peer reads it.
    Lingering,
}

/// Whether the peer is owed last bytes that must not be lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Farewell {
    /// Nothing was queued when the core closed the connection.
    Nothing,
    /// Bytes were queued, a DISCONNECT among them perhaps.
    Owed,
}

impl Phase {
    pub(crate) fn is_closing(self) -> bool {
        matches!(self, Self::Closing(_))
    }
}

/// Whether a connection waits to be read again, and how far.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Queued {
    /// It does not wait.
    No,
    /// It does.
    Until(ReadUntil),
}

/// Whether the transport is asked to report room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Writing {
    /// All that was ever written fitted.
    Free,
    /// A write fell short once: room is reported from then on, and nothing is written before.
    Blocked,
    /// It was blocked, and room has been reported since.
    Unblocked,
}

/// The table.
pub(crate) struct Links<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    /// Counts the tenants.
    generation: u32,
    link: Option<Link<T>>,
}

impl<T> Link<T> {
    /// A connection of which nothing has been read or written here.
    pub(crate) fn new(
        transport: T,
        unread: Unread,
        policy: u16,
        client: Option<Arc<Client>>,
    ) -> Self {
        let (phase, writing) = (Phase::Reading, Writing::Free);
        Self {
            transport,
            unread,
            phase,
            writing,
            queued: Queued::No,
            ended: false,
            policy,
            client,
        }
    }
}

impl<T> Links<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// The name that the next connection gets with [`insert`](Self::insert).
    pub(crate) fn next_key(&self) -> ConnKey {
        match self.free.last() {
            Some(&slot) => ConnKey {
                slot,
                generation: self.slots[slot as usize].generation,
            },
            None => ConnKey {
                slot: u32::try_from(self.slots.len()).unwrap_or(u32::MAX),
                generation: 0,
            },
        }
    }

    pub(crate) fn insert(&mut self, link: Link<T>) -> ConnKey {
        let key = self.next_key();
        match self.free.pop() {
            Some(slot) => self.slots[slot as usize].link = Some(link),
            None => self.slots.push(Slot {
                generation: 0,
                link: Some(link),
            }),
        }
        key
    }

    pub(crate) fn remove(&mut self, key: ConnKey) -> Option<Link<T>> {
        let slot = self
            .slots
            .get_mut(key.slot as usize)
            .filter(|slot| slot.generation == key.generation)?;
        let link = slot.link.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.slot);
        Some(link)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: ConnKey) -> Option<&mut Link<T>> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation {
            slot.link.as_mut()
        } else {
            None
        }
    }

    /// The full name of the connection that has the slot now.
    #[inline]
    pub(crate) fn key_at(&self, slot: u32) -> Option<ConnKey> {
        let found = self.slots.get(slot as usize)?;
        found.link.as_ref()?;
        Some(ConnKey {
            slot,
            generation: found.generation,
        })
    }

    /// Connections whose last bytes have not left yet, or that nobody has closed.
    pub(crate) fn unfinished(&self) -> usize {
        let links = self.slots.iter().filter_map(|slot| slot.link.as_ref());
        links.filter(|link| link.phase != Phase::Lingering).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Link, Links};
    use crate::worker::unread::Unread;

    fn link(transport: u8) -> Link<u8> {
        Link::new(transport, Unread::Nothing, 0, None)
    }

    #[test]
    fn a_reused_slot_does_not_answer_to_its_former_tenants_name() {
        let mut links = Links::new();
        let first = links.insert(link(1));
        assert!(links.remove(first).is_some());
        let second = links.insert(link(2));
        assert_eq!(first.slot, second.slot);
        assert!(links.get_mut(first).is_none());
        assert!(links.remove(first).is_none());
        assert_eq!(links.get_mut(second).unwrap().transport, 2);
        assert_eq!(links.key_at(second.slot), Some(second));
        assert_eq!(links.len(), 1);
    }

    #[test]
    fn an_idle_connection_costs_the_shell_less_than_a_hundred_bytes() {
        assert!(size_of::<super::Slot<tidewire_net::Transport>>() < 80);
    }
}
