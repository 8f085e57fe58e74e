//! A message on its way through the store: handed over, and delivered and acknowledged once it is there.
//!
//! The messages of one publisher come back in their order, as they are in one shard. Those of a topic that has a retained
//! message on the way stand in a lane, so that the last one delivered is the one that is retained.

use crate::ack::{Permit, Received};
use crate::ack_lane::{Receipt, Wait};
use crate::conn::Failure;
use crate::core::Core;
use crate::keeper::{Pending, is_here, permit_of};
use crate::keys::WorkerId;
use crate::mail::Item;
use crate::message::{Message, Parts};
use crate::publish::Matched;
use crate::route::interest::Interest;
use crate::store::{Append, Durability, Location, StoreAnswer, StoreRequest, Unavailability};
use std::collections::{BTreeMap, VecDeque};
use tidewire_codec::{Qos, ReasonCode};

/// What became of a message that was published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Published {
    /// It is delivered.
    Now(Matched),
    /// It will be, and its receipt settled, when the store has answered.
    Later,
}

/// Topics whose messages must not pass each other, by hash.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    topics: BTreeMap<u64, VecDeque<InLane>>,
    next: u64,
}

#[derive(Debug)]
struct InLane {
    number: u64,
    message: Message,
    receipt: Option<Receipt>,
    /// The worker that waits to hear that it is handed on.
    fence: Option<WorkerId>,
    owed: bool,
    stored: Stored,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stored {
    Waits,
    /// It is, or need not be.
    Ready(Option<Location>),
    /// It is not, and its publisher is told so.
    Refused(ReasonCode),
}

impl Lanes {
    /// Places of messages that are stored and not handed on.
    pub(super) fn held(&self) -> Vec<Location> {
        let all = self.topics.values().flatten();
        all.filter_map(|item| match item.stored {
            Stored::Ready(at) => at,
            _ => None,
        })
        .collect()
    }
}

/// Where a message came from, besides its publisher.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Way {
    pub(crate) receipt: Option<Receipt>,
    pub(crate) fence: Option<WorkerId>,
    /// It must not pass what this connection has published before.
    pub(crate) behind: Option<Received>,
}

impl Core {
    /// A receipt for a message that may have to be stored here or at its topic's owner.
    pub(crate) fn receipt_for(&self, received: Received) -> Option<Receipt> {
        if self.keeper.is_none() || received.qos == Qos::AtMostOnce {
            return None;
        }
        let conn = self.conns.get(received.conn)?;
        let session = self.sessions.session_in(conn.session);
        Some(Receipt {
            worker: self.config.worker,
            received,
            place: None,
            v5: conn.version.is_v5(),
            marks: received.qos == Qos::ExactlyOnce
                && session.is_some_and(|session| session.kept != Durability::Memory),
        })
    }

    /// Stores a message if it has to be, or hands it on.
    pub(crate) fn publish_here(
        &mut self,
        interest: &Interest,
        parts: &Parts<'_>,
        message: Option<&Message>,
        way: Way,
    ) -> Published {
        if self.keeper.is_none() {
            if parts.retain {
                self.retain(parts, message);
            }
            return Published::Now(self.fan_out(interest, parts, message));
        }
        let durability = self.durability_of(parts.origin.map(|o| o.listener), parts.topic);
        let owed = self.is_owed_on_disk(interest, parts) && durability != Durability::Memory;
        let retained =
            parts.retain && durability != Durability::Memory && !parts.topic.starts_with('$');
        let hash = self.home_hash(parts.topic);
        let in_lane = retained || self.has_lane(hash) || (owed && way.fence.is_some());
        if let Some(received) = way.behind
            && let Some(lane) = self.lane(received.conn)
            && (lane.holds(hash) || (!owed && !in_lane && lane.waits_for(hash)))
        {
            let message = self.message_of(parts, message);
            self.hold_message(message, received);
            return Published::Later;
        }
        if !owed && !in_lane {
            if parts.retain {
                self.retain(parts, message);
            }
            return Published::Now(self.fan_out(interest, parts, message));
        }
        let message = self.message_of(parts, message);
        let receipt = way
            .receipt
            .map(|receipt| self.reserve_receipt(receipt, Wait::Here, hash));
        let append = (owed || retained).then(|| Append {
            owed,
            version: retained.then(|| self.next_version()),
            mark: receipt
                .filter(|r| r.marks)
                .and_then(|r| r.received.packet_id),
            durability,
            message: message.clone(),
        });
        if in_lane {
            self.enter_lane(hash, message, receipt, way.fence, append);
        } else if let Some(append) = append {
            let pending = Pending::Publish {
                message,
                receipt,
                owed,
            };
            self.note_mark(receipt);
            self.stats.store_appends += 1;
            self.ask_store(StoreRequest::Append(append), pending);
        }
        Published::Later
    }

    /// Whether the store has to have a message before it is acknowledged: somebody is owed it there, or may be.
    fn is_owed_on_disk(&mut self, interest: &Interest, parts: &Parts<'_>) -> bool {
        if parts.qos == Qos::AtMostOnce || parts.topic.starts_with('$') {
            return false;
        }
        if self.is_cold() {
            return true;
        }
        let slot = self.route_of(interest, parts.topic);
        let route = self.routes.take(slot);
        let stored = route.stored;
        self.routes.put(slot, route);
        stored
    }

    /// The place of a receipt of this worker's own; another's has one.
    pub(crate) fn reserve_receipt(
        &mut self,
        mut receipt: Receipt,
        wait: Wait,
        topic: u64,
    ) -> Receipt {
        if is_here(self, receipt.worker) && receipt.place.is_none() {
            receipt.place = Some(self.reserve_ack(receipt.received, wait, topic));
        }
        receipt
    }

    /// The publisher's session knows from now on that the identifier is noted in the store.
    pub(crate) fn note_mark(&mut self, receipt: Option<Receipt>) {
        let Some(receipt) = receipt.filter(|receipt| receipt.marks) else {
            return;
        };
        let slot = self.session_of(receipt.received.conn);
        if is_here(self, receipt.worker)
            && let Some(id) = receipt.received.packet_id
            && let Some(session) = self.sessions.in_slot_mut(slot)
        {
            session.marks.get_or_insert_default().insert(id);
        }
    }

    /// Whether some topic's messages stand in a lane.
    pub(crate) fn has_lanes(&self) -> bool {
        let keeper = self.keeper.as_ref();
        keeper.is_some_and(|keeper| !keeper.lanes.topics.is_empty())
    }

    fn has_lane(&self, hash: u64) -> bool {
        let keeper = self.keeper.as_ref();
        keeper.is_some_and(|keeper| keeper.lanes.topics.contains_key(&hash))
    }

    fn next_version(&mut self) -> u64 {
        let micros = self.now.as_micros();
        let Some(keeper) = &mut self.keeper else {
            return 0;
        };
        let clock = keeper.config.clock.origin_ms.saturating_mul(1000);
        keeper.last_version = (keeper.last_version + 1).max(clock.saturating_add(micros));
        keeper.last_version
    }

    pub(super) fn saw_version(&mut self, version: u64) {
        if let Some(keeper) = &mut self.keeper {
            keeper.last_version = keeper.last_version.max(version);
        }
    }

    fn enter_lane(
        &mut self,
        hash: u64,
        message: Message,
        receipt: Option<Receipt>,
        fence: Option<WorkerId>,
        append: Option<Append>,
    ) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let number = keeper.lanes.next;
        keeper.lanes.next += 1;
        let owed = append.as_ref().is_some_and(|append| append.owed);
        let item = InLane {
            number,
            message,
            receipt,
            fence,
            owed,
            stored: if append.is_some() {
                Stored::Waits
            } else {
                Stored::Ready(None)
            },
        };
        keeper.lanes.topics.entry(hash).or_default().push_back(item);
        if let Some(append) = append {
            self.note_mark(receipt);
            self.stats.store_appends += 1;
            self.ask_store(
                StoreRequest::Append(append),
                Pending::Topic { hash, number },
            );
        }
    }

    pub(super) fn on_publish_stored(
        &mut self,
        interest: &Interest,
        message: Message,
        receipt: Option<Receipt>,
        owed: bool,
        answer: &StoreAnswer,
    ) {
        match permit_of(answer) {
            Ok((permit, at)) => {
                let reason = self.hand_on(interest, &message, owed.then_some(at));
                if let Some(receipt) = receipt {
                    self.settle(interest, receipt, reason, permit);
                }
            }
            Err(why) => match self.reason_to_refuse(receipt, why) {
                Some(reason) => self.refuse_to_store(interest, receipt, reason, why),
                None => {
                    let append = Append {
                        owed,
                        version: None,
                        mark: receipt
                            .filter(|r| r.marks)
                            .and_then(|r| r.received.packet_id),
                        durability: self.durability_of(
                            message.origin().map(|origin| origin.listener),
                            message.topic(),
                        ),
                        message: message.clone(),
                    };
                    let pending = Pending::Publish {
                        message,
                        receipt,
                        owed,
                    };
                    self.try_again(StoreRequest::Append(append), pending);
                }
            },
        }
    }

    pub(super) fn on_topic_stored(
        &mut self,
        interest: &Interest,
        hash: u64,
        number: u64,
        answer: &StoreAnswer,
    ) {
        let Some(item) = self.in_lane(hash, number) else {
            return;
        };
        let (receipt, message, owed) = (item.receipt, item.message.clone(), item.owed);
        let outcome = match permit_of(answer) {
            Ok((_, at)) => Stored::Ready(owed.then_some(at)),
            Err(why) => match self.reason_to_refuse(receipt, why) {
                Some(reason) => {
                    self.stats.store_refused += 1;
                    Stored::Refused(reason)
                }
                None => return self.store_topic_again(hash, number, message, receipt, owed),
            },
        };
        if let Some(item) = self.in_lane(hash, number) {
            item.stored = outcome;
        }
        self.serve_lane(interest, hash);
    }

    fn store_topic_again(
        &mut self,
        hash: u64,
        number: u64,
        message: Message,
        receipt: Option<Receipt>,
        owed: bool,
    ) {
        let listener = message.origin().map(|origin| origin.listener);
        let append = Append {
            owed,
            version: message.retain().then(|| self.next_version()),
            mark: receipt
                .filter(|r| r.marks)
                .and_then(|r| r.received.packet_id),
            durability: self.durability_of(listener, message.topic()),
            message,
        };
        let pending = Pending::Topic { hash, number };
        self.try_again(StoreRequest::Append(append), pending);
    }

    fn in_lane(&mut self, hash: u64, number: u64) -> Option<&mut InLane> {
        let lane = self.keeper.as_mut()?.lanes.topics.get_mut(&hash)?;
        lane.iter_mut().find(|item| item.number == number)
    }

    /// Hands on what stands first in a topic's lane and is stored.
    fn serve_lane(&mut self, interest: &Interest, hash: u64) {
        while let Some(item) = self.first_ready(hash) {
            match item.stored {
                Stored::Ready(at) => {
                    if item.message.retain() {
                        self.retain(&item.message.parts(), Some(&item.message));
                    }
                    let reason = self.hand_on(interest, &item.message, at);
                    if let Some(receipt) = item.receipt {
                        self.settle(interest, receipt, reason, Permit::of_receipt(&receipt));
                    }
                }
                Stored::Refused(reason) => match item.receipt {
                    Some(receipt) if receipt.v5 => {
                        self.settle(interest, receipt, reason, Permit::not_required());
                    }
                    Some(receipt) => self.on_untold(interest, receipt),
                    None => {}
                },
                Stored::Waits => {}
            }
            if let Some(worker) = item.fence {
                self.outbox.fence(worker, hash);
            }
        }
    }

    fn first_ready(&mut self, hash: u64) -> Option<InLane> {
        let keeper = self.keeper.as_mut()?;
        let lane = keeper.lanes.topics.get_mut(&hash)?;
        let ready = lane
            .front()
            .is_some_and(|item| item.stored != Stored::Waits);
        let item = ready.then(|| lane.pop_front()).flatten();
        if lane.is_empty() {
            keeper.lanes.topics.remove(&hash);
        }
        item
    }

    /// Delivers a stored message.
    pub(super) fn hand_on(
        &mut self,
        interest: &Interest,
        message: &Message,
        at: Option<Location>,
    ) -> ReasonCode {
        let mut parts = message.parts();
        parts.stored = at;
        self.fan_out(interest, &parts, Some(message)).reason()
    }

    /// The publisher may know, here or elsewhere.
    pub(crate) fn settle(
        &mut self,
        interest: &Interest,
        receipt: Receipt,
        reason: ReasonCode,
        permit: Permit,
    ) {
        if !is_here(self, receipt.worker) {
            let item = Item::Receipt { receipt, reason };
            return self.outbox.send(receipt.worker, item);
        }
        if reason.is_error() {
            self.forget_received(receipt);
        }
        self.settle_ack(interest, receipt, reason, permit);
    }

    /// A QoS 2 message that is refused is not held \[5.0 MQTT-4.3.3-9\].
    fn forget_received(&mut self, receipt: Receipt) {
        let slot = self.session_of(receipt.received.conn);
        let (Some(id), Some(session)) =
            (receipt.received.packet_id, self.sessions.in_slot_mut(slot))
        else {
            return;
        };
        if receipt.received.qos == Qos::ExactlyOnce {
            session.inbound.as_mut().map(|ids| ids.remove(id));
            session.marks.as_mut().map(|ids| ids.remove(id));
        }
    }

    /// What a publisher is told when its message could not be stored; `None` = it is stored later.
    fn reason_to_refuse(
        &self,
        receipt: Option<Receipt>,
        why: Option<Unavailability>,
    ) -> Option<ReasonCode> {
        match (why, receipt) {
            (Some(Unavailability::Busy), _) => None,
            // What cannot be told apart from success must not be said: it stays unacknowledged.
            (Some(Unavailability::Full), Some(receipt)) if receipt.v5 => {
                Some(ReasonCode::QuotaExceeded)
            }
            (Some(Unavailability::Full), _) => None,
            (Some(Unavailability::Failed), _) => Some(ReasonCode::ImplementationSpecificError),
            (None, _) => Some(ReasonCode::QuotaExceeded),
        }
    }

    fn refuse_to_store(
        &mut self,
        interest: &Interest,
        receipt: Option<Receipt>,
        reason: ReasonCode,
        _why: Option<Unavailability>,
    ) {
        self.stats.store_refused += 1;
        let Some(receipt) = receipt else { return };
        if receipt.v5 {
            self.settle(interest, receipt, reason, Permit::not_required());
        } else {
            self.on_untold(interest, receipt);
        }
    }

    /// A publisher that has no words for a refusal keeps its message: its connection ends.
    pub(crate) fn on_untold(&mut self, interest: &Interest, receipt: Receipt) {
        if !is_here(self, receipt.worker) {
            let reason = ReasonCode::ImplementationSpecificError;
            return self
                .outbox
                .send(receipt.worker, Item::Receipt { receipt, reason });
        }
        self.forget_received(receipt);
        let text = "the message could not be stored";
        let failure = Failure::new(ReasonCode::ImplementationSpecificError, text);
        self.fail_from(interest, receipt.received.conn, failure);
    }

    /// Another worker says what became of a message of this one's client.
    pub(crate) fn on_receipt(&mut self, interest: &Interest, receipt: Receipt, reason: ReasonCode) {
        if reason.is_error() && !receipt.v5 {
            return self.on_untold(interest, receipt);
        }
        self.settle(interest, receipt, reason, Permit::of_receipt(&receipt));
    }
}
