//! The thread that makes records durable.

use crate::hub::{Batch, Hub};
use crate::pipeline::progress::ProgressFile;
use crate::pipeline::record::Summary;
use crate::pipeline::spool::Refused;
use crate::pipeline::{Lane, Overflow, Spool};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for room before the next attempt.
const RETRY: Duration = Duration::from_millis(100);
/// Between two rounds of what is done now and then.
const CHORES: Duration = Duration::from_secs(5);

/// The durable logs of a gateway, one for each lane.
#[derive(Debug)]
pub struct Spools {
    lanes: [Spool; 2],
    /// What uplinks remember; synced here, now and then.
    progress: Mutex<Vec<Arc<ProgressFile>>>,
}

impl Spools {
    /// These logs: the urgent one and the other.
    #[must_use]
    pub fn new(urgent: Spool, data: Spool) -> Self {
        Self {
            lanes: [urgent, data],
            progress: Mutex::new(Vec::new()),
        }
    }

    /// The log of a lane.
    #[must_use]
    pub fn lane(&self, lane: Lane) -> &Spool {
        let [urgent, data] = &self.lanes;
        match lane {
            Lane::Urgent => urgent,
            Lane::Data => data,
        }
    }

    pub(crate) fn add_progress(&self, file: Arc<ProgressFile>) {
        self.progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(file);
    }
}

/// How the journal works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalSettings {
    /// The longest that a value waits for others before it is written.
    pub(crate) interval: Duration,
    /// What happens when there is no room.
    pub(crate) overflow: Overflow,
}

/// Starts the thread; it ends when the hub is closed and everything is written.
pub(crate) fn start(
    hub: Arc<Hub>,
    spools: Arc<Spools>,
    settings: JournalSettings,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new()
        .name("journal".to_owned())
        .spawn(move || Journal::new(&hub, &spools, settings).run())
}

struct Journal<'a> {
    hub: &'a Hub,
    spools: &'a Spools,
    settings: JournalSettings,
    chores_at: Instant,
    told: bool,
}

impl<'a> Journal<'a> {
    fn new(hub: &'a Hub, spools: &'a Spools, settings: JournalSettings) -> Self {
        Self {
            hub,
            spools,
            settings,
            chores_at: Instant::now() + CHORES,
            told: false,
        }
    }

    fn run(&mut self) {
        while let Some(batch) = self.hub.next_batch(self.settings.interval) {
            self.write(batch);
            if Instant::now() >= self.chores_at {
                self.chores();
                self.chores_at = Instant::now() + CHORES;
            }
        }
        self.chores();
    }

    fn write(&mut self, mut batch: Batch) {
        if batch.records.iter().all(Vec::is_empty) {
            return self.hub.finish_batch(&batch);
        }
        for lane in Lane::ALL {
            let records = std::mem::take(&mut batch.records[lane.index()]);
            if records.is_empty() {
                continue;
            }
            while let Err(refused) = self.spools.lane(lane).append(&records) {
                if !std::mem::replace(&mut self.told, true) {
                    tracing::error!(lane = lane.name(), "{refused}");
                }
                if refused == Refused::Full && self.settings.overflow == Overflow::DropNewest {
                    let points = records.iter().filter_map(|record| Summary::of(record));
                    let points = points.map(|summary| u64::from(summary.points)).sum();
                    self.hub.drop_batch(&batch, points);
                    break;
                }
                if self.hub.is_closed() {
                    // Nobody waits any longer; what could not be written is lost, and said to be.
                    tracing::error!("the gateway ends with data that could not be written");
                    return;
                }
                // Uplinks that send make room, and so may people.
                thread::sleep(RETRY);
            }
        }
        if std::mem::take(&mut self.told) {
            tracing::info!("data are written again");
        }
        self.hub.finish_batch(&batch);
    }

    fn chores(&self) {
        let now_ms = self.hub.now_ms();
        for lane in Lane::ALL {
            self.spools.lane(lane).drop_aged(now_ms);
            self.spools.lane(lane).forget_if_nobody_needs();
        }
        let files = self
            .spools
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for file in files {
            if let Err(error) = file.sync() {
                tracing::warn!(%error, "how far an uplink has come cannot be synced");
            }
        }
    }
}
