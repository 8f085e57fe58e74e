//! The handlers of a broker: who is asked where, and who is told.
//!
//! Every worker has a [`Decider`], which puts the core's questions to the chain on the spot; `side` drives those that take
//! time, and `notices` carries what happened to the observing handlers. A listener's policy has the core ask only what some
//! handler of it handles, so a broker without handlers costs what it costs without this module.

mod decider;
mod frames;
mod matters;
mod notice;
mod notices;
mod way;

use crate::broker::BoundAddress;
use crate::settings::Settings;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tidewire_core::{Authentication, CertificateFacts, Origin, PeerFacts};
use tidewire_handler::{
    About, Certificate, Chain, Client, Event, Events, HandlerId, HandlerRow, ListenerChange,
    Notice, RegisterError, Registration, ServerChange, Snapshot,
};

use crate::side::Side;
pub(crate) use decider::{Decider, introduce};
pub(crate) use frames::Frames;
pub(crate) use matters::watch;
use notices::Notices;
pub(crate) use notices::Observing;

/// Why a broker does not take a handler.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandlerRejected {
    /// The chain does not take it.
    Register(RegisterError),
    /// The broker was started without handlers, and without the intention to add some.
    NotExtensible,
}

/// A broker's handlers and what they need.
pub(crate) struct Extension {
    pub(crate) chain: Arc<Chain>,
    listeners: Box<[Listener]>,
    side: Arc<Side>,
    notices: Notices,
}

/// What a listener has to do with handlers.
#[derive(Clone, Debug)]
struct Listener {
    name: Arc<str>,
    /// Some handler authenticated its clients when the broker started: nobody comes in unasked.
    guarded: bool,
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
        side: Arc<Side>,
        observing: Observing,
    ) -> Result<Arc<Self>, ExtensionError> {
        // The server's own subscriptions come last, and are no handler's business.
        let handled = usize::from(settings.server_policy());
        let names = settings.policies().take(handled).map(|(name, _)| name);
        let chain = Arc::new(Chain::new(names));
        for registration in handlers {
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
                    guarded: handled.and(later).contains(Event::Authenticate),
                    allow_anonymous,
                    open: allow_anonymous
                        || *reach == Reach::Inside && !handled.contains(Event::Authenticate),
                }
            })
            .collect();
        Ok(Arc::new(Self {
            listeners,
            side,
            notices: Notices::start(&chain, observing).map_err(ExtensionError::System)?,
            chain,
        }))
    }

    /// Whether the core has to ask who a listener's clients are, pipes included.
    pub(crate) fn deciding(&self, listener: u16) -> Authentication {
        let listener = self.listeners.get(usize::from(listener));
        if listener.is_some_and(|listener| listener.guarded) {
            Authentication::Ask
        } else {
            Authentication::Anonymous
        }
    }

    /// Whether some handler says who a listener's clients are.
    pub(crate) fn authenticates(&self, listener: u16) -> bool {
        let snapshot = self.chain.snapshot();
        snapshot.handles(Some(listener), Event::Authenticate)
    }

    pub(crate) fn add(&self, registration: Registration) -> Result<HandlerId, HandlerRejected> {
        self.chain
            .add(registration)
            .map_err(HandlerRejected::Register)
    }

    pub(crate) fn replace(
        &self,
        id: HandlerId,
        registration: Registration,
    ) -> Result<(), HandlerRejected> {
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

    /// A connection as handlers know it before its CONNECT.
    pub(crate) fn client(&self, peer: &PeerFacts) -> Arc<Client> {
        let listener = self.listeners.get(usize::from(peer.listener));
        let name = listener.map_or_else(|| "".into(), |facts| Arc::clone(&facts.name));
        let client = Client::new(peer.listener, name, &peer.address);
        let tls = peer.way.as_ref().and_then(|way| way.tls.as_ref());
        let certificate = tls.and_then(|tls| tls.certificate.as_ref());
        Arc::new(match certificate {
            Some(facts) => client.with_certificate(certificate_of(facts)),
            None => client,
        })
    }

    /// The sender of a will, whose connection is gone.
    pub(crate) fn departed(&self, origin: &Origin) -> Arc<Client> {
        let client = self.client(&PeerFacts {
            listener: origin.listener,
            ..PeerFacts::default()
        });
        client.introduce(About {
            client_id: origin.client_id.clone(),
            username: None,
            version: None,
        });
        client.identify(origin.principal.clone());
        client
    }

    /// Tells the observing handlers of what the core reports.
    pub(crate) fn notify_of(&self, notice: Notice) {
        self.notices.send(notice);
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

impl fmt::Display for HandlerRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Register(error) => error.fmt(f),
            Self::NotExtensible => f.write_str(
                "the broker was started without handlers; start it with one, or with handlers_later",
            ),
        }
    }
}

impl std::error::Error for HandlerRejected {}

/// A certificate as handlers see it.
fn certificate_of(facts: &CertificateFacts) -> Certificate {
    Certificate {
        common_name: facts.common_name.clone(),
        subject: facts.subject.clone(),
        alternative_names: facts.alternative_names.clone(),
        fingerprint: facts.fingerprint.clone(),
    }
}
