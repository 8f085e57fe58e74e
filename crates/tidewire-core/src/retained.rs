//! Retained messages: one for each topic, owned by one worker \[5.0 3.3.1.3\].

use crate::core::Core;
use crate::keys::SessionKey;
use crate::mail::Item;
use crate::message::{Message, Parts};
use crate::outbound::Delivery;
use crate::route::topic_tree::TopicTree;
use crate::session::Scan;
use tidewire_codec::{Qos, topic};

/// Messages in one piece of mail that answers a scan.
const SCAN_MAIL_MESSAGES: usize = 256;

/// The retained messages that a worker owns.
#[derive(Debug)]
pub(crate) struct Retained {
    topics: TopicTree<Message>,
    /// Subscriptions whose scan waits until the session has taken what an earlier one found, per session slot.
    waiting: std::collections::BTreeMap<u32, std::collections::VecDeque<Box<str>>>,
}

impl Retained {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            topics: TopicTree::new(seed),
            waiting: std::collections::BTreeMap::new(),
        }
    }
}

impl Core {
    /// Keeps, replaces or removes a topic's message. Only its owner calls this.
    pub(crate) fn retain(&mut self, parts: &Parts<'_>, message: Option<&Message>) {
        if parts.payload.is_empty() {
            // [5.0 MQTT-3.3.1-6] [5.0 MQTT-3.3.1-7]
            let old = self.retained.topics.remove(parts.topic);
            self.uncount_retained(old.as_ref());
            return;
        }
        let message = self.message_of(parts, message);
        let cost = message.cost_bytes();
        let old = self.retained.topics.remove(parts.topic);
        self.uncount_retained(old.as_ref());
        let limits = &self.config.limits;
        let full = self.stats.retained_messages >= u64::from(limits.max_retained_messages)
            || self.stats.retained_bytes.saturating_add(cost) > limits.max_retained_bytes;
        if full {
            // The former message is not the topic's last any more, so it does not stay either.
            self.stats.dropped_retained_full += 1;
            return;
        }
        self.stats.retained_messages += 1;
        self.stats.retained_bytes += cost;
        self.retained.topics.insert(parts.topic, message);
    }

    fn uncount_retained(&mut self, old: Option<&Message>) {
        if let Some(old) = old {
            self.stats.retained_messages -= 1;
            self.stats.retained_bytes = self.stats.retained_bytes.saturating_sub(old.cost_bytes());
        }
    }

    /// Sends a session what is retained for a filter: at once if all of it is owned here, else when every owner has
    /// answered. Until then the session's other deliveries wait.
    pub(crate) fn scan_retained(&mut self, slot: u32, filter: &str) {
        let limit = self.config.limits.max_queued_messages as usize;
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        let behind = session
            .outbound
            .as_ref()
            .is_some_and(|outbound| outbound.waiting().len() >= limit);
        if behind || self.retained.waiting.contains_key(&slot) {
            self.retained
                .waiting
                .entry(slot)
                .or_default()
                .push_back(filter.into());
            return;
        }
        self.begin_scan(slot, filter);
        self.pump(slot);
    }

    /// Starts a scan that had to wait until the session took what it was owed; tells whether there was one.
    pub(crate) fn begin_next_scan(&mut self, slot: u32) -> bool {
        if self.retained.waiting.is_empty() {
            return false;
        }
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return false;
        };
        let busy = session
            .outbound
            .as_ref()
            .is_some_and(|outbound| !outbound.waiting().is_empty());
        if busy || !session.scans.is_empty() || session.conn.is_none() {
            return false;
        }
        let Some(filters) = self.retained.waiting.get_mut(&slot) else {
            return false;
        };
        let next = filters.pop_front();
        if filters.is_empty() {
            self.retained.waiting.remove(&slot);
        }
        let Some(filter) = next else { return false };
        self.begin_scan(slot, &filter);
        true
    }

    fn begin_scan(&mut self, slot: u32, filter: &str) {
        self.retained_here(slot, filter);
        let others = self.owners_of(filter);
        let Some(key) = self.session_key(slot) else {
            return;
        };
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        if !others.is_empty() {
            let id = session.next_scan;
            session.next_scan = id.wrapping_add(1);
            session.outbound_mut().hold_for_scan();
            let pending = u16::try_from(others.len()).unwrap_or(u16::MAX);
            session.scans.push(Scan {
                id,
                pending,
                filter: filter.into(),
            });
            for worker in others {
                self.outbox.send(
                    worker,
                    Item::ScanRetained {
                        session: key,
                        scan: id,
                        filter: filter.into(),
                    },
                );
            }
        }
    }

    /// The other workers that may own retained messages of a filter: one for a topic, all for wildcards.
    fn owners_of(&self, filter: &str) -> Vec<crate::WorkerId> {
        let here = self.config.worker;
        if topic::has_wildcards(filter) {
            (0..self.config.workers)
                .map(crate::WorkerId)
                .filter(|worker| *worker != here)
                .collect()
        } else {
            [self.home_of(filter)]
                .into_iter()
                .filter(|worker| *worker != here)
                .collect()
        }
    }

    fn retained_here(&mut self, slot: u32, filter: &str) {
        let found = self.find_retained(filter);
        self.queue_retained(slot, filter, found);
    }

    /// The unexpired retained messages that match a filter.
    fn find_retained(&mut self, filter: &str) -> Vec<Message> {
        let now = self.now;
        let mut found = Vec::new();
        let mut expired = Vec::new();
        self.retained
            .topics
            .for_each_match(filter, |topic, message| {
                if message.parts().is_expired(now) {
                    expired.push(topic.to_owned());
                } else {
                    found.push(message.clone());
                }
            });
        for topic in expired {
            let old = self.retained.topics.remove(&topic);
            self.uncount_retained(old.as_ref());
        }
        found
    }

    /// Queues retained messages before everything else that waits. They do not count against the queue's limits: their
    /// number is bounded by the store, and one scan of a session runs at a time.
    fn queue_retained(&mut self, slot: u32, filter: &str, found: Vec<Message>) {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        let Some(subscription) = session.subscriptions.get(filter).copied() else {
            return;
        };
        let held = !session.scans.is_empty();
        let mut deliveries = Vec::with_capacity(found.len());
        for message in found {
            let qos: Qos = message.qos().min(subscription.options.qos);
            let identifiers = Self::identifiers_of(subscription.identifier);
            deliveries.push(Delivery {
                message,
                qos,
                retain: true,
                identifiers,
                group: None,
            });
        }
        self.stats.queued_messages += deliveries.len() as u64;
        self.stats.queued_bytes += deliveries
            .iter()
            .map(|delivery| delivery.message.cost_bytes())
            .sum::<u64>();
        let outbound = session.outbound_mut();
        if held {
            outbound.enqueue_scanned(deliveries);
        } else {
            deliveries
                .into_iter()
                .for_each(|delivery| outbound.enqueue(delivery));
        }
    }

    /// Another worker asks what is retained here.
    pub(crate) fn on_scan(
        &mut self,
        from: crate::WorkerId,
        session: SessionKey,
        scan: u32,
        filter: &str,
    ) {
        let mut found = self.find_retained(filter);
        while found.len() > SCAN_MAIL_MESSAGES {
            let rest = found.split_off(SCAN_MAIL_MESSAGES);
            self.outbox.send(
                from,
                Item::Retained {
                    session,
                    scan,
                    messages: found,
                    more: true,
                },
            );
            found = rest;
        }
        self.outbox.send(
            from,
            Item::Retained {
                session,
                scan,
                messages: found,
                more: false,
            },
        );
    }

    /// Another worker answers.
    pub(crate) fn on_scanned(
        &mut self,
        key: SessionKey,
        scan: u32,
        messages: Vec<Message>,
        more: bool,
    ) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(at) = session.scans.iter().position(|known| known.id == scan) else {
            return;
        };
        let Some(filter) = session.scans.get(at).map(|scan| scan.filter.clone()) else {
            return;
        };
        self.queue_retained(key.slot, &filter, messages);
        if more {
            return;
        }
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if let Some(scan) = session.scans.get_mut(at) {
            scan.pending -= 1;
            if scan.pending == 0 {
                session.scans.remove(at);
            }
        }
        if session.scans.is_empty() {
            session.outbound_mut().end_scans();
            self.pump(key.slot);
        }
    }

    /// Forgets the scans of a session that has no connection any more.
    pub(crate) fn drop_waiting_scans(&mut self, slot: u32) {
        self.retained.waiting.remove(&slot);
    }
}
