//! Mail between workers and from the rest of the process: a lock-free queue in order of arrival, and a bell that
//! rings only if the worker sleeps.

use crate::driver::{Accepted, Ready};
use crate::request::Request;
use crate::worker::Handover;
use crossbeam_queue::SegQueue;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use tidewire_core::{Answer, Batch, ConnKey, Stats, Ticket, WorkerId};
use tidewire_handler::{Bell, Denial};

/// One piece of mail; small, as the queue holds it by value.
pub(crate) enum Mail<T> {
    /// Messages from another worker.
    Batch { from: WorkerId, batch: Batch },
    /// An emptied batch comes home for reuse.
    Spent(Batch),
    /// A connection moves in.
    Handover(Box<Handover<T>>),
    /// A transport that was opened elsewhere.
    Newcomer(Box<Accepted<T>>),
    /// A pipe became ready.
    Ready(Ready),
    /// Somebody answered a question later.
    Answer { ticket: Ticket, answer: Box<Answer> },
    /// Handlers have decided about a connection before its CONNECT.
    Entry {
        conn: ConnKey,
        refused: Option<Box<Denial>>,
    },
    /// A raw connection's owner wants something of it.
    Bell { conn: ConnKey, bell: Bell },
    /// The rest of the process wants something.
    Request(Box<Request>),
    /// The store has answered.
    Stored(Vec<(tidewire_store::Ticket, tidewire_store::Answer)>),
    /// Worker 0 adds up the figures for `$SYS`.
    FiguresWanted { by: WorkerId, round: u64 },
    /// The figures of one worker.
    Figures { round: u64, stats: Box<Stats> },
}

/// A worker's mail.
pub(crate) struct Mailbox<T> {
    mail: SegQueue<Mail<T>>,
    /// Items in batches that wait here: how far the worker is behind.
    backlog: AtomicUsize,
    /// Bytes of memory in those batches.
    backlog_bytes: AtomicUsize,
    /// Somebody holds back until `backlog` has shrunk.
    crowded: AtomicBool,
    /// The worker waits for readiness, or is about to, and needs the bell to see new mail.
    asleep: AtomicBool,
    /// The worker has ended: mail is thrown away.
    closed: AtomicBool,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl<T> Mailbox<T> {
    /// `bell` ends the worker's wait, even if it is rung before the wait begins.
    pub(crate) fn new(bell: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            mail: SegQueue::new(),
            backlog: AtomicUsize::new(0),
            backlog_bytes: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            bell: Box::new(bell),
        }
    }

    /// Adds mail and sees to it that the worker notices.
    pub(crate) fn post(&self, mail: Mail<T>) {
        self.put(mail);
        self.ring();
    }

    /// Adds mail without waking anybody: the caller rings or serves later.
    pub(crate) fn put(&self, mail: Mail<T>) {
        if let Mail::Batch { batch, .. } = &mail {
            self.backlog.fetch_add(batch.len(), Ordering::Relaxed);
            let bytes = batch.size_bytes();
            self.backlog_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.mail.push(mail);
        // As in `ring`: the worker sets `closed` before it empties the box a last time.
        fence(Ordering::SeqCst);
        if self.closed.load(Ordering::Relaxed) {
            self.empty();
        }
    }

    /// The worker has ended: what waits is dropped, and so is what comes later. Who waits for a reply hears of it by
    /// the end of their channel.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.empty();
    }

    /// Wakes the worker if it sleeps. Of several who ring at once only one pays for the wake-up.
    pub(crate) fn ring(&self) {
        // The mail is pushed before `asleep` is read, and the worker sets `asleep` before it looks for mail
        // a last time: at least one of the two sees the other. The fences forbid the one order where neither does.
        if self.has_sleeper() && self.asleep.swap(false, Ordering::SeqCst) {
            (self.bell)();
        }
    }

    /// The next piece of mail, in order of arrival.
    pub(crate) fn take(&self) -> Option<Mail<T>> {
        let mail = self.mail.pop();
        if let Some(Mail::Batch { batch, .. }) = &mail {
            self.backlog.fetch_sub(batch.len(), Ordering::Relaxed);
            let bytes = batch.size_bytes();
            self.backlog_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        mail
    }

    /// Throws away what waits, by the one way out: whoever holds back because of it goes on.
    fn empty(&self) {
        while self.take().is_some() {}
    }

    /// Whether the worker has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Whether no mail waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.mail.is_empty()
    }

    /// Items in batches that wait here.
    pub(crate) fn backlog(&self) -> usize {
        self.backlog.load(Ordering::Relaxed)
    }

    /// Somebody found too many items here and holds back.
    pub(crate) fn note_crowded(&self) {
        self.crowded.store(true, Ordering::SeqCst);
    }

    /// Bytes of memory in batches that wait here.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.backlog_bytes.load(Ordering::Relaxed)
    }

    /// True once, after somebody held back and the worker has worked the backlog off.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
            && self.backlog() == 0
            && self.crowded.swap(false, Ordering::SeqCst)
    }

    /// Whether the worker may miss mail that was put here before this call, because it sleeps or is about to.
    pub(crate) fn has_sleeper(&self) -> bool {
        fence(Ordering::SeqCst);
        self.asleep.load(Ordering::Relaxed)
    }

    /// Announces the worker's wait. False: mail is there, so it must not wait.
    #[must_use]
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if self.mail.is_empty() {
            return true;
        }
        self.wake_up();
        false
    }

    /// The wait is over.
    pub(crate) fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::{Mail, Mailbox};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;
    use tidewire_core::Batch;

    /// Four senders, a receiver that goes to sleep whenever it finds nothing. A lost wake-up leaves it asleep with mail
    /// in the box: the bell's channel stays silent and the test fails by its time limit.
    #[test]
    fn no_wake_up_is_lost() {
        const SENDERS: usize = 4;
        const EACH: usize = 50_000;
        let (bell, rung) = mpsc::channel();
        let mailbox: Arc<Mailbox<()>> = Arc::new(Mailbox::new(move || bell.send(()).unwrap()));
        let senders: Vec<_> = (0..SENDERS)
            .map(|seed| {
                let mailbox = Arc::clone(&mailbox);
                std::thread::spawn(move || {
                    for number in 0..EACH {
                        mailbox.post(Mail::Spent(Batch::default()));
                        // Pauses of varying length let the receiver fall asleep at every possible moment.
                        for _ in 0..(number * 7 + seed * 13) % 97 {
                            std::hint::spin_loop();
                        }
                    }
                })
            })
            .collect();
        let mut received = 0;
        while received < SENDERS * EACH {
            while mailbox.take().is_some() {
                received += 1;
            }
            if received < SENDERS * EACH && mailbox.fall_asleep() {
                rung.recv_timeout(Duration::from_secs(20))
                    .expect("mail waits and nobody rang");
                mailbox.wake_up();
            }
        }
        senders
            .into_iter()
            .for_each(|sender| sender.join().unwrap());
        assert!(mailbox.take().is_none());
    }

    #[test]
    fn a_worker_that_is_awake_is_not_rung() {
        let (bell, rung) = mpsc::channel();
        let mailbox: Mailbox<()> = Mailbox::new(move || bell.send(()).unwrap());
        mailbox.post(Mail::Spent(Batch::default()));
        assert!(!mailbox.fall_asleep(), "mail waits");
        assert!(rung.try_recv().is_err());
        assert!(mailbox.take().is_some());
        assert!(mailbox.fall_asleep());
        mailbox.post(Mail::Spent(Batch::default()));
        mailbox.post(Mail::Spent(Batch::default()));
        assert_eq!(rung.try_iter().count(), 1);
    }

    /// Others hold back while a backlog waits here: one that a worker left behind when it ended once held them up until
    /// the shutdown's deadline.
    #[test]
    fn a_closed_box_has_no_backlog() {
        let mailbox: Mailbox<()> = Mailbox::new(|| {});
        let batch = || Mail::Batch {
            from: tidewire_core::WorkerId(1),
            batch: filled_batch(),
        };
        mailbox.put(batch());
        assert!(mailbox.backlog() > 0 && mailbox.backlog_bytes() > 0);
        mailbox.close();
        assert_eq!((mailbox.backlog(), mailbox.backlog_bytes()), (0, 0));
        mailbox.put(batch());
        assert_eq!((mailbox.backlog(), mailbox.backlog_bytes()), (0, 0));
    }

    /// Mail as a core of two makes it: a retained message of the server's own for a topic that the other one owns.
    fn filled_batch() -> Batch {
        let config = tidewire_core::Config {
            workers: 2,
            ..tidewire_core::Config::default()
        };
        let mut core = tidewire_core::Core::new(config);
        let interest = tidewire_core::Interest::new(0);
        for number in 0..64 {
            let message = tidewire_core::ServerPublish {
                topic: format!("t/{number}").into(),
                payload: b"x".as_slice().into(),
                qos: tidewire_codec::Qos::AtMostOnce,
                retain: true,
            };
            let command = tidewire_core::Command::Publish(message);
            let input = tidewire_core::Input::Command(command);
            core.handle(tidewire_core::Time::ZERO, &interest, input);
        }
        core.take_mail()
            .expect("half of the topics are elsewhere")
            .1
    }
}
