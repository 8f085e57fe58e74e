//! The workers together: their threads' loop, and the service that a waking worker does for a sleeping one.

use crate::driver::{Driver, Poller, Ready};
use crate::mailbox::Mailbox;
use crate::worker::{LITTLE_MAIL_ITEMS, Worker, WorkerReport};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewire_core::Time;

/// The mailboxes of all workers, in their order.
pub(crate) type Mailboxes<T> = Arc<[Arc<Mailbox<T>>]>;

/// All workers of a broker.
pub(crate) struct Crew<D: Driver> {
    mailboxes: Mailboxes<D::Transport>,
    seats: Box<[Seat<D>]>,
}

/// A worker's place. Its state is locked for the length of a turn and free while its thread waits: then a peer that has
/// a little mail for it may serve it on the spot.
struct Seat<D: Driver> {
    /// Empty when the worker has ended.
    worker: Mutex<Option<Worker<D>>>,
    /// When the waiting thread wakes by itself, in microseconds of the workers' clock.
    wakes_at: AtomicU64,
}

/// What follows a turn.
pub(crate) enum After {
    /// Wait so long; `None` = until something happens.
    Wait(Option<Duration>),
    /// The worker has ended.
    End(Box<WorkerReport>),
}

/// Why a worker's thread ended before its time.
#[derive(Debug)]
pub(crate) enum CrewError {
    /// Waiting for readiness failed.
    Poll(io::Error),
    /// A panic elsewhere left this worker's state behind half-way.
    StateLost,
}

impl<D: Driver> Crew<D> {
    pub(crate) fn new(mailboxes: Mailboxes<D::Transport>, workers: Vec<Worker<D>>) -> Self {
        let seat = |worker| Seat {
            worker: Mutex::new(Some(worker)),
            wakes_at: AtomicU64::new(0),
        };
        Self {
            mailboxes,
            seats: workers.into_iter().map(seat).collect(),
        }
    }

    /// A worker's thread, from beginning to end.
    ///
    /// # Errors
    /// [`CrewError`]; the worker's connections are lost then.
    pub(crate) fn run(
        &self,
        index: usize,
        poller: &mut impl Poller,
    ) -> Result<WorkerReport, CrewError> {
        let mailbox = &self.mailboxes[index];
        let mut ready = Vec::new();
        loop {
            let timeout = match self.turn(index, &ready)? {
                After::Wait(timeout) => timeout,
                After::End(report) => return Ok(*report),
            };
            ready.clear();
            let waits = timeout != Some(Duration::ZERO) && mailbox.fall_asleep();
            let timeout = if waits { timeout } else { Some(Duration::ZERO) };
            poller.poll(timeout, &mut ready).map_err(CrewError::Poll)?;
            if waits {
                mailbox.wake_up();
            }
        }
    }

    /// One turn of a worker, by its own thread.
    ///
    /// # Errors
    /// [`CrewError::StateLost`].
    pub(crate) fn turn(&self, index: usize, ready: &[Ready]) -> Result<After, CrewError> {
        let seat = &self.seats[index];
        let mut guard = seat.worker.lock().map_err(|_| CrewError::StateLost)?;
        let Some(worker) = guard.as_mut() else {
            return Err(CrewError::StateLost);
        };
        worker.turn(ready);
        if let Some(report) = worker.finished() {
            *guard = None;
            drop(guard);
            self.mailboxes[index].close();
            return Ok(After::End(Box::new(report)));
        }
        let recipients = worker.little_mail();
        let timeout = worker.timeout();
        seat.wakes_at.store(
            worker.next_deadline().unwrap_or(Time::NEVER).as_micros(),
            Ordering::SeqCst,
        );
        drop(guard);
        for peer in recipients {
            if timeout == Some(Duration::ZERO) {
                // This worker has more to do: let the other one do its part at the same time.
                self.mailboxes[usize::from(peer.0)].ring();
            } else {
                self.serve_or_ring(usize::from(peer.0));
            }
        }
        Ok(After::Wait(timeout))
    }

    /// When a worker's next timer is due.
    pub(crate) fn next_deadline(&self, index: usize) -> Option<Time> {
        let guard = self.seats[index].worker.lock().ok()?;
        guard.as_ref()?.next_deadline()
    }

    /// Sees to it that a worker's mail is taken: by itself if it is awake, by the caller if it sleeps and has little,
    /// and by a wake-up in all other cases.
    fn serve_or_ring(&self, index: usize) {
        let (mailbox, seat) = (&self.mailboxes[index], &self.seats[index]);
        if !mailbox.has_sleeper() {
            return;
        }
        if mailbox.backlog() > LITTLE_MAIL_ITEMS {
            return mailbox.ring();
        }
        let Ok(mut guard) = seat.worker.try_lock() else {
            return mailbox.ring();
        };
        let Some(worker) = guard.as_mut() else { return };
        worker.turn(&[]);
        let recipients = worker.little_mail();
        let deadline = worker.next_deadline().unwrap_or(Time::NEVER);
        let wakes_too_late = deadline.as_micros() < seat.wakes_at.load(Ordering::SeqCst);
        let has_more = worker.timeout() == Some(Duration::ZERO) || worker.finished().is_some();
        drop(guard);
        if wakes_too_late || has_more {
            mailbox.ring();
        }
        for peer in recipients {
            // No service within a service: it could go round in circles while this worker's own connections wait.
            self.mailboxes[usize::from(peer.0)].ring();
        }
    }
}

impl std::fmt::Display for CrewError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Poll(error) => write!(f, "waiting for readiness failed: {error}"),
            Self::StateLost => f.write_str("its state was lost in a panic of another worker"),
        }
    }
}
