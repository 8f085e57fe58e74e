//! Consulting handlers about PUBLISH frames, which stay where they are until all is said about them.
//!
//! The frames are not copied for it: the driver has their bytes, shows them to the handlers and says what they said. What
//! cannot be said on the spot holds the connection's gate, as any question does.

use crate::ack::{Permit, Received};
use crate::asks::{Matter, sayable};
use crate::conn::Failure;
use crate::core::Core;
use crate::input::{Answer, Next};
use crate::keys::{ConnKey, Ticket};
use crate::message::Parts;
use crate::output::Output;
use crate::packets::connect::check_publish_topic;
use crate::packets::publish::forwarded_properties;
use crate::route::interest::Interest;
use crate::time::Time;
use crate::watch::Watch;
use tidewire_codec::{PacketType, Publish, Qos, ReasonCode, Sender};

/// What is known about the next PUBLISH frames of a connection.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// So many may be published as they are.
    allowed: u32,
    /// What is said about the one behind them.
    said: Option<Box<Answer>>,
}

impl Heard {
    /// Whether the next frame has been consulted about.
    #[inline]
    pub(crate) fn is_something(&self) -> bool {
        self.allowed > 0 || self.said.is_some()
    }

    /// How many of the next `count` frames may be published as they are; they will be.
    pub(crate) fn take_allowed(&mut self, count: usize) -> usize {
        let taken = u32::try_from(count).unwrap_or(u32::MAX).min(self.allowed);
        self.allowed -= taken;
        taken as usize
    }

    /// What is said about the next frame.
    fn take(&mut self) -> Answer {
        if self.allowed > 0 {
            self.allowed -= 1;
            return Answer::Allowed;
        }
        self.said.take().map_or(Answer::Allowed, |said| *said)
    }
}

impl Core {
    /// What the listener's watchers want.
    #[inline]
    pub(crate) fn watch_of(&self, listener: u16) -> Watch {
        let policy = self.config.listeners.get(usize::from(listener));
        policy.map_or(Watch::NONE, |policy| policy.watch)
    }

    pub(crate) fn set_watch(&mut self, listener: u16, watch: Watch) {
        if let Some(policy) = self.config.listeners.get_mut(usize::from(listener)) {
            policy.watch = watch;
        }
        self.watching = union(&self.config.listeners);
    }

    /// Has the driver consult about the frames at the beginning of the bytes at hand, which stay unused.
    pub(crate) fn consult(
        &mut self,
        conn: ConnKey,
        frame_len: usize,
        count: usize,
        topic: Option<Box<str>>,
    ) {
        let ticket = self.next_ticket();
        if let Some(conn) = self.conns.get_mut(conn) {
            conn.gate = Some(ticket);
        }
        self.outputs.push_back(Output::Consult {
            conn,
            ticket,
            frame_len,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            topic,
        });
    }

    pub(crate) fn on_consulted(
        &mut self,
        interest: &Interest,
        (key, ticket): (ConnKey, Ticket),
        bytes: &[u8],
        allowed: u32,
        next: Next,
    ) -> usize {
        let conn = self.conns.get_mut(key);
        let Some(conn) = conn.filter(|conn| conn.gate == Some(ticket)) else {
            return 0;
        };
        conn.gate = None;
        conn.heard.allowed = allowed;
        match next {
            Next::All => self.on_bytes(interest, key, bytes),
            Next::Said(answer) => {
                conn.heard.said = Some(Box::new(answer));
                self.on_bytes(interest, key, bytes)
            }
            Next::Later => self.await_verdict(interest, key, ticket, bytes, allowed),
        }
    }

    /// Publishes what is allowed; the frame behind holds the gate.
    fn await_verdict(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        ticket: Ticket,
        bytes: &[u8],
        allowed: u32,
    ) -> usize {
        let mut len = 0;
        for _ in 0..allowed {
            let rest = bytes.get(len..).unwrap_or_default();
            match tidewire_codec::frame::next_frame(rest, u32::MAX) {
                Ok(Some(frame)) => len += frame.bytes.len(),
                _ => break,
            }
        }
        let used = self.on_bytes(interest, key, bytes.get(..len).unwrap_or_default());
        if self.conns.get(key).is_some_and(|conn| conn.is_live()) {
            self.hold(key, ticket, Matter::Consultation);
        }
        used
    }

    /// What was said later about the frame that waits.
    pub(crate) fn on_verdict(&mut self, key: ConnKey, answer: Answer) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.heard.said = Some(Box::new(answer));
        }
    }

    /// Does what was said about the frame at hand.
    pub(crate) fn publish_as_said(
        &mut self,
        interest: &Interest,
        parts: &Parts<'_>,
        received: Received,
    ) -> Result<(), Failure> {
        let conn = self.conns.get_mut(received.conn);
        let said = conn.map_or(Answer::Allowed, |conn| conn.heard.take());
        match said {
            Answer::Allowed | Answer::Authenticated(_) => {
                self.publish_and_acknowledge(interest, parts, None, received);
            }
            Answer::Denied { reason, .. } => self.deny_publish(received, reason),
            Answer::Closed { reason, text } => {
                self.stats.denied_publish += 1;
                return Err(closed(reason, text));
            }
            Answer::Consumed(reason) => self.consume(received, reason),
            Answer::Reply(packet) => {
                self.stats.consumed_publish += 1;
                self.send_packet(received.conn, &packet);
            }
            Answer::Replaced(publish) => self.publish_replaced(interest, parts, received, &publish),
            Answer::Continue { .. } | Answer::Codes { .. } => {
                self.deny_publish(received, ReasonCode::NotAuthorized);
            }
        }
        Ok(())
    }

    /// A handler has taken the message: it is acknowledged and goes nowhere.
    fn consume(&mut self, received: Received, reason: ReasonCode) {
        self.stats.consumed_publish += 1;
        let packet = match received.qos {
            Qos::ExactlyOnce => PacketType::PubRec,
            _ => PacketType::PubAck,
        };
        let reason = if reason.allowed_from(packet, Sender::Server) {
            reason
        } else {
            ReasonCode::UnspecifiedError
        };
        if received.qos == Qos::ExactlyOnce && !reason.is_error() {
            self.remember_received(received);
            self.acknowledge(received, reason, Permit::not_required());
        } else {
            self.reject_publish(received, reason);
        }
    }

    /// The topic that a handler has put in is checked as the client's was.
    fn publish_replaced(
        &mut self,
        interest: &Interest,
        parts: &Parts<'_>,
        received: Received,
        publish: &Publish<'_>,
    ) {
        let mut properties = Vec::new();
        let replaced = self.replaced(parts, publish, &mut properties);
        match replaced {
            Some(parts) => self.publish_and_acknowledge(interest, &parts, None, received),
            None => self.deny_publish(received, ReasonCode::TopicNameInvalid),
        }
    }

    /// The message that a handler has made of another; `None` = its topic is not one that clients may publish to.
    pub(crate) fn replaced<'a>(
        &self,
        parts: &Parts<'a>,
        publish: &'a Publish<'_>,
        properties: &'a mut Vec<u8>,
    ) -> Option<Parts<'a>> {
        let levels = self.config.limits.max_topic_levels;
        let topic = check_publish_topic(publish.topic.as_bytes(), levels).ok()?;
        forwarded_properties(&publish.properties, properties);
        let expires = publish.properties.message_expiry_interval_secs();
        Some(Parts {
            topic,
            properties,
            payload: &publish.payload,
            qos: publish.qos.min(parts.qos),
            retain: publish.retain && self.config.limits.retain_available,
            expires: expires.map_or(Time::NEVER, |secs| parts.received.plus_secs(secs.into())),
            ..*parts
        })
    }
}

/// What the connection ends with when handlers want it to.
pub(crate) fn closed(reason: ReasonCode, text: Option<Box<str>>) -> Failure {
    Failure {
        reason: sayable(reason, PacketType::Disconnect),
        text: text.unwrap_or_else(|| "closed by a handler".into()),
    }
}

pub(crate) fn union(listeners: &[crate::ListenerPolicy]) -> Watch {
    let watches = listeners.iter().map(|policy| policy.watch);
    watches.fold(Watch::NONE, |all, watch| all | watch)
}
