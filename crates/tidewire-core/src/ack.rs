//! Acknowledgements of received messages, and the permit without which none can be written.

use crate::ack_lane::{AckLane, Place, Receipt, Wait};
use crate::core::Core;
use crate::keeper::publish::Published;
use crate::keys::ConnKey;
use crate::message::Message;
use crate::output::Output;
use crate::route::interest::Interest;
use crate::store::Location;
use tidewire_codec::{PacketId, PacketType, Qos, ReasonCode};

/// The right to acknowledge one message: proof that it has reached the durability that its policy names. It is made
/// here only, so an early acknowledgement cannot be written by mistake.
#[derive(Debug)]
pub(crate) struct Permit(());

impl Permit {
    /// Nothing durable is owed for this message: it was refused, or its policy is `memory`.
    pub(crate) fn not_required() -> Self {
        Self(())
    }

    /// The store has answered that it is stored there.
    pub(crate) fn of_store(_at: Location) -> Self {
        Self(())
    }

    /// Another worker has had the store's answer, or had no need of one.
    pub(crate) fn of_receipt(_receipt: &Receipt) -> Self {
        Self(())
    }
}

/// A received message that wants an acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) conn: ConnKey,
    pub(crate) qos: Qos,
    pub(crate) packet_id: Option<PacketId>,
}

impl Core {
    /// PUBACK or PUBREC, as the QoS asks; nothing at QoS 0 \[5.0 MQTT-3.3.4-1\]. Behind others that wait for the store it
    /// waits too.
    pub(crate) fn acknowledge(&mut self, received: Received, reason: ReasonCode, permit: Permit) {
        if self.keeper.is_some()
            && received.qos != Qos::AtMostOnce
            && let Some(conn) = self.conns.get_mut(received.conn)
            && let Some(lane) = conn.acks.as_mut().filter(|lane| !lane.is_empty())
        {
            lane.push(Place::Ack(received, Wait::Ready(reason), 0));
            return;
        }
        self.acknowledge_now(received, reason, permit);
    }

    /// A place in the connection's lane for an acknowledgement whose permit the store will give.
    pub(crate) fn reserve_ack(&mut self, received: Received, wait: Wait, topic: u64) -> u32 {
        let conn = self.conns.get_mut(received.conn);
        conn.map_or(0, |conn| {
            let lane = conn.acks.get_or_insert_default();
            lane.push(Place::Ack(received, wait, topic))
        })
    }

    /// The acknowledgement of a receipt may go, and those that waited behind it.
    pub(crate) fn settle_ack(
        &mut self,
        interest: &Interest,
        receipt: Receipt,
        reason: ReasonCode,
        _permit: Permit,
    ) {
        let key = receipt.received.conn;
        if let Some(lane) = self.lane_of(key) {
            lane.ready(receipt.place, reason);
        }
        while let Some((place, what)) = self.lane_of(key).and_then(AckLane::take) {
            match what {
                // Whoever made it ready had a permit.
                Place::Ack(received, Wait::Ready(reason), _) => {
                    self.acknowledge_now(received, reason, Permit(()));
                }
                Place::Ack(..) => {}
                Place::Held(message, received, _) => {
                    self.publish_held(interest, &message, received, place);
                }
            }
        }
        self.drop_parted_lane(key);
        self.release_held(key);
    }

    /// What a connection has published and waits for the store.
    pub(crate) fn lane(&self, key: ConnKey) -> Option<&AckLane> {
        let conn = self.conns.get(key)?;
        conn.acks.as_deref().filter(|lane| !lane.is_empty())
    }

    /// Holds a message until what came before it is stored.
    pub(crate) fn hold_message(&mut self, message: Message, received: Received) {
        let topic = self.home_hash(message.topic());
        if let Some(conn) = self.conns.get_mut(received.conn) {
            let lane = conn.acks.get_or_insert_default();
            lane.push(Place::Held(message, received, topic));
        }
    }

    /// Whether so many messages of a connection wait for the store that it has to wait too.
    pub(crate) fn hold_for_store(&mut self, key: ConnKey) -> bool {
        let limit = usize::from(self.config.limits.receive_maximum);
        let Some(conn) = self.conns.get_mut(key) else {
            return false;
        };
        conn.held = conn.acks.as_ref().is_some_and(|lane| lane.len() >= limit);
        conn.held
    }

    /// A receipt for a held message whose connection has gone: it keeps its place, and nobody is told.
    fn receipt_of_parted(&self, received: Received) -> Option<Receipt> {
        let parted = self.keeper.as_ref()?.parted.contains_key(&received.conn);
        (parted && received.qos != Qos::AtMostOnce).then_some(Receipt {
            worker: self.config.worker,
            received,
            place: None,
            v5: true,
            marks: false,
        })
    }

    /// A held message's turn has come.
    fn publish_held(
        &mut self,
        interest: &Interest,
        message: &Message,
        received: Received,
        place: u32,
    ) {
        let receipt = self
            .receipt_for(received)
            .or_else(|| self.receipt_of_parted(received));
        let receipt = receipt.map(|receipt| Receipt {
            place: Some(place),
            ..receipt
        });
        let parts = message.parts();
        let published = self.publish_with(interest, &parts, Some(message), receipt, None);
        if let Published::Now(matched) = published
            && receipt.is_some()
            && let Some(lane) = self.lane_of(received.conn)
        {
            lane.ready(Some(place), matched.reason());
        }
    }

    /// The lane of a connection, which outlives it while something in it waits.
    fn lane_of(&mut self, key: ConnKey) -> Option<&mut AckLane> {
        if let Some(conn) = self.conns.get_mut(key).filter(|conn| conn.is_live()) {
            return conn.acks.as_deref_mut();
        }
        self.keeper
            .as_mut()?
            .parted
            .get_mut(&key)
            .map(|lane| &mut **lane)
    }

    /// A connection ends: what it has published and is held goes its way in its turn, and nothing is acknowledged any more.
    pub(crate) fn part_lane(&mut self, key: ConnKey) {
        let lane = self.conns.get_mut(key).and_then(|conn| conn.acks.take());
        if let (Some(lane), Some(keeper)) = (lane, self.keeper.as_mut())
            && !lane.is_empty()
        {
            keeper.parted.insert(key, lane);
        }
    }

    fn drop_parted_lane(&mut self, key: ConnKey) {
        if let Some(keeper) = &mut self.keeper
            && keeper.parted.get(&key).is_some_and(|lane| lane.is_empty())
        {
            keeper.parted.remove(&key);
        }
    }

    /// A connection that was not read because so many of its messages waited is read again.
    fn release_held(&mut self, key: ConnKey) {
        let limit = usize::from(self.config.limits.receive_maximum) / 2;
        if let Some(conn) = self.conns.get_mut(key)
            && conn.held
            && conn.acks.as_ref().is_none_or(|lane| lane.len() <= limit)
        {
            conn.held = false;
            self.outputs.push_back(Output::Resume { conn: key });
        }
    }

    fn acknowledge_now(&mut self, received: Received, reason: ReasonCode, _permit: Permit) {
        if !self
            .conns
            .get(received.conn)
            .is_some_and(|conn| conn.is_live())
        {
            return;
        }
        let Some(id) = received.packet_id else { return };
        let packet = match received.qos {
            Qos::AtMostOnce => return,
            Qos::AtLeastOnce => PacketType::PubAck,
            Qos::ExactlyOnce => PacketType::PubRec,
        };
        self.send_ack(received.conn, packet, id, reason);
    }

    /// PUBCOMP: the identifier is released.
    pub(crate) fn complete(
        &mut self,
        key: ConnKey,
        id: PacketId,
        reason: ReasonCode,
        _permit: Permit,
    ) {
        self.send_ack(key, PacketType::PubComp, id, reason);
    }
}
