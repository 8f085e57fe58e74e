//! The conformance suite that every engine runs: [`conformance_suite!`](crate::conformance_suite) makes one test of each
//! case.

pub mod cases;
mod sabotage;

pub use sabotage::{Sabotage, Saboteur};

use crate::engine::{Completion, Engine, PortId, Progress};
use crate::group::Group;
use crate::message::MessageRef;
use crate::names::{Offset, Owner, SessionName, ShardId, Ticket};
use crate::request::{
    Answer, Durability, Outcome, Page, Read, Request, RetainedPage, SessionState, Stored,
};
use std::fmt::Debug;
use std::sync::Arc;
use tidewire_codec::Qos;

/// What makes an engine for one case, and can restart and crash it.
pub trait Factory: Debug {
    /// Opens the engine: the first time an empty one with so many shards, later with what it kept.
    fn open(&mut self, shards: u16) -> Box<dyn Engine>;

    /// What a stop without warning does to what the dropped engine had written. Called between two opens.
    fn crash(&mut self);

    /// Whether it keeps anything over a restart.
    fn keeps(&self) -> Keeps;
}

/// Whether an engine keeps anything over a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeps {
    /// What was synced.
    Synced,
    /// Nothing.
    Nothing,
}

/// Drives one engine in the calling thread: asks, and waits for the answer.
#[derive(Debug)]
pub struct Tester {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// Unix time that maintenance is told.
    pub now_ms: u64,
    tickets: u64,
    got: Vec<Completion>,
}

impl Tester {
    /// Drives this engine.
    #[must_use]
    pub fn new(engine: Box<dyn Engine>) -> Self {
        Self {
            engine,
            now_ms: 1_000_000,
            tickets: 0,
            got: Vec::new(),
        }
    }

    /// Submits without driving.
    pub fn submit(&mut self, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.engine.submit(PortId(0), ticket, request);
        ticket
    }

    /// Steps and syncs until nothing is left to do; no maintenance.
    pub fn settle(&mut self) {
        loop {
            let progress = self.engine.step();
            let mut synced = Progress::Idle;
            while let Some(sync) = self.engine.take_sync() {
                self.engine.synced(sync.run());
                synced = Progress::More;
            }
            self.engine.take_completions(&mut self.got);
            if progress == Progress::Idle && synced == Progress::Idle {
                return;
            }
        }
    }

    /// As [`Tester::settle`], maintenance included, beginning with a checkpoint.
    pub fn maintain(&mut self) {
        self.engine.request_checkpoint();
        loop {
            let progress = self.engine.maintain(self.now_ms);
            let mut synced = Progress::Idle;
            while let Some(sync) = self.engine.take_sync() {
                self.engine.synced(sync.run());
                synced = Progress::More;
            }
            self.engine.take_completions(&mut self.got);
            if progress == Progress::Idle && synced == Progress::Idle {
                return;
            }
        }
    }

    /// Takes the answers that have come, without driving.
    pub fn settle_answers(&mut self) {
        self.engine.take_completions(&mut self.got);
    }

    /// The answer, if it has come.
    pub fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        let at = self.got.iter().position(|done| done.ticket == ticket)?;
        Some(self.got.remove(at).answer)
    }

    /// Submits, drives, and returns the answer.
    ///
    /// # Panics
    /// There is none: that is what the suite is for.
    pub fn ask(&mut self, request: Request) -> Answer {
        let ticket = self.submit(request);
        self.settle();
        self.answer(ticket).expect("every request is answered")
    }

    /// Commits with a sync.
    ///
    /// # Panics
    /// The answer is of another kind.
    pub fn commit(&mut self, shard: ShardId, group: Group) -> Outcome {
        let durability = Durability::Sync;
        match self.ask(Request::Commit {
            shard,
            durability,
            group,
        }) {
            Answer::Committed(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// Commits what must be stored.
    ///
    /// # Panics
    /// It is not.
    pub fn store(&mut self, shard: ShardId, group: Group) -> Stored {
        match self.commit(shard, group) {
            Outcome::Stored(stored) => stored,
            other => panic!("{other:?}"),
        }
    }

    /// Everything of a shard that matches, page by page.
    ///
    /// # Panics
    /// A read is answered otherwise.
    pub fn read(&mut self, shard: u16, from: Offset, filters: &[&str]) -> Vec<(Offset, String)> {
        let filters: Arc<[Box<str>]> = filters.iter().map(|f| Box::from(*f)).collect();
        let mut all = Vec::new();
        let mut next = from;
        loop {
            let page = self.page(Read {
                shard: ShardId(shard),
                from: next,
                filters: Arc::clone(&filters),
                most: 7,
                most_bytes: 4096,
                now_ms: self.now_ms,
            });
            let text =
                |m: MessageRef<'_>| format!("{}={}", m.topic, String::from_utf8_lossy(m.payload));
            all.extend(page.messages.iter().map(|(at, m)| (*at, text(m.get()))));
            if page.at_head {
                return all;
            }
            assert!(page.next > next, "a page goes on");
            next = page.next;
        }
    }

    /// One page.
    ///
    /// # Panics
    /// The answer is of another kind.
    pub fn page(&mut self, read: Read) -> Page {
        match self.ask(Request::Read(read)) {
            Answer::Page(page) => page,
            other => panic!("{other:?}"),
        }
    }

    /// What is kept for a session.
    ///
    /// # Panics
    /// The answer is of another kind.
    pub fn session(&mut self, name: &SessionName) -> Option<Box<SessionState>> {
        match self.ask(Request::Session(name.clone())) {
            Answer::Session(state) => state,
            other => panic!("{other:?}"),
        }
    }

    /// Retained messages.
    ///
    /// # Panics
    /// The answer is of another kind.
    pub fn retained(&mut self, filter: &str, after: Option<&str>, most: usize) -> RetainedPage {
        match self.ask(Request::Retained {
            filter: filter.into(),
            after: after.map(Into::into),
            most,
            now_ms: self.now_ms,
        }) {
            Answer::Retained(page) => page,
            other => panic!("{other:?}"),
        }
    }
}

/// A QoS 1 message of the server's.
#[must_use]
pub fn message<'a>(topic: &'a str, payload: &'a str) -> MessageRef<'a> {
    MessageRef {
        topic,
        payload: payload.as_bytes(),
        properties: &[],
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_ms: None,
        received_ms: 5,
        origin: None,
    }
}

/// The session of that client id of nobody in particular.
#[must_use]
pub fn session(client_id: &str) -> SessionName {
    SessionName::new(None, client_id)
}

/// That session as an owner.
#[must_use]
pub fn owner(client_id: &str) -> Owner {
    Owner::Session(session(client_id))
}

/// Makes a module of tests, one for each case of the conformance suite, which each get a new factory.
///
/// ```text
/// tidewire_store::conformance_suite!(my_engine, MyFactory::new());
/// ```
#[macro_export]
macro_rules! conformance_suite {
    ($module:ident, $factory:expr) => {
        $crate::conformance_suite!(
            $module,
            $factory,
            messages_come_back_whole_and_in_order
            reads_are_paged_and_filtered
            expired_messages_are_left_out
            session_records_are_compared_and_swapped
            groups_are_all_or_nothing
            what_can_never_be_stored_is_refused
            a_deleted_session_takes_all_of_it_along
            an_owner_has_each_filter_since_it_stated_it
            sessions_and_wills_are_listed
            retained_messages_follow_their_versions
            retained_messages_are_found_by_filter
            messages_go_when_the_last_owner_is_done
            synced_groups_survive_a_crash
            what_is_gone_stays_gone
            one_body_serves_many_owners
        );
    };
    ($module:ident, $factory:expr, $($case:ident)*) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $case() {
                    $crate::suite::cases::$case(&mut $factory);
                }
            )*
        }
    };
}
