//! Shared groups between two workers whose mail the test carries, so that it can be counted and put off.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_codec::{
    Connect, Packet, PacketId, Properties, Property, Publish, Qos, Subscribe, Subscription,
    SubscriptionOptions, Version,
};
use tidewire_core::{
    Batch, Config, ConnKey, Core, Input, Interest, Output, PeerFacts, Time, WorkerId,
};

const NOW: Time = Time::from_secs(1);
const V5: Version = Version::V5;

/// Two workers of one broker. Clients come to the worker that is to serve them, so none of them moves.
struct Pair {
    cores: [Core; 2],
    interest: Interest,
    connections: u32,
    received: BTreeMap<ConnKey, Vec<u8>>,
}

#[derive(Clone, Copy)]
struct Client {
    worker: usize,
    conn: ConnKey,
}

impl Pair {
    fn new() -> Self {
        let core = |worker| {
            Core::new(Config {
                worker: WorkerId(worker),
                workers: 2,
                ..Config::default()
            })
        };
        Self {
            cores: [core(0), core(1)],
            interest: Interest::new(0),
            connections: 0,
            received: BTreeMap::new(),
        }
    }

    /// Connects the first client of a worker's whose id begins so.
    fn connect(&mut self, worker: usize, id: &str, properties: &[Property<'static>]) -> Client {
        for attempt in 0..100 {
            let client = self.try_connect(worker, &format!("{id}{attempt}"), properties);
            if let Some(client) = client {
                return client;
            }
        }
        panic!("no client id has its home at worker {worker}");
    }

    fn try_connect(
        &mut self,
        worker: usize,
        id: &str,
        properties: &[Property<'static>],
    ) -> Option<Client> {
        let conn = ConnKey {
            slot: self.connections,
            generation: 0,
        };
        self.connections += 1;
        let peer = Arc::new(PeerFacts::default());
        self.handle(worker, Input::Open { conn, peer });
        let client = Client { worker, conn };
        let mut all = Properties::EMPTY;
        for property in properties {
            all.push(*property).unwrap();
        }
        let moved = self.hand_in(
            client,
            &Packet::Connect(Connect {
                version: V5,
                clean_start: false,
                keep_alive_secs: 0,
                properties: all,
                client_id: id.into(),
                will: None,
                username: None,
                password: None,
            }),
        );
        if moved {
            return None;
        }
        Some(client)
    }

    /// Gives a client's packet to its worker, and leaves the mail that it leads to where it is.
    fn hand_in(&mut self, client: Client, packet: &Packet<'_>) -> bool {
        let mut bytes = Vec::new();
        packet.encode(V5, &mut bytes).unwrap();
        let conn = client.conn;
        let bytes = &bytes;
        self.handle(client.worker, Input::Bytes { conn, bytes })
    }

    /// Tells whether a connection moved away.
    fn handle(&mut self, worker: usize, input: Input<'_>) -> bool {
        self.cores[worker].handle(NOW, &self.interest, input);
        let mut moved = false;
        while let Some(output) = self.cores[worker].poll_output() {
            match output {
                Output::Interest(change) => self.interest.apply(&change),
                Output::Move { .. } => moved = true,
                _ => {}
            }
        }
        moved
    }

    fn mail_of(&mut self, worker: usize) -> Vec<(WorkerId, Batch)> {
        std::iter::from_fn(|| self.cores[worker].take_mail()).collect()
    }

    /// Carries mail and bytes until there is nothing left to carry.
    fn settle(&mut self) {
        loop {
            let mut busy = false;
            for worker in 0..2 {
                for (to, batch) in self.mail_of(worker) {
                    busy = true;
                    let from = WorkerId(u16::try_from(worker).unwrap());
                    self.handle(usize::from(to.0), Input::Mail { from, batch });
                }
                while let Some(conn) = self.cores[worker].next_dirty() {
                    busy = true;
                    self.flush(worker, conn);
                }
            }
            if !busy {
                return;
            }
        }
    }

    fn flush(&mut self, worker: usize, conn: ConnKey) {
        let core = &mut self.cores[worker];
        while let Some(bytes) = core.outbound(conn).map(|queue| queue.first().to_vec()) {
            if bytes.is_empty() {
                return;
            }
            core.written(NOW, conn, bytes.len());
            self.received.entry(conn).or_default().extend(bytes);
        }
    }

    fn subscribe(&mut self, client: Client, filters: &[String], qos: Qos) {
        let options = SubscriptionOptions {
            qos,
            ..SubscriptionOptions::default()
        };
        let filters = filters.iter().map(|filter| Subscription {
            filter: filter.as_str().into(),
            options,
        });
        let subscribe = Subscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: filters.collect(),
        };
        self.hand_in(client, &Packet::Subscribe(subscribe));
        self.settle();
    }

    fn publish(&mut self, client: Client, topic: &str, id: u16, payload: &'static [u8]) {
        let publish = Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic: topic.into(),
            packet_id: PacketId::new(id),
            properties: Properties::EMPTY,
            payload: payload.into(),
        };
        self.hand_in(client, &Packet::Publish(publish));
    }

    fn queued(&self, worker: usize) -> u64 {
        self.cores[worker].stats().queued_messages
    }
}

/// A member with nothing to do was given messages that others had returned by way of its queue, where nothing came for
/// them: they lay there until its client happened to be written to, and every later message of QoS 0 behind them.
#[test]
fn an_idle_member_has_nothing_in_its_queue() {
    for group in 0..40 {
        let mut pair = Pair::new();
        let idle = pair.connect(0, "idle", &[]);
        let publisher = pair.connect(0, "publisher", &[]);
        let full = pair.connect(1, "full", &[Property::ReceiveMaximum(1)]);
        let (topic, filter) = (format!("t{group}"), format!("$share/g{group}/t{group}"));
        pair.subscribe(full, std::slice::from_ref(&filter), Qos::AtLeastOnce);
        pair.subscribe(idle, std::slice::from_ref(&filter), Qos::AtMostOnce);
        let mut id = 0;
        for _ in 0..10 {
            // Three on their way at once: the turn passes between the returns of one and the same.
            for _ in 0..3 {
                id += 1;
                pair.publish(publisher, &topic, id, b"idle?");
            }
            pair.settle();
            assert_eq!(pair.queued(0), 0, "group {group}, message {id}");
        }
        let received = pair.received.remove(&idle.conn).unwrap();
        let count = received.windows(5).filter(|part| part == b"idle?").count();
        let waiting = usize::try_from(pair.queued(1)).unwrap();
        // One is in flight to the full member, and what was given to it by its own worker's choice waits for it.
        assert_eq!(count + 1 + waiting, 30, "group {group}");
    }
}

/// A takeover used to cost two letters for every group of the session, to be answered by a search in each.
#[test]
fn a_takeover_tells_each_owner_once_however_many_groups_there_are() {
    let mut pair = Pair::new();
    let keep = [Property::SessionExpiryInterval(100)];
    let member = pair.connect(0, "member", &keep);
    let filters: Vec<_> = (0..500).map(|group| format!("$share/g{group}/t")).collect();
    pair.subscribe(member, &filters, Qos::AtLeastOnce);
    let owned = |worker: usize| pair.cores[worker].stats().shared_members;
    assert_eq!(owned(0) + owned(1), 500);
    assert!(owned(0) > 100 && owned(1) > 100, "both workers own groups");
    pair.connect(0, "member", &keep);
    let mail = pair.mail_of(0);
    let items: usize = mail.iter().map(|(_, batch)| batch.len()).sum();
    assert_eq!(items, 2, "away and back");
}
