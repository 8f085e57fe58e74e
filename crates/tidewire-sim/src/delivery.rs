//! Messages: what is published, who is owed it, and what comes.

use crate::act::{FILTERS, Publish as Wanted, Topic};
use crate::failure::{Oracle, Verdict, fail};
use crate::lie::Lie;
use crate::life::{Life, WATCHER};
use crate::model::{
    Number, Options, Owed, Sent, Session, Unacknowledged, matches, number_in, payload_of, shared,
};
use crate::retained::Kind;
use tidewire_codec::{Packet, Properties, Property, Publish, Qos};
use tidewire_core::Time;

/// Own messages that a client leaves unacknowledged at most.
const UNACKNOWLEDGED_MAX: usize = 20;

/// Shared filters, which stand at the end of [`FILTERS`].
pub(crate) const GROUPS: usize = 2;

impl Life {
    pub(crate) fn publish(&mut self, wanted: &Wanted) -> Verdict {
        let who = wanted.who;
        if !self.clients[who].is_admitted()
            || self.clients[who].unacknowledged.len() > UNACKNOWLEDGED_MAX
        {
            return Ok(());
        }
        let number = self.next_number;
        self.next_number += 1;
        let (topic, expires) = (wanted.topic.name(who), self.expiry_of(wanted));
        let empty = wanted.topic == Topic::Retained { empty: true };
        if Self::is_retained(wanted) {
            self.coverage.saw_if(
                "retained message replaced",
                !empty && self.retained.has(&topic),
            );
            self.coverage.saw_if("retained message removed", empty);
            let v5 = self.clients[who].version().is_v5();
            let expiry_secs = wanted.expiry_secs.filter(|_| v5);
            let kind = Kind { empty, expiry_secs };
            self.retained
                .publish(&topic, number, kind, self.machine.time_of(&self.sim));
        }
        let v5 = self.clients[who].version().is_v5();
        let expiry_secs = wanted.expiry_secs.filter(|_| v5);
        let sent = Sent {
            publisher: who,
            topic: topic.clone(),
            qos: wanted.qos,
            times: 1,
            acknowledged: false,
            expires,
            expiry_secs,
            groups: Vec::new(),
        };
        self.messages.insert(number, sent);
        if !empty {
            self.enter_debts(who, number, &topic, wanted.qos);
        }
        self.send_publish(wanted, number, &topic, empty)
    }

    fn expiry_of(&self, wanted: &Wanted) -> Time {
        let v5 = self.clients[wanted.who].version().is_v5();
        let secs = wanted.expiry_secs.filter(|_| v5);
        secs.map_or(Time::NEVER, |secs| self.now().plus_secs(secs.into()))
    }

    fn send_publish(
        &mut self,
        wanted: &Wanted,
        number: Number,
        topic: &str,
        empty: bool,
    ) -> Verdict {
        let who = wanted.who;
        let mut properties = Properties::EMPTY;
        if self.clients[who].version().is_v5()
            && let Some(secs) = wanted.expiry_secs
        {
            let _ = properties.push(Property::MessageExpiryInterval(secs));
        }
        let packet_id = (wanted.qos != Qos::AtMostOnce).then(|| self.clients[who].unused_id());
        let payload = if empty {
            Vec::new()
        } else {
            payload_of(number, wanted.padding)
        };
        self.coverage.saw(match wanted.qos {
            Qos::AtMostOnce => "published at QoS 0",
            Qos::AtLeastOnce => "published at QoS 1",
            Qos::ExactlyOnce => "published at QoS 2",
        });
        self.coverage
            .saw_if("published more than a read buffer", payload.len() > 16_384);
        let mut publish = Publish {
            dup: false,
            qos: wanted.qos,
            retain: Self::is_retained(wanted) && !self.is_always(Lie::ForgetsToRetain),
            topic: topic.to_owned().into(),
            packet_id,
            properties,
            payload: payload.into(),
        };
        if packet_id.is_some() {
            // Kept with its topic: aliases end with the connection.
            self.clients[who].unacknowledged.push_back(Unacknowledged {
                number,
                publish: publish.clone(),
                released: false,
            });
        }
        self.note(format!(
            "message {number}, id {:?}",
            packet_id.map(|id| id.get())
        ));
        if packet_id.is_some() && self.lies(Lie::AcknowledgesWithoutTaking) {
            self.clients[who].unacknowledged.pop_back();
            self.is_acknowledged(number);
            return Ok(());
        }
        if wanted.alias {
            self.give_alias(who, &mut publish);
        }
        self.send(who, &Packet::Publish(publish))
    }

    fn give_alias(&mut self, who: usize, publish: &mut Publish<'static>) {
        let Some(link) = self.clients[who]
            .link
            .as_mut()
            .filter(|link| link.connect.version.is_v5())
        else {
            return;
        };
        self.coverage.saw("published with an alias");
        let known = link
            .own_aliases
            .iter()
            .position(|topic| *topic == publish.topic);
        let at = known.unwrap_or_else(|| {
            link.own_aliases.push(publish.topic.to_string());
            link.own_aliases.len() - 1
        });
        let _ = publish.properties.push(Property::TopicAlias(at as u16 + 1));
        if known.is_some() {
            publish.topic = "".into();
        }
    }

    /// Notes who must get a message, and who may.
    fn enter_debts(&mut self, publisher: usize, number: Number, topic: &str, qos: Qos) {
        let (mut kept_back, mut groups) = (false, Vec::new());
        for (who, client) in self.clients.iter_mut().enumerate() {
            let in_doubt = client.in_doubt;
            let Some(session) = client.session.as_mut() else {
                continue;
            };
            for (filter, subscribed) in &session.subscriptions {
                let Some((_, inner)) = shared(FILTERS[*filter]) else {
                    continue;
                };
                let least = subscribed
                    .options
                    .iter()
                    .map(|options| options.qos.min(qos))
                    .min();
                if !in_doubt
                    && subscribed.exists
                    && matches(inner, topic)
                    && least > Some(Qos::AtMostOnce)
                {
                    groups.push(*filter);
                }
            }
            let away = session.away.is_some();
            let (owed, local) = debt(session, who == publisher, topic, qos);
            kept_back |= local;
            if let Some(mut owed) = owed {
                owed.optional |= in_doubt || (away && owed.least == Qos::AtMostOnce);
                owed.while_away = away;
                session.owed.insert(number, owed);
            }
        }
        groups.sort_unstable();
        groups.dedup();
        self.coverage
            .saw_if("own message kept back by no local", kept_back);
        self.coverage.saw_if("owed by a group", !groups.is_empty());
        if let Some(sent) = self.messages.get_mut(&number) {
            sent.groups = groups;
        }
    }

    /// A member leaves its groups, or may: what they owe may have gone with it.
    pub(crate) fn forgive_groups(&mut self, _who: usize) {
        for sent in self.messages.values_mut() {
            sent.groups.clear();
        }
    }

    /// PUBACK or PUBREC has come.
    pub(crate) fn is_acknowledged(&mut self, number: Number) {
        if let Some(sent) = self.messages.get_mut(&number) {
            sent.acknowledged = true;
            let topic = sent.topic.clone();
            self.retained
                .acknowledge(&topic, number, self.machine.time_of(&self.sim));
        }
    }

    /// A message has come that is no repetition under an identifier that was held.
    pub(crate) fn receive(&mut self, who: usize, publish: &Publish<'_>) -> Verdict {
        let topic: &str = &publish.topic;
        let Some(number) = number_in(&publish.payload) else {
            // Empty: the removal of a retained message.
            return if topic.starts_with("r/") && publish.payload.is_empty() {
                Ok(())
            } else {
                fail(Oracle::Unasked, format!("{who} got {publish:?}"))
            };
        };
        if topic.starts_with("will/") {
            return if who == WATCHER {
                self.will_came(number)
            } else {
                Ok(())
            };
        }
        self.note(format!(
            "{who} got message {number} at {:?}, id {:?}, dup {}, retain {}",
            publish.qos,
            publish.packet_id.map(|id| id.get()),
            publish.dup,
            publish.retain
        ));
        let Some(sent) = self.messages.get(&number).cloned() else {
            return fail(
                Oracle::Unasked,
                format!("{who} got message {number}, which nobody sent"),
            );
        };
        if sent.topic != topic || publish.qos > sent.qos {
            return fail(
                Oracle::Unasked,
                format!(
                    "{who} got message {number} on {topic} at {:?}, it was sent as {sent:?}",
                    publish.qos
                ),
            );
        }
        let left = publish.properties.message_expiry_interval_secs();
        // A repetition by an older version of the protocol has none.
        let again = sent.times > 1;
        if left > sent.expiry_secs
            || !again
                && left.is_none()
                && sent.expiry_secs.is_some()
                && self.clients[who].version().is_v5()
        {
            return fail(
                Oracle::Protocol,
                format!(
                    "{who} got message {number} with {left:?} s left of {:?} s",
                    sent.expiry_secs
                ),
            );
        }
        if publish.retain {
            return self.receive_retained(who, publish, number, sent.times > 1);
        }
        self.is_asked_for(who, number, &sent)?;
        self.count(who, publish, number, &sent)
    }

    fn receive_retained(
        &mut self,
        who: usize,
        publish: &Publish<'_>,
        number: Number,
        again: bool,
    ) -> Verdict {
        let topic = publish.topic.to_string();
        if !self.retained.knows(&topic, number) {
            return fail(
                Oracle::Retained,
                format!("{who} got message {number} as retained on {topic}"),
            );
        }
        self.coverage
            .saw("retained message delivered to a new subscription");
        let Some(session) = self.clients[who].session.as_mut() else {
            return Ok(());
        };
        let newest = session.last_state.entry((topic, publish.qos)).or_insert(0);
        if *newest > number && !publish.dup && !again {
            return fail(
                Oracle::Retained,
                format!("{who} got message {number} as retained, though {newest} is newer"),
            );
        }
        *newest = number.max(*newest);
        Ok(())
    }

    /// Some filter that the session has asked for matches, and no local does not keep the message back.
    fn is_asked_for(&self, who: usize, number: Number, sent: &Sent) -> Verdict {
        let session = self.clients[who].session.as_ref();
        let asked = session.is_some_and(|session| {
            session.ever.iter().any(|(filter, options)| {
                let filter = shared(FILTERS[*filter]).map_or(FILTERS[*filter], |(_, inner)| inner);
                matches(filter, &sent.topic) && !(options.no_local && sent.publisher == who)
            })
        });
        if asked {
            return Ok(());
        }
        fail(
            Oracle::Unasked,
            format!(
                "{who} got message {number} on {} and has never asked for it",
                sent.topic
            ),
        )
    }

    fn count(&mut self, who: usize, publish: &Publish<'_>, number: Number, sent: &Sent) -> Verdict {
        self.count_for_groups(who, publish, number, sent)?;
        let Some(session) = self.clients[who].session.as_mut() else {
            return Ok(());
        };
        let got = session.got.entry(number).or_default();
        got.times += 1;
        got.exactly += u32::from(publish.qos == Qos::ExactlyOnce);
        let first = got.times == 1;
        // Once for the session itself, and once for each group that it is a member of.
        let groups = FILTERS.iter().enumerate().filter(|(at, filter)| {
            shared(filter).is_some_and(|(_, inner)| matches(inner, &sent.topic))
                && session.ever.iter().any(|(ever, _)| ever == at)
        });
        let most = 1 + groups.count() as u32;
        if got.exactly > most
            || (publish.qos == Qos::AtMostOnce
                && got.times > most * sent.times.max(1) + got.exactly)
        {
            return fail(
                Oracle::ExactlyOnce,
                format!(
                    "{who} got message {number} {} times, the last at {:?}",
                    got.times, publish.qos
                ),
            );
        }
        if let Some(owed) = session.owed.get(&number).filter(|_| first && most == 1)
            && !(owed.least..=owed.most).contains(&publish.qos)
        {
            return fail(
                Oracle::Unasked,
                format!(
                    "{who} got message {number} at {:?} instead of {owed:?}",
                    publish.qos
                ),
            );
        }
        let waited = session
            .owed
            .get(&number)
            .is_some_and(|owed| owed.while_away);
        self.coverage
            .saw_if("delivered what waited for an absent session", waited);
        self.coverage
            .saw_if("delivery repeated with DUP", publish.dup);
        if sent.topic.starts_with("r/") {
            let newest = session
                .last_state
                .entry((sent.topic.clone(), publish.qos))
                .or_insert(0);
            *newest = number.max(*newest);
        }
        // A shared group's members have no order among them.
        if most > 1 {
            return Ok(());
        }
        let last = session
            .last
            .entry((sent.publisher, sent.topic.clone(), publish.qos))
            .or_insert(0);
        // What was repeated may have missed a subscription the first time.
        if first && *last > number && sent.times == 1 {
            return fail(
                Oracle::Order,
                format!(
                    "{who} got message {number} of {} after {last}, both on {} at {:?}",
                    sent.publisher, sent.topic, publish.qos
                ),
            );
        }
        *last = number.max(*last);
        Ok(())
    }

    fn count_for_groups(
        &mut self,
        who: usize,
        publish: &Publish<'_>,
        number: Number,
        sent: &Sent,
    ) -> Verdict {
        let Some(session) = self.clients[who].session.as_ref() else {
            return Ok(());
        };
        let matching = |only_shared: bool| {
            session.ever.iter().filter(move |(filter, _)| {
                let (is_shared, inner) = shared(FILTERS[*filter])
                    .map_or((false, FILTERS[*filter]), |(_, inner)| (true, inner));
                is_shared == only_shared && matches(inner, &sent.topic)
            })
        };
        let groups: Vec<usize> = matching(true).map(|(filter, _)| *filter).collect();
        let alone = matching(false).next().is_some();
        if groups.is_empty() {
            return Ok(());
        }
        self.coverage.saw("delivered to a group's member");
        for group in groups {
            *self.group_got.entry((number, group)).or_insert(0) += 1;
        }
        // Each group has a QoS 2 message for one member, ever \[5.0 MQTT-4.8.2-5\]. Who is owed it anyway is no help here.
        if publish.qos == Qos::ExactlyOnce && !alone {
            let reached = self.reached.entry(number).or_insert(0);
            *reached += 1;
            if *reached > GROUPS as u32 {
                return fail(
                    Oracle::ExactlyOnce,
                    format!("message {number} reached {reached} members of {GROUPS} groups"),
                );
            }
        }
        Ok(())
    }

    /// Everybody has what was acknowledged and is owed.
    pub(crate) fn nothing_is_lost(&mut self) -> Verdict {
        let dropped = self.has_dropped();
        let now = self.now();
        for (who, client) in self.clients.iter().enumerate() {
            if let Some(own) = client
                .unacknowledged
                .front()
                .filter(|_| client.is_admitted())
            {
                return fail(
                    Oracle::Liveness,
                    format!(
                        "{who} waits for the acknowledgement of message {}",
                        own.number
                    ),
                );
            }
            let Some(session) = client.session.as_ref().filter(|_| client.is_admitted()) else {
                continue;
            };
            for (number, owed) in &session.owed {
                let Some(sent) = self.messages.get(number) else {
                    continue;
                };
                let has = session.got.contains_key(number);
                let expired = sent.expires <= now;
                self.coverage.saw_if(
                    "message expired while it waited",
                    expired && !has && sent.acknowledged,
                );
                let must =
                    sent.acknowledged && owed.least > Qos::AtMostOnce && !owed.optional && !expired;
                if must && !has && !dropped {
                    return fail(
                        Oracle::Lost,
                        format!(
                            "{who} never got message {number} on {} of {}, which was acknowledged",
                            sent.topic, sent.publisher
                        ),
                    );
                }
            }
        }
        for (number, sent) in &self.messages {
            let lost = sent
                .groups
                .iter()
                .find(|group| !self.group_got.contains_key(&(*number, **group)));
            if let Some(group) =
                lost.filter(|_| sent.acknowledged && !dropped && sent.expires == Time::NEVER)
            {
                return fail(
                    Oracle::Lost,
                    format!(
                        "no member of {} got message {number}, which was acknowledged",
                        FILTERS[*group]
                    ),
                );
            }
        }
        Ok(())
    }
}

/// What a session must or may get, and whether no local keeps something back.
fn debt(session: &Session, own: bool, topic: &str, qos: Qos) -> (Option<Owed>, bool) {
    let (mut least, mut most, mut kept_back) = (None, None, false);
    for (filter, subscribed) in &session.subscriptions {
        if shared(FILTERS[*filter]).is_some() || !matches(FILTERS[*filter], topic) {
            continue;
        }
        let wanted = |options: &&Options| !(own && options.no_local);
        let comes: Vec<Qos> = subscribed
            .options
            .iter()
            .filter(wanted)
            .map(|o| o.qos.min(qos))
            .collect();
        kept_back |= comes.len() < subscribed.options.len();
        most = most.max(comes.iter().max().copied());
        if subscribed.exists && comes.len() == subscribed.options.len() {
            least = least.max(comes.iter().min().copied());
        }
    }
    let owed = most.map(|most| Owed {
        least: least.unwrap_or(Qos::AtMostOnce),
        most,
        optional: least.is_none(),
        while_away: false,
    });
    (owed, kept_back)
}
