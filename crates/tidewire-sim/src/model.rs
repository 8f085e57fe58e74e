//! What a client knows, and what its session must get.

use crate::act::Connect;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidewire_broker::simulated::SimClient;
use tidewire_codec::{Packet, PacketId, Publish, Qos, Version};
use tidewire_core::Time;

/// A message's number, growing over all publishers, wills included.
pub(crate) type Number = u64;

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: String,
    pub(crate) link: Option<Link>,
    /// The session that the broker has, or may have, for this client.
    pub(crate) session: Option<Session>,
    /// Own messages of QoS 1 and 2 that are not acknowledged, in order.
    pub(crate) unacknowledged: VecDeque<Unacknowledged>,
    /// Identifiers of received QoS 2 messages that are not released.
    pub(crate) held: BTreeSet<PacketId>,
    pub(crate) next_id: u16,
    pub(crate) takes_lowest_id: bool,
    /// It is not known which of two sessions the broker has: the next CONNECT ends both.
    pub(crate) in_doubt: bool,
    /// A CONNECT that was not answered may still be under way.
    pub(crate) is_unheard: bool,
}

/// A connection, as its client sees it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) wire: SimClient,
    pub(crate) connect: Connect,
    /// CONNACK has come.
    pub(crate) admitted: bool,
    pub(crate) opened: Time,
    pub(crate) last_sent: Time,
    /// The last packet before a silence that was too long.
    pub(crate) silence: Option<Time>,
    /// Received and not decoded.
    pub(crate) buffer: Vec<u8>,
    /// Acknowledgements that the client has not come round to send.
    pub(crate) answers: VecDeque<Packet<'static>>,
    /// Deliveries of QoS 1 and 2 that are not answered; the Receive Maximum bounds them.
    pub(crate) unanswered: BTreeSet<PacketId>,
    pub(crate) aliases: BTreeMap<u16, String>,
    /// Topics that this client has given an alias.
    pub(crate) own_aliases: Vec<String>,
    pub(crate) reads: bool,
    pub(crate) will: Option<Number>,
    /// SUBSCRIBE and UNSUBSCRIBE that are not answered.
    pub(crate) requests: VecDeque<(PacketId, usize)>,
    /// The connection that this one takes over.
    pub(crate) stale: Option<SimClient>,
}

/// A message of the client's own.
#[derive(Clone, Debug)]
pub(crate) struct Unacknowledged {
    pub(crate) number: Number,
    pub(crate) publish: Publish<'static>,
    /// PUBREC has come.
    pub(crate) released: bool,
}

/// What a session must get, and what it got.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) expiry_secs: u32,
    /// The version of the last connection that it had.
    pub(crate) version: Option<Version>,
    pub(crate) subscriptions: BTreeMap<usize, Subscribed>,
    /// Every filter that was ever asked for, with its options.
    pub(crate) ever: Vec<(usize, Options)>,
    pub(crate) owed: BTreeMap<Number, Owed>,
    pub(crate) got: BTreeMap<Number, Got>,
    /// The last number by publisher, topic and QoS of the delivery.
    pub(crate) last: BTreeMap<(usize, String, Qos), Number>,
    /// The newest number that was seen for a retained topic, by QoS of the delivery.
    pub(crate) last_state: BTreeMap<(String, Qos), Number>,
    /// Its connection has ended.
    pub(crate) away: Option<Away>,
}

/// When a session without a connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Away {
    /// It is there up to this time.
    pub(crate) stays: Time,
    /// It has gone from this time on; [`Time::NEVER`] while the broker may not have noticed.
    pub(crate) gone: Time,
}

/// A subscription as the client knows it.
#[derive(Clone, Debug)]
pub(crate) struct Subscribed {
    /// The broker has it for certain.
    pub(crate) exists: bool,
    /// What it may be.
    pub(crate) options: Vec<Options>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Options {
    pub(crate) qos: Qos,
    pub(crate) no_local: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    /// The lowest and highest QoS that it may come with.
    pub(crate) least: Qos,
    pub(crate) most: Qos,
    /// It may come, it need not.
    pub(crate) optional: bool,
    /// It was published while the session had no connection.
    pub(crate) while_away: bool,
}

#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Got {
    /// Deliveries that were no repetition under an identifier that was held.
    pub(crate) times: u32,
    /// Of those, how many came with QoS 2.
    pub(crate) exactly: u32,
}

/// A message that was published.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) publisher: usize,
    pub(crate) topic: String,
    pub(crate) qos: Qos,
    /// How often it was sent.
    pub(crate) times: u32,
    /// PUBACK or PUBREC has come.
    pub(crate) acknowledged: bool,
    pub(crate) expires: Time,
    pub(crate) expiry_secs: Option<u32>,
    /// Shared groups that owe it to one of their members, at QoS 1 or 2.
    pub(crate) groups: Vec<usize>,
}

impl Client {
    pub(crate) fn new(at: usize) -> Self {
        Self {
            name: format!("client{at}"),
            takes_lowest_id: at.is_multiple_of(2),
            link: None,
            session: None,
            unacknowledged: VecDeque::new(),
            held: BTreeSet::new(),
            next_id: 0,
            in_doubt: false,
            is_unheard: false,
        }
    }

    pub(crate) fn version(&self) -> Version {
        self.link
            .as_ref()
            .map_or(Version::V5, |link| link.connect.version)
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.admitted)
    }

    /// A packet identifier that is not in use for a message or request of this client. Some clients always take the lowest, so
    /// that identifiers are used again soon.
    pub(crate) fn unused_id(&mut self) -> PacketId {
        if self.takes_lowest_id {
            self.next_id = 0;
        }
        loop {
            self.next_id = self.next_id % 300 + 1;
            let Some(id) = PacketId::new(self.next_id) else {
                continue;
            };
            let by_message = self
                .unacknowledged
                .iter()
                .any(|sent| sent.publish.packet_id == Some(id));
            let by_request = self
                .link
                .as_ref()
                .is_some_and(|link| link.requests.iter().any(|(other, _)| *other == id));
            if !by_message && !by_request {
                return id;
            }
        }
    }
}

impl Link {
    /// When a silence began that lets the broker end the connection, if there was one.
    pub(crate) fn silent_since(&self, now: Time) -> Option<Time> {
        let keep_alive = u64::from(self.connect.keep_alive_secs);
        let is_over = keep_alive > 0 && now.since(self.last_sent).as_secs() >= keep_alive;
        self.silence.or(is_over.then_some(self.last_sent))
    }
}

impl Session {
    pub(crate) fn new(expiry_secs: u32, version: Version) -> Self {
        Self {
            expiry_secs,
            version: Some(version),
            ..Self::default()
        }
    }

    /// Its connection ends now.
    pub(crate) fn leave(&mut self, now: Time) {
        self.away = Some(Away {
            stays: end_of(now, self.expiry_secs),
            gone: Time::NEVER,
        });
    }

    /// Whatever the broker could notice it has noticed by now.
    pub(crate) fn noticed(&mut self, now: Time) {
        let expiry_secs = self.expiry_secs;
        if let Some(away) = self.away.as_mut().filter(|away| away.gone == Time::NEVER) {
            away.gone = end_of(now, expiry_secs);
            // A timer may be late by a tick.
            if away.gone != Time::NEVER {
                away.gone = away.gone.plus_secs(2);
            }
        }
    }

    /// It is not certain any more that what it is owed comes, for messages that `concerns` says.
    pub(crate) fn forgive(&mut self, mut concerns: impl FnMut(Number) -> bool) {
        for (number, owed) in &mut self.owed {
            if concerns(*number) {
                owed.optional = true;
                owed.least = Qos::AtMostOnce;
                owed.most = Qos::ExactlyOnce;
            }
        }
    }
}

pub(crate) fn end_of(from: Time, expiry_secs: u32) -> Time {
    if expiry_secs == u32::MAX {
        Time::NEVER
    } else {
        from.plus_secs(expiry_secs.into())
    }
}

/// Whether a filter matches a topic: an implementation of its own, so that it does not share the broker's mistakes.
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') != filter.starts_with('$') {
        return false;
    }
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

/// Share name and filter.
pub(crate) fn shared(filter: &str) -> Option<(&str, &str)> {
    filter.strip_prefix("$share/")?.split_once('/')
}

/// A payload with a number, and padding behind it.
pub(crate) fn payload_of(number: Number, padding: usize) -> Vec<u8> {
    let mut payload = number.to_string().into_bytes();
    if padding > 0 {
        payload.push(b' ');
        payload.resize(payload.len() + padding, b'.');
    }
    payload
}

pub(crate) fn number_in(payload: &[u8]) -> Option<Number> {
    let digits = payload.split(|byte| *byte == b' ').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
