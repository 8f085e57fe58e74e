//! What a broker is started with besides its settings.

use crate::answerer::Answerers;
use crate::extend::{Extension, ExtensionError, Observing, Reach};
use crate::handle::BrokerHandle;
use crate::settings::{ListenerSettings, Settings};
use crate::side::Side;
use crate::start::Guard;
use crate::start_error::StartError;
use crate::worker::Controllers;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tidewire_handler::{Controller, Events, Registration};
use tokio::runtime::Handle;

/// What a broker is started with besides its settings.
pub(crate) struct Plan<'a> {
    pub(crate) guards: Guards<'a>,
    /// What the handlers have been given to steer the broker.
    pub(crate) early: BrokerHandle,
    /// Who serves which raw listener, by name.
    pub(crate) controllers: Vec<(Box<str>, Arc<dyn Controller>)>,
    /// The application's runtime, if handlers are to wait there.
    pub(crate) runtime: Option<Handle>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(guards: Guards<'a>) -> Self {
        Self {
            guards,
            early: BrokerHandle::early(),
            controllers: Vec::new(),
            runtime: None,
        }
    }

    /// What waiting handlers and controllers need, if there are any.
    pub(crate) fn side(&mut self) -> io::Result<Option<Arc<Side>>> {
        let wanted = matches!(self.guards, Guards::Handlers(..)) || !self.controllers.is_empty();
        let runtime = self.runtime.take();
        wanted
            .then(|| Side::start(runtime).map(Arc::new))
            .transpose()
    }

    /// The controllers of all listeners, by index.
    pub(crate) fn controllers(&self, settings: &Settings) -> Controllers {
        let of = |(name, _): (&str, usize)| {
            let mut controllers = self.controllers.iter();
            let found = controllers.find(|(listener, _)| **listener == *name);
            found.map(|(_, controller)| Arc::clone(controller))
        };
        settings.policies().map(of).collect()
    }
}

/// Who shall decide, before anything has been started for it.
pub(crate) enum Guards<'a> {
    Nobody,
    Answerers(Answerers<'a>),
    /// These handlers, and perhaps more for these events while the broker runs.
    Handlers(Vec<Registration>, Events),
}

impl<'a> Guards<'a> {
    pub(crate) fn stand(
        self,
        settings: &Settings,
        resolved: &[Vec<SocketAddr>],
        side: Option<&Arc<Side>>,
    ) -> Result<Guard<'a>, StartError> {
        let (handlers, later) = match self {
            Self::Nobody => return Ok(Guard::Nobody),
            Self::Answerers(answerers) => return Ok(Guard::Answerers(answerers)),
            Self::Handlers(handlers, later) => (handlers, later),
        };
        let Some(side) = side else {
            return Ok(Guard::Nobody);
        };
        let reach = |(listener, addresses): (&ListenerSettings, &Vec<SocketAddr>)| {
            let is_near = addresses.iter().all(|address| address.ip().is_loopback());
            if is_near && !listener.attached {
                Reach::Inside
            } else {
                Reach::Network
            }
        };
        // Pipes come last.
        let listeners = settings.listeners.iter().zip(resolved);
        let reaches: Vec<Reach> = listeners.map(reach).chain([Reach::Inside]).collect();
        let side = Arc::clone(side);
        let observing = Observing::Thread;
        let extension = Extension::start(settings, handlers, later, &reaches, side, observing)?;
        Ok(Guard::Handlers(extension))
    }
}

impl From<ExtensionError> for StartError {
    fn from(error: ExtensionError) -> Self {
        match error {
            ExtensionError::Rejected(rejected) => Self::Handler(rejected),
            ExtensionError::System(error) => Self::System(error),
        }
    }
}
