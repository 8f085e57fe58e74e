//! Deliveries that handlers are asked about, one at a time for each session, before they go to its client.
//!
//! On a listener where somebody watches for them every message goes through its session's queue; the first of the queue
//! leaves it when it could be sent, and is kept with the question until the answer comes.

use crate::asks::Matter;
use crate::core::Core;
use crate::event::DropReason;
use crate::input::Answer;
use crate::keys::{ConnKey, SessionKey};
use crate::message::{Message, Parts};
use crate::outbound::Delivery;
use crate::output::{Output, Question};
use crate::packets::publish::forwarded_properties;
use crate::route::interest::Interest;
use crate::time::Time;
use crate::watch::Watch;
use tidewire_codec::{Publish, Qos, topic};

impl Core {
    /// Whether handlers are asked about what goes to this connection.
    #[inline]
    pub(crate) fn clears_deliveries(&self, key: ConnKey) -> bool {
        self.anybody_watches(Watch::DELIVER) && self.watches(key, Watch::DELIVER)
    }

    /// Asks about a delivery that has just left its session's queue.
    pub(crate) fn ask_about_delivery(&mut self, slot: u32, key: ConnKey, delivery: Delivery) {
        let (Some(session), Some(origin)) = (self.session_key(slot), self.origin_of(slot)) else {
            return;
        };
        let question = Question::Deliver {
            conn: key,
            client_id: origin.client_id.clone(),
            principal: origin.principal.clone(),
            message: delivery.message.clone(),
            qos: delivery.qos,
            retain: delivery.retain,
            expiry_secs: delivery.message.parts().expiry_left_secs(self.now),
        };
        let ticket = self.next_ticket();
        if let Some(session) = self.sessions.get_mut(session) {
            session.clearing = Some(ticket);
        }
        self.keep_asked(ticket, key, Matter::Delivery { session, delivery });
        self.outputs.push_back(Output::Ask { ticket, question });
    }

    /// Sends what was asked about, drops it, or queues it again if its client has gone meanwhile.
    pub(crate) fn on_delivery_answer(
        &mut self,
        interest: &Interest,
        session: SessionKey,
        delivery: Delivery,
        answer: Answer,
    ) {
        let Some(owner) = self.sessions.get_mut(session) else {
            if let Some(mark) = delivery.group {
                self.return_to_group(mark, delivery.message, 0);
            }
            return;
        };
        owner.clearing = None;
        let (conn, slot) = (owner.conn, session.slot);
        match answer {
            Answer::Allowed | Answer::Authenticated(_) => self.send_cleared(slot, delivery),
            Answer::Replaced(publish) => match self.edited(&delivery, &publish) {
                Some(message) => self.send_cleared(
                    slot,
                    Delivery {
                        message,
                        ..delivery
                    },
                ),
                None => self.suppress(slot, &delivery),
            },
            Answer::Closed { reason, text } => {
                self.suppress(slot, &delivery);
                if let Some(key) = conn {
                    let failure = crate::consult::closed(reason, text);
                    return self.fail_from(interest, key, failure);
                }
            }
            _ => self.suppress(slot, &delivery),
        }
        self.pump(slot);
    }

    fn send_cleared(&mut self, slot: u32, delivery: Delivery) {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        let quota = usize::from(session.quota);
        let key = session.conn;
        let outbound = session.outbound_mut();
        let room = delivery.qos == Qos::AtMostOnce || outbound.in_flight() < quota;
        match key.filter(|_| room && !outbound.has_unsent()) {
            Some(key) => self.send_first(slot, key, delivery),
            None => {
                self.stats.queued_messages += 1;
                self.stats.queued_bytes += delivery.message.cost_bytes();
                outbound.put_back(delivery);
            }
        }
    }

    fn suppress(&mut self, slot: u32, delivery: &Delivery) {
        self.stats.dropped_suppressed += 1;
        let topic = delivery.message.topic();
        self.report_dropped(Some(slot), topic, DropReason::Suppressed);
        if delivery.group.is_none() {
            self.done_with(slot, delivery.stored);
        }
        self.group_finished(slot, delivery.group);
    }

    /// The message that handlers have made of another for one receiver; `None` = its topic is no topic name.
    fn edited(&mut self, delivery: &Delivery, publish: &Publish<'_>) -> Option<Message> {
        let topic = topic::validate_name(publish.topic.as_bytes()).ok()?;
        let mut properties = Vec::new();
        forwarded_properties(&publish.properties, &mut properties);
        let expiry_secs = publish.properties.message_expiry_interval_secs();
        let parts = Parts {
            topic,
            properties: &properties,
            payload: &publish.payload,
            received: self.now,
            expires: expiry_secs.map_or(Time::NEVER, |secs| self.now.plus_secs(secs.into())),
            ..delivery.message.parts()
        };
        Some(Message::new(&parts, &mut self.scratch))
    }
}
