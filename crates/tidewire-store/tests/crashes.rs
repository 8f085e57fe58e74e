//! The durable engine beside a model, over crashes at random points of random work.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewire_log::{Crash, Faults, Preallocation, SimFiles};
use tidewire_store::suite::{Tester, message, session};
use tidewire_store::{
    Answer, Config, CursorState, Durability, DurableEngine, Expect, Group, Limits, Offset,
    OpenReport, Outcome, Owner, Request, ShardId, Ticket,
};

const SHARDS: u16 = 2;
const CLIENTS: u8 = 4;

fn config() -> Config {
    Config {
        shards: SHARDS,
        seed: 11,
        segment_bytes: 900,
        reserve_bytes: 0,
        checkpoint_bytes: 3000,
        preallocation: Preallocation::None,
        limits: Limits::default(),
    }
}

fn open(disk: &SimFiles) -> (Tester, OpenReport) {
    let (engine, report) = DurableEngine::open(Arc::new(disk.clone()), config()).unwrap();
    (Tester::new(Box::new(engine)), report)
}

#[derive(Clone, Debug)]
enum Act {
    /// A client publishes: message, QoS 2 mark and retained message in one group.
    Publish {
        client: u8,
        len: u8,
    },
    PutSession {
        client: u8,
    },
    DeleteSession {
        client: u8,
    },
    /// The client's owner is done with this part of what it has.
    Ack {
        client: u8,
        part: u8,
    },
    Step,
    Sync,
    Maintain {
        pieces: u8,
    },
    Crash(Crash),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let client = || 0..CLIENTS;
    let crash = prop_oneof![
        Just(Crash::Process),
        Just(Crash::ForgetAll),
        Just(Crash::TearInOrder),
        Just(Crash::TearAnyOrder),
    ];
    let act = prop_oneof![
        12 => (client(), any::<u8>()).prop_map(|(client, len)| Act::Publish { client, len }),
        3 => client().prop_map(|client| Act::PutSession { client }),
        1 => client().prop_map(|client| Act::DeleteSession { client }),
        2 => (client(), any::<u8>()).prop_map(|(client, part)| Act::Ack { client, part }),
        6 => Just(Act::Step),
        5 => Just(Act::Sync),
        3 => (0_u8..40).prop_map(|pieces| Act::Maintain { pieces }),
        2 => crash.prop_map(Act::Crash),
    ];
    prop::collection::vec(act, 1..150)
}

/// A submitted group, until it is answered or the machine crashes.
#[derive(Clone, Debug)]
enum Sent {
    Publish { client: u8, number: u64 },
    PutSession { client: u8, number: u64 },
    DeleteSession { client: u8 },
    Ack,
}

/// What must be, and what may be.
#[derive(Debug, Default)]
struct Model {
    /// Publishes that were answered `Stored`, by client: number and offset, in order.
    stored: BTreeMap<u8, Vec<(u64, Offset)>>,
    /// Everything that was ever submitted: number to client.
    submitted: BTreeMap<u64, u8>,
    /// The last answered state of each session: its number, or gone.
    sessions: BTreeMap<u8, Option<u64>>,
    /// Session writes of unknown outcome since that answer.
    maybe: BTreeMap<u8, BTreeSet<Option<u64>>>,
    /// How far the witness has acknowledged, by shard: answered or not.
    acked: BTreeMap<u16, Offset>,
}

struct Run {
    disk: SimFiles,
    store: Tester,
    model: Model,
    out: BTreeMap<Ticket, Sent>,
    number: u64,
    /// Numbers whose messages were answered or found, and may be trimmed since.
    seen: BTreeSet<u64>,
    /// Syncs that have not ended yet.
    slow: Vec<tidewire_store::Sync>,
}

fn client(at: u8) -> tidewire_store::SessionName {
    session(&format!("client-{at}"))
}

/// Owns everything, so that nothing is trimmed that it did not acknowledge.
fn witness() -> Owner {
    Owner::Group {
        share: "witness".into(),
        filter: "#".into(),
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = SimFiles::new(seed);
        let (mut store, _) = open(&disk);
        store.store(ShardId(0), Group::new().put_owner(&witness(), ["#"]));
        Self {
            disk,
            store,
            model: Model::default(),
            out: BTreeMap::new(),
            number: 0,
            seen: BTreeSet::new(),
            slow: Vec::new(),
        }
    }

    fn submit(&mut self, shard: ShardId, group: Group, sent: Sent) {
        let durability = Durability::Sync;
        let ticket = self.store.submit(Request::Commit {
            shard,
            durability,
            group,
        });
        self.out.insert(ticket, sent);
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Publish { client: at, len } => {
                self.number += 1;
                let number = self.number;
                let text = format!("{number} {}", "x".repeat(usize::from(*len)));
                let topic = format!("from/{at}");
                let name = client(*at);
                let id = u16::try_from(number % 60_000).unwrap() + 1;
                let group = Group::new()
                    .append(&message(&topic, &text))
                    .mark(&name, id)
                    .retain_appended(0, number);
                self.model.submitted.insert(number, *at);
                self.submit(
                    name.home(SHARDS),
                    group,
                    Sent::Publish {
                        client: *at,
                        number,
                    },
                );
            }
            Act::PutSession { client: at } => {
                self.number += 1;
                let number = self.number;
                let record = number.to_string();
                let group = Group::new().put_session(&client(*at), Expect::Any, record.as_bytes());
                self.submit(
                    client(*at).home(SHARDS),
                    group,
                    Sent::PutSession {
                        client: *at,
                        number,
                    },
                );
            }
            Act::DeleteSession { client: at } => {
                let group = Group::new().delete_session(&client(*at), Expect::Any);
                self.submit(
                    client(*at).home(SHARDS),
                    group,
                    Sent::DeleteSession { client: *at },
                );
            }
            Act::Ack { client: at, part } => self.ack(*at, *part),
            Act::Step => {
                self.store.engine.step();
                self.take();
            }
            Act::Sync => {
                for sync in self.slow.drain(..) {
                    self.store.engine.synced(sync.run());
                }
                self.store.settle();
                self.take();
            }
            Act::Maintain { pieces } => {
                for _ in 0..*pieces {
                    self.store.engine.maintain(1);
                    // The disk is slow with the logs, and quick with everything else.
                    while let Some(sync) = self.store.engine.take_sync() {
                        if format!("{sync:?}").contains("Shard") {
                            self.slow.push(sync);
                        } else {
                            self.store.engine.synced(sync.run());
                        }
                    }
                }
                self.take();
            }
            Act::Crash(crash) => self.crash(*crash),
        }
    }

    fn ack(&mut self, at: u8, part: u8) {
        let shard = client(at).home(SHARDS);
        let of_shard = |c: &u8| client(*c).home(SHARDS) == shard;
        let mut offsets: Vec<_> = self
            .model
            .stored
            .iter()
            .filter(|(c, _)| of_shard(c))
            .flat_map(|(_, all)| all.iter().map(|(_, o)| *o))
            .collect();
        offsets.sort_unstable();
        let Some(position) = offsets.get(offsets.len() * usize::from(part) / 256) else {
            return;
        };
        let highest = self.model.acked.entry(shard.0).or_default();
        *highest = (*highest).max(*position);
        let cursor = CursorState {
            position: *highest,
            acked: Vec::new(),
        };
        self.submit(
            shard,
            Group::new().put_cursor(&witness(), shard, &cursor),
            Sent::Ack,
        );
    }

    fn take(&mut self) {
        self.store.settle_answers();
        let tickets: Vec<_> = self.out.keys().copied().collect();
        for ticket in tickets {
            let Some(answer) = self.store.answer(ticket) else {
                continue;
            };
            let sent = self.out.remove(&ticket).unwrap();
            let Answer::Committed(outcome) = answer else {
                panic!("{answer:?}")
            };
            match (outcome, sent) {
                (Outcome::Stored(stored), Sent::Publish { client, number }) => {
                    self.seen.insert(number);
                    self.model
                        .stored
                        .entry(client)
                        .or_default()
                        .push((number, stored.first));
                }
                (Outcome::Stored(_), Sent::PutSession { client, number }) => {
                    self.settle_session(client, Some(number));
                }
                (Outcome::Stored(_), Sent::DeleteSession { client }) => {
                    self.settle_session(client, None);
                }
                (Outcome::Stored(_), Sent::Ack) => {}
                (outcome, sent) => panic!("{sent:?}: {outcome:?}"),
            }
        }
    }

    fn settle_session(&mut self, client: u8, state: Option<u64>) {
        self.model.sessions.insert(client, state);
        self.model.maybe.remove(&client);
    }

    fn crash(&mut self, crash: Crash) {
        for sent in std::mem::take(&mut self.out).into_values() {
            match sent {
                Sent::PutSession { client, number } => {
                    self.model
                        .maybe
                        .entry(client)
                        .or_default()
                        .insert(Some(number));
                }
                Sent::DeleteSession { client } => {
                    self.model.maybe.entry(client).or_default().insert(None);
                }
                Sent::Publish { .. } | Sent::Ack => {}
            }
        }
        self.slow.clear();
        self.disk.crash(crash);
        let (store, report) = open(&self.disk);
        self.store = store;
        if matches!(crash, Crash::Process | Crash::ForgetAll) {
            assert!(report.set_aside.is_empty(), "{report}");
        }
        self.check();
    }

    /// Everything that was answered is there, and nothing that was never submitted.
    fn check(&mut self) {
        for shard in 0..SHARDS {
            let read = self.store.read(shard, Offset::ZERO, &[]);
            assert!(read.is_sorted(), "offsets rise");
            let found: BTreeMap<Offset, (u8, u64)> =
                read.iter().map(|(at, text)| (*at, parse(text))).collect();
            let low = self.model.acked.get(&shard).copied().unwrap_or_default();
            for (client_at, all) in &self.model.stored {
                if client(*client_at).home(SHARDS).0 != shard {
                    continue;
                }
                for (number, offset) in all.iter().filter(|(_, offset)| *offset >= low) {
                    assert_eq!(
                        found.get(offset),
                        Some(&(*client_at, *number)),
                        "acknowledged and lost"
                    );
                }
            }
            let mut last: BTreeMap<u8, u64> = BTreeMap::new();
            for (client_at, number) in found.values() {
                assert_eq!(self.model.submitted.get(number), Some(client_at));
                let before = last.insert(*client_at, *number);
                assert!(before < Some(*number), "order of client {client_at}");
            }
            self.check_groups(shard, &found);
        }
        for at in 0..CLIENTS {
            let state = self.store.session(&client(at));
            let now = state.map(|s| String::from_utf8_lossy(&s.record).parse::<u64>().unwrap());
            let known = self.model.sessions.get(&at).copied().flatten();
            let maybe = self
                .model
                .maybe
                .get(&at)
                .is_some_and(|all| all.contains(&now));
            assert!(
                now == known || maybe,
                "session {at}: {now:?}, not {known:?}"
            );
            // From now on it is what it is.
            self.settle_session(at, now);
        }
    }

    /// A message is there together with what its group retained, or a later one did.
    fn check_groups(&mut self, shard: u16, found: &BTreeMap<Offset, (u8, u64)>) {
        let mut newest: BTreeMap<u8, u64> = BTreeMap::new();
        for (client_at, number) in found.values() {
            let entry = newest.entry(*client_at).or_default();
            *entry = (*entry).max(*number);
        }
        for (client_at, number) in newest {
            let page = self.store.retained(&format!("from/{client_at}"), None, 1);
            let version = page.messages.first().map(|(version, _)| *version);
            assert!(
                version >= Some(number),
                "message {number} without its retained copy"
            );
        }
        // And the other way round: nothing of a group is there without its message.
        let numbers: BTreeSet<u64> = found.values().map(|(_, number)| *number).collect();
        for (number, _) in self.store.retained("#", None, 100).messages {
            let at = self.model.submitted[&number];
            let is_here = client(at).home(SHARDS).0 == shard;
            let may_be_trimmed = self.seen.contains(&number);
            assert!(
                !is_here || may_be_trimmed || numbers.contains(&number),
                "{number} is retained without its message"
            );
        }
        self.seen.extend(numbers);
    }
}

fn parse(text: &str) -> (u8, u64) {
    let (topic, payload) = text.split_once('=').unwrap();
    let client = topic.strip_prefix("from/").unwrap().parse().unwrap();
    let number = payload.split_once(' ').unwrap().0.parse().unwrap();
    (client, number)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_survives_any_crash_and_groups_are_whole(acts in acts(), seed in any::<u64>()) {
        let mut run = Run::new(seed);
        for act in &acts {
            run.act(act);
        }
        run.crash(Crash::ForgetAll);
    }
}

/// Many rounds of work with a disk that fails a sync somewhere: nothing acknowledged is lost, nothing more is
/// acknowledged by the shard.
#[test]
fn a_failed_sync_is_fatal_for_its_shard_and_never_acknowledged() {
    for syncs in 0..6 {
        let disk = SimFiles::new(syncs);
        let (mut store, _) = open(&disk);
        let name = client(0);
        let home = name.home(SHARDS);
        let away = ShardId(1 - home.0);
        store.store(home, Group::new().put_owner(&witness(), ["#"]));
        disk.set_faults(Faults {
            syncs_before_failure: Some(syncs),
            ..Faults::default()
        });
        let mut stored = Vec::new();
        let mut failed = 0;
        for at in 0..12 {
            let text = format!("{at} {}", "x".repeat(100));
            match store.commit(home, Group::new().append(&message("from/0", &text))) {
                Outcome::Stored(done) => {
                    assert_eq!(failed, 0, "acknowledged after a failed sync");
                    stored.push(done.first);
                }
                Outcome::Unavailable(_) => failed += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(failed > 0);
        // The other shard goes on.
        let other = store.store(away, Group::new().append(&message("from/1", "1 ")));
        disk.crash(Crash::ForgetAll);
        let (mut store, report) = open(&disk);
        assert!(report.is_sound(), "{report}");
        let found: Vec<_> = store
            .read(home.0, Offset::ZERO, &[])
            .into_iter()
            .map(|(at, _)| at)
            .collect();
        assert_eq!(found, stored);
        assert_eq!(store.read(away.0, Offset::ZERO, &[])[0].0, other.first);
        store.store(home, Group::new().append(&message("from/0", "13 ")));
    }
}

#[test]
fn a_full_disk_is_unavailable_until_there_is_space() {
    let disk = SimFiles::new(3);
    let (mut store, _) = open(&disk);
    let name = client(0);
    let home = name.home(SHARDS);
    store.store(home, Group::new().put_owner(&witness(), ["#"]));
    let before = store
        .store(
            home,
            Group::new().put_session(&name, Expect::Absent, b"before"),
        )
        .version;
    disk.set_faults(Faults {
        capacity_bytes: Some(disk.used_bytes() + 2000),
        ..Faults::default()
    });
    let mut stored = Vec::new();
    let mut refused = 0;
    for at in 0..40 {
        let text = format!("{at} {}", "x".repeat(150));
        let group = Group::new().append(&message("from/0", &text)).put_session(
            &name,
            Expect::Any,
            text.as_bytes(),
        );
        match store.commit(home, group) {
            Outcome::Stored(done) => stored.push((done, text)),
            Outcome::Unavailable(tidewire_store::Unavailable::Full) => refused += 1,
            other => panic!("{other:?}"),
        }
        // What was not stored is not to be seen either.
        let state = store.session(&name).unwrap();
        let (version, record) = stored
            .last()
            .map_or((before, "before"), |(done, text)| (done.version, text));
        assert_eq!(
            (state.version, &*state.record),
            (version, record.as_bytes())
        );
    }
    assert!(refused > 10 && stored.len() > 3, "{refused} refused");
    disk.set_faults(Faults::default());
    let last = store.store(home, Group::new().append(&message("from/0", "99 ")));
    disk.crash(Crash::ForgetAll);
    let (mut store, report) = open(&disk);
    assert!(report.is_sound(), "{report}");
    let found: Vec<_> = store
        .read(home.0, Offset::ZERO, &[])
        .into_iter()
        .map(|(at, _)| at)
        .collect();
    let wanted: Vec<_> = stored
        .iter()
        .map(|(done, _)| done.first)
        .chain([last.first])
        .collect();
    assert_eq!(found, wanted);
}

/// One session that never returns does not pin the log.
#[test]
fn disk_stays_within_twice_the_live_bytes_and_a_segment_for_each_shard() {
    let disk = SimFiles::new(5);
    let (mut store, _) = open(&disk);
    let rare = Owner::Session(session("never-returns"));
    let busy = Owner::Session(session("busy"));
    store.store(
        ShardId(0),
        Group::new()
            .put_owner(&rare, ["rare/#"])
            .put_owner(&busy, ["#"]),
    );
    let mut live = 0;
    let mut wanted = Vec::new();
    for round in 0..60 {
        for at in 0..20 {
            let topic = if at == 7 { "rare/1" } else { "common/1" };
            let text = format!("{round}.{at} {}", "y".repeat(90));
            let group = Group::new().append(&message(topic, &text));
            let size = group.size_bytes() as u64;
            let stored = store.store(ShardId(0), group);
            if at == 7 {
                live += size + 20;
                wanted.push((stored.first, format!("rare/1={text}")));
            }
        }
        let Answer::Heads(heads) = store.ask(Request::Heads) else {
            panic!()
        };
        let cursor = CursorState {
            position: heads[0],
            acked: Vec::new(),
        };
        store.store(
            ShardId(0),
            Group::new().put_cursor(&busy, ShardId(0), &cursor),
        );
        store.maintain();
    }
    let Answer::Stats(stats) = store.ask(Request::Stats) else {
        panic!()
    };
    let bound = 2 * live + u64::from(SHARDS) * config().segment_bytes;
    assert!(
        stats.disk_bytes <= bound,
        "{} of {bound} bytes",
        stats.disk_bytes
    );
    assert!(stats.rewrites > 0);
    assert_eq!(store.read(0, Offset::ZERO, &["rare/#"]), wanted);
    disk.crash(Crash::ForgetAll);
    let (mut store, _) = open(&disk);
    assert_eq!(store.read(0, Offset::ZERO, &["rare/#"]), wanted);
}
