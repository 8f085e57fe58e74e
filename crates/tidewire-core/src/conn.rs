//! A connection as the core knows it, and the table of them.

use crate::ack_lane::AckLane;
use crate::admission::{Admission, PeerFacts};
use crate::alias::{InboundAliases, OutboundAliases};
use crate::consult::Heard;
use crate::keys::{ConnKey, Ticket};
use crate::message::Message;
use crate::outbuf::OutQueue;
use crate::time::Time;
use std::sync::Arc;
use tidewire_codec::{ReasonCode, Version};

/// No route remembered.
pub(crate) const NO_ROUTE: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    pub(crate) peer: Arc<PeerFacts>,
    /// The peer's listener, here because every PUBLISH looks at it.
    pub(crate) listener: u16,
    /// Known once CONNECT has come; until then the newest.
    pub(crate) version: Version,
    /// Bytes for the transport.
    pub(crate) out: OutQueue<Message>,
    /// Deliveries that would make `out` so long that an acknowledgement behind it would be late.
    pub(crate) backlog: OutQueue<Message>,
    /// On the list of connections with something to write.
    pub(crate) dirty: bool,
    /// The question that holds this connection's further input.
    pub(crate) gate: Option<Ticket>,
    /// What handlers have said about its next PUBLISH frames.
    pub(crate) heard: Heard,
    /// The session has something to send as soon as the socket has room.
    pub(crate) owed: bool,
    /// Held by the worker's memory budget.
    pub(crate) paused: bool,
    /// The peer has ended its stream: the memory budget does not hold it any more.
    pub(crate) ended: bool,
    /// Held because its client does not read what it is answered.
    pub(crate) choked: bool,
    /// Held because so many of its messages wait for the store.
    pub(crate) held: bool,
    /// Acknowledgements that wait for the store, and those that wait behind them.
    pub(crate) acks: Option<Box<AckLane>>,
    /// Slot of the session while live.
    pub(crate) session: u32,
    /// Slot of the route of the last PUBLISH, tried first for the next.
    pub(crate) last_route: u32,
    /// When the last whole packet came, or the transport was opened.
    pub(crate) last_received: Time,
    /// Keep Alive in force, 0 = none.
    pub(crate) keep_alive_secs: u16,
    /// Until when the client counts as authenticated.
    pub(crate) valid_until: Time,
    /// Largest packet that the client takes, `u32::MAX` = any.
    pub(crate) max_packet_size_bytes: u32,
    /// Whether Reason String and User Property may go on packets other than PUBLISH, CONNACK and DISCONNECT.
    pub(crate) request_problem_information: bool,
    pub(crate) inbound_aliases: Option<Box<InboundAliases>>,
    pub(crate) outbound_aliases: Option<Box<OutboundAliases>>,
    /// Enhanced authentication, if CONNECT named a method.
    pub(crate) authentication_method: Option<Box<str>>,
    /// The client has begun to authenticate anew and the exchange goes on.
    pub(crate) reauthenticating: bool,
}

/// How far a connection has come.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Waits for CONNECT.
    Opened,
    /// CONNECT has come; somebody decides about it.
    Authenticating(Box<Admission>),
    /// It may come in; the store has to say so.
    Admitting(Box<Admission>),
    /// Attached to a session.
    Live,
    /// A controller's: CONNECT has come.
    Raw { client_id: Box<str> },
    /// The core is done with it: input is ignored, output is flushed.
    Closing,
}

impl Conn {
    pub(crate) fn new(generation: u32, peer: Arc<PeerFacts>, now: Time) -> Self {
        Self {
            generation,
            phase: Phase::Opened,
            listener: peer.listener,
            peer,
            version: Version::V5,
            out: OutQueue::new(),
            backlog: OutQueue::new(),
            dirty: false,
            gate: None,
            heard: Heard::default(),
            owed: false,
            paused: false,
            ended: false,
            choked: false,
            held: false,
            acks: None,
            session: u32::MAX,
            last_route: NO_ROUTE,
            last_received: now,
            keep_alive_secs: 0,
            valid_until: Time::NEVER,
            max_packet_size_bytes: u32::MAX,
            request_problem_information: true,
            inbound_aliases: None,
            outbound_aliases: None,
            authentication_method: None,
            reauthenticating: false,
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// Whether it is admitted: to a session, or to a controller.
    pub(crate) fn is_in(&self) -> bool {
        matches!(self.phase, Phase::Live | Phase::Raw { .. })
    }

    /// Bytes that wait for the transport.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.out.len() + self.backlog.len()
    }

    /// When the client has been silent for too long \[5.0 MQTT-3.1.2-22\].
    pub(crate) fn keep_alive_deadline(&self) -> Time {
        let micros = u64::from(self.keep_alive_secs) * 1_500_000;
        self.last_received
            .saturating_add(std::time::Duration::from_micros(micros))
    }
}

/// The connections, at the places that the driver chose.
#[derive(Debug, Default)]
pub(crate) struct Conns {
    slots: Vec<Option<Conn>>,
}

impl Conns {
    pub(crate) fn insert(&mut self, key: ConnKey, conn: Conn) {
        let at = key.slot as usize;
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, || None);
        }
        if let Some(place) = self.slots.get_mut(at) {
            *place = Some(conn);
        }
    }

    pub(crate) fn get(&self, key: ConnKey) -> Option<&Conn> {
        self.slots
            .get(key.slot as usize)?
            .as_ref()
            .filter(|conn| conn.generation == key.generation)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: ConnKey) -> Option<&mut Conn> {
        self.slots
            .get_mut(key.slot as usize)?
            .as_mut()
            .filter(|conn| conn.generation == key.generation)
    }

    pub(crate) fn remove(&mut self, key: ConnKey) -> Option<Conn> {
        self.get(key)?;
        self.slots.get_mut(key.slot as usize)?.take()
    }

    /// The keys of all connections, in order of their slots.
    pub(crate) fn keys(&self) -> Vec<ConnKey> {
        let key = |(slot, place): (usize, &Option<Conn>)| {
            let slot = u32::try_from(slot).ok()?;
            place.as_ref().map(|conn| ConnKey {
                slot,
                generation: conn.generation,
            })
        };
        self.slots.iter().enumerate().filter_map(key).collect()
    }
}

/// Why the core ends a connection.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) reason: ReasonCode,
    pub(crate) text: Box<str>,
}

impl Failure {
    pub(crate) fn new(reason: ReasonCode, text: impl Into<Box<str>>) -> Self {
        Self {
            reason,
            text: text.into(),
        }
    }
}

impl From<tidewire_codec::DecodeError> for Failure {
    fn from(error: tidewire_codec::DecodeError) -> Self {
        Self {
            reason: error.reason_code(),
            text: error.to_string().into(),
        }
    }
}
