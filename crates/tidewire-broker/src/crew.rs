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

#[cfg(test)]
mod tests {
    use super::{After, Crew};
    use crate::mailbox::Mailbox;
    use crate::settings::Settings;
    use crate::simulated::{Pieces, SimWorld};
    use crate::start::{Guard, seat};
    use crate::worker::Controllers;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tidewire_core::Time;

    const CONNECT: &[u8] = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01";
    const SUBSCRIBE: &[u8] = b"\x82\x06\x00\x01\x00\x01t\x00";
    const PUBLISH: &[u8] = b"\x30\x05\x00\x01thi"; // topic "t", payload "h" and "i"

    /// Two workers that sleep, and how often each was rung.
    struct Pair {
        world: SimWorld,
        crew: Crew<crate::simulated::SimDriver>,
        rung: Vec<Arc<AtomicUsize>>,
    }

    impl Pair {
        fn new() -> Self {
            let settings = Settings {
                workers: 2,
                sys_interval_secs: 0,
                ..Settings::default()
            };
            let world = SimWorld::new(2, 1, Pieces::Whole);
            let rung: Vec<Arc<AtomicUsize>> = (0..2).map(|_| Arc::default()).collect();
            let bell = |count: &Arc<AtomicUsize>| {
                let count = Arc::clone(count);
                Arc::new(Mailbox::new(move || {
                    count.fetch_add(1, Ordering::SeqCst);
                }))
            };
            let mailboxes: super::Mailboxes<_> = rung.iter().map(bell).collect();
            let drivers = (0..2).map(|worker| world.driver(worker)).collect();
            let nobody = (&Controllers::default(), None);
            let mut guard = Guard::Nobody;
            let plan = (&settings, 2, 1, None);
            let workers = seat(plan, &mailboxes, drivers, &mut guard, nobody);
            Self {
                world,
                crew: Crew::new(mailboxes, workers),
                rung,
            }
        }

        /// Both workers take turns, awake, until nothing is left to do.
        fn settle(&self) {
            loop {
                let mut idle = true;
                while self.world.move_some_bytes() {}
                for worker in 0..2 {
                    let ready = self.world.take_ready(worker);
                    idle &= ready.is_empty() && self.crew.mailboxes[worker].is_empty();
                    while let After::Wait(Some(Duration::ZERO)) =
                        self.crew.turn(worker, &ready).unwrap()
                    {}
                }
                if idle {
                    return;
                }
            }
        }

        /// A subscribed client, and its worker: the one whose turn serves what the client sends.
        fn client(&self, client_id: u8) -> (usize, usize) {
            let client = self.world.connect(0);
            self.world
                .send(client, &[CONNECT, &[client_id], SUBSCRIBE].concat());
            self.settle();
            self.world.send(client, b"\xC0\x00");
            while self.world.move_some_bytes() {}
            let worker = (0..2).find(|&worker| self.world.is_ready(worker)).unwrap();
            self.settle();
            self.world.take_received(client);
            (client, worker)
        }

        fn rung(&self, worker: usize) -> usize {
            self.rung[worker].load(Ordering::SeqCst)
        }
    }

    /// Clients until both workers have one.
    fn one_on_each(pair: &Pair) -> [usize; 2] {
        let mut found = [None; 2];
        for client_id in b'a'..=b'z' {
            let (client, worker) = pair.client(client_id);
            found[worker].get_or_insert(client);
            if let [Some(first), Some(second)] = found {
                return [first, second];
            }
        }
        panic!("all client ids have the same home");
    }

    #[test]
    fn a_little_mail_for_a_sleeping_worker_is_served_by_its_sender_and_wakes_nobody() {
        let pair = Pair::new();
        let [near, far] = one_on_each(&pair);
        assert!(pair.crew.mailboxes[1].fall_asleep());
        pair.world.send(near, PUBLISH);
        while pair.world.move_some_bytes() {}
        let ready = pair.world.take_ready(0);
        let before = pair.rung(1);
        pair.crew.turn(0, &ready).unwrap();
        while pair.world.move_some_bytes() {}
        assert_eq!(
            pair.world.take_received(far),
            PUBLISH,
            "delivered without a turn of its own worker's thread"
        );
        assert_eq!(pair.rung(1), before);
    }

    #[test]
    fn a_sleeping_worker_in_use_by_somebody_else_is_woken() {
        let pair = Pair::new();
        let [near, far] = one_on_each(&pair);
        assert!(pair.crew.mailboxes[1].fall_asleep());
        pair.world.send(near, PUBLISH);
        while pair.world.move_some_bytes() {}
        let ready = pair.world.take_ready(0);
        let before = pair.rung(1);
        let held = pair.crew.seats[1].worker.lock().unwrap();
        pair.crew.turn(0, &ready).unwrap();
        drop(held);
        assert_eq!(pair.rung(1), before + 1);
        pair.settle();
        assert_eq!(pair.world.take_received(far), PUBLISH);
    }

    /// A service may bring a deadline before the time at which the sleeping thread wakes by itself.
    #[test]
    fn a_sleeper_that_would_wake_too_late_is_woken_after_the_service() {
        let pair = Pair::new();
        let [near, _] = one_on_each(&pair);
        for (wakes_at, rung) in [(Time::ZERO, 0), (Time::NEVER, 1)] {
            // A connection that has sent no CONNECT yet has a deadline; worker 1 is the first to accept.
            pair.world.connect(0);
            for worker in [1, 0] {
                pair.crew
                    .turn(worker, &pair.world.take_ready(worker))
                    .unwrap();
            }
            assert!(pair.crew.next_deadline(1).is_some());
            let seat = &pair.crew.seats[1];
            seat.wakes_at.store(wakes_at.as_micros(), Ordering::SeqCst);
            assert!(pair.crew.mailboxes[1].fall_asleep());
            pair.world.send(near, PUBLISH);
            while pair.world.move_some_bytes() {}
            let before = pair.rung(1);
            pair.crew.turn(0, &pair.world.take_ready(0)).unwrap();
            assert_eq!(pair.rung(1) - before, rung);
            pair.settle();
        }
    }

    #[test]
    fn much_mail_wakes_its_receiver() {
        let pair = Pair::new();
        let [near, far] = one_on_each(&pair);
        assert!(pair.crew.mailboxes[1].fall_asleep());
        // Topics alternate in size, so that they are not one run of equal frames.
        let many: Vec<u8> = (0..100)
            .flat_map(|n| {
                [
                    &PUBLISH[..1],
                    &[4 + n % 2, 0, 1, b't', 1, 2, 3][..5 + usize::from(n % 2)],
                ]
                .concat()
            })
            .collect();
        pair.world.send(near, &many);
        while pair.world.move_some_bytes() {}
        let ready = pair.world.take_ready(0);
        let before = pair.rung(1);
        pair.crew.turn(0, &ready).unwrap();
        assert_eq!(pair.rung(1), before + 1);
        pair.settle();
        assert_eq!(pair.world.take_received(far).len(), many.len());
    }
}
