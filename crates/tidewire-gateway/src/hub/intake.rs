//! From values to records that wait for the disk.

use super::series::{SeriesId, remember};
use super::watch::{Happening, Input};
use super::{Hub, Inner};
use crate::clock::Clock;
use crate::model::{Event, Quality, Stat, Value};
use crate::pipeline::record::{self, PointsEncoder, Ready, Written};
use crate::pipeline::{Lane, PointRef, SeriesRef};
use std::sync::{Condvar, PoisonError};
use std::time::Duration;

/// A record is ended when it is this long.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// A value of a series.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct InputPoint<'a> {
    /// The series.
    pub series: SeriesId,
    /// The value.
    pub value: &'a Value,
    /// Its quality.
    pub quality: Quality,
    /// When the device had it, in milliseconds since 1970.
    pub source_ms: i64,
}

/// Names the last of some values; see [`Hub::committed`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Accepted(u64);

/// Records that wait, by lane.
#[derive(Debug)]
pub(super) struct Intake {
    encoders: [PointsEncoder; 2],
    records: [Vec<Vec<u8>>; 2],
    /// Points in the records and encoders, and in the batch that is being written.
    points: u32,
    writing: u32,
    accepted: u64,
    is_closed: bool,
    /// As of the last batch; a record that ends early has it.
    clock: Clock,
}

/// What the journal writes at once.
#[derive(Debug)]
pub(crate) struct Batch {
    /// By lane.
    pub(crate) records: [Vec<Vec<u8>>; 2],
    accepted: u64,
}

impl Intake {
    pub(super) fn new() -> Self {
        Self {
            encoders: [PointsEncoder::new(), PointsEncoder::new()],
            records: Default::default(),
            points: 0,
            writing: 0,
            accepted: 0,
            is_closed: false,
            clock: Clock::Unsynced,
        }
    }

    pub(super) fn point(&mut self, lane: Lane, point: &PointRef<'_>, written: &mut [Written; 2]) {
        let lane = lane.index();
        self.encoders[lane].add(point, &mut written[lane]);
        self.points += 1;
        if self.encoders[lane].len() >= RECORD_BYTES_MAX {
            self.records[lane].extend(self.encoders[lane].take(self.clock));
        }
    }

    pub(super) fn event(&mut self, event: &Event, clock: Clock) {
        self.push(Lane::Urgent, record::of_event(event, clock));
    }

    pub(super) fn stat(&mut self, stat: &Stat, clock: Clock) {
        self.end_record(Lane::Data, clock);
        self.push(Lane::Data, record::of_stat(stat, clock));
    }

    fn push(&mut self, lane: Lane, record: Vec<u8>) {
        self.records[lane.index()].push(record);
        self.points += 1;
    }

    /// What comes later in a lane must be in a later record.
    fn end_record(&mut self, lane: Lane, clock: Clock) {
        let lane = lane.index();
        self.records[lane].extend(self.encoders[lane].take(clock));
    }

    fn is_urgent(&self) -> bool {
        let lane = Lane::Urgent.index();
        self.encoders[lane].points() > 0 || !self.records[lane].is_empty()
    }

    fn take(&mut self, clock: Clock) -> Batch {
        self.clock = clock;
        for lane in Lane::ALL {
            self.end_record(lane, clock);
        }
        self.writing = std::mem::take(&mut self.points);
        Batch {
            records: std::mem::take(&mut self.records),
            accepted: self.accepted,
        }
    }
}

impl Hub {
    /// The series of these names; it is made if its device exists.
    #[must_use]
    pub fn series(&self, sn: &str, input: &str, prop: &str) -> Option<SeriesId> {
        let inner = &mut *self.lock();
        let names = SeriesRef {
            app: "",
            sn,
            input,
            prop,
        };
        let (band, max) = (inner.settings.dead_band, inner.settings.max_series);
        inner.catalogue.series_id(names, band, max)
    }

    /// Brings the values of some inputs.
    pub fn inputs(&self, points: &[InputPoint<'_>]) -> Accepted {
        self.bring(Lane::Data, points)
    }

    /// Brings the value of an input that must not wait: it is sent before everything else, whatever its dead-band.
    pub fn input_emergency(&self, point: InputPoint<'_>) -> Accepted {
        self.bring(Lane::Urgent, &[point])
    }

    fn bring(&self, lane: Lane, points: &[InputPoint<'_>]) -> Accepted {
        let now_ms = self.now_ms();
        let has_watchers = self.happenings.receiver_count() > 0;
        let mut inner = self.lock();
        let before = inner.intake.points;
        for point in points {
            let passed = inner.bring(lane, point, now_ms);
            if passed && has_watchers {
                self.tell_input(&mut inner, lane, point);
            }
        }
        // The journal waits for the first point of a batch, and then for its time; urgent ones end that wait.
        if (before == 0 && inner.intake.points > 0) || lane == Lane::Urgent {
            self.grown.notify_one();
        }
        Accepted(inner.intake.accepted)
    }

    fn tell_input(&self, inner: &mut Inner, lane: Lane, point: &InputPoint<'_>) {
        let Some(series) = inner.catalogue.get_mut(point.series) else {
            return;
        };
        let input = Input {
            app: series.app.clone(),
            sn: series.sn.clone(),
            input: series.input.clone(),
            prop: series.prop.clone(),
            value: point.value.clone(),
            timestamp_ms: point.source_ms,
            quality: point.quality,
        };
        self.tell(|| match lane {
            Lane::Urgent => Happening::InputEmergency(input),
            Lane::Data => Happening::Input(input),
        });
    }

    /// Waits until a value is durable: a source that can bring it again if it is not may forget it then.
    pub async fn committed(&self, accepted: Accepted) {
        let mut committed = self.committed.subscribe();
        // The sender lives as long as the hub.
        let _ = committed.wait_for(|done| *done >= accepted.0).await;
    }

    /// Whether a value is durable.
    #[must_use]
    pub fn is_committed(&self, accepted: Accepted) -> bool {
        *self.committed.borrow() >= accepted.0
    }

    /// Whether sources that can wait should: half of the buffer waits for the disk.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        let inner = self.lock();
        inner.intake.points + inner.intake.writing >= inner.settings.buffer_points.div_ceil(2)
    }

    /// How many points wait in memory for the disk.
    #[must_use]
    pub fn buffered_points(&self) -> u32 {
        let intake = &self.lock().intake;
        intake.points + intake.writing
    }

    /// Puts a message that is ready into the urgent lane.
    pub(crate) fn message(&self, message: &Ready) {
        let record = record::of_message(message, self.now_ms(), self.time.clock());
        self.lock().intake.push(Lane::Urgent, record);
        self.grown.notify_one();
    }

    /// The journal's next batch: waits for the first point, then for `interval`, or less if something is urgent or the
    /// buffer half full. `None` at the end.
    pub(crate) fn next_batch(&self, interval: Duration) -> Option<Batch> {
        let mut inner = self.lock();
        while inner.intake.points == 0 && !inner.intake.is_closed {
            inner = wait(&self.grown, inner, Duration::from_secs(1));
            if inner.intake.points == 0 && !inner.intake.is_closed {
                // The journal has other work to do now and then.
                return Some(inner.intake.take(self.time.clock()));
            }
        }
        let until = std::time::Instant::now() + interval;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let half = inner.settings.buffer_points / 2;
            let is_over = left.is_zero() || inner.intake.is_closed;
            if is_over || inner.intake.is_urgent() || inner.intake.points >= half {
                break;
            }
            inner = wait(&self.grown, inner, left);
        }
        if inner.intake.points == 0 {
            return None;
        }
        Some(inner.intake.take(self.time.clock()))
    }

    /// A batch is durable.
    pub(crate) fn finish_batch(&self, batch: &Batch) {
        self.lock().intake.writing = 0;
        self.committed.send_replace(batch.accepted);
        self.durable.send_modify(|version| *version += 1);
    }

    /// A batch was given up.
    pub(crate) fn drop_batch(&self, batch: &Batch, points: u64) {
        let mut inner = self.lock();
        inner.intake.writing = 0;
        inner.counters.dropped_newest += points;
        drop(inner);
        self.committed.send_replace(batch.accepted);
    }

    /// No more batches after the one that is there: the journal ends.
    pub(crate) fn close(&self) {
        self.lock().intake.is_closed = true;
        self.grown.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().intake.is_closed
    }
}

impl Inner {
    /// Whether the value passed.
    fn bring(&mut self, lane: Lane, point: &InputPoint<'_>, now_ms: i64) -> bool {
        self.counters.values += 1;
        let Some(series) = self.catalogue.get_mut(point.series) else {
            self.counters.dropped_series += 1;
            return false;
        };
        remember(
            &mut series.newest,
            point.value,
            point.quality,
            (point.source_ms, now_ms),
        );
        if !self.switches.data {
            return false;
        }
        if self.intake.points + self.intake.writing >= self.settings.buffer_points {
            self.counters.dropped_buffer += 1;
            return false;
        }
        let value = point.value.borrowed();
        let passed = series
            .gate
            .judge(&series.band, value, point.quality, now_ms);
        if passed.is_none() && lane == Lane::Data {
            return false;
        }
        self.counters.passed += 1;
        self.intake.accepted += 1;
        let mut written = std::mem::take(&mut series.written);
        let point = PointRef {
            series: series.names(),
            value,
            quality: point.quality,
            source_ms: point.source_ms,
            gateway_ms: now_ms,
        };
        self.intake.point(lane, &point, &mut written);
        series.written = written;
        true
    }
}

fn wait<'a>(
    grown: &Condvar,
    inner: std::sync::MutexGuard<'a, Inner>,
    limit: Duration,
) -> std::sync::MutexGuard<'a, Inner> {
    let woken = grown.wait_timeout(inner, limit);
    woken.unwrap_or_else(PoisonError::into_inner).0
}
