//! The data API: where sources and apps bring devices and data, and everybody else looks them up.
//!
//! One box behind one lock. Nothing in it waits: what is to be sent is encoded into records on the spot, and a thread of
//! its own ([`crate::journal`]) makes them durable.

mod act;
mod intake;
mod series;
mod watch;

pub use act::{Action, ActionError, Request};
pub use intake::{Accepted, InputPoint};
pub use series::{LiveValue, SeriesId};
pub use watch::{DeviceChange, Happening};

pub(crate) use intake::Batch;

use crate::clock::TimeSource;
use crate::model::{Device, Event, Level, Props, Sample, Stat};
use crate::pipeline::record::{Entry, decode};
use crate::pipeline::spool::Reader;
use crate::pipeline::{DeadBand, Spool};
use act::Actors;
use intake::Intake;
use serde_json::Value as Json;
use series::Catalogue;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch as tokio_watch};

/// Events that are kept for whoever looks.
const EVENTS_KEPT: usize = 200;
/// Happenings that an app may be behind before it misses the oldest.
const HAPPENINGS_KEPT: usize = 16_384;
/// Changes of devices that an uplink may be behind; it then reads the whole list.
const CHANGES_KEPT: usize = 1024;

/// What the hub lets through, and how much it holds.
#[derive(Clone, PartialEq, Debug)]
pub struct HubSettings {
    /// The dead-band of inputs that have none of their own.
    pub dead_band: DeadBand,
    /// Points in memory that are not on disk yet; what comes beyond is dropped and counted.
    pub buffer_points: u32,
    /// Events per minute of one device; what comes beyond is dropped and counted.
    pub max_events_per_minute: u32,
    /// Series at most: inputs of devices that nobody bounds must not fill the memory.
    pub max_series: usize,
}

impl Default for HubSettings {
    fn default() -> Self {
        Self {
            dead_band: DeadBand::default(),
            buffer_points: 102_400,
            max_events_per_minute: 600,
            max_series: 1_000_000,
        }
    }
}

/// What an operator has switched on and off, from afar or here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Switches {
    /// Whether data are sent. Switched off, what comes is not kept either.
    pub data: bool,
    /// Whether statistics are sent.
    pub stat: bool,
    /// Events below this level are not sent.
    pub event_level: Level,
    /// Until when log lines are sent, in milliseconds since 1970.
    pub log_until_ms: i64,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            data: true,
            stat: true,
            event_level: Level::Debug,
            log_until_ms: 0,
        }
    }
}

/// Counters since the start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Values that sources and apps brought.
    pub values: u64,
    /// Those that changed enough to be sent.
    pub passed: u64,
    /// Points that were dropped because the buffer in memory was full.
    pub dropped_buffer: u64,
    /// Points that were dropped because the log was full and its policy is to drop the newest.
    pub dropped_newest: u64,
    /// Values for series that do not exist, or beyond the bound of series.
    pub dropped_series: u64,
    /// Events.
    pub events: u64,
    /// Events beyond the bound per minute.
    pub dropped_events: u64,
    /// Statistics.
    pub stats: u64,
}

/// The data API.
#[derive(Debug)]
pub struct Hub {
    inner: Mutex<Inner>,
    /// Wakes the journal.
    grown: Condvar,
    time: TimeSource,
    /// How many values were accepted and are on disk.
    committed: tokio_watch::Sender<u64>,
    /// Wakes uplinks: something became durable.
    pub(crate) durable: tokio_watch::Sender<u64>,
    /// Tells uplinks to send what is there without waiting for more.
    pub(crate) flush: tokio_watch::Sender<u64>,
    happenings: broadcast::Sender<Arc<Happening>>,
    changes: broadcast::Sender<DeviceChange>,
}

#[derive(Debug)]
struct Inner {
    settings: HubSettings,
    catalogue: Catalogue,
    actors: Actors,
    intake: Intake,
    events: VecDeque<Event>,
    switches: Switches,
    counters: Counters,
}

impl Hub {
    /// An empty hub.
    #[must_use]
    pub fn new(settings: HubSettings, time: TimeSource) -> Self {
        Self {
            inner: Mutex::new(Inner {
                intake: Intake::new(),
                catalogue: Catalogue::new(),
                actors: Actors::default(),
                events: VecDeque::new(),
                switches: Switches::default(),
                counters: Counters::default(),
                settings,
            }),
            grown: Condvar::new(),
            time,
            committed: tokio_watch::Sender::new(0),
            durable: tokio_watch::Sender::new(0),
            flush: tokio_watch::Sender::new(0),
            happenings: broadcast::Sender::new(HAPPENINGS_KEPT),
            changes: broadcast::Sender::new(CHANGES_KEPT),
        }
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.time.now_ms()
    }

    /// Brings a device, or replaces the one of that serial number.
    pub fn add_device(&self, device: Device) {
        let mut inner = self.lock();
        let Device { app, sn, props } = device.clone();
        inner.catalogue.add(device);
        drop(inner);
        self.tell_change(DeviceChange::Added(sn.clone()));
        self.tell(|| Happening::AddDevice { app, sn, props });
    }

    /// Changes what a device is or has.
    pub fn modify_device(&self, sn: &str, props: Props) {
        let mut inner = self.lock();
        let Some(app) = inner.catalogue.modify(sn, props.clone()) else {
            return;
        };
        drop(inner);
        self.tell_change(DeviceChange::Modified(sn.into()));
        let sn = sn.into();
        self.tell(|| Happening::ModDevice { app, sn, props });
    }

    /// Takes a device away, with its series.
    pub fn remove_device(&self, sn: &str) {
        let mut inner = self.lock();
        let Some(device) = inner.catalogue.remove(sn) else {
            return;
        };
        inner.actors.remove(sn);
        drop(inner);
        self.tell_change(DeviceChange::Removed(sn.into()));
        let (app, sn) = (device.app, device.sn);
        self.tell(|| Happening::DelDevice { app, sn });
    }

    /// A device.
    #[must_use]
    pub fn device(&self, sn: &str) -> Option<Device> {
        self.lock().catalogue.device(sn).cloned()
    }

    /// All devices, by serial number.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        self.lock().catalogue.devices().cloned().collect()
    }

    /// The list of devices as apps and servers see it: an object by serial number.
    #[must_use]
    pub fn device_list(&self) -> Json {
        let inner = self.lock();
        let rows = inner
            .catalogue
            .devices()
            .map(|device| (device.sn.to_string(), device.props.to_json()));
        Json::Object(rows.collect())
    }

    /// The newest value of each series of a device.
    #[must_use]
    pub fn live(&self, sn: &str) -> Vec<LiveValue> {
        self.lock().catalogue.live(sn)
    }

    /// The newest value of a series.
    #[must_use]
    pub fn newest(&self, series: SeriesId) -> Option<Sample> {
        self.lock().catalogue.newest(series).cloned()
    }

    /// Remembers the newest values that a log holds, for series that will be there.
    pub(crate) fn restore(&self, spool: &Spool) -> std::io::Result<()> {
        let mut reader = Reader::new(spool.last_files_from());
        while let Some((_, record)) = reader.next(spool, u64::MAX)? {
            if let Some((Entry::Points(mut points), _)) = decode(record) {
                let catalogue = &mut self.lock().catalogue;
                while let Some((_, point)) = points.next() {
                    let sample = Sample {
                        value: point.value.to_owned(),
                        quality: point.quality,
                        source_ms: point.source_ms,
                        gateway_ms: point.gateway_ms,
                    };
                    catalogue.restore(point.series, sample);
                }
            }
        }
        Ok(())
    }

    /// Says that something happened.
    pub fn event(&self, event: Event) {
        let mut inner = self.lock();
        inner.counters.events += 1;
        if inner.events.len() >= EVENTS_KEPT {
            inner.events.pop_front();
        }
        inner.events.push_back(event.clone());
        let now = self.now_ms();
        let max = inner.settings.max_events_per_minute;
        if !inner.catalogue.may_raise_event(&event.sn, now, max) {
            inner.counters.dropped_events += 1;
            return;
        }
        if event.level >= inner.switches.event_level {
            inner.intake.event(&event, self.time.clock());
            self.grown.notify_one();
        }
        drop(inner);
        self.tell(|| Happening::Event(event));
    }

    /// Brings a statistic.
    pub fn stat(&self, stat: Stat) {
        let mut inner = self.lock();
        inner.counters.stats += 1;
        if inner.switches.stat {
            inner.intake.stat(&stat, self.time.clock());
        }
        drop(inner);
        self.tell(|| Happening::Stat(stat));
    }

    /// The latest events, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.iter().cloned().collect()
    }

    /// Counters since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.lock().counters
    }

    /// How many series there are.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.lock().catalogue.len()
    }

    /// What is switched on and off.
    #[must_use]
    pub fn switches(&self) -> Switches {
        self.lock().switches.clone()
    }

    /// Switches.
    pub fn set_switches(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.lock().switches);
    }

    /// Sends the present value of every series, whatever its dead-band says; of one device if it is given. Returns how many.
    pub fn snapshot(&self, sn: Option<&str>) -> u64 {
        let now = self.now_ms();
        let inner = &mut *self.lock();
        let switched_on = inner.switches.data;
        let mut count = 0;
        if switched_on {
            count = inner.catalogue.snapshot(sn, now, &mut inner.intake);
        }
        self.grown.notify_one();
        count
    }

    /// Has the uplinks send what is there without waiting for more.
    pub fn flush(&self) {
        self.flush.send_modify(|version| *version += 1);
    }

    /// Everything that happens to devices and data from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Happening>> {
        self.happenings.subscribe()
    }

    /// Changes of the list of devices from now on.
    #[must_use]
    pub fn watch_changes(&self) -> broadcast::Receiver<DeviceChange> {
        self.changes.subscribe()
    }

    fn tell(&self, happening: impl FnOnce() -> Happening) {
        if self.happenings.receiver_count() > 0 {
            // Nobody listens any more: nobody to tell.
            let _ = self.happenings.send(Arc::new(happening()));
        }
    }

    fn tell_change(&self, change: DeviceChange) {
        let _ = self.changes.send(change);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
