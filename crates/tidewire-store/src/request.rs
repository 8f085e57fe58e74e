//! What a store is asked, and what it answers.

use crate::group::{Binding, CursorState, Group};
use crate::message::StoredMessage;
use crate::names::{Offset, SessionName, ShardId, Version};
use std::fmt;
use std::sync::Arc;

/// How far a group has to be before it is answered. Policy `memory` does not come to the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    /// Written, not synced: survives the process.
    Os,
    /// Synced: survives a power loss.
    Sync,
}

/// One request.
#[derive(Clone, Debug)]
pub enum Request {
    /// Store a group. Answered with [`Answer::Committed`].
    Commit {
        /// Where to.
        shard: ShardId,
        /// When to answer.
        durability: Durability,
        /// What.
        group: Group,
    },
    /// Read messages. Answered with [`Answer::Page`].
    Read(Read),
    /// Everything that is kept for a session. Answered with [`Answer::Session`].
    Session(SessionName),
    /// Session records in order of their names. Answered with [`Answer::Sessions`].
    Sessions {
        /// Start behind this one.
        after: Option<SessionName>,
        /// At most so many.
        most: usize,
    },
    /// Wills in order of their sessions' names. Answered with [`Answer::Wills`].
    Wills {
        /// Start behind this one.
        after: Option<SessionName>,
        /// At most so many.
        most: usize,
    },
    /// Retained messages that match a filter, in order of their topics. Answered with [`Answer::Retained`].
    Retained {
        /// The filter; one without wildcards is one topic.
        filter: Box<str>,
        /// Start behind this topic.
        after: Option<Box<str>>,
        /// At most so many.
        most: usize,
        /// What expired by then is left out; Unix time.
        now_ms: u64,
    },
    /// A shared group's or session's cursor in every shard. Answered with [`Answer::Cursors`].
    Cursors(crate::names::Owner),
    /// For each shard the place below which all that was submitted has been answered, or will have been when this is, and
    /// above which all that is stored later will be. Answered with [`Answer::Heads`].
    Heads,
    /// Numbers for operators. Answered with [`Answer::Stats`].
    Stats,
    /// Copy the store, as it is at this moment, into an empty directory, beside the running work. Answered with
    /// [`Answer::BackedUp`].
    Backup(Arc<dyn tidewire_log::Files>),
}

/// Which messages to read.
#[derive(Clone, Debug)]
pub struct Read {
    /// Of which shard.
    pub shard: ShardId,
    /// From this offset on.
    pub from: Offset,
    /// Only those that match one of them; empty = all.
    pub filters: Arc<[Box<str>]>,
    /// At most so many.
    pub most: usize,
    /// Ends behind the one that reaches so many bytes.
    pub most_bytes: usize,
    /// What expired by then is left out; Unix time.
    pub now_ms: u64,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer {
    /// To [`Request::Commit`].
    Committed(Outcome),
    /// To [`Request::Read`].
    Page(Page),
    /// To [`Request::Session`]; `None` = there is no such session.
    Session(Option<Box<SessionState>>),
    /// To [`Request::Sessions`]: name, version, record; shorter than asked for only at the end.
    Sessions(Vec<SessionRow>),
    /// To [`Request::Wills`]; shorter than asked for only at the end.
    Wills(Vec<(SessionName, Box<[u8]>)>),
    /// To [`Request::Retained`].
    Retained(RetainedPage),
    /// To [`Request::Cursors`]: one for each shard; `None` = there is no such owner.
    Cursors(Option<Vec<CursorState>>),
    /// To [`Request::Heads`].
    Heads(Vec<Offset>),
    /// To [`Request::Stats`].
    Stats(Box<Stats>),
    /// To [`Request::Backup`]: how many bytes were copied, or why it failed.
    BackedUp(Result<u64, Box<str>>),
    /// A read failed; the text is for the log.
    Unreadable(Box<str>),
}

/// What became of a group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It has reached the durability that was asked for.
    Stored(Stored),
    /// A fence did not hold. Nothing of it is stored.
    Fenced {
        /// The session record's version; `None` = there is none.
        current: Option<Version>,
    },
    /// A session record was not as expected. Nothing of it is stored.
    Conflict {
        /// The session record's version; `None` = there is none.
        current: Option<Version>,
    },
    /// It can never be stored as it is. Nothing of it is stored.
    Refused(Refusal),
    /// Whether it is stored is **not known**: it must not be acknowledged, and may be submitted again.
    Unavailable(Unavailable),
}

/// Where a stored group is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// The offset of the first message that it appends; the next ones follow by one each.
    pub first: Offset,
    /// The version of the session records that it writes.
    pub version: Version,
}

/// Why a group can never be stored as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no such shard.
    NoSuchShard,
    /// It concerns a session that has its home elsewhere.
    Misrouted,
    /// More bytes, or more messages, than a group may have.
    TooLarge,
    /// More retained messages, or bytes of them, than the store is to keep.
    RetainedFull,
}

/// Why it is not known whether a group is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unavailable {
    /// The disk is full. It goes on when there is space.
    Full,
    /// A write or sync failed: the shard takes nothing more until the store is opened anew.
    Failed,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the store's disk is full",
            Self::Failed => "the store failed to write and needs a restart",
        })
    }
}

/// Messages of one shard, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Page {
    /// Those that match.
    pub messages: Vec<(Offset, StoredMessage)>,
    /// Where to read on; everything below was looked at.
    pub next: Offset,
    /// Whether there is nothing behind `next` that may be read yet.
    pub at_head: bool,
    /// Damaged stretches that were read over.
    pub damaged: u32,
}

/// One row of a list of sessions: name, version, record.
pub type SessionRow = (SessionName, Version, Box<[u8]>);

/// Everything that is kept for a session.
#[derive(Clone, PartialEq, Debug)]
pub struct SessionState {
    /// The record's version.
    pub version: Version,
    /// The record.
    pub record: Box<[u8]>,
    /// Packet identifiers of received QoS 2 messages that are not released.
    pub marks: Vec<u16>,
    /// Outgoing QoS 2 messages.
    pub bindings: Vec<Binding>,
    /// What it is interested in, and from which place on it has been in each; `None` = it owns nothing.
    pub filters: Option<Vec<(Box<str>, Offset)>>,
    /// Its cursor in each shard.
    pub cursors: Vec<CursorState>,
    /// Its will.
    pub will: Option<Box<[u8]>>,
}

/// Retained messages.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct RetainedPage {
    /// Version and message of each topic.
    pub messages: Vec<(u64, StoredMessage)>,
    /// Ask again behind this topic; `None` = that was all.
    pub after: Option<Box<str>>,
}

/// Numbers for operators.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Sessions.
    pub sessions: u64,
    /// Sessions and groups that are owed messages.
    pub owners: u64,
    /// Retained messages.
    pub retained: u64,
    /// Bytes of them.
    pub retained_bytes: u64,
    /// Messages appended since the start.
    pub appended: u64,
    /// Groups stored since the start.
    pub groups: u64,
    /// Syncs of shards since the start.
    pub syncs: u64,
    /// Bytes on disk, all files.
    pub disk_bytes: u64,
    /// Segments.
    pub segments: u64,
    /// Checkpoints written since the start.
    pub checkpoints: u64,
    /// Segments rewritten without what nobody is owed since the start.
    pub rewrites: u64,
    /// Damaged stretches met since the start, opening included.
    pub damaged: u64,
    /// Bytes of state kept in memory, keys included, the map's own not.
    pub state_memory_bytes: u64,
    /// Shards that failed.
    pub failed_shards: u64,
}
