//! After a restart: sessions, wills and retained messages come back into memory, page by page, while clients are served.
//!
//! Until every worker has read its part nobody knows who is owed what: so long every message of QoS 1 or 2 is stored, and
//! a client that comes back before its session has been read is looked up by name.

use crate::core::Core;
use crate::keeper::Pending;
use crate::keeper::record::{SessionRecord, WillRecord};
use crate::keys::{SessionAddress, WorkerId};
use crate::mail::Item;
use crate::message::Origin;
use crate::route::interest::Interest;
use crate::store::{Durability, SessionName, StoreAnswer, StoreOp, StoreRequest};
use crate::timers::Timer;
use std::sync::Arc;

/// Rows of one page.
const PAGE_ROWS: usize = 512;

/// How far this worker and the others are.
#[derive(Debug)]
pub(super) struct Warmth {
    stage: Stage,
    /// Workers that have not finished, this one included.
    cold_workers: u16,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Stage {
    Sessions(Option<SessionName>),
    Wills(Option<SessionName>),
    Retained(Option<Box<str>>),
    Warm,
}

impl Warmth {
    pub(super) fn new(workers: u16) -> Self {
        Self {
            stage: Stage::Sessions(None),
            cold_workers: workers,
        }
    }
}

impl Core {
    /// Whether there may be sessions that are not in memory yet, here or elsewhere.
    pub(crate) fn is_cold(&self) -> bool {
        let keeper = self.keeper.as_ref();
        keeper.is_some_and(|keeper| keeper.warmth.cold_workers > 0)
    }

    /// Whether sessions of this worker may have wills that are not in memory yet: they do not end before.
    pub(crate) fn awaits_wills(&self) -> bool {
        let stage = self.keeper.as_ref().map(|keeper| &keeper.warmth.stage);
        matches!(stage, Some(Stage::Sessions(_) | Stage::Wills(_)))
    }

    /// Whether this worker's own retained messages are in memory.
    pub(crate) fn has_retained(&self) -> bool {
        let keeper = self.keeper.as_ref();
        keeper.is_none_or(|keeper| keeper.warmth.stage == Stage::Warm)
    }

    pub(crate) fn begin_to_warm(&mut self) {
        let Some(keeper) = &self.keeper else { return };
        let request = match keeper.warmth.stage.clone() {
            Stage::Sessions(after) => StoreRequest::Sessions {
                after,
                most: PAGE_ROWS,
            },
            Stage::Wills(after) => StoreRequest::Wills {
                after,
                most: PAGE_ROWS,
            },
            Stage::Retained(after) => StoreRequest::Retained {
                after,
                most: PAGE_ROWS,
            },
            Stage::Warm => return,
        };
        self.ask_store(request, Pending::Warm);
    }

    pub(super) fn on_warm_page(&mut self, interest: &Interest, answer: StoreAnswer) {
        let next = match answer {
            StoreAnswer::Sessions(rows) => {
                let after = last_of(&rows);
                for (name, record) in &rows {
                    self.warm_session(name, record);
                }
                after.map_or(Stage::Wills(None), |after| Stage::Sessions(Some(after)))
            }
            StoreAnswer::Wills(rows) => {
                let after = last_of(&rows);
                for (name, record) in &rows {
                    self.warm_will(interest, name, record);
                }
                after.map_or(Stage::Retained(None), |after| Stage::Wills(Some(after)))
            }
            StoreAnswer::Retained { messages, after } => {
                for (version, message) in messages {
                    self.warm_retained(version, &message);
                }
                after.map_or(Stage::Warm, |after| Stage::Retained(Some(after)))
            }
            // What cannot be read is passed over: the broker starts.
            _ => {
                self.stats.store_failures += 1;
                let stage = self
                    .keeper
                    .as_ref()
                    .map(|keeper| keeper.warmth.stage.clone());
                match stage {
                    Some(Stage::Sessions(_)) => Stage::Wills(None),
                    Some(Stage::Wills(_)) => Stage::Retained(None),
                    _ => Stage::Warm,
                }
            }
        };
        let warm = next == Stage::Warm;
        if let Some(keeper) = &mut self.keeper {
            keeper.warmth.stage = next;
        }
        if warm {
            self.finish_warming();
        } else {
            self.begin_to_warm();
        }
    }

    fn finish_warming(&mut self) {
        for worker in (0..self.config.workers).map(WorkerId) {
            if worker != self.config.worker {
                self.outbox.send(worker, Item::Warm);
            }
        }
        self.on_peer_warm();
        self.on_scan_turn();
    }

    /// This worker or another one has read its part.
    pub(crate) fn on_peer_warm(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            keeper.warmth.cold_workers = keeper.warmth.cold_workers.saturating_sub(1);
        }
    }

    fn warm_session(&mut self, name: &SessionName, record: &[u8]) {
        if self.home_of(&name.client_id) != self.config.worker {
            return;
        }
        let known = self
            .sessions
            .find(name.principal.as_deref(), &name.client_id);
        let admitting = self
            .keeper
            .as_ref()
            .is_some_and(|keeper| keeper.admitting.contains_key(name));
        if known.is_some() || admitting {
            return;
        }
        match SessionRecord::decode(record) {
            Some(record) => drop(self.restore_session(name, record)),
            None => self.stats.store_damaged += 1,
        }
    }

    fn warm_will(&mut self, interest: &Interest, name: &SessionName, record: &[u8]) {
        if self.home_of(&name.client_id) != self.config.worker {
            return;
        }
        let Some(record) = WillRecord::decode(record, self.now) else {
            self.stats.store_damaged += 1;
            return;
        };
        let known = self
            .sessions
            .find(name.principal.as_deref(), &name.client_id);
        let Some(key) = known else {
            // Its session ended with the connection that the restart cut.
            return self.publish_orphaned_will(interest, name, &record);
        };
        let clock = self.keeper.as_ref().map(|keeper| keeper.config.clock);
        let now = self.now;
        let limit = self.config.limits.max_will_delay_secs;
        let Some((session, clock)) = self.sessions.get_mut(key).zip(clock) else {
            return;
        };
        if session.conn.is_some() || session.will.is_some() {
            return;
        }
        let delay_secs = record.will.delay_secs.min(limit);
        session.will_due = match record.due_ms {
            Some(due) => clock.time_of(due).max(now),
            None => now.plus_secs(delay_secs.into()),
        };
        session.will = Some(Box::new(record.will));
        self.timers.schedule(session.will_due, Timer::WillDue(key));
    }

    fn publish_orphaned_will(
        &mut self,
        interest: &Interest,
        name: &SessionName,
        record: &WillRecord,
    ) {
        let admitting = self
            .keeper
            .as_ref()
            .is_some_and(|keeper| keeper.admitting.contains_key(name));
        if admitting {
            return;
        }
        let address = SessionAddress {
            worker: self.config.worker,
            key: self.sessions.next_key(),
        };
        let origin = Arc::new(Origin {
            address,
            client_id: Box::from(&*name.client_id),
            principal: name.principal.clone(),
            listener: record.listener,
        });
        self.publish_will_of(interest, &record.will, &origin);
        let durability = match self.listener_durability(Some(record.listener)) {
            Durability::Memory => Durability::Sync,
            durability => durability,
        };
        let ops = vec![StoreOp::DeleteWill];
        self.write_session(name.clone(), durability, ops, Pending::Lazy);
    }

    fn warm_retained(&mut self, version: u64, message: &crate::Message) {
        self.saw_version(version);
        if self.home_of(message.topic()) == self.config.worker
            && !self.retained_is_known(message.topic())
        {
            self.retain(&message.parts(), Some(message));
        }
    }
}

/// The last row of a page that is full, behind which the next one begins.
fn last_of(rows: &[(SessionName, Box<[u8]>)]) -> Option<SessionName> {
    let full = rows.len() >= PAGE_ROWS;
    rows.last().filter(|_| full).map(|(name, _)| name.clone())
}
