//! A running broker: its threads, and what happens when one of them fails.

use crate::answerer::Answerers;
use crate::builder::BrokerBuilder;
use crate::crew::Crew;
use crate::driver::mio::{MioDriver, MioPoller};
use crate::ending::{ShutdownReport, WorkerFailure};
use crate::events::LOG;
use crate::handle::{Access, BrokerHandle};
use crate::plan::{Guards, Plan};
use crate::settings::Settings;
use crate::start::start;
use crate::start_error::StartError;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tidewire_handler::{Notice, WorkerChange};
use tidewire_store::ThreadedStore;
use tracing::error;

/// How long a dropped broker gives its clients to take their farewell.
const DROP_DEADLINE: Duration = Duration::from_secs(1);

/// How long observing handlers have at the end for what waits for them.
const NOTICES_DEADLINE: Duration = Duration::from_secs(1);

/// A running broker. Dropping it stops it.
///
/// A panic in a worker ends that worker only; as its sessions are lost with it, the others are stopped in an orderly
/// way, and [`Broker::wait`] returns the failure.
#[derive(Debug)]
pub struct Broker {
    handle: BrokerHandle,
    access: Arc<Access>,
    addresses: Vec<BoundAddress>,
    paths: Vec<BoundPath>,
    threads: Vec<JoinHandle<()>>,
    /// Stopped when the workers have ended: what they handed over is stored.
    store: Option<Arc<ThreadedStore>>,
}

/// An address that a listener is open on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoundAddress {
    /// The listener's name.
    pub listener: Box<str>,
    /// The address, with the port that was chosen for port 0.
    pub address: SocketAddr,
}

/// A path in the file system that a listener is open on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BoundPath {
    /// The listener's name.
    pub listener: Box<str>,
    /// The path.
    pub path: PathBuf,
}

/// All that the listeners are open on.
#[derive(Default)]
pub(crate) struct BoundTo {
    pub(crate) addresses: Vec<BoundAddress>,
    pub(crate) paths: Vec<BoundPath>,
}

impl Broker {
    /// Opens all listeners and starts the workers. When it returns, clients can connect.
    ///
    /// # Errors
    /// [`StartError`] says which setting is wrong and what to do.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        start(settings, Plan::new(Guards::Nobody))
    }

    /// As [`Broker::start`], with somebody who decides: who may connect, publish and subscribe is asked of the worker's
    /// [`Answerer`](crate::Answerer), on every listener. `answerers` makes one for each worker.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start_with(settings: &Settings, answerers: Answerers<'_>) -> Result<Self, StartError> {
        start(settings, Plan::new(Guards::Answerers(answerers)))
    }

    /// A broker in the making: settings, listeners and handlers, one after the other.
    #[must_use]
    pub fn builder() -> BrokerBuilder {
        BrokerBuilder::default()
    }

    /// The addresses that the listeners are open on.
    #[must_use]
    pub fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }

    /// The paths that listeners of the scheme `unix` are open on.
    #[must_use]
    pub fn paths(&self) -> &[BoundPath] {
        &self.paths
    }

    /// What steers the broker from elsewhere.
    #[must_use]
    pub fn handle(&self) -> BrokerHandle {
        self.handle.clone()
    }

    /// Waits until the broker has stopped: by [`BrokerHandle::shutdown`], or because a worker failed.
    ///
    /// # Errors
    /// The failure that stopped it.
    pub fn wait(mut self) -> Result<ShutdownReport, WorkerFailure> {
        let report = self.access.ending.wait();
        self.join();
        match report.failure {
            Some(failure) => Err(failure),
            None => Ok(report),
        }
    }

    pub(crate) fn run(
        crew: &Arc<Crew<MioDriver>>,
        pollers: Vec<MioPoller>,
        access: &Arc<Access>,
        bound: BoundTo,
        store: Option<Arc<ThreadedStore>>,
    ) -> io::Result<Self> {
        // Should a thread not start, dropping this stops those that did.
        let mut broker = Self {
            handle: BrokerHandle::new(Arc::clone(access)),
            access: Arc::clone(access),
            addresses: bound.addresses,
            paths: bound.paths,
            threads: Vec::new(),
            store,
        };
        for (index, poller) in pollers.into_iter().enumerate() {
            let (crew, access) = (Arc::clone(crew), Arc::clone(access));
            let thread = std::thread::Builder::new().name(format!("tidewire-{index}"));
            broker
                .threads
                .push(thread.spawn(move || work(&crew, index, poller, &access))?);
        }
        if let Some(extension) = &access.extension {
            extension.notify_ready(&broker.addresses, broker.threads.len());
        }
        Ok(broker)
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A panic was reported where it was caught.
            let _ = thread.join();
        }
        if let Some(extension) = &self.access.extension {
            extension.finish(NOTICES_DEADLINE);
        }
        self.store = None;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.handle.shutdown(DROP_DEADLINE);
            self.join();
        }
    }
}

/// A worker's thread.
fn work(crew: &Crew<MioDriver>, worker: usize, mut poller: MioPoller, access: &Access) {
    // A handler's future may want the runtime's timers and sockets at its first poll, which is here.
    let _entered = access.side.as_ref().map(|side| side.handle().enter());
    notify(access, worker, Notice::WorkerStarted);
    let result = catch_unwind(AssertUnwindSafe(|| crew.run(worker, &mut poller)));
    notify(access, worker, Notice::WorkerExited);
    let text: Box<str> = match result {
        Ok(Ok(report)) => return access.ending.finished(&report),
        Ok(Err(error)) => error.to_string().into(),
        Err(panic) => panic_text(&*panic).into(),
    };
    error!(target: LOG, worker, "worker failed, stopping the broker: {text}");
    access.mailboxes[worker].close();
    access.begin_shutdown(access.close_timeout);
    access.ending.failed(WorkerFailure { worker, text });
}

fn notify(access: &Access, worker: usize, notice: fn(WorkerChange) -> Notice) {
    if let (Some(extension), Ok(worker)) = (&access.extension, u16::try_from(worker)) {
        extension.notify(notice(WorkerChange { worker }));
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message"))
}
