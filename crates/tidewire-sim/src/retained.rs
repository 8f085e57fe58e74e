//! Retained messages: what a new subscriber finds is what was last stored.

use crate::act::Connect;
use crate::failure::{Oracle, Verdict, fail};
use crate::life::Life;
use crate::model::{Number, number_in};
use std::collections::BTreeMap;
use tidewire_codec::{
    Packet, PacketId, Properties, Sender, Subscribe, Subscription, SubscriptionOptions, Version,
    frame,
};
use tidewire_core::Time;

/// By topic, everything that was published to be retained, in order. Each topic has one publisher.
#[derive(Default, Debug)]
pub(crate) struct Retained(BTreeMap<String, Vec<State>>);

#[derive(Clone, Copy, Debug)]
struct State {
    number: Number,
    /// It was empty: the topic has no retained message any more.
    empty: bool,
    acknowledged: bool,
    expires: Time,
    expiry_secs: Option<u32>,
    /// The broker counts from when it received it, which was no later than this.
    received: Time,
    /// It was repeated: it may have been stored a second time, after what followed the first, and perhaps without its expiry.
    again: bool,
}

/// What was published: nothing, or something for some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) empty: bool,
    pub(crate) expiry_secs: Option<u32>,
}

impl Retained {
    pub(crate) fn publish(&mut self, topic: &str, number: Number, kind: Kind, now: Time) {
        let states = self.0.entry(topic.to_owned()).or_default();
        states.push(State {
            number,
            empty: kind.empty,
            acknowledged: false,
            expires: kind
                .expiry_secs
                .map_or(Time::NEVER, |secs| now.plus_secs(secs.into())),
            expiry_secs: kind.expiry_secs,
            received: Time::NEVER,
            again: false,
        });
    }

    pub(crate) fn acknowledge(&mut self, topic: &str, number: Number, now: Time) {
        let states = self.0.get_mut(topic).into_iter().flatten();
        for state in states.filter(|state| state.number == number) {
            state.acknowledged |= !state.again;
            state.received = state.received.min(now);
        }
    }

    /// It is repeated, as its acknowledgement has not come.
    pub(crate) fn repeat(&mut self, topic: &str, number: Number) {
        let Some(states) = self.0.get_mut(topic) else {
            return;
        };
        if let Some(first) = states.iter().find(|state| state.number == number).copied() {
            states.push(State {
                acknowledged: false,
                again: true,
                ..first
            });
        }
    }

    pub(crate) fn knows(&self, topic: &str, number: Number) -> bool {
        let states = self.0.get(topic).into_iter().flatten();
        states
            .into_iter()
            .any(|state| state.number == number && !state.empty)
    }

    pub(crate) fn has(&self, topic: &str) -> bool {
        self.0.get(topic).is_some_and(|states| !states.is_empty())
    }

    /// What may be retained for a topic: the last acknowledged state or a later one; `None` = nothing.
    fn allowed(states: &[State], now: Time) -> Vec<Option<Number>> {
        let last = states.iter().rposition(|state| state.acknowledged);
        let mut allowed = Vec::new();
        if last.is_none() {
            allowed.push(None);
        }
        for state in states.get(last.unwrap_or(0)..).unwrap_or_default() {
            if state.empty || state.expires <= now {
                allowed.push(None);
            }
            let secs = state.expiry_secs.unwrap_or(u32::MAX);
            let gone = state.received.plus_secs(u64::from(secs) + 2);
            if !state.empty && (state.again || state.expiry_secs.is_none() || gone > now) {
                allowed.push(Some(state.number));
            }
        }
        allowed
    }
}

impl Life {
    /// A new client asks for all that is retained.
    pub(crate) fn retained_is_what_was_stored(&mut self) -> Verdict {
        let found = self.probe()?;
        let now = self.now();
        for (topic, states) in &self.retained.0 {
            let allowed = Retained::allowed(states, now);
            let is = found.get(topic).copied();
            if !allowed.contains(&is) {
                return fail(
                    Oracle::Retained,
                    format!("{topic} has {is:?}, allowed are {allowed:?} of {states:?}"),
                );
            }
        }
        match found.keys().find(|topic| !self.retained.has(topic)) {
            Some(topic) => fail(
                Oracle::Retained,
                format!("{topic} is retained, nobody wanted that"),
            ),
            None => Ok(()),
        }
    }

    fn probe(&mut self) -> Verdict<BTreeMap<String, Number>> {
        let connect = Connect {
            who: 0,
            version: Version::V311,
            clean_start: true,
            expiry_secs: 0,
            keep_alive_secs: 0,
            receive_maximum: u16::MAX,
            alias_maximum: 0,
            will: None,
        };
        let wire = self.sim.connect();
        let packets = [
            Packet::Connect(tidewire_codec::Connect {
                version: connect.version,
                clean_start: true,
                keep_alive_secs: 0,
                properties: Properties::EMPTY,
                client_id: "probe".into(),
                will: None,
                username: None,
                password: None,
            }),
            Packet::Subscribe(Subscribe {
                packet_id: PacketId::MIN,
                properties: Properties::EMPTY,
                filters: vec![Subscription {
                    filter: "#".into(),
                    options: SubscriptionOptions::default(),
                }],
            }),
            Packet::Disconnect(tidewire_codec::Disconnect::with_reason(
                tidewire_codec::ReasonCode::Success,
            )),
        ];
        let mut all = Vec::new();
        for packet in &packets {
            let mut bytes = Vec::new();
            let encoded = packet.encode(Version::V311, &mut bytes);
            if let Err(error) = encoded {
                return fail(Oracle::Protocol, format!("the probe cannot speak: {error}"));
            }
            if matches!(packet, Packet::Disconnect(_)) {
                self.sim.settle();
                all.extend(self.sim.take_received(wire));
            }
            self.sim.send(wire, &bytes);
        }
        self.sim.close(wire);
        self.settle()?;
        all.extend(self.sim.take_received(wire));
        read_retained(&all)
    }
}

fn read_retained(mut bytes: &[u8]) -> Verdict<BTreeMap<String, Number>> {
    let mut found = BTreeMap::new();
    while let Ok(Some(frame)) = frame::next_frame(bytes, u32::MAX) {
        bytes = bytes.get(frame.bytes.len()..).unwrap_or_default();
        match Packet::decode(Version::V311, Sender::Server, frame) {
            Ok(Packet::Publish(publish)) if publish.retain => {
                found.insert(
                    publish.topic.to_string(),
                    number_in(&publish.payload).unwrap_or(0),
                );
            }
            Ok(_) => {}
            Err(error) => return fail(Oracle::Protocol, format!("the probe got {error}")),
        }
    }
    Ok(found)
}
