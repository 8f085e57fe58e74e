//! From a message and a target to bytes for a connection, or to a place in a session's queue.

use crate::budget::STRAINED_WAIT_BYTES;
use crate::core::Core;
use crate::event::DropReason;
use crate::keys::{ConnKey, SessionKey};
use crate::mail::{Publisher, Run};
use crate::message::{Message, Origin, Parts};
use crate::outbound::{Delivery, Stage};
use crate::route::routes::{Audience, Target};
use crate::send::{Copy, REFILL_BELOW_BYTES, Sent};
use crate::watch::Watch;
use std::sync::Arc;
use tidewire_codec::{PacketType, Qos, ReasonCode};

/// What a session can do with a delivery now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Readiness {
    /// Send it.
    Now(ConnKey),
    /// Queue it: something must come first, or there is no room.
    Later,
    /// No client is connected.
    Away,
}

impl Core {
    /// Delivers one message to one session, as its subscription says.
    pub(crate) fn deliver(
        &mut self,
        target: &Target,
        parts: &Parts<'_>,
        message: &mut Option<Message>,
    ) {
        if target.audience != Audience::Everybody {
            let own = self.is_from(target.session, parts.origin);
            if own != (target.audience == Audience::Itself) {
                return;
            }
        }
        let qos = parts.qos.min(target.qos);
        if let Some(at) = parts.stored.filter(|_| qos > Qos::AtMostOnce)
            && self.deliver_kept(target, at, parts, message)
        {
            return;
        }
        let retain = parts.retain && target.retain_as_published;
        match self.readiness(target.session, qos) {
            Readiness::Now(key) if qos == Qos::AtMostOnce => {
                let copy = Copy {
                    qos,
                    dup: false,
                    retain,
                    packet_id: None,
                    identifiers: &target.identifiers,
                };
                self.send_qos0(key, parts, message.as_ref(), copy);
            }
            Readiness::Away if qos == Qos::AtMostOnce => {}
            readiness => {
                if message.is_none() {
                    *message = Some(Message::new(parts, &mut self.scratch));
                }
                let Some(message) = message.clone() else {
                    return;
                };
                let identifiers = target.identifiers.clone();
                let delivery = Delivery {
                    message,
                    qos,
                    retain,
                    identifiers,
                    group: None,
                    stored: None,
                };
                self.hand_over(target.session, readiness, delivery);
            }
        }
    }

    /// Sends a delivery or queues it.
    pub(crate) fn hand_over(&mut self, session: u32, readiness: Readiness, delivery: Delivery) {
        match readiness {
            Readiness::Now(key) => self.send_first(session, key, delivery),
            Readiness::Later | Readiness::Away => {
                self.enqueue(session, delivery);
                if self.anybody_watches(Watch::DELIVER) {
                    // Nothing else may come that would set it going.
                    self.pump(session);
                }
            }
        }
    }

    /// Whether a session's client is there and has room for one more of this QoS.
    #[inline]
    pub(crate) fn readiness(&mut self, session: u32, qos: Qos) -> Readiness {
        match self.readiness_of_client(session, qos) {
            // What handlers are asked about comes one after the other, out of the queue.
            Readiness::Now(key) if self.clears_deliveries(key) => Readiness::Later,
            readiness => readiness,
        }
    }

    #[inline]
    fn readiness_of_client(&mut self, session: u32, qos: Qos) -> Readiness {
        let allowance = self.in_flight_allowance();
        let Some(session) = self.sessions.in_slot_mut(session) else {
            return Readiness::Away;
        };
        let Some(key) = session.conn else {
            return Readiness::Away;
        };
        if !session.scans.is_empty() || (qos == Qos::AtMostOnce && session.holds_qos0()) {
            return Readiness::Later;
        }
        if qos == Qos::AtMostOnce {
            return Readiness::Now(key);
        }
        let quota = usize::from(session.quota).min(allowance);
        let free = session.outbound.as_ref().is_none_or(|outbound| {
            outbound.in_flight() < quota && outbound.waiting().is_empty() && !outbound.has_unsent()
        });
        let pending = self.conns.get(key).map_or(0, |conn| conn.pending_bytes());
        if free && pending < REFILL_BELOW_BYTES {
            Readiness::Now(key)
        } else {
            Readiness::Later
        }
    }

    fn is_from(&self, session: u32, origin: Option<&Arc<Origin>>) -> bool {
        origin.is_some_and(|origin| {
            origin.address.worker == self.config.worker
                && self.sessions.key_of(session) == Some(origin.address.key)
        })
    }

    /// QoS 0 to a receiver that is too far behind is dropped and counted.
    pub(crate) fn send_qos0(
        &mut self,
        key: ConnKey,
        parts: &Parts<'_>,
        message: Option<&Message>,
        copy: Copy<'_>,
    ) {
        let limit = self.config.limits.max_outbound_bytes as usize;
        let pending = self.conns.get(key).map_or(0, |conn| conn.pending_bytes());
        let behind = pending > STRAINED_WAIT_BYTES && self.is_strained();
        if behind || pending + parts.payload.len() > limit {
            self.stats.dropped_outbound_full += 1;
            let receiver = self.conns.get(key).map(|conn| conn.session);
            self.report_dropped(receiver, parts.topic, DropReason::SlowReader);
            return;
        }
        self.send_publish(key, parts, message, copy);
    }

    /// A run of QoS 0 frames to one session: one block copy where the frames fit as they are.
    #[inline]
    pub(crate) fn deliver_run(&mut self, target: &Target, from: Publisher<'_>, run: &Run<'_>) {
        let Some(session) = self.sessions.in_slot_mut(target.session) else {
            return;
        };
        let Some(key) = session.conn else { return };
        let held = session.holds_qos0() || self.clears_deliveries(key);
        let strained = self.is_strained();
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let fits = conn.version.is_v5() == run.v5
            && conn.outbound_aliases.is_none()
            && target.identifiers.is_none()
            && target.audience == Audience::Everybody
            && run.frame_len <= conn.max_packet_size_bytes as usize;
        let pending = conn.pending_bytes();
        let room = pending + run.frames.len() <= self.config.limits.max_outbound_bytes as usize;
        let behind = strained && pending > STRAINED_WAIT_BYTES;
        if held || !fits || !room || behind {
            return self.deliver_frames(target, from, run);
        }
        let late = !conn.backlog.is_empty() || conn.out.len() > crate::send::BACKLOG_FROM_BYTES;
        let queue = if late {
            &mut conn.backlog
        } else {
            &mut conn.out
        };
        queue.push(&mut self.pool, run.frames);
        if !conn.dirty {
            conn.dirty = true;
            self.dirty.push_back(key);
        }
        self.outbound_bytes += run.frames.len() as u64;
        let count = run.count();
        self.count_published(count as u64, count * (run.frame_len - run.payload_at));
    }

    fn deliver_frames(&mut self, target: &Target, from: Publisher<'_>, run: &Run<'_>) {
        let Some(origin) = self.origin_for(from) else {
            return;
        };
        for frame in run.each() {
            let parts = self.parts_of_frame(run, frame, &origin);
            self.deliver(target, &parts, &mut None);
        }
    }

    /// First sending of a delivery, for which [`Core::readiness`] has found room.
    pub(crate) fn send_first(&mut self, session: u32, key: ConnKey, delivery: Delivery) {
        let message = delivery.message.clone();
        if delivery.qos == Qos::AtMostOnce {
            let copy = Copy {
                qos: Qos::AtMostOnce,
                dup: false,
                retain: delivery.retain,
                packet_id: None,
                identifiers: &delivery.identifiers,
            };
            self.send_qos0(key, &message.parts(), Some(&message), copy);
            return;
        }
        let (qos, retain, identifiers) =
            (delivery.qos, delivery.retain, delivery.identifiers.clone());
        let group = delivery.group;
        let stored = delivery.stored.filter(|_| qos == Qos::ExactlyOnce);
        let Some(owner) = self.sessions.in_slot_mut(session) else {
            return;
        };
        self.stats.queued_bytes += message.cost_bytes();
        let outbound = owner.outbound_mut();
        let id = outbound.begin(delivery);
        if let Some(at) = stored
            && self.bind_first(session, id, at)
        {
            if let Some(owner) = self.sessions.in_slot_mut(session) {
                owner.outbound_mut().await_binding(id);
            }
            return;
        }
        let copy = Copy {
            qos,
            dup: false,
            retain,
            packet_id: Some(id),
            identifiers: &identifiers,
        };
        if self.send_publish(key, &message.parts(), Some(&message), copy) == Sent::TooLarge {
            self.finish(session, id, None);
            self.group_finished(session, group);
        }
    }

    /// Puts a delivery into a session's queue, or drops it where the queue is full or the message would not outlive its client.
    pub(crate) fn enqueue(&mut self, slot: u32, delivery: Delivery) {
        let limits = &self.config.limits;
        let Some(session) = self.sessions.session_in(slot) else {
            return;
        };
        let bytes = delivery.message.cost_bytes();
        let outbound = session.outbound.as_ref();
        let waiting_bytes = outbound.map_or(0, |outbound| outbound.waiting_bytes());
        let full = outbound.map_or(0, |outbound| outbound.waiting_len())
            >= limits.max_queued_messages as usize
            || waiting_bytes.saturating_add(bytes) > limits.max_queued_bytes
            || self.is_beyond_share(session, waiting_bytes, bytes);
        if full {
            self.stats.dropped_queue_full += 1;
            self.report_dropped(Some(slot), delivery.message.topic(), DropReason::QueueFull);
            self.group_finished(slot, delivery.group);
            return;
        }
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        session.outbound_mut().enqueue(delivery);
        let key = session.conn;
        self.stats.queued_messages += 1;
        self.stats.queued_bytes += bytes;
        if let Some(conn) = key.and_then(|key| self.conns.get_mut(key)) {
            conn.owed = true;
        }
    }

    /// Sends what a session's client has room for: what a resumed connection must repeat first, then what waits, then
    /// what scans of retained messages that had to wait find.
    pub(crate) fn pump(&mut self, slot: u32) {
        loop {
            self.send_waiting(slot);
            if !self.continue_scans(slot) {
                break;
            }
        }
        if self.keeper.is_some() {
            self.read_on(slot);
        }
        let Some(session) = self.sessions.session_in(slot) else {
            return;
        };
        let outbound = session.outbound.as_ref();
        let behind = session.cursors.as_ref();
        let owed = !session.scans.is_empty()
            || behind.is_some_and(|cursors| cursors.is_behind())
            || outbound
                .is_some_and(|outbound| outbound.has_unsent() || !outbound.waiting().is_empty());
        let key = session.conn;
        if let Some(conn) = key.and_then(|key| self.conns.get_mut(key)) {
            conn.owed = owed;
        }
    }

    fn send_waiting(&mut self, slot: u32) {
        let session = self.sessions.session_in(slot);
        if session.is_some_and(|session| session.clearing.is_some()) {
            return;
        }
        while let Some(key) = self.room_for_next(slot) {
            let Some(session) = self.sessions.in_slot_mut(slot) else {
                return;
            };
            let quota = usize::from(session.quota);
            let outbound = session.outbound_mut();
            if outbound.has_unsent() && outbound.in_flight() < quota {
                self.resend_next(slot, key);
                continue;
            }
            let Some(delivery) = outbound.dequeue() else {
                return;
            };
            self.stats.queued_messages = self.stats.queued_messages.saturating_sub(1);
            self.uncharge(&delivery.message);
            // [5.0 MQTT-3.3.2-5]
            if delivery.message.parts().is_expired(self.now) {
                self.stats.dropped_expired += 1;
                let topic = delivery.message.topic();
                self.report_dropped(Some(slot), topic, DropReason::Expired);
                if delivery.group.is_none() {
                    self.done_with(slot, delivery.stored);
                }
                self.group_finished(slot, delivery.group);
                continue;
            }
            if self.clears_deliveries(key) {
                return self.ask_about_delivery(slot, key, delivery);
            }
            self.send_first(slot, key, delivery);
        }
    }

    /// The connection to which the session may send its next delivery now.
    fn room_for_next(&mut self, slot: u32) -> Option<ConnKey> {
        let session = self.sessions.in_slot_mut(slot)?;
        let key = session.conn?;
        let quota = usize::from(session.quota);
        let held = !session.scans.is_empty();
        let outbound = session.outbound.as_mut()?;
        if outbound.in_flight() >= quota && !held {
            outbound.bring_qos0_forward();
        }
        let next_is_qos0 = outbound
            .waiting()
            .front()
            .is_some_and(|next| next.qos == Qos::AtMostOnce);
        let something = outbound.has_unsent() || !outbound.waiting().is_empty();
        let allowed = outbound.in_flight() < quota || next_is_qos0;
        let conn = self.conns.get(key)?;
        (something && allowed && conn.pending_bytes() < REFILL_BELOW_BYTES).then_some(key)
    }

    /// Repeats one message or release on a resumed connection \[5.0 MQTT-4.4.0-1\].
    fn resend_next(&mut self, slot: u32, key: ConnKey) {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        let Some(entry) = session.outbound_mut().next_unsent() else {
            return;
        };
        let id = entry.id;
        // The store's answer sends it.
        if matches!(entry.stage, Stage::Binding | Stage::Noting) {
            return;
        }
        let Some(delivery) = entry
            .delivery
            .clone()
            .filter(|_| entry.stage != Stage::Completion)
        else {
            self.send_ack(key, PacketType::PubRel, id, ReasonCode::Success);
            return;
        };
        let copy = Copy {
            qos: delivery.qos,
            dup: true,
            retain: delivery.retain,
            packet_id: Some(id),
            identifiers: &delivery.identifiers,
        };
        if self.send_publish(
            key,
            &delivery.message.parts(),
            Some(&delivery.message),
            copy,
        ) == Sent::TooLarge
        {
            self.finish(slot, id, None);
            self.group_finished(slot, delivery.group);
        }
    }

    /// Takes an entry out of flight, if it stands at `stage` (or anywhere).
    pub(crate) fn finish(
        &mut self,
        slot: u32,
        id: tidewire_codec::PacketId,
        stage: Option<Stage>,
    ) -> Option<crate::outbound::InFlight> {
        let outbound = self.sessions.in_slot_mut(slot)?.outbound.as_mut()?;
        let at = outbound.find(id)?;
        if stage.is_some_and(|stage| outbound.get(at).is_none_or(|entry| entry.stage != stage)) {
            return None;
        }
        let entry = outbound.finish(at)?;
        if let Some(delivery) = &entry.delivery {
            self.uncharge(&delivery.message);
            if delivery.group.is_none() {
                self.done_with(slot, entry.stored);
            }
        }
        Some(entry)
    }

    pub(crate) fn uncharge(&mut self, message: &Message) {
        self.stats.queued_bytes = self.stats.queued_bytes.saturating_sub(message.cost_bytes());
    }

    /// The session key in a slot, for mail and marks.
    pub(crate) fn session_key(&self, slot: u32) -> Option<SessionKey> {
        self.sessions.key_of(slot)
    }
}
