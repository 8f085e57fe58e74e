//! Where the broker keeps what it owes.
//!
//! A store has a fixed number of shards. What a client publishes goes to the shard of its client id ([`home_of`]), so one
//! publisher's order holds everywhere. A message is stored **once**, however many sessions owe it: an [`Owner`] (a session or
//! a shared group) states the filters it is interested in, and has a cursor in each shard; its queue is what lies behind the
//! cursor and matches. What nobody is owed goes.
//!
//! Everything is written in a [`Group`] of operations, which is stored whole or not at all, may carry a fence (the version
//! that a session record must have), and is answered with an [`Outcome`]. [`Outcome::Unavailable`] means that it is **not
//! known** whether the group is stored: it must not be acknowledged, and may be submitted again.
//!
//! Layers, from the outside in:
//! 1. [`ThreadedStore`] and [`Port`]: `submit` never waits, answers come back in batches;
//! 2. [`Engine`]: the store as a value that is driven step by step, by those threads or by a simulator;
//! 3. [`MemoryEngine`], and [`DurableEngine`] on segment logs (`tidewire-log`), laid out as `docs/store-format.md` says;
//! 4. [`suite`]: what every engine must pass.
//!
//! ```
//! use tidewire_store::suite::{Tester, message};
//! use tidewire_store::{Group, Limits, MemoryEngine, Offset, Owner, SessionName};
//!
//! let mut store = Tester::new(Box::new(MemoryEngine::new(4, Limits::default())));
//! let name = SessionName::new(Some("alice"), "meter-1");
//! let home = name.home(4);
//! store.store(home, Group::new().put_owner(&Owner::Session(name), ["plant/#"]));
//! store.store(home, Group::new().append(&message("plant/1", "20.5")));
//! assert_eq!(store.read(home.0, Offset::ZERO, &["plant/#"]).len(), 1);
//! ```

mod durable;
mod engine;
mod group;
mod ledger;
mod lookup;
mod marks;
mod memory;
mod message;
mod names;
mod offline;
mod owed;
mod request;
pub mod suite;
mod table;
mod threads;
mod topics;
mod wire;

pub use durable::{Config, DurableEngine, OpenError, OpenReport};
pub use engine::{Completion, Engine, PortId, Progress, Sync, Synced};
pub use group::{Binding, BindingStage, CursorState, Expect, GROUP_MESSAGES_MAX, Group};
pub use ledger::Limits;
pub use memory::MemoryEngine;
pub use message::{MessageRef, OriginRef, StoredMessage};
pub use names::{Offset, Owner, SessionName, ShardId, Ticket, Version, home_of};
pub use offline::{CheckReport, FileReport, FileState, backup, check, repair, restore};
pub use request::{
    Answer, Durability, Outcome, Page, Read, Refusal, Request, RetainedPage, SessionRow,
    SessionState, Stats, Stored, Unavailable,
};
pub use threads::{Overloaded, Port, Sink, ThreadedStore};
