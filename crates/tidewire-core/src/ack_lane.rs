//! What one connection has published while something of it waits for the store: acknowledgements, and messages that need
//! not be stored, in the order in which they came \[5.0 MQTT-4.6.0-2\] \[5.0 MQTT-4.6.0-3\] \[5.0 MQTT-4.6.0-6\].

use crate::ack::Received;
use crate::keys::WorkerId;
use crate::message::Message;
use std::collections::VecDeque;
use tidewire_codec::{Qos, ReasonCode};

/// What ties a message that is on its way to the store to its publisher's acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receipt {
    /// The worker of the publisher's connection.
    pub(crate) worker: WorkerId,
    pub(crate) received: Received,
    /// Its place in the lane, once it has one.
    pub(crate) place: Option<u32>,
    /// Whether the publisher can be told why it is refused.
    pub(crate) v5: bool,
    /// Whether the identifier (QoS 2) has to be noted with the message, as the publisher's session is kept.
    pub(crate) marks: bool,
}

/// The lane. Places count up and wrap.
#[derive(Debug, Default)]
pub(crate) struct AckLane {
    first: u32,
    places: VecDeque<Place>,
    /// How many messages are held.
    held: usize,
}

/// What an acknowledgement waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    /// This worker's part of the store.
    Here,
    /// The worker that owns the message's topic.
    Elsewhere,
    /// Nothing but those before it.
    Ready(ReasonCode),
}

#[derive(Debug)]
pub(crate) enum Place {
    /// An acknowledgement, and the hash of its message's topic.
    Ack(Received, Wait, u64),
    /// A message to publish and acknowledge, and the same.
    Held(Message, Received, u64),
}

impl AckLane {
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether a message of the topic is held: those behind it are held too.
    pub(crate) fn holds(&self, topic: u64) -> bool {
        let is_held = |place: &Place| matches!(place, Place::Held(_, _, other) if *other == topic);
        self.held > 0 && self.places.iter().any(is_held)
    }

    /// Whether a message of the topic will be handed on by this worker.
    pub(crate) fn hands_on(&self, topic: u64) -> bool {
        let waits =
            |place: &Place| matches!(place, Place::Ack(_, Wait::Here, other) if *other == topic);
        self.holds(topic) || self.places.iter().any(waits)
    }

    /// Whether a message of the topic has not been handed on yet, here or elsewhere.
    pub(crate) fn waits_for(&self, topic: u64) -> bool {
        let waits = |place: &Place| match place {
            Place::Ack(_, Wait::Here | Wait::Elsewhere, other) => *other == topic,
            _ => false,
        };
        self.holds(topic) || self.places.iter().any(waits)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// A place for an acknowledgement, ready or not.
    pub(crate) fn push(&mut self, what: Place) -> u32 {
        let place = self
            .first
            .wrapping_add(u32::try_from(self.places.len()).unwrap_or(u32::MAX));
        self.held += usize::from(matches!(what, Place::Held(..)));
        self.places.push_back(what);
        place
    }

    /// The acknowledgement at a place may go.
    pub(crate) fn ready(&mut self, place: Option<u32>, reason: ReasonCode) {
        let Some(place) = place else { return };
        let at = place.wrapping_sub(self.first) as usize;
        if let Some(Place::Ack(_, wait, _)) = self.places.get_mut(at) {
            *wait = Wait::Ready(reason);
        }
    }

    /// The next one, if it may go. The acknowledgement of a held message takes its place, which is returned with it.
    pub(crate) fn take(&mut self) -> Option<(u32, Place)> {
        let place = self.first;
        let front = self.places.front_mut()?;
        if let Place::Ack(_, Wait::Here | Wait::Elsewhere, _) = front {
            return None;
        }
        self.held -= usize::from(matches!(front, Place::Held(..)));
        if let Place::Held(_, received, topic) = front
            && received.qos != Qos::AtMostOnce
        {
            let ack = Place::Ack(*received, Wait::Elsewhere, *topic);
            return Some((place, std::mem::replace(front, ack)));
        }
        self.first = self.first.wrapping_add(1);
        self.places.pop_front().map(|what| (place, what))
    }
}
