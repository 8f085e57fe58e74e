//! Events that are made only where somebody watches for them.

use crate::core::Core;
use crate::event::{DropReason, Event};
use crate::keys::ConnKey;
use crate::message::{Message, Origin, Parts};
use crate::output::Output;
use crate::watch::Watch;
use std::sync::Arc;
use tidewire_codec::{Ack, Qos};

impl Core {
    /// Whether anybody watches for this on any listener.
    #[inline]
    pub(crate) fn anybody_watches(&self, what: Watch) -> bool {
        self.watching.contains(what)
    }

    /// A message goes to its subscribers.
    #[inline]
    pub(crate) fn report_published(&mut self, parts: &Parts<'_>, message: Option<&Message>) {
        if self.anybody_watches(Watch::PUBLISHED) {
            let message = self.message_of(parts, message);
            self.tell(Event::Published { message });
        }
    }

    /// A message is dropped; `receiver` is the slot of the session that does not get it.
    #[inline]
    pub(crate) fn report_dropped(
        &mut self,
        receiver: Option<u32>,
        topic: &str,
        reason: DropReason,
    ) {
        if self.anybody_watches(Watch::DROPPED) {
            let receiver = receiver.and_then(|slot| self.origin_of(slot));
            self.tell(Event::Dropped {
                receiver,
                topic: topic.into(),
                reason,
            });
        }
    }

    pub(crate) fn report_retained(&mut self, topic: &str, payload_bytes: Option<usize>) {
        if self.anybody_watches(Watch::RETAINED) {
            self.tell(Event::RetainedChanged {
                topic: topic.into(),
                payload_bytes,
            });
        }
    }

    pub(crate) fn report_acknowledged(&mut self, key: ConnKey, ack: &Ack<'_>) {
        if let Some((origin, peer)) = self.watched(key, Watch::ACKNOWLEDGED) {
            self.tell(Event::Acknowledged {
                client_id: origin.client_id.clone(),
                peer,
                packet_id: ack.packet_id,
                reason: ack.reason,
            });
        }
    }

    pub(crate) fn report_pinged(&mut self, key: ConnKey) {
        if let Some((origin, peer)) = self.watched(key, Watch::PINGED) {
            let client_id = origin.client_id.clone();
            self.tell(Event::Pinged { client_id, peer });
        }
    }

    pub(crate) fn report_subscribed(&mut self, key: ConnKey, filter: &str, qos: Qos) {
        if let Some((origin, peer)) = self.watched(key, Watch::SUBSCRIPTIONS) {
            self.tell(Event::Subscribed {
                client_id: origin.client_id.clone(),
                principal: origin.principal.clone(),
                peer,
                filter: filter.into(),
                qos,
            });
        }
    }

    pub(crate) fn report_unsubscribed(&mut self, key: ConnKey, filter: &str) {
        if let Some((origin, peer)) = self.watched(key, Watch::SUBSCRIPTIONS) {
            self.tell(Event::Unsubscribed {
                client_id: origin.client_id.clone(),
                peer,
                filter: filter.into(),
            });
        }
    }

    pub(crate) fn report_will_armed(&mut self, key: ConnKey, topic: &str) {
        if let Some((origin, peer)) = self.watched(key, Watch::WILL_ARMED) {
            self.tell(Event::WillArmed {
                client_id: origin.client_id.clone(),
                peer,
                topic: topic.into(),
            });
        }
    }

    /// Who a live connection's client is, if its listener's watchers want to know of such a thing.
    fn watched(&self, key: ConnKey, what: Watch) -> Option<(Arc<Origin>, Arc<crate::PeerFacts>)> {
        let conn = self.conns.get(key)?;
        if !self.watch_of(conn.listener).contains(what) {
            return None;
        }
        Some((self.origin_of(conn.session)?, Arc::clone(&conn.peer)))
    }

    fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
