//! The gateway as a whole.

use crate::config::Config;
use crate::downlink::{AppControl, Downlink};
use crate::hub::Hub;
use crate::journal::{self, JournalSettings, Spools};
use crate::pipeline::{Lane, Spool};
use crate::source::Surroundings;
use crate::uplink::UplinkState;
use crate::uplink::task::Uplink;
use serde_json::{Value as Json, json};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;
use tidewire_log::{DiskFiles, Files, Lock, OpenError, OpenReport};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Part of the store's bound that urgent records may take.
const URGENT_PART: u64 = 16;

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    state: Arc<GatewayState>,
    stop: watch::Sender<bool>,
    sources: JoinSet<()>,
    uplinks: JoinSet<()>,
    journal: Option<thread::JoinHandle<()>>,
    _lock: Box<dyn Lock>,
}

/// What a gateway tells of itself.
#[derive(Debug)]
pub struct GatewayState {
    id: Box<str>,
    hub: Arc<Hub>,
    spools: Arc<Spools>,
    uplinks: Vec<(Box<str>, String, Arc<UplinkState>)>,
    started: Instant,
    growth: Mutex<Growth>,
}

/// How fast the log grows, for the hours that are left.
#[derive(Debug)]
struct Growth {
    at: Instant,
    bytes: u64,
    bytes_per_sec: f64,
}

/// Why a gateway cannot start.
#[derive(Debug)]
pub enum StartError {
    /// Another one uses the folder.
    InUse(String),
    /// The folder cannot be used.
    Folder(String, io::Error),
    /// A log cannot be opened.
    Log(OpenError),
    /// How far an uplink has come cannot be read.
    Uplink(Box<str>, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(folder) => write!(
                f,
                "another gateway uses {folder}: stop it, or give this one another `data_dir`"
            ),
            Self::Folder(folder, error) => write!(f, "{folder} cannot be used: {error}"),
            Self::Log(error) => write!(f, "the data log cannot be opened: {error}"),
            Self::Uplink(name, error) => write!(
                f,
                "how far the uplink {name} has come cannot be read: {error}"
            ),
        }
    }
}

impl std::error::Error for StartError {}

impl Gateway {
    /// Starts a gateway on the present tokio runtime; `apps` answers requests for apps.
    ///
    /// # Errors
    /// Its folder or its log cannot be used.
    pub fn start(
        config: &Config,
        hub: &Arc<Hub>,
        apps: Option<Arc<dyn AppControl>>,
    ) -> Result<Self, StartError> {
        let shown = config.data_dir.display().to_string();
        let folder = |error| StartError::Folder(shown.clone(), error);
        let disk = DiskFiles::open(&config.data_dir).map_err(folder)?;
        let lock = disk.lock("lock").map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StartError::InUse(shown.clone()),
            _ => folder(error),
        })?;
        let files: Arc<dyn Files> = Arc::new(disk);
        let spools = Arc::new(open_spools(config, &files)?);
        hub.restore(spools.lane(Lane::Data)).map_err(folder)?;
        let settings = JournalSettings {
            interval: config.commit,
            overflow: config.store.overflow,
        };
        let journal =
            journal::start(Arc::clone(hub), Arc::clone(&spools), settings).map_err(folder)?;
        let (stop, stopped) = watch::channel(false);
        let mut gateway = Self {
            state: Arc::new(GatewayState {
                id: config.id.clone(),
                hub: Arc::clone(hub),
                spools: Arc::clone(&spools),
                uplinks: config
                    .uplinks
                    .iter()
                    .map(|uplink| (uplink.name.clone(), uplink.servers.concat(), Arc::default()))
                    .collect(),
                started: Instant::now(),
                growth: Mutex::new(Growth {
                    at: Instant::now(),
                    bytes: 0,
                    bytes_per_sec: 0.0,
                }),
            }),
            stop,
            sources: JoinSet::new(),
            uplinks: JoinSet::new(),
            journal: Some(journal),
            _lock: lock,
        };
        let downlink = Arc::new(Downlink::new(Arc::clone(hub), apps));
        gateway.start_uplinks(config, &files, &downlink, &stopped)?;
        for source in config.sources.iter().cloned() {
            let around = Surroundings {
                gateway: config.id.clone(),
                hub: Arc::clone(hub),
                folder: config.data_dir.clone(),
                stop: stopped.clone(),
            };
            gateway.sources.spawn(source.run(around));
        }
        Ok(gateway)
    }

    fn start_uplinks(
        &mut self,
        config: &Config,
        files: &Arc<dyn Files>,
        downlink: &Arc<Downlink>,
        stopped: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        for (settings, (_, _, state)) in config.uplinks.iter().zip(&self.state.uplinks) {
            let uplink = Uplink {
                gateway: config.id.clone(),
                settings: settings.clone(),
                hub: Arc::clone(&self.state.hub),
                spools: Arc::clone(&self.state.spools),
                files: Arc::clone(files),
                state: Arc::clone(state),
                downlink: Arc::clone(downlink),
            };
            let outflow = uplink
                .open_outflow()
                .map_err(|error| StartError::Uplink(settings.name.clone(), error))?;
            self.uplinks.spawn(uplink.run(outflow, stopped.clone()));
        }
        Ok(())
    }

    /// What it tells of itself.
    #[must_use]
    pub fn state(&self) -> Arc<GatewayState> {
        Arc::clone(&self.state)
    }

    /// Stops in order: sources first, then what is in memory goes to disk, then servers are told.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.sources.join_next().await.is_some() {}
        self.state.hub.close();
        if let Some(journal) = self.journal.take() {
            // It waits for the disk at most.
            let _ = tokio::task::spawn_blocking(move || journal.join()).await;
        }
        while self.uplinks.join_next().await.is_some() {}
    }
}

fn open_spools(config: &Config, files: &Arc<dyn Files>) -> Result<Spools, StartError> {
    let mut random = [0; 4];
    getrandom::fill(&mut random)
        .map_err(|error| StartError::Folder(String::new(), io::Error::other(error)))?;
    let salt = u32::from_le_bytes(random);
    let mut urgent = config.store.clone();
    urgent.max_bytes =
        (urgent.max_bytes / URGENT_PART).max(urgent.segment_bytes.min(urgent.max_bytes));
    urgent.segment_bytes = urgent.segment_bytes.min(urgent.max_bytes / 2).max(4096);
    let open = |lane: Lane, limits| {
        let opened = Spool::open(Arc::clone(files), lane.name(), limits, salt);
        let (spool, report) = opened.map_err(StartError::Log)?;
        tell(lane, &report);
        Ok(spool)
    };
    Ok(Spools::new(
        open(Lane::Urgent, urgent)?,
        open(Lane::Data, config.store.clone())?,
    ))
}

fn tell(lane: Lane, report: &OpenReport) {
    let lane = lane.name();
    if report.torn_bytes > 0 {
        tracing::info!(
            lane,
            bytes = report.torn_bytes,
            "the end of the data log was never synced, and is cut"
        );
    }
    for damage in &report.damage {
        tracing::error!(lane, "data are lost: {damage}");
    }
    for name in &report.set_aside {
        tracing::error!(
            lane,
            "a file of the data log cannot be read and is kept as {name}"
        );
    }
}

impl GatewayState {
    /// The data API.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The gateway's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Everything, for programs: the store, the uplinks, the counters.
    #[must_use]
    pub fn status(&self) -> Json {
        let now = self.hub.now_ms();
        let data = self.spools.lane(Lane::Data);
        let store = data.stats();
        let counters = self.hub.counters();
        let uplinks = self.uplinks.iter().map(|(name, servers, state)| {
            let status = state.get();
            json!({
                "name": name, "url": servers, "connected": status.is_connected, "connects": status.connects,
                "problem": status.error, "waiting_points": status.waiting_points,
                "oldest_secs": status.oldest_ms.filter(|_| status.waiting_points > 0).map(|ms| (now - ms).max(0) / 1000),
                "backfilling": status.is_backfilling,
                "sent_points": status.counters.points, "sent_packets": status.counters.packets,
                "sent_bytes": status.counters.bytes, "lost_points": status.counters.lost_points,
                "resent_points": status.counters.resent_points,
            })
        });
        json!({
            "gateway": self.id, "version": env!("CARGO_PKG_VERSION"), "uptime_secs": self.started.elapsed().as_secs(),
            "store": {
                "used_bytes": store.used_bytes, "max_bytes": store.max_bytes, "free_bytes": store.free_bytes,
                "dropped_points": store.dropped_points, "hours_left": self.hours_left(store.free_bytes),
                "buffered_points": self.hub.buffered_points(),
            },
            "devices": self.hub.devices().len(), "series": self.hub.series_count(),
            "counters": {
                "values": counters.values, "passed": counters.passed, "dropped_buffer": counters.dropped_buffer,
                "dropped_newest": counters.dropped_newest, "dropped_series": counters.dropped_series,
                "events": counters.events, "dropped_events": counters.dropped_events, "stats": counters.stats,
            },
            "uplinks": uplinks.collect::<Vec<_>>(),
        })
    }

    /// Hours until the log is full if no uplink sends and data come as in the latest minutes; `None` if none come.
    fn hours_left(&self, free_bytes: u64) -> Option<f64> {
        let appended = self.spools.lane(Lane::Data).appended_bytes();
        let mut growth = self
            .growth
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let secs = growth.at.elapsed().as_secs_f64();
        if secs >= 1.0 {
            let rate = appended.saturating_sub(growth.bytes) as f64 / secs;
            // Figures of the first question count in full, later ones in part.
            let weight = if growth.bytes_per_sec == 0.0 {
                1.0
            } else {
                0.3
            };
            growth.bytes_per_sec += weight * (rate - growth.bytes_per_sec);
            growth.at = Instant::now();
            growth.bytes = appended;
        }
        let hours = free_bytes as f64 / growth.bytes_per_sec / 3600.0;
        (growth.bytes_per_sec > 0.0).then(|| (hours * 10.0).round() / 10.0)
    }
}
