//! Signals and the broker's end, as one stream of events.

use crate::exit::{Failure, Status};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

/// What happens to a running broker.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// Stop; the signal's name.
    Stop(&'static str),
    /// Read the configuration again.
    Reload,
    /// These files have changed.
    Changed(Vec<PathBuf>),
    /// The broker has stopped as it was asked to.
    Stopped,
    /// The broker has stopped by itself; why.
    Failed(String),
}

/// The events of this process, from the moment of registration.
pub(super) struct Events {
    sender: EventSender,
    receiver: mpsc::Receiver<Event>,
}

/// Adds to the events.
#[derive(Clone)]
pub(super) struct EventSender(mpsc::Sender<Event>);

impl EventSender {
    /// Adds an event; without a listener it is lost, as intended.
    pub(super) fn send(&self, event: Event) {
        let _ = self.0.send(event);
    }
}

impl Events {
    /// Takes SIGINT, SIGTERM and SIGHUP from their defaults.
    pub(super) fn register() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(
                Status::Failed,
                format!("signals cannot be received: {error}"),
            )
        };
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        let (sender, receiver) = mpsc::channel();
        let sender = EventSender(sender);
        let feed = sender.clone();
        let watch = move || {
            for signal in signals.forever() {
                feed.send(match signal {
                    SIGHUP => Event::Reload,
                    SIGINT => Event::Stop("SIGINT"),
                    _ => Event::Stop("SIGTERM"),
                });
            }
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(watch)
            .map_err(failed)?;
        Ok(Self { sender, receiver })
    }

    /// Adds to these events.
    pub(super) fn sender(&self) -> EventSender {
        self.sender.clone()
    }

    /// Waits for the next event.
    pub(super) fn next(&self) -> Option<Event> {
        self.receiver.recv().ok()
    }
}
