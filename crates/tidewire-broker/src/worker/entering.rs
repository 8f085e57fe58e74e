//! Connections about which handlers are asked before the first byte of MQTT is read.

use crate::driver::Driver;
use crate::events::LOG;
use crate::worker::Worker;
use crate::worker::links::Phase;
use crate::worker::receive::ReadUntil;
use std::collections::HashMap;
use std::sync::Arc;
use tidewire_core::{ConnKey, Input, PeerFacts};
use tidewire_handler::{Denial, Notice, Peer, Refused};
use tracing::info;

/// One worker's connections that wait for a handler's decision.
#[derive(Default)]
pub(crate) struct Entering {
    waiting: HashMap<ConnKey, Arc<PeerFacts>>,
}

/// What handlers decide about a connection before its CONNECT.
pub(crate) enum Entry {
    /// It may come in.
    Free,
    Refused(Denial),
    /// They need time: the decision comes as mail.
    Later,
}

impl<D: Driver> Worker<D> {
    /// A transport is open, its handshakes done: the core hears of it, unless handlers object.
    pub(crate) fn welcome(&mut self, key: ConnKey, peer: Arc<PeerFacts>) {
        let client = self.decider.newcomer(&peer);
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.phase = Phase::Reading;
        link.client.clone_from(&client);
        match self.decider.before_connect(client, key, &self.port) {
            Entry::Free => self.handle(Input::Open { conn: key, peer }),
            Entry::Refused(denial) => self.turn_away(key, &peer, &denial),
            Entry::Later => {
                link.phase = Phase::Entering;
                self.entering.waiting.insert(key, peer);
            }
        }
    }

    /// A decision that took time.
    pub(crate) fn on_entry(&mut self, key: ConnKey, refused: Option<Denial>) {
        let Some(peer) = self.entering.waiting.remove(&key) else {
            return;
        };
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.phase = Phase::Reading;
        match refused {
            Some(denial) => self.turn_away(key, &peer, &denial),
            None => {
                self.handle(Input::Open { conn: key, peer });
                self.read_later(key, ReadUntil::Blocked);
            }
        }
    }

    /// Drops all that wait: the broker stops.
    pub(crate) fn drop_entering(&mut self) {
        for key in std::mem::take(&mut self.entering.waiting).into_keys() {
            self.forget(key);
        }
    }

    fn turn_away(&mut self, key: ConnKey, peer: &PeerFacts, denial: &Denial) {
        let text = denial.text.as_deref().unwrap_or("a handler objects");
        if let Some(gauge) = self.gauges.get(usize::from(peer.listener)) {
            gauge.count_turned_away();
            if self.openings.may_write_line(self.now) {
                info!(target: LOG, listener = gauge.name(), address = %peer.address, reason = %denial.reason, "refused before CONNECT: {text}");
            }
        }
        self.decider.notify(Notice::Refused(Refused {
            client_id: None,
            peer: Peer {
                listener: peer.listener,
                address: (&*peer.address).into(),
            },
            reason: denial.reason,
            text: text.into(),
        }));
        self.forget(key);
    }
}
