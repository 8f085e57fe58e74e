//! How a session and a will are written in the store. The store does not look inside.

use crate::admission::Will;
use crate::message::{Message, Parts};
use crate::session::Session;
use crate::subscriptions::Subscription;
use crate::time::Time;
use tidewire_codec::{Qos, RetainHandling, SubscriptionOptions, Version};

/// The form that is written. A reader that meets another one leaves the record alone.
const FORM: u8 = 1;
const NO_EXPIRY: u64 = u64::MAX;

/// A session as it is kept.
#[derive(Debug)]
pub(super) struct SessionRecord {
    pub(super) version: Version,
    pub(super) expiry_secs: u32,
    /// When its client went, Unix time; `None` = it was connected.
    pub(super) left_ms: Option<u64>,
    pub(super) listener: u16,
    pub(super) subscriptions: Vec<(Box<str>, SubscriptionOptions, u32)>,
}

/// A will as it is kept.
#[derive(Debug)]
pub(super) struct WillRecord {
    pub(super) will: Will,
    /// When it is due, Unix time; `None` = its client was connected.
    pub(super) due_ms: Option<u64>,
    pub(super) listener: u16,
}

/// Writes a session's record.
pub(super) fn encode_session(session: &Session, expiry_secs: u32, left_ms: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![FORM, version_byte(session.version)];
    bytes.extend(expiry_secs.to_le_bytes());
    bytes.extend(left_ms.unwrap_or(0).to_le_bytes());
    bytes.extend(session.origin.listener.to_le_bytes());
    let count = u32::try_from(session.subscriptions.len()).unwrap_or(u32::MAX);
    bytes.extend(count.to_le_bytes());
    for (
        filter,
        Subscription {
            options,
            identifier,
            ..
        },
    ) in session.subscriptions.iter()
    {
        put_short(&mut bytes, filter.as_bytes());
        bytes.push(options_byte(*options));
        bytes.extend(identifier.to_le_bytes());
    }
    bytes
}

impl SessionRecord {
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.u8()? != FORM {
            return None;
        }
        let mut record = Self {
            version: version_of(from.u8()?)?,
            expiry_secs: from.u32()?,
            left_ms: Some(from.u64()?).filter(|at| *at > 0),
            listener: from.u16()?,
            subscriptions: Vec::new(),
        };
        for _ in 0..from.u32()? {
            let filter = from.short_str()?.into();
            let options = options_of(from.u8()?)?;
            record.subscriptions.push((filter, options, from.u32()?));
        }
        Some(record)
    }
}

/// Writes a will's record.
pub(super) fn encode_will(will: &Will, due_ms: Option<u64>, listener: u16) -> Vec<u8> {
    let parts = will.message.parts();
    let mut bytes = vec![FORM];
    bytes.extend(will.delay_secs.to_le_bytes());
    bytes.extend(due_ms.unwrap_or(0).to_le_bytes());
    bytes.extend(listener.to_le_bytes());
    bytes.push(parts.qos as u8 | u8::from(parts.retain) << 2);
    let expiry = if parts.expires == Time::NEVER {
        NO_EXPIRY
    } else {
        parts.expires.since(parts.received).as_secs()
    };
    bytes.extend(expiry.to_le_bytes());
    put_short(&mut bytes, parts.topic.as_bytes());
    put_long(&mut bytes, parts.properties);
    put_long(&mut bytes, parts.payload);
    bytes
}

impl WillRecord {
    pub(super) fn decode(bytes: &[u8], now: Time) -> Option<Self> {
        let mut from = Reader(bytes);
        if from.u8()? != FORM {
            return None;
        }
        let delay_secs = from.u32()?;
        let due_ms = Some(from.u64()?).filter(|at| *at > 0);
        let listener = from.u16()?;
        let flags = from.u8()?;
        let expiry = from.u64()?;
        let parts = Parts {
            qos: qos_of(flags & 3)?,
            retain: flags & 4 != 0,
            expires: if expiry == NO_EXPIRY {
                Time::NEVER
            } else {
                now.plus_secs(expiry)
            },
            received: now,
            topic: from.short_str()?,
            properties: from.long()?,
            payload: from.long()?,
            origin: None,
            stored: None,
        };
        let message = Message::new(&parts, &mut Vec::new());
        Some(Self {
            will: Will {
                message,
                delay_secs,
            },
            due_ms,
            listener,
        })
    }
}

fn options_byte(options: SubscriptionOptions) -> u8 {
    options.qos as u8
        | u8::from(options.no_local) << 2
        | u8::from(options.retain_as_published) << 3
        | (options.retain_handling as u8) << 4
}

fn options_of(byte: u8) -> Option<SubscriptionOptions> {
    Some(SubscriptionOptions {
        qos: qos_of(byte & 3)?,
        no_local: byte & 4 != 0,
        retain_as_published: byte & 8 != 0,
        retain_handling: match byte >> 4 {
            0 => RetainHandling::SendAlways,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return None,
        },
    })
}

fn qos_of(byte: u8) -> Option<Qos> {
    match byte {
        0 => Some(Qos::AtMostOnce),
        1 => Some(Qos::AtLeastOnce),
        2 => Some(Qos::ExactlyOnce),
        _ => None,
    }
}

fn version_byte(version: Version) -> u8 {
    match version {
        Version::V31 => 3,
        Version::V311 => 4,
        Version::V5 => 5,
    }
}

fn version_of(byte: u8) -> Option<Version> {
    match byte {
        3 => Some(Version::V31),
        4 => Some(Version::V311),
        5 => Some(Version::V5),
        _ => None,
    }
}

fn put_short(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_le_bytes());
    into.extend_from_slice(bytes);
}

fn put_long(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    into.extend_from_slice(bytes);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn short_str(&mut self) -> Option<&'a str> {
        let length = self.u16()?;
        std::str::from_utf8(self.take(length.into())?).ok()
    }

    fn long(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.take(usize::try_from(length).ok()?)
    }
}
