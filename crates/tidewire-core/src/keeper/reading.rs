//! What a kept session is owed: live as it is stored, or read from the store, page by page as its client takes it.

use crate::core::Core;
use crate::cursors::{Feed, Gate};
use crate::keeper::Pending;
use crate::keys::SessionKey;
use crate::message::{Message, Parts};
use crate::outbound::{Delivery, Identifiers};
use crate::route::routes::Target;
use crate::session::Session;
use crate::store::{Durability, Location, StoreAnswer, StoreRequest};
use std::sync::Arc;
use tidewire_codec::{Qos, topic};

/// Stored messages that wait in memory for one client; more are left on disk until it has taken these.
const WINDOW_MESSAGES: usize = 256;
/// Bytes of them.
const WINDOW_BYTES: u64 = 512 * 1024;
/// Messages of one page.
const PAGE_MESSAGES: usize = 128;
/// Bytes after which a page ends.
const PAGE_BYTES: usize = 256 * 1024;

impl Core {
    /// Delivers a stored message to a session whose queue is kept on disk. False: it is not kept, and is delivered like
    /// any other.
    pub(crate) fn deliver_kept(
        &mut self,
        target: &Target,
        at: Location,
        parts: &Parts<'_>,
        message: &mut Option<Message>,
    ) -> bool {
        let slot = target.session;
        let limits = &self.config.limits;
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return true;
        };
        if session.kept == Durability::Memory {
            return false;
        }
        let key = session.conn;
        let full = session.behind.messages >= limits.max_kept_messages
            || session.behind.bytes.saturating_add(parts.cost_bytes()) > limits.max_kept_bytes;
        let mut live = key.is_some();
        if live {
            let waiting = session.outbound.as_ref();
            let room = waiting.is_none_or(|outbound| {
                outbound.waiting_len() < WINDOW_MESSAGES && outbound.waiting_bytes() < WINDOW_BYTES
            });
            let Some(cursor) = session.cursors.as_mut().and_then(|c| c.at_mut(at)) else {
                return true;
            };
            if !room {
                cursor.fall_behind();
            }
            live = cursor.feed == Feed::Live;
            if !cursor.offer(at.offset) {
                if !live {
                    self.leave_on_disk(slot, at, parts, full);
                }
                return true;
            }
        }
        if !live {
            self.leave_on_disk(slot, at, parts, full);
            return true;
        }
        let whole = self.message_of(parts, message.as_ref());
        *message = Some(whole.clone());
        let qos = parts.qos.min(target.qos);
        let delivery = Delivery {
            message: whole,
            qos,
            retain: parts.retain && target.retain_as_published,
            identifiers: target.identifiers.clone(),
            group: None,
            stored: Some(at),
        };
        match self.readiness(slot, qos) {
            crate::deliver::Readiness::Now(key) => self.send_first(slot, key, delivery),
            _ => self.enqueue_kept(slot, delivery),
        }
        true
    }

    /// Counts a message that waits on disk, or is not to be kept as too much waits.
    fn leave_on_disk(&mut self, slot: u32, at: Location, parts: &Parts<'_>, full: bool) {
        let key = self.session_key(slot);
        let (Some(session), Some(key)) = (self.sessions.in_slot_mut(slot), key) else {
            return;
        };
        if full {
            self.stats.dropped_queue_full += 1;
        } else {
            session.behind.add(&mut self.stats, parts.cost_bytes());
            if let Some(conn) = session.conn.and_then(|key| self.conns.get_mut(key)) {
                conn.owed = true;
            }
        }
        let gate = if full { Gate::Close } else { Gate::Open };
        match &mut session.cursors {
            Some(cursors) => {
                let cursor = cursors.at_mut(at);
                let changed = cursor.is_some_and(|cursor| cursor.set_gate(at.offset, gate));
                changed.then(|| self.note_dirty(slot));
            }
            // Which messages are kept must be said in the cursor, which is not in memory.
            None if full || session.gates.is_some() => {
                let name = super::horizon::name_of(session);
                let first = session.gates.is_none();
                session.gates.get_or_insert_default().push((at, gate));
                if first {
                    self.ask_store(StoreRequest::Load(name), Pending::Close(key));
                }
            }
            None => {}
        }
    }

    /// The cursors of an absent client are known: the next message that is too much closes them.
    pub(super) fn on_loaded_to_close(&mut self, key: SessionKey, answer: StoreAnswer) {
        let StoreAnswer::Session(Some(stored)) = answer else {
            return;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let gates = session.gates.take();
        if session.cursors.is_none() {
            self.load_cursors(key, *stored);
        }
        let cursors = self
            .sessions
            .get_mut(key)
            .and_then(|session| session.cursors.as_mut());
        if let Some(cursors) = cursors {
            for (at, gate) in gates.into_iter().flat_map(|gates| *gates) {
                if let Some(cursor) = cursors.at_mut(at) {
                    cursor.set_gate(at.offset, gate);
                }
            }
        }
        self.note_dirty(key.slot);
    }

    pub(crate) fn enqueue_kept(&mut self, slot: u32, delivery: Delivery) {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        self.stats.queued_messages += 1;
        self.stats.queued_bytes += delivery.message.cost_bytes();
        session.outbound_mut().enqueue(delivery);
        if let Some(conn) = session.conn.and_then(|key| self.conns.get_mut(key)) {
            conn.owed = true;
        }
    }

    /// A stored message is done with: sent and acknowledged, or not to be sent any more.
    pub(crate) fn done_with(&mut self, slot: u32, at: Option<Location>) {
        let Some(at) = at else { return };
        let session = self.sessions.in_slot_mut(slot);
        let cursors = session.and_then(|session| session.cursors.as_mut());
        if let Some(cursor) = cursors.and_then(|cursors| cursors.at_mut(at)) {
            cursor.finish(at.offset);
            self.note_dirty(slot);
        }
    }

    /// Reads on where the store has more for a session and memory has room.
    pub(crate) fn read_on(&mut self, slot: u32) {
        let Some(key) = self.session_key(slot) else {
            return;
        };
        let (Some(keeper), Some(session)) = (self.keeper.as_mut(), self.sessions.get_mut(key))
        else {
            return;
        };
        if session.conn.is_none() {
            return;
        }
        let waiting = session.outbound.as_ref();
        if waiting.is_some_and(|outbound| {
            outbound.waiting_len() >= WINDOW_MESSAGES / 2
                || outbound.waiting_bytes() >= WINDOW_BYTES / 2
        }) {
            return;
        }
        let Some(cursors) = session.cursors.as_mut().filter(|c| c.is_behind()) else {
            return;
        };
        let subscriptions = &session.subscriptions;
        let filters = cursors.filters.get_or_insert_with(|| {
            let owed = subscriptions
                .iter()
                .filter(|(filter, subscription)| subscription.is_owed() && !is_shared(filter));
            owed.map(|(filter, _)| Box::from(filter)).collect()
        });
        let filters = Arc::clone(filters);
        let mut reads = Vec::new();
        for (shard, cursor) in (0..).zip(cursors.shards.iter_mut()) {
            if cursor.feed == Feed::Live || cursor.reading != 0 {
                continue;
            }
            if filters.is_empty() {
                // Nothing is owed any more, and the store takes no filter at all for every message.
                cursor.finish_page(0, true);
                continue;
            }
            keeper.next_read = keeper.next_read.wrapping_add(1).max(1);
            cursor.begin_read(keeper.next_read);
            reads.push((shard, cursor.read_from(), keeper.next_read));
        }
        if !cursors.is_behind() {
            session.behind.clear(&mut self.stats);
        }
        for (shard, from, name) in reads {
            let request = StoreRequest::Read {
                shard,
                from,
                filters: Arc::clone(&filters),
                most: PAGE_MESSAGES,
                most_bytes: PAGE_BYTES,
            };
            let pending = Pending::Page {
                session: key,
                shard,
                name,
            };
            self.ask_store(request, pending);
        }
    }

    pub(super) fn on_page(&mut self, key: SessionKey, shard: u16, name: u32, answer: StoreAnswer) {
        let cursor = |core: &mut Self| -> Option<u32> {
            let session = core.sessions.get_mut(key)?;
            let cursors = session.cursors.as_mut()?;
            Some(cursors.shards.get_mut(usize::from(shard))?.reading)
        };
        if cursor(self) != Some(name) {
            return;
        }
        let StoreAnswer::Page(page) = answer else {
            self.stats.store_failures += 1;
            // Tried again when the client comes back or the session is owed more.
            if let Some(cursors) = self.sessions.get_mut(key).and_then(|s| s.cursors.as_mut())
                && let Some(cursor) = cursors.shards.get_mut(usize::from(shard))
            {
                cursor.reading = 0;
            }
            return;
        };
        self.stats.store_damaged += u64::from(page.damaged);
        for (offset, message) in page.messages {
            self.take_read(key, Location { shard, offset }, message);
        }
        if let Some(session) = self.sessions.get_mut(key)
            && let Some(cursors) = session.cursors.as_mut()
        {
            if let Some(cursor) = cursors.shards.get_mut(usize::from(shard)) {
                cursor.finish_page(page.next, page.at_head);
            }
            if !cursors.is_behind() {
                session.behind.clear(&mut self.stats);
            }
            self.note_dirty(key.slot);
        }
        self.pump(key.slot);
    }

    /// One message of a page.
    fn take_read(&mut self, key: SessionKey, at: Location, message: Message) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let own = is_by(session, &message);
        let merged = merged(session, message.topic(), at.offset, own);
        let Some(cursor) = session.cursors.as_mut().and_then(|c| c.at_mut(at)) else {
            return;
        };
        if !cursor.take_read(at.offset) {
            return;
        }
        session
            .behind
            .take(&mut self.stats, message.parts().cost_bytes());
        let Some(merged) = merged else {
            cursor.finish(at.offset);
            return;
        };
        if message.parts().is_expired(self.now) {
            cursor.finish(at.offset);
            self.stats.dropped_expired += 1;
            return;
        }
        self.stats.store_reads += 1;
        let delivery = Delivery {
            qos: message.qos().min(merged.qos),
            retain: message.retain() && merged.retain_as_published,
            identifiers: merged.identifiers,
            message,
            group: None,
            stored: Some(at),
        };
        self.enqueue_kept(key.slot, delivery);
    }
}

/// The subscriptions of a session that a stored message matches, as one.
pub(super) struct Merged {
    pub(super) qos: Qos,
    pub(super) retain_as_published: bool,
    pub(super) identifiers: Identifiers,
}

/// What a session's subscriptions say about a stored message; `None` = it is not for it (any more, or yet).
pub(super) fn merged(session: &Session, name: &str, offset: u64, own: bool) -> Option<Merged> {
    let mut found: Option<(Qos, bool, Vec<u32>)> = None;
    for (filter, subscription) in session.subscriptions.iter() {
        let options = subscription.options;
        let Some(granted) = subscription.qos_at(offset) else {
            continue;
        };
        if is_shared(filter) || (own && options.no_local) || !topic::matches(filter, name) {
            continue;
        }
        let (qos, retain, identifiers) = found.get_or_insert((Qos::AtMostOnce, false, Vec::new()));
        *qos = (*qos).max(granted);
        *retain |= options.retain_as_published;
        if subscription.identifier != 0 {
            identifiers.push(subscription.identifier);
        }
    }
    let (qos, retain_as_published, identifiers) = found?;
    // One that only a subscription of QoS 0 wants waits for nobody.
    (qos > Qos::AtMostOnce).then(|| Merged {
        qos,
        retain_as_published,
        identifiers: identifiers.into_iter().collect(),
    })
}

/// Whether a session published a message itself.
pub(super) fn is_by(session: &Session, message: &Message) -> bool {
    message.origin().is_some_and(|origin| {
        *origin.client_id == *session.client_id() && origin.principal == session.origin.principal
    })
}

/// Whether a subscription is a shared one: its group is owed the messages.
pub(super) fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}
