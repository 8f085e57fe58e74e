//! `tidewire store`: looks after the files in which a broker keeps what it owes.

pub(crate) mod arguments;
mod json;
mod place;

use crate::data_dir::DataDir;
use crate::exit::{Failure, Status};
use arguments::{Store, StoreOperation};
use place::Place;
use std::fmt::Write as _;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use tidewire_log::Preallocation;
use tidewire_store::suite::Tester;
use tidewire_store::{
    Answer, CheckReport, Config, DurableEngine, OpenError, OpenReport, Request, Stats, backup,
    check, repair, restore,
};

/// What a command found or did.
pub(crate) struct Outcome {
    /// For standard output.
    pub(crate) text: String,
    /// Why the command ends with another code than 0 although it has something to print.
    pub(crate) failure: Option<Failure>,
}

impl Outcome {
    fn done(json: bool, as_json: &serde_json::Value, text: String) -> Self {
        let text = if json { format!("{as_json}\n") } else { text };
        Self {
            text,
            failure: None,
        }
    }
}

/// Runs the command.
pub(crate) fn run(store: &Store) -> Result<Outcome, Failure> {
    let place = Place::of(store.data.as_deref())?;
    match &store.operation {
        StoreOperation::Check => run_check(&place, store.json),
        StoreOperation::Repair { shards } => run_repair(&place, *shards, store.json),
        StoreOperation::Stats => run_stats(&place, store.json),
        StoreOperation::Backup { to } => run_backup(&place, to, store.json),
        StoreOperation::Restore { from } => run_restore(&place, from, store.json),
    }
}

fn run_check(place: &Place, json: bool) -> Result<Outcome, Failure> {
    let files = place.files()?;
    let report = check(&*files).map_err(|error| place.failure(&error))?;
    let mut outcome = Outcome::done(
        json,
        &json::check(&place.folder, &report),
        format!("{}\n{report}", place.folder.display()),
    );
    if report.is_sound() {
        if !json {
            outcome.text.push_str("sound\n");
        }
        return Ok(outcome);
    }
    let shown = place.folder.display();
    outcome.failure = Some(match report.shards {
        None => place.failure(&OpenError::NoStamp),
        Some(_) => Failure::new(
            Status::Damaged,
            format!(
                "{shown} is damaged in {} of {} files\n  help: `tidewire store repair` mends what can be mended and keeps copies; so does restoring a backup",
                damaged_files(&report),
                report.files.len()
            ),
        ),
    });
    Ok(outcome)
}

fn run_repair(place: &Place, shards: Option<u16>, json: bool) -> Result<Outcome, Failure> {
    let files = place.files()?;
    let (before, opened) =
        repair(&files, config(), shards).map_err(|error| place.failure(&error))?;
    let after = check(&*files).map_err(|error| place.failure(&error))?;
    let mut text = format!("{}\n", place.folder.display());
    for file in before.files.iter().filter(|file| !file.damage.is_empty()) {
        let _ = writeln!(text, "kept aside: {}.bad", file.name);
    }
    let _ = write!(text, "{opened}");
    let nothing = before.is_sound() && opened == OpenReport::default();
    text.push_str(if nothing {
        "nothing to mend\n"
    } else {
        "sound now\n"
    });
    let as_json = json::repair(&place.folder, &before, &opened, &after);
    let mut outcome = Outcome::done(json, &as_json, text);
    if !after.is_sound() {
        let message = format!(
            "{} is still damaged in {} files\n  help: restore a backup; `tidewire store check` says what is damaged",
            place.folder.display(),
            damaged_files(&after)
        );
        outcome.failure = Some(Failure::new(Status::Damaged, message));
    }
    Ok(outcome)
}

fn run_stats(place: &Place, json: bool) -> Result<Outcome, Failure> {
    let files = place.files()?;
    let (engine, report) =
        DurableEngine::open(files, config()).map_err(|error| place.failure(&error))?;
    let Answer::Stats(stats) = Tester::new(Box::new(engine)).ask(Request::Stats) else {
        let message = "the store gave an answer it cannot mean; this is a bug: please report it";
        return Err(Failure::new(Status::Failed, message));
    };
    let text = format!("{}\n{}{report}", place.folder.display(), show_stats(&stats));
    Ok(Outcome::done(
        json,
        &json::stats(&place.folder, &stats),
        text,
    ))
}

fn run_backup(place: &Place, to: &Path, json: bool) -> Result<Outcome, Failure> {
    let files = place.files()?;
    refuse_store_in(to)?;
    let target = place::open(to)?;
    let bytes = backup(&*files, &*target).map_err(|error| place.failure(&error))?;
    let text = format!("{bytes} bytes copied to {}\n", to.display());
    Ok(Outcome::done(
        json,
        &json::copied(&place.folder, to, bytes),
        text,
    ))
}

fn run_restore(place: &Place, from: &Path, json: bool) -> Result<Outcome, Failure> {
    let source = Place::of(Some(from))?;
    let files = source.files()?;
    // Held until the store is there, so that no broker begins one in the meantime.
    let _owned = DataDir::open(&place.data)?;
    refuse_store_in(&place.folder)?;
    let report = check(&*files).map_err(|error| source.failure(&error))?;
    if !report.is_sound() {
        let message = format!(
            "the backup in {} is damaged, nothing was restored\n  help: `tidewire store repair --data {}` mends what can be mended; then restore again\n{report}",
            from.display(),
            from.display()
        );
        return Err(Failure::new(Status::Damaged, message));
    }
    let target = place::open(&place.folder)?;
    let report = restore(&*files, &*target).map_err(|error| place.failure(&error))?;
    let bytes = report.files.iter().map(|file| file.size_bytes).sum();
    let text = format!("{bytes} bytes restored to {}\n", place.folder.display());
    Ok(Outcome::done(
        json,
        &json::copied(&source.folder, &place.folder, bytes),
        text,
    ))
}

fn refuse_store_in(folder: &Path) -> Result<(), Failure> {
    if !place::holds_store(folder) {
        return Ok(());
    }
    let message = format!(
        "{} holds a store, or what an interrupted copy left of one; it is not written over\n  help: name another folder, or move that one aside",
        folder.display()
    );
    Err(Failure::new(Status::DataDir, message))
}

fn damaged_files(report: &CheckReport) -> usize {
    report.files.iter().filter(|file| !file.is_sound()).count()
}

/// For work on a store that exists: takes no space beyond what it needs.
fn config() -> Config {
    Config {
        seed: RandomState::new().hash_one("stamp"),
        reserve_bytes: 0,
        preallocation: Preallocation::None,
        ..Config::default()
    }
}

fn show_stats(stats: &Stats) -> String {
    let figures = json::figures(stats);
    let width = figures
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (name, figure) in figures {
        let _ = writeln!(text, "{name:<width$}  {figure}");
    }
    text
}
