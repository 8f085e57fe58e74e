//! Putting packets into a connection's outbound bytes.

use crate::alias::OutboundAlias;
use crate::conn::{Conn, Phase};
use crate::core::Core;
use crate::event::DropReason;
use crate::keys::ConnKey;
use crate::message::{Message, Parts, SHARED_PAYLOAD_MIN_BYTES};
use crate::outbound::Identifiers;
use crate::output::Output;
use tidewire_codec::{
    ConnAck, Disconnect, Packet, PacketId, PacketType, Properties, Property, PublishHeader, Qos,
    ReasonCode, wire,
};

/// Deliveries wait in a second queue while so much is before them, so that an acknowledgement is never further
/// than this from the wire.
pub(crate) const BACKLOG_FROM_BYTES: usize = 64 * 1024;
/// A session's waiting messages are encoded only while less than this waits for the socket.
pub(crate) const REFILL_BELOW_BYTES: usize = 128 * 1024;
/// Property identifiers that the broker writes itself.
const MESSAGE_EXPIRY_INTERVAL: u8 = 0x02;
const SUBSCRIPTION_IDENTIFIER: u8 = 0x0b;
const TOPIC_ALIAS: u8 = 0x23;

/// How one copy of a message goes out.
#[derive(Clone, Copy)]
pub(crate) struct Copy<'a> {
    pub(crate) qos: Qos,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) identifiers: &'a Identifiers,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sent {
    Queued,
    /// Larger than the client takes: to be treated as delivered \[5.0 MQTT-3.1.2-25\].
    TooLarge,
}

impl Core {
    /// Queues a packet other than PUBLISH. Reason String and User Property are left out where the client has not asked
    /// for them or could not take the packet with them.
    pub(crate) fn send_packet(&mut self, key: ConnKey, packet: &Packet<'_>) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let before = conn.out.len();
        let tail = conn.out.tail(&mut self.pool, 64);
        let start = tail.len();
        if packet.encode(conn.version, tail).is_err() {
            tail.truncate(start);
            return;
        }
        self.outbound_bytes += (conn.out.len() - before) as u64;
        self.stats.packets_sent += 1;
        self.mark_dirty(key);
    }

    /// Queues PUBACK, PUBREC, PUBREL or PUBCOMP without properties.
    #[inline]
    pub(crate) fn send_ack(
        &mut self,
        key: ConnKey,
        packet: PacketType,
        id: PacketId,
        reason: ReasonCode,
    ) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let [high, low] = id.get().to_be_bytes();
        let first = packet.first_byte();
        let short = [first, 2, high, low];
        let long = [first, 3, high, low, reason as u8];
        let bytes: &[u8] = if conn.version.is_v5() && reason != ReasonCode::Success {
            &long
        } else {
            &short
        };
        conn.out.push(&mut self.pool, bytes);
        self.outbound_bytes += bytes.len() as u64;
        self.stats.packets_sent += 1;
        self.mark_dirty(key);
    }

    /// Queues one copy of a message. `message` is the same message where it exists as one, to share a large payload.
    pub(crate) fn send_publish(
        &mut self,
        key: ConnKey,
        parts: &Parts<'_>,
        message: Option<&Message>,
        copy: Copy<'_>,
    ) -> Sent {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key) else {
            return Sent::Queued;
        };
        let mut own = [0u8; 16];
        let mut identifiers = Vec::new();
        let alias = name_topic(conn, parts.topic);
        let own = own_properties(&mut own, alias, parts.expiry_left_secs(now));
        put_identifiers(&mut identifiers, copy.identifiers);
        let header = PublishHeader {
            dup: copy.dup,
            qos: copy.qos,
            retain: copy.retain,
            topic: if matches!(alias, OutboundAlias::Known(_)) {
                ""
            } else {
                parts.topic
            },
            packet_id: copy.packet_id,
            properties: &[own, &identifiers, parts.properties],
            payload_len: parts.payload.len(),
        };
        let len = header.encoded_len(conn.version);
        if len > conn.max_packet_size_bytes as usize {
            self.stats.dropped_too_large += 1;
            let receiver = Some(conn.session);
            self.report_dropped(receiver, parts.topic, DropReason::TooLarge);
            return Sent::TooLarge;
        }
        let pool = &mut self.pool;
        let late = !conn.backlog.is_empty() || conn.out.len() > BACKLOG_FROM_BYTES;
        let queue = if late {
            &mut conn.backlog
        } else {
            &mut conn.out
        };
        let shared = message.filter(|_| parts.payload.len() >= SHARED_PAYLOAD_MIN_BYTES);
        let copied = if shared.is_some() {
            0
        } else {
            parts.payload.len()
        };
        let tail = queue.tail(pool, len - parts.payload.len() + copied);
        if header.encode(conn.version, tail).is_err() {
            return Sent::TooLarge;
        }
        match shared {
            Some(message) => queue.push_shared(pool, message.clone(), 0..parts.payload.len()),
            None => tail.extend_from_slice(parts.payload),
        }
        if let (OutboundAlias::New(_), Some(aliases)) = (alias, conn.outbound_aliases.as_mut()) {
            aliases.introduced(parts.topic);
        }
        self.outbound_bytes += len as u64;
        self.count_published(1, parts.payload.len());
        self.mark_dirty(key);
        Sent::Queued
    }

    pub(crate) fn count_published(&mut self, messages: u64, payload_bytes: usize) {
        self.stats.packets_sent += messages;
        self.stats.publishes_sent += messages;
        self.stats.publish_bytes_sent = self
            .stats
            .publish_bytes_sent
            .wrapping_add(payload_bytes as u64);
    }

    #[inline]
    pub(crate) fn mark_dirty(&mut self, key: ConnKey) {
        if let Some(conn) = self.conns.get_mut(key)
            && !conn.dirty
        {
            conn.dirty = true;
            self.dirty.push_back(key);
        }
    }

    /// Flushes and closes.
    pub(crate) fn close(&mut self, key: ConnKey) {
        self.drop_question(key);
        if let Some(conn) = self.conns.get_mut(key) {
            conn.phase = Phase::Closing;
            self.outputs.push_back(Output::Close { conn: key });
        }
    }

    pub(crate) fn send_disconnect(&mut self, key: ConnKey, reason: ReasonCode, text: &str) {
        let Some(conn) = self.conns.get(key) else {
            return;
        };
        let limit = conn.max_packet_size_bytes;
        let packet = |properties| Packet::Disconnect(Disconnect { reason, properties });
        let full = packet(reason_string(text));
        // [5.0 MQTT-3.14.2-3]
        if fits(&full, limit) {
            self.send_packet(key, &full);
        } else {
            self.send_packet(key, &packet(Properties::EMPTY));
        }
    }

    /// Refuses a CONNECT: CONNACK with the reason if the version has a code for it, then close.
    pub(crate) fn refuse(&mut self, key: ConnKey, reason: ReasonCode, text: &str) {
        let Some(conn) = self.conns.get(key) else {
            return;
        };
        let limit = conn.max_packet_size_bytes;
        let packet = |properties| {
            Packet::ConnAck(ConnAck {
                session_present: false,
                reason,
                properties,
            })
        };
        if conn.version.is_v5() {
            let full = packet(reason_string(text));
            // [5.0 MQTT-3.2.2-19]
            let chosen = if fits(&full, limit) {
                full
            } else {
                packet(Properties::EMPTY)
            };
            // One that takes not even that is closed without a word [5.0 MQTT-3.1.2-24].
            if fits(&chosen, limit) {
                self.send_packet(key, &chosen);
            }
        } else if reason.connack_return_code().is_some() {
            self.send_packet(key, &packet(Properties::EMPTY));
        }
        self.close(key);
    }
}

/// Whether an MQTT 5 packet is small enough for its receiver.
pub(crate) fn fits(packet: &Packet<'_>, limit: u32) -> bool {
    let mut bytes = Vec::new();
    limit == u32::MAX
        || packet
            .encode(tidewire_codec::Version::V5, &mut bytes)
            .is_ok_and(|()| bytes.len() <= limit as usize)
}

pub(crate) fn reason_string(text: &str) -> Properties<'static> {
    let mut properties = Properties::EMPTY;
    if !text.is_empty() {
        // A text that cannot be said is left unsaid: the reason code stands.
        let _ = properties.push(Property::ReasonString(text));
    }
    properties.into_owned()
}

fn name_topic(conn: &Conn, topic: &str) -> OutboundAlias {
    conn.outbound_aliases
        .as_ref()
        .map_or(OutboundAlias::None, |aliases| aliases.name(topic))
}

/// Topic Alias and Message Expiry Interval of this copy.
fn own_properties(space: &mut [u8; 16], alias: OutboundAlias, expiry_secs: Option<u32>) -> &[u8] {
    let mut len = 0;
    let mut put = |bytes: &[u8]| {
        if let Some(place) = space.get_mut(len..len + bytes.len()) {
            place.copy_from_slice(bytes);
            len += bytes.len();
        }
    };
    if let OutboundAlias::New(alias) | OutboundAlias::Known(alias) = alias {
        put(&[TOPIC_ALIAS]);
        put(&alias.to_be_bytes());
    }
    if let Some(secs) = expiry_secs {
        put(&[MESSAGE_EXPIRY_INTERVAL]);
        put(&secs.to_be_bytes());
    }
    space.get(..len).unwrap_or_default()
}

fn put_identifiers(out: &mut Vec<u8>, identifiers: &Identifiers) {
    for id in identifiers.as_slice() {
        out.push(SUBSCRIPTION_IDENTIFIER);
        wire::put_varint(out, *id);
    }
}
