//! Random lives of a few clients, and what must hold in every one of them: QoS 2 exactly once, QoS 1 at least once, order
//! per publisher, topic and QoS, gauges that agree with what there is, the retained state, nothing left at the end.
//!
//! Clients behave as the specification asks of them: they repeat what was not acknowledged when their session resumes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use tidewire_codec::{
    Ack, Connect, Disconnect, Packet, PacketId, Properties, Property, Publish, Qos, ReasonCode,
    Sender, Subscribe, Subscription, SubscriptionOptions, Unsubscribe, Version, frame,
};
use tidewire_core::{Config, Time, TransportEnd};

use crate::net::{Chunks, Net, Plan};
use crate::store_side::FIXES_QOS;

const CLIENTS: usize = 5;
const STEPS: usize = 120;
const TOPICS: [&str; 4] = ["t/1", "t/2", "t/3/x", "s/1"];
const FILTERS: [&str; 6] = ["t/1", "t/+", "t/#", "+/2", "$share/g/s/+", "$share/h/s/1"];
const SESSION_EXPIRY_SECS: u32 = 1_000;

/// Lives a broker's life from a seed; an error tells what did not hold and what had been done.
pub(crate) fn live(workers: u16, seed: u64) -> Result<(), String> {
    let chunks = if seed.is_multiple_of(3) {
        Chunks::Cut
    } else {
        Chunks::Whole
    };
    let plan = Plan {
        workers,
        seed,
        chunks,
    };
    let mut life = Life::new(plan);
    let outcome = life.live();
    outcome.map_err(|error| {
        let done = life.done.join("\n");
        format!("seed {seed} with {workers} workers: {error}\nafter\n{done}")
    })
}

/// A message's number, growing over all publishers.
type Number = u64;

/// What a client's session must get.
#[derive(Debug, Default)]
struct Session {
    subscriptions: BTreeMap<&'static str, Qos>,
    outlives_connection: bool,
    ends: Option<Time>,
    owed: BTreeMap<Number, Owed>,
    got: BTreeMap<Number, u32>,
    /// QoS 2 identifiers that the client has acknowledged and the broker not released.
    held: BTreeSet<PacketId>,
    /// The last number by publisher, topic and QoS of the delivery.
    last: BTreeMap<(usize, String, Qos), Number>,
    /// The newest retained state that a live message told, by topic and QoS.
    last_state: BTreeMap<(String, Qos), u64>,
}

#[derive(Clone, Copy, Debug)]
struct Owed {
    qos: Qos,
    /// A subscription went, or the client was away at QoS 0: it may come, it need not.
    optional: bool,
}

/// A message of the client's own that the broker has not acknowledged.
#[derive(Clone, Debug)]
struct Unacknowledged {
    publish: Publish<'static>,
    released: bool,
}

#[derive(Debug, Default)]
struct Client {
    link: Option<usize>,
    version: Option<Version>,
    session: Option<Session>,
    sent: VecDeque<Unacknowledged>,
    /// Acknowledgements that the client has not come round to send.
    answers: VecDeque<Packet<'static>>,
    next_id: u16,
}

/// What is known about a message: who sent it, and how often.
#[derive(Debug)]
struct Sent {
    publisher: usize,
    times: u32,
}

struct Life {
    net: Net,
    clients: Vec<Client>,
    messages: BTreeMap<Number, Sent>,
    retained: BTreeMap<String, Number>,
    /// What each topic ever retained: as which of its states first, and as which last.
    ever_retained: BTreeMap<(String, Number), (u64, u64)>,
    states: u64,
    /// How many sessions a QoS 2 message of a shared group has reached.
    shared_reach: BTreeMap<Number, u32>,
    next_number: Number,
    random: u64,
    done: Vec<String>,
}

impl Life {
    fn new(plan: Plan) -> Self {
        let mut config = Config::default();
        config.limits.max_inflight_messages = 4;
        Self {
            net: Net::new(plan, &config),
            clients: (0..CLIENTS).map(|_| Client::default()).collect(),
            messages: BTreeMap::new(),
            retained: BTreeMap::new(),
            ever_retained: BTreeMap::new(),
            states: 0,
            shared_reach: BTreeMap::new(),
            next_number: 1,
            random: plan.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            done: Vec::new(),
        }
    }

    fn live(&mut self) -> Result<(), String> {
        for _ in 0..STEPS {
            self.step()?;
            self.listen_all()?;
            self.gauges_agree()?;
        }
        self.everybody_gets_the_rest()?;
        self.retained_is_what_was_last()?;
        self.everybody_leaves()
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) % bound
    }

    fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    fn qos(&mut self) -> Qos {
        self.one_of(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce])
    }

    fn step(&mut self) -> Result<(), String> {
        let who = self.below(CLIENTS as u64) as usize;
        let connected = self.clients[who].link.is_some();
        match self.below(20) {
            _ if !connected => self.connect(who),
            0 => self.connect(who),
            1 => self.leave(who, true),
            2 => self.leave(who, false),
            3..=5 => self.subscribe(who, Net::send),
            6 => self.unsubscribe(who),
            7 => self.jump(),
            8 => self.subscribe_in_a_race(who),
            9..=11 => self.answer_some(who),
            _ => self.publish_some(),
        }
    }

    fn note(&mut self, what: String) {
        self.done.push(what);
    }

    fn jump(&mut self) -> Result<(), String> {
        let millis = self.one_of(&[50, 7_003, 300_017, 700_039]) + self.below(1_000);
        self.note(format!("{millis} ms pass"));
        self.net.advance(Duration::from_millis(millis));
        // A timer may be late by a tick; a second is more than that.
        self.net.advance(Duration::from_secs(1));
        let now = self.net.now;
        for client in &mut self.clients {
            let over = client
                .session
                .as_ref()
                .and_then(|session| session.ends)
                .is_some_and(|ends| ends <= now);
            if over {
                client.session = None;
            }
        }
        Ok(())
    }

    /// Connects, or takes over from the client's own older connection.
    fn connect(&mut self, who: usize) -> Result<(), String> {
        let version = self.one_of(&[Version::V31, Version::V311, Version::V5]);
        let clean_start = self.below(4) == 0;
        let outlives_connection = if version.is_v5() {
            self.below(3) > 0
        } else {
            !clean_start
        };
        self.connect_as(who, version, clean_start, outlives_connection)
    }

    fn connect_as(
        &mut self,
        who: usize,
        version: Version,
        clean_start: bool,
        outlives_connection: bool,
    ) -> Result<(), String> {
        self.note(format!(
            "{who} connects with {version}, clean start {clean_start}, outlives {outlives_connection}"
        ));
        let mut properties = Properties::EMPTY;
        if version.is_v5() && outlives_connection {
            let _ = properties.push(Property::SessionExpiryInterval(SESSION_EXPIRY_SECS));
        }
        if let Some(old) = self.clients[who].link {
            let ephemeral = !self.clients[who]
                .session
                .as_ref()
                .is_some_and(|session| session.outlives_connection);
            if ephemeral {
                self.clients[who].session = None;
            }
            self.net.links[old].received.clear();
            self.forgive_qos0(who);
        }
        let link = self.net.open(0);
        let connect = Packet::Connect(Connect {
            version,
            clean_start,
            keep_alive_secs: 0,
            properties,
            client_id: format!("client{who}").into(),
            will: None,
            username: None,
            password: None,
        });
        let client = &mut self.clients[who];
        client.link = Some(link);
        client.version = Some(version);
        client.answers.clear();
        if clean_start {
            client.session = None;
        }
        let resumes = client.session.is_some();
        if !resumes {
            client.sent.clear();
        }
        let session = client.session.get_or_insert_default();
        session.outlives_connection = outlives_connection;
        session.ends = None;
        self.send(who, &connect)?;
        self.expect_connack(who, version, resumes)?;
        self.repeat_unacknowledged(who)
    }

    fn expect_connack(
        &mut self,
        who: usize,
        version: Version,
        resumes: bool,
    ) -> Result<(), String> {
        let Some(Packet::ConnAck(connack)) = self.hear_one(who)? else {
            return Err(format!("{who} got no CONNACK"));
        };
        let told = connack.session_present || version == Version::V31;
        if connack.reason != ReasonCode::Success || (told != resumes && version != Version::V31) {
            return Err(format!(
                "{who} got {connack:?}, session present should be {resumes}"
            ));
        }
        Ok(())
    }

    fn repeat_unacknowledged(&mut self, who: usize) -> Result<(), String> {
        for unacknowledged in self.clients[who].sent.clone() {
            let Some(id) = unacknowledged.publish.packet_id else {
                continue;
            };
            if unacknowledged.released {
                self.send(who, &Packet::PubRel(Ack::success(id)))?;
                continue;
            }
            let mut publish = unacknowledged.publish;
            publish.dup = true;
            self.note(format!("{who} repeats {}", said(&publish)));
            self.account(who, &publish, true);
            self.send(who, &Packet::Publish(publish))?;
        }
        Ok(())
    }

    fn leave(&mut self, who: usize, orderly: bool) -> Result<(), String> {
        self.note(format!("{who} leaves, orderly: {orderly}"));
        let Some(link) = self.clients[who].link.take() else {
            return Ok(());
        };
        if orderly {
            let version = self.clients[who].version.unwrap_or(Version::V5);
            let bytes = encode(
                version,
                &Packet::Disconnect(Disconnect::with_reason(ReasonCode::Success)),
            )?;
            self.net.send(link, &bytes);
        } else {
            self.net.cut(link, TransportEnd::PeerClosed);
        }
        let expiry = if self.clients[who].version.is_some_and(Version::is_v5) {
            Some(self.net.now.plus_secs(SESSION_EXPIRY_SECS.into()))
        } else {
            None
        };
        self.forgive_qos0(who);
        let client = &mut self.clients[who];
        client.answers.clear();
        match &mut client.session {
            Some(session) if session.outlives_connection => session.ends = expiry,
            _ => client.session = None,
        }
        Ok(())
    }

    /// What waits at QoS 0 for a place in a connection's window goes with the connection.
    fn forgive_qos0(&mut self, who: usize) {
        if let Some(session) = self.clients[who].session.as_mut() {
            for owed in session.owed.values_mut() {
                owed.optional |= owed.qos == Qos::AtMostOnce;
            }
        }
    }

    fn subscribe(&mut self, who: usize, send: fn(&mut Net, usize, &[u8])) -> Result<(), String> {
        let filter = self.one_of(&FILTERS);
        let qos = self.qos();
        self.note(format!("{who} subscribes to {filter} with {qos:?}"));
        let options = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        let subscribe = Packet::Subscribe(Subscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: vec![Subscription {
                filter: filter.into(),
                options,
            }],
        });
        if let Some(session) = self.clients[who].session.as_mut() {
            session.subscriptions.insert(filter, qos);
        }
        let client = &self.clients[who];
        let bytes = encode(client.version.unwrap_or(Version::V5), &subscribe)?;
        if let Some(link) = client.link {
            send(&mut self.net, link, &bytes);
        }
        Ok(())
    }

    /// Subscribes while others publish retained messages: which of them come is open, but none after a newer one.
    fn subscribe_in_a_race(&mut self, who: usize) -> Result<(), String> {
        let before = self.next_number;
        self.subscribe(who, Net::push)?;
        let mut retaining = BTreeSet::new();
        for _ in 0..=self.below(4) {
            self.net.stir();
            let publisher = self.below(CLIENTS as u64) as usize;
            let topic = self.one_of(&TOPICS);
            let may = self.clients[publisher].link.is_some() && retaining.insert(topic);
            if may && self.clients[publisher].sent.len() < 20 {
                self.publish(publisher, topic, true)?;
            }
        }
        self.net.settle();
        if let Some(session) = self.clients[who].session.as_mut() {
            for (_, owed) in session.owed.range_mut(before..) {
                owed.optional = true;
            }
        }
        Ok(())
    }

    fn unsubscribe(&mut self, who: usize) -> Result<(), String> {
        let filter = self.one_of(&FILTERS);
        self.note(format!("{who} unsubscribes from {filter}"));
        let unsubscribe = Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: vec![filter.into()],
        });
        if let Some(session) = self.clients[who].session.as_mut() {
            session.subscriptions.remove(filter);
            // Whether what waits for a deleted subscription still comes is the broker's choice.
            for owed in session.owed.values_mut() {
                owed.optional = true;
            }
        }
        self.send(who, &unsubscribe)
    }

    /// A few messages of several publishers, before the workers exchange what they have to say about them.
    fn publish_some(&mut self) -> Result<(), String> {
        let mut retaining = BTreeSet::new();
        for _ in 0..=self.below(4) {
            let who = self.below(CLIENTS as u64) as usize;
            // Within QoS 2 the client keeps to the identifiers that it has.
            if self.clients[who].link.is_none() || self.clients[who].sent.len() > 20 {
                continue;
            }
            let topic = self.one_of(&TOPICS);
            let retain = self.below(6) == 0 && retaining.insert(topic);
            self.publish(who, topic, retain)?;
            self.net.stir();
        }
        self.net.settle();
        Ok(())
    }

    fn publish(&mut self, who: usize, topic: &'static str, retain: bool) -> Result<(), String> {
        let qos = self.qos();
        let number = self.next_number;
        self.next_number += 1;
        let empty = retain && self.below(4) == 0;
        let packet_id = (qos != Qos::AtMostOnce).then(|| self.unused_id(who));
        let publish = Publish {
            dup: false,
            qos,
            retain,
            topic: topic.into(),
            packet_id,
            properties: Properties::EMPTY,
            payload: if empty {
                Vec::new().into()
            } else {
                number.to_string().into_bytes().into()
            },
        };
        self.note(format!("{who} publishes {}", said(&publish)));
        self.messages.insert(
            number,
            Sent {
                publisher: who,
                times: 0,
            },
        );
        self.account(who, &publish, false);
        if packet_id.is_some() {
            self.clients[who].sent.push_back(Unacknowledged {
                publish: publish.clone(),
                released: false,
            });
        }
        let version = self.clients[who].version.unwrap_or(Version::V5);
        let bytes = encode(version, &Packet::Publish(publish))?;
        match self.clients[who].link {
            Some(link) => self.net.push(link, &bytes),
            None => return Err(format!("{who} has no connection")),
        }
        Ok(())
    }

    fn unused_id(&mut self, who: usize) -> PacketId {
        let client = &mut self.clients[who];
        loop {
            client.next_id = client.next_id % 200 + 1;
            let id = PacketId::new(client.next_id).unwrap_or(PacketId::MIN);
            let used = client
                .sent
                .iter()
                .any(|sent| sent.publish.packet_id == Some(id));
            if !used {
                return id;
            }
        }
    }

    /// Notes what the broker owes once it has this message.
    fn account(&mut self, who: usize, publish: &Publish<'_>, again: bool) {
        // The broker knows a repeated QoS 2 message by its identifier.
        if again && publish.qos == Qos::ExactlyOnce {
            return;
        }
        let number = number_of(&publish.payload);
        if publish.retain {
            match number {
                Some(number) => {
                    self.retained.insert(publish.topic.to_string(), number);
                    self.states += 1;
                    let state = (self.states, self.states);
                    self.ever_retained
                        .entry((publish.topic.to_string(), number))
                        .and_modify(|known| known.1 = state.1)
                        .or_insert(state);
                }
                None => drop(self.retained.remove(&*publish.topic)),
            }
        }
        let Some(number) = number else { return };
        if let Some(sent) = self.messages.get_mut(&number) {
            sent.times += 1;
        }
        for (at, client) in self.clients.iter_mut().enumerate() {
            let away = client.link.is_none();
            let Some(session) = client.session.as_mut() else {
                continue;
            };
            let granted = session
                .subscriptions
                .iter()
                .filter(|(filter, _)| matches_plain(filter, &publish.topic))
                .map(|(_, qos)| *qos)
                .max();
            let Some(granted) = granted.filter(|_| !again || at != who) else {
                continue;
            };
            let qos = granted.min(publish.qos);
            let optional = again || (away && qos == Qos::AtMostOnce);
            session.owed.entry(number).or_insert(Owed { qos, optional });
        }
    }

    fn answer_some(&mut self, who: usize) -> Result<(), String> {
        let count = self.below(6);
        self.note(format!("{who} sends up to {count} answers"));
        for _ in 0..count {
            let Some(answer) = self.clients[who].answers.pop_front() else {
                break;
            };
            self.send(who, &answer)?;
            self.listen(who)?;
        }
        Ok(())
    }

    fn send(&mut self, who: usize, packet: &Packet<'_>) -> Result<(), String> {
        let version = self.clients[who].version.unwrap_or(Version::V5);
        let bytes = encode(version, packet)?;
        let link = self.clients[who]
            .link
            .ok_or_else(|| format!("{who} has no connection"))?;
        self.net.send(link, &bytes);
        Ok(())
    }

    fn hear_one(&mut self, who: usize) -> Result<Option<Packet<'static>>, String> {
        let Some(link) = self.clients[who].link else {
            return Ok(None);
        };
        let version = self.clients[who].version.unwrap_or(Version::V5);
        let link = &mut self.net.links[link];
        let Some(frame) =
            frame::next_frame(&link.received, u32::MAX).map_err(|error| error.to_string())?
        else {
            if link.closed {
                return Err(format!("{who} was closed"));
            }
            return Ok(None);
        };
        let packet =
            Packet::decode(version, Sender::Server, frame).map_err(|error| error.to_string())?;
        let (packet, len) = (packet.into_owned(), frame.bytes.len());
        link.received.drain(..len);
        Ok(Some(packet))
    }

    fn listen_all(&mut self) -> Result<(), String> {
        (0..CLIENTS).try_for_each(|who| self.listen(who))
    }

    fn listen(&mut self, who: usize) -> Result<(), String> {
        while let Some(packet) = self.hear_one(who)? {
            self.hear(who, packet)?;
        }
        Ok(())
    }

    fn hear(&mut self, who: usize, packet: Packet<'static>) -> Result<(), String> {
        match packet {
            Packet::Publish(publish) => self.receive(who, &publish)?,
            Packet::PubAck(ack) => self.acknowledged(who, ack.packet_id, Qos::AtLeastOnce)?,
            Packet::PubRec(ack) => {
                let sent = &mut self.clients[who].sent;
                let sent = sent
                    .iter_mut()
                    .find(|sent| sent.publish.packet_id == Some(ack.packet_id));
                let sent = sent.ok_or_else(|| format!("{who} got a PUBREC for nothing"))?;
                sent.released = true;
                self.send(who, &Packet::PubRel(Ack::success(ack.packet_id)))?;
            }
            Packet::PubComp(ack) => self.acknowledged(who, ack.packet_id, Qos::ExactlyOnce)?,
            Packet::PubRel(ack) => {
                if let Some(session) = self.clients[who].session.as_mut() {
                    session.held.remove(&ack.packet_id);
                }
                self.clients[who]
                    .answers
                    .push_back(Packet::PubComp(Ack::success(ack.packet_id)));
            }
            Packet::SubAck(_) | Packet::UnsubAck(_) => {}
            other => return Err(format!("{who} got {other:?}")),
        }
        Ok(())
    }

    fn acknowledged(&mut self, who: usize, id: PacketId, qos: Qos) -> Result<(), String> {
        let sent = &mut self.clients[who].sent;
        let at = sent
            .iter()
            .position(|sent| sent.publish.packet_id == Some(id) && sent.publish.qos == qos);
        let at = at.ok_or_else(|| format!("{who} got an acknowledgement for nothing: {id:?}"))?;
        sent.remove(at);
        Ok(())
    }

    fn receive(&mut self, who: usize, publish: &Publish<'_>) -> Result<(), String> {
        let client = &mut self.clients[who];
        let session = client
            .session
            .as_mut()
            .ok_or_else(|| format!("{who} got {} without a session", said(publish)))?;
        let mut new = true;
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(id)) => {
                client.answers.push_back(Packet::PubAck(Ack::success(id)));
            }
            (Qos::ExactlyOnce, Some(id)) => {
                new = session.held.insert(id);
                client.answers.push_back(Packet::PubRec(Ack::success(id)));
            }
            _ => {}
        }
        if !new && !publish.dup {
            return Err(format!(
                "{who} got {} under an identifier in use",
                said(publish)
            ));
        }
        let Some(number) = number_of(&publish.payload).filter(|_| new) else {
            return Ok(());
        };
        if publish.retain {
            let Some((_, newest)) = self.ever_retained.get(&(publish.topic.to_string(), number))
            else {
                return Err(format!("{who} got {} as retained", said(publish)));
            };
            let place = (publish.topic.to_string(), publish.qos);
            let seen = session.last_state.get(&place).copied().unwrap_or(0);
            if *newest < seen && !publish.dup {
                return Err(format!(
                    "{who} got {}, older than what it knows",
                    said(publish)
                ));
            }
            return Ok(());
        }
        self.count(who, number, publish)
    }

    /// Counts a live message, and looks at its QoS and its place in the order.
    fn count(&mut self, who: usize, number: Number, publish: &Publish<'_>) -> Result<(), String> {
        let sent = self
            .messages
            .get(&number)
            .ok_or_else(|| format!("{who} got {}, which nobody sent", said(publish)))?;
        let Some(session) = self.clients[who].session.as_mut() else {
            return Ok(());
        };
        let times = session.got.entry(number).or_insert(0);
        *times += 1;
        let first = *times == 1;
        if publish.topic.starts_with("s/") {
            // Two groups, so two members at most are in a QoS 2 exchange about it, ever.
            let exchange = publish.qos == Qos::ExactlyOnce;
            let reach = self.shared_reach.entry(number).or_insert(0);
            *reach += u32::from(exchange);
            return if *reach > 2 {
                Err(format!("{} reached {reach} members", said(publish)))
            } else {
                Ok(())
            };
        }
        if let Some(owed) = session.owed.get(&number).filter(|owed| !owed.optional)
            && owed.qos != publish.qos
            && first
            && FIXES_QOS
        {
            return Err(format!(
                "{who} got {} instead of {:?}",
                said(publish),
                owed.qos
            ));
        }
        let most = match publish.qos {
            Qos::ExactlyOnce => 1,
            Qos::AtMostOnce => sent.times,
            Qos::AtLeastOnce => u32::MAX,
        };
        if *times > most {
            return Err(format!("{who} got {} {times} times", said(publish)));
        }
        if let Some((first, _)) = self.ever_retained.get(&(publish.topic.to_string(), number)) {
            let place = (publish.topic.to_string(), publish.qos);
            let seen = session.last_state.entry(place).or_insert(0);
            *seen = (*first).max(*seen);
        }
        let place = (sent.publisher, publish.topic.to_string(), publish.qos);
        let last = session.last.entry(place).or_insert(0);
        if first && *last > number {
            return Err(format!("{who} got {} after {last}", said(publish)));
        }
        *last = number.max(*last);
        Ok(())
    }

    fn gauges_agree(&mut self) -> Result<(), String> {
        let stats = self.net.stats();
        let connected = self
            .clients
            .iter()
            .filter(|client| client.link.is_some())
            .count() as u64;
        let sessions: Vec<&Session> = self
            .clients
            .iter()
            .filter_map(|client| client.session.as_ref())
            .collect();
        let subscriptions: usize = sessions
            .iter()
            .map(|session| session.subscriptions.len())
            .sum();
        let shared: usize = sessions
            .iter()
            .flat_map(|session| session.subscriptions.keys())
            .filter(|filter| filter.starts_with("$share"))
            .count();
        let wanted = [
            ("connections", stats.connections, connected),
            ("sessions_connected", stats.sessions_connected, connected),
            ("sessions", stats.sessions, sessions.len() as u64),
            ("subscriptions", stats.subscriptions, subscriptions as u64),
            ("shared_members", stats.shared_members, shared as u64),
            (
                "retained_messages",
                stats.retained_messages,
                self.retained.len() as u64,
            ),
        ];
        for (name, is, should) in wanted {
            if is != should {
                return Err(format!("{name} is {is} and should be {should}"));
            }
        }
        if stats.queued_messages > 1_000_000 || stats.queued_bytes > 1_000_000_000 {
            return Err(format!("a gauge has wrapped: {stats:?}"));
        }
        Ok(())
    }

    /// Everybody comes back, takes what waits, and has then all that it was owed.
    fn everybody_gets_the_rest(&mut self) -> Result<(), String> {
        for who in 0..CLIENTS {
            if self.clients[who].link.is_none() && self.clients[who].session.is_some() {
                self.connect_as(who, Version::V5, false, true)?;
            }
        }
        for _ in 0..1_000 {
            self.listen_all()?;
            let mut busy = false;
            for who in 0..CLIENTS {
                while let Some(answer) = self.clients[who].answers.pop_front() {
                    busy = true;
                    self.send(who, &answer)?;
                    self.listen(who)?;
                }
            }
            if !busy {
                break;
            }
        }
        for (who, client) in self.clients.iter().enumerate() {
            let Some(session) = &client.session else {
                continue;
            };
            for (number, owed) in &session.owed {
                let got = session.got.get(number).copied().unwrap_or(0);
                if got == 0 && !owed.optional {
                    return Err(format!(
                        "{who} never got message {number}, owed with {:?}",
                        owed.qos
                    ));
                }
            }
            if !client.sent.is_empty() {
                return Err(format!(
                    "{who} waits for acknowledgements of {:?}",
                    client.sent
                ));
            }
        }
        let stats = self.net.stats();
        if self
            .clients
            .iter()
            .all(|client| client.session.is_none() || client.link.is_some())
            && stats.queued_messages > 0
        {
            return Err(format!("{} messages still wait", stats.queued_messages));
        }
        Ok(())
    }

    fn retained_is_what_was_last(&mut self) -> Result<(), String> {
        let link = self.net.open(0);
        let version = Version::V5;
        let connect = encode(
            version,
            &Packet::Connect(Connect {
                version,
                clean_start: true,
                keep_alive_secs: 0,
                properties: Properties::EMPTY,
                client_id: "probe".into(),
                will: None,
                username: None,
                password: None,
            }),
        )?;
        self.net.send(link, &connect);
        let subscribe = encode(
            version,
            &Packet::Subscribe(Subscribe {
                packet_id: PacketId::MIN,
                properties: Properties::EMPTY,
                filters: vec![Subscription {
                    filter: "#".into(),
                    options: SubscriptionOptions::default(),
                }],
            }),
        )?;
        self.net.send(link, &subscribe);
        let mut found = BTreeMap::new();
        let received = std::mem::take(&mut self.net.links[link].received);
        let mut rest = received.as_slice();
        while let Some(frame) =
            frame::next_frame(rest, u32::MAX).map_err(|error| error.to_string())?
        {
            rest = &rest[frame.bytes.len()..];
            let packet = Packet::decode(version, Sender::Server, frame)
                .map_err(|error| error.to_string())?;
            if let Packet::Publish(publish) = packet {
                let number = number_of(&publish.payload).unwrap_or(0);
                found.insert(publish.topic.to_string(), number);
            }
        }
        self.net.cut(link, TransportEnd::PeerClosed);
        if found == self.retained {
            Ok(())
        } else {
            Err(format!(
                "retained are {found:?} and should be {:?}",
                self.retained
            ))
        }
    }

    fn everybody_leaves(&mut self) -> Result<(), String> {
        for who in 0..CLIENTS {
            self.leave(who, false)?;
            self.connect_as(who, Version::V311, true, false)?;
            self.leave(who, true)?;
        }
        let stats = self.net.stats();
        let left = [
            ("connections", stats.connections),
            ("sessions", stats.sessions),
            ("sessions_connected", stats.sessions_connected),
            ("subscriptions", stats.subscriptions),
            ("shared_members", stats.shared_members),
            ("queued_messages", stats.queued_messages),
            ("queued_bytes", stats.queued_bytes),
        ];
        match left.iter().find(|(_, value)| *value != 0) {
            Some((name, value)) => Err(format!("{name} is {value} after everybody has gone")),
            None => Ok(()),
        }
    }
}

fn encode(version: Version, packet: &Packet<'_>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    packet
        .encode(version, &mut bytes)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn said(publish: &Publish<'_>) -> String {
    format!(
        "{} to {} with {:?}, id {:?}, dup {}, retain {}",
        String::from_utf8_lossy(&publish.payload),
        publish.topic,
        publish.qos,
        publish.packet_id.map(|id| id.get()),
        publish.dup,
        publish.retain
    )
}

fn number_of(payload: &[u8]) -> Option<Number> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}

/// Whether a filter that is not shared matches.
fn matches_plain(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}
