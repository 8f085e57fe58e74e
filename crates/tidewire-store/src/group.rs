//! A group of operations: all of it is stored, or nothing.

use crate::message::MessageRef;
use crate::names::{Offset, Owner, SessionName, ShardId, Version};
use crate::wire::{Reader, put_long, put_short, put_u16, put_u32, put_u64};

/// Messages that one group may append.
pub const GROUP_MESSAGES_MAX: usize = 256;

/// Operations that are stored together or not at all, already in the form in which they are written.
///
/// What concerns a session (its record, a fence, QoS 2 marks and bindings, its will) must be submitted to that session's
/// [home](SessionName::home); the rest may go to any shard.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Group {
    bytes: Vec<u8>,
    messages: usize,
}

/// What a session record has to be for an operation on it to go through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Whatever it is.
    Any,
    /// Not there.
    Absent,
    /// There, with this version.
    Version(Version),
}

/// Where an outgoing QoS 2 message stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BindingStage {
    /// Bound, and sent or about to be: PUBREC has not come.
    Sent,
    /// PUBREC has come: only the identifier is owed.
    Received,
}

/// An outgoing QoS 2 message and the packet identifier it was sent with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The identifier.
    pub packet_id: u16,
    /// The message's shard.
    pub shard: ShardId,
    /// Where it is there.
    pub offset: Offset,
    /// How far it is.
    pub stage: BindingStage,
}

/// What an owner has done with in one shard: everything before `position`, and the ranges behind it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct CursorState {
    /// Everything with a lower offset is done with.
    pub position: Offset,
    /// Done with as well: from, up to and not including, rising, not touching.
    pub acked: Vec<(Offset, Offset)>,
}

impl CursorState {
    /// Whether the owner is done with what is at this offset.
    #[must_use]
    pub fn has_acked(&self, offset: Offset) -> bool {
        if offset < self.position {
            return true;
        }
        let after = self.acked.partition_point(|(from, _)| *from <= offset);
        let range = after.checked_sub(1).and_then(|at| self.acked.get(at));
        range.is_some_and(|(_, to)| offset < *to)
    }

    pub(crate) fn encode(&self, into: &mut Vec<u8>) {
        put_u64(into, self.position.0);
        put_u32(into, u32::try_from(self.acked.len()).unwrap_or(u32::MAX));
        for (from, to) in &self.acked {
            put_u64(into, from.0);
            put_u64(into, to.0);
        }
    }

    pub(crate) fn decode(from: &mut Reader<'_>) -> Option<Self> {
        let position = Offset(from.u64()?);
        let count = from.u32()?;
        let mut acked = Vec::new();
        for _ in 0..count {
            acked.push((Offset(from.u64()?), Offset(from.u64()?)));
        }
        Some(Self { position, acked })
    }
}

impl Group {
    /// A group without operations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a message to the shard; the answer tells the first one's offset, later ones follow it by one each.
    #[must_use]
    pub fn append(mut self, message: &MessageRef<'_>) -> Self {
        self.bytes.push(tag::APPEND);
        message.encode(&mut self.bytes);
        self.messages += 1;
        self
    }

    /// Retains the message that this group appends as its `index`th. A topic's retained message is replaced only by a
    /// higher version.
    #[must_use]
    pub fn retain_appended(mut self, index: u8, version: u64) -> Self {
        self.bytes.extend_from_slice(&[tag::RETAIN_APPENDED, index]);
        put_u64(&mut self.bytes, version);
        self
    }

    /// Retains a message that nobody is owed.
    #[must_use]
    pub fn retain(mut self, version: u64, message: &MessageRef<'_>) -> Self {
        self.bytes.push(tag::RETAIN);
        put_u64(&mut self.bytes, version);
        message.encode(&mut self.bytes);
        self
    }

    /// Removes a topic's retained message if its version is lower.
    #[must_use]
    pub fn unretain(mut self, version: u64, topic: &str) -> Self {
        self.bytes.push(tag::UNRETAIN);
        put_u64(&mut self.bytes, version);
        put_short(&mut self.bytes, topic.as_bytes());
        self
    }

    /// Writes a session record.
    #[must_use]
    pub fn put_session(mut self, name: &SessionName, expect: Expect, record: &[u8]) -> Self {
        self.bytes.push(tag::PUT_SESSION);
        name.encode(&mut self.bytes);
        put_expect(&mut self.bytes, expect);
        put_long(&mut self.bytes, record);
        self
    }

    /// Deletes a session record with all that is kept for it but its will: marks, bindings, interest, cursors.
    #[must_use]
    pub fn delete_session(mut self, name: &SessionName, expect: Expect) -> Self {
        self.bytes.push(tag::DELETE_SESSION);
        name.encode(&mut self.bytes);
        put_expect(&mut self.bytes, expect);
        self
    }

    /// Stores the group only if the session record is as expected.
    #[must_use]
    pub fn fence(mut self, name: &SessionName, expect: Expect) -> Self {
        self.bytes.push(tag::FENCE);
        name.encode(&mut self.bytes);
        put_expect(&mut self.bytes, expect);
        self
    }

    /// Notes the packet identifier of a received QoS 2 message.
    #[must_use]
    pub fn mark(self, name: &SessionName, packet_id: u16) -> Self {
        self.with_id(tag::MARK, name, packet_id)
    }

    /// Forgets it: it is released.
    #[must_use]
    pub fn unmark(self, name: &SessionName, packet_id: u16) -> Self {
        self.with_id(tag::UNMARK, name, packet_id)
    }

    /// Binds a packet identifier to an outgoing QoS 2 message, or notes how far it is.
    #[must_use]
    pub fn bind(mut self, name: &SessionName, binding: Binding) -> Self {
        self = self.with_id(tag::BIND, name, binding.packet_id);
        encode_binding(&mut self.bytes, binding);
        self
    }

    /// Frees a bound packet identifier.
    #[must_use]
    pub fn unbind(self, name: &SessionName, packet_id: u16) -> Self {
        self.with_id(tag::UNBIND, name, packet_id)
    }

    /// States what an owner is interested in, in place of what it stated before. A new owner's cursors stand at this
    /// group: what was appended earlier it is not owed. Messages that no owner is interested in, or all are done with, go.
    #[must_use]
    pub fn put_owner<'f>(
        mut self,
        owner: &Owner,
        filters: impl IntoIterator<Item = &'f str>,
    ) -> Self {
        self.bytes.push(tag::PUT_OWNER);
        owner.encode(&mut self.bytes);
        let mut list = Vec::new();
        encode_filters(&mut list, filters);
        put_long(&mut self.bytes, &list);
        self
    }

    /// Forgets an owner and its cursors.
    #[must_use]
    pub fn delete_owner(mut self, owner: &Owner) -> Self {
        self.bytes.push(tag::DELETE_OWNER);
        owner.encode(&mut self.bytes);
        self
    }

    /// Moves an owner's cursor in one shard, which need not be the one that the group goes to. Without effect for an
    /// owner that is not known.
    #[must_use]
    pub fn put_cursor(mut self, owner: &Owner, shard: ShardId, cursor: &CursorState) -> Self {
        self.bytes.push(tag::PUT_CURSOR);
        owner.encode(&mut self.bytes);
        put_u16(&mut self.bytes, shard.0);
        cursor.encode(&mut self.bytes);
        self
    }

    /// Keeps a will.
    #[must_use]
    pub fn put_will(mut self, name: &SessionName, will: &[u8]) -> Self {
        self.bytes.push(tag::PUT_WILL);
        name.encode(&mut self.bytes);
        put_long(&mut self.bytes, will);
        self
    }

    /// Forgets a will: it was published, or is not to be.
    #[must_use]
    pub fn delete_will(mut self, name: &SessionName) -> Self {
        self.bytes.push(tag::DELETE_WILL);
        name.encode(&mut self.bytes);
        self
    }

    /// Length of the group as it is written.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many messages it appends.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.messages
    }

    /// The same without the operations of a kind that appends nothing; for planted faults.
    pub(crate) fn without(&self, kind: Kind) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut from = Reader::new(&self.bytes);
        loop {
            let before = from.rest();
            let Some(op) = decode(&mut from) else { break };
            let length = before.len() - from.rest().len();
            if Kind::of(&op) != Some(kind) {
                bytes.extend_from_slice(before.get(..length).unwrap_or_default());
            }
        }
        Self {
            bytes,
            messages: self.messages,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn with_id(mut self, tag: u8, name: &SessionName, packet_id: u16) -> Self {
        self.bytes.push(tag);
        name.encode(&mut self.bytes);
        put_u16(&mut self.bytes, packet_id);
        self
    }
}

/// Operations that a planted fault leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Mark,
    Unmark,
    Bind,
    PutWill,
}

impl Kind {
    fn of(op: &Op<'_>) -> Option<Self> {
        match op {
            Op::Mark { .. } => Some(Self::Mark),
            Op::Unmark { .. } => Some(Self::Unmark),
            Op::Bind { .. } => Some(Self::Bind),
            Op::PutWill { .. } => Some(Self::PutWill),
            _ => None,
        }
    }
}

mod tag {
    pub(super) const APPEND: u8 = 1;
    pub(super) const RETAIN_APPENDED: u8 = 2;
    pub(super) const RETAIN: u8 = 3;
    pub(super) const UNRETAIN: u8 = 4;
    pub(super) const PUT_SESSION: u8 = 5;
    pub(super) const DELETE_SESSION: u8 = 6;
    pub(super) const FENCE: u8 = 7;
    pub(super) const MARK: u8 = 8;
    pub(super) const UNMARK: u8 = 9;
    pub(super) const BIND: u8 = 10;
    pub(super) const UNBIND: u8 = 11;
    pub(super) const PUT_OWNER: u8 = 12;
    pub(super) const DELETE_OWNER: u8 = 13;
    pub(super) const PUT_CURSOR: u8 = 14;
    pub(super) const PUT_WILL: u8 = 15;
    pub(super) const DELETE_WILL: u8 = 16;
}

/// One operation of a group, as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Op<'a> {
    Append {
        record: &'a [u8],
        message: MessageRef<'a>,
    },
    RetainAppended {
        index: u8,
        version: u64,
    },
    Retain {
        version: u64,
        record: &'a [u8],
        topic: &'a str,
    },
    Unretain {
        version: u64,
        topic: &'a str,
    },
    PutSession {
        name: SessionName,
        expect: Expect,
        record: &'a [u8],
    },
    DeleteSession {
        name: SessionName,
        expect: Expect,
    },
    Fence {
        name: SessionName,
        expect: Expect,
    },
    Mark {
        name: SessionName,
        packet_id: u16,
    },
    Unmark {
        name: SessionName,
        packet_id: u16,
    },
    Bind {
        name: SessionName,
        binding: Binding,
    },
    Unbind {
        name: SessionName,
        packet_id: u16,
    },
    PutOwner {
        owner: Owner,
        filters: &'a [u8],
    },
    DeleteOwner {
        owner: Owner,
    },
    PutCursor {
        owner: Owner,
        shard: ShardId,
        cursor: CursorState,
    },
    PutWill {
        name: SessionName,
        will: &'a [u8],
    },
    DeleteWill {
        name: SessionName,
    },
}

/// The operations of a group, in order. Ends early where the bytes are none.
pub(crate) struct Ops<'a>(Reader<'a>);

pub(crate) fn ops(bytes: &[u8]) -> Ops<'_> {
    Ops(Reader::new(bytes))
}

impl<'a> Iterator for Ops<'a> {
    type Item = Op<'a>;

    fn next(&mut self) -> Option<Op<'a>> {
        let op = decode(&mut self.0);
        if op.is_none() {
            self.0 = Reader::new(&[]);
        }
        op
    }
}

/// The messages that a group appends: record and message.
pub(crate) fn appended(bytes: &[u8]) -> impl Iterator<Item = (&[u8], MessageRef<'_>)> {
    ops(bytes).filter_map(|op| match op {
        Op::Append { record, message } => Some((record, message)),
        _ => None,
    })
}

fn decode<'a>(from: &mut Reader<'a>) -> Option<Op<'a>> {
    Some(match from.u8()? {
        tag::APPEND => {
            let (record, message) = message(from)?;
            Op::Append { record, message }
        }
        tag::RETAIN_APPENDED => Op::RetainAppended {
            index: from.u8()?,
            version: from.u64()?,
        },
        tag::RETAIN => {
            let version = from.u64()?;
            let (record, message) = message(from)?;
            Op::Retain {
                version,
                record,
                topic: message.topic,
            }
        }
        tag::UNRETAIN => Op::Unretain {
            version: from.u64()?,
            topic: from.short_str()?,
        },
        tag::PUT_SESSION => Op::PutSession {
            name: SessionName::decode(from)?,
            expect: expect(from)?,
            record: from.long()?,
        },
        tag::DELETE_SESSION => Op::DeleteSession {
            name: SessionName::decode(from)?,
            expect: expect(from)?,
        },
        tag::FENCE => Op::Fence {
            name: SessionName::decode(from)?,
            expect: expect(from)?,
        },
        tag::MARK => Op::Mark {
            name: SessionName::decode(from)?,
            packet_id: from.u16()?,
        },
        tag::UNMARK => Op::Unmark {
            name: SessionName::decode(from)?,
            packet_id: from.u16()?,
        },
        tag::BIND => {
            let name = SessionName::decode(from)?;
            let packet_id = from.u16()?;
            Op::Bind {
                name,
                binding: decode_binding(packet_id, from)?,
            }
        }
        tag::UNBIND => Op::Unbind {
            name: SessionName::decode(from)?,
            packet_id: from.u16()?,
        },
        tag::PUT_OWNER => Op::PutOwner {
            owner: Owner::decode(from)?,
            filters: from.long()?,
        },
        tag::DELETE_OWNER => Op::DeleteOwner {
            owner: Owner::decode(from)?,
        },
        tag::PUT_CURSOR => Op::PutCursor {
            owner: Owner::decode(from)?,
            shard: ShardId(from.u16()?),
            cursor: CursorState::decode(from)?,
        },
        tag::PUT_WILL => Op::PutWill {
            name: SessionName::decode(from)?,
            will: from.long()?,
        },
        tag::DELETE_WILL => Op::DeleteWill {
            name: SessionName::decode(from)?,
        },
        _ => return None,
    })
}

fn message<'a>(from: &mut Reader<'a>) -> Option<(&'a [u8], MessageRef<'a>)> {
    let before = from.rest();
    let message = MessageRef::decode(from)?;
    let record = before.get(..before.len() - from.rest().len())?;
    Some((record, message))
}

fn put_expect(into: &mut Vec<u8>, expect: Expect) {
    match expect {
        Expect::Any => into.push(0),
        Expect::Absent => into.push(1),
        Expect::Version(version) => {
            into.push(2);
            put_u64(into, version.0);
        }
    }
}

fn expect(from: &mut Reader<'_>) -> Option<Expect> {
    match from.u8()? {
        0 => Some(Expect::Any),
        1 => Some(Expect::Absent),
        2 => Some(Expect::Version(Version(from.u64()?))),
        _ => None,
    }
}

pub(crate) fn encode_binding(into: &mut Vec<u8>, binding: Binding) {
    put_u16(into, binding.shard.0);
    put_u64(into, binding.offset.0);
    into.push(match binding.stage {
        BindingStage::Sent => 0,
        BindingStage::Received => 1,
    });
}

pub(crate) fn decode_binding(packet_id: u16, from: &mut Reader<'_>) -> Option<Binding> {
    Some(Binding {
        packet_id,
        shard: ShardId(from.u16()?),
        offset: Offset(from.u64()?),
        stage: match from.u8()? {
            0 => BindingStage::Sent,
            1 => BindingStage::Received,
            _ => return None,
        },
    })
}

pub(crate) fn encode_filters<'f>(into: &mut Vec<u8>, filters: impl IntoIterator<Item = &'f str>) {
    for filter in filters {
        put_short(into, filter.as_bytes());
    }
}

pub(crate) fn decode_filters(bytes: &[u8]) -> impl Iterator<Item = &str> {
    let mut from = Reader::new(bytes);
    std::iter::from_fn(move || from.short_str())
}
