//! QoS 2 of kept sessions: exactly once holds over a restart too.

use crate::ack_lane::{Receipt, Wait};
use crate::core::Core;
use crate::keeper::{Pending, permit_of};
use crate::keys::{ConnKey, SessionKey};
use crate::outbound::Stage;
use crate::route::interest::Interest;
use crate::send::{Copy, Sent};
use crate::store::{Location, StoreAnswer, StoreOp};
use tidewire_codec::{PacketId, PacketType, Qos, ReasonCode};

impl Core {
    /// A received message is repeated while its first copy may be on the way to the store: it is acknowledged behind that
    /// one. False: there is nothing to wait for.
    pub(crate) fn acknowledge_repeated(&mut self, receipt: Option<Receipt>) -> bool {
        let Some(mut receipt) = receipt.filter(|receipt| receipt.marks) else {
            return false;
        };
        let slot = self.session_of(receipt.received.conn);
        let (Some(id), Some(key)) = (receipt.received.packet_id, self.session_key(slot)) else {
            return false;
        };
        let session = self.sessions.session_in(slot);
        let marked = session
            .and_then(|session| session.marks.as_ref())
            .is_some_and(|marks| marks.contains(id));
        let (true, Some((name, durability))) = (marked, self.kept_name(key)) else {
            return false;
        };
        receipt.place = Some(self.reserve_ack(receipt.received, Wait::Here, 0));
        let ops = vec![StoreOp::Mark(id)];
        self.write_session(name, durability, ops, Pending::Repeat { receipt });
        true
    }

    pub(super) fn on_repeat_stored(
        &mut self,
        interest: &Interest,
        receipt: Receipt,
        answer: &StoreAnswer,
    ) {
        let slot = self.session_of(receipt.received.conn);
        let held = |id: PacketId| {
            let session = self.sessions.session_in(slot);
            session
                .and_then(|session| session.inbound.as_ref())
                .is_some_and(|ids| ids.contains(id))
        };
        let held = receipt.received.packet_id.is_some_and(held);
        match permit_of(answer) {
            Ok((permit, _)) if held => self.settle(interest, receipt, ReasonCode::Success, permit),
            // Its first copy was not stored after all.
            _ => self.on_untold(interest, receipt),
        }
    }

    /// PUBREL of an identifier that is noted on disk. False: it is not.
    pub(crate) fn release_marked(&mut self, key: ConnKey, id: PacketId) -> bool {
        let slot = self.session_of(key);
        let session = self.sessions.in_slot_mut(slot);
        let marks = session.and_then(|session| session.marks.as_mut());
        if !marks.is_some_and(|marks| marks.remove(id)) {
            return false;
        }
        let name = self.session_key(slot).and_then(|key| self.kept_name(key));
        let Some((name, durability)) = name else {
            return false;
        };
        let pending = Pending::Release { conn: key, id };
        self.write_session(name, durability, vec![StoreOp::Unmark(id)], pending);
        true
    }

    pub(super) fn on_release_stored(
        &mut self,
        interest: &Interest,
        conn: ConnKey,
        id: PacketId,
        answer: &StoreAnswer,
    ) {
        match permit_of(answer) {
            Ok((permit, _)) => {
                if self.conns.get(conn).is_some_and(|conn| conn.is_live()) {
                    self.complete(conn, id, ReasonCode::Success, permit);
                }
            }
            Err(_) => {
                // Whether it is released is not known: the client asks again on its next connection.
                let slot = self.session_of(conn);
                if let Some(session) = self.sessions.in_slot_mut(slot) {
                    session.inbound.get_or_insert_default().insert(id);
                    session.marks.get_or_insert_default().insert(id);
                }
                let text = "the release of a message could not be stored";
                let failure = crate::conn::Failure::new(ReasonCode::UnspecifiedError, text);
                self.fail_from(interest, conn, failure);
            }
        }
    }

    /// An outgoing message gets its identifier on disk before it is sent. False: its session is not kept.
    pub(crate) fn bind_first(&mut self, slot: u32, id: PacketId, at: Location) -> bool {
        let Some(key) = self.session_key(slot) else {
            return false;
        };
        let Some((name, durability)) = self.kept_name(key) else {
            return false;
        };
        // What the identifier said before is needed until the cursor says it.
        let cursors = self.sessions.get(key).and_then(|s| s.cursors.as_ref());
        let is_needed = cursors.is_some_and(|cursors| cursors.completed.contains(&id));
        let mut ops = if is_needed {
            self.cursor_ops(key)
        } else {
            Vec::new()
        };
        ops.push(StoreOp::Bind {
            packet_id: id,
            at,
            received: false,
        });
        self.write_session(name, durability, ops, Pending::Bind { session: key, id });
        true
    }

    pub(super) fn on_bound(&mut self, key: SessionKey, id: PacketId, answer: &StoreAnswer) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let conn = session.conn;
        let Some(outbound) = session.outbound.as_mut() else {
            return;
        };
        let Some(entry) = outbound.find(id).and_then(|at| outbound.at_mut(at)) else {
            return;
        };
        if entry.stage != Stage::Binding {
            return;
        }
        if !matches!(answer, StoreAnswer::Stored { .. }) {
            return self.bind_again(key, id);
        }
        entry.stage = Stage::Receipt;
        let (Some(conn), Some(delivery)) = (conn, entry.delivery.clone()) else {
            return;
        };
        if !outbound.is_sent(id) {
            // A resumed connection comes to it in its turn.
            return;
        }
        let copy = Copy {
            qos: Qos::ExactlyOnce,
            dup: false,
            retain: delivery.retain,
            packet_id: Some(id),
            identifiers: &delivery.identifiers,
        };
        let message = &delivery.message;
        if self.send_publish(conn, &message.parts(), Some(message), copy) == Sent::TooLarge {
            self.finish(key.slot, id, None);
            self.complete_bound(key.slot, id);
            self.group_finished(key.slot, delivery.group);
        }
    }

    fn bind_again(&mut self, key: SessionKey, id: PacketId) {
        let at = self.sessions.get(key).and_then(|session| {
            let outbound = session.outbound.as_ref()?;
            outbound.get(outbound.find(id)?)?.stored
        });
        let (Some(at), Some((name, durability))) = (at, self.kept_name(key)) else {
            return;
        };
        let request = crate::StoreRequest::Write {
            name,
            durability,
            ops: vec![StoreOp::Bind {
                packet_id: id,
                at,
                received: false,
            }],
        };
        self.try_again(request, Pending::Bind { session: key, id });
    }

    /// PUBREC has come for a bound message: PUBREL follows when that is noted. False: it is not bound.
    pub(crate) fn note_received(&mut self, slot: u32, id: PacketId) -> bool {
        let Some(key) = self.session_key(slot) else {
            return false;
        };
        let Some((name, durability)) = self.kept_name(key) else {
            return false;
        };
        let Some(session) = self.sessions.get_mut(key) else {
            return false;
        };
        let Some(outbound) = session.outbound.as_mut() else {
            return false;
        };
        let Some(entry) = outbound.find(id).and_then(|at| outbound.at_mut(at)) else {
            return false;
        };
        let (Some(at), Stage::Receipt) = (entry.stored, entry.stage) else {
            return entry.stage == Stage::Noting;
        };
        entry.stage = Stage::Noting;
        let ops = vec![StoreOp::Bind {
            packet_id: id,
            at,
            received: true,
        }];
        self.write_session(name, durability, ops, Pending::Note { session: key, id });
        true
    }

    pub(super) fn on_noted(&mut self, key: SessionKey, id: PacketId, answer: &StoreAnswer) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let conn = session.conn;
        let Some(outbound) = session.outbound.as_mut() else {
            return;
        };
        let sent = outbound.is_sent(id);
        let Some(entry) = outbound.find(id).and_then(|at| outbound.at_mut(at)) else {
            return;
        };
        if entry.stage != Stage::Noting {
            return;
        }
        if !matches!(answer, StoreAnswer::Stored { .. }) {
            // The client's next connection sends the message again, and PUBREC comes again.
            entry.stage = Stage::Receipt;
            self.stats.store_failures += 1;
            return;
        }
        entry.stage = Stage::Completion;
        let stored = entry.stored;
        let delivery = entry.delivery.take();
        if let Some(delivery) = delivery {
            self.uncharge(&delivery.message);
            self.group_finished(key.slot, delivery.group);
            if delivery.group.is_none() {
                self.done_with(key.slot, stored);
            }
        }
        if let Some(conn) = conn.filter(|_| sent) {
            self.send_ack(conn, PacketType::PubRel, id, ReasonCode::Success);
        }
    }

    /// The exchange for a bound message is over: its identifier is free on disk too when the cursor has been recorded.
    pub(crate) fn complete_bound(&mut self, slot: u32, id: PacketId) {
        let session = self.sessions.in_slot_mut(slot);
        if let Some(cursors) = session.and_then(|session| session.cursors.as_mut()) {
            cursors.completed.push(id);
            self.note_dirty(slot);
        }
    }
}
