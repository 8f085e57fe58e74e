//! From settings to running workers.

use crate::answerer::{Answerers, DenyAll};
use crate::broker::{BoundAddress, BoundPath, BoundTo, Broker};
use crate::crew::{Crew, Mailboxes};
use crate::desk::Desk;
use crate::driver::Driver;
use crate::driver::mio::{MioDriver, MioListener, MioPoller};
use crate::ending::Ending;
use crate::entrance::{Entrance, EntranceError, ListeningSocket, OpenError};
use crate::extend::{Decider, Extension};
use crate::handle::Access;
use crate::interest::InterestView;
use crate::mailbox::{Mail, Mailbox};
use crate::plan::Plan;
use crate::settings::{ANSWERER_DECIDES, Deciding, ListenerSettings, NOBODY_DECIDES, Settings};
use crate::side::Side;
use crate::start_error::StartError;
use crate::storage::{log_report, unix_now_ms};
use crate::sys::SysTopics;
use crate::worker::{Controllers, Worker, WorkerParts, gauges};
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tidewire_core::{
    Authorization, Core, MAX_WORKERS, Mode, StoreConfig, Time, UnixClock, WorkerId,
};
use tidewire_store::{Port, ThreadedStore};

/// Who decides what clients may do.
pub(crate) enum Guard<'a> {
    /// Nobody: a listener's address is its policy.
    Nobody,
    /// An answerer for each worker, on every listener.
    Answerers(Answerers<'a>),
    /// Handlers, where they handle something.
    Handlers(Arc<Extension>),
}

impl Guard<'_> {
    fn deciding(&self, listener: u16) -> Deciding {
        match self {
            Self::Nobody => NOBODY_DECIDES,
            Self::Answerers(_) => ANSWERER_DECIDES,
            // What else is asked depends on the handlers of the moment: the workers tell their cores.
            Self::Handlers(extension) => (extension.deciding(listener), Authorization::AllowAll),
        }
    }

    fn authenticates(&self, listener: u16) -> bool {
        match self {
            Self::Nobody => false,
            Self::Answerers(_) => true,
            Self::Handlers(extension) => extension.authenticates(listener),
        }
    }

    fn decider(&mut self, worker: WorkerId) -> Decider {
        match self {
            Self::Nobody => Decider::Answerer(Box::new(DenyAll)),
            Self::Answerers(make) => Decider::Answerer(make(worker)),
            Self::Handlers(extension) => Decider::chain(extension),
        }
    }

    fn extension(&self) -> Option<Arc<Extension>> {
        match self {
            Self::Handlers(extension) => Some(Arc::clone(extension)),
            _ => None,
        }
    }
}

/// A listener's open sockets.
struct Bound {
    sockets: Vec<ListeningSocket>,
    policy: u16,
    entrance: Option<Arc<Entrance>>,
}

/// Opens all listeners, then starts all workers.
pub(crate) fn start(settings: &Settings, mut plan: Plan<'_>) -> Result<Broker, StartError> {
    let count = settings.worker_count();
    let workers = check_names(settings, count)?;
    let mut bound_to = BoundTo::default();
    let resolved = resolve_all(&settings.listeners)?;
    let side = plan.side().map_err(StartError::System)?;
    let controllers = plan.controllers(settings);
    let mut guard = plan.guards.stand(settings, &resolved, side.as_ref())?;
    check_guarded(settings, &resolved, &guard)?;
    let bound = bind_all(&settings.listeners, resolved, &mut bound_to)?;
    let entrances = bound.iter().filter_map(|bound| bound.entrance.clone());
    let entrances = entrances.collect();
    let seed = settings
        .hash_seed
        .unwrap_or_else(|| RandomState::new().hash_one(0));

    let pollers: Vec<MioPoller> = (0..count)
        .map(|_| MioPoller::new())
        .collect::<io::Result<_>>()
        .map_err(StartError::System)?;
    let mailboxes = mailboxes(&pollers).map_err(StartError::System)?;
    let origin = Instant::now();
    let store = open_store(settings)?;
    let facts = store.as_ref().map(|(_, facts)| facts.clone());
    let store = store.map(|(store, _)| store);
    let mut drivers = Vec::with_capacity(count);
    for (poller, mailbox) in pollers.iter().zip(mailboxes.iter()) {
        let port = store.as_deref().map(|store| store_port(store, mailbox));
        let driver = driver(poller, mailbox, &bound, origin, port);
        drivers.push(driver.map_err(StartError::System)?);
    }
    drop(bound);
    let crew = Arc::new(Crew::new(
        Arc::clone(&mailboxes),
        seat(
            (settings, workers, seed, facts.as_ref()),
            &mailboxes,
            drivers,
            &mut guard,
            (&controllers, side.as_ref()),
        ),
    ));
    let ending = Arc::new(Ending::new(count));
    let access = Access {
        mailboxes,
        ending: Arc::clone(&ending),
        extension: guard.extension(),
        addresses: bound_to.addresses.clone(),
        farewell: AtomicBool::new(false),
        origin,
        side: side.clone(),
        piped_policy: settings.piped_policy(),
        server_policy: settings.server_policy(),
        close_timeout: Duration::from_secs(settings.limits.close_timeout_secs.into()),
        entrances,
        #[cfg(feature = "attach")]
        attachable: crate::attach::attachable(settings),
    };
    let access = Arc::new(access);
    plan.early.bind(&access);
    Broker::run(&crew, pollers, &access, bound_to, store).map_err(StartError::System)
}

/// The store with its threads, and what the cores have to know of it.
fn open_store(
    settings: &Settings,
) -> Result<Option<(Arc<ThreadedStore>, StoreConfig)>, StartError> {
    let Some(wanted) = &settings.store else {
        return Ok(None);
    };
    let (engine, report) = wanted.open().map_err(StartError::Store)?;
    log_report(&report);
    let clock = UnixClock {
        origin_ms: wanted.unix_origin_ms.unwrap_or_else(unix_now_ms),
    };
    let store = ThreadedStore::start(
        Box::new(engine),
        wanted.sync_threads,
        wanted.max_pending_bytes,
    );
    let store = store.map_err(StartError::System)?;
    let facts = wanted.core_config(store.shards(), clock);
    Ok(Some((Arc::new(store), facts)))
}

/// A worker's way to the store, whose answers come to its mailbox.
fn store_port<T: Send + 'static>(store: &ThreadedStore, mailbox: &Arc<Mailbox<T>>) -> Port {
    let mailbox = Arc::clone(mailbox);
    store.port(Box::new(move |answers| {
        mailbox.post(Mail::Stored(std::mem::take(answers)));
    }))
}

/// Makes the workers of a broker, whatever drives them.
pub(crate) fn seat<D: Driver>(
    (settings, workers, seed, store): (&Settings, u16, u64, Option<&StoreConfig>),
    mailboxes: &Mailboxes<D::Transport>,
    drivers: Vec<D>,
    guard: &mut Guard<'_>,
    (controllers, side): (&Controllers, Option<&Arc<Side>>),
) -> Vec<Worker<D>> {
    let views = InterestView::for_workers(workers.into(), seed);
    let gauges = gauges(settings.policies());
    let make = |((index, driver), interest): ((u16, D), InterestView)| {
        let id = WorkerId(index);
        let sys_interval_secs = if index == 0 {
            settings.sys_interval_secs
        } else {
            0
        };
        let deciding = |listener| guard.deciding(listener);
        let mut config = settings.core_config(id, workers, seed, store, &deciding);
        for (policy, controller) in config.listeners.iter_mut().zip(controllers.iter()) {
            if controller.is_some() {
                policy.mode = Mode::Raw;
            }
        }
        Worker::new(WorkerParts {
            id,
            core: Core::new(config),
            sys: (sys_interval_secs > 0).then(|| SysTopics::new(driver.now(), sys_interval_secs)),
            driver,
            interest,
            mailboxes: Arc::clone(mailboxes),
            decider: guard.decider(id),
            controllers: Arc::clone(controllers),
            side: side.cloned(),
            desk: store.map(|store| Desk::new(store.clock, store.shards)),
            gauges: Arc::clone(&gauges),
            close_timeout: Duration::from_secs(settings.limits.close_timeout_secs.into()),
            max_mailbox_bytes: settings
                .limits
                .max_mailbox_bytes
                .try_into()
                .unwrap_or(usize::MAX),
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

/// The addresses of each listener.
fn resolve_all(listeners: &[ListenerSettings]) -> Result<Vec<Vec<SocketAddr>>, StartError> {
    let resolve = |settings: &ListenerSettings| {
        if settings.attached {
            return Ok(Vec::new());
        }
        if !settings.open_sockets.is_empty() {
            let open = settings.open_sockets.iter();
            let addresses = open.filter_map(|socket| socket.address().transpose());
            return addresses
                .collect::<io::Result<_>>()
                .map_err(StartError::System);
        }
        settings.url.resolve().map_err(|error| StartError::Resolve {
            listener: settings.name.clone(),
            url: Box::new(settings.url.clone()),
            error,
        })
    };
    listeners.iter().map(resolve).collect()
}

/// No listener lets in everybody on the network unless somebody said that this is meant.
fn check_guarded(
    settings: &Settings,
    resolved: &[Vec<SocketAddr>],
    guard: &Guard<'_>,
) -> Result<(), StartError> {
    for ((policy, listener), addresses) in (0..).zip(&settings.listeners).zip(resolved) {
        if listener.attached && !listener.allow_anonymous && !guard.authenticates(policy) {
            let listener = listener.name.clone();
            return Err(StartError::AttachedToAll { listener });
        }
        let beyond = addresses.iter().find(|address| !address.ip().is_loopback());
        if let Some(&address) = beyond
            && !listener.allow_anonymous
            && !guard.authenticates(policy)
        {
            return Err(StartError::OpenToAll {
                listener: listener.name.clone(),
                address,
            });
        }
    }
    Ok(())
}

fn bind_all(
    listeners: &[ListenerSettings],
    resolved: Vec<Vec<SocketAddr>>,
    bound_to: &mut BoundTo,
) -> Result<Vec<Bound>, StartError> {
    let mut bound = Vec::with_capacity(listeners.len());
    for ((policy, settings), resolved) in (0..).zip(listeners).zip(resolved) {
        let listener = settings.name.clone();
        let entrance = Entrance::build(settings).map_err(|error| match error {
            EntranceError::Certificates(error) => StartError::Certificates {
                listener: listener.clone(),
                error,
            },
            EntranceError::Pages(error) => StartError::Pages {
                listener: listener.clone(),
                error,
            },
        })?;
        let sockets = if settings.attached {
            Vec::new()
        } else if settings.open_sockets.is_empty() {
            open_all(settings, resolved, bound_to)?
        } else {
            adopt_all(settings, resolved, bound_to).map_err(StartError::System)?
        };
        bound.push(Bound {
            sockets,
            policy,
            entrance: entrance.map(Arc::new),
        });
    }
    Ok(bound)
}

/// Opens what a listener's address stands for.
fn open_all(
    settings: &ListenerSettings,
    resolved: Vec<SocketAddr>,
    bound_to: &mut BoundTo,
) -> Result<Vec<ListeningSocket>, StartError> {
    let listener = &settings.name;
    let refused = |error: OpenError| refused(listener.clone(), error);
    let mut sockets = Vec::with_capacity(resolved.len());
    #[cfg(unix)]
    if let Some(socket) = ListeningSocket::bind_path(&settings.url, settings) {
        sockets.push(socket.map_err(refused)?);
        bound_to.paths.push(BoundPath {
            listener: listener.clone(),
            path: settings.url.host().into(),
        });
    }
    for address in resolved {
        let socket = ListeningSocket::bind(address, settings).map_err(refused)?;
        let address = socket.local_addr(address).map_err(StartError::System)?;
        bound_to.addresses.push(BoundAddress {
            listener: listener.clone(),
            address,
        });
        sockets.push(socket);
    }
    Ok(sockets)
}

/// Takes over the sockets that a listener was given.
fn adopt_all(
    settings: &ListenerSettings,
    addresses: Vec<SocketAddr>,
    bound_to: &mut BoundTo,
) -> io::Result<Vec<ListeningSocket>> {
    let listener = || settings.name.clone();
    bound_to
        .addresses
        .extend(addresses.into_iter().map(|address| BoundAddress {
            listener: listener(),
            address,
        }));
    #[cfg(unix)]
    bound_to.paths.extend(
        settings
            .open_sockets
            .iter()
            .filter_map(|open| open.path())
            .map(|path| BoundPath {
                listener: listener(),
                path,
            }),
    );
    let adopt = |open| ListeningSocket::adopt(open, settings);
    settings.open_sockets.iter().map(adopt).collect()
}

fn refused(listener: Box<str>, error: OpenError) -> StartError {
    match error {
        OpenError::Address(error) => StartError::Bind { listener, error },
        #[cfg(unix)]
        OpenError::Path(error) => StartError::BindPath { listener, error },
    }
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
    store: Option<Port>,
) -> io::Result<MioDriver> {
    let mut listeners = Vec::new();
    for Bound {
        sockets,
        policy,
        entrance,
    } in bound
    {
        for socket in sockets {
            listeners.push(MioListener {
                listener: socket.try_clone()?,
                policy: *policy,
                entrance: entrance.clone(),
            });
        }
    }
    let mailbox = Arc::clone(mailbox);
    poller.driver(
        origin,
        listeners,
        Arc::new(move |ready| mailbox.post(Mail::Ready(ready))),
        store,
    )
}

/// A point in time of the workers' clock.
pub(crate) fn time_after(origin: Instant, wait: Duration) -> Time {
    Time::ZERO.saturating_add(origin.elapsed().saturating_add(wait))
}
