//! The handlers of a broker: who is asked where, and who is told.
//!
//! Every worker has a [`Decider`], which puts the core's questions to the chain on the spot; `side` drives those that take
//! time, and `notices` carries what happened to the observing handlers. A listener's policy has the core ask only what some
//! handler of it handles, so a broker without handlers costs what it costs without this module.

mod decider;
mod notices;
mod side;

use crate::broker::BoundAddress;
use crate::settings::Settings;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tidewire_core::{Authentication, Authorization};
use tidewire_handler::{
    Chain, Event, Events, HandlerId, HandlerRow, ListenerChange, Notice, RegisterError,
    Registration, Scope, ServerChange, Snapshot,
};

pub(crate) use decider::{Cut, Decider, conn_of};
use notices::Notices;
use side::Side;

/// What the core can be made to ask about a client's admission.
const AUTHENTICATION: Events = Events::NONE
    .with(Event::Authenticate)
    .with(Event::AuthenticationStep);
/// What the core can be made to ask about a client's deeds.
const AUTHORIZATION: Events = Events::NONE
    .with(Event::AuthorizePublish)
    .with(Event::AuthorizeSubscribe);
/// What observing handlers are told; more needs gates and events that the core does not have yet.
const TOLD: Events = Events::NONE
    .with(Event::Connected)
    .with(Event::Refused)
    .with(Event::Disconnected)
    .with(Event::SessionEnded)
    .with(Event::WillPublished)
    .with(Event::WillRefused)
    .with(Event::ListenerStarted)
    .with(Event::ListenerStopped)
    .with(Event::WorkerStarted)
    .with(Event::WorkerExited)
    .with(Event::ServerReady)
    .with(Event::ServerStopping);

/// The events that this broker raises. A handler of any other is refused when it is registered, rather than never called.
pub const RAISED_EVENTS: Events = AUTHENTICATION.and(AUTHORIZATION).and(TOLD);

/// Why a broker does not take a handler.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandlerRejected {
    /// The chain does not take it.
    Register(RegisterError),
    /// It handles events that this version of the broker does not raise.
    NotRaised {
        /// The handler's name.
        handler: Box<str>,
        /// Those events.
        events: Vec<Event>,
    },
    /// A running listener's clients are not asked about these events: what is asked is fixed at the start.
    NotAsked {
        /// The handler's name.
        handler: Box<str>,
        /// The listener's name.
        listener: Box<str>,
        /// Those events.
        events: Vec<Event>,
    },
    /// The broker was started without handlers, and without the intention to add some.
    NotExtensible,
}

/// A broker's handlers and what they need.
pub(crate) struct Extension {
    pub(crate) chain: Arc<Chain>,
    listeners: Box<[Listener]>,
    side: Side,
    notices: Notices,
}

/// What a listener has to do with handlers.
#[derive(Clone, Debug)]
struct Listener {
    name: Arc<str>,
    /// What the core asks about its clients.
    asked: Events,
    /// Who gives no user name comes in if no handler objects.
    allow_anonymous: bool,
    /// Everybody comes in as long as no handler authenticates.
    open: bool,
}

/// Whether a listener's address is for everybody or for this machine alone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This machine, or this process.
    Inside,
    /// Others as well.
    Network,
}

impl Extension {
    /// Registers the handlers, then starts what they need. `later` are events that handlers may be added for while the
    /// broker runs; `reaches` has an entry for each listener, pipes last.
    ///
    /// # Errors
    /// A handler that is refused, or a system that gives no thread.
    pub(crate) fn start(
        settings: &Settings,
        handlers: Vec<Registration>,
        later: Events,
        reaches: &[Reach],
    ) -> Result<Arc<Self>, ExtensionError> {
        let chain = Arc::new(Chain::new(settings.policies().map(|(name, _)| name)));
        for registration in handlers {
            check_raised(&registration).map_err(ExtensionError::Rejected)?;
            let added = chain.add(registration);
            added.map_err(|error| ExtensionError::Rejected(HandlerRejected::Register(error)))?;
        }
        let snapshot = chain.snapshot();
        let anonymous = settings.anonymous_allowed();
        let listeners = (0..)
            .zip(chain.listeners())
            .zip(anonymous.into_iter().zip(reaches))
            .map(|((index, name), (allow_anonymous, reach))| {
                let handled = snapshot.events(Some(index));
                Listener {
                    name: name.into(),
                    asked: whole(handled.and(later)),
                    allow_anonymous,
                    open: allow_anonymous
                        || *reach == Reach::Inside && !handled.contains(Event::Authenticate),
                }
            })
            .collect();
        Ok(Arc::new(Self {
            listeners,
            side: Side::start().map_err(ExtensionError::System)?,
            notices: Notices::start(&chain).map_err(ExtensionError::System)?,
            chain,
        }))
    }

    /// What the core is told about a listener, pipes included.
    pub(crate) fn deciding(&self, listener: u16) -> (Authentication, Authorization) {
        let asked = self
            .listeners
            .get(usize::from(listener))
            .map_or(Events::NONE, |listener| listener.asked);
        let authentication = if asked.contains(Event::Authenticate) {
            Authentication::Ask
        } else {
            Authentication::Anonymous
        };
        let authorization = if asked.contains(Event::AuthorizePublish) {
            Authorization::Ask
        } else {
            Authorization::AllowAll
        };
        (authentication, authorization)
    }

    /// Whether some handler says who a listener's clients are.
    pub(crate) fn authenticates(&self, listener: u16) -> bool {
        let snapshot = self.chain.snapshot();
        snapshot.handles(Some(listener), Event::Authenticate)
    }

    pub(crate) fn add(&self, registration: Registration) -> Result<HandlerId, HandlerRejected> {
        self.check(&registration)?;
        self.chain
            .add(registration)
            .map_err(HandlerRejected::Register)
    }

    pub(crate) fn replace(
        &self,
        id: HandlerId,
        registration: Registration,
    ) -> Result<(), HandlerRejected> {
        self.check(&registration)?;
        let replaced = self.chain.replace(id, registration);
        replaced.map_err(HandlerRejected::Register)
    }

    pub(crate) fn remove(&self, id: HandlerId) -> Result<(), HandlerRejected> {
        self.chain.remove(id).map_err(HandlerRejected::Register)
    }

    pub(crate) fn rows(&self) -> Vec<HandlerRow> {
        self.chain.snapshot().rows()
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.chain.snapshot()
    }

    /// Tells the observing handlers, unless nobody wants to know.
    pub(crate) fn notify(&self, notice: Notice) {
        let snapshot = self.chain.snapshot();
        if snapshot.handles(notice.listener(), notice.event()) {
            self.notices.send(notice);
        }
    }

    /// The listeners are open and the workers run.
    pub(crate) fn notify_ready(&self, addresses: &[BoundAddress], workers: usize) {
        for bound in addresses {
            if let Some(change) = self.listener_change(bound) {
                self.notify(Notice::ListenerStarted(change));
            }
        }
        self.notify(Notice::ServerReady(server_change(workers)));
    }

    /// The broker begins to stop: listeners close first.
    pub(crate) fn notify_stopping(&self, addresses: &[BoundAddress], workers: usize) {
        self.notify(Notice::ServerStopping(server_change(workers)));
        for bound in addresses {
            if let Some(change) = self.listener_change(bound) {
                self.notify(Notice::ListenerStopped(change));
            }
        }
    }

    pub(crate) fn notices_dropped(&self) -> u64 {
        self.notices.dropped()
    }

    /// Waits until the observing handlers have been told everything, but no longer than `most`.
    pub(crate) fn finish(&self, most: Duration) {
        self.notices.finish(most);
    }

    fn listener_change(&self, bound: &BoundAddress) -> Option<ListenerChange> {
        let mut listeners = (0..).zip(&self.listeners);
        let (listener, facts) = listeners.find(|(_, facts)| *facts.name == *bound.listener)?;
        Some(ListenerChange {
            listener,
            name: Arc::clone(&facts.name),
            address: bound.address.to_string().into(),
        })
    }

    /// A handler that is added later must not wait for questions that are never asked.
    fn check(&self, registration: &Registration) -> Result<(), HandlerRejected> {
        check_raised(registration)?;
        let wanted = registration.handler().events();
        let wanted = wanted.without(TOLD);
        for listener in &self.listeners {
            let is_for = match registration.scope() {
                Scope::AllListeners => true,
                Scope::Listeners(names) => names.iter().any(|name| **name == *listener.name),
            };
            let missing = wanted.without(listener.asked);
            if is_for && !missing.is_empty() {
                return Err(HandlerRejected::NotAsked {
                    handler: registration.name().into(),
                    listener: (&*listener.name).into(),
                    events: missing.iter().collect(),
                });
            }
        }
        Ok(())
    }
}

/// Why handlers could not be started.
#[derive(Debug)]
pub(crate) enum ExtensionError {
    Rejected(HandlerRejected),
    System(io::Error),
}

fn server_change(workers: usize) -> ServerChange {
    ServerChange {
        workers: u16::try_from(workers).unwrap_or(u16::MAX),
    }
}

/// The core asks about a whole matter or not at all.
fn whole(events: Events) -> Events {
    let mut asked = Events::NONE;
    for matter in [AUTHENTICATION, AUTHORIZATION] {
        if matter.iter().any(|event| events.contains(event)) {
            asked = asked.and(matter);
        }
    }
    asked
}

fn check_raised(registration: &Registration) -> Result<(), HandlerRejected> {
    let missing = registration.handler().events().without(RAISED_EVENTS);
    if missing.is_empty() {
        return Ok(());
    }
    Err(HandlerRejected::NotRaised {
        handler: registration.name().into(),
        events: missing.iter().collect(),
    })
}

fn names(events: &[Event]) -> String {
    let names: Vec<&str> = events.iter().map(|event| event.name()).collect();
    names.join(", ")
}

impl fmt::Display for HandlerRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(error) => error.fmt(f),
            Self::NotRaised { handler, events } => write!(
                f,
                "handler `{handler}` handles {}, which this version of the broker does not raise yet",
                names(events)
            ),
            Self::NotAsked {
                handler,
                listener,
                events,
            } => write!(
                f,
                "handler `{handler}` handles {}, which the running listener `{listener}` does not ask about; \
                 start the broker with a handler of it, or with handlers_later",
                names(events)
            ),
            Self::NotExtensible => f.write_str(
                "the broker was started without handlers; start it with one, or with handlers_later",
            ),
        }
    }
}

impl std::error::Error for HandlerRejected {}
