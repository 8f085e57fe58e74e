//! Deadlines. Nothing is cancelled: whoever fires looks whether it still holds.

use crate::conn::{Failure, Phase};
use crate::core::Core;
use crate::keys::{ConnKey, SessionKey, Ticket};
use crate::route::interest::Interest;
use tidewire_codec::ReasonCode;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// CONNECT should have come, and been dealt with.
    Connect(ConnKey),
    /// The client should have sent something.
    KeepAlive(ConnKey),
    /// The client should have authenticated anew.
    Validity(ConnKey),
    /// The question should have been answered.
    Answer(Ticket),
    /// The session of an absent client ends.
    SessionEnds(SessionKey),
    /// The will of an absent client is due.
    WillDue(SessionKey),
    /// Retained scans go on with the next turn's steps.
    ScanTurn,
    /// Paused publishers have waited long enough for the memory budget.
    PauseEnds,
    /// What the store had no room for is sent again.
    StoreAgain,
    /// Cursors are recorded.
    Record,
}

impl Core {
    pub(crate) fn on_timeout(&mut self, interest: &Interest) {
        let mut fired = std::mem::take(&mut self.fired);
        self.timers.expire(self.now, &mut fired);
        for timer in fired.drain(..) {
            match timer {
                Timer::Connect(key) => self.on_connect_timeout(key),
                Timer::KeepAlive(key) => self.on_keep_alive(interest, key),
                Timer::Validity(key) => self.on_validity(interest, key),
                Timer::Answer(ticket) => self.on_answer_timeout(interest, ticket),
                Timer::SessionEnds(key) => self.on_session_ends(interest, key),
                Timer::WillDue(key) => self.on_will_due(interest, key),
                Timer::ScanTurn => self.on_scan_turn(),
                Timer::PauseEnds => self.on_pause_timeout(),
                Timer::StoreAgain => self.on_store_again(),
                Timer::Record => self.on_record_timer(),
            }
        }
        self.fired = fired;
    }

    fn on_connect_timeout(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get(key) else {
            return;
        };
        let text = match conn.phase {
            Phase::Opened => "no complete CONNECT within connect_timeout_secs",
            // The answer to the question is waited for, not the client: that has its own deadline.
            Phase::Authenticating(_) if conn.gate.is_some() => return,
            Phase::Authenticating(_) => "no AUTH within connect_timeout_secs",
            Phase::Admitting(_) | Phase::Live | Phase::Raw { .. } | Phase::Closing => return,
        };
        self.stats.connect_timeouts += 1;
        self.refuse_late(key, text);
    }

    fn refuse_late(&mut self, key: ConnKey, text: &str) {
        let authenticating = self
            .conns
            .get(key)
            .is_some_and(|conn| matches!(conn.phase, Phase::Authenticating(_)));
        if authenticating {
            self.refuse_connect(key, ReasonCode::NotAuthorized, text);
        } else {
            self.report_refused(key, None, &Failure::new(ReasonCode::KeepAliveTimeout, text));
            self.close(key);
        }
    }

    fn on_keep_alive(&mut self, interest: &Interest, key: ConnKey) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key).filter(|conn| conn.is_in()) else {
            return;
        };
        // While the broker itself holds the input back, silence is not the client's.
        if conn.gate.is_some() || conn.paused || conn.held {
            conn.last_received = now;
        }
        let deadline = conn.keep_alive_deadline();
        if deadline > now {
            self.timers.schedule(deadline, Timer::KeepAlive(key));
            return;
        }
        self.stats.keep_alive_timeouts += 1;
        let text = format!(
            "nothing received for 1.5 times the Keep Alive of {} s",
            conn.keep_alive_secs
        );
        self.fail_from(
            interest,
            key,
            Failure::new(ReasonCode::KeepAliveTimeout, text),
        );
    }
}
