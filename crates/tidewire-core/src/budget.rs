//! The worker's memory budget: who waits for room and for how long, and who gets nothing more beyond it.
//!
//! Beyond the budget a receiver that is behind gets no more, as if its own queue were full; one that keeps up is served on.
//! Publishers are paused for a time, so that receivers may catch up before anything is dropped. What nobody takes
//! (the queue of an absent client, a reader that has stalled) keeps the worker beyond its budget for as long as it likes, so
//! the pause has an end, and the next one comes only when a tenth of the budget has been free in between.

use crate::core::Core;
use crate::keys::ConnKey;
use crate::output::Output;
use crate::session::Session;
use crate::time::Time;
use crate::timers::Timer;

/// What may wait for one receiver, in bytes, while the worker is beyond its budget: enough for whoever keeps up.
pub(crate) const STRAINED_WAIT_BYTES: usize = 16 * 1024;
/// What may be in flight to one session, in messages, while the worker is beyond its budget.
const STRAINED_IN_FLIGHT: usize = 16;

/// How the worker stands with its budget.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Strain {
    /// There is room, or there was when the input at hand came.
    #[default]
    None,
    /// It is beyond its budget: publishers wait, at most until this time.
    PausedUntil(Time),
    /// They have waited in vain: they pass until a tenth of the budget is free.
    Passing,
}

/// The pause and those who wait in it.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    strain: Strain,
    paused: Vec<ConnKey>,
    /// A deadline of some pause is on the wheel; there is never more than one.
    timed: bool,
}

impl Core {
    /// The peer of a connection whose input is held back has ended its stream: there is nobody to hold back, so its last
    /// packets pass the memory budget's pause.
    pub fn peer_ended(&mut self, now: Time, key: ConnKey) {
        self.now = self.now.max(now);
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        conn.ended = true;
        if std::mem::take(&mut conn.paused) {
            self.outputs.push_back(Output::Resume { conn: key });
        }
    }

    /// Whether the worker holds more than it may.
    #[inline]
    pub(crate) fn over_budget(&self) -> bool {
        self.held_bytes() > self.config.limits.max_worker_bytes
    }

    /// Whether whoever is behind gets no more. The input that has brought the worker beyond its budget is still dealt with in
    /// whole: the pause begins before anything is dropped.
    #[inline]
    pub(crate) fn is_strained(&self) -> bool {
        self.budget.strain != Strain::None && self.over_budget()
    }

    /// Whether the budget refuses one more message of `bytes` bytes to a session's queue, in which `waiting_bytes` wait.
    pub(crate) fn is_beyond_share(
        &self,
        session: &Session,
        waiting_bytes: u64,
        bytes: u64,
    ) -> bool {
        if session.conn.is_none() {
            // What nobody takes must leave room for what somebody does.
            return self.held_bytes().saturating_add(bytes)
                > self.config.limits.max_worker_bytes / 2;
        }
        self.is_strained() && waiting_bytes.saturating_add(bytes) > STRAINED_WAIT_BYTES as u64
    }

    /// How many messages the budget lets a session have in flight.
    pub(crate) fn in_flight_allowance(&self) -> usize {
        if self.is_strained() {
            STRAINED_IN_FLIGHT
        } else {
            usize::MAX
        }
    }

    /// Pauses a publisher that has to wait for the budget; false: it may go on.
    pub(crate) fn pause_for_budget(&mut self, key: ConnKey) -> bool {
        if self.budget.strain == Strain::None {
            self.begin_pause();
        }
        let paused = matches!(self.budget.strain, Strain::PausedUntil(until) if until > self.now);
        if !paused || self.is_needed(key) {
            return false;
        }
        if let Some(conn) = self.conns.get_mut(key) {
            conn.paused = true;
            self.stats.publishers_paused += 1;
            self.note_paused(key);
        }
        true
    }

    /// After each input and each write: notes that the worker has gone beyond its budget, or lets paused publishers go on
    /// once a tenth of it is free.
    #[inline]
    pub(crate) fn settle_budget(&mut self) {
        if self.budget.strain == Strain::None {
            if self.over_budget() {
                self.begin_pause();
            }
        } else if self.held_bytes() <= self.config.limits.max_worker_bytes / 10 * 9 {
            self.budget.strain = Strain::None;
            self.resume_paused();
        }
    }

    /// The time of a pause may be over.
    pub(crate) fn on_pause_timeout(&mut self) {
        self.budget.timed = false;
        match self.budget.strain {
            Strain::PausedUntil(until) if until > self.now => self.schedule_pause_end(until),
            Strain::PausedUntil(_) => {
                self.budget.strain = Strain::Passing;
                self.resume_paused();
            }
            Strain::None | Strain::Passing => {}
        }
    }

    fn held_bytes(&self) -> u64 {
        self.outbound_bytes.saturating_add(self.stats.queued_bytes)
    }

    fn begin_pause(&mut self) {
        let secs = self.config.limits.pause_timeout_secs;
        let until = self.now.plus_secs(secs.into());
        self.budget.strain = Strain::PausedUntil(until);
        if !self.budget.timed {
            self.schedule_pause_end(until);
        }
    }

    fn schedule_pause_end(&mut self, until: Time) {
        self.budget.timed = true;
        self.timers.schedule(until, Timer::PauseEnds);
    }

    /// Whether what the connection sends may be what frees memory: acknowledgements of what its session is owed stand behind
    /// its PUBLISH. One whose peer has gone is not slowed down by waiting either.
    fn is_needed(&self, key: ConnKey) -> bool {
        let Some(conn) = self.conns.get(key) else {
            return true;
        };
        let session = self.sessions.session_in(conn.session);
        let outbound = session.and_then(|session| session.outbound.as_ref());
        conn.ended
            || outbound
                .is_some_and(|outbound| outbound.inflight_len() > 0 || outbound.waiting_len() > 0)
    }

    /// The list holds those who have gone as well, but not many more of them than there are connections.
    fn note_paused(&mut self, key: ConnKey) {
        let conns = &self.conns;
        let paused = &mut self.budget.paused;
        if paused.len() as u64 > 64 + 2 * self.stats.connections {
            paused.retain(|key| conns.get(*key).is_some_and(|conn| conn.paused));
        }
        paused.push(key);
    }

    fn resume_paused(&mut self) {
        for key in std::mem::take(&mut self.budget.paused) {
            if let Some(conn) = self.conns.get_mut(key).filter(|conn| conn.paused) {
                conn.paused = false;
                self.outputs.push_back(Output::Resume { conn: key });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, ConnKey, Core, Input, Interest, Limits, PeerFacts, Time, TransportEnd};

    const CONNECT_SUBSCRIBER: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s";
    const CONNECT_PUBLISHER: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01p";
    const SUBSCRIBE: &[u8] = b"\x82\x06\x00\x01\x00\x01t\x00";
    const PUBLISH: &[u8] = b"\x30\x04\x00\x01tx";

    fn open(core: &mut Core, slot: u32, generation: u32, bytes: &[u8]) -> ConnKey {
        let conn = ConnKey { slot, generation };
        let peer = PeerFacts::default().into();
        let interest = Interest::new(0);
        core.handle(Time::ZERO, &interest, Input::Open { conn, peer });
        core.handle(Time::ZERO, &interest, Input::Bytes { conn, bytes });
        conn
    }

    /// Each return of a paused client once left a name in the list of the paused.
    #[test]
    fn a_paused_client_that_comes_and_goes_leaves_nothing_behind() {
        let limits = Limits {
            max_worker_bytes: 10,
            ..Limits::default()
        };
        let mut core = Core::new(Config {
            limits,
            ..Config::default()
        });
        let interest = Interest::new(0);
        open(&mut core, 0, 0, &[CONNECT_SUBSCRIBER, SUBSCRIBE].concat());
        for generation in 0..10_000 {
            let publish = PUBLISH.repeat(2);
            let bytes = [CONNECT_PUBLISHER, &publish].concat();
            let conn = open(&mut core, 1, generation, &bytes);
            let end = TransportEnd::PeerClosed;
            core.handle(Time::ZERO, &interest, Input::Closed { conn, end });
            while core.poll_output().is_some() {}
        }
        assert!(core.stats().publishers_paused >= 9_999);
        assert!(core.budget.paused.len() < 200);
    }
}
