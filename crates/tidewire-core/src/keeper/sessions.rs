//! Kept sessions: a CONNECT that waits for their record, and what is written when their client goes.
//!
//! A session that was restored after a restart, one whose client was away and one that is taken over come back by the same
//! way: what is not in memory is read, the record is written, then the client is told.

use crate::admission::Admission;
use crate::conn::Phase;
use crate::core::Core;
use crate::event::SessionEnd;
use crate::keeper::cursors_of::Cursors;
use crate::keeper::horizon::name_of;
use crate::keeper::record::{SessionRecord, encode_session, encode_will};
use crate::keeper::{Pending, reading};
use crate::keys::{ConnKey, SessionAddress, SessionKey};
use crate::message::{Message, Origin};
use crate::outbound::{Delivery, InFlight, Stage};
use crate::route::interest::Interest;
use crate::session::Session;
use crate::shared::Presence;
use crate::store::{
    Durability, Location, SessionName, StoreAnswer, StoreOp, StoreRequest, StoredSession,
    Unavailability,
};
use crate::subscriptions::Subscription;
use crate::time::Time;
use crate::timers::Timer;
use std::sync::Arc;
use tidewire_codec::{PacketId, ReasonCode};

impl Core {
    /// Whether the store has a part in letting a client in.
    pub(crate) fn admission_needs_store(&self, admission: &Admission) -> bool {
        if self.keeper.is_none() {
            return false;
        }
        let existing = self
            .sessions
            .find(admission.principal.as_deref(), &admission.client_id)
            .and_then(|key| self.sessions.get(key));
        let kept = existing.is_some_and(|session| session.kept != Durability::Memory);
        let wants = self.wanted_durability(admission) != Durability::Memory
            // Also where it takes over from a session that ends with its connection.
            && (admission.will.is_some() || admission.session_expiry_secs > 0);
        let in_line = self
            .keeper
            .as_ref()
            .is_some_and(|keeper| keeper.admitting.contains_key(&name_in(admission)));
        kept || wants || in_line || self.is_cold()
    }

    fn wanted_durability(&self, admission: &Admission) -> Durability {
        self.listener_durability(Some(admission.peer.listener))
    }

    /// Puts a CONNECT in line for its session.
    pub(crate) fn begin_admission(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        admission: Admission,
    ) {
        let name = name_in(&admission);
        if let Some(conn) = self.conns.get_mut(key) {
            conn.phase = Phase::Admitting(Box::new(admission));
        }
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let line = keeper.admitting.entry(name).or_default();
        line.push_back(key);
        if line.len() == 1 {
            self.go_on_admitting(interest, key);
        }
    }

    /// First what is in memory gives way, then what is not in memory is read.
    fn go_on_admitting(&mut self, interest: &Interest, key: ConnKey) {
        let Some(admission) = self.admitting(key) else {
            return;
        };
        let name = name_in(&admission);
        let before = self
            .sessions
            .find(name.principal.as_deref(), &name.client_id);
        let kept = before.and_then(|key| self.sessions.get(key));
        let kept = kept.map_or(Durability::Memory, |session| session.kept);
        if let Some(session) = before {
            // Which may be its end.
            self.take_over(interest, session, &admission);
        }
        let existing = self
            .sessions
            .find(name.principal.as_deref(), &name.client_id);
        let session = existing.and_then(|key| self.sessions.get(key));
        let is_over =
            session.is_some_and(|session| session.conn.is_none() && session.ends <= self.now);
        if admission.clean_start || is_over {
            let cause = if is_over {
                SessionEnd::Expired
            } else {
                SessionEnd::CleanStart
            };
            self.end_session(interest, existing, cause);
            return self.write_admission(key, &admission, kept);
        }
        let unloaded = existing
            .and_then(|key| self.sessions.get(key))
            .map_or(self.is_cold(), |session| {
                session.kept != Durability::Memory && session.cursors.is_none()
            });
        if unloaded {
            self.ask_store(StoreRequest::Load(name.clone()), Pending::Load(key, name));
        } else {
            self.write_admission(key, &admission, Durability::Memory);
        }
    }

    fn admitting(&self, key: ConnKey) -> Option<Admission> {
        match &self.conns.get(key)?.phase {
            Phase::Admitting(admission) => Some(Admission::clone(admission)),
            _ => None,
        }
    }

    pub(super) fn on_loaded(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        name: &SessionName,
        answer: StoreAnswer,
    ) {
        let Some(admission) = self.admitting(key) else {
            return self.next_in_line(interest, name);
        };
        match answer {
            StoreAnswer::Session(stored) => {
                let session = self.session_of_record(name, stored.as_deref());
                if let (Some(session), Some(stored)) = (session, stored) {
                    self.load_cursors(session, *stored);
                } else if let Some(session) = session {
                    // Its record is gone, as after damage: there is nothing to resume but what memory has.
                    self.load_cursors(session, StoredSession::default());
                }
            }
            StoreAnswer::Unreadable(_) | StoreAnswer::Unavailable(_) => {
                return self.refuse_unstored(interest, key, &admission, None);
            }
            _ => {}
        }
        if !self.awaits_bound_messages(name) {
            self.write_admission(key, &admission, Durability::Memory);
        }
    }

    fn awaits_bound_messages(&self, name: &SessionName) -> bool {
        let session = self
            .sessions
            .find(name.principal.as_deref(), &name.client_id);
        let session = session.and_then(|key| self.sessions.get(key));
        let cursors = session.and_then(|session| session.cursors.as_ref());
        cursors.is_some_and(|cursors| !cursors.awaited.is_empty())
    }

    /// The session of a name, made from its record if there is none yet.
    fn session_of_record(
        &mut self,
        name: &SessionName,
        stored: Option<&StoredSession>,
    ) -> Option<SessionKey> {
        if let Some(key) = self
            .sessions
            .find(name.principal.as_deref(), &name.client_id)
        {
            return Some(key);
        }
        let record = SessionRecord::decode(&stored?.record)?;
        self.restore_session(name, record)
    }

    /// Makes a session as its record says, without its client. One whose time is over is not made, but deleted.
    pub(super) fn restore_session(
        &mut self,
        name: &SessionName,
        record: SessionRecord,
    ) -> Option<SessionKey> {
        let clock = self.keeper.as_ref()?.config.clock;
        let left = record.left_ms.map_or(self.now, |at| clock.time_of(at));
        // How long it had been left when this process began counts too.
        let gone_ms = record
            .left_ms
            .map_or(0, |at| clock.origin_ms.saturating_sub(at));
        let left_secs = u64::from(record.expiry_secs).saturating_sub(gone_ms / 1000);
        let ends = match record.expiry_secs {
            u32::MAX => Time::NEVER,
            _ => left.plus_secs(left_secs),
        };
        let mut session = Session::new(
            Arc::new(Origin {
                address: SessionAddress {
                    worker: self.config.worker,
                    key: self.sessions.next_key(),
                },
                client_id: Box::from(&*name.client_id),
                principal: name.principal.clone(),
                listener: record.listener,
            }),
            record.version,
        );
        session.expiry_secs = record.expiry_secs;
        session.kept = match self.listener_durability(Some(record.listener)) {
            Durability::Memory => Durability::Sync,
            durability => durability,
        };
        session.ends = ends;
        self.stats.sessions += 1;
        let key = self.sessions.insert(session);
        for (filter, options, identifier) in record.subscriptions {
            let subscription = Subscription {
                options,
                identifier,
                since: u64::MAX,
                former: None,
            };
            self.restore_subscription(key.slot, &filter, subscription);
        }
        // Whoever enters a group is taken for connected.
        self.announce_presence(key, Presence::Offline);
        if ends != Time::NEVER {
            self.timers
                .schedule(ends.max(self.now), Timer::SessionEnds(key));
        }
        Some(key)
    }

    /// Takes over what the store has of a session that is in memory.
    pub(super) fn load_cursors(&mut self, key: SessionKey, stored: StoredSession) {
        let Some(keeper) = &self.keeper else { return };
        let shards = keeper.config.shards;
        let horizons = keeper.round.horizons().to_vec();
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let mut cursors = Cursors::load(shards, stored.cursors, &horizons);
        cursors.owned = stored.filters.is_some();
        for (filter, since) in stored.filters.into_iter().flatten() {
            if let Some(subscription) = session.subscriptions.get_mut(&filter) {
                subscription.since = since;
            }
        }
        for id in stored.marks.into_iter().filter_map(PacketId::new) {
            session.inbound.get_or_insert_default().insert(id);
            session.marks.get_or_insert_default().insert(id);
        }
        let mut bindings = stored.bindings;
        bindings.sort_unstable_by_key(|binding| binding.at);
        let mut reads = Vec::new();
        let outbound = session.outbound_mut();
        for binding in bindings {
            let Some(id) = PacketId::new(binding.packet_id) else {
                continue;
            };
            if outbound.find(id).is_some() {
                continue;
            }
            let cursor = cursors.at_mut(binding.at);
            if binding.received {
                if let Some(cursor) = cursor {
                    cursor.note_open(binding.at.offset);
                    cursor.finish(binding.at.offset);
                }
                outbound.restore(InFlight {
                    id,
                    stage: Stage::Completion,
                    delivery: None,
                    stored: Some(binding.at),
                });
            } else {
                if let Some(cursor) = cursor {
                    cursor.note_open(binding.at.offset);
                }
                cursors.awaited.push((binding.at, id));
                reads.push(binding.at);
            }
        }
        session.cursors = Some(Box::new(cursors));
        for at in reads {
            let request = StoreRequest::Read {
                shard: at.shard,
                from: at.offset,
                filters: Arc::new([]),
                most: 1,
                most_bytes: 1,
            };
            self.ask_store(request, Pending::BoundPage { session: key, at });
        }
    }

    /// A message that was bound to an identifier before a restart is there again, or is gone.
    pub(super) fn on_bound_page(
        &mut self,
        interest: &Interest,
        key: SessionKey,
        at: Location,
        answer: StoreAnswer,
    ) {
        let message = match answer {
            StoreAnswer::Page(page) => page.messages.into_iter().next(),
            _ => None,
        };
        let message = message.filter(|(offset, _)| *offset == at.offset);
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(cursors) = &mut session.cursors else {
            return;
        };
        let Some(place) = cursors.awaited.iter().position(|(it, _)| *it == at) else {
            return;
        };
        let (_, id) = cursors.awaited.swap_remove(place);
        match message {
            Some((_, message)) => self.restore_bound(key, id, at, message),
            None => {
                cursors.completed.push(id);
                self.done_with(key.slot, Some(at));
            }
        }
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let name = name_of(session);
        if self.awaits_bound_messages(&name) {
            return;
        }
        let line = self.keeper.as_ref().and_then(|k| k.admitting.get(&name));
        let Some(conn) = line.and_then(|line| line.front().copied()) else {
            return;
        };
        match self.admitting(conn) {
            Some(admission) => self.write_admission(conn, &admission, Durability::Memory),
            None => self.next_in_line(interest, &name),
        }
    }

    fn restore_bound(&mut self, key: SessionKey, id: PacketId, at: Location, message: Message) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let own = reading::is_by(session, &message);
        let merged = reading::merged(session, message.topic(), u64::MAX, own);
        let delivery = Delivery {
            qos: tidewire_codec::Qos::ExactlyOnce,
            retain: message.retain() && merged.as_ref().is_some_and(|m| m.retain_as_published),
            identifiers: merged.map(|merged| merged.identifiers).unwrap_or_default(),
            message,
            group: None,
            stored: Some(at),
        };
        self.stats.queued_bytes += delivery.message.cost_bytes();
        session.outbound_mut().restore(InFlight {
            id,
            stage: Stage::Receipt,
            delivery: Some(delivery),
            stored: Some(at),
        });
    }

    /// Writes what CONNECT changes of a session on disk; or lets the client in at once if it changes nothing. `ended` is how
    /// the session was kept that Clean Start has just ended: CONNACK waits until it is gone from disk, too.
    fn write_admission(&mut self, key: ConnKey, admission: &Admission, ended: Durability) {
        let name = name_in(admission);
        let limit = self.config.limits.max_session_expiry_secs;
        let expiry_secs = admission.session_expiry_secs.min(limit);
        let wanted = self.wanted_durability(admission);
        let existing = self
            .sessions
            .find(name.principal.as_deref(), &name.client_id);
        let session = existing.and_then(|key| self.sessions.get(key));
        let mut ops = Vec::new();
        let was_kept = ended != Durability::Memory;
        if session.is_none() && (was_kept || self.is_cold()) {
            ops.extend([StoreOp::DeleteSession, StoreOp::DeleteWill]);
        }
        let (kept, fresh);
        let record_of = match session {
            Some(session) => {
                kept = session.kept;
                session
            }
            None => {
                kept = if expiry_secs > 0 {
                    wanted
                } else {
                    Durability::Memory
                };
                fresh = fresh_session(admission);
                &fresh
            }
        };
        if kept != Durability::Memory {
            ops.push(StoreOp::PutSession(encode_session(
                record_of,
                expiry_secs,
                None,
            )));
        }
        match &admission.will {
            Some(will) if wanted != Durability::Memory => {
                let listener = admission.peer.listener;
                ops.push(StoreOp::PutWill(encode_will(will, None, listener)));
            }
            // An old one was cancelled or published.
            _ if session.is_some() && kept != Durability::Memory => ops.push(StoreOp::DeleteWill),
            _ => {}
        }
        let durability = wanted.max(kept).max(ended).max(Durability::Os);
        let pending = Pending::Admit(key, name.clone());
        self.write_session(name, durability, ops, pending);
    }

    pub(super) fn on_admission_stored(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        name: &SessionName,
        answer: &StoreAnswer,
    ) {
        let Some(admission) = self.admitting(key) else {
            return self.next_in_line(interest, name);
        };
        match answer {
            StoreAnswer::Stored { .. } => {
                self.admit_now(interest, key, admission);
                self.outputs.push_back(crate::Output::Resume { conn: key });
                self.next_in_line(interest, name);
            }
            StoreAnswer::Unavailable(why) => {
                self.refuse_unstored(interest, key, &admission, Some(*why));
            }
            _ => self.refuse_unstored(interest, key, &admission, None),
        }
    }

    fn refuse_unstored(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        admission: &Admission,
        why: Option<Unavailability>,
    ) {
        self.stats.store_refused += 1;
        let (reason, text) = match why {
            Some(Unavailability::Full) => (ReasonCode::QuotaExceeded, "the store's disk is full"),
            Some(Unavailability::Busy) => (ReasonCode::ServerBusy, "the store is overloaded"),
            _ => (
                ReasonCode::ServerUnavailable,
                "the session could not be read or written",
            ),
        };
        self.refuse_admission(key, admission, reason, text);
        self.next_in_line(interest, &name_in(admission));
    }

    /// A CONNECT is dealt with: the next one of the same client.
    fn next_in_line(&mut self, interest: &Interest, name: &SessionName) {
        while let Some(keeper) = &mut self.keeper {
            let Some(line) = keeper.admitting.get_mut(name) else {
                return;
            };
            line.pop_front();
            let Some(next) = line.front().copied() else {
                keeper.admitting.remove(name);
                return;
            };
            if self.admitting(next).is_some() {
                return self.go_on_admitting(interest, next);
            }
        }
    }

    /// A kept session's client has gone: what waits for it is on disk from now on, and the record says so.
    /// One that is taken over is not written: its successor does that.
    pub(crate) fn leave_kept(&mut self, key: SessionKey, taken_over: bool) {
        let Some((name, durability)) = self.kept_name(key) else {
            return;
        };
        self.put_back_waiting(key);
        if taken_over {
            return;
        }
        let clock = self.keeper.as_ref().map(|keeper| keeper.config.clock);
        let now = self.now;
        let mut ops = self.cursor_ops(key);
        let Some((session, clock)) = self.sessions.get_mut(key).zip(clock) else {
            return;
        };
        let left = Some(clock.unix_ms(now).max(1));
        ops.push(StoreOp::PutSession(encode_session(
            session,
            session.expiry_secs,
            left,
        )));
        match &session.will {
            Some(will) if session.will_due != Time::NEVER => {
                let due = Some(clock.unix_ms(session.will_due).max(1));
                ops.push(StoreOp::PutWill(encode_will(
                    will,
                    due,
                    session.origin.listener,
                )));
            }
            _ => ops.push(StoreOp::DeleteWill),
        }
        // With nothing in flight all that is known of its queue is on disk.
        if let Some(cursors) = &session.cursors
            && !cursors.holds_open()
            && cursors.awaited.is_empty()
        {
            session.cursors = None;
        }
        self.write_session(name, durability, ops, Pending::Lazy);
    }

    fn put_back_waiting(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(cursors) = session.cursors.as_mut() else {
            return;
        };
        for cursor in &mut cursors.shards {
            cursor.fall_behind();
            cursor.reading = 0;
        }
        let Some(outbound) = session.outbound.as_mut() else {
            return;
        };
        outbound.end_scans();
        let back =
            outbound.withdraw(|delivery| delivery.stored.is_some() && delivery.group.is_none());
        for delivery in back {
            let bytes = delivery.message.cost_bytes();
            self.stats.queued_messages = self.stats.queued_messages.saturating_sub(1);
            self.stats.queued_bytes = self.stats.queued_bytes.saturating_sub(bytes);
            let cost = delivery.message.parts().cost_bytes();
            session.behind.add(&mut self.stats, cost);
            if let Some(at) = delivery.stored
                && let Some(cursor) = cursors.at_mut(at)
            {
                cursor.leave_unread(at.offset);
            }
        }
    }

    /// A kept session has ended: nothing of it stays.
    pub(crate) fn delete_kept(&mut self, session: &Session) {
        if session.kept != Durability::Memory {
            let ops = vec![StoreOp::DeleteSession, StoreOp::DeleteWill];
            self.write_session(name_of(session), session.kept, ops, Pending::Lazy);
        }
    }
}

/// A session as CONNECT makes it, for its record alone.
fn fresh_session(admission: &Admission) -> Session {
    let address = SessionAddress {
        worker: crate::WorkerId(0),
        key: SessionKey {
            slot: 0,
            generation: 0,
        },
    };
    let origin = Origin {
        address,
        client_id: admission.client_id.clone(),
        principal: admission.principal.clone(),
        listener: admission.peer.listener,
    };
    Session::new(Arc::new(origin), admission.version)
}

fn name_in(admission: &Admission) -> SessionName {
    SessionName {
        principal: admission.principal.clone(),
        client_id: Arc::from(&*admission.client_id),
    }
}
