//! Adding up all workers' figures for `$SYS`: worker 0 asks, the others send, and the last one to arrive completes it.

use crate::driver::Driver;
use crate::mailbox::Mail;
use crate::worker::Worker;
use tidewire_core::{Command, Input, Stats, WorkerId};

impl<D: Driver> Worker<D> {
    /// Begins a round if one is due.
    pub(crate) fn tick_sys(&mut self) {
        let Some(sys) = self.sys.as_mut().filter(|sys| sys.next_due() <= self.now) else {
            return;
        };
        sys.begin_round(self.now, self.mailboxes.len());
        let round = sys.round();
        for (index, mailbox) in self.mailboxes.iter().enumerate() {
            if index != usize::from(self.id.0) {
                mailbox.post(Mail::FiguresWanted { by: self.id, round });
            }
        }
        let own = *self.core.stats();
        self.add_figures(round, &own);
    }

    /// Sends this worker's figures to the one that adds up.
    pub(crate) fn send_figures(&self, by: WorkerId, round: u64) {
        if let Some(mailbox) = self.mailboxes.get(usize::from(by.0)) {
            mailbox.post(Mail::Figures {
                round,
                stats: Box::new(*self.core.stats()),
            });
        }
    }

    /// Adds one worker's figures; with the last one the topics are published.
    pub(crate) fn add_figures(&mut self, round: u64, stats: &Stats) {
        let Some(sys) = &mut self.sys else { return };
        for message in sys.add(round, stats) {
            self.handle(Input::Command(Command::Publish(message)));
        }
    }
}
