//! Accepting connections: bounded per turn, and with a pause when the operating system has no descriptor left.

use crate::driver::{Accepted, Driver};
use crate::events::LOG;
use crate::request::ListenerFigures;
use crate::worker::Worker;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tidewire_core::Time;
use tracing::{info, warn};

/// Connections accepted from one socket in one turn: a burst of thousands does not starve those who are in already.
const ACCEPTS_PER_TURN: usize = 64;
/// Pause after the operating system refused: descriptors come back when others close, and nobody tells.
const REFUSED_PAUSE: Duration = Duration::from_millis(250);

/// What a worker knows of one listening socket.
#[derive(Default)]
pub(crate) enum Door {
    /// Nobody waits, as far as is known.
    #[default]
    Quiet,
    /// Somebody may wait.
    Knocked,
    /// The operating system refused; try again at this time.
    Paused(Time),
}

/// Connections of a listener, counted over all workers.
pub(crate) struct ListenerGauge {
    name: Box<str>,
    max_connections: usize,
    connections: AtomicUsize,
    refused_full: AtomicU64,
    refused_strangers: AtomicU64,
    failed_handshakes: AtomicU64,
    turned_away: AtomicU64,
    /// The limit has been reported and nobody has left since.
    full: AtomicBool,
}

/// A gauge for each policy: name and limit (0 = none).
pub(crate) fn gauges<'a>(policies: impl Iterator<Item = (&'a str, usize)>) -> Arc<[ListenerGauge]> {
    policies
        .map(|(name, max_connections)| ListenerGauge {
            name: name.into(),
            max_connections: if max_connections == 0 {
                usize::MAX
            } else {
                max_connections
            },
            connections: AtomicUsize::new(0),
            refused_full: AtomicU64::new(0),
            refused_strangers: AtomicU64::new(0),
            failed_handshakes: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
            full: AtomicBool::new(false),
        })
        .collect()
}

impl ListenerGauge {
    /// The listener's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn count_failed_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> ListenerFigures {
        ListenerFigures {
            listener: self.name.clone(),
            connections: self.connections.load(Ordering::Relaxed),
            refused_full: self.refused_full.load(Ordering::Relaxed),
            refused_strangers: self.refused_strangers.load(Ordering::Relaxed),
            failed_handshakes: self.failed_handshakes.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
        }
    }
}

impl Door {
    /// Whether a turn at this time would accept.
    pub(crate) fn is_open(&self, now: Time) -> bool {
        match self {
            Self::Quiet => false,
            Self::Knocked => true,
            Self::Paused(until) => *until <= now,
        }
    }

    /// When to try again.
    pub(crate) fn reopens(&self) -> Option<Time> {
        match self {
            Self::Paused(until) => Some(*until),
            _ => None,
        }
    }
}

impl<D: Driver> Worker<D> {
    /// Somebody waits at a listening socket.
    pub(crate) fn knock(&mut self, listener: usize) {
        if let Some(door @ Door::Quiet) = self.doors.get_mut(listener) {
            *door = Door::Knocked;
        }
    }

    /// Accepts those who wait.
    pub(crate) fn accept(&mut self) {
        for listener in 0..self.doors.len() {
            if self.doors[listener].is_open(self.now) {
                self.accept_from(listener);
            }
        }
    }

    /// A connection has left its listener.
    pub(crate) fn leave(&self, policy: u16) {
        if let Some(gauge) = self.gauges.get(usize::from(policy)) {
            gauge.connections.fetch_sub(1, Ordering::Relaxed);
            if gauge.full.load(Ordering::Relaxed) {
                gauge.full.store(false, Ordering::Relaxed);
            }
        }
    }

    fn accept_from(&mut self, listener: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            match self.driver.accept(listener) {
                Ok(accepted) => self.enter(accepted),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.note_stranger(listener, &error);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.set_door(listener, Door::Quiet);
                }
                // The peer gave up while it waited: that is no concern of the others.
                Err(error) if is_the_peers(&error) => {}
                Err(error) => return self.pause_door(listener, &error),
            }
        }
        self.set_door(listener, Door::Knocked);
    }

    /// Lets a newcomer in, unless its listener is full.
    pub(crate) fn enter(&mut self, accepted: Accepted<D::Transport>) {
        let Accepted {
            transport,
            policy,
            address,
            handshake,
        } = accepted;
        if !self.has_room(policy, &address) {
            return;
        }
        match handshake {
            None => self.admit(transport, policy, address),
            Some(most) => self.await_opening(transport, policy, address, most),
        }
    }

    /// The driver has closed a connection because of where it came from.
    fn note_stranger(&mut self, listener: usize, error: &io::Error) {
        let policy = self.driver.policy_of(listener);
        if let Some(gauge) = self.gauges.get(usize::from(policy)) {
            gauge.refused_strangers.fetch_add(1, Ordering::Relaxed);
            if self.openings.may_write_line(self.now) {
                info!(target: LOG, listener = gauge.name(), "refused: {error}");
            }
        }
    }

    fn has_room(&self, policy: u16, address: &str) -> bool {
        let Some(gauge) = self.gauges.get(usize::from(policy)) else {
            return false;
        };
        if gauge.connections.fetch_add(1, Ordering::Relaxed) < gauge.max_connections {
            return true;
        }
        gauge.connections.fetch_sub(1, Ordering::Relaxed);
        gauge.refused_full.fetch_add(1, Ordering::Relaxed);
        if !gauge.full.swap(true, Ordering::Relaxed) {
            let (listener, most) = (&gauge.name, gauge.max_connections);
            warn!(target: LOG, %listener, %address, "refused: the listener has its max_connections of {most}; further refusals are not logged until one leaves");
        }
        false
    }

    fn pause_door(&mut self, listener: usize, error: &io::Error) {
        if matches!(self.doors[listener], Door::Quiet | Door::Knocked) {
            warn!(target: LOG, %error, "cannot accept connections; trying again every {REFUSED_PAUSE:?} (is the limit of open files too low?)");
        }
        self.doors[listener] = Door::Paused(self.now.saturating_add(REFUSED_PAUSE));
    }

    fn set_door(&mut self, listener: usize, door: Door) {
        if matches!(self.doors[listener], Door::Paused(_)) {
            info!(target: LOG, "accepting connections again");
        }
        self.doors[listener] = door;
    }
}

/// Errors of `accept` that belong to the connection which was to be accepted.
fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
