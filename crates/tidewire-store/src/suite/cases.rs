//! What every engine must do, each case with an engine of its own.

use super::{Factory, Keeps, Tester, message, owner, session};
use crate::group::{Binding, BindingStage, CursorState, Expect, Group};
use crate::message::{MessageRef, OriginRef};
use crate::names::{Offset, Owner, SessionName, ShardId, Version};
use crate::request::{Answer, Durability, Outcome, Read, Refusal, Request, SessionState};
use std::sync::Arc;
use tidewire_codec::Qos;

const SHARDS: u16 = 3;
const SHARD: ShardId = ShardId(0);

fn tester(factory: &mut dyn Factory) -> Tester {
    Tester::new(factory.open(SHARDS))
}

/// Stops the engine and opens it again, after a crash.
fn restart(factory: &mut dyn Factory, tester: Tester) -> Tester {
    drop(tester);
    factory.crash();
    Tester::new(factory.open(SHARDS))
}

/// Every field of a message comes back, and offsets rise.
pub fn messages_come_back_whole_and_in_order(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let full = MessageRef {
        topic: "a/b",
        payload: b"payload",
        properties: &[1, 2, 3],
        qos: Qos::ExactlyOnce,
        retain: true,
        expires_ms: Some(u64::MAX),
        received_ms: 77,
        origin: Some(OriginRef {
            principal: Some("alice"),
            client_id: "c1",
            listener: 3,
        }),
    };
    store.store(SHARD, Group::new().put_owner(&owner("o"), ["#"]));
    let plain = message("x", "");
    let first = store.store(SHARD, Group::new().append(&full).append(&plain));
    let second = store.store(SHARD, Group::new().append(&plain));
    let page = store.page(Read {
        shard: SHARD,
        from: Offset::ZERO,
        filters: Arc::new([]),
        most: 10,
        most_bytes: 1000,
        now_ms: 0,
    });
    let got: Vec<_> = page.messages.iter().map(|(at, m)| (*at, m.get())).collect();
    assert_eq!(
        got,
        [
            (first.first, full),
            (first.first.next(), plain),
            (second.first, plain)
        ]
    );
    assert!(second.first > first.first.next());
    assert!(page.at_head && page.next > second.first);
    // Another shard has none of it.
    assert_eq!(store.read(1, Offset::ZERO, &[]), []);
}

/// Pages end where they were asked to, and go on where they ended; filters pick.
pub fn reads_are_paged_and_filtered(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    store.store(SHARD, Group::new().put_owner(&owner("o"), ["#"]));
    let mut wanted = Vec::new();
    for at in 0..40 {
        let (topic, payload) = (format!("t/{}", at % 3), at.to_string());
        let stored = store.store(SHARD, Group::new().append(&message(&topic, &payload)));
        wanted.push((stored.first, format!("{topic}={payload}")));
    }
    assert_eq!(store.read(0, Offset::ZERO, &[]), wanted);
    let some: Vec<_> = wanted
        .iter()
        .filter(|(_, text)| !text.starts_with("t/2"))
        .cloned()
        .collect();
    assert_eq!(store.read(0, Offset::ZERO, &["t/0", "+/1"]), some);
    assert_eq!(store.read(0, wanted[30].0, &["#"]), wanted[30..]);
    assert_eq!(store.read(0, Offset::ZERO, &["none"]), []);
}

/// A message is not read after its expiry.
pub fn expired_messages_are_left_out(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    store.store(SHARD, Group::new().put_owner(&owner("o"), ["#"]));
    let mut brief = message("t", "brief");
    brief.expires_ms = Some(store.now_ms + 10);
    store.store(SHARD, Group::new().append(&brief).retain_appended(0, 1));
    assert_eq!(store.read(0, Offset::ZERO, &[]).len(), 1);
    assert_eq!(store.retained("#", None, 9).messages.len(), 1);
    store.now_ms += 10;
    assert_eq!(store.read(0, Offset::ZERO, &[]), []);
    assert_eq!(store.retained("t", None, 9).messages, []);
}

/// A session record is written only over the version that the writer knows.
pub fn session_records_are_compared_and_swapped(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let name = SessionName::new(Some("alice"), "c");
    let home = name.home(SHARDS);
    let put = |expect, text: &str| Group::new().put_session(&name, expect, text.as_bytes());
    let first = store.store(home, put(Expect::Absent, "one")).version;
    let current = Some(first);
    assert_eq!(
        store.commit(home, put(Expect::Absent, "two")),
        Outcome::Conflict { current }
    );
    let second = store
        .store(home, put(Expect::Version(first), "two"))
        .version;
    assert!(second > first);
    let current = Some(second);
    assert_eq!(
        store.commit(home, put(Expect::Version(first), "three")),
        Outcome::Conflict { current }
    );
    let state = store.session(&name).unwrap();
    assert_eq!((state.version, &*state.record), (second, &b"two"[..]));
    // The same client id of somebody else is another session.
    assert!(store.session(&session("c")).is_none());
    store.store(
        home,
        Group::new().delete_session(&name, Expect::Version(second)),
    );
    assert!(store.session(&name).is_none());
    let again = store.store(home, put(Expect::Absent, "new")).version;
    assert!(again > second, "a version is never given twice");
}

/// A group whose fence does not hold leaves nothing behind; nor does one with a conflict in its middle.
pub fn groups_are_all_or_nothing(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let name = session("c");
    let home = name.home(SHARDS);
    store.store(home, Group::new().put_owner(&owner("o"), ["#"]));
    let version = store
        .store(home, Group::new().put_session(&name, Expect::Any, b"s"))
        .version;
    let old = Version(version.0 - 1);
    let late = Group::new()
        .append(&message("t", "lost"))
        .retain_appended(0, 1)
        .mark(&name, 7)
        .put_will(&name, b"will")
        .fence(&name, Expect::Version(old));
    let current = Some(version);
    assert_eq!(store.commit(home, late), Outcome::Fenced { current });
    let conflict = Group::new()
        .append(&message("t", "lost"))
        .put_session(&name, Expect::Absent, b"x")
        .mark(&name, 8);
    assert_eq!(store.commit(home, conflict), Outcome::Conflict { current });
    assert_eq!(store.read(home.0, Offset::ZERO, &[]), []);
    assert_eq!(store.retained("#", None, 9).messages, []);
    let state = store.session(&name).unwrap();
    assert_eq!((&state.marks[..], &state.will), (&[][..], &None));
    let good = Group::new()
        .append(&message("t", "kept"))
        .mark(&name, 7)
        .fence(&name, Expect::Version(version));
    store.store(home, good);
    assert_eq!(store.read(home.0, Offset::ZERO, &[]).len(), 1);
    assert_eq!(store.session(&name).unwrap().marks, [7]);
}

/// What belongs to a session is taken only where it is at home; groups have limits.
pub fn what_can_never_be_stored_is_refused(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let name = session("c");
    let away = ShardId((name.home(SHARDS).0 + 1) % SHARDS);
    let refused = |why| Outcome::Refused(why);
    let put = Group::new().put_session(&name, Expect::Any, b"s");
    assert_eq!(store.commit(away, put), refused(Refusal::Misrouted));
    let nowhere = ShardId(SHARDS);
    assert_eq!(
        store.commit(nowhere, Group::new()),
        refused(Refusal::NoSuchShard)
    );
    let many = (0..257).fold(Group::new(), |group, _| group.append(&message("t", "")));
    assert_eq!(store.commit(SHARD, many), refused(Refusal::TooLarge));
}

/// Everything that is kept for a session is told, and goes with it.
pub fn a_deleted_session_takes_all_of_it_along(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let (name, other) = (session("c"), session("c2"));
    let home = name.home(SHARDS);
    let binding = Binding {
        packet_id: 9,
        shard: ShardId(1),
        offset: Offset(300),
        stage: BindingStage::Sent,
    };
    let cursor = CursorState {
        position: Offset(500),
        acked: vec![(Offset(600), Offset(700))],
    };
    let me = Owner::Session(name.clone());
    let group = Group::new()
        .put_session(&name, Expect::Absent, b"record")
        .put_owner(&me, ["a/#", "b"])
        .put_cursor(&me, ShardId(2), &cursor)
        .mark(&name, 3)
        .mark(&name, 1)
        .bind(&name, binding)
        .put_will(&name, b"will");
    let version = store.store(home, group).version;
    store.store(other.home(SHARDS), Group::new().mark(&other, 5));
    let start = CursorState {
        position: Offset(version.0 << 8),
        acked: Vec::new(),
    };
    let state = store.session(&name).unwrap();
    let wanted = SessionState {
        version,
        record: (*b"record").into(),
        marks: vec![1, 3],
        bindings: vec![binding],
        filters: Some(vec![
            ("a/#".into(), Offset(version.0 << 8)),
            ("b".into(), Offset(version.0 << 8)),
        ]),
        cursors: vec![start.clone(), start, cursor],
        will: Some((*b"will").into()),
    };
    assert_eq!(*state, wanted);
    let received = Binding {
        stage: BindingStage::Received,
        ..binding
    };
    store.store(home, Group::new().unmark(&name, 3).bind(&name, received));
    let state = store.session(&name).unwrap();
    assert_eq!((state.marks, state.bindings), (vec![1], vec![received]));
    store.store(home, Group::new().delete_session(&name, Expect::Any));
    store.store(
        home,
        Group::new().put_session(&name, Expect::Absent, b"new"),
    );
    let state = store.session(&name).unwrap();
    assert_eq!(
        (state.marks, state.bindings, state.filters),
        (vec![], vec![], None)
    );
    assert_eq!(
        state.will.as_deref(),
        Some(&b"will"[..]),
        "a will may be due later"
    );
    store.store(home, Group::new().delete_will(&name));
    assert_eq!(store.session(&name).unwrap().will, None);
}

/// An owner has each filter from the group on that stated it first, and anew if it was dropped in between.
pub fn an_owner_has_each_filter_since_it_stated_it(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let name = session("c");
    let me = Owner::Session(name.clone());
    let mut state = |filters: &[&str]| {
        let group = Group::new()
            .put_session(&name, Expect::Any, b"r")
            .put_owner(&me, filters.iter().copied());
        Offset(store.store(name.home(SHARDS), group).version.0 << 8)
    };
    let first = state(&["a", "b"]);
    state(&["a"]);
    let third = state(&["a", "b", "c"]);
    let filters = store.session(&name).unwrap().filters.unwrap();
    let wanted = [("a", first), ("b", third), ("c", third)];
    assert_eq!(
        filters,
        wanted.map(|(filter, since)| (filter.into(), since))
    );
}

/// Sessions and wills are listed page by page.
pub fn sessions_and_wills_are_listed(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let names: Vec<_> = (0..25).map(|at| session(&format!("c{at:02}"))).collect();
    for name in &names {
        let group = Group::new()
            .put_session(name, Expect::Any, b"r")
            .put_will(name, b"w");
        store.store(name.home(SHARDS), group);
    }
    let (mut listed, mut wills) = (Vec::new(), Vec::new());
    loop {
        let after = listed.last().cloned();
        let Answer::Sessions(rows) = store.ask(Request::Sessions { after, most: 10 }) else {
            panic!()
        };
        let done = rows.len() < 10;
        listed.extend(rows.into_iter().map(|(name, ..)| name));
        let after = wills.last().cloned();
        let Answer::Wills(rows) = store.ask(Request::Wills { after, most: 10 }) else {
            panic!()
        };
        wills.extend(rows.into_iter().map(|(name, _)| name));
        if done {
            break;
        }
    }
    assert_eq!(listed, names);
    assert_eq!(wills, names);
}

/// The higher version of a retained message wins, whatever comes first; an empty one is removed.
pub fn retained_messages_follow_their_versions(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let keep = |version, text| Group::new().retain(version, &message("a/b", text));
    store.store(SHARD, keep(5, "five"));
    store.store(ShardId(1), keep(4, "four"));
    let page = store.retained("a/b", None, 9);
    assert_eq!(
        (page.messages[0].0, page.messages[0].1.get().payload),
        (5, &b"five"[..])
    );
    store.store(ShardId(2), keep(6, "six"));
    assert_eq!(store.retained("a/+", None, 9).messages[0].0, 6);
    store.store(SHARD, Group::new().unretain(3, "a/b"));
    assert_eq!(store.retained("#", None, 9).messages.len(), 1);
    store.store(SHARD, Group::new().unretain(7, "a/b"));
    assert_eq!(store.retained("#", None, 9).messages.len(), 0);
}

/// Wildcards find what they match and nothing else, page by page.
pub fn retained_messages_are_found_by_filter(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let topics = ["$SYS/x", "a", "a/b", "a/b/c", "a/c", "ab", "b", "b/b"];
    for topic in topics {
        store.store(SHARD, Group::new().retain(1, &message(topic, "x")));
    }
    for filter in [
        "#",
        "+",
        "a/#",
        "a/+",
        "+/b",
        "a/b",
        "$SYS/#",
        "a/+/c",
        "nothing/#",
    ] {
        let mut found = Vec::new();
        let mut after: Option<Box<str>> = None;
        loop {
            let page = store.retained(filter, after.as_deref(), 2);
            found.extend(page.messages.iter().map(|(_, m)| m.get().topic.to_owned()));
            after = page.after;
            if after.is_none() {
                break;
            }
        }
        let wanted = topics
            .into_iter()
            .filter(|name| tidewire_codec::topic::matches(filter, name));
        assert_eq!(found, wanted.collect::<Vec<_>>(), "{filter}");
    }
}

/// What everybody is done with goes; what one is still owed stays, wherever it is.
pub fn messages_go_when_the_last_owner_is_done(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    for id in ["fast", "slow"] {
        store.store(SHARD, Group::new().put_owner(&owner(id), ["t/#"]));
    }
    let mut offsets = Vec::new();
    for at in 0..200 {
        let payload = format!("{at} {}", "x".repeat(100));
        let group = Group::new()
            .append(&message("t/1", &payload))
            .append(&message("u", "nobody"));
        offsets.push(store.store(SHARD, group).first);
    }
    let done = |position| CursorState {
        position,
        acked: Vec::new(),
    };
    store.store(
        SHARD,
        Group::new().put_cursor(&owner("fast"), SHARD, &done(offsets[150])),
    );
    let mut slow = done(offsets[20]);
    slow.acked = vec![(offsets[30], offsets[140])];
    store.store(SHARD, Group::new().put_cursor(&owner("slow"), SHARD, &slow));
    store.maintain();
    let left: Vec<_> = store
        .read(0, Offset::ZERO, &["t/#"])
        .into_iter()
        .map(|(at, _)| at)
        .collect();
    let owed: Vec<_> = (20..30).chain(140..200).map(|at| offsets[at]).collect();
    assert!(
        owed.iter().all(|at| left.contains(at)),
        "nothing owed is lost"
    );
    for id in ["fast", "slow"] {
        store.store(SHARD, Group::new().delete_owner(&owner(id)));
    }
    store.maintain();
    assert_eq!(store.read(0, Offset::ZERO, &[]), []);
}

/// What was answered `Stored` with a sync is there after a crash.
pub fn synced_groups_survive_a_crash(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let name = session("c");
    let home = name.home(SHARDS);
    store.store(
        home,
        Group::new().put_owner(&Owner::Session(name.clone()), ["#"]),
    );
    let group = Group::new()
        .put_session(&name, Expect::Absent, b"record")
        .append(&message("t", "kept"))
        .retain_appended(0, 1)
        .mark(&name, 7);
    let stored = store.store(home, group);
    for _ in 0..2 {
        store = restart(factory, store);
        if factory.keeps() == Keeps::Nothing {
            assert!(store.session(&name).is_none());
            return;
        }
        assert_eq!(
            store.read(home.0, Offset::ZERO, &[]),
            [(stored.first, "t=kept".into())]
        );
        let state = store.session(&name).unwrap();
        assert_eq!(
            (state.version, &state.marks[..]),
            (stored.version, &[7][..])
        );
        assert_eq!(store.retained("t", None, 1).messages.len(), 1);
        store.maintain();
    }
    let next = store.store(home, Group::new().append(&message("t", "next")));
    assert!(next.first > stored.first, "offsets rise over a restart");
    let late = Group::new().fence(&name, Expect::Version(Version(stored.version.0 + 1)));
    assert!(matches!(store.commit(home, late), Outcome::Fenced { .. }));
}

/// Deleted and trimmed things do not come back.
pub fn what_is_gone_stays_gone(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    let name = session("c");
    let home = name.home(SHARDS);
    store.store(
        home,
        Group::new()
            .put_session(&name, Expect::Any, b"r")
            .put_will(&name, b"w"),
    );
    store.store(home, Group::new().retain(1, &message("t", "x")));
    store.maintain();
    store.store(
        home,
        Group::new()
            .delete_session(&name, Expect::Any)
            .delete_will(&name),
    );
    store.store(home, Group::new().unretain(2, "t"));
    for round in 0..3 {
        assert!(store.session(&name).is_none(), "round {round}");
        assert_eq!(store.retained("#", None, 9).messages, [], "round {round}");
        if round == 1 {
            store.maintain();
        }
        store = restart(factory, store);
    }
}

/// Many sessions are owed one body.
pub fn one_body_serves_many_owners(factory: &mut dyn Factory) {
    let mut store = tester(factory);
    for at in 0..2000 {
        let name = format!("c{at}");
        store.submit(Request::Commit {
            shard: SHARD,
            durability: Durability::Sync,
            group: Group::new().put_owner(&owner(&name), ["fan/out"]),
        });
    }
    store.settle();
    let before = disk_bytes(&mut store);
    let body = "b".repeat(10_000);
    store.store(SHARD, Group::new().append(&message("fan/out", &body)));
    let after = disk_bytes(&mut store);
    assert!(after - before < 10_500, "{}", after - before);
    store.maintain();
    assert_eq!(store.read(0, Offset::ZERO, &["fan/#"]).len(), 1);
}

fn disk_bytes(store: &mut Tester) -> u64 {
    match store.ask(Request::Stats) {
        Answer::Stats(stats) => stats.disk_bytes,
        other => panic!("{other:?}"),
    }
}
