//! `tidewire store` on stores in real folders, sound and damaged.

mod support;

use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::{Finished, run};
use tempfile::TempDir;
use tidewire_log::{DiskFiles, Preallocation};
use tidewire_store::suite::{Tester, message, session};
use tidewire_store::{Config, DurableEngine, Expect, Group, Owner};

/// A data directory whose store has ten sessions, a hundred messages that are owed, and ten retained ones.
fn filled() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let files = DiskFiles::open(&folder.path().join("store")).expect("a store's folder");
    let config = Config {
        segment_bytes: 2_000,
        reserve_bytes: 0,
        preallocation: Preallocation::None,
        ..Config::default()
    };
    let (engine, _) = DurableEngine::open(Arc::new(files), config).expect("a new store");
    let mut store = Tester::new(Box::new(engine));
    for at in 0..100 {
        let name = session(&format!("client-{}", at % 10));
        let topic = format!("t/{}", at % 10);
        let text = format!("message {at}");
        let group = Group::new()
            .append(&message(&topic, &text))
            .retain_appended(0, at + 1)
            .put_session(&name, Expect::Any, b"record")
            .put_owner(&Owner::Session(name.clone()), ["t/#"]);
        store.store(name.home(2), group);
        if at == 60 {
            store.maintain();
        }
    }
    folder
}

fn store(folder: &Path, arguments: &[&str]) -> Finished {
    let data = folder.display().to_string();
    run(&[&["store"], arguments, &["--data", &data]].concat())
}

fn json(folder: &Path, arguments: &[&str]) -> (Option<i32>, Json) {
    let finished = store(folder, &[arguments, &["--json"]].concat());
    let found = serde_json::from_str(&finished.stdout);
    (
        finished.code,
        found.unwrap_or_else(|error| panic!("{error}: {finished:?}")),
    )
}

/// The store's files that end so, in order.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("store")).expect("a store");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.display().to_string().ends_with(end))
        .collect();
    files.sort();
    files
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("read");
    bytes[at] ^= 0x20;
    std::fs::write(file, bytes).expect("written");
}

/// Everything in a folder but the locks, to see whether it was touched.
fn image(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = files(folder, "");
    all.retain(|path| !path.ends_with("LOCK"));
    all.into_iter()
        .map(|path| (path.clone(), std::fs::read(path).expect("read")))
        .collect()
}

#[test]
fn sound_store_passes_its_check_and_is_not_touched() {
    let folder = filled();
    let before = image(folder.path());
    let shown = store(folder.path(), &["check"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.ends_with("sound\n"), "{}", shown.stdout);
    let (code, found) = json(folder.path(), &["check"]);
    assert_eq!(
        (code, &found["sound"], &found["shards"]),
        (Some(0), &true.into(), &2.into())
    );
    let messages: u64 = found["files"]
        .as_array()
        .expect("files")
        .iter()
        .filter_map(|file| file["messages"].as_u64())
        .sum();
    assert_eq!(messages, 100);
    assert_eq!(image(folder.path()), before);
}

#[test]
fn damage_is_found_named_and_mended_and_the_rest_is_kept() {
    let folder = filled();
    let segment = files(folder.path(), ".seg").remove(0);
    flip(&segment, 120);
    let name = segment.file_name().expect("a name").display().to_string();
    let shown = store(folder.path(), &["check"]);
    assert_eq!(shown.code, Some(7), "{shown:?}");
    assert!(shown.stdout.contains(&name), "{}", shown.stdout);
    assert!(
        shown.stderr.contains("tidewire store repair"),
        "{}",
        shown.stderr
    );
    let (code, found) = json(folder.path(), &["check"]);
    assert_eq!((code, &found["sound"]), (Some(7), &false.into()));

    let (code, done) = json(folder.path(), &["repair"]);
    assert_eq!((code, &done["sound"]), (Some(0), &true.into()));
    assert_eq!(done["copies"], serde_json::json!([format!("{name}.bad")]));
    let (code, _) = json(folder.path(), &["check"]);
    assert_eq!(code, Some(0));
    let (_, figures) = json(folder.path(), &["stats"]);
    assert_eq!(figures["stats"]["sessions"], 10);
    let again = store(folder.path(), &["repair"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stdout.contains("nothing to mend"), "{}", again.stdout);
}

#[test]
fn lost_stamps_need_the_number_of_shards_and_the_command_tells_it() {
    let folder = filled();
    for stamp in ["STORE", "STORE.copy"] {
        std::fs::remove_file(folder.path().join("store").join(stamp)).expect("removed");
    }
    let before = image(folder.path());
    for command in ["check", "repair", "stats"] {
        let refused = store(folder.path(), &[command]);
        assert_eq!(refused.code, Some(7), "{command}: {refused:?}");
        assert!(refused.stderr.contains("--shards 2"), "{}", refused.stderr);
    }
    assert_eq!(image(folder.path()), before);
    let (code, _) = json(folder.path(), &["repair", "--shards", "2"]);
    assert_eq!(code, Some(0));
    let (code, figures) = json(folder.path(), &["stats"]);
    assert_eq!((code, &figures["stats"]["retained"]), (Some(0), &10.into()));
}

#[test]
fn store_in_use_is_checked_but_neither_repaired_nor_copied() {
    let folder = filled();
    let files = DiskFiles::open(&folder.path().join("store")).expect("the folder");
    let (_engine, _) = DurableEngine::open(Arc::new(files), Config::default()).expect("open");
    assert_eq!(store(folder.path(), &["check"]).code, Some(0));
    let to = folder.path().join("copy").display().to_string();
    for command in [&["repair"][..], &["stats"], &["backup", &to]] {
        let refused = store(folder.path(), command);
        assert_eq!(refused.code, Some(4), "{command:?}: {refused:?}");
        assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
    }
}

#[test]
fn store_of_another_format_is_refused_untouched() {
    let folder = filled();
    for stamp in ["STORE", "STORE.copy"] {
        let path = folder.path().join("store").join(stamp);
        let mut bytes = std::fs::read(&path).expect("read");
        bytes[8] = 2;
        let sum = tidewire_log::checksum(&bytes[..28]);
        bytes[28..].copy_from_slice(&sum.to_le_bytes());
        std::fs::write(path, bytes).expect("written");
    }
    let before = image(folder.path());
    for command in ["check", "repair", "stats"] {
        let refused = store(folder.path(), &[command]);
        assert_eq!(refused.code, Some(4), "{command}: {refused:?}");
        assert!(refused.stderr.contains("format 2"), "{}", refused.stderr);
    }
    assert_eq!(image(folder.path()), before);
}

#[test]
fn backup_is_restored_into_a_new_data_directory_and_never_over_another_store() {
    let folder = filled();
    let other = tempfile::tempdir().expect("a folder");
    let backup = other.path().join("backup");
    let to = backup.display().to_string();
    assert_eq!(json(folder.path(), &["backup", &to]).0, Some(0));
    // A backup is checked where it is.
    assert_eq!(store(&backup, &["check"]).code, Some(0));
    let twice = store(folder.path(), &["backup", &to]);
    assert_eq!(twice.code, Some(4), "{twice:?}");
    let over = store(folder.path(), &["restore", &to]);
    assert_eq!(over.code, Some(4), "{over:?}");
    assert!(over.stderr.contains("not written over"), "{}", over.stderr);

    let fresh = other.path().join("data");
    assert_eq!(json(&fresh, &["restore", &to]).0, Some(0));
    let (_, was) = json(folder.path(), &["stats"]);
    let (_, is) = json(&fresh, &["stats"]);
    for figure in ["sessions", "owners", "retained", "retained_bytes"] {
        assert_eq!(is["stats"][figure], was["stats"][figure], "{figure}");
    }
    assert_eq!(is["stats"]["sessions"], 10);
}

#[test]
fn damaged_backup_is_not_restored() {
    let folder = filled();
    flip(&files(folder.path(), ".snap").remove(0), 120);
    let fresh = tempfile::tempdir().expect("a folder");
    let from = folder.path().display().to_string();
    let refused = store(fresh.path(), &["restore", &from]);
    assert_eq!(refused.code, Some(7), "{refused:?}");
    assert!(
        refused.stderr.contains("tidewire store repair"),
        "{}",
        refused.stderr
    );
    assert!(!fresh.path().join("store").exists());
}

#[test]
fn missing_store_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in [&["check"][..], &["repair"], &["stats"], &["backup", "x"]] {
        let refused = store(folder.path(), command);
        assert_eq!(refused.code, Some(4), "{command:?}: {refused:?}");
        assert!(refused.stderr.contains("--data DIR"), "{}", refused.stderr);
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 0);
}
