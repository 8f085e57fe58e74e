//! An application message as it is kept: once, however many sessions owe it.

use crate::keys::{SessionAddress, SessionKey, WorkerId};
use crate::store::{Location, MessageRecord, UnixClock};
use crate::time::Time;
use std::sync::Arc;
use tidewire_codec::Qos;
use triomphe::ThinArc;

/// From this size on a payload is shared by its receivers' sockets instead of copied for each.
pub(crate) const SHARED_PAYLOAD_MIN_BYTES: usize = 8 * 1024;

/// What the keeping of a message costs besides its bytes.
const KEEPING_BYTES: u64 = 96;

/// Who published a message: what a record of it must name.
#[derive(Debug)]
pub struct Origin {
    /// The publisher's session, for No Local.
    pub address: SessionAddress,
    /// Client id.
    pub client_id: Box<str>,
    /// Who it is.
    pub principal: Option<Arc<str>>,
    /// The listener it came through.
    pub listener: u16,
}

/// A message: topic, forwarded properties and payload in one shared allocation.
#[derive(Clone, Debug)]
pub struct Message(ThinArc<Header, u8>);

#[derive(Debug)]
struct Header {
    topic_len: u16,
    properties_len: u32,
    qos: Qos,
    retain: bool,
    expires: Time,
    received: Time,
    origin: Option<Arc<Origin>>,
    /// A payload too large to be copied once more into the shared allocation.
    large: Option<Box<[u8]>>,
}

/// What a message is made of.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) topic: &'a str,
    /// Encoded properties that are forwarded as they are: all but Topic Alias, Message Expiry Interval and
    /// Subscription Identifier, in the publisher's order.
    pub(crate) properties: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// When it is no longer to be delivered; [`Time::NEVER`] without Message Expiry Interval.
    pub(crate) expires: Time,
    pub(crate) received: Time,
    pub(crate) origin: Option<&'a Arc<Origin>>,
    /// Where it is stored, if somebody is owed it there.
    pub(crate) stored: Option<Location>,
}

/// The address of publishers whose session is not known: they have gone, or published before a restart.
const NOWHERE: SessionAddress = SessionAddress {
    worker: WorkerId(u16::MAX),
    key: SessionKey {
        slot: u32::MAX,
        generation: u32::MAX,
    },
};

impl Message {
    /// A message as a store gives it back at `now`.
    #[must_use]
    pub fn restore(record: &MessageRecord<'_>, clock: UnixClock, now: Time) -> Self {
        let origin = record.origin.map(|(principal, client_id, listener)| {
            Arc::new(Origin {
                address: NOWHERE,
                client_id: client_id.into(),
                principal: principal.map(Into::into),
                listener,
            })
        });
        // One that was received before this process began counts as received now, with what is left of its time.
        let parts = Parts {
            topic: record.topic,
            properties: record.properties,
            payload: record.payload,
            qos: record.qos,
            retain: record.retain,
            expires: record
                .expires_ms
                .map_or(Time::NEVER, |at| clock.time_of(at)),
            received: if record.received_ms < clock.origin_ms {
                now
            } else {
                clock.time_of(record.received_ms)
            },
            origin: origin.as_ref(),
            stored: None,
        };
        Self::new(&parts, &mut Vec::new())
    }

    /// When it was received.
    #[must_use]
    pub fn received(&self) -> Time {
        self.0.header.header.received
    }

    /// Copies the parts into one message; `scratch` is only working space.
    pub(crate) fn new(parts: &Parts<'_>, scratch: &mut Vec<u8>) -> Self {
        let large =
            (parts.payload.len() >= SHARED_PAYLOAD_MIN_BYTES).then(|| Box::from(parts.payload));
        let inline = if large.is_some() {
            &[][..]
        } else {
            parts.payload
        };
        scratch.clear();
        scratch.extend_from_slice(parts.topic.as_bytes());
        scratch.extend_from_slice(parts.properties);
        scratch.extend_from_slice(inline);
        let header = Header {
            topic_len: u16::try_from(parts.topic.len()).unwrap_or(u16::MAX),
            properties_len: u32::try_from(parts.properties.len()).unwrap_or(u32::MAX),
            qos: parts.qos,
            retain: parts.retain,
            expires: parts.expires,
            received: parts.received,
            origin: parts.origin.map(Arc::clone),
            large,
        };
        Self(ThinArc::from_header_and_slice(header, scratch))
    }

    /// The message's parts, borrowed.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            topic: self.topic(),
            properties: self.properties(),
            payload: self.payload(),
            qos: self.qos(),
            retain: self.retain(),
            expires: self.expires(),
            received: self.0.header.header.received,
            origin: self.origin(),
            stored: None,
        }
    }

    /// Topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        let bytes = self
            .0
            .slice
            .get(..usize::from(self.0.header.header.topic_len))
            .unwrap_or_default();
        // Built from a &str of that length, so the fallback is never seen.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// Encoded properties that are forwarded as they are.
    #[must_use]
    pub fn properties(&self) -> &[u8] {
        let start = usize::from(self.0.header.header.topic_len);
        let end = start + self.0.header.header.properties_len as usize;
        self.0.slice.get(start..end).unwrap_or_default()
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        if let Some(large) = &self.0.header.header.large {
            return large;
        }
        let start = usize::from(self.0.header.header.topic_len)
            + self.0.header.header.properties_len as usize;
        self.0.slice.get(start..).unwrap_or_default()
    }

    /// The QoS that it was published with.
    #[must_use]
    pub fn qos(&self) -> Qos {
        self.0.header.header.qos
    }

    /// Whether it was published with RETAIN.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.0.header.header.retain
    }

    /// When it expires; [`Time::NEVER`] = never.
    #[must_use]
    pub fn expires(&self) -> Time {
        self.0.header.header.expires
    }

    /// Its whole Message Expiry Interval, if it has one.
    #[must_use]
    pub fn expiry_interval_secs(&self) -> Option<u32> {
        self.parts().expiry_left_secs(self.0.header.header.received)
    }

    /// Who published it; `None` = the server itself.
    #[must_use]
    pub fn origin(&self) -> Option<&Arc<Origin>> {
        self.0.header.header.origin.as_ref()
    }

    /// What it counts against a budget: its bytes and an allowance for their keeping.
    #[must_use]
    pub fn cost_bytes(&self) -> u64 {
        let large = self
            .0
            .header
            .header
            .large
            .as_ref()
            .map_or(0, |payload| payload.len());
        KEEPING_BYTES + self.0.slice.len() as u64 + large as u64
    }
}

/// The payload: what a socket shares when it is large.
impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        self.payload()
    }
}

impl Parts<'_> {
    /// What the message counts against a budget, as [`Message::cost_bytes`].
    pub(crate) fn cost_bytes(&self) -> u64 {
        let bytes = self.topic.len() + self.properties.len() + self.payload.len();
        KEEPING_BYTES + bytes as u64
    }

    /// Seconds left of the Message Expiry Interval, `None` without one \[5.0 MQTT-3.3.2-6\].
    pub(crate) fn expiry_left_secs(&self, now: Time) -> Option<u32> {
        (self.expires != Time::NEVER).then(|| {
            let whole = self.expires.since(self.received).as_secs();
            let waited = now.since(self.received).as_secs();
            u32::try_from(whole.saturating_sub(waited)).unwrap_or(u32::MAX)
        })
    }

    pub(crate) fn is_expired(&self, now: Time) -> bool {
        self.expires <= now
    }
}
