//! What the core alone costs per message: no sockets, one worker.
//!
//! `cargo run --profile dist -p tidewire-core --example hot_path [SCENARIO]`

use std::time::Instant;
use tidewire_codec::{
    Ack, Connect, Packet, PacketId, Properties, Publish, Qos, ReasonCode, RetainHandling,
    Subscribe, Subscription, SubscriptionOptions, Version,
};
use tidewire_core::{Config, ConnKey, Core, Input, Interest, PeerFacts, Time};

const ROUNDS: usize = 2_000;
const BURST: usize = 500;

struct Bench {
    core: Core,
    interest: Interest,
    written: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let interest = Interest::new(0);
        Self {
            core: Core::new(Config::default()),
            interest,
            written: Vec::new(),
        }
    }

    fn connect(&mut self, slot: u32) -> ConnKey {
        let conn = ConnKey {
            slot,
            generation: 0,
        };
        let peer = PeerFacts::default().into();
        self.core
            .handle(Time::ZERO, &self.interest, Input::Open { conn, peer });
        let connect = Packet::Connect(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive_secs: 0,
            properties: Properties::EMPTY,
            client_id: format!("c{slot}").into(),
            will: None,
            username: None,
            password: None,
        });
        self.feed(conn, &encode(&connect));
        conn
    }

    fn subscribe(&mut self, conn: ConnKey, filter: &str, qos: Qos) {
        let options = SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::SendAlways,
        };
        let filters = vec![Subscription {
            filter: filter.into(),
            options,
        }];
        let packet_id = PacketId::MIN;
        let properties = Properties::EMPTY;
        self.feed(
            conn,
            &encode(&Packet::Subscribe(Subscribe {
                packet_id,
                properties,
                filters,
            })),
        );
    }

    fn feed(&mut self, conn: ConnKey, bytes: &[u8]) {
        let used = self
            .core
            .handle(Time::ZERO, &self.interest, Input::Bytes { conn, bytes });
        assert_eq!(used, bytes.len());
        while self.core.poll_output().is_some() {}
        self.flush(None);
    }

    /// Writes everything; keeps what one connection was sent.
    fn flush(&mut self, keep: Option<ConnKey>) {
        while let Some(key) = self.core.next_dirty() {
            while let Some(len) = self
                .core
                .outbound(key)
                .map(|out| out.first().len())
                .filter(|len| *len > 0)
            {
                if keep == Some(key) {
                    let out = self.core.outbound(key).unwrap();
                    self.written.extend_from_slice(out.first());
                }
                self.core.written(Time::ZERO, key, len);
            }
        }
    }
}

fn encode(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.encode(Version::V311, &mut bytes).unwrap();
    bytes
}

fn publishes(topic: &str, qos: Qos, ids: std::ops::Range<u16>) -> Vec<u8> {
    ids.flat_map(|id| {
        let packet_id = (qos != Qos::AtMostOnce).then(|| PacketId::new(id + 1).unwrap());
        encode(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain: false,
            topic: topic.into(),
            packet_id,
            properties: Properties::EMPTY,
            payload: vec![7; 16].into(),
        }))
    })
    .collect()
}

fn report(name: &str, messages: usize, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let nanos = start.elapsed().as_nanos() as f64 / messages as f64;
    println!("{name:24} {nanos:8.1} ns/message");
}

fn one_to_one(qos: Qos, name: &str) {
    let mut bench = Bench::new();
    let (publisher, subscriber) = (bench.connect(0), bench.connect(1));
    bench.subscribe(subscriber, "bench/one", qos);
    let bytes = publishes("bench/one", qos, 0..BURST as u16);
    let release: Vec<u8> = (0..BURST as u16)
        .flat_map(|id| ack(Packet::PubRel, id + 1))
        .collect();
    report(name, ROUNDS * BURST, || {
        for _ in 0..ROUNDS {
            bench.core.handle(
                Time::ZERO,
                &bench.interest,
                Input::Bytes {
                    conn: publisher,
                    bytes: &bytes,
                },
            );
            bench.written.clear();
            bench.flush(Some(subscriber));
            if qos == Qos::ExactlyOnce {
                bench.feed(publisher, &release);
            }
            bench.answer(subscriber, qos);
        }
    });
    assert_eq!(bench.core.stats().publishes_sent as usize, ROUNDS * BURST);
}

fn ack(kind: fn(Ack<'static>) -> Packet<'static>, id: u16) -> Vec<u8> {
    let packet_id = PacketId::new(id).unwrap();
    encode(&kind(Ack {
        packet_id,
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    }))
}

impl Bench {
    /// The subscriber acknowledges what it was sent: identifiers are read from the fixed places of the frames.
    fn answer(&mut self, subscriber: ConnKey, qos: Qos) {
        if qos == Qos::AtMostOnce {
            return;
        }
        let kind = if qos == Qos::AtLeastOnce { 0x40 } else { 0x50 };
        let frame_len = 2 + 2 + "bench/one".len() + 2 + 16;
        let ids: Vec<[u8; 2]> = self
            .written
            .chunks_exact(frame_len)
            .map(|frame| [frame[frame_len - 18], frame[frame_len - 17]])
            .collect();
        let acks: Vec<u8> = ids
            .iter()
            .flat_map(|[high, low]| [kind, 2, *high, *low])
            .collect();
        self.feed(subscriber, &acks);
        if qos == Qos::ExactlyOnce {
            let done: Vec<u8> = ids
                .iter()
                .flat_map(|[high, low]| [0x70, 2, *high, *low])
                .collect();
            self.feed(subscriber, &done);
        }
    }
}

fn fan_out(receivers: u32, name: &str) {
    let mut bench = Bench::new();
    let publisher = bench.connect(0);
    for slot in 1..=receivers {
        let conn = bench.connect(slot);
        bench.subscribe(conn, "bench/all", Qos::AtMostOnce);
    }
    let bytes = publishes("bench/all", Qos::AtMostOnce, 0..50);
    let rounds = 400;
    report(name, rounds * 50 * receivers as usize, || {
        for _ in 0..rounds {
            bench.core.handle(
                Time::ZERO,
                &bench.interest,
                Input::Bytes {
                    conn: publisher,
                    bytes: &bytes,
                },
            );
            bench.flush(None);
        }
    });
}

fn fan_in(senders: u32, name: &str) {
    let mut bench = Bench::new();
    let subscriber = bench.connect(0);
    bench.subscribe(subscriber, "bench/#", Qos::AtMostOnce);
    let conns: Vec<_> = (1..=senders).map(|slot| bench.connect(slot)).collect();
    let bytes: Vec<_> = (0..senders)
        .map(|n| publishes(&format!("bench/{n}"), Qos::AtMostOnce, 0..50))
        .collect();
    let rounds = 200;
    report(name, rounds * 50 * senders as usize, || {
        for _ in 0..rounds {
            for (conn, bytes) in conns.iter().zip(&bytes) {
                bench.core.handle(
                    Time::ZERO,
                    &bench.interest,
                    Input::Bytes { conn: *conn, bytes },
                );
            }
            bench.flush(None);
        }
    });
}

fn distinct(name: &str) {
    let mut bench = Bench::new();
    let (publisher, subscriber) = (bench.connect(0), bench.connect(1));
    for n in 0..25_000 {
        bench.subscribe(subscriber, &format!("w/{n}/exact"), Qos::AtMostOnce);
        bench.subscribe(subscriber, &format!("p/{n}/+"), Qos::AtMostOnce);
        bench.subscribe(subscriber, &format!("h/{n}/#"), Qos::AtMostOnce);
        bench.subscribe(subscriber, &format!("m/+/{n}/x/#"), Qos::AtMostOnce);
    }
    let batches: Vec<_> = (0..1_000)
        .map(|batch| -> Vec<u8> {
            (0..100)
                .flat_map(|n| publishes(&format!("p/{}/{batch}", n * 250), Qos::AtMostOnce, 0..1))
                .collect()
        })
        .collect();
    report(name, 100_000, || {
        for bytes in &batches {
            bench.core.handle(
                Time::ZERO,
                &bench.interest,
                Input::Bytes {
                    conn: publisher,
                    bytes,
                },
            );
            bench.flush(None);
        }
    });
    assert_eq!(bench.core.stats().publishes_sent, 100_000);
}

type Scenario = (&'static str, fn(&str));

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let all: [Scenario; 6] = [
        ("1:1 QoS 0", |name| one_to_one(Qos::AtMostOnce, name)),
        ("1:1 QoS 1", |name| one_to_one(Qos::AtLeastOnce, name)),
        ("1:1 QoS 2", |name| one_to_one(Qos::ExactlyOnce, name)),
        ("fan-out 1x100", |name| fan_out(100, name)),
        ("fan-in 100x1", |name| fan_in(100, name)),
        ("100k filters, distinct", distinct),
    ];
    for (name, run) in all.into_iter().filter(|(name, _)| name.contains(&wanted)) {
        run(name);
    }
}
