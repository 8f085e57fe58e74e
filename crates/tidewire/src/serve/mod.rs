//! `tidewire serve`: from flags and file to a running broker, and to its clean stop.

pub(crate) mod access;
mod activation;
mod banner;
mod engine;
#[cfg(feature = "handlers")]
pub(crate) mod handlers;
#[cfg(not(feature = "handlers"))]
#[path = "no_handlers.rs"]
pub(crate) mod handlers;
mod pid_file;
mod ready;
mod reload;
pub(crate) mod rules;
mod signals;
mod startup;
mod watch;

use crate::cli::Serve;
use crate::config::Config;
use crate::control::protocol::Opened;
use crate::control::server::ControlServer;
use crate::data_dir::DataDir;
use crate::exit::{Failure, Status};
use crate::logs::{self, FilterSwitch};
use crate::metrics::{Exposition, MetricsServer};
use handlers::Handlers;
use pid_file::PidFile;
use ready::ReadyFile;
use signals::{Event, Events};
use startup::{Plan, Storage};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tidewire_broker::handlers::Bans;
use tidewire_broker::{Broker, BrokerHandle};
use watch::Watch;

/// Runs a broker until a signal stops it.
pub(crate) fn run(serve: &Serve) -> Result<(), Failure> {
    let plan = startup::plan(serve)?;
    let filter = logs::filter(&plan.config.log_filter)
        .map_err(|error| Failure::new(Status::Usage, error))?;
    let logs = logs::start(filter, plan.config.log_format)
        .map_err(|error| Failure::new(Status::Failed, error))?;
    // Before anything is open: a signal during the start stops the broker as cleanly as a later one.
    let events = Events::register()?;
    let running = Running::start(&plan, &events)?;
    let _ready = announce(&running.facts, &plan, serve.ready_file.as_deref())?;
    until_stopped(&running, &plan, &logs, &events)
}

/// Everything that is open while the broker runs. Fields are dropped in this order: the lock goes last.
struct Running {
    handle: BrokerHandle,
    handlers: Handlers,
    facts: Facts,
    _watch: Option<Watch>,
    _control: Option<ControlServer>,
    _pid_file: Option<PidFile>,
    _data_dir: Option<DataDir>,
}

/// What is open, for those who announce it.
struct Facts {
    listeners: Vec<Opened>,
    metrics: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    /// One line for each handler, in the order in which they run.
    handlers: String,
}

impl Running {
    fn start(plan: &Plan, events: &Events) -> Result<Self, Failure> {
        let data_dir = match &plan.storage {
            Storage::Memory => None,
            Storage::Folder(path) => Some(DataDir::open(path)?),
        };
        let metrics = plan.config.metrics_listen.map(open_metrics).transpose()?;
        let bans = Bans::new(plan.config.bans);
        let handlers = Handlers::prepare(&plan.config)?;
        let folder = data_dir.as_ref().map(DataDir::path);
        let broker = engine::start(&plan.config, folder, &handlers, &bans)?;
        let facts = Facts {
            listeners: engine::opened(&plan.config, &broker),
            metrics: metrics.as_ref().map(MetricsServer::address),
            data_dir: data_dir.as_ref().map(|folder| folder.path().to_owned()),
            handlers: broker.handle().handler_order(),
        };
        if let Some(server) = metrics {
            let handle = broker.handle();
            let rows = handle.clone();
            let handlers = move || rows.handlers();
            let stats = move || handle.stats().ok();
            let served = server.serve(Exposition::new(Box::new(stats), Box::new(handlers)));
            served.map_err(|error| {
                Failure::new(
                    Status::Failed,
                    format!("the metrics listener failed: {error}"),
                )
            })?;
        }
        let control = facts
            .data_dir
            .as_deref()
            .map(|folder| open_control(folder, &facts, broker.handle(), bans))
            .transpose()?;
        let pid_file = match (&plan.storage, &plan.config.pid_file) {
            (Storage::Folder(_), Some(path)) => Some(PidFile::write(path)?),
            _ => None,
        };
        let handle = broker.handle();
        watch(broker, events)?;
        Ok(Self {
            handle,
            handlers,
            facts,
            _watch: plan
                .config
                .watch_files
                .then(|| watch_files(&plan.config, events))
                .flatten(),
            _control: control,
            _pid_file: pid_file,
            _data_dir: data_dir,
        })
    }
}

/// Not being able to watch is no reason not to serve: SIGHUP does the same.
fn watch_files(config: &Config, events: &Events) -> Option<Watch> {
    let files = reload::files(config);
    Watch::start(&files, events.sender())
        .inspect_err(|error| {
            tracing::warn!(%error, "files cannot be watched; after a change, send SIGHUP");
        })
        .ok()
}

fn open_metrics(address: SocketAddr) -> Result<MetricsServer, Failure> {
    MetricsServer::bind(address).map_err(|error| {
        let message = format!(
            "the metrics listener {address} cannot be opened: {error}\n  help: change `listen` in [metrics], or remove it to serve no metrics"
        );
        Failure::new(Status::Listener, message)
    })
}

fn open_control(
    folder: &Path,
    facts: &Facts,
    handle: BrokerHandle,
    bans: Bans,
) -> Result<ControlServer, Failure> {
    let operator = engine::operator(
        handle,
        folder.display().to_string(),
        facts.listeners.clone(),
        bans,
    );
    ControlServer::start(folder, &operator).map_err(|error| {
        let message = format!(
            "the control socket in {} cannot be opened: {error}\n  help: choose another folder with `--data DIR`; its path has at most about 90 bytes",
            folder.display()
        );
        Failure::new(Status::DataDir, message)
    })
}

/// Tells people and scripts what is open.
fn announce(
    facts: &Facts,
    plan: &Plan,
    ready_file: Option<&Path>,
) -> Result<Option<ReadyFile>, Failure> {
    for Opened { name, address, url } in &facts.listeners {
        tracing::info!(listener = %name, %address, %url, "listening");
    }
    if let Some(address) = facts.metrics {
        tracing::info!(%address, "metrics served");
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "metrics can be read from other machines, without a password");
        }
    }
    // Files before the banner: whoever waits for its first line finds them.
    let ready = match ready_file {
        Some(path) if path.as_os_str() == "-" => return ready::print(facts).map(|()| None),
        Some(path) => Some(ReadyFile::write(path, facts)?),
        None => None,
    };
    banner::print(facts, plan);
    Ok(ready)
}

/// Handles signals until the broker has stopped.
fn until_stopped(
    running: &Running,
    plan: &Plan,
    logs: &FilterSwitch,
    events: &Events,
) -> Result<(), Failure> {
    let mut stopping = false;
    while let Some(event) = events.next() {
        match event {
            Event::Reload => reload::all(plan, logs, &running.handle, &running.handlers),
            Event::Changed(files) => {
                reload::changed(&plan.config, &running.handle, &running.handlers, &files);
            }
            Event::Stop(signal) if stopping => {
                tracing::warn!(signal, "second signal: stopping at once");
                return Err(Failure::new(
                    Status::Interrupted,
                    "stopped at once: connections were cut",
                ));
            }
            Event::Stop(signal) => {
                stopping = true;
                tracing::info!(
                    signal,
                    timeout_secs = plan.config.shutdown_timeout_secs,
                    "stopping"
                );
                stop(running, &plan.config, events)?;
            }
            Event::Stopped => {
                running.handlers.finish();
                tracing::info!("stopped");
                return Ok(());
            }
            Event::Failed(error) => return Err(Failure::new(Status::Failed, error)),
        }
    }
    Err(Failure::new(
        Status::Failed,
        "signals can no longer be received",
    ))
}

/// Waits for the broker's end, which is an event like others: a worker may fail without being asked to stop.
fn watch(broker: Broker, events: &Events) -> Result<(), Failure> {
    let events = events.sender();
    background("watch", move || {
        events.send(match broker.wait() {
            Ok(_) => Event::Stopped,
            Err(failure) => Event::Failed(failure.to_string()),
        });
    })
}

/// Stops the broker in the background, so that a second signal is heard; [`Event::Stopped`] follows.
fn stop(running: &Running, config: &Config, events: &Events) -> Result<(), Failure> {
    let (handle, events) = (running.handle.clone(), events.sender());
    let deadline = Duration::from_secs(config.shutdown_timeout_secs.into());
    background("stop", move || {
        let report = handle.shutdown(deadline);
        tracing::info!(
            connections = report.connections,
            cut = report.cut,
            "clients were told"
        );
        // Workers that have not ended by now never will.
        events.send(
            report
                .failure
                .map_or(Event::Stopped, |failure| Event::Failed(failure.to_string())),
        );
    })
}

fn background(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned
        .map(drop)
        .map_err(|error| Failure::new(Status::Failed, format!("no thread can be started: {error}")))
}
