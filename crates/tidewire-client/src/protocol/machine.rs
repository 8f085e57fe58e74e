//! The machine: its state, the ways in and out, and how a connection ends.

use std::collections::VecDeque;
use std::sync::Arc;

use tidewire_codec::{Disconnect, Packet, PacketType, Properties, Qos, ReasonCode, Version};

use super::aliases::{AliasesIn, AliasesOut};
use super::cause::Cause;
use super::ids::Ids;
use super::incoming::Incoming;
use super::input::Input;
use super::keep_alive::KeepAlive;
use super::open::Open;
use super::out_bytes::OutBytes;
use super::outgoing::{Outgoing, Slot};
use super::output::{Output, PacketTrace, RequestError};
use super::server::ServerLimits;
use super::time::Time;

/// One client: a session, and the connection that it has at the moment or has not.
#[derive(Debug)]
pub struct Machine {
    pub(crate) phase: Phase,
    /// What the present or last connection was opened with.
    pub(crate) open: Box<Open>,
    pub(crate) server: ServerLimits,
    pub(crate) out: OutBytes,
    outputs: VecDeque<Output>,
    pub(crate) ids: Ids<Slot>,
    pub(crate) outgoing: Outgoing,
    pub(crate) incoming: Incoming,
    pub(crate) aliases_in: AliasesIn,
    pub(crate) aliases_out: AliasesOut,
    pub(crate) keep_alive: KeepAlive,
    /// When CONNACK is overdue.
    pub(crate) connack_due: Option<Time>,
    /// An authentication on the live connection is going on.
    pub(crate) reauthenticating: bool,
    pub(crate) trace: PacketTrace,
    /// The topic of the last message that came: most messages of a stream of telemetry repeat it.
    pub(crate) last_topic: Arc<str>,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is none.
    Idle,
    /// CONNECT is out.
    Connecting,
    /// CONNACK came.
    Live,
    /// It has ended; the driver still writes what is left.
    Ended,
}

impl Machine {
    /// A client without a session and without a connection.
    #[must_use]
    pub fn new(trace: PacketTrace) -> Self {
        Self {
            phase: Phase::Idle,
            open: Box::new(Open::new(Version::V5, "")),
            server: ServerLimits::default(),
            out: OutBytes::default(),
            outputs: VecDeque::new(),
            ids: Ids::new(),
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            aliases_in: AliasesIn::default(),
            aliases_out: AliasesOut::default(),
            keep_alive: KeepAlive::off(),
            connack_due: None,
            reauthenticating: false,
            trace,
            last_topic: "".into(),
        }
    }

    /// Takes one input. Returns how many of its bytes are used up ([`Input::Bytes`]), 0 for every other input.
    pub fn handle(&mut self, now: Time, input: Input<'_>) -> usize {
        match input {
            Input::Open(open) => self.on_open(now, open),
            Input::Bytes(bytes) => return self.on_bytes(now, bytes),
            Input::Closed => self.on_closed(),
            Input::Timeout => self.on_timeout(now),
            Input::Reading(reading) => self.keep_alive.set_reading(now, reading),
            Input::Publish { token, message } => self.on_publish_input(now, token, &message),
            Input::Subscribe {
                token,
                filters,
                properties,
            } => self.on_subscribe_input(now, token, &filters, properties),
            Input::Unsubscribe { token, filters } => {
                self.on_unsubscribe_input(now, token, &filters);
            }
            Input::Acknowledge { delivery, reason } => self.on_acknowledge(now, delivery, reason),
            Input::Authenticate { data } => {
                self.send_auth(now, ReasonCode::ContinueAuthentication, data.as_deref());
            }
            Input::Reauthenticate { data } => self.on_reauthenticate(now, data.as_deref()),
            Input::AuthenticationFailed(text) => self.end(now, Cause::AuthenticationFailed(text)),
            Input::Ping => self.send_ping(now),
            Input::Raw(packet) => self.on_raw(now, &packet),
            Input::Disconnect { reason, properties } => self.on_disconnect(now, reason, properties),
        }
        0
    }

    /// The next thing to do or to know.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The bytes that wait for the transport; [`Machine::written`] tells how many it took.
    #[must_use]
    pub fn transmit(&self) -> &[u8] {
        self.out.pending()
    }

    /// The transport took so many of the bytes of [`Machine::transmit`].
    pub fn written(&mut self, bytes: usize) {
        self.out.advance(bytes);
        self.settle_written();
    }

    /// When [`Input::Timeout`] is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        match self.phase {
            Phase::Connecting => self.connack_due,
            Phase::Live => [self.keep_alive.ping_due(), self.keep_alive.answer_due()]
                .into_iter()
                .flatten()
                .min(),
            Phase::Idle | Phase::Ended => None,
        }
    }

    /// Whether [`Input::Publish`] with this quality of service would be sent now: the connection is live, nothing waits
    /// to be resent, and above QoS 0 the server's Receive Maximum has room.
    #[must_use]
    pub fn can_publish(&self, qos: Qos) -> bool {
        self.phase == Phase::Live
            && self.outgoing.resend.is_empty()
            && (qos == Qos::AtMostOnce || self.outgoing.has_room())
    }

    /// Whether the connection is live: CONNACK came and nothing has ended it.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// What the server announced last.
    #[must_use]
    pub const fn server_limits(&self) -> &ServerLimits {
        &self.server
    }

    /// Whether [`Output::Packet`] is wanted from now on.
    pub const fn set_trace(&mut self, trace: PacketTrace) {
        self.trace = trace;
    }

    pub(crate) fn emit(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn version(&self) -> Version {
        self.open.version
    }

    /// Queues a packet. One that cannot be written ends the connection: only the application's own texts can be the reason.
    pub(crate) fn send(&mut self, now: Time, packet: &Packet<'_>) {
        match packet.encode(self.open.version, self.out.tail()) {
            Ok(()) => self.keep_alive.sent(now),
            Err(error) => self.end(now, Cause::CannotSend(error)),
        }
    }

    pub(crate) fn send_ping(&mut self, now: Time) {
        if self.phase == Phase::Live {
            self.send(now, &Packet::PingReq);
            self.keep_alive.asked(now);
        }
    }

    /// Ends the connection, with a word to the server where the version has one.
    pub(crate) fn end(&mut self, now: Time, cause: Cause) {
        if !matches!(self.phase, Phase::Connecting | Phase::Live) {
            return;
        }
        if let (Phase::Live, true, Some(reason)) = (
            self.phase,
            self.version().is_v5(),
            cause.disconnect_reason(),
        ) {
            let packet = Packet::Disconnect(Disconnect::with_reason(reason));
            // A code that DISCONNECT cannot carry is left unsaid; the connection ends all the same.
            if packet.encode(Version::V5, self.out.tail()).is_ok() {
                self.keep_alive.sent(now);
            }
        }
        self.phase = Phase::Ended;
        self.fail_requests(RequestError::ConnectionLost);
        self.emit(Output::Ended(cause));
    }

    fn on_closed(&mut self) {
        if matches!(self.phase, Phase::Connecting | Phase::Live) {
            self.phase = Phase::Ended;
            self.fail_requests(RequestError::ConnectionLost);
            self.emit(Output::Ended(Cause::TransportClosed));
        }
        self.forget_connection();
        self.phase = Phase::Idle;
    }

    /// What lasts no longer than a connection.
    pub(crate) fn forget_connection(&mut self) {
        self.lose_unwritten();
        self.out.reset();
        self.outgoing.connection_gone();
        self.mark_sent_earlier();
        self.incoming.connection_gone();
        self.aliases_in = AliasesIn::default();
        self.aliases_out = AliasesOut::default();
        self.keep_alive = KeepAlive::off();
        self.reauthenticating = false;
    }

    fn on_timeout(&mut self, now: Time) {
        let is_due = |due: Option<Time>| due.is_some_and(|due| due <= now);
        match self.phase {
            Phase::Connecting if is_due(self.connack_due) => self.end(now, Cause::NoConnAck),
            Phase::Live if is_due(self.keep_alive.answer_due()) => {
                self.end(now, Cause::NoPingResp);
            }
            Phase::Live if is_due(self.keep_alive.ping_due()) => self.send_ping(now),
            _ => {}
        }
    }

    fn on_raw(&mut self, now: Time, packet: &Packet<'_>) {
        if self.phase != Phase::Live {
            return;
        }
        self.send(now, packet);
        match packet.packet_type() {
            PacketType::PingReq => self.keep_alive.asked(now),
            PacketType::Disconnect => self.end(now, Cause::Asked),
            _ => {}
        }
    }

    fn on_disconnect(&mut self, now: Time, reason: ReasonCode, properties: Properties<'static>) {
        if self.phase == Phase::Live {
            let properties = if self.version().is_v5() {
                properties
            } else {
                Properties::EMPTY
            };
            self.send(now, &Packet::Disconnect(Disconnect { reason, properties }));
        }
        self.end(now, Cause::Asked);
    }
}
