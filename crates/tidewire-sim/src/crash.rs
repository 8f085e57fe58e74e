//! What a crash of the broker means for its clients.

use crate::act::{CLIENTS, Connect, Crash};
use crate::failure::Verdict;
use crate::life::{Life, WATCHER};
use tidewire_codec::{Qos, Version};

impl Life {
    pub(crate) fn crash(&mut self, crash: Crash) -> Verdict {
        if self.machine.disk.is_none() {
            return Ok(());
        }
        self.has_dropped_so_far();
        let links: Vec<_> = self
            .clients
            .iter_mut()
            .map(|client| client.link.take())
            .collect();
        self.machine.crash(&mut self.sim, crash, &mut self.coverage);
        self.stalled.fill(false);
        self.disk_stalls = false;
        for (who, link) in links.into_iter().enumerate() {
            if let Some(mut link) = link {
                // Wires of the simulation before.
                link.stale = None;
                self.ended_by_itself(who, &link);
                // With a session that outlives its connection the will is kept; the watcher, too, is away for a moment.
                let wanted = link.connect.will.as_ref().map(|will| will.qos);
                let lost = link.connect.expiry_secs == 0 || wanted == Some(Qos::AtMostOnce);
                if let Some(will) = link.will.filter(|_| lost) {
                    self.wills.is_open(will);
                }
            }
            self.clients[who].is_unheard = false;
        }
        self.wills.crashed();
        self.forget_what_was_seen();
        self.seat_watcher_again()
    }

    /// A value that was retained and never acknowledged may be gone again.
    fn forget_what_was_seen(&mut self) {
        for client in &mut self.clients {
            if let Some(session) = &mut client.session {
                session.last_state.clear();
            }
        }
    }

    fn seat_watcher_again(&mut self) -> Verdict {
        self.connect(&Connect {
            who: WATCHER,
            version: Version::V5,
            clean_start: false,
            expiry_secs: u32::MAX,
            keep_alive_secs: 0,
            receive_maximum: u16::MAX,
            alias_maximum: 0,
            will: None,
        })
    }

    /// The end of a life: nobody has a connection that the crash left.
    pub(crate) fn crash_at_the_end(&mut self) -> Verdict {
        if self.machine.disk.is_none() {
            return Ok(());
        }
        self.note("the machine is restarted once more");
        self.crash(Crash::ForgetAll)?;
        self.rest()?;
        for who in 0..CLIENTS {
            self.come_back(who)?;
        }
        self.rest()
    }
}
