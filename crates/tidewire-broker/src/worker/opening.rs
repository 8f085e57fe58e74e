//! Connections whose handshakes go on: the core does not know them yet.

use crate::driver::{Driver, Transport};
use crate::events::LOG;
use crate::worker::Worker;
use crate::worker::links::{Farewell, Link, Phase};
use crate::worker::receive::ReadUntil;
use crate::worker::send::LINGER;
use crate::worker::unread::Unread;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tidewire_core::{
    CertificateFacts, ConnKey, Input, PeerFacts, Time, TlsFacts, TransportEnd, WayFacts,
};
use tidewire_net::LayerFacts;
use tracing::{info, warn};

/// Handshakes that are taken a step further in one turn. A step may take a tenth of a millisecond of computing; those
/// who are in already wait for no more than these.
const STEPS_PER_TURN: usize = 8;
/// Lines about failed handshakes in one second of one worker; more are counted and not written.
const LINES_PER_SECOND: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);

/// One worker's connections that are not open yet.
#[derive(Default)]
pub(crate) struct Openings {
    /// By place in the table.
    pending: HashMap<u32, Pending>,
    /// Soonest first; those that have opened meanwhile are passed over.
    deadlines: BinaryHeap<Reverse<(Time, u32, u32)>>,
    steps: usize,
    /// When the count of written lines begins anew, and the count.
    lines_until: Option<Time>,
    lines: u32,
}

struct Pending {
    address: Box<str>,
    generation: u32,
}

impl Openings {
    /// A turn begins.
    pub(crate) fn begin_turn(&mut self) {
        self.steps = 0;
    }

    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.deadlines
            .peek()
            .map(|Reverse((deadline, ..))| *deadline)
    }

    /// The connection is gone.
    pub(crate) fn forget(&mut self, key: ConnKey) {
        if !self.pending.is_empty() {
            self.pending.remove(&key.slot);
        }
        if self.pending.is_empty() {
            self.deadlines.clear();
        }
    }

    fn may_step(&mut self) -> bool {
        self.steps += 1;
        self.steps <= STEPS_PER_TURN
    }

    /// Whether one more line fits into this second.
    pub(crate) fn may_write_line(&mut self, now: Time) -> bool {
        if self.lines_until.is_none_or(|until| until <= now) {
            self.lines_until = Some(now.saturating_add(SECOND));
            self.lines = 0;
        }
        self.lines += 1;
        self.lines <= LINES_PER_SECOND
    }
}

impl<D: Driver> Worker<D> {
    /// Takes in a transport whose handshakes are to come.
    pub(crate) fn await_opening(
        &mut self,
        mut transport: D::Transport,
        policy: u16,
        address: Box<str>,
        most: Duration,
    ) {
        let key = self.links.next_key();
        if let Err(error) = self.driver.register(&mut transport, key.slot) {
            warn!(target: LOG, %address, %error, "cannot watch a connection: dropped");
            return self.leave(policy);
        }
        let mut link = Link::new(transport, Unread::Nothing, policy, None);
        link.phase = Phase::Opening;
        self.links.insert(link);
        let generation = key.generation;
        self.openings.pending.insert(
            key.slot,
            Pending {
                address,
                generation,
            },
        );
        let deadline = self.now.saturating_add(most);
        self.openings
            .deadlines
            .push(Reverse((deadline, key.slot, generation)));
    }

    /// Takes a connection's handshakes a step further.
    pub(crate) fn open(&mut self, key: ConnKey) {
        if !self.openings.may_step() {
            return self.read_later(key, ReadUntil::Blocked);
        }
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let result = link.transport.read(&mut self.buffer);
        if let Some(facts) = link.transport.opened() {
            self.announce(key, facts);
        }
        match result {
            Ok(0) => self.fail_opening(key, &io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.offer_buffer(key, count);
                self.read_later(key, ReadUntil::Blocked);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {}
                io::ErrorKind::Interrupted => self.read_later(key, ReadUntil::Blocked),
                io::ErrorKind::Unsupported => return self.close_answered(key),
                _ => return self.fail_opening(key, &error),
            },
        }
        self.push_reply(key);
    }

    /// A peer broke the rules of a layer: it is told, and the connection ends.
    pub(crate) fn refuse(&mut self, key: ConnKey, error: &io::Error) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let told = matches!(link.phase, Phase::Opening | Phase::Lingering);
        link.transport.shutdown_write();
        link.phase = Phase::Lingering;
        let unread = std::mem::take(&mut link.unread);
        self.pool.release(unread);
        self.openings.forget(key);
        self.lingering
            .push_back((self.now.saturating_add(LINGER), key));
        if !told {
            let end = TransportEnd::Failed(error.to_string().into());
            self.handle(Input::Closed { conn: key, end });
        }
        self.discard(key);
    }

    /// A layer answers the peer itself, by a page perhaps: the connection ends when the answer has left.
    fn close_answered(&mut self, key: ConnKey) {
        if let Some(link) = self.links.get_mut(key) {
            link.phase = Phase::Closing(Farewell::Owed);
            self.openings.forget(key);
            self.leaving.push(key);
            self.overdue
                .push_back((self.now.saturating_add(self.close_timeout), key));
        }
    }

    /// Closes those whose handshakes take too long.
    pub(crate) fn cut_slow_openings(&mut self) {
        while let Some(&Reverse((deadline, slot, generation))) = self.openings.deadlines.peek() {
            if deadline > self.now {
                return;
            }
            self.openings.deadlines.pop();
            let pending = self.openings.pending.get(&slot);
            if pending.is_some_and(|pending| pending.generation == generation) {
                let key = ConnKey { slot, generation };
                self.fail_opening(key, &io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// Drops all of them: the broker stops.
    pub(crate) fn drop_openings(&mut self) {
        let pending: Vec<ConnKey> = self
            .openings
            .pending
            .iter()
            .map(|(&slot, pending)| ConnKey {
                slot,
                generation: pending.generation,
            })
            .collect();
        for key in pending {
            self.forget(key);
        }
    }

    /// The handshakes are done: the core hears of the connection.
    fn announce(&mut self, key: ConnKey, facts: LayerFacts) {
        let Some(pending) = self.openings.pending.remove(&key.slot) else {
            return;
        };
        self.openings.forget(key);
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        let peer = Arc::new(peer_facts(link.policy, pending.address, facts));
        self.welcome(key, peer);
    }

    fn fail_opening(&mut self, key: ConnKey, error: &io::Error) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        if link.phase != Phase::Opening {
            // It opened with its last bytes.
            return self.lose(key, TransportEnd::PeerClosed);
        }
        let policy = link.policy;
        if let Some(gauge) = self.gauges.get(usize::from(policy)) {
            gauge.count_failed_handshake();
            if self.openings.may_write_line(self.now) {
                let pending = self.openings.pending.get(&key.slot);
                let address = pending.map_or("", |pending| &pending.address);
                let cause = cause(error);
                info!(target: LOG, listener = gauge.name(), address, "refused before CONNECT: {cause}");
            }
        }
        if error.kind() == io::ErrorKind::InvalidData {
            self.refuse(key, error);
        } else {
            self.forget(key);
        }
    }

    /// Sees to it that handshake bytes that found no room follow later.
    fn push_reply(&mut self, key: ConnKey) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        match link.transport.flush() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.block(key);
            }
            Err(error) => self.fail_opening(key, &error),
            Ok(()) => {}
        }
    }
}

fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "the handshake took longer than handshake_timeout_secs".into(),
        io::ErrorKind::UnexpectedEof => "the client closed the connection in its handshake".into(),
        _ => error.to_string(),
    }
}

fn peer_facts(listener: u16, address: Box<str>, facts: LayerFacts) -> PeerFacts {
    let (address, proxy) = match facts.original_address {
        Some(original) => (original.to_string().into(), Some(address)),
        None => (address, None),
    };
    let tls = facts.tls.map(|tls| TlsFacts {
        version: tls.version,
        cipher: tls.cipher,
        server_name: tls.server_name,
        certificate: tls.certificate.map(|certificate| CertificateFacts {
            common_name: certificate.common_name,
            subject: certificate.subject,
            alternative_names: certificate.alternative_names,
            fingerprint: certificate.fingerprint,
        }),
    });
    let way = (proxy.is_some() || tls.is_some()).then(|| Box::new(WayFacts { proxy, tls }));
    PeerFacts {
        listener,
        address,
        way,
    }
}
