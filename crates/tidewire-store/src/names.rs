//! What things are called: shards, offsets, versions, sessions, owners.

use crate::wire::{Reader, put_short};
use std::fmt;

/// One of the store's shards. Their number is fixed when the store is created.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u16);

/// Ties an answer to its request; chosen by the caller, who may use each as often as it likes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Where a message is in its shard. Later messages of the shard have higher ones; offsets have gaps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Offset(pub u64);

impl Offset {
    /// Before every message.
    pub const ZERO: Self = Self(0);

    pub(crate) fn new(seq: u64, index: u8) -> Self {
        Self((seq << 8) | u64::from(index))
    }

    pub(crate) fn seq(self) -> u64 {
        self.0 >> 8
    }

    /// The lowest offset that a later message can have.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The version of a session record: given by the store, higher with every write, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Version(pub u64);

/// A session's key: who it belongs to, and its client id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionName {
    /// Who it belongs to; `None` = nobody authenticated.
    pub principal: Option<Box<str>>,
    /// Client id.
    pub client_id: Box<str>,
}

impl SessionName {
    /// The session of this principal with this client id.
    #[must_use]
    pub fn new(principal: Option<&str>, client_id: &str) -> Self {
        Self {
            principal: principal.map(Into::into),
            client_id: client_id.into(),
        }
    }

    /// The shard of what is kept for this session, and of what its client publishes.
    #[must_use]
    pub fn home(&self, shards: u16) -> ShardId {
        home_of(&self.client_id, shards)
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        put_short(into, self.client_id.as_bytes());
        match &self.principal {
            None => into.push(0),
            Some(principal) => {
                into.push(1);
                put_short(into, principal.as_bytes());
            }
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let client_id = from.short_str()?.into();
        let principal = match from.u8()? {
            0 => None,
            1 => Some(from.short_str()?.into()),
            _ => return None,
        };
        Some(Self {
            principal,
            client_id,
        })
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.principal {
            Some(principal) => write!(f, "{:?} of {principal:?}", self.client_id),
            None => write!(f, "{:?}", self.client_id),
        }
    }
}

/// Who is owed messages.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// A persistent session.
    Session(SessionName),
    /// A shared group.
    Group {
        /// The share name.
        share: Box<str>,
        /// The filter behind it.
        filter: Box<str>,
    },
}

impl Owner {
    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        match self {
            Self::Session(name) => {
                into.push(0);
                name.encode(into);
            }
            Self::Group { share, filter } => {
                into.push(1);
                put_short(into, share.as_bytes());
                put_short(into, filter.as_bytes());
            }
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        match from.u8()? {
            0 => SessionName::decode(from).map(Self::Session),
            1 => Some(Self::Group {
                share: from.short_str()?.into(),
                filter: from.short_str()?.into(),
            }),
            _ => None,
        }
    }
}

/// The shard of a client id, and of anything else that is spread by a name. The same in every build and on every
/// machine, as it is part of what is stored.
#[must_use]
pub fn home_of(name: &str, shards: u16) -> ShardId {
    // FNV-1a with a finaliser: stable, and spread well by short names that differ in their last character.
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash ^= hash >> 33;
    let shard = hash.checked_rem(u64::from(shards)).unwrap_or(0);
    ShardId(u16::try_from(shard).unwrap_or(0))
}
