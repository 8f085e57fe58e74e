//! What comes from the broker, and what a client answers.

use crate::act::FILTERS;
use crate::failure::{Oracle, Verdict, fail};
use crate::lie::Lie;
use crate::life::Life;
use crate::model::{Options, Subscribed, shared};
use tidewire_codec::{
    Ack, Packet, PacketId, Properties, Publish, Qos, ReasonCode, RetainHandling, Sender, Subscribe,
    Subscription, SubscriptionOptions, Unsubscribe, frame,
};

impl Life {
    pub(crate) fn listen(&mut self, who: usize) -> Verdict {
        let mut told = None;
        let mut held_back: Option<Packet<'static>> = None;
        while let Some(packet) = self.next_packet(who)? {
            if let Packet::Disconnect(disconnect) = packet {
                told = Some(disconnect.reason);
                continue;
            }
            if held_back.is_none()
                && matches!(packet, Packet::Publish(_))
                && self.lies(Lie::Reorders)
            {
                held_back = Some(packet);
                continue;
            }
            let was_publish = matches!(packet, Packet::Publish(_));
            self.hear(who, packet)?;
            if was_publish && let Some(late) = held_back.take() {
                self.hear(who, late)?;
            }
        }
        if let Some(late) = held_back {
            self.hear(who, late)?;
        }
        let link = self.clients[who].link.as_ref();
        if link.is_some_and(|link| self.sim.is_at_end(link.wire)) {
            self.hear_end(who, told)?;
        }
        Ok(())
    }

    fn next_packet(&mut self, who: usize) -> Verdict<Option<Packet<'static>>> {
        let version = self.clients[who].version();
        let Some(link) = self.clients[who].link.as_mut() else {
            return Ok(None);
        };
        link.buffer.extend(self.sim.take_received(link.wire));
        let frame = match frame::next_frame(&link.buffer, u32::MAX) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(None),
            Err(error) => return fail(Oracle::Protocol, format!("{who} got no packet: {error}")),
        };
        let len = frame.bytes.len();
        let packet = match Packet::decode(version, Sender::Server, frame) {
            Ok(packet) => packet.into_owned(),
            Err(error) => {
                return fail(
                    Oracle::Protocol,
                    format!("{who} got a malformed packet: {error}"),
                );
            }
        };
        link.buffer.drain(..len);
        Ok(Some(packet))
    }

    fn hear(&mut self, who: usize, packet: Packet<'static>) -> Verdict {
        match packet {
            Packet::ConnAck(connack) => self.hear_connack(who, &connack),
            _ if !self.clients[who].is_admitted() => fail(
                Oracle::Protocol,
                format!("{who} got {packet:?} before CONNACK"),
            ),
            Packet::Publish(publish) => self.hear_publish(who, publish),
            Packet::PubAck(ack) => self.hear_ack(who, &ack, Qos::AtLeastOnce),
            Packet::PubComp(ack) => self.hear_ack(who, &ack, Qos::ExactlyOnce),
            Packet::PubRec(ack) => self.hear_pubrec(who, &ack),
            Packet::PubRel(ack) => {
                self.clients[who].held.remove(&ack.packet_id);
                self.put_off(who, Packet::PubComp(Ack::success(ack.packet_id)));
                Ok(())
            }
            Packet::SubAck(ack) => self.hear_suback(who, ack.packet_id, &ack.reasons),
            Packet::UnsubAck(ack) => self.hear_unsuback(who, ack.packet_id),
            other => fail(Oracle::Protocol, format!("{who} got {other:?}")),
        }
    }

    /// The watcher answers at once, others when they come round to it.
    fn put_off(&mut self, who: usize, answer: Packet<'static>) {
        if let Some(link) = self.clients[who].link.as_mut() {
            link.answers.push_back(answer);
        }
        if who == crate::life::WATCHER {
            drop(self.answer(who, usize::MAX));
        }
    }

    pub(crate) fn answer(&mut self, who: usize, count: usize) -> Verdict {
        for _ in 0..count {
            let link = self.clients[who].link.as_mut();
            let Some(answer) = link.and_then(|link| link.answers.pop_front()) else {
                return Ok(());
            };
            let done = match &answer {
                Packet::PubAck(ack) | Packet::PubComp(ack) => Some(ack.packet_id),
                _ => None,
            };
            if let (Some(id), Some(link)) = (done, self.clients[who].link.as_mut()) {
                link.unanswered.remove(&id);
            }
            self.send(who, &answer)?;
        }
        Ok(())
    }

    fn hear_publish(&mut self, who: usize, mut publish: Publish<'static>) -> Verdict {
        self.resolve_alias(who, &mut publish)?;
        self.coverage.saw(match publish.qos {
            Qos::AtMostOnce => "delivered at QoS 0",
            Qos::AtLeastOnce => "delivered at QoS 1",
            Qos::ExactlyOnce => "delivered at QoS 2",
        });
        let mut new = true;
        if let Some(id) = publish.packet_id {
            self.check_receive_maximum(who, id)?;
            if publish.qos == Qos::ExactlyOnce {
                new = self.clients[who].held.insert(id);
                if !new && !publish.dup {
                    return fail(
                        Oracle::Protocol,
                        format!("{who} got {publish:?} under an identifier that is held"),
                    );
                }
                self.put_off(who, Packet::PubRec(Ack::success(id)));
            } else {
                self.put_off(who, Packet::PubAck(Ack::success(id)));
            }
        }
        if !new {
            self.coverage.saw("delivery repeated with DUP");
            return Ok(());
        }
        self.receive(who, &publish)?;
        if publish.qos == Qos::ExactlyOnce && self.lies(Lie::DeliversTwice) {
            self.receive(who, &publish)?;
        }
        Ok(())
    }

    /// [5.0 MQTT-3.3.4-9]
    fn check_receive_maximum(&mut self, who: usize, id: PacketId) -> Verdict {
        let Some(link) = self.clients[who].link.as_mut() else {
            return Ok(());
        };
        link.unanswered.insert(id);
        let most = usize::from(link.connect.receive_maximum);
        let is_v5 = link.connect.version.is_v5();
        self.coverage.saw_if(
            "receive maximum reached",
            is_v5 && link.unanswered.len() == most,
        );
        if is_v5 && link.unanswered.len() > most {
            return fail(
                Oracle::Protocol,
                format!(
                    "{who} has {} messages to answer and allows {most}",
                    link.unanswered.len()
                ),
            );
        }
        Ok(())
    }

    fn resolve_alias(&mut self, who: usize, publish: &mut Publish<'static>) -> Verdict {
        let Some(alias) = publish.properties.topic_alias() else {
            return Ok(());
        };
        let Some(link) = self.clients[who].link.as_mut() else {
            return Ok(());
        };
        if alias > link.connect.alias_maximum {
            return fail(
                Oracle::Protocol,
                format!(
                    "{who} got alias {alias} and allows {}",
                    link.connect.alias_maximum
                ),
            );
        }
        if publish.topic.is_empty() {
            let Some(topic) = link.aliases.get(&alias) else {
                return fail(
                    Oracle::Protocol,
                    format!("{who} got alias {alias}, which means nothing"),
                );
            };
            publish.topic = topic.clone().into();
            self.coverage.saw("delivered with an alias");
        } else {
            link.aliases.insert(alias, publish.topic.to_string());
        }
        Ok(())
    }

    fn hear_ack(&mut self, who: usize, ack: &Ack<'_>, qos: Qos) -> Verdict {
        let own = &mut self.clients[who].unacknowledged;
        let is_it = |own: &crate::model::Unacknowledged| {
            own.publish.packet_id == Some(ack.packet_id) && own.publish.qos == qos
        };
        let Some(at) = own.iter().position(is_it) else {
            return fail(Oracle::Protocol, format!("{who} got {ack:?} for nothing"));
        };
        let own = own.remove(at);
        if let Some(own) = own.filter(|_| is_good(ack.reason)) {
            self.is_acknowledged(own.number);
        }
        Ok(())
    }

    fn hear_pubrec(&mut self, who: usize, ack: &Ack<'_>) -> Verdict {
        let own = self.clients[who].unacknowledged.iter_mut();
        let own = own
            .into_iter()
            .find(|own| own.publish.packet_id == Some(ack.packet_id));
        let Some(own) = own else {
            return fail(
                Oracle::Protocol,
                format!("{who} got PUBREC {ack:?} for nothing"),
            );
        };
        own.released = true;
        let number = own.number;
        self.is_acknowledged(number);
        self.send(who, &Packet::PubRel(Ack::success(ack.packet_id)))
    }

    pub(crate) fn subscribe(
        &mut self,
        who: usize,
        filter: usize,
        qos: Qos,
        no_local: bool,
        retain_handling: RetainHandling,
    ) -> Verdict {
        if !self.may_request(who, filter) {
            return Ok(());
        }
        let v5 = self.clients[who].version().is_v5();
        let name = FILTERS[filter];
        let options = Options {
            qos,
            no_local: no_local && v5 && shared(name).is_none(),
        };
        self.count_subscribe(who, filter, options);
        self.expect_options(who, filter, options);
        let packet_id = self.request(who, filter);
        let options = SubscriptionOptions {
            qos,
            no_local: options.no_local,
            retain_as_published: false,
            retain_handling: Self::retain_handling_of(v5, retain_handling),
        };
        let packet = Packet::Subscribe(Subscribe {
            packet_id,
            properties: Properties::EMPTY,
            filters: vec![Subscription {
                filter: name.into(),
                options,
            }],
        });
        self.send(who, &packet)
    }

    fn count_subscribe(&mut self, who: usize, filter: usize, options: Options) {
        let name = FILTERS[filter];
        self.coverage
            .saw_if("subscribed with a wildcard", name.contains(['+', '#']));
        self.coverage
            .saw_if("subscribed to a shared group", name.starts_with("$share"));
        self.coverage
            .saw_if("subscribed with no local", options.no_local);
        let session = self.clients[who].session.as_ref();
        let known = session.is_some_and(|session| session.subscriptions.contains_key(&filter));
        self.coverage.saw_if("subscription replaced", known);
    }

    /// From now on messages may come by these options, also some that were sent before.
    fn expect_options(&mut self, who: usize, filter: usize, options: Options) {
        let messages = &self.messages;
        let Some(session) = self.clients[who].session.as_mut() else {
            return;
        };
        session.ever.push((filter, options));
        let subscribed = session.subscriptions.entry(filter).or_insert(Subscribed {
            exists: false,
            options: Vec::new(),
        });
        subscribed.options.push(options);
        session.forgive(|number| {
            let sent = messages.get(&number);
            sent.is_some_and(|sent| crate::model::matches(FILTERS[filter], &sent.topic))
        });
        if shared(FILTERS[filter]).is_some() {
            self.forgive_groups(who);
        }
    }

    pub(crate) fn unsubscribe(&mut self, who: usize, filter: usize) -> Verdict {
        if !self.may_request(who, filter) {
            return Ok(());
        }
        self.coverage.saw("unsubscribed");
        if let Some(session) = self.clients[who].session.as_mut() {
            if let Some(subscribed) = session.subscriptions.get_mut(&filter) {
                subscribed.exists = false;
            }
            // Whether what waits for a deleted subscription still comes is the broker's choice.
            session.forgive(|_| true);
        }
        self.forgive_groups(who);
        let packet_id = self.request(who, filter);
        let packet = Packet::Unsubscribe(Unsubscribe {
            packet_id,
            properties: Properties::EMPTY,
            filters: vec![FILTERS[filter].into()],
        });
        self.send(who, &packet)
    }

    fn may_request(&self, who: usize, filter: usize) -> bool {
        let link = self.clients[who].link.as_ref();
        link.is_some_and(|link| {
            link.admitted && link.requests.iter().all(|(_, other)| *other != filter)
        })
    }

    fn request(&mut self, who: usize, filter: usize) -> PacketId {
        let id = self.clients[who].unused_id();
        if let Some(link) = self.clients[who].link.as_mut() {
            link.requests.push_back((id, filter));
        }
        id
    }

    fn answered(&mut self, who: usize, id: PacketId) -> Option<usize> {
        let requests = &mut self.clients[who].link.as_mut()?.requests;
        let at = requests.iter().position(|(other, _)| *other == id)?;
        requests.remove(at).map(|(_, filter)| filter)
    }

    fn hear_suback(&mut self, who: usize, id: PacketId, reasons: &[ReasonCode]) -> Verdict {
        let Some(filter) = self.answered(who, id) else {
            // The watcher's only request is none of the acts.
            return if who == crate::life::WATCHER {
                Ok(())
            } else {
                fail(
                    Oracle::Protocol,
                    format!("{who} got SUBACK {id:?} for nothing"),
                )
            };
        };
        if !reasons.iter().all(|reason| is_good(*reason)) {
            return fail(
                Oracle::Protocol,
                format!("{who} was refused {}: {reasons:?}", FILTERS[filter]),
            );
        }
        let session = self.clients[who].session.as_mut();
        if let Some(subscribed) = session.and_then(|session| session.subscriptions.get_mut(&filter))
        {
            subscribed.exists = true;
            let last = subscribed.options.len().saturating_sub(1);
            subscribed.options.drain(..last);
        }
        Ok(())
    }

    fn hear_unsuback(&mut self, who: usize, id: PacketId) -> Verdict {
        let Some(filter) = self.answered(who, id) else {
            return fail(
                Oracle::Protocol,
                format!("{who} got UNSUBACK {id:?} for nothing"),
            );
        };
        if let Some(session) = self.clients[who].session.as_mut() {
            session.subscriptions.remove(&filter);
        }
        Ok(())
    }
}

fn is_good(reason: ReasonCode) -> bool {
    (reason as u8) < 0x80
}
