//! The way of data from hub to server, with a faulty disk, a clock that the test moves and a server that may lose
//! its acknowledgements: nothing that was durable is lost, series keep their order, repetitions are marked.

use super::format::{BatchJson, Common, Topics};
use super::outflow::{Next, Order, Outflow, OutflowSettings, Packet};
use super::topic::Template;
use crate::clock::TimeSource;
use crate::hub::InputPoint;
use crate::model::{Device, Quality, Value};
use crate::pipeline::packet::PacketLimits;
use crate::pipeline::{Compression, DeadBand, Lane, Overflow, Spool, SpoolLimits};
use crate::{Hub, HubSettings, Spools};
use proptest::prelude::*;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tidewire_log::{Crash, Faults, SimFiles};

const SERIES: usize = 3;

fn limits(segment_bytes: u64) -> SpoolLimits {
    SpoolLimits {
        max_bytes: 1 << 20,
        min_free_bytes: 0,
        segment_bytes,
        ..SpoolLimits::default()
    }
}

fn settings(order: Order) -> OutflowSettings {
    OutflowSettings {
        limits: PacketLimits {
            points: 4,
            bytes: 10_000,
            age_ms: 50,
        },
        window: 3,
        order,
        backfill_rate: 0,
        live_ms: 1000,
    }
}

/// One life of a gateway's process.
struct Life {
    disk: SimFiles,
    time: Arc<AtomicI64>,
    hub: Hub,
    spools: Arc<Spools>,
    outflow: Outflow,
}

impl Life {
    fn begin(disk: &SimFiles, time: &Arc<AtomicI64>, order: Order, limits: &SpoolLimits) -> Self {
        let settings_of_hub = HubSettings {
            dead_band: DeadBand::NONE,
            ..HubSettings::default()
        };
        let hub = Hub::new(settings_of_hub, TimeSource::Fixed(Arc::clone(time)));
        hub.add_device(Device {
            app: "app".into(),
            sn: "sn".into(),
            ..Device::default()
        });
        let open = |lane: Lane| {
            let files = Arc::new(disk.clone());
            Spool::open(files, lane.name(), limits.clone(), 7)
                .expect("a log")
                .0
        };
        let spools = Arc::new(Spools::new(open(Lane::Urgent), open(Lane::Data)));
        let topic = |text| Template::parse(text).expect("a topic");
        let format = BatchJson::new(Common {
            gateway: "g".into(),
            topics: Topics {
                data: topic("data"),
                event: topic("event"),
                stat: topic("stat"),
            },
            compression: Compression::None,
        });
        let now = time.load(Ordering::Relaxed);
        let outflow = Outflow::open(
            disk,
            "up",
            Arc::clone(&spools),
            settings(order),
            &format,
            now,
        );
        Self {
            disk: disk.clone(),
            time: Arc::clone(time),
            hub,
            spools,
            outflow: outflow.expect("an uplink"),
        }
    }

    fn bring(&self, series: usize, number: i64) {
        let id = self
            .hub
            .series("sn", &series.to_string(), "value")
            .expect("a series");
        self.hub.inputs(&[InputPoint {
            series: id,
            value: &Value::Int(number),
            quality: Quality::GOOD,
            source_ms: self.now(),
        }]);
    }

    /// Whether what waited is durable.
    fn commit(&self) -> bool {
        if self.hub.buffered_points() == 0 {
            return true;
        }
        let batch = self.hub.next_batch(Duration::ZERO).expect("a batch");
        let written = Lane::ALL.into_iter().all(|lane| {
            let records = &batch.records[lane.index()];
            records.is_empty() || self.spools.lane(lane).append(records).is_ok()
        });
        self.hub.finish_batch(&batch);
        written
    }

    fn now(&self) -> i64 {
        self.time.load(Ordering::Relaxed)
    }

    fn next(&mut self) -> Option<Packet> {
        match self.outflow.next(self.now()).expect("read") {
            Next::Packet(packet) => Some(packet),
            Next::Wait(_) => None,
        }
    }
}

/// What the server has seen.
#[derive(Default)]
struct Server {
    seen: BTreeMap<String, Vec<i64>>,
    repeated_unmarked: usize,
    backfilled: usize,
}

impl Server {
    fn receive(&mut self, packet: &Packet) {
        for message in &packet.messages {
            let payload: Json = serde_json::from_slice(&message.payload).expect("JSON");
            let is_marked = payload["resent"] == true;
            for point in payload["points"].as_array().expect("points") {
                let series = point[2].as_str().expect("an input").to_owned();
                let number = point[5].as_i64().expect("a number");
                let seen = self.seen.entry(series).or_default();
                if seen.contains(&number) {
                    self.repeated_unmarked += usize::from(!is_marked);
                } else {
                    seen.push(number);
                    self.backfilled += usize::from(payload["backfill"] == true);
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Bring(usize),
    Commit,
    Send,
    Acknowledge,
    /// The connection breaks: what was on its way arrived up to here, and no acknowledgement did.
    Break,
    Kill,
    PowerLoss,
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..SERIES).prop_map(Step::Bring),
        4 => Just(Step::Commit),
        6 => Just(Step::Send),
        6 => Just(Step::Acknowledge),
        1 => Just(Step::Break),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerLoss),
        2 => (1_i64..2000).prop_map(Step::Pass),
    ];
    proptest::collection::vec(step, 1..250)
}

fn play(steps: &[Step], order: Order, segment_bytes: u64) -> (Server, [Vec<i64>; SERIES]) {
    let disk = SimFiles::new(3);
    let time = Arc::new(AtomicI64::new(1_000_000));
    let mut life = Life::begin(&disk, &time, order, &limits(segment_bytes));
    let mut server = Server::default();
    let mut durable: [Vec<i64>; SERIES] = Default::default();
    let mut waiting: Vec<(usize, i64)> = Vec::new();
    let mut on_its_way = Vec::new();
    let mut number = 0;
    let commit =
        |life: &Life, waiting: &mut Vec<(usize, i64)>, durable: &mut [Vec<i64>; SERIES]| {
            assert!(life.commit());
            for (series, number) in waiting.drain(..) {
                durable[series].push(number);
            }
        };
    for step in steps {
        match step {
            Step::Bring(series) => {
                number += 1;
                life.bring(*series, number);
                waiting.push((*series, number));
            }
            Step::Commit => commit(&life, &mut waiting, &mut durable),
            Step::Send => {
                if let Some(packet) = life.next() {
                    life.outflow.store().expect("stored");
                    server.receive(&packet);
                    on_its_way.push(packet.kind);
                }
            }
            Step::Acknowledge => {
                if !on_its_way.is_empty() {
                    life.outflow.acknowledged(on_its_way.remove(0));
                }
            }
            Step::Break => {
                on_its_way.clear();
                life.outflow.rewind();
            }
            Step::Kill | Step::PowerLoss => {
                let crash = if matches!(step, Step::Kill) {
                    Crash::Process
                } else {
                    Crash::TearInOrder
                };
                let disk = life.disk.clone();
                drop(life);
                disk.crash(crash);
                waiting.clear();
                on_its_way.clear();
                life = Life::begin(&disk, &time, order, &limits(segment_bytes));
            }
            Step::Pass(ms) => drop(time.fetch_add(*ms, Ordering::Relaxed)),
        }
    }
    commit(&life, &mut waiting, &mut durable);
    for kind in on_its_way {
        life.outflow.acknowledged(kind);
    }
    let mut idle = 0;
    while idle < 3 {
        time.fetch_add(100, Ordering::Relaxed);
        match life.next() {
            Some(packet) => {
                idle = 0;
                server.receive(&packet);
                life.outflow.acknowledged(packet.kind);
            }
            None => idle += 1,
        }
    }
    let end = (
        life.outflow.waiting_points(Lane::Data),
        life.outflow.counters().lost_points,
    );
    assert_eq!(end, (0, 0));
    (server, durable)
}

fn without_power_loss(steps: &[Step]) -> bool {
    !steps.iter().any(|step| matches!(step, Step::PowerLoss))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn strict_order_loses_nothing_and_keeps_the_order_of_every_series(steps in steps(), segment in 300_u64..3000) {
        let (server, durable) = play(&steps, Order::Strict, segment);
        for (series, numbers) in durable.iter().enumerate() {
            let seen = server.seen.get(&series.to_string()).cloned().unwrap_or_default();
            // What was not yet durable when the process died may be there or not.
            let seen: Vec<_> = seen.into_iter().filter(|number| numbers.contains(number)).collect();
            prop_assert_eq!(&seen, numbers);
        }
        if without_power_loss(&steps) {
            prop_assert_eq!(server.repeated_unmarked, 0);
        }
    }

    #[test]
    fn live_first_loses_nothing_and_marks_what_comes_late(steps in steps(), segment in 300_u64..3000) {
        let (server, durable) = play(&steps, Order::LiveFirst, segment);
        for (series, numbers) in durable.iter().enumerate() {
            let mut seen = server.seen.get(&series.to_string()).cloned().unwrap_or_default();
            seen.sort_unstable();
            let seen: Vec<_> = seen.into_iter().filter(|number| numbers.contains(number)).collect();
            prop_assert_eq!(&seen, numbers);
        }
        if without_power_loss(&steps) {
            prop_assert_eq!(server.repeated_unmarked, 0);
        }
    }
}

#[test]
fn back_fill_comes_beside_live_data() {
    let disk = SimFiles::new(1);
    let time = Arc::new(AtomicI64::new(0));
    let mut life = Life::begin(&disk, &time, Order::LiveFirst, &limits(100_000));
    for number in 0..40 {
        life.bring(0, number);
        assert!(life.commit());
    }
    // An outage: live data come an hour later.
    time.store(3_600_000, Ordering::Relaxed);
    for number in 40..44 {
        life.bring(0, number);
    }
    let first = life.next().expect("something to send");
    let mut server = Server::default();
    server.receive(&first);
    life.outflow.acknowledged(first.kind);
    assert!(life.commit());
    while let Some(packet) = life.next() {
        server.receive(&packet);
        life.outflow.acknowledged(packet.kind);
    }
    let seen = &server.seen["0"];
    assert_eq!(seen.len(), 44);
    assert_eq!(server.backfilled, 40);
    let live = seen
        .iter()
        .position(|number| *number == 40)
        .expect("live data");
    assert!(live < 40, "live data waited for all of the back-fill");
    assert!(!life.outflow.has_backfill());
}

#[test]
fn oldest_data_make_room_and_the_loss_is_counted() {
    let disk = SimFiles::new(1);
    let time = Arc::new(AtomicI64::new(0));
    let small = SpoolLimits {
        max_bytes: 4000,
        ..limits(1000)
    };
    let mut life = Life::begin(&disk, &time, Order::Strict, &small);
    for number in 0..200 {
        life.bring(0, number);
        assert!(life.commit());
    }
    time.store(1000, Ordering::Relaxed);
    let mut server = Server::default();
    while let Some(packet) = life.next() {
        server.receive(&packet);
        life.outflow.acknowledged(packet.kind);
    }
    let seen = &server.seen["0"];
    let lost = life.outflow.counters().lost_points;
    assert!(lost > 0 && seen.last() == Some(&199));
    assert_eq!(lost + seen.len() as u64, 200);
    assert_eq!(life.spools.lane(Lane::Data).stats().dropped_points, lost);
    assert_eq!(life.outflow.waiting_points(Lane::Data), 0);
}

#[test]
fn full_disk_holds_and_goes_on_when_there_is_room() {
    let disk = SimFiles::new(1);
    let time = Arc::new(AtomicI64::new(0));
    let hold = SpoolLimits {
        overflow: Overflow::Hold,
        ..limits(500)
    };
    let mut life = Life::begin(&disk, &time, Order::Strict, &hold);
    life.bring(0, 1);
    assert!(life.commit());
    disk.set_faults(Faults {
        capacity_bytes: Some(disk.used_bytes()),
        ..Faults::default()
    });
    life.bring(0, 2);
    let batch = life.hub.next_batch(Duration::ZERO).expect("a batch");
    let records = &batch.records[Lane::Data.index()];
    assert!(life.spools.lane(Lane::Data).append(records).is_err());
    disk.set_faults(Faults::default());
    life.spools
        .lane(Lane::Data)
        .append(records)
        .expect("room again");
    life.hub.finish_batch(&batch);
    time.store(1000, Ordering::Relaxed);
    let mut server = Server::default();
    while let Some(packet) = life.next() {
        server.receive(&packet);
        life.outflow.acknowledged(packet.kind);
    }
    assert_eq!(server.seen["0"], [1, 2]);
}

#[test]
fn every_truncation_of_the_log_loses_only_what_was_cut_off() {
    let disk = SimFiles::new(1);
    let time = Arc::new(AtomicI64::new(0));
    let life = Life::begin(&disk, &time, Order::Strict, &limits(100_000));
    for number in 0..8 {
        life.bring(0, number);
        assert!(life.commit());
    }
    let is_data = |name: &String| name.starts_with("data");
    let name = disk
        .names()
        .into_iter()
        .find(is_data)
        .expect("a file of the log");
    let whole = disk.bytes(&name).expect("its bytes");
    drop(life);
    time.store(1000, Ordering::Relaxed);
    let mut most = 0;
    for length in 0..=whole.len() {
        let copy = disk.copy();
        copy.put(&name, whole[..length].to_vec());
        let mut life = Life::begin(&copy, &time, Order::Strict, &limits(100_000));
        let mut server = Server::default();
        while let Some(packet) = life.next() {
            server.receive(&packet);
            life.outflow.acknowledged(packet.kind);
        }
        let seen = server.seen.get("0").cloned().unwrap_or_default();
        let expected: Vec<i64> = (0..8).take(seen.len()).collect();
        assert_eq!(seen, expected, "cut to {length} bytes");
        assert!(seen.len() >= most);
        most = seen.len();
        // It goes on.
        life.bring(0, 99);
        assert!(life.commit());
    }
    assert_eq!(most, 8);
}
