//! What happens to a store's files: damage, other versions, backups, threads.

use std::path::Path;
use std::sync::{Arc, mpsc};
use tidewire_log::{DiskFiles, Files, Preallocation, SimFiles};
use tidewire_store::suite::{Tester, message, session};
use tidewire_store::{
    Answer, Config, Durability, DurableEngine, Expect, Group, Limits, Offset, OpenError,
    OpenReport, Outcome, Owner, Request, ShardId, ThreadedStore, Ticket, backup, check, repair,
    restore,
};

const SHARDS: u16 = 2;
const CLIENTS: usize = 4;

fn config() -> Config {
    Config {
        shards: SHARDS,
        seed: 3,
        segment_bytes: 400,
        reserve_bytes: 0,
        checkpoint_bytes: 1 << 20,
        preallocation: Preallocation::None,
        limits: Limits::default(),
    }
}

fn open(disk: &SimFiles) -> (Tester, OpenReport) {
    let (engine, report) = DurableEngine::open(Arc::new(disk.clone()), config()).unwrap();
    (Tester::new(Box::new(engine)), report)
}

fn name(at: usize) -> tidewire_store::SessionName {
    session(&format!("client-{at}"))
}

/// Sessions, owners, messages and retained ones, half of them in a checkpoint, half only in the logs.
fn fill(store: &mut Tester) {
    for at in 0..CLIENTS * 4 {
        let who = name(at % CLIENTS);
        let text = format!("{at} {}", "x".repeat(at * 7 % 50));
        let group = Group::new()
            .append(&message(&format!("t/{at}"), &text))
            .retain_appended(0, 1)
            .put_session(&who, Expect::Any, text.as_bytes())
            .put_owner(&Owner::Session(who.clone()), ["t/#"]);
        store.store(who.home(SHARDS), group);
        if at == CLIENTS * 2 {
            store.maintain();
        }
    }
}

/// Everything that can be read, one line for each thing; and whether reading met damage.
fn contents(store: &mut Tester) -> (Vec<String>, bool) {
    let (mut lines, mut damaged) = (Vec::new(), false);
    for shard in 0..SHARDS {
        let read = store.read(shard, Offset::ZERO, &[]);
        lines.extend(
            read.into_iter()
                .map(|(at, text)| format!("{shard} {} {text}", at.0)),
        );
    }
    let mut after = None;
    loop {
        let page = store.retained("#", after.as_deref(), 100);
        lines.extend(
            page.messages
                .iter()
                .map(|(_, m)| format!("retained {}", m.get().topic)),
        );
        after = page.after;
        if after.is_none() {
            break;
        }
    }
    for at in 0..CLIENTS {
        match store.ask(Request::Session(name(at))) {
            Answer::Session(Some(state)) => lines.push(format!(
                "session {at} {:?} {:?}",
                state.record, state.filters
            )),
            Answer::Session(None) => {}
            Answer::Unreadable(_) => damaged = true,
            other => panic!("{other:?}"),
        }
    }
    let Answer::Stats(stats) = store.ask(Request::Stats) else {
        panic!()
    };
    (lines, damaged || stats.damaged > 0)
}

fn filled() -> (SimFiles, Vec<String>) {
    let disk = SimFiles::new(1);
    let (mut store, _) = open(&disk);
    fill(&mut store);
    let (all, damaged) = contents(&mut store);
    assert!(!damaged && all.len() == CLIENTS * 4 * 2 + CLIENTS);
    drop(store);
    (disk, all)
}

/// Opens a damaged copy; returns how many things are lost, and whether somebody was told.
fn survive(disk: &SimFiles, all: &[String], what: &str) -> (usize, bool) {
    let (mut store, report) = open(disk);
    let (now, damaged) = contents(&mut store);
    let lost = all.iter().filter(|line| !now.contains(line)).count();
    let told = damaged || !report.is_sound() || report.torn_bytes > 0;
    // It goes on, and what it takes from now on it keeps.
    let who = name(0);
    let done = store.store(
        who.home(SHARDS),
        Group::new()
            .put_owner(&Owner::Session(who.clone()), ["#"])
            .append(&message("new", "new")),
    );
    store.maintain();
    drop(store);
    let (mut store, _) = open(disk);
    let read = store.read(who.home(SHARDS).0, done.first, &["new"]);
    assert_eq!(read, [(done.first, "new=new".to_owned())], "{what}");
    (lost, told)
}

#[test]
fn every_flipped_byte_of_every_file_is_survived_told_and_costs_little() {
    let (disk, all) = filled();
    for file in disk.names() {
        let bytes = disk.bytes(&file).unwrap();
        for at in 0..bytes.len() {
            let copy = disk.copy();
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            copy.put(&file, bad);
            let what = format!("{file} byte {at}");
            let (lost, told) = survive(&copy, &all, &what);
            assert!(lost == 0 || told, "{what}: {lost} lost and nobody told");
            // One group: a message, its retained copy, its session.
            assert!(lost <= 3, "{what}: {lost} lost");
        }
    }
}

#[test]
fn every_truncation_of_every_file_is_survived() {
    let (disk, all) = filled();
    for file in disk.names() {
        let bytes = disk.bytes(&file).unwrap();
        // The ends of the records of a log that still grows: a cut there cannot be seen.
        let is_growing = file.ends_with(".seg")
            && check(&disk)
                .unwrap()
                .files
                .iter()
                .any(|f| f.name == file && f.state == tidewire_store::FileState::Open);
        for length in 0..bytes.len() {
            let copy = disk.copy();
            copy.put(&file, bytes[..length].to_vec());
            let what = format!("{file} cut at {length}");
            let (lost, told) = survive(&copy, &all, &what);
            assert!(
                lost == 0 || told || is_growing,
                "{what}: {lost} lost and nobody told"
            );
            if file.starts_with("STORE") || file == "LOCK" {
                assert_eq!(lost, 0, "{what}");
            }
        }
    }
}

#[test]
fn repair_mends_what_check_finds() {
    let (disk, all) = filled();
    let segment = disk
        .names()
        .into_iter()
        .find(|name| name.ends_with(".seg"))
        .unwrap();
    let mut bytes = disk.bytes(&segment).unwrap();
    bytes[100] ^= 4;
    disk.put(&segment, bytes.clone());
    disk.put("STORE", vec![]);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    let found = check(&*files).unwrap();
    assert!(!found.is_sound());
    assert!(found.to_string().contains(&segment), "{found}");
    let (before, _) = repair(&files, config(), None).unwrap();
    assert_eq!(before, found);
    assert_eq!(disk.bytes(&format!("{segment}.bad")), Some(bytes));
    let after = check(&*files).unwrap();
    assert!(after.is_sound(), "{after}");
    let (mut store, report) = open(&disk);
    assert!(report.is_sound(), "{report}");
    let (now, damaged) = contents(&mut store);
    assert!(!damaged);
    let lost = all.iter().filter(|line| !now.contains(line)).count();
    assert!(lost <= 3, "{lost}");
}

#[test]
fn a_store_without_stamps_is_refused_until_its_shards_are_stated() {
    let (disk, all) = filled();
    disk.put("STORE", vec![1, 2, 3]);
    disk.put("STORE.copy", vec![]);
    let files: Arc<dyn Files> = Arc::new(disk.clone());
    assert!(matches!(
        DurableEngine::open(Arc::clone(&files), config()),
        Err(OpenError::NoStamp)
    ));
    repair(&files, config(), Some(SHARDS)).unwrap();
    let (mut store, _) = open(&disk);
    assert_eq!(contents(&mut store).0, all);
}

#[test]
fn another_version_is_refused_untouched() {
    let (disk, _) = filled();
    let mut stamp = disk.bytes("STORE").unwrap();
    stamp[8] = 2;
    let sum = tidewire_log::checksum(&stamp[..28]).to_le_bytes();
    stamp[28..].copy_from_slice(&sum);
    disk.put("STORE", stamp.clone());
    disk.put("STORE.copy", stamp);
    let before = disk.copy();
    let error = DurableEngine::open(Arc::new(disk.clone()), config()).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 2 }));
    assert_eq!(
        error.to_string(),
        "this store has format 2, this build reads format 1: use the build that wrote it; nothing was changed"
    );
    for name in before.names() {
        assert_eq!(before.bytes(&name), disk.bytes(&name), "{name}");
    }
}

#[test]
fn a_store_in_use_is_refused() {
    let disk = SimFiles::new(1);
    let first = open(&disk);
    let error = DurableEngine::open(Arc::new(disk.clone()), config()).unwrap_err();
    assert!(matches!(error, OpenError::Locked));
    drop(first);
    open(&disk);
}

#[test]
fn a_backup_is_restored() {
    let (disk, all) = filled();
    let (safe, new) = (SimFiles::new(2), SimFiles::new(3));
    backup(&disk, &safe).unwrap();
    assert!(backup(&disk, &safe).is_err(), "never over another store");
    restore(&safe, &new).unwrap();
    assert_eq!(contents(&mut open(&new).0).0, all);
    let segment = safe
        .names()
        .into_iter()
        .find(|name| name.ends_with(".seg"))
        .unwrap();
    let mut bytes = safe.bytes(&segment).unwrap();
    bytes[100] ^= 4;
    safe.put(&segment, bytes);
    let error = restore(&safe, &SimFiles::new(4)).unwrap_err();
    assert!(error.to_string().contains("nothing was restored"));
}

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format-1");

#[test]
#[ignore = "writes the fixture, once for each format"]
fn write_the_fixture() {
    let (disk, _) = filled();
    std::fs::create_dir_all(FIXTURE).unwrap();
    for name in disk.names() {
        std::fs::write(Path::new(FIXTURE).join(&name), disk.bytes(&name).unwrap()).unwrap();
    }
}

/// The directory that the first build of this format wrote still opens.
#[test]
fn the_first_format_opens() {
    let disk = SimFiles::new(1);
    for entry in std::fs::read_dir(FIXTURE).expect("the fixture is committed") {
        let entry = entry.unwrap();
        disk.put(
            &entry.file_name().into_string().unwrap(),
            std::fs::read(entry.path()).unwrap(),
        );
    }
    let (mut store, report) = open(&disk);
    assert!(report.is_sound() && report.torn_bytes == 0, "{report}");
    assert_eq!(contents(&mut store).0, filled().1);
}

fn commit(shard: ShardId, durability: Durability, text: &str) -> Request {
    Request::Commit {
        shard,
        durability,
        group: Group::new().append(&message("t", text)),
    }
}

/// Threads, a real directory, and a backup under load.
#[test]
fn threads_answer_in_order_and_back_up_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let files = Arc::new(DiskFiles::open(&folder.path().join("store")).unwrap());
    let (engine, _) = DurableEngine::open(
        files,
        Config {
            segment_bytes: 20_000,
            ..config()
        },
    )
    .unwrap();
    let store = ThreadedStore::start(Box::new(engine), 2, 1 << 20).unwrap();
    let (send, answers) = mpsc::channel();
    let port = store.port(Box::new(move |batch| {
        for answer in batch.drain(..) {
            drop(send.send(answer));
        }
    }));
    let owner = Group::new().put_owner(&Owner::Session(name(0)), ["#"]);
    let durability = Durability::Sync;
    port.submit(
        Ticket(0),
        Request::Commit {
            shard: ShardId(0),
            durability,
            group: owner,
        },
    )
    .unwrap();
    assert_eq!(answers.recv().unwrap().0, Ticket(0));
    let copy = Arc::new(DiskFiles::open(&folder.path().join("copy")).unwrap());
    let mut before = 0;
    for round in 1..=5_u64 {
        for at in 1..=200 {
            let ticket = Ticket(round * 1000 + at);
            port.submit(
                ticket,
                commit(ShardId(0), Durability::Sync, &ticket.0.to_string()),
            )
            .unwrap();
        }
        if round == 3 {
            port.submit(
                Ticket(9),
                Request::Backup(Arc::clone(&copy) as Arc<dyn Files>),
            )
            .unwrap();
        }
        for at in 1..=200 {
            loop {
                let (ticket, answer) = answers.recv().unwrap();
                if ticket == Ticket(9) {
                    assert!(
                        matches!(answer, Answer::BackedUp(Ok(bytes)) if bytes > 0),
                        "{answer:?}"
                    );
                    before += 1;
                    continue;
                }
                assert_eq!(ticket, Ticket(round * 1000 + at), "answers keep the order");
                assert!(
                    matches!(answer, Answer::Committed(Outcome::Stored(_))),
                    "{answer:?}"
                );
                break;
            }
        }
    }
    while before == 0 {
        let (ticket, answer) = answers.recv().unwrap();
        assert_eq!(ticket, Ticket(9));
        assert!(matches!(answer, Answer::BackedUp(Ok(_))), "{answer:?}");
        before += 1;
    }
    drop(port);
    drop(store);
    let (engine, report) = DurableEngine::open(copy, config()).unwrap();
    assert!(report.is_sound(), "{report}");
    let texts: Vec<_> = Tester::new(Box::new(engine))
        .read(0, Offset::ZERO, &[])
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert!(
        texts.len() >= 400,
        "all that was answered before the backup"
    );
    let wanted: Vec<_> = (1..=5)
        .flat_map(|round| (1..=200).map(move |at| format!("t={}", round * 1000 + at)))
        .collect();
    assert_eq!(
        texts,
        wanted[..texts.len()],
        "a prefix of what was published"
    );
}

#[test]
fn a_port_over_its_budget_is_told_so_and_gets_the_request_back() {
    let (engine, _) = DurableEngine::open(Arc::new(SimFiles::new(1)), config()).unwrap();
    let store = ThreadedStore::start(Box::new(engine), 1, 0).unwrap();
    let (send, answers) = mpsc::channel();
    let port = store.port(Box::new(move |batch| {
        drop(send.send(std::mem::take(batch)));
    }));
    let mut refused = 0;
    let mut taken = 0;
    for at in 0..2000 {
        match port.submit(Ticket(at), commit(ShardId(0), Durability::Os, "x")) {
            Ok(()) => taken += 1,
            Err(back) => {
                assert!(matches!(back.0, Request::Commit { .. }));
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
    let mut answered = 0;
    while answered < taken {
        answered += answers.recv().unwrap().len();
    }
    assert_eq!(answered, taken);
}

#[test]
fn a_hundred_thousand_owners_share_one_body() {
    let disk = SimFiles::new(1);
    let large = Config {
        segment_bytes: 64 << 20,
        ..config()
    };
    let (engine, _) = DurableEngine::open(Arc::new(disk.clone()), large.clone()).unwrap();
    let mut store = Tester::new(Box::new(engine));
    let owner = |at: u32| Owner::Session(session(&format!("device-{at}")));
    for at in 0..100_000 {
        store.submit(Request::Commit {
            shard: ShardId(0),
            durability: Durability::Sync,
            group: Group::new().put_owner(&owner(at), ["fan/out"]),
        });
    }
    store.settle();
    let before = disk.written_bytes();
    let done = store.store(
        ShardId(0),
        Group::new().append(&message("fan/out", &"b".repeat(10_000))),
    );
    assert!(disk.written_bytes() - before < 10_200);
    store.maintain();
    drop(store);
    let (engine, _) = DurableEngine::open(Arc::new(disk), large).unwrap();
    let mut store = Tester::new(Box::new(engine));
    assert_eq!(store.read(0, Offset::ZERO, &["fan/#"])[0].0, done.first);
    let Answer::Cursors(Some(cursors)) = store.ask(Request::Cursors(owner(0))) else {
        panic!()
    };
    assert!(cursors[0].position <= done.first);
    assert_eq!(
        store.ask(Request::Cursors(owner(100_000))),
        Answer::Cursors(None)
    );
}

#[test]
fn repair_leaves_a_sound_store_whatever_byte_was_flipped() {
    let (disk, _) = filled();
    for file in disk.names() {
        let bytes = disk.bytes(&file).unwrap();
        for at in 0..bytes.len() {
            let copy = disk.copy();
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            copy.put(&file, bad);
            let files: Arc<dyn Files> = Arc::new(copy.clone());
            repair(&files, config(), None).unwrap();
            let after = check(&*files).unwrap();
            assert!(after.is_sound(), "{file} byte {at}: {after}");
        }
    }
}
