//! From the log to packets, and how far an uplink has come: the sender without its client.
//!
//! Three streams: urgent records, live ones, and those that were left out for live ones (back-fill). Packets of a stream
//! are acknowledged in order; a place moves only then.

use super::stream::{Reading, Stream};
use crate::journal::Spools;
use crate::pipeline::bucket::Bucket;
use crate::pipeline::packet::{Format, Outgoing, PacketLimits};
use crate::pipeline::progress::{GAPS_MAX, Gap, ProgressFile};
use crate::pipeline::{Lane, LaneProgress, Place, Progress};
use std::io;
use std::sync::Arc;
use tidewire_log::Files;

/// Which data come first after an outage.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Order {
    /// The oldest: the server sees every series in order.
    #[default]
    Strict,
    /// The newest; what was missed follows beside them at a capped rate, in order among itself, and marked.
    LiveFirst,
}

/// How an uplink sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OutflowSettings {
    /// When a packet is full.
    pub(crate) limits: PacketLimits,
    /// Packets on their way at once.
    pub(crate) window: usize,
    /// Which data come first.
    pub(crate) order: Order,
    /// Points per second of back-fill; 0 = no bound.
    pub(crate) backfill_rate: u32,
    /// Data that are older than this are back-fill, where live data come first.
    pub(crate) live_ms: i64,
}

/// One of the three streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Urgent,
    Live,
    Backfill,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Urgent, Self::Live, Self::Backfill];

    const fn lane(self) -> Lane {
        match self {
            Self::Urgent => Lane::Urgent,
            Self::Live | Self::Backfill => Lane::Data,
        }
    }
}

/// Messages that count as sent together.
#[derive(Debug)]
pub(crate) struct Packet {
    pub(crate) kind: Kind,
    pub(crate) messages: Vec<Outgoing>,
    pub(crate) points: u32,
}

/// What there is to do.
#[derive(Debug)]
pub(crate) enum Next {
    /// To send.
    Packet(Packet),
    /// Nothing until something becomes durable or is acknowledged, or until so many milliseconds have passed.
    Wait(Option<u64>),
}

/// Counters of an uplink.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SentCounters {
    /// Points that the server acknowledged.
    pub points: u64,
    /// Packets that it acknowledged.
    pub packets: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Points that were dropped before they were sent.
    pub lost_points: u64,
    /// Points that were sent again and may have been there already.
    pub resent_points: u64,
}

/// The sender of an uplink.
#[derive(Debug)]
pub(crate) struct Outflow {
    spools: Arc<Spools>,
    settings: OutflowSettings,
    file: Arc<ProgressFile>,
    progress: Progress,
    /// This uplink's number in each log.
    places: [usize; 2],
    streams: [Stream; 3],
    bucket: Bucket,
    is_dirty: bool,
    /// What is there is sent at once, without waiting for more.
    is_flushing: bool,
    counters: SentCounters,
    /// By lane: points that wait, less what the log had appended when they were counted.
    waiting: [i128; 2],
}

impl Outflow {
    /// Goes on where the uplink of this name was.
    pub(crate) fn open(
        files: &dyn Files,
        name: &str,
        spools: Arc<Spools>,
        settings: OutflowSettings,
        format: &dyn Format,
        now_ms: i64,
    ) -> io::Result<Self> {
        let (file, remembered) = ProgressFile::open(files, name)?;
        let file = Arc::new(file);
        spools.add_progress(Arc::clone(&file));
        // An uplink that nothing is remembered of has sent nothing of what is there.
        let oldest = |lane| LaneProgress {
            place: Place::of(spools.lane(lane).first()),
            sent: Place::of(spools.lane(lane).first()),
            gaps: Vec::new(),
        };
        let progress = remembered.unwrap_or_else(|| Progress {
            lanes: Lane::ALL.map(oldest),
        });
        let mut places = [0; 2];
        let mut waiting = [0; 2];
        for lane in Lane::ALL {
            let lane_progress = &progress.lanes[lane.index()];
            let spool = spools.lane(lane);
            places[lane.index()] = spool.add_place(lane_progress.needed_from());
            let (points, appended) = waiting_in(&spools, lane, lane_progress)?;
            waiting[lane.index()] = i128::from(points) - i128::from(appended);
        }
        let streams = Kind::ALL.map(|kind| Stream::new(name, format.fresh(), kind));
        let mut outflow = Self {
            spools,
            settings,
            file,
            progress,
            places,
            streams,
            bucket: Bucket::new(settings.backfill_rate, now_ms),
            is_dirty: false,
            is_flushing: false,
            counters: SentCounters::default(),
            waiting,
        };
        outflow.rewind();
        Ok(outflow)
    }

    /// What to do next.
    pub(crate) fn next(&mut self, now_ms: i64) -> io::Result<Next> {
        let in_flight: usize = self.streams.iter().map(Stream::in_flight).sum();
        if in_flight >= self.settings.window {
            return Ok(Next::Wait(None));
        }
        self.leave_out(now_ms);
        let mut wait: Option<u64> = None;
        for kind in Kind::ALL {
            if kind == Kind::Backfill && !self.may_backfill(now_ms, &mut wait) {
                continue;
            }
            match self.fill(kind, now_ms)? {
                Reading::Packet(packet) => return Ok(Next::Packet(packet)),
                Reading::Wait(None) => self.close_gap(),
                Reading::Wait(Some(ms)) => wait = Some(wait.map_or(ms, |least| least.min(ms))),
            }
        }
        Ok(Next::Wait(wait))
    }

    fn fill(&mut self, kind: Kind, now_ms: i64) -> io::Result<Reading> {
        let lane = kind.lane();
        let mut limits = self.settings.limits;
        if kind != Kind::Live || self.is_flushing {
            limits.age_ms = 0;
        }
        let sent = self.sent(kind);
        let until = self.until(kind);
        let spool = self.spools.lane(lane);
        let stream = &mut self.streams[kind as usize];
        let reading = stream.fill(spool, limits, sent, until, now_ms)?;
        let is_behind = stream.take_skipped();
        if is_behind {
            self.recount(lane)?;
        }
        match &reading {
            Reading::Packet(packet) => self.handed_out(kind, packet.points),
            Reading::Wait(_) if kind == Kind::Live => self.is_flushing = false,
            Reading::Wait(_) => {}
        }
        Ok(reading)
    }

    fn handed_out(&mut self, kind: Kind, points: u32) {
        let stream = &self.streams[kind as usize];
        let end = stream.read_to();
        if stream.last_was_resent() {
            self.counters.resent_points += u64::from(points);
        }
        if kind == Kind::Backfill {
            self.bucket.take(points);
        }
        let lane = &mut self.progress.lanes[kind.lane().index()];
        let sent = match (kind, lane.gaps.first_mut()) {
            (Kind::Backfill, Some(gap)) => &mut gap.sent,
            _ => &mut lane.sent,
        };
        *sent = end.max(*sent);
        self.is_dirty = true;
    }

    /// Remembers what will have been sent; must succeed before packets go to the client, or a resend is not marked.
    pub(crate) fn store(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_dirty) {
            self.file.store(&self.progress)?;
        }
        Ok(())
    }

    /// The oldest packet of a stream was acknowledged.
    pub(crate) fn acknowledged(&mut self, kind: Kind) {
        let Some(done) = self.streams[kind as usize].acknowledged() else {
            return;
        };
        self.counters.packets += 1;
        self.counters.points += u64::from(done.points);
        self.counters.bytes += done.bytes;
        let index = kind.lane().index();
        self.waiting[index] -= i128::from(done.points);
        let lane = &mut self.progress.lanes[index];
        match kind {
            Kind::Urgent | Kind::Live => lane.place = done.end,
            Kind::Backfill => {
                if let Some(gap) = lane.gaps.first_mut() {
                    gap.from = done.end;
                }
            }
        }
        self.close_gap();
        self.is_dirty = true;
        let needed = self.progress.lanes[index].needed_from();
        self.spools
            .lane(kind.lane())
            .set_place(self.places[index], needed);
    }

    /// Forgets what is on its way: it will be sent again.
    pub(crate) fn rewind(&mut self) {
        let [urgent, data] = &self.progress.lanes;
        let backfill = data.gaps.first().map_or(data.place, |gap| gap.from);
        let places = [urgent.place, data.place, backfill];
        for (stream, place) in self.streams.iter_mut().zip(places) {
            stream.seek(place);
        }
    }

    /// Sends what is there without waiting for more.
    pub(crate) fn flush(&mut self) {
        self.is_flushing = true;
    }

    /// A smaller packet from now on: the server takes none of this size.
    pub(crate) fn halve_packets(&mut self) {
        let limits = &mut self.settings.limits;
        limits.points = (limits.points / 2).max(1);
        limits.bytes = (limits.bytes / 2).max(1);
    }

    /// Leaves old data out for live ones, where that is wanted.
    fn leave_out(&mut self, now_ms: i64) {
        let lane = &mut self.progress.lanes[Lane::Data.index()];
        let live = &mut self.streams[Kind::Live as usize];
        let may = self.settings.order == Order::LiveFirst
            && live.in_flight() == 0
            && live.is_at(lane.place)
            && lane.gaps.len() < GAPS_MAX;
        if !may {
            return;
        }
        let spool = self.spools.lane(Lane::Data);
        let Ok(Some(oldest)) = spool.oldest_ms(lane.place.seq) else {
            return;
        };
        let durable = spool.durable_to();
        if now_ms.saturating_sub(oldest) > self.settings.live_ms && durable > lane.place.seq + 1 {
            lane.gaps.push(Gap {
                from: lane.place,
                sent: lane.sent.min(Place::of(durable)).max(lane.place),
                to: durable,
            });
            lane.place = Place::of(durable);
            lane.sent = lane.sent.max(lane.place);
            live.seek(lane.place);
            if lane.gaps.len() == 1 {
                let from = lane.gaps.first().map_or(lane.place, |gap| gap.from);
                self.streams[Kind::Backfill as usize].seek(from);
            }
            self.is_dirty = true;
        }
    }

    fn may_backfill(&mut self, now_ms: i64, wait: &mut Option<u64>) -> bool {
        self.close_gap();
        if self.progress.lanes[Lane::Data.index()].gaps.is_empty() {
            return false;
        }
        // Half the window stays free for what is new.
        let room = self.settings.window.div_ceil(2);
        if self.streams[Kind::Backfill as usize].in_flight() >= room {
            return false;
        }
        if !self.bucket.is_open(now_ms) {
            *wait = Some(self.bucket.wait_ms());
            return false;
        }
        true
    }

    /// Goes on to the next gap when everything of the first is acknowledged.
    fn close_gap(&mut self) {
        let lane = &mut self.progress.lanes[Lane::Data.index()];
        let stream = &mut self.streams[Kind::Backfill as usize];
        let Some(gap) = lane.gaps.first() else { return };
        let is_done = stream.in_flight() == 0
            && (gap.from >= Place::of(gap.to) || stream.is_at(Place::of(gap.to)));
        if is_done {
            lane.gaps.remove(0);
            if let Some(next) = lane.gaps.first() {
                stream.seek(next.from);
            }
            self.is_dirty = true;
            let needed = lane.needed_from();
            let index = Lane::Data.index();
            self.spools
                .lane(Lane::Data)
                .set_place(self.places[index], needed);
        }
    }

    fn sent(&self, kind: Kind) -> Place {
        let lane = &self.progress.lanes[kind.lane().index()];
        match (kind, lane.gaps.first()) {
            (Kind::Backfill, Some(gap)) => gap.sent,
            _ => lane.sent,
        }
    }

    fn until(&self, kind: Kind) -> u64 {
        let gaps = &self.progress.lanes[Lane::Data.index()].gaps;
        match (kind, gaps.first()) {
            (Kind::Backfill, Some(gap)) => gap.to,
            _ => u64::MAX,
        }
    }

    /// Records were dropped or damaged before they were read: what is left is counted anew, the difference is lost.
    fn recount(&mut self, lane: Lane) -> io::Result<()> {
        let before = self.waiting_points(lane);
        let (unread, appended) =
            waiting_in(&self.spools, lane, &self.progress.lanes[lane.index()])?;
        // What is on its way is gone from the log and may arrive all the same.
        let gone = self.spools.lane(lane).first();
        let on_its_way: u64 = self
            .streams
            .iter()
            .filter(|stream| stream.kind().lane() == lane)
            .map(|stream| stream.points_in_flight_before(gone))
            .sum();
        let after = unread + on_its_way;
        self.counters.lost_points += before.saturating_sub(after);
        self.waiting[lane.index()] = i128::from(after) - i128::from(appended);
        Ok(())
    }

    /// Points of a lane that were not acknowledged.
    pub(crate) fn waiting_points(&self, lane: Lane) -> u64 {
        let appended = self.spools.lane(lane).appended_points();
        u64::try_from(self.waiting[lane.index()] + i128::from(appended)).unwrap_or(0)
    }

    /// When the gateway learned of the oldest point that was not acknowledged.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        let oldest = |lane: Lane| {
            let from = self.progress.lanes[lane.index()].needed_from();
            self.spools.lane(lane).oldest_ms(from).ok().flatten()
        };
        Lane::ALL.into_iter().filter_map(oldest).min()
    }

    pub(crate) fn counters(&self) -> SentCounters {
        self.counters
    }

    pub(crate) fn has_backfill(&self) -> bool {
        !self.progress.lanes[Lane::Data.index()].gaps.is_empty()
    }
}

/// Durable points that were not acknowledged, and what the log had appended then.
fn waiting_in(spools: &Spools, lane: Lane, progress: &LaneProgress) -> io::Result<(u64, u64)> {
    let spool = spools.lane(lane);
    let gaps = progress.gaps.iter().map(|gap| (gap.from, gap.to));
    let stretches: Vec<_> = gaps.chain([(progress.place, u64::MAX)]).collect();
    let first = spool.first();
    let done: u64 = stretches
        .iter()
        .filter(|(from, _)| from.seq >= first)
        .map(|(from, _)| u64::from(from.item))
        .sum();
    let stretches: Vec<_> = stretches.iter().map(|(from, to)| (from.seq, *to)).collect();
    let (points, appended) = spool.count(&stretches)?;
    Ok((points.saturating_sub(done), appended))
}
