//! Recording what sessions have done with, once a second.
//!
//! A session's cursor may move over a place only when nothing below can still come. What was stored may be on its way from
//! the worker whose client published it. So, before cursors are recorded, the store is asked up to where it has answered
//! everything, and then each worker whether it has handed on what it was answered.

use crate::core::Core;
use crate::keeper::Pending;
use crate::keys::{SessionKey, WorkerId};
use crate::mail::Item;
use crate::session::Session;
use crate::store::{Location, SessionName, StoreAnswer, StoreOp, StoreRequest};
use crate::timers::Timer;
use std::sync::Arc;
use tidewire_codec::PacketId;

/// Between the first change of a cursor and its record.
const RECORD_AFTER_MILLIS: u64 = 1_000;

/// The state of the round.
#[derive(Debug)]
pub(super) struct Round {
    number: u32,
    /// Workers that have not answered yet.
    awaited: u16,
    /// What this round will have found.
    heads: Vec<u64>,
    /// Up to where everything has come, for each shard.
    horizons: Vec<u64>,
    /// Sessions with something to record.
    dirty: Vec<SessionKey>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Idle,
    /// A deadline is on the wheel, or a round goes on.
    Called,
}

impl Round {
    pub(super) fn new(shards: u16) -> Self {
        Self {
            number: 0,
            awaited: 0,
            heads: vec![0; shards.into()],
            horizons: vec![0; shards.into()],
            dirty: Vec::new(),
            state: State::Idle,
        }
    }

    pub(super) fn horizons(&self) -> &[u64] {
        &self.horizons
    }
}

impl Core {
    /// A session has something to record.
    pub(super) fn note_dirty(&mut self, slot: u32) {
        let Some(key) = self.session_key(slot) else {
            return;
        };
        let (Some(keeper), Some(session)) = (self.keeper.as_mut(), self.sessions.get_mut(key))
        else {
            return;
        };
        let Some(cursors) = session.cursors.as_mut().filter(|c| !c.listed) else {
            return;
        };
        cursors.listed = true;
        keeper.round.dirty.push(key);
        if keeper.round.state == State::Idle {
            keeper.round.state = State::Called;
            let wait = std::time::Duration::from_millis(RECORD_AFTER_MILLIS);
            self.timers
                .schedule(self.now.saturating_add(wait), Timer::Record);
        }
    }

    pub(crate) fn on_record_timer(&mut self) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        keeper.round.number = keeper.round.number.wrapping_add(1);
        let round = keeper.round.number;
        self.ask_store(StoreRequest::Heads, Pending::Heads { round });
    }

    pub(super) fn on_heads(&mut self, round: u32, answer: StoreAnswer) {
        let StoreAnswer::Heads(heads) = answer else {
            return self.end_round(false);
        };
        let others = self.config.workers - 1;
        let held = self.held_places();
        if let Some(keeper) = &mut self.keeper {
            keeper.round.heads = heads;
            keeper.round.awaited = others;
            lower(&mut keeper.round.heads, &held);
        }
        if others == 0 {
            return self.end_round(true);
        }
        for worker in (0..self.config.workers).map(WorkerId) {
            if worker != self.config.worker {
                self.outbox.send(worker, Item::Barrier { round });
            }
        }
    }

    /// Another worker wants to know whether all that the store has answered has been handed on.
    pub(crate) fn on_barrier(&mut self, from: WorkerId, round: u32) {
        let held = self.held_places();
        self.outbox.send(from, Item::Passed { round, held });
    }

    pub(crate) fn on_passed(&mut self, round: u32, held: &[Location]) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        if keeper.round.number != round {
            return;
        }
        lower(&mut keeper.round.heads, held);
        keeper.round.awaited = keeper.round.awaited.saturating_sub(1);
        if keeper.round.awaited == 0 {
            self.end_round(true);
        }
    }

    /// Places of messages that are stored but not handed on, as their topic's lane holds them.
    fn held_places(&self) -> Vec<Location> {
        let keeper = self.keeper.as_ref();
        keeper.map_or_else(Vec::new, |keeper| keeper.lanes.held())
    }

    fn end_round(&mut self, passed: bool) {
        let Some(keeper) = &mut self.keeper else {
            return;
        };
        let round = &mut keeper.round;
        round.state = State::Idle;
        if passed {
            for (horizon, head) in round.horizons.iter_mut().zip(&round.heads) {
                *horizon = (*horizon).max(*head);
            }
        }
        for key in std::mem::take(&mut round.dirty) {
            if let Some(cursors) = self
                .sessions
                .get_mut(key)
                .and_then(|session| session.cursors.as_mut())
            {
                cursors.listed = false;
            }
            self.record_cursors(key);
        }
    }

    /// Writes a session's cursors as far as they have changed.
    pub(super) fn record_cursors(&mut self, key: SessionKey) {
        let ops = self.cursor_ops(key);
        if ops.is_empty() {
            return;
        }
        let Some((name, durability)) = self.kept_name(key) else {
            return;
        };
        self.write_session(name, durability, ops, Pending::Lazy);
    }

    /// What has changed of a session's cursors, as operations.
    pub(super) fn cursor_ops(&mut self, key: SessionKey) -> Vec<StoreOp> {
        let mut ops = Vec::new();
        let (Some(keeper), Some(session)) = (self.keeper.as_ref(), self.sessions.get_mut(key))
        else {
            return ops;
        };
        let Some(cursors) = session.cursors.as_mut() else {
            return ops;
        };
        let horizons = keeper.round.horizons();
        for (shard, cursor) in (0..).zip(cursors.shards.iter_mut()) {
            if cursor.feed == crate::cursors::Feed::Live {
                let horizon = horizons.get(usize::from(shard)).copied();
                cursor.complete(horizon.unwrap_or(0));
            }
            if !cursor.is_dirty() || !cursors.owned {
                continue;
            }
            let cursor = cursor.record();
            ops.push(StoreOp::PutCursor { shard, cursor });
        }
        // The cursors say by now that these are done with, and one that has been given again names another message.
        let outbound = session.outbound.as_ref();
        let in_use = |id: &PacketId| outbound.is_some_and(|o| o.find(*id).is_some());
        let free = std::mem::take(&mut cursors.completed).into_iter();
        ops.extend(free.filter(|id| !in_use(id)).map(StoreOp::Unbind));
        ops
    }

    /// The name of a session that is kept, and how.
    pub(crate) fn kept_name(
        &self,
        key: SessionKey,
    ) -> Option<(SessionName, crate::store::Durability)> {
        let session = self.sessions.get(key)?;
        (session.kept != crate::store::Durability::Memory).then(|| (name_of(session), session.kept))
    }
}

/// A session's name.
pub(crate) fn name_of(session: &Session) -> SessionName {
    SessionName {
        principal: session.origin.principal.clone(),
        client_id: Arc::from(session.client_id()),
    }
}

fn lower(heads: &mut [u64], held: &[Location]) {
    for at in held {
        if let Some(head) = heads.get_mut(usize::from(at.shard)) {
            *head = (*head).min(at.offset);
        }
    }
}
