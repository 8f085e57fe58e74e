//! A message's record.

use crate::wire::{Reader, put_long, put_short, put_u16, put_u64};
use std::fmt;
use tidewire_codec::Qos;

/// A message, borrowed: what is appended, and what is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageRef<'a> {
    /// Topic name.
    pub topic: &'a str,
    /// Encoded properties that are forwarded as they are.
    pub properties: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The QoS that it was published with.
    pub qos: Qos,
    /// Whether it was published with RETAIN.
    pub retain: bool,
    /// When it expires, in milliseconds of Unix time; `None` = never.
    pub expires_ms: Option<u64>,
    /// When it was received, in milliseconds of Unix time.
    pub received_ms: u64,
    /// Who published it; `None` = the server itself.
    pub origin: Option<OriginRef<'a>>,
}

/// Who published a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OriginRef<'a> {
    /// Who it is.
    pub principal: Option<&'a str>,
    /// Client id.
    pub client_id: &'a str,
    /// The listener it came through.
    pub listener: u16,
}

const RETAIN: u8 = 1 << 2;
const EXPIRES: u8 = 1 << 3;
const ORIGIN: u8 = 1 << 4;
const PRINCIPAL: u8 = 1 << 5;

impl<'a> MessageRef<'a> {
    /// Whether it is not to be delivered any more.
    #[must_use]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires| expires <= now_ms)
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        let mut flags = match self.qos {
            Qos::AtMostOnce => 0,
            Qos::AtLeastOnce => 1,
            Qos::ExactlyOnce => 2,
        };
        flags |= if self.retain { RETAIN } else { 0 };
        flags |= self.expires_ms.map_or(0, |_| EXPIRES);
        if let Some(origin) = &self.origin {
            flags |= ORIGIN | origin.principal.map_or(0, |_| PRINCIPAL);
        }
        into.push(flags);
        put_u64(into, self.received_ms);
        if let Some(expires) = self.expires_ms {
            put_u64(into, expires);
        }
        if let Some(origin) = &self.origin {
            put_u16(into, origin.listener);
            put_short(into, origin.client_id.as_bytes());
            if let Some(principal) = origin.principal {
                put_short(into, principal.as_bytes());
            }
        }
        put_short(into, self.topic.as_bytes());
        put_long(into, self.properties);
        put_long(into, self.payload);
    }

    pub(crate) fn decode(from: &mut Reader<'a>) -> Option<Self> {
        let flags = from.u8()?;
        let qos = match flags & 3 {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            2 => Qos::ExactlyOnce,
            _ => return None,
        };
        let received_ms = from.u64()?;
        let expires_ms = match flags & EXPIRES {
            0 => None,
            _ => Some(from.u64()?),
        };
        let origin = match flags & ORIGIN {
            0 => None,
            _ => Some(OriginRef {
                listener: from.u16()?,
                client_id: from.short_str()?,
                principal: match flags & PRINCIPAL {
                    0 => None,
                    _ => Some(from.short_str()?),
                },
            }),
        };
        Some(Self {
            qos,
            retain: flags & RETAIN != 0,
            received_ms,
            expires_ms,
            origin,
            topic: from.short_str()?,
            properties: from.long()?,
            payload: from.long()?,
        })
    }
}

/// A message as it was read: one allocation.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredMessage {
    record: Box<[u8]>,
}

impl StoredMessage {
    /// Keeps a record if it is one.
    pub(crate) fn new(record: &[u8]) -> Option<Self> {
        MessageRef::decode(&mut Reader::new(record))?;
        Some(Self {
            record: record.into(),
        })
    }

    /// The message.
    #[must_use]
    pub fn get(&self) -> MessageRef<'_> {
        // A record that cannot be decoded is not let in, so the fallback is never seen.
        MessageRef::decode(&mut Reader::new(&self.record)).unwrap_or(MessageRef {
            topic: "",
            properties: &[],
            payload: &[],
            qos: Qos::AtMostOnce,
            retain: false,
            expires_ms: None,
            received_ms: 0,
            origin: None,
        })
    }
}

/// Says what it is without the payload, which may be large or secret.
impl fmt::Debug for StoredMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.get();
        let (topic, bytes) = (message.topic, message.payload.len());
        write!(f, "StoredMessage({topic:?}, {bytes} bytes)")
    }
}
