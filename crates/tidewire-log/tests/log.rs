//! The log on a faulty disk: what it keeps, what it loses, what it says.

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewire_log::{
    AppendError, Crash, Cursor, Digest, DiskFiles, Faults, Files, Keep, Log, LogConfig, NoDigest,
    OpenError, OpenReport, Preallocation, SimFiles, Step,
};

fn config() -> LogConfig {
    LogConfig {
        name: "log".into(),
        salt: 0x5A17,
        segment_bytes: 512,
        reserve_bytes: 0,
        preallocation: Preallocation::Whole,
        digest: || Box::new(NoDigest),
    }
}

fn open(disk: &SimFiles) -> (Log, OpenReport) {
    Log::open(Arc::new(disk.clone()), config()).unwrap()
}

fn append(log: &mut Log, body: &[u8]) -> u64 {
    let seq = log.push(0, |into| into.extend_from_slice(body));
    log.write().unwrap();
    seq
}

fn read_from(log: &Log, from: u64) -> Vec<(u64, Vec<u8>)> {
    let mut cursor = Cursor::new(from);
    let mut all = Vec::new();
    while let Some(record) = cursor.next(log).unwrap() {
        all.push((record.seq, record.body.to_vec()));
    }
    all
}

fn body(at: u64) -> Vec<u8> {
    format!("record {at} {}", "x".repeat(at as usize % 40)).into_bytes()
}

/// A log of so many synced records.
fn filled(disk: &SimFiles, records: u64) -> Log {
    let (mut log, _) = open(disk);
    for at in 0..records {
        append(&mut log, &body(at));
    }
    log.sync().unwrap();
    log
}

fn expected(range: impl Iterator<Item = u64>) -> Vec<(u64, Vec<u8>)> {
    range.map(|at| (at, body(at))).collect()
}

#[test]
fn records_come_back_in_order_over_many_segments_and_a_restart() {
    let disk = SimFiles::new(1);
    let log = filled(&disk, 100);
    assert!(log.sealed().count() > 5);
    assert_eq!(read_from(&log, 0), expected(0..100));
    assert_eq!(read_from(&log, 57), expected(57..100));
    drop(log);
    disk.crash(Crash::ForgetAll);
    let (log, report) = open(&disk);
    assert_eq!(read_from(&log, 0), expected(0..100));
    assert_eq!(
        report,
        OpenReport {
            segments: report.segments,
            ..OpenReport::default()
        }
    );
    assert_eq!(log.next_seq(), 100);
}

#[test]
fn the_same_holds_in_a_real_directory() {
    let folder = tempfile::tempdir().unwrap();
    let files: Arc<dyn Files> = Arc::new(DiskFiles::open(folder.path()).unwrap());
    let (mut log, _) = Log::open(Arc::clone(&files), config()).unwrap();
    for at in 0..100 {
        append(&mut log, &body(at));
        log.sync().unwrap();
    }
    drop(log);
    let (mut log, report) = Log::open(Arc::clone(&files), config()).unwrap();
    assert!(report.is_sound());
    assert_eq!(read_from(&log, 0), expected(0..100));
    assert!(log.trim(50).unwrap() > 0);
    assert_eq!(read_from(&log, 50), expected(50..100));
    assert!(files.free_bytes().unwrap() > 0);
    let lock = files.lock("LOCK").unwrap();
    assert_eq!(
        files.lock("LOCK").unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
    drop(lock);
    drop(files.lock("LOCK").unwrap());
}

#[test]
fn a_cursor_goes_on_after_the_end_when_there_is_more() {
    let (mut log, _) = open(&SimFiles::new(1));
    let mut cursor = Cursor::new(0);
    for at in 0..60 {
        assert!(cursor.next(&log).unwrap().is_none());
        append(&mut log, &body(at));
        let record = cursor.next(&log).unwrap().unwrap();
        assert_eq!((record.seq, record.body), (at, &body(at)[..]));
    }
}

#[test]
fn a_cursor_survives_the_trim_of_what_it_stands_on() {
    let mut log = filled(&SimFiles::new(1), 100);
    let mut cursor = Cursor::new(0);
    cursor.next(&log).unwrap().unwrap();
    log.trim(60).unwrap();
    let next = cursor.next(&log).unwrap().unwrap().seq;
    assert!((30..=60).contains(&next), "{next}");
    assert_eq!(read_from(&log, 0), expected(next..100));
}

#[test]
fn a_record_larger_than_a_segment_has_one_of_its_own() {
    let disk = SimFiles::new(1);
    let mut log = filled(&disk, 5);
    let large = vec![7; 100_000];
    append(&mut log, &large);
    append(&mut log, b"after");
    log.sync().unwrap();
    disk.crash(Crash::ForgetAll);
    let (log, _) = open(&disk);
    assert_eq!(read_from(&log, 5), [(5, large), (6, b"after".to_vec())]);
}

#[test]
fn every_truncation_of_the_last_segment_keeps_the_records_before_it() {
    let disk = SimFiles::new(1);
    drop(filled(&disk, 40));
    let last = disk.names().into_iter().next_back().unwrap();
    let bytes = disk.bytes(&last).unwrap();
    for length in 0..bytes.len() {
        let copy = disk.copy();
        copy.put(&last, bytes[..length].to_vec());
        let (mut log, report) = open(&copy);
        let kept = read_from(&log, 0);
        assert_eq!(kept, expected(0..kept.len() as u64), "cut at {length}");
        assert!(report.damage.is_empty(), "cut at {length}: {report:?}");
        // What comes next neither meets nor revives what was cut.
        let seq = append(&mut log, b"next");
        log.sync().unwrap();
        copy.crash(Crash::ForgetAll);
        let (log, _) = open(&copy);
        let mut wanted = kept;
        wanted.push((seq, b"next".to_vec()));
        assert_eq!(read_from(&log, 0), wanted, "cut at {length}");
    }
}

#[test]
fn every_flipped_bit_costs_at_most_one_record_and_is_told() {
    let disk = SimFiles::new(1);
    drop(filled(&disk, 30));
    let all = expected(0..30);
    for name in disk.names() {
        let bytes = disk.bytes(&name).unwrap();
        for at in 0..bytes.len() {
            let copy = disk.copy();
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            copy.put(&name, bad);
            let (log, report) = match Log::open(Arc::new(copy), config()) {
                Ok(opened) => opened,
                Err(error) => panic!("{name} byte {at}: {error}"),
            };
            let mut cursor = Cursor::new(0);
            let mut kept = Vec::new();
            while let Some(record) = cursor.next(&log).unwrap() {
                kept.push((record.seq, record.body.to_vec()));
            }
            let lost = all.iter().filter(|record| !kept.contains(record)).count();
            assert!(kept.iter().all(|record| all.contains(record)));
            assert!(lost <= 1, "{name} byte {at}: {lost} records lost");
            let told = !report.damage.is_empty()
                || report.torn_bytes > 0
                || !cursor.take_damage().is_empty();
            assert!(lost == 0 || told, "{name} byte {at}: nobody was told");
        }
    }
}

#[test]
fn a_failed_sync_poisons_the_log_for_good() {
    let disk = SimFiles::new(1);
    let mut log = filled(&disk, 3);
    append(&mut log, b"in doubt");
    disk.set_faults(Faults {
        syncs_before_failure: Some(0),
        ..Faults::default()
    });
    assert!(matches!(log.sync(), Err(AppendError::Poisoned(_))));
    assert_eq!(log.synced_to(), 3);
    // The disk is well again, which proves nothing: no sync, no write.
    assert!(log.start_sync().is_none());
    assert!(matches!(log.sync(), Err(AppendError::Poisoned(_))));
    log.push(0, |into| into.extend_from_slice(b"more"));
    assert!(matches!(log.write(), Err(AppendError::Poisoned(_))));
    disk.crash(Crash::ForgetAll);
    let (mut log, report) = open(&disk);
    assert!(report.is_sound());
    assert_eq!(read_from(&log, 0), expected(0..3));
    append(&mut log, b"goes on");
    log.sync().unwrap();
}

#[test]
fn a_failed_write_poisons_the_log() {
    let disk = SimFiles::new(1);
    let mut log = filled(&disk, 3);
    disk.set_faults(Faults {
        writes_before_failure: Some(0),
        ..Faults::default()
    });
    log.push(0, |into| into.extend_from_slice(b"half"));
    assert!(matches!(log.write(), Err(AppendError::Poisoned(_))));
    disk.crash(Crash::Process);
    assert_eq!(read_from(&open(&disk).0, 0), expected(0..3));
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let disk = SimFiles::new(1);
    let mut log = filled(&disk, 30);
    let used = disk.used_bytes();
    disk.set_faults(Faults {
        capacity_bytes: Some(used),
        ..Faults::default()
    });
    let mut refused = 0;
    let mut stored = 30;
    for _ in 0..20 {
        log.push(0, |into| into.extend_from_slice(&[1; 200]));
        match log.write() {
            Ok(()) => stored += 1,
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                refused += 1;
            }
        }
    }
    assert!(refused > 10);
    log.trim(20).unwrap();
    let seq = append(&mut log, b"space again");
    log.sync().unwrap();
    disk.crash(Crash::ForgetAll);
    let (log, report) = open(&disk);
    assert!(report.is_sound(), "{report:?}");
    let all = read_from(&log, 0);
    assert_eq!(all.last(), Some(&(seq, b"space again".to_vec())));
    let trimmed = all.first().unwrap().0;
    assert_eq!(all.len() as u64, stored + 1 - trimmed);
}

#[test]
fn the_reserve_is_left_free() {
    let disk = SimFiles::new(1);
    disk.set_faults(Faults {
        capacity_bytes: Some(3000),
        ..Faults::default()
    });
    let limits = LogConfig {
        reserve_bytes: 1500,
        ..config()
    };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), limits).unwrap();
    loop {
        log.push(0, |into| into.extend_from_slice(&[1; 100]));
        if log.write().is_err() {
            break;
        }
    }
    assert!(disk.used_bytes() <= 1500, "{}", disk.used_bytes());
}

#[test]
fn what_is_written_while_a_sync_runs_goes_with_the_next() {
    let (mut log, _) = open(&SimFiles::new(1));
    append(&mut log, b"first");
    let job = log.start_sync().unwrap();
    append(&mut log, b"second");
    assert!(log.start_sync().is_none(), "one at a time");
    log.finish_sync(job.run()).unwrap();
    assert_eq!(log.synced_to(), 1);
    let job = log.start_sync().unwrap();
    log.finish_sync(job.run()).unwrap();
    assert_eq!(log.synced_to(), 2);
    assert!(log.start_sync().is_none(), "nothing to do");
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let disk = SimFiles::new(1);
    drop(filled(&disk, 30));
    let name = disk.names().remove(1);
    let mut bytes = disk.bytes(&name).unwrap();
    for copy in [0, 32] {
        bytes[copy + 8] = 2;
        let sum = crc32c::crc32c(&bytes[copy..copy + 28]).to_le_bytes();
        bytes[copy + 28..copy + 32].copy_from_slice(&sum);
    }
    disk.put(&name, bytes);
    let before = disk.copy();
    let error = Log::open(Arc::new(disk.clone()), config()).unwrap_err();
    assert!(matches!(error, OpenError::Version { found: 2, .. }));
    assert!(error.to_string().contains("use the build that wrote it"));
    for name in before.names() {
        assert_eq!(before.bytes(&name), disk.bytes(&name));
    }
}

#[derive(Debug, Default)]
struct Sum(u64);

impl Digest for Sum {
    fn add(&mut self, _seq: u64, body: &[u8]) {
        self.0 += body.len() as u64;
    }

    fn bytes(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }
}

#[test]
fn a_segments_digest_is_kept_and_made_anew_when_it_is_damaged() {
    let disk = SimFiles::new(1);
    let summing = LogConfig {
        digest: || Box::new(Sum::default()),
        ..config()
    };
    let (mut log, _) = Log::open(Arc::new(disk.clone()), summing.clone()).unwrap();
    for at in 0..30 {
        append(&mut log, &body(at));
    }
    log.sync().unwrap();
    let first = log.sealed().next().unwrap();
    let digest = log.digest(first.id).unwrap().unwrap();
    let wanted: u64 = (0..first.covers_to).map(|at| body(at).len() as u64).sum();
    assert_eq!(digest, wanted.to_le_bytes());
    let name = log.file_name(first.id);
    drop(log);
    let bytes = disk.bytes(&name).unwrap();
    for back in 1..=56 + 8 {
        let copy = disk.copy();
        let mut bad = bytes.clone();
        let at = bad.len() - back;
        bad[at] ^= 0x10;
        copy.put(&name, bad);
        let (log, report) = Log::open(Arc::new(copy), summing.clone()).unwrap();
        let first = log.sealed().next().unwrap();
        assert_eq!(log.digest(first.id).unwrap().unwrap(), digest, "{back}");
        assert!(report.is_sound(), "{back}: {report:?}");
    }
}

/// Rewrites the first so many segments, keeping the records that `keep` wants.
fn rewrite(log: &mut Log, count: usize, keep: impl Fn(u64) -> bool) {
    let first = log.sealed().next().unwrap().id;
    let mut rewrite = log.begin_rewrite(first, count).unwrap().unwrap();
    let mut wanted = |seq: u64, _: &[u8]| if keep(seq) { Keep::Yes } else { Keep::No };
    while rewrite.step(log, 100, &mut wanted).unwrap() == Step::More {}
    rewrite.file().sync().unwrap();
    log.finish_rewrite(&rewrite).unwrap();
}

#[test]
fn a_rewrite_keeps_sequence_numbers_and_readers_go_on() {
    let disk = SimFiles::new(1);
    let mut log = filled(&disk, 100);
    let mut cursor = Cursor::new(0);
    for _ in 0..3 {
        cursor.next(&log).unwrap().unwrap();
    }
    let covered = log.sealed().nth(3).unwrap().covers_to;
    let before = disk.used_bytes();
    rewrite(&mut log, 4, |seq| seq % 5 == 0);
    assert!(disk.used_bytes() < before);
    let keep = |seq: &u64| *seq >= covered || seq.is_multiple_of(5);
    assert_eq!(cursor.next(&log).unwrap().unwrap().seq, 5);
    assert_eq!(read_from(&log, 0), expected((0..100).filter(keep)));
    disk.crash(Crash::ForgetAll);
    let (mut log, report) = open(&disk);
    assert!(report.is_sound());
    assert_eq!(read_from(&log, 0), expected((0..100).filter(keep)));
    rewrite(&mut log, 1, |_| false);
    assert_eq!(read_from(&log, 0), expected(covered..100));
}

#[test]
fn a_crash_during_a_rewrite_leaves_the_old_or_the_new() {
    for syncs in 0..4 {
        for seed in 0..20 {
            let disk = SimFiles::new(seed);
            let mut log = filled(&disk, 60);
            let first = log.sealed().next().unwrap().id;
            let covered = log.sealed().nth(2).unwrap().covers_to;
            disk.set_faults(Faults {
                syncs_before_failure: Some(syncs),
                ..Faults::default()
            });
            let mut rewrite = log.begin_rewrite(first, 3).unwrap().unwrap();
            let mut odd = |seq: u64, _: &[u8]| if seq % 2 == 1 { Keep::Yes } else { Keep::No };
            while rewrite.step(&log, 1000, &mut odd).unwrap() == Step::More {}
            if rewrite.file().sync().is_ok() {
                drop(log.finish_rewrite(&rewrite));
            }
            disk.crash(Crash::TearAnyOrder);
            let (log, report) = open(&disk);
            assert!(report.is_sound(), "{report:?}");
            let kept = read_from(&log, 0);
            let new = expected((0..60).filter(|seq| *seq >= covered || seq % 2 == 1));
            assert!(
                kept == new || kept == expected(0..60),
                "{syncs} {seed} {kept:?}"
            );
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<u8>),
    Sync,
    Trim(u8),
    Seal,
    Crash(Crash),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let crash = prop_oneof![
        Just(Crash::Process),
        Just(Crash::ForgetAll),
        Just(Crash::TearInOrder),
        Just(Crash::TearAnyOrder),
    ];
    let act = prop_oneof![
        10 => prop::collection::vec(any::<u8>(), 0..90).prop_map(Act::Append),
        4 => Just(Act::Sync),
        1 => any::<u8>().prop_map(Act::Trim),
        1 => Just(Act::Seal),
        1 => crash.prop_map(Act::Crash),
    ];
    prop::collection::vec(act, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_was_synced_survives_any_crash(acts in acts(), seed in any::<u64>()) {
        let disk = SimFiles::new(seed);
        let (mut log, _) = open(&disk);
        let mut written = BTreeMap::new();
        let mut synced = 0;
        let mut trimmed = 0;
        let mut torn = false;
        for act in acts {
            match act {
                Act::Append(body) => {
                    let seq = append(&mut log, &body);
                    written.insert(seq, body);
                }
                Act::Sync => {
                    log.sync().unwrap();
                    synced = log.synced_to();
                }
                Act::Seal => log.seal().unwrap(),
                Act::Trim(part) => {
                    trimmed = trimmed.max(synced * u64::from(part) / 255);
                    log.trim(trimmed).unwrap();
                }
                Act::Crash(crash) => {
                    disk.crash(crash);
                    let (opened, report) = open(&disk);
                    log = opened;
                    torn |= matches!(crash, Crash::TearInOrder | Crash::TearAnyOrder);
                    if !torn {
                        prop_assert!(report.is_sound(), "{report:?}");
                    }
                    let read: BTreeMap<_, _> = read_from(&log, 0).into_iter().collect();
                    for (seq, body) in &read {
                        prop_assert_eq!(written.get(seq), Some(body));
                    }
                    for (seq, body) in written.range(trimmed..synced) {
                        prop_assert_eq!(read.get(seq), Some(body), "{} of {} synced", seq, synced);
                    }
                    prop_assert!(log.next_seq() >= synced);
                    log.sync().unwrap();
                    synced = log.synced_to();
                    written = read;
                }
            }
        }
    }
}
