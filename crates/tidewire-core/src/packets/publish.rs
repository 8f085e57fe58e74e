//! PUBLISH: the order of checks, written once.
//!
//! decode -> limits -> topic alias -> protocol state -> topic validity -> authorise -> handlers -> match -> store -> deliver ->
//! ack. Authorise and handlers are one consultation ([`Core::consult`]) where handlers do both; the last four are
//! [`Core::publish_and_acknowledge`], the same for whoever publishes.

use crate::ack::{Permit, Received};
use crate::asks::Matter;
use crate::config::{Authorization, Limits};
use crate::conn::Failure;
use crate::core::Core;
use crate::keys::ConnKey;
use crate::mail::Run;
use crate::message::{Message, Origin, Parts};
use crate::output::Question;
use crate::packets::connect::{check_publish_topic, check_qos};
use crate::route::interest::Interest;
use crate::time::Time;
use crate::watch::Watch;
use std::sync::Arc;
use tidewire_codec::{Frame, Properties, PublishView, Qos, ReasonCode, Sender};

/// First byte of a PUBLISH with QoS 0, RETAIN 0, DUP 0.
const PLAIN_QOS0: u8 = 0x30;
/// Frames of a run that handlers are consulted about at once: enough that asking costs little for each, few enough that
/// looking for a run again behind each refused one does, too.
const CONSULTED_AT_ONCE: usize = 16;
/// Properties that are not forwarded as they came.
const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
const WILL_DELAY_INTERVAL: u8 = 0x18;
const TOPIC_ALIAS: u8 = 0x23;

/// What was done with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Taken {
    /// It is used up.
    Frame,
    /// It has to wait where it is.
    Nothing,
}

/// What of a run may be published at once.
enum Heeded {
    /// So many bytes of it.
    Run(usize),
    /// The first frame is a case of its own.
    Frame,
    /// Nothing before more is said.
    Nothing,
}

impl Core {
    /// Handles the PUBLISH `frame` at the beginning of `bytes`, and the run of like ones behind it; returns how many
    /// bytes that were.
    #[inline]
    pub(crate) fn on_publish(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        frame: Frame<'_>,
        bytes: &[u8],
    ) -> Result<usize, Failure> {
        if frame.first_byte == PLAIN_QOS0
            && let Some(used) = self.on_plain_run(interest, key, frame, bytes)?
        {
            return Ok(used);
        }
        match self.on_any_publish(interest, key, frame)? {
            Taken::Frame => {
                self.stats.packets_received += 1;
                self.stats.publishes_received += 1;
                Ok(frame.bytes.len())
            }
            Taken::Nothing => Ok(0),
        }
    }

    /// The common case at its cheapest: QoS 0 without properties, to a topic that has a route. Frames that follow with
    /// the same length and topic are handled together with the first. `None` = not that case.
    #[inline]
    fn on_plain_run(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        frame: Frame<'_>,
        bytes: &[u8],
    ) -> Result<Option<usize>, Failure> {
        let Some(conn) = self.conns.get(key) else {
            return Ok(None);
        };
        let v5 = conn.version.is_v5();
        let Some((topic, payload_at)) = plain_layout(frame, v5) else {
            return Ok(None);
        };
        // The broker's own topics may have routes, but are not for clients.
        if topic.first() == Some(&b'$') {
            return Ok(None);
        }
        let mut slot = conn.last_route;
        let (listener, session) = (conn.listener, conn.session);
        let heard = conn.heard.is_something();
        // What this connection has published before may wait for the store.
        if conn.acks.as_ref().is_some_and(|lane| !lane.is_empty()) {
            return Ok(None);
        }
        if self.asks_about_publish(listener) || self.anybody_watches(Watch::PUBLISHED) {
            return Ok(None);
        }
        if !self.routes.holds(slot, topic) {
            slot = match self.routes.find(topic) {
                Some(slot) => slot,
                None => match check_publish_topic(topic, self.config.limits.max_topic_levels) {
                    Ok(name) => self.routes.claim(name),
                    // What to say about it is the general way's business.
                    Err(_) => return Ok(None),
                },
            };
            if let Some(conn) = self.conns.get_mut(key) {
                conn.last_route = slot;
            }
        }
        self.refresh_route(interest, slot);
        let consults = heard || self.watch_of(listener).contains(Watch::PUBLISH);
        let within = run_bytes(bytes, frame.bytes.len(), consults);
        let mut len = run_len(within, frame.bytes.len(), payload_at);
        if consults {
            match self.allowed_of_run(key, heard, len, frame.bytes.len()) {
                Heeded::Run(bytes) => len = bytes,
                Heeded::Frame => return Ok(None),
                Heeded::Nothing => return Ok(Some(0)),
            }
        }
        let frames = bytes.get(..len).unwrap_or(frame.bytes);
        let Ok(topic) = std::str::from_utf8(topic) else {
            return Ok(None);
        };
        let run = Run {
            v5,
            topic,
            frames,
            frame_len: frame.bytes.len(),
            payload_at,
        };
        let count = run.count() as u64;
        self.stats.packets_received += count;
        self.stats.publishes_received += count;
        self.stats.publish_bytes_received += count * (run.frame_len - payload_at) as u64;
        if !self.fenced.is_empty() || self.has_lanes() {
            let Some(origin) = self.origin_of(session) else {
                return Ok(Some(len));
            };
            for frame in run.each() {
                let parts = self.parts_of_frame(&run, frame, &origin);
                self.publish(interest, &parts, None, None);
            }
            return Ok(Some(len));
        }
        self.publish_run(slot, session, &run);
        Ok(Some(len))
    }

    /// How much of a run may be published; consults about all of it if nothing has been said yet.
    fn allowed_of_run(
        &mut self,
        key: ConnKey,
        heard: bool,
        len: usize,
        frame_len: usize,
    ) -> Heeded {
        let count = len / frame_len.max(1);
        if !heard {
            self.consult(key, frame_len, count, None);
            return Heeded::Nothing;
        }
        let conn = self.conns.get_mut(key);
        match conn.map_or(0, |conn| conn.heard.take_allowed(count)) {
            0 => Heeded::Frame,
            allowed => Heeded::Run(allowed * frame_len),
        }
    }

    fn on_any_publish(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        frame: Frame<'_>,
    ) -> Result<Taken, Failure> {
        let Some(conn) = self.conns.get(key) else {
            return Ok(Taken::Frame);
        };
        let (version, session, listener) = (conn.version, conn.session, conn.listener);
        let heard = conn.heard.is_something();
        let view = PublishView::parse(version, Sender::Client, frame)?;
        let received = Received {
            conn: key,
            qos: view.qos(),
            packet_id: view.packet_id,
        };
        check_limits(&view, &self.config.limits)?;
        // A repeated message sets its alias too: it may be the first to do so on this connection.
        let name = self.resolve_alias(key, &view)?;
        if self.is_repeated(received, session)? {
            if self.keeper.is_some() && self.acknowledge_repeated(self.receipt_for(received)) {
                return Ok(Taken::Frame);
            }
            self.acknowledge(received, ReasonCode::Success, Permit::not_required());
            return Ok(Taken::Frame);
        }
        let named = name.as_deref().map_or(view.topic, str::as_bytes);
        let consults = !heard && self.watch_of(listener).contains(Watch::PUBLISH);
        if consults && self.has_route(named) {
            self.consult(key, frame.bytes.len(), 1, name);
            return Ok(Taken::Nothing);
        }
        let Some(topic) = self.check_topic(named, received)? else {
            return Ok(Taken::Frame);
        };
        if consults {
            self.consult(key, frame.bytes.len(), 1, name);
            return Ok(Taken::Nothing);
        }
        self.stats.publish_bytes_received += view.payload.len() as u64;
        let now = self.now;
        let expires = view.properties.message_expiry_interval_secs();
        let mut rebuilt = Vec::new();
        let properties = forwarded(&view.properties, &mut rebuilt);
        let origin = self.origin_of(session);
        let parts = Parts {
            topic,
            properties,
            payload: view.payload,
            qos: view.qos(),
            retain: view.retain(),
            expires: expires.map_or(Time::NEVER, |secs| now.plus_secs(secs.into())),
            received: now,
            origin: origin.as_ref(),
            stored: None,
        };
        if heard {
            self.publish_as_said(interest, &parts, received)?;
        } else if self.asks_about_publish(listener) {
            self.ask_about_publish(key, &parts, received);
        } else {
            self.publish_and_acknowledge(interest, &parts, None, received);
        }
        Ok(Taken::Frame)
    }

    /// A QoS 2 message whose identifier is still held has been taken already \[5.0 MQTT-4.3.3-10\]. A new one must be
    /// within the Receive Maximum.
    fn is_repeated(&self, received: Received, session: u32) -> Result<bool, Failure> {
        let Some(id) = received.packet_id else {
            return Ok(false);
        };
        let Some(inbound) = self
            .sessions
            .session_in(session)
            .and_then(|session| session.inbound.as_ref())
        else {
            return Ok(false);
        };
        if received.qos == Qos::ExactlyOnce && inbound.contains(id) {
            return Ok(true);
        }
        let v5 = self
            .conns
            .get(received.conn)
            .is_some_and(|conn| conn.version.is_v5());
        if v5 && inbound.len() >= usize::from(self.config.limits.receive_maximum) {
            let text = "more messages in flight than the Receive Maximum allows";
            return Err(Failure::new(ReasonCode::ReceiveMaximumExceeded, text));
        }
        Ok(false)
    }

    /// Notes that a QoS 2 identifier is held until PUBREL.
    pub(crate) fn remember_received(&mut self, received: Received) {
        let slot = self
            .conns
            .get(received.conn)
            .map_or(u32::MAX, |conn| conn.session);
        if let (Some(session), Some(id)) = (self.sessions.in_slot_mut(slot), received.packet_id) {
            session.inbound.get_or_insert_default().insert(id);
        }
    }

    /// Sets or looks up a Topic Alias; `None` = the packet's own topic holds.
    fn resolve_alias(
        &mut self,
        key: ConnKey,
        view: &PublishView<'_>,
    ) -> Result<Option<Box<str>>, Failure> {
        let Some(alias) = view.properties.topic_alias() else {
            return Ok(None);
        };
        let maximum = self.config.limits.topic_alias_maximum;
        if alias > maximum {
            let text = format!("Topic Alias {alias} is above the maximum of {maximum}");
            return Err(Failure::new(ReasonCode::TopicAliasInvalid, text));
        }
        let Some(conn) = self.conns.get_mut(key) else {
            return Ok(None);
        };
        if view.topic.is_empty() {
            let known = conn
                .inbound_aliases
                .as_ref()
                .and_then(|aliases| aliases.get(alias));
            let unknown =
                || Failure::new(ReasonCode::ProtocolError, "Topic Alias that was never set");
            return known.map(Box::from).map(Some).ok_or_else(unknown);
        }
        // An alias for a name that is not valid would only bring the error back.
        if let Ok(topic) = tidewire_codec::topic::validate_name(view.topic) {
            conn.inbound_aliases
                .get_or_insert_default()
                .set(alias, topic);
        }
        Ok(None)
    }

    /// Whether the name has been checked before: it has a route. Only the broker's own topics may have one and be nobody's to
    /// use.
    fn has_route(&self, name: &[u8]) -> bool {
        name.first() != Some(&b'$') && self.routes.find(name).is_some()
    }

    /// An invalid name ends the connection; a name that this client may not use gets its reason code.
    fn check_topic<'a>(
        &mut self,
        name: &'a [u8],
        received: Received,
    ) -> Result<Option<&'a str>, Failure> {
        if self.has_route(name)
            && let Ok(name) = std::str::from_utf8(name)
        {
            return Ok(Some(name));
        }
        match check_publish_topic(name, self.config.limits.max_topic_levels) {
            Ok(name) => Ok(Some(name)),
            Err(failure) if failure.reason == ReasonCode::NotAuthorized => {
                self.deny_publish(received, failure.reason);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    fn ask_about_publish(&mut self, key: ConnKey, parts: &Parts<'_>, received: Received) {
        let message = Message::new(parts, &mut self.scratch);
        let question = Question::AuthorizePublish {
            conn: key,
            client_id: parts
                .origin
                .map_or_else(Box::default, |origin| origin.client_id.clone()),
            principal: parts.origin.and_then(|origin| origin.principal.clone()),
            topic: parts.topic.into(),
            payload: parts.payload.into(),
            qos: parts.qos,
            retain: parts.retain,
            message: message.clone(),
        };
        self.ask(key, question, Matter::Publish { message, received });
    }

    /// Whether somebody outside has to allow what comes through a listener.
    #[inline]
    pub(crate) fn asks_about_publish(&self, listener: u16) -> bool {
        let policy = self.config.listeners.get(usize::from(listener));
        policy.is_none_or(|policy| policy.authorization == Authorization::Ask)
    }

    pub(crate) fn origin_of(&self, session: u32) -> Option<Arc<Origin>> {
        self.sessions
            .session_in(session)
            .map(|session| Arc::clone(&session.origin))
    }
}

fn check_limits(view: &PublishView<'_>, limits: &Limits) -> Result<(), Failure> {
    check_qos(view.qos(), limits.max_qos)?;
    if view.retain() && !limits.retain_available {
        return Err(Failure::new(
            ReasonCode::RetainNotSupported,
            "retained messages are not served",
        ));
    }
    Ok(())
}

/// Topic and payload offset of a QoS 0 PUBLISH that has a topic and no properties.
#[inline]
fn plain_layout<'a>(frame: Frame<'a>, v5: bool) -> Option<(&'a [u8], usize)> {
    let (length, rest) = frame.body.split_first_chunk::<2>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    let topic = rest.get(..length).filter(|topic| !topic.is_empty())?;
    if v5 && (rest.get(length) != Some(&0) || !frame.has_minimal_header()) {
        return None;
    }
    let header_len = frame.bytes.len() - frame.body.len();
    Some((topic, header_len + 2 + length + usize::from(v5)))
}

/// The bytes in which a run is looked for.
#[inline]
fn run_bytes(bytes: &[u8], frame_len: usize, consults: bool) -> &[u8] {
    if !consults {
        return bytes;
    }
    bytes.get(..frame_len * CONSULTED_AT_ONCE).unwrap_or(bytes)
}

/// Bytes of the run of frames at the beginning of `bytes` that agree with the first in everything before the payload.
#[inline]
fn run_len(bytes: &[u8], frame_len: usize, payload_at: usize) -> usize {
    let (Some(head), frames) = (bytes.get(..payload_at), bytes.chunks_exact(frame_len)) else {
        return frame_len;
    };
    frames.take_while(|frame| frame.starts_with(head)).count() * frame_len
}

/// The properties that travel on as they are; copied only if something has to be left out.
fn forwarded<'a>(properties: &'a Properties<'_>, rebuilt: &'a mut Vec<u8>) -> &'a [u8] {
    let own =
        properties.topic_alias().is_some() || properties.message_expiry_interval_secs().is_some();
    if !own {
        return properties.as_bytes();
    }
    forwarded_properties(properties, rebuilt);
    rebuilt
}

/// Copies those properties, in their order \[5.0 MQTT-3.3.2-18\], that travel with the message unchanged.
pub(crate) fn forwarded_properties(properties: &Properties<'_>, out: &mut Vec<u8>) {
    let mut forwarded = Properties::EMPTY;
    for property in properties.iter() {
        let id = property.id() as u8;
        let own = [
            MESSAGE_EXPIRY_INTERVAL,
            SUBSCRIPTION_IDENTIFIER,
            WILL_DELAY_INTERVAL,
            TOPIC_ALIAS,
        ]
        .contains(&id);
        if !own {
            // It was decoded from the same form, so it can be encoded.
            let _ = forwarded.push(property);
        }
    }
    out.extend_from_slice(forwarded.as_bytes());
}
