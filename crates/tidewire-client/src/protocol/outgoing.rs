//! Messages to the server: QoS 0, 1 and 2, the server's quota, and what is sent again.

use std::collections::VecDeque;

use tidewire_codec::{
    Ack, EncodeError, Packet, PacketId, PacketType, PublishHeader, Qos, ReasonCode,
};

use super::aliases::TopicForm;
use super::cause::Cause;
use super::machine::{Machine, Phase};
use super::output::{Output, PublishError, Published, Token};
use super::publish::{Publish, PublishFault};
use super::time::Time;

/// What a packet identifier is in use for.
#[derive(Debug)]
pub(crate) enum Slot {
    /// A message that waits for PUBACK or PUBREC.
    Unacknowledged {
        token: Token,
        message: Publish,
        /// Its place in the order of sending.
        order: u64,
        sent: Sent,
    },
    /// A QoS 2 message that waits for PUBCOMP.
    Released {
        token: Token,
        /// Its place in the order of PUBRECs.
        order: u64,
        /// What PUBREC said.
        reason: ReasonCode,
    },
    Subscribe {
        token: Token,
        filters: usize,
    },
    Unsubscribe {
        token: Token,
        filters: usize,
    },
}

/// Whether a message went out on the present connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    Here,
    Earlier,
}

/// How far a message had come when its session was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Released,
    Unacknowledged,
}

/// The session's messages to the server, but for what lies in the slots.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// The most messages that may be unacknowledged.
    pub(crate) max: u16,
    /// Messages that count against it on this connection.
    charged: usize,
    /// Messages of an earlier connection that are still to be sent again, in order.
    pub(crate) resend: VecDeque<PacketId>,
    next_order: u64,
    /// QoS 0 messages that are not wholly written, by the place where their bytes end.
    unwritten: VecDeque<(u64, Token)>,
}

impl Outgoing {
    pub(crate) fn has_room(&self) -> bool {
        self.charged < usize::from(self.max)
    }

    pub(crate) fn connection_gone(&mut self) {
        self.charged = 0;
        self.resend.clear();
    }

    const fn take_order(&mut self) -> u64 {
        let order = self.next_order;
        self.next_order += 1;
        order
    }
}

impl Machine {
    pub(crate) fn on_publish_input(&mut self, now: Time, token: Token, message: &Publish) {
        if let Err(error) = self.try_publish(now, token, message) {
            self.published(token, Err(error));
        }
    }

    fn try_publish(
        &mut self,
        now: Time,
        token: Token,
        message: &Publish,
    ) -> Result<(), PublishError> {
        if !self.can_publish(message.qos) {
            return Err(PublishError::NotReady);
        }
        message
            .check(self.version())
            .map_err(PublishError::Message)?;
        self.check_abilities(message)?;
        if message.qos == Qos::AtMostOnce {
            self.write_publish(message, None, false)?;
            self.keep_alive.sent(now);
            let end = self.out.end();
            self.outgoing.unwritten.push_back((end, token));
            return Ok(());
        }
        let order = self.outgoing.take_order();
        let slot = Slot::Unacknowledged {
            token,
            message: message.clone(),
            order,
            sent: Sent::Here,
        };
        let packet_id = self.ids.insert(slot).map_err(|_| PublishError::NotReady)?;
        if let Err(error) = self.write_publish(message, Some(packet_id), false) {
            self.ids.remove(packet_id);
            return Err(error);
        }
        self.keep_alive.sent(now);
        self.outgoing.charged += 1;
        self.emit(Output::Sent { token, packet_id });
        Ok(())
    }

    fn check_abilities(&self, message: &Publish) -> Result<(), PublishError> {
        if message.qos > self.server.max_qos {
            return Err(PublishError::QosNotSupported);
        }
        if message.retain && !self.server.retain_available {
            return Err(PublishError::RetainNotSupported);
        }
        Ok(())
    }

    /// Writes a PUBLISH, with a topic alias where the server takes one. A message that is sent again gets none: its
    /// first attempt may have been the one that introduced it.
    fn write_publish(
        &mut self,
        message: &Publish,
        packet_id: Option<PacketId>,
        dup: bool,
    ) -> Result<(), PublishError> {
        let form = if dup || !self.version().is_v5() {
            TopicForm::Plain
        } else {
            self.aliases_out
                .form(&message.topic, self.server.topic_alias_maximum)
        };
        let (topic, alias) = match form {
            TopicForm::Plain => (&*message.topic, None),
            TopicForm::Introduce(alias) => (&*message.topic, Some(alias)),
            TopicForm::Alias(alias) => ("", Some(alias)),
        };
        let [high, low] = alias.unwrap_or(0).to_be_bytes();
        let property = [tidewire_codec::PropertyId::TopicAlias as u8, high, low];
        let alias_property = if alias.is_some() { &property[..] } else { &[] };
        let header = PublishHeader {
            dup,
            qos: message.qos,
            retain: message.retain,
            topic,
            packet_id,
            properties: &[alias_property, message.properties.as_bytes()],
            payload_len: message.payload.len(),
        };
        let size = header.encoded_len(self.open.version);
        let limit = self.server.max_packet_size_bytes;
        if size > usize::try_from(limit).unwrap_or(usize::MAX) {
            return Err(PublishError::TooLarge { size, limit });
        }
        header
            .encode(self.open.version, self.out.tail())
            .map_err(|error| match error {
                EncodeError::PacketTooLarge { .. } => PublishError::TooLarge { size, limit },
                error => PublishError::Message(PublishFault::Property(error)),
            })?;
        self.out.tail().extend_from_slice(&message.payload);
        if let TopicForm::Introduce(alias) = form {
            self.aliases_out
                .introduced(std::sync::Arc::clone(&message.topic), alias);
        }
        Ok(())
    }

    pub(crate) fn on_puback(&mut self, now: Time, ack: &Ack<'_>) {
        let Some(token) = self.waiting_for(ack.packet_id, Qos::AtLeastOnce) else {
            return self.unknown_id(now, PacketType::PubAck, ack.packet_id);
        };
        self.finish(now, ack.packet_id, token, ack.reason);
    }

    pub(crate) fn on_pubrec(&mut self, now: Time, ack: &Ack<'_>) {
        let packet_id = ack.packet_id;
        if let Some(token) = self.waiting_for(packet_id, Qos::ExactlyOnce) {
            if ack.reason.is_error() {
                return self.finish(now, packet_id, token, ack.reason);
            }
            let order = self.outgoing.take_order();
            if let Some(slot) = self.ids.get_mut(packet_id) {
                *slot = Slot::Released {
                    token,
                    order,
                    reason: ack.reason,
                };
            }
        } else if !matches!(self.ids.get(packet_id), Some(Slot::Released { .. })) {
            return self.unknown_id(now, PacketType::PubRec, packet_id);
        }
        self.send(now, &Packet::PubRel(Ack::success(packet_id)));
    }

    pub(crate) fn on_pubcomp(&mut self, now: Time, ack: &Ack<'_>) {
        match self.ids.get(ack.packet_id) {
            Some(&Slot::Released { token, reason, .. }) => {
                self.finish(now, ack.packet_id, token, reason);
            }
            _ => self.unknown_id(now, PacketType::PubComp, ack.packet_id),
        }
    }

    /// The message that this connection sent with this identifier and quality of service.
    fn waiting_for(&self, packet_id: PacketId, qos: Qos) -> Option<Token> {
        match self.ids.get(packet_id)? {
            Slot::Unacknowledged {
                token,
                message,
                sent: Sent::Here,
                ..
            } if message.qos == qos => Some(*token),
            _ => None,
        }
    }

    fn finish(&mut self, now: Time, packet_id: PacketId, token: Token, reason: ReasonCode) {
        self.ids.remove(packet_id);
        self.outgoing.charged = self.outgoing.charged.saturating_sub(1);
        let result = if reason.is_error() {
            Err(PublishError::Refused(reason))
        } else {
            Ok(Published {
                packet_id: Some(packet_id),
                reason,
            })
        };
        self.published(token, result);
        self.resend_more(now);
    }

    pub(crate) fn unknown_id(&mut self, now: Time, packet: PacketType, packet_id: PacketId) {
        self.end(now, Cause::UnknownPacketId { packet, packet_id });
    }

    fn published(&mut self, token: Token, result: Result<Published, PublishError>) {
        self.emit(Output::Published { token, result });
    }

    /// An earlier session goes on: releases first, in the order of their PUBRECs, then messages in the order of sending.
    pub(crate) fn begin_resend(&mut self, now: Time) {
        let mut releases = Vec::new();
        let mut messages = Vec::new();
        for (packet_id, slot) in self.ids.iter() {
            match slot {
                Slot::Released { order, .. } => releases.push((*order, packet_id)),
                Slot::Unacknowledged { order, .. } => messages.push((*order, packet_id)),
                Slot::Subscribe { .. } | Slot::Unsubscribe { .. } => {}
            }
        }
        releases.sort_unstable();
        messages.sort_unstable();
        self.outgoing.charged = releases.len();
        for (_, packet_id) in releases {
            self.send(now, &Packet::PubRel(Ack::success(packet_id)));
        }
        self.outgoing.resend = messages.into_iter().map(|(_, id)| id).collect();
        self.resend_more(now);
    }

    fn resend_more(&mut self, now: Time) {
        while self.phase == Phase::Live && self.outgoing.has_room() {
            let Some(packet_id) = self.outgoing.resend.pop_front() else {
                return;
            };
            let Some(Slot::Unacknowledged {
                token,
                message,
                sent,
                ..
            }) = self.ids.get_mut(packet_id)
            else {
                continue;
            };
            *sent = Sent::Here;
            let (token, message) = (*token, message.clone());
            let written = self
                .check_abilities(&message)
                .and_then(|()| self.write_publish(&message, Some(packet_id), true));
            match written {
                Ok(()) => {
                    self.outgoing.charged += 1;
                    self.keep_alive.sent(now);
                    self.emit(Output::Sent { token, packet_id });
                }
                // The server takes less than it did.
                Err(error) => {
                    self.ids.remove(packet_id);
                    self.published(token, Err(error));
                }
            }
        }
    }

    /// The connection is gone: what it sent was sent earlier from now on.
    pub(crate) fn mark_sent_earlier(&mut self) {
        self.ids.for_each_mut(|slot| {
            if let Slot::Unacknowledged { sent, .. } = slot {
                *sent = Sent::Earlier;
            }
        });
    }

    /// The server has no session: identifiers mean nothing any more. What PUBREC acknowledged is the server's; of the
    /// rest nobody knows.
    pub(crate) fn lose_session(&mut self) {
        let mut lost = Vec::new();
        for (packet_id, slot) in self.ids.iter() {
            match slot {
                Slot::Released { order, .. } => lost.push((Stage::Released, *order, packet_id)),
                Slot::Unacknowledged { order, .. } => {
                    lost.push((Stage::Unacknowledged, *order, packet_id));
                }
                Slot::Subscribe { .. } | Slot::Unsubscribe { .. } => {}
            }
        }
        lost.sort_unstable();
        for (_, _, packet_id) in lost {
            match self.ids.remove(packet_id) {
                Some(Slot::Unacknowledged { token, .. }) => {
                    self.emit(Output::Unfinished { token });
                }
                Some(Slot::Released { token, reason, .. }) => {
                    let packet_id = Some(packet_id);
                    self.published(token, Ok(Published { packet_id, reason }));
                }
                _ => {}
            }
        }
        self.incoming.session_lost();
    }

    /// QoS 0 messages whose last byte the transport has taken.
    pub(crate) fn settle_written(&mut self) {
        while let Some(&(end, token)) = self.outgoing.unwritten.front() {
            if end > self.out.written() {
                return;
            }
            self.outgoing.unwritten.pop_front();
            let reason = ReasonCode::Success;
            self.published(
                token,
                Ok(Published {
                    packet_id: None,
                    reason,
                }),
            );
        }
    }

    /// QoS 0 messages whose last byte will never be taken.
    pub(crate) fn lose_unwritten(&mut self) {
        while let Some((_, token)) = self.outgoing.unwritten.pop_front() {
            self.published(token, Err(PublishError::ConnectionLost));
        }
    }
}
