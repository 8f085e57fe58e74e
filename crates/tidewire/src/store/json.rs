//! The results of `tidewire store` for programs.

use serde_json::{Value, json};
use std::path::Path;
use tidewire_log::Damage;
use tidewire_store::{CheckReport, FileReport, FileState, OpenReport, Stats};

/// Version of these results.
const VERSION: u32 = 1;

pub(super) fn check(folder: &Path, report: &CheckReport) -> Value {
    json!({
        "v": VERSION,
        "store": folder.display().to_string(),
        "sound": report.is_sound(),
        "shards": report.shards,
        "files": report.files.iter().map(file).collect::<Vec<_>>(),
    })
}

pub(super) fn repair(
    folder: &Path,
    before: &CheckReport,
    opened: &OpenReport,
    after: &CheckReport,
) -> Value {
    let damaged = before.files.iter().filter(|file| !file.damage.is_empty());
    let copies: Vec<_> = damaged.map(|file| format!("{}.bad", file.name)).collect();
    json!({
        "v": VERSION,
        "store": folder.display().to_string(),
        "sound_before": before.is_sound(),
        "sound": after.is_sound(),
        "lost": opened.damage.iter().map(damage).collect::<Vec<_>>(),
        "set_aside": opened.set_aside,
        "copies": copies,
        "reindexed": opened.reindexed,
        "torn_bytes": opened.torn_bytes,
        "stamp_mended": opened.stamp_mended.is_some(),
    })
}

pub(super) fn stats(folder: &Path, stats: &Stats) -> Value {
    let figures = figures(stats).into_iter();
    let figures: serde_json::Map<_, _> = figures
        .map(|(name, figure)| (name.to_owned(), figure.into()))
        .collect();
    json!({ "v": VERSION, "store": folder.display().to_string(), "stats": figures })
}

pub(super) fn copied(from: &Path, to: &Path, bytes: u64) -> Value {
    json!({
        "v": VERSION,
        "from": from.display().to_string(),
        "to": to.display().to_string(),
        "bytes": bytes,
    })
}

/// What a store's figures are called, in the order in which they are shown.
pub(super) fn figures(stats: &Stats) -> Vec<(&'static str, u64)> {
    vec![
        ("sessions", stats.sessions),
        ("owners", stats.owners),
        ("retained", stats.retained),
        ("retained_bytes", stats.retained_bytes),
        ("disk_bytes", stats.disk_bytes),
        ("segments", stats.segments),
        ("state_memory_bytes", stats.state_memory_bytes),
        ("appended", stats.appended),
        ("groups", stats.groups),
        ("syncs", stats.syncs),
        ("checkpoints", stats.checkpoints),
        ("rewrites", stats.rewrites),
        ("damaged", stats.damaged),
        ("failed_shards", stats.failed_shards),
    ]
}

fn file(report: &FileReport) -> Value {
    json!({
        "name": report.name,
        "sound": report.is_sound(),
        "state": match report.state {
            FileState::Sealed => "sealed",
            FileState::Open => "open",
            FileState::Unreadable => "unreadable",
        },
        "size_bytes": report.size_bytes,
        "records": report.records,
        "messages": report.messages,
        "damage": report.damage.iter().map(damage).collect::<Vec<_>>(),
    })
}

fn damage(damage: &Damage) -> Value {
    json!({ "file": damage.file, "from": damage.from, "to": damage.to, "after": damage.after })
}
