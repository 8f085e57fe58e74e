//! Files that are watched: who writes them knows nothing of this process.
//!
//! Folders are watched, not files: programs write a new file and rename it over the old one, or turn a symbolic link. What a
//! folder reports is only a hint to look; a file has changed if its stamp has. A certificate and its key change one
//! after the other, so nothing is told before the folders have been quiet for a moment.

use super::signals::{Event, EventSender};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// Folders are quiet when nothing has happened in them for so long.
const QUIET: Duration = Duration::from_millis(400);
/// Folders that are never quiet are looked at after this time all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    _watcher: RecommendedWatcher,
}

/// What tells a file's version from others, as far as the file system says; `None` = it cannot be read.
type Stamp = Option<(u64, u64, Option<SystemTime>)>;

impl Watch {
    /// Watches these files; [`Event::Changed`] names those that have changed since the call.
    pub(super) fn start(files: &[PathBuf], events: EventSender) -> notify::Result<Self> {
        let stamps = files.iter().map(|file| (file.clone(), stamp(file)));
        let stamps: Vec<(PathBuf, Stamp)> = stamps.collect();
        let (hint, hints) = sync_channel(1);
        let mut watcher = notify::recommended_watcher(move |event| pass_on(event, &hint))?;
        for folder in folders(files) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || compare(stamps, &hints, &events))
            .map_err(notify::Error::io)?;
        Ok(Self { _watcher: watcher })
    }
}

/// A full channel holds a hint already.
fn pass_on(event: notify::Result<notify::Event>, hint: &SyncSender<()>) {
    if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
        let _ = hint.try_send(());
    }
}

/// The folders of the files' names, and of what these names stand for.
fn folders(files: &[PathBuf]) -> BTreeSet<PathBuf> {
    let folder = |file: &PathBuf| match file.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        parent => parent.map(Path::to_owned),
    };
    let named = files.iter().filter_map(folder);
    let meant = files
        .iter()
        .filter_map(|file| file.canonicalize().ok()?.parent().map(Path::to_owned));
    named
        .chain(meant)
        .filter(|folder| folder.is_dir())
        .collect()
}

/// Compares after every hint, until the watch is dropped.
fn compare(mut stamps: Vec<(PathBuf, Stamp)>, hints: &Receiver<()>, events: &EventSender) {
    while hints.recv().is_ok() {
        let latest = Instant::now() + LONGEST_WAIT;
        while Instant::now() < latest {
            match hints.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let mut changed = Vec::new();
        for (file, known) in &mut stamps {
            let now = stamp(file);
            if now != *known {
                *known = now;
                changed.push(file.clone());
            }
        }
        if !changed.is_empty() {
            events.send(Event::Changed(changed));
        }
    }
}

fn stamp(file: &Path) -> Stamp {
    let found = fs::metadata(file).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let number = 0;
    Some((number, found.len(), found.modified().ok()))
}

#[cfg(test)]
mod tests {
    use super::super::signals::{Event, Events};
    use super::Watch;
    use std::collections::BTreeSet;
    use std::fs;

    #[test]
    fn files_that_change_by_any_means_are_named_and_others_are_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let names = ["written", "renamed", "linked", "same", "born"];
        for name in ["written", "renamed", "target", "other", "same"] {
            fs::write(path(name), "before").expect("written");
        }
        std::os::unix::fs::symlink(path("target"), path("linked")).expect("linked");
        let events = Events::register().expect("registered");
        let files: Vec<_> = names.iter().map(|name| path(name)).collect();
        let _watch = Watch::start(&files, events.sender()).expect("watched");
        fs::write(path("unwatched"), "x").expect("written");
        fs::write(path("written"), "longer than before").expect("written");
        fs::write(path("new"), "after").expect("written");
        fs::rename(path("new"), path("renamed")).expect("renamed");
        std::os::unix::fs::symlink(path("other"), path("new link")).expect("linked");
        fs::rename(path("new link"), path("linked")).expect("turned");
        fs::write(path("born"), "x").expect("written");
        let wanted = BTreeSet::from(["written", "renamed", "linked", "born"].map(path));
        // A loaded machine may take longer than the folders must be quiet: then there are several events.
        let mut changed = BTreeSet::new();
        while !changed.is_superset(&wanted) {
            let Some(Event::Changed(files)) = events.next() else {
                panic!("no change is told");
            };
            changed.extend(files);
        }
        assert_eq!(changed, wanted);
    }
}
