//! Wills: armed by CONNECT, published when their sender has gone and not come back \[5.0 3.1.2.5\].

use crate::admission::Will;
use crate::asks::Matter;
use crate::core::Core;
use crate::event::Event;
use crate::input::Answer;
use crate::keeper::{Pending, name_of};
use crate::keys::{ConnKey, SessionKey};
use crate::message::{Message, Origin};
use crate::output::{Output, Question};
use crate::route::interest::Interest;
use crate::store::{Durability, StoreOp};
use crate::time::Time;
use crate::timers::Timer;
use crate::watch::Watch;
use std::sync::Arc;
use tidewire_codec::ReasonCode;

/// A question about a will names no connection: its sender's is gone.
const NO_CONN: ConnKey = ConnKey {
    slot: u32::MAX,
    generation: u32::MAX,
};

impl Core {
    /// The sender of a will has gone: publish it now, or when its delay has passed.
    pub(crate) fn schedule_will(&mut self, interest: &Interest, key: SessionKey) {
        let limit = self.config.limits.max_will_delay_secs;
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(will) = &session.will else { return };
        let delay_secs = will.delay_secs.min(limit);
        // A will is due at the end of its session at the latest, which ending the session sees to.
        if delay_secs == 0 || session.expiry_secs == 0 {
            self.publish_will(interest, key);
            return;
        }
        session.will_due = now.plus_secs(delay_secs.into());
        self.timers.schedule(session.will_due, Timer::WillDue(key));
        self.sweep_timers();
    }

    pub(crate) fn on_will_due(&mut self, interest: &Interest, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        if session.conn.is_none() && session.will_due <= self.now {
            self.publish_will(interest, key);
        }
    }

    /// Takes a session's will out, if it has one \[5.0 MQTT-3.1.2-10\], and sends it through the same stages as any
    /// message, authorisation included.
    pub(crate) fn publish_will(&mut self, interest: &Interest, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.conn.is_some() {
            return;
        }
        let Some(will) = session.will.take() else {
            return;
        };
        let origin = Arc::clone(&session.origin);
        self.publish_will_of(interest, &will, &origin);
        if let Some((name, durability)) = self.kept_name(key) {
            // Behind the message, in the same shard: it may be published twice, never not at all.
            let ops = vec![StoreOp::DeleteWill];
            self.write_session(name, durability, ops, Pending::Lazy);
        }
    }

    /// Publishes the will of a client that has gone.
    pub(crate) fn publish_will_of(
        &mut self,
        interest: &Interest,
        will: &Will,
        origin: &Arc<Origin>,
    ) {
        let message = self.message_of_will(&will.message, origin);
        let listener = origin.listener;
        if self.asks_about_publish(listener) || self.watch_of(listener).contains(Watch::PUBLISH) {
            self.ask_about_will(origin, message);
        } else {
            self.send_will(interest, &message);
        }
    }

    /// The will of a session that is not kept has been published, or will not be.
    pub(crate) fn forget_will(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let durability = self.listener_durability(Some(session.origin.listener));
        if session.kept == Durability::Memory && durability != Durability::Memory {
            let name = name_of(session);
            let ops = vec![StoreOp::DeleteWill];
            self.write_session(name, durability, ops, Pending::Lazy);
        }
    }

    /// The will as a message of its sender. Its expiry interval counts from its publication, not from CONNECT.
    fn message_of_will(&mut self, will: &Message, origin: &Arc<Origin>) -> Message {
        let mut parts = will.parts();
        if parts.expires != Time::NEVER {
            parts.expires = self.now.saturating_add(parts.expires.since(parts.received));
        }
        parts.received = self.now;
        parts.origin = Some(origin);
        Message::new(&parts, &mut self.scratch)
    }

    fn ask_about_will(&mut self, origin: &Origin, message: Message) {
        let question = Question::AuthorizePublish {
            conn: NO_CONN,
            client_id: origin.client_id.clone(),
            principal: origin.principal.clone(),
            topic: message.topic().into(),
            payload: message.payload().into(),
            qos: message.qos(),
            retain: message.retain(),
            message: message.clone(),
        };
        self.ask(NO_CONN, question, Matter::Will { message });
    }

    pub(crate) fn on_will_answer(
        &mut self,
        interest: &Interest,
        message: &Message,
        answer: Answer,
    ) {
        let reason = match answer {
            Answer::Allowed | Answer::Authenticated(_) => return self.send_will(interest, message),
            Answer::Replaced(publish) => {
                let mut properties = Vec::new();
                let replaced = self.replaced(&message.parts(), &publish, &mut properties);
                let replaced = replaced.map(|parts| Message::new(&parts, &mut Vec::new()));
                if let Some(message) = replaced {
                    return self.send_will(interest, &message);
                }
                ReasonCode::TopicNameInvalid
            }
            Answer::Consumed(_) | Answer::Reply(_) => {
                self.stats.consumed_publish += 1;
                return;
            }
            Answer::Denied { reason, .. } | Answer::Closed { reason, .. } => reason,
            Answer::Continue { .. } | Answer::Codes { .. } => ReasonCode::NotAuthorized,
        };
        self.stats.denied_publish += 1;
        self.outputs.push_back(Output::Event(Event::WillRefused {
            client_id: client_id_of(message),
            topic: message.topic().into(),
            reason,
        }));
    }

    fn send_will(&mut self, interest: &Interest, message: &Message) {
        self.stats.wills_published += 1;
        self.outputs.push_back(Output::Event(Event::WillPublished {
            client_id: client_id_of(message),
            topic: message.topic().into(),
        }));
        self.publish(interest, &message.parts(), Some(message), None);
    }
}

fn client_id_of(message: &Message) -> Box<str> {
    message
        .origin()
        .map_or_else(Box::default, |origin| origin.client_id.clone())
}
