//! How long an authentication holds: whoever let a client in may have said until when.

use crate::conn::Failure;
use crate::core::Core;
use crate::keys::ConnKey;
use crate::route::interest::Interest;
use crate::time::Time;
use crate::timers::Timer;
use tidewire_codec::ReasonCode;

impl Core {
    pub(crate) fn until(&self, valid_secs: Option<u64>) -> Time {
        valid_secs.map_or(Time::NEVER, |secs| self.now.plus_secs(secs))
    }

    pub(crate) fn watch_validity(&mut self, key: ConnKey, until: Time) {
        if until != Time::NEVER {
            self.timers.schedule(until, Timer::Validity(key));
            self.sweep_timers();
        }
    }

    /// The client has authenticated anew.
    pub(crate) fn extend_validity(&mut self, key: ConnKey, valid_secs: Option<u64>) {
        let until = self.until(valid_secs);
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut conn.valid_until, until);
        // A deadline that comes earlier looks at this one: a client that authenticates again and again leaves none behind.
        if until < before {
            self.watch_validity(key, until);
        }
    }

    pub(crate) fn on_validity(&mut self, interest: &Interest, key: ConnKey) {
        let live = self.conns.get(key).filter(|conn| conn.is_in());
        let Some(until) = live.map(|conn| conn.valid_until) else {
            return;
        };
        if until > self.now {
            // Authenticated anew, or not over yet.
            self.watch_validity(key, until);
            return;
        }
        let text = "what the client has authenticated with is no longer valid";
        self.stats.authentications_expired += 1;
        self.fail_from(
            interest,
            key,
            Failure::new(ReasonCode::MaximumConnectTime, text),
        );
    }
}
