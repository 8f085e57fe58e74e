//! Taking stale deadlines out. Nothing is cancelled one by one, so a client that comes and goes leaves deadlines behind
//! that may lie years ahead; when they outnumber the living they are swept out together.

use crate::conn::Phase;
use crate::core::Core;
use crate::time::Time;
use crate::timers::Timer;
use crate::wheel::Wheel;

/// Deadlines that are never worth a sweep.
const SWEEP_MIN: usize = 4_096;
/// Deadlines that one connection or session can have at once.
const DEADLINES_EACH: u64 = 3;

impl Core {
    /// Sweeps if more than half of all deadlines must be stale, so that each is looked at a bounded number of times.
    pub(crate) fn sweep_timers(&mut self) {
        let living = (self.stats.connections + self.stats.sessions) * DEADLINES_EACH;
        let living = usize::try_from(living).unwrap_or(usize::MAX) + self.asks.len();
        if self.timers.len() <= SWEEP_MIN + living.saturating_mul(2) {
            return;
        }
        let mut timers = std::mem::take(&mut self.timers);
        timers.retain(|at, timer| self.still_holds(at, *timer));
        self.timers = timers;
    }

    fn still_holds(&self, at: Time, timer: Timer) -> bool {
        match timer {
            Timer::Connect(key) => {
                let phase = self.conns.get(key).map(|conn| &conn.phase);
                matches!(phase, Some(Phase::Opened | Phase::Authenticating(_)))
            }
            Timer::KeepAlive(key) | Timer::Validity(key) => {
                self.conns.get(key).is_some_and(|conn| conn.is_in())
            }
            Timer::ScanTurn | Timer::PauseEnds | Timer::StoreAgain | Timer::Record => true,
            Timer::Answer(ticket) => self.asks.is_pending(ticket),
            Timer::SessionEnds(key) => self.sessions.get(key).is_some_and(|session| {
                let waits_for_will = session.ends <= self.now && self.awaits_wills();
                Wheel::<Timer>::fires_at(session.ends) == at || waits_for_will
            }),
            Timer::WillDue(key) => self
                .sessions
                .get(key)
                .is_some_and(|session| Wheel::<Timer>::fires_at(session.will_due) == at),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Config, ConnKey, Core, Input, Interest, PeerFacts, Time, TransportEnd};
    use tidewire_codec::{Connect, Packet, Properties, Property, Version};

    /// A client that comes back every second with an expiry of 30 days once left a deadline behind each time.
    #[test]
    fn deadlines_of_a_client_that_comes_and_goes_do_not_pile_up() {
        let mut core = Core::new(Config::default());
        let interest = Interest::new(0);
        let connect = Packet::Connect(Connect {
            version: Version::V5,
            clean_start: false,
            keep_alive_secs: u16::MAX,
            properties: Properties::EMPTY.with(Property::SessionExpiryInterval(30 * 86_400)),
            client_id: "device".into(),
            will: None,
            username: None,
            password: None,
        });
        let mut bytes = Vec::new();
        connect.encode(Version::V5, &mut bytes).unwrap();
        let mut most = 0;
        for generation in 0..50_000 {
            let conn = ConnKey {
                slot: 0,
                generation,
            };
            let now = Time::from_secs(u64::from(generation));
            let peer = PeerFacts::default().into();
            core.handle(now, &interest, Input::Open { conn, peer });
            core.handle(
                now,
                &interest,
                Input::Bytes {
                    conn,
                    bytes: &bytes,
                },
            );
            let end = TransportEnd::PeerClosed;
            core.handle(now, &interest, Input::Closed { conn, end });
            while core.poll_output().is_some() {}
            most = most.max(core.timers.len());
        }
        assert!(
            most < 2 * super::SWEEP_MIN,
            "{most} deadlines for one session"
        );
        let end = Time::from_secs(50_000 + 31 * 86_400);
        core.handle(end, &interest, Input::Timeout);
        assert_eq!(core.stats().sessions, 0, "its own deadline is still there");
    }
}
