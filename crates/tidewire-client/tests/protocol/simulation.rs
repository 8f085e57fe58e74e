//! Two machines and the broker core in one thread: bytes move in pieces of any size, connections are cut at any byte, the
//! server notices or does not. Everything is drawn from a seed.

use std::collections::BTreeMap;

use tidewire_client::protocol::{Input, Machine, Open, Output, PacketTrace, Time};
use tidewire_client::{Publish, Qos, ReasonCode, Version};
use tidewire_codec::{Properties, SubscriptionOptions};
use tidewire_core as core;

const SEEDS: u64 = 300;
const MESSAGES: u64 = 60;

/// The broker and its single worker's shell.
struct Server {
    core: core::Core,
    interest: core::Interest,
    closing: Vec<core::ConnKey>,
    next_generation: u32,
}

/// A client, and the bytes between it and the server.
struct Node {
    machine: Machine,
    open: Open,
    conn: Option<core::ConnKey>,
    slot: u32,
    up: Vec<u8>,
    down: Vec<u8>,
    outputs: Vec<Output>,
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

const fn server_time(now: Time) -> core::Time {
    core::Time::from_micros(now.as_duration().as_micros() as u64)
}

impl Server {
    fn handle(&mut self, now: Time, input: core::Input<'_>) -> usize {
        let used = self.core.handle(server_time(now), &self.interest, input);
        while let Some(output) = self.core.poll_output() {
            match output {
                core::Output::Close { conn } => self.closing.push(conn),
                core::Output::Interest(change) => self.interest.apply(&change),
                core::Output::Move { .. } | core::Output::Ask { .. } => panic!("{output:?}"),
                _ => {}
            }
        }
        while self.core.next_dirty().is_some() {}
        used
    }
}

impl Node {
    fn new(version: Version, client_id: &str, slot: u32) -> Self {
        let mut open = Open::new(version, client_id);
        open.clean_start = false;
        open.session_expiry_interval_secs = u32::MAX;
        open.keep_alive_secs = 0;
        Self {
            machine: Machine::new(PacketTrace::Off),
            open,
            conn: None,
            slot,
            up: Vec::new(),
            down: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn connect(&mut self, now: Time, server: &mut Server) {
        server.next_generation += 1;
        // Slots are of one use here: a connection that the server has not missed yet keeps its own.
        let conn = core::ConnKey {
            slot: self.slot + 2 * server.next_generation,
            generation: server.next_generation,
        };
        let peer = core::PeerFacts::default().into();
        server.handle(now, core::Input::Open { conn, peer });
        self.conn = Some(conn);
        self.machine
            .handle(now, Input::Open(Box::new(self.open.clone())));
        self.drain();
    }

    /// The connection breaks; what is between the two is lost.
    fn cut(&mut self, now: Time, server: &mut Server, is_noticed: bool) {
        let Some(conn) = self.conn.take() else {
            return;
        };
        self.up.clear();
        self.down.clear();
        self.machine.handle(now, Input::Closed);
        self.drain();
        if is_noticed {
            let end = core::TransportEnd::PeerClosed;
            server.handle(now, core::Input::Closed { conn, end });
        }
    }

    /// Some bytes to the server.
    fn say(&mut self, now: Time, server: &mut Server, most: usize) {
        let Some(conn) = self.conn else {
            return;
        };
        let bytes = self.machine.transmit();
        let count = bytes.len().min(most);
        self.up.extend_from_slice(&bytes[..count]);
        self.machine.written(count);
        if !self.up.is_empty() {
            let bytes = std::mem::take(&mut self.up);
            let used = server.handle(
                now,
                core::Input::Bytes {
                    conn,
                    bytes: &bytes,
                },
            );
            self.up = bytes[used..].to_vec();
        }
        self.drain();
    }

    /// Some bytes from the server.
    fn hear(&mut self, now: Time, server: &mut Server, most: usize) {
        let Some(conn) = self.conn else {
            return;
        };
        let first = server
            .core
            .outbound(conn)
            .map_or(&[][..], |queue| queue.first());
        let count = first.len().min(most);
        self.down.extend_from_slice(&first[..count]);
        if count > 0 {
            server.core.written(server_time(now), conn, count);
        }
        let used = self.machine.handle(now, Input::Bytes(&self.down));
        self.down.drain(..used);
        self.drain();
        if server.closing.contains(&conn) && count == 0 {
            self.cut(now, server, true);
        }
    }

    fn drain(&mut self) {
        self.outputs
            .extend(std::iter::from_fn(|| self.machine.poll_output()));
    }
}

/// A run: what was published, what was received.
struct World {
    random: Random,
    now: Time,
    server: Server,
    sender: Node,
    receiver: Node,
    next: u64,
    delivered: BTreeMap<u64, ReasonCode>,
    received: Vec<u64>,
    unanswered: Vec<tidewire_client::protocol::Delivery>,
}

impl World {
    fn new(seed: u64) -> Self {
        let version = [Version::V311, Version::V5][(seed % 2) as usize];
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            now: Time::from_millis(1),
            server: Server {
                core: core::Core::new(core::Config::default()),
                interest: core::Interest::new(0),
                closing: Vec::new(),
                next_generation: 0,
            },
            sender: Node::new(version, "sender", 0),
            receiver: Node::new(version, "receiver", 1),
            next: 0,
            delivered: BTreeMap::new(),
            received: Vec::new(),
            unanswered: Vec::new(),
        }
    }

    /// The receiver's session and subscription, undisturbed.
    fn subscribe(&mut self) {
        self.receiver.connect(self.now, &mut self.server);
        self.settle();
        self.receiver.machine.handle(
            self.now,
            Input::Subscribe {
                token: 0,
                filters: vec![("t".into(), SubscriptionOptions::with_qos(Qos::ExactlyOnce))],
                properties: Properties::EMPTY,
            },
        );
        self.settle();
        self.sender.connect(self.now, &mut self.server);
        self.settle();
    }

    /// Messages with even numbers are QoS 2, those with odd numbers QoS 1.
    fn publish(&mut self) {
        let qos = [Qos::ExactlyOnce, Qos::AtLeastOnce][(self.next % 2) as usize];
        if self.next < MESSAGES && self.sender.machine.can_publish(qos) {
            let message = Publish::new("t", self.next.to_string()).qos(qos);
            let token = self.next;
            self.next += 1;
            let input = Input::Publish { token, message };
            self.sender.machine.handle(self.now, input);
            self.sender.drain();
        }
    }

    fn step(&mut self) {
        self.now = self.now.plus(std::time::Duration::from_millis(1));
        let most = 1 + self.random.below(40) as usize;
        match self.random.below(100) {
            0..20 => self.publish(),
            20..45 => self.sender.say(self.now, &mut self.server, most),
            45..60 => self.sender.hear(self.now, &mut self.server, most),
            60..75 => self.receiver.say(self.now, &mut self.server, most),
            75..94 => self.receiver.hear(self.now, &mut self.server, most),
            94..97 => {
                let is_noticed = self.random.below(2) == 0;
                self.sender.cut(self.now, &mut self.server, is_noticed);
                self.sender.connect(self.now, &mut self.server);
            }
            _ => {
                let is_noticed = self.random.below(2) == 0;
                self.receiver.cut(self.now, &mut self.server, is_noticed);
                self.receiver.connect(self.now, &mut self.server);
            }
        }
        self.look();
        // The application takes its time, and answers in any order.
        if self.random.below(3) == 0 && !self.unanswered.is_empty() {
            let at = self.random.below(self.unanswered.len() as u64) as usize;
            let delivery = self.unanswered.swap_remove(at);
            self.answer(delivery);
        }
    }

    fn answer(&mut self, delivery: tidewire_client::protocol::Delivery) {
        let reason = ReasonCode::Success;
        let input = Input::Acknowledge { delivery, reason };
        self.receiver.machine.handle(self.now, input);
        self.receiver.drain();
    }

    fn look(&mut self) {
        for output in self.sender.outputs.drain(..) {
            match output {
                Output::Published { token, result } => {
                    let reason = result.expect("delivered").reason;
                    assert_eq!(self.delivered.insert(token, reason), None, "told once");
                }
                Output::Ended(cause) => {
                    assert_eq!(cause, tidewire_client::protocol::Cause::TransportClosed);
                }
                Output::Unfinished { .. } => panic!("the session was lost"),
                _ => {}
            }
        }
        for output in self.receiver.outputs.drain(..) {
            match output {
                Output::Message { message, delivery } => {
                    let number = message.text().and_then(|text| text.parse().ok());
                    self.received.push(number.expect("a number"));
                    self.unanswered.extend(delivery);
                }
                Output::Ended(cause) => {
                    assert_eq!(cause, tidewire_client::protocol::Cause::TransportClosed);
                }
                _ => {}
            }
        }
    }

    /// Lets everything happen that can happen, without another fault.
    fn settle(&mut self) {
        for _ in 0..20 {
            for node in [&mut self.sender, &mut self.receiver] {
                node.say(self.now, &mut self.server, usize::MAX);
                node.hear(self.now, &mut self.server, usize::MAX);
            }
            self.look();
            while let Some(delivery) = self.unanswered.pop() {
                self.answer(delivery);
            }
        }
    }
}

fn firsts(numbers: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut seen = std::collections::BTreeSet::new();
    numbers.filter(|number| seen.insert(*number)).collect()
}

/// [5.0 MQTT-4.3.3-10] [5.0 MQTT-4.4.0-1] [5.0 MQTT-4.6.0-1] [3.1.1 MQTT-4.3.3-2] [3.1.1 MQTT-4.4.0-1] [3.1.1 MQTT-4.6.0-1]
#[test]
fn whatever_is_cut_qos_2_arrives_once_qos_1_at_least_once_and_both_in_order() {
    let mut repeated = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.subscribe();
        for _ in 0..1_500 {
            world.step();
        }
        for node in [&mut world.sender, &mut world.receiver] {
            node.cut(world.now, &mut world.server, true);
            node.connect(world.now, &mut world.server);
        }
        for _ in 0..2 * MESSAGES {
            world.publish();
            world.settle();
        }
        assert_eq!(world.next, MESSAGES, "seed {seed}: all were published");
        assert_eq!(world.delivered.len(), MESSAGES as usize, "seed {seed}");

        let evens: Vec<u64> = world
            .received
            .iter()
            .copied()
            .filter(|n| n % 2 == 0)
            .collect();
        let all_evens: Vec<u64> = (0..MESSAGES).step_by(2).collect();
        assert_eq!(evens, all_evens, "seed {seed}: QoS 2 once and in order");

        let odds = world.received.iter().copied().filter(|n| n % 2 == 1);
        let all_odds: Vec<u64> = (1..MESSAGES).step_by(2).collect();
        assert_eq!(
            firsts(odds),
            all_odds,
            "seed {seed}: QoS 1 all and in order"
        );
        repeated += world.received.len() - MESSAGES as usize;
    }
    assert!(repeated > 0, "the cuts hit something");
}
