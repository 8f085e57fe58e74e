//! From settings to running workers.

use crate::answerer::{Answerers, DenyAll};
use crate::broker::{BoundAddress, Broker};
use crate::crew::{Crew, Mailboxes};
use crate::driver::Driver;
use crate::driver::mio::{MioDriver, MioListener, MioPoller};
use crate::ending::Ending;
use crate::handle::Access;
use crate::interest::InterestView;
use crate::mailbox::{Mail, Mailbox};
use crate::settings::{ANSWERER_DECIDES, ListenerSettings, NOBODY_DECIDES, Settings};
use crate::sys::SysTopics;
use crate::worker::{Worker, WorkerParts, gauges};
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewire_core::{Core, MAX_WORKERS, Time, WorkerId};
use tidewire_net::{BindError, ListenUrl, TcpListener};

/// Why a broker could not start. Nothing is left running then.
#[derive(Debug)]
pub enum StartError {
    /// More workers than can be named.
    TooManyWorkers {
        /// What was asked for.
        workers: usize,
    },
    /// More listeners than can be named.
    TooManyListeners {
        /// What was asked for.
        listeners: usize,
    },
    /// Two listeners of one name.
    DuplicateListener {
        /// The name.
        name: Box<str>,
    },
    /// A listener's host name could not be resolved.
    Resolve {
        /// The listener's name.
        listener: Box<str>,
        /// Its address.
        url: Box<ListenUrl>,
        /// The resolver's error.
        error: io::Error,
    },
    /// A listener could not be opened.
    Bind {
        /// The listener's name.
        listener: Box<str>,
        /// What is wrong with which address.
        error: BindError,
    },
    /// A listener would let in everybody on the network, and nobody said that this is meant.
    OpenToAll {
        /// The listener's name.
        listener: Box<str>,
        /// The address beyond loopback.
        address: SocketAddr,
    },
    /// The operating system gave no thread, event queue or descriptor.
    System(io::Error),
}

/// Who stands between the network and the broker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    Nobody,
    Answerer,
}

/// A listener's open sockets.
struct Bound {
    sockets: Vec<TcpListener>,
    policy: u16,
}

/// Opens all listeners, then starts all workers.
pub(crate) fn start(
    settings: &Settings,
    answerers: Option<Answerers<'_>>,
) -> Result<Broker, StartError> {
    let count = settings.worker_count();
    let workers = check_names(settings, count)?;
    let mut addresses = Vec::new();
    let guard = if answerers.is_some() {
        Guard::Answerer
    } else {
        Guard::Nobody
    };
    let bound = bind_all(&settings.listeners, guard, &mut addresses)?;
    let seed = settings
        .hash_seed
        .unwrap_or_else(|| RandomState::new().hash_one(0));

    let pollers: Vec<MioPoller> = (0..count)
        .map(|_| MioPoller::new())
        .collect::<io::Result<_>>()
        .map_err(StartError::System)?;
    let mailboxes = mailboxes(&pollers).map_err(StartError::System)?;
    let origin = Instant::now();
    let mut drivers = Vec::with_capacity(count);
    for (poller, mailbox) in pollers.iter().zip(mailboxes.iter()) {
        drivers.push(driver(poller, mailbox, &bound, origin).map_err(StartError::System)?);
    }
    drop(bound);
    let crew = Arc::new(Crew::new(
        Arc::clone(&mailboxes),
        seat(settings, workers, seed, &mailboxes, drivers, answerers),
    ));
    let ending = Arc::new(Ending::new(count));
    let access = Access {
        mailboxes,
        ending: Arc::clone(&ending),
        origin,
        piped_policy: settings.piped_policy(),
        close_timeout: Duration::from_secs(settings.limits.close_timeout_secs.into()),
    };
    Broker::run(&crew, pollers, &Arc::new(access), addresses).map_err(StartError::System)
}

/// Makes the workers of a broker, whatever drives them.
pub(crate) fn seat<D: Driver>(
    settings: &Settings,
    workers: u16,
    seed: u64,
    mailboxes: &Mailboxes<D::Transport>,
    drivers: Vec<D>,
    mut answerers: Option<Answerers<'_>>,
) -> Vec<Worker<D>> {
    let views = InterestView::for_workers(workers.into(), seed);
    let gauges = gauges(settings.policies());
    let deciding = if answerers.is_some() {
        ANSWERER_DECIDES
    } else {
        NOBODY_DECIDES
    };
    let make = |((index, driver), interest): ((u16, D), InterestView)| {
        let id = WorkerId(index);
        let sys_interval_secs = if index == 0 {
            settings.sys_interval_secs
        } else {
            0
        };
        Worker::new(WorkerParts {
            id,
            core: Core::new(settings.core_config(id, workers, seed, deciding)),
            sys: (sys_interval_secs > 0).then(|| SysTopics::new(driver.now(), sys_interval_secs)),
            driver,
            interest,
            mailboxes: Arc::clone(mailboxes),
            answerer: match &mut answerers {
                Some(make) => make(id),
                None => Box::new(DenyAll),
            },
            gauges: Arc::clone(&gauges),
            close_timeout: Duration::from_secs(settings.limits.close_timeout_secs.into()),
        })
    };
    (0..).zip(drivers).zip(views).map(make).collect()
}

fn check_names(settings: &Settings, workers: usize) -> Result<u16, StartError> {
    let listeners = settings.listeners.len();
    if listeners >= usize::from(u16::MAX) {
        return Err(StartError::TooManyListeners { listeners });
    }
    let mut names = HashSet::new();
    for listener in &settings.listeners {
        if !names.insert(&listener.name) {
            return Err(StartError::DuplicateListener {
                name: listener.name.clone(),
            });
        }
    }
    match u16::try_from(workers) {
        Ok(count) if workers <= MAX_WORKERS => Ok(count),
        _ => Err(StartError::TooManyWorkers { workers }),
    }
}

fn bind_all(
    listeners: &[ListenerSettings],
    guard: Guard,
    addresses: &mut Vec<BoundAddress>,
) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::with_capacity(listeners.len());
    for (policy, settings) in (0..).zip(listeners) {
        let listener = settings.name.clone();
        let resolved = match settings.url.resolve() {
            Ok(resolved) => resolved,
            Err(error) => {
                return Err(StartError::Resolve {
                    listener,
                    url: Box::new(settings.url.clone()),
                    error,
                });
            }
        };
        if let Some(&address) = resolved.iter().find(|address| !address.ip().is_loopback())
            && guard == Guard::Nobody
            && !settings.allow_anonymous
        {
            return Err(StartError::OpenToAll { listener, address });
        }
        let mut sockets = Vec::with_capacity(resolved.len());
        for address in resolved {
            let socket = TcpListener::bind(address, settings.tcp_options()).map_err(|error| {
                StartError::Bind {
                    listener: listener.clone(),
                    error,
                }
            })?;
            let address = socket.local_addr().map_err(StartError::System)?;
            addresses.push(BoundAddress {
                listener: listener.clone(),
                address,
            });
            sockets.push(socket);
        }
        bound.push(Bound { sockets, policy });
    }
    Ok(bound)
}

fn mailboxes<T>(pollers: &[MioPoller]) -> io::Result<Mailboxes<T>> {
    pollers
        .iter()
        .map(|poller| {
            let waker = poller.waker()?;
            Ok(Arc::new(Mailbox::new(move || {
                if let Err(error) = waker.wake() {
                    tracing::error!(target: crate::events::LOG, %error, "cannot wake a worker");
                }
            })))
        })
        .collect()
}

fn driver(
    poller: &MioPoller,
    mailbox: &Arc<Mailbox<tidewire_net::Transport>>,
    bound: &[Bound],
    origin: Instant,
) -> io::Result<MioDriver> {
    let mut listeners = Vec::new();
    for Bound { sockets, policy } in bound {
        for socket in sockets {
            listeners.push(MioListener {
                listener: socket.try_clone()?,
                policy: *policy,
            });
        }
    }
    let mailbox = Arc::clone(mailbox);
    poller.driver(
        origin,
        listeners,
        Arc::new(move |ready| mailbox.post(Mail::Ready(ready))),
    )
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyWorkers { workers } => {
                write!(
                    f,
                    "{workers} workers are too many; at most {MAX_WORKERS} are possible, 0 means one for each processor"
                )
            }
            Self::TooManyListeners { listeners } => write!(f, "{listeners} listeners are too many"),
            Self::DuplicateListener { name } => {
                write!(
                    f,
                    "two listeners are named `{name}`; give each its own name"
                )
            }
            Self::Resolve {
                listener,
                url,
                error,
            } => {
                write!(
                    f,
                    "listener `{listener}`: cannot find the address of `{}`: {error}",
                    url.host()
                )
            }
            Self::Bind { listener, error } => write!(f, "listener `{listener}`: {error}"),
            Self::OpenToAll { listener, address } => write!(
                f,
                "listener `{listener}` on {address} would let in everybody who reaches this machine, as no authenticator is configured; \
                 listen on 127.0.0.1, or set allow_anonymous = true if that is meant"
            ),
            Self::System(error) => write!(f, "the operating system refused: {error}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { error, .. } | Self::System(error) => Some(error),
            Self::Bind { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// A point in time of the workers' clock.
pub(crate) fn time_after(origin: Instant, wait: Duration) -> Time {
    Time::ZERO.saturating_add(origin.elapsed().saturating_add(wait))
}
