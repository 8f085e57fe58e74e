//! Retained messages: one for each topic, owned by one worker \[5.0 3.3.1.3\].

use crate::core::Core;
use crate::event::DropReason;
use crate::keys::{SessionKey, WorkerId};
use crate::mail::Item;
use crate::message::{Message, Parts};
use crate::outbound::{Delivery, Identifiers};
use crate::route::topic_tree::{Cursor, TopicTree};
use crate::scans::PageRequest;
use crate::time::Time;
use crate::timers::Timer;
use crate::wheel::Wheel;
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use tidewire_codec::topic;

/// Messages that a scan fetches at once: what waits for a client that reads nothing.
const PAGE_MESSAGES: usize = 256;
/// Bytes of messages after which a page ends.
const PAGE_BYTES: u64 = 256 * 1024;
/// Nodes of the topic tree that the scans of one turn visit, all together: a few milliseconds.
const STEPS_PER_TURN: usize = 8_192;

/// The retained messages that a worker owns.
#[derive(Debug)]
pub(crate) struct Retained {
    topics: TopicTree<Message>,
    /// What is left of [`STEPS_PER_TURN`].
    steps: usize,
    /// Who waits for the next turn's steps: a session or a request for each session that has scans.
    due: VecDeque<Due>,
    turn: Turn,
}

/// A scan that has to wait for its turn.
#[derive(Debug)]
enum Due {
    Session(SessionKey),
    Page {
        from: WorkerId,
        request: Box<PageRequest>,
    },
}

/// Whether the next turn's deadline is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Idle,
    Called,
}

impl Retained {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            topics: TopicTree::new(seed),
            steps: STEPS_PER_TURN,
            due: VecDeque::new(),
            turn: Turn::Idle,
        }
    }

    /// As [`TopicTree::visit_from`], expired messages included.
    pub(crate) fn visit(
        &self,
        filter: &str,
        from: Option<&Cursor>,
        steps: &mut usize,
        show: impl FnMut(&str, &Message) -> ControlFlow<()>,
    ) -> Option<Cursor> {
        self.topics.visit_from(filter, from, steps, show)
    }
}

impl Core {
    /// Keeps, replaces or removes a topic's message. Only its owner calls this.
    pub(crate) fn retain(&mut self, parts: &Parts<'_>, message: Option<&Message>) {
        if parts.payload.is_empty() {
            // [5.0 MQTT-3.3.1-6] [5.0 MQTT-3.3.1-7]
            let old = self.retained.topics.remove(parts.topic);
            self.uncount_retained(old.as_ref());
            if old.is_some() {
                self.report_retained(parts.topic, None);
            }
            return;
        }
        let message = self.message_of(parts, message);
        if !self.can_retain(&message) {
            self.stats.dropped_retained_full += 1;
            self.report_dropped(None, parts.topic, DropReason::RetainedFull);
            return;
        }
        self.stats.retained_messages += 1;
        self.stats.retained_bytes += message.cost_bytes();
        let old = self.retained.topics.insert(parts.topic, message);
        self.report_retained(parts.topic, Some(parts.payload.len()));
        self.uncount_retained(old.as_ref());
    }

    /// Whether a topic has a retained message in memory.
    pub(crate) fn retained_is_known(&self, topic: &str) -> bool {
        self.retained.topics.get(topic).is_some()
    }

    /// Whether a single message could be too much, so that it is worth a closer look.
    pub(crate) fn retained_is_nearly_full(&self) -> bool {
        let limits = &self.config.limits;
        let largest = u64::from(limits.max_packet_size_bytes) * 2;
        self.stats.retained_messages >= u64::from(limits.max_retained_messages)
            || self.stats.retained_bytes.saturating_add(largest) > limits.max_retained_bytes
    }

    /// Whether the store has room for a message in place of what its topic has now.
    pub(crate) fn can_retain(&self, message: &Message) -> bool {
        let old = self.retained.topics.get(message.topic());
        let limits = &self.config.limits;
        let others = self.stats.retained_messages - u64::from(old.is_some());
        let other_bytes = self
            .stats
            .retained_bytes
            .saturating_sub(old.map_or(0, Message::cost_bytes));
        others < u64::from(limits.max_retained_messages)
            && other_bytes.saturating_add(message.cost_bytes()) <= limits.max_retained_bytes
    }

    fn uncount_retained(&mut self, old: Option<&Message>) {
        if let Some(old) = old {
            self.stats.retained_messages -= 1;
            self.stats.retained_bytes = self.stats.retained_bytes.saturating_sub(old.cost_bytes());
        }
    }

    /// Sends a session what is retained for some filters, as it takes it. Until all is sent the session's other
    /// deliveries wait.
    pub(crate) fn scan_retained(&mut self, slot: u32, filters: Vec<Box<str>>) {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        if filters.is_empty() {
            return;
        }
        for filter in filters {
            session.scans.add(filter);
        }
        let subscriptions = &session.subscriptions;
        session.scans.drop_stale(subscriptions.len(), |filter| {
            subscriptions.get(filter).is_some()
        });
        self.pump(slot);
    }

    /// Fetches a page of what the session's scans find, if its client has taken all that came before; tells whether
    /// there is something to send.
    pub(crate) fn continue_scans(&mut self, slot: u32) -> bool {
        let limit = self.config.limits.max_queued_messages as usize;
        let mut fetched = false;
        while let Some(session) = self.sessions.in_slot_mut(slot) {
            if session.scans.is_empty() || session.conn.is_none() {
                return false;
            }
            let outbound = session.outbound.get_or_insert_default();
            outbound.hold_for_scan();
            if session.scans.is_done() {
                session.scans.clear();
                outbound.end_scans();
                return !outbound.waiting().is_empty();
            }
            let full = outbound.waiting_len() >= limit;
            if outbound.scanned_len() > 0 || (full && !outbound.waiting().is_empty()) {
                return fetched;
            }
            let Some(scan) = session.scans.current() else {
                return false;
            };
            if scan.asked {
                return false;
            }
            let (filter, owners_done) = (Arc::clone(&scan.filter), scan.owners_done);
            let known = session.subscriptions.get(&filter).is_some();
            match self.owner_at(&filter, owners_done).filter(|_| known) {
                None => self.finish_scan(slot),
                Some(owner) if owner != self.config.worker => {
                    self.ask_for_page(slot, owner);
                    return false;
                }
                Some(_) if self.retained.steps == 0 || !self.has_retained() => {
                    self.wait_for_scan_turn(slot);
                    return false;
                }
                Some(_) => self.fetch_page(slot, &filter),
            }
            fetched = true;
        }
        false
    }

    fn finish_scan(&mut self, slot: u32) {
        if let Some(session) = self.sessions.in_slot_mut(slot) {
            session.scans.finish();
        }
    }

    fn fetch_page(&mut self, slot: u32, filter: &str) {
        let session = self.sessions.in_slot_mut(slot);
        let scan = session.and_then(|session| session.scans.current());
        let cursor = scan.and_then(|scan| scan.cursor.take());
        let (messages, next) = self.read_page(filter, cursor.as_deref());
        self.take_page(slot, messages, next);
    }

    /// The owner whose messages come next: one for a topic, all for wildcards, this worker first.
    fn owner_at(&self, filter: &str, done: u16) -> Option<WorkerId> {
        let (here, workers) = (self.config.worker.0, self.config.workers);
        if topic::has_wildcards(filter) {
            let next = (u32::from(here) + u32::from(done)) % u32::from(workers);
            (done < workers).then_some(WorkerId(u16::try_from(next).unwrap_or(0)))
        } else {
            (done == 0).then(|| self.home_of(filter))
        }
    }

    fn ask_for_page(&mut self, slot: u32, owner: WorkerId) {
        let Some(key) = self.session_key(slot) else {
            return;
        };
        let Some(scan) = self
            .sessions
            .get_mut(key)
            .and_then(|session| session.scans.current())
        else {
            return;
        };
        scan.asked = true;
        let request = PageRequest {
            session: key,
            scan: scan.id,
            filter: Arc::clone(&scan.filter),
            cursor: scan.cursor.clone(),
        };
        self.outbox
            .send(owner, Item::ScanRetained(Box::new(request)));
    }

    /// Another worker asks for a page of what is retained here.
    pub(crate) fn on_scan(&mut self, from: WorkerId, request: Box<PageRequest>) {
        if self.retained.steps == 0 || !self.has_retained() {
            self.retained.due.push_back(Due::Page { from, request });
            self.call_scan_turn();
            return;
        }
        let (messages, next) = self.read_page(&request.filter, request.cursor.as_deref());
        let answer = Item::Retained {
            session: request.session,
            scan: request.scan,
            messages,
            next,
        };
        self.outbox.send(from, answer);
    }

    /// Another worker answers.
    pub(crate) fn on_scanned(
        &mut self,
        key: SessionKey,
        scan: u32,
        messages: Vec<Message>,
        next: Option<Box<Cursor>>,
    ) {
        let session = self.sessions.get_mut(key);
        let Some(scan) = session.and_then(|session| session.scans.asked(scan)) else {
            return;
        };
        scan.asked = false;
        self.take_page(key.slot, messages, next);
        self.pump(key.slot);
    }

    /// The unexpired retained messages that match a filter, as many as a page takes, and where the next page begins.
    fn read_page(
        &mut self,
        filter: &str,
        from: Option<&Cursor>,
    ) -> (Vec<Message>, Option<Box<Cursor>>) {
        let now = self.now;
        let limits = &self.config.limits;
        let most = PAGE_MESSAGES
            .min(limits.max_queued_messages as usize / 2)
            .max(1);
        let mut bytes = 0;
        let mut found = Vec::new();
        let mut expired = Vec::new();
        let show = |topic: &str, message: &Message| {
            if message.parts().is_expired(now) {
                expired.push(topic.to_owned());
            } else {
                bytes += message.cost_bytes();
                found.push(message.clone());
            }
            if found.len() >= most || bytes >= PAGE_BYTES {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let steps = &mut self.retained.steps;
        let next = self.retained.topics.visit_from(filter, from, steps, show);
        for topic in expired {
            let old = self.retained.topics.remove(&topic);
            self.uncount_retained(old.as_ref());
        }
        (found, next.map(Box::new))
    }

    /// Queues a page before everything else that waits.
    fn take_page(&mut self, slot: u32, messages: Vec<Message>, next: Option<Box<Cursor>>) {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        let Some(scan) = session.scans.current() else {
            return;
        };
        scan.owners_done += u16::from(next.is_none());
        scan.cursor = next;
        let (filter, done) = (Arc::clone(&scan.filter), scan.owners_done);
        let Some(subscription) = session.subscriptions.get(&filter).copied() else {
            return;
        };
        let outbound = session.outbound.get_or_insert_default();
        for message in messages {
            self.stats.queued_messages += 1;
            self.stats.queued_bytes += message.cost_bytes();
            outbound.enqueue_scanned(Delivery {
                qos: message.qos().min(subscription.options.qos),
                message,
                retain: true,
                identifiers: Identifiers::of(subscription.identifier),
                group: None,
                stored: None,
            });
        }
        if self.owner_at(&filter, done).is_none() {
            self.finish_scan(slot);
        }
    }

    fn wait_for_scan_turn(&mut self, slot: u32) {
        let Some(key) = self.session_key(slot) else {
            return;
        };
        let session = self.sessions.get_mut(key);
        if session.is_some_and(|session| session.scans.enter_queue()) {
            self.retained.due.push_back(Due::Session(key));
        }
        self.call_scan_turn();
    }

    /// Lets the scans that wait go on after everything that is ready now has had its turn.
    fn call_scan_turn(&mut self) {
        if self.retained.turn == Turn::Idle {
            self.retained.turn = Turn::Called;
            let now = self.now.as_micros();
            let tick = now - now % Wheel::<Timer>::TICK_MICROS;
            self.timers
                .schedule(Time::from_micros(tick), Timer::ScanTurn);
        }
    }

    pub(crate) fn on_scan_turn(&mut self) {
        self.retained.turn = Turn::Idle;
        self.retained.steps = STEPS_PER_TURN;
        for _ in 0..self.retained.due.len() {
            if self.retained.steps == 0 {
                break;
            }
            match self.retained.due.pop_front() {
                Some(Due::Session(key)) => {
                    let Some(session) = self.sessions.get_mut(key) else {
                        continue;
                    };
                    session.scans.leave_queue();
                    self.pump(key.slot);
                }
                Some(Due::Page { from, request }) => self.on_scan(from, request),
                None => break,
            }
        }
        if !self.retained.due.is_empty() {
            self.call_scan_turn();
        }
    }
}
