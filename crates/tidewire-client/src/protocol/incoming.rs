//! Messages from the server, and their acknowledgements in the order in which they came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tidewire_codec::{Ack, Packet, PacketId, PacketType, Publish, Qos, ReasonCode, Version};

use super::cause::Cause;
use super::machine::{Machine, Phase};
use super::output::{Delivery, Output};
use super::publish::Message;
use super::time::Time;

/// What is owed to the server for its messages.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    next_delivery: u64,
    /// PUBACKs that are owed on this connection, in the order of their messages.
    pubacks: VecDeque<Owed>,
    /// PUBRECs that are owed on this connection, in the order of their messages.
    pubrecs: VecDeque<Owed>,
    /// QoS 2 identifiers that the server has not released; they live as long as the session.
    unreleased: BTreeMap<PacketId, Unreleased>,
    /// Messages of this connection that count against the announced Receive Maximum.
    charged: usize,
}

#[derive(Debug)]
struct Owed {
    delivery: Delivery,
    packet_id: PacketId,
    /// What the application said; `None` while it has not.
    answer: Option<ReasonCode>,
}

#[derive(Debug)]
struct Unreleased {
    delivery: Delivery,
    /// What the application said; `None` while it has not.
    answer: Option<ReasonCode>,
    /// It counts against the Receive Maximum of this connection.
    charged: bool,
}

impl Incoming {
    pub(crate) fn connection_gone(&mut self) {
        self.pubacks.clear();
        self.pubrecs.clear();
        self.charged = 0;
        for unreleased in self.unreleased.values_mut() {
            unreleased.charged = false;
        }
    }

    pub(crate) fn session_lost(&mut self) {
        self.unreleased.clear();
    }

    fn delivery(&mut self) -> Delivery {
        self.next_delivery += 1;
        Delivery(self.next_delivery)
    }

    /// Notes the application's answer to a message; false if the message is not known any more.
    fn answer(&mut self, delivery: Delivery, reason: ReasonCode) -> bool {
        let mut known = false;
        for queue in [&mut self.pubacks, &mut self.pubrecs] {
            if let Some(owed) = queue.iter_mut().find(|owed| owed.delivery == delivery) {
                owed.answer.get_or_insert(reason);
                known = true;
                break;
            }
        }
        // A QoS 2 message may have come on an earlier connection: the answer waits for its repetition.
        let unreleased = self.unreleased.values_mut();
        for entry in unreleased.filter(|entry| entry.delivery == delivery) {
            entry.answer.get_or_insert(reason);
            known = true;
        }
        known
    }
}

impl Machine {
    pub(crate) fn on_publish(&mut self, now: Time, publish: Publish<'_>) {
        let Some(topic) = self.topic_of(now, &publish) else {
            return;
        };
        let delivery = match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => match self.owe_puback(now, id, publish.dup) {
                Some(delivery) => Some(delivery),
                None => return,
            },
            (Qos::ExactlyOnce, Some(id)) => match self.owe_pubrec(now, id) {
                Some(delivery) => Some(delivery),
                None => return,
            },
            _ => None,
        };
        let message = Message {
            topic,
            payload: Bytes::copy_from_slice(&publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            properties: publish.properties.into_owned(),
        };
        self.emit(Output::Message { message, delivery });
    }

    /// The topic name, aliases resolved; `None` if the connection ended over it.
    fn topic_of(&mut self, now: Time, publish: &Publish<'_>) -> Option<Arc<str>> {
        let Some(alias) = publish.properties.topic_alias() else {
            return Some(self.shared_topic(&publish.topic));
        };
        if alias > self.open.topic_alias_maximum {
            self.end(now, Cause::TopicAlias(alias));
            return None;
        }
        if publish.topic.is_empty() {
            let known = self.aliases_in.get(alias).map(Arc::clone);
            if known.is_none() {
                self.end(now, Cause::TopicAlias(alias));
            }
            return known;
        }
        let topic = self.shared_topic(&publish.topic);
        self.aliases_in.set(alias, Arc::clone(&topic));
        Some(topic)
    }

    fn shared_topic(&mut self, topic: &str) -> Arc<str> {
        if *self.last_topic != *topic {
            self.last_topic = topic.into();
        }
        Arc::clone(&self.last_topic)
    }

    /// Notes that a PUBACK is owed; `None` if there is nothing to deliver.
    fn owe_puback(&mut self, now: Time, packet_id: PacketId, dup: bool) -> Option<Delivery> {
        let is_owed = |owed: &Owed| owed.packet_id == packet_id;
        if self.incoming.pubacks.iter().any(is_owed)
            || self.incoming.unreleased.contains_key(&packet_id)
        {
            // Before MQTT 5.0 servers repeat a message that waits for its PUBACK, which is still to come.
            if self.version().is_v5() || !dup {
                self.in_use(now);
            }
            return None;
        }
        if !self.charge(now) {
            return None;
        }
        let delivery = self.incoming.delivery();
        self.incoming.pubacks.push_back(Owed {
            delivery,
            packet_id,
            answer: None,
        });
        Some(delivery)
    }

    /// Notes that a PUBREC is owed; `None` if there is nothing to deliver: the message is known.
    fn owe_pubrec(&mut self, now: Time, packet_id: PacketId) -> Option<Delivery> {
        if self
            .incoming
            .pubacks
            .iter()
            .any(|owed| owed.packet_id == packet_id)
        {
            self.in_use(now);
            return None;
        }
        let known = self.incoming.unreleased.get(&packet_id);
        let known = known.map(|entry| (entry.delivery, entry.answer, entry.charged));
        let is_owed = |owed: &Owed| owed.packet_id == packet_id;
        if known.is_some() && self.incoming.pubrecs.iter().any(is_owed) {
            return None;
        }
        if !known.is_some_and(|(_, _, charged)| charged) && !self.charge(now) {
            return None;
        }
        let (delivery, answer) = match known {
            Some((delivery, answer, _)) => (delivery, answer),
            None => (self.incoming.delivery(), None),
        };
        self.incoming.unreleased.insert(
            packet_id,
            Unreleased {
                delivery,
                answer,
                charged: true,
            },
        );
        self.incoming.pubrecs.push_back(Owed {
            delivery,
            packet_id,
            answer,
        });
        if known.is_some() {
            self.flush_pubrecs(now);
            return None;
        }
        Some(delivery)
    }

    fn in_use(&mut self, now: Time) {
        let why = "its packet identifier belongs to a message that is not acknowledged yet";
        self.unexpected(now, PacketType::Publish, why);
    }

    /// Counts a message against the announced Receive Maximum; false if there is no room and the connection has ended.
    fn charge(&mut self, now: Time) -> bool {
        let max = usize::from(self.open.receive_maximum.max(1));
        if self.version().is_v5() && self.incoming.charged >= max {
            self.end(now, Cause::ReceiveMaximumExceeded);
            return false;
        }
        self.incoming.charged += 1;
        true
    }

    pub(crate) fn on_acknowledge(&mut self, now: Time, delivery: Delivery, reason: ReasonCode) {
        let reason = if reason.allowed_in(PacketType::PubAck) && self.version().is_v5() {
            reason
        } else {
            ReasonCode::Success
        };
        if self.incoming.answer(delivery, reason) && self.phase == Phase::Live {
            self.flush_pubacks(now);
            self.flush_pubrecs(now);
        }
    }

    fn flush_pubacks(&mut self, now: Time) {
        while let Some(&Owed {
            packet_id,
            answer: Some(reason),
            ..
        }) = self.incoming.pubacks.front()
        {
            self.incoming.pubacks.pop_front();
            self.incoming.charged = self.incoming.charged.saturating_sub(1);
            self.send(now, &Packet::PubAck(Ack::with_reason(packet_id, reason)));
        }
    }

    fn flush_pubrecs(&mut self, now: Time) {
        while let Some(&Owed {
            packet_id,
            answer: Some(reason),
            ..
        }) = self.incoming.pubrecs.front()
        {
            self.incoming.pubrecs.pop_front();
            if reason.is_error() {
                // The identifier is free: the next message with it is a new one.
                self.release(packet_id);
            }
            self.send(now, &Packet::PubRec(Ack::with_reason(packet_id, reason)));
        }
    }

    pub(crate) fn on_pubrel(&mut self, now: Time, ack: &Ack<'_>) {
        let packet_id = ack.packet_id;
        let is_owed = |owed: &Owed| owed.packet_id == packet_id;
        if self.incoming.pubrecs.iter().any(is_owed) {
            let why = "its message has not been acknowledged with PUBREC";
            return self.unexpected(now, PacketType::PubRel, why);
        }
        let is_known = self.release(packet_id);
        let reason = if is_known || self.version() != Version::V5 {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.send(now, &Packet::PubComp(Ack::with_reason(packet_id, reason)));
    }

    fn release(&mut self, packet_id: PacketId) -> bool {
        let Some(released) = self.incoming.unreleased.remove(&packet_id) else {
            return false;
        };
        if released.charged {
            self.incoming.charged = self.incoming.charged.saturating_sub(1);
        }
        true
    }
}
