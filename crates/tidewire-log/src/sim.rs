//! The file layer in memory, seeded and faulty: a disk that forgets what was not synced, tears writes, fills up,
//! fails, is slow and flips bits, the same way for the same seed.

use crate::files::{File, Files, Lock};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimFiles(Arc<Mutex<Disk>>);

/// What of the unsynced writes a crash leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The process died, the machine did not: every write is there.
    Process,
    /// Power loss, the kindest: nothing unsynced is there.
    ForgetAll,
    /// Power loss: for each file the first so many writes, and some bytes of the next one.
    TearInOrder,
    /// Power loss of a disk that reorders: each write is there, or not, or in part.
    TearAnyOrder,
}

/// What goes wrong, and when. Counts say how many more calls of the kind succeed before one fails.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Syncs that succeed before one fails. What the failed one should have made durable is forgotten by the disk,
    /// although reads before a crash still show it: so real kernels behave.
    pub syncs_before_failure: Option<u64>,
    /// Writes that succeed before one fails, a part of it written.
    pub writes_before_failure: Option<u64>,
    /// Reads that succeed before one fails.
    pub reads_before_failure: Option<u64>,
    /// Bytes that fit; `None` = without end.
    pub capacity_bytes: Option<u64>,
    /// The longest that one sync takes of [`SimFiles::take_spent`]'s time; each takes a random part of it.
    pub slowest_sync: Duration,
    /// Syncs answer at once and do nothing: a disk that lies.
    pub ignores_syncs: Option<IgnoresSyncs>,
}

/// Marks a disk that acknowledges syncs without doing them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IgnoresSyncs;

#[derive(Debug)]
struct Disk {
    random: u64,
    faults: Faults,
    spent: Duration,
    syncs: u64,
    written_bytes: u64,
    /// Handles made before a crash are dead after it.
    era: u64,
    locked: bool,
    nodes: Vec<Node>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the last sync of the directory.
    pending_names: Vec<NameChange>,
}

#[derive(Debug, Default)]
struct Node {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Size(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(String, usize),
    Rename(String, String),
    Remove(String),
}

impl SimFiles {
    /// An empty disk without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk {
            random: seed,
            faults: Faults::default(),
            spent: Duration::ZERO,
            syncs: 0,
            written_bytes: 0,
            era: 0,
            locked: false,
            nodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
        })))
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.disk().faults = faults;
    }

    /// Stops everything that uses the disk: open handles fail from now on, locks are free, and of what was not synced
    /// only what `crash` says is left.
    pub fn crash(&self, crash: Crash) {
        let disk = &mut *self.disk();
        disk.era += 1;
        disk.locked = false;
        disk.faults = Faults::default();
        disk.settle_names(crash);
        let mut random = disk.random;
        for node in &mut disk.nodes {
            node.settle(crash, &mut random);
        }
        disk.random = random;
    }

    /// A second disk with what this one would show after a restart without a crash.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = Self::new(1);
        let disk = self.disk();
        for (name, node) in &disk.names {
            let bytes = disk.nodes.get(*node).map(|node| node.now.clone());
            copy.put(name, bytes.unwrap_or_default());
        }
        drop(disk);
        copy
    }

    /// All names, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.disk().names.keys().cloned().collect()
    }

    /// A file's bytes.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let disk = self.disk();
        let node = disk.names.get(name)?;
        disk.nodes.get(*node).map(|node| node.now.clone())
    }

    /// Puts a file there with these bytes, all durable: to damage it, or to bring a fixture.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut disk = self.disk();
        let node = disk.nodes.len();
        disk.nodes.push(Node {
            durable: bytes.clone(),
            now: bytes,
            pending: Vec::new(),
        });
        disk.names.insert(name.to_owned(), node);
        disk.durable_names.insert(name.to_owned(), node);
    }

    /// Virtual time that syncs took since the last call.
    #[must_use]
    pub fn take_spent(&self) -> Duration {
        std::mem::take(&mut self.disk().spent)
    }

    /// How many syncs of files there were.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.disk().syncs
    }

    /// How many bytes were written.
    #[must_use]
    pub fn written_bytes(&self) -> u64 {
        self.disk().written_bytes
    }

    /// The length of all files together.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.disk().used_bytes()
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, node: usize, era: u64) -> Arc<dyn File> {
        Arc::new(SimFile {
            disk: self.clone(),
            node,
            era,
        })
    }
}

impl Files for SimFiles {
    fn open(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let disk = self.disk();
        let node = *disk.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(node, disk.era))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn File>> {
        let mut disk = self.disk();
        let node = disk.nodes.len();
        disk.nodes.push(Node::default());
        disk.names.insert(name.to_owned(), node);
        disk.pending_names
            .push(NameChange::Set(name.to_owned(), node));
        Ok(self.handle(node, disk.era))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        let node = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        disk.names.insert(to.to_owned(), node);
        disk.pending_names
            .push(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        disk.pending_names.push(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let disk = &mut *self.disk();
        disk.pass_sync()?;
        if disk.faults.ignores_syncs.is_none() {
            disk.durable_names.clone_from(&disk.names);
            disk.pending_names.clear();
        }
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = self.disk();
        let capacity = disk.faults.capacity_bytes.unwrap_or(u64::MAX);
        Ok(capacity.saturating_sub(disk.used_bytes()))
    }

    fn lock(&self, _name: &str) -> io::Result<Box<dyn Lock>> {
        let mut disk = self.disk();
        if disk.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        disk.locked = true;
        Ok(Box::new(SimLock {
            disk: self.clone(),
            era: disk.era,
        }))
    }
}

impl Disk {
    fn used_bytes(&self) -> u64 {
        let sizes = self.names.values().filter_map(|node| self.nodes.get(*node));
        sizes.map(|node| node.now.len() as u64).sum()
    }

    fn pass_sync(&mut self) -> io::Result<()> {
        self.syncs += 1;
        let slowest = u64::try_from(self.faults.slowest_sync.as_nanos()).unwrap_or(u64::MAX);
        if slowest > 0 {
            self.spent += Duration::from_nanos(below(&mut self.random, slowest));
        }
        count_down(&mut self.faults.syncs_before_failure)
    }

    fn settle_names(&mut self, crash: Crash) {
        let kept = match crash {
            Crash::Process => self.pending_names.len(),
            Crash::ForgetAll => 0,
            Crash::TearInOrder | Crash::TearAnyOrder => {
                below_usize(&mut self.random, self.pending_names.len() + 1)
            }
        };
        for change in self.pending_names.drain(..).take(kept) {
            match change {
                NameChange::Set(name, node) => {
                    self.durable_names.insert(name, node);
                }
                NameChange::Rename(from, to) => {
                    if let Some(node) = self.durable_names.remove(&from) {
                        self.durable_names.insert(to, node);
                    }
                }
                NameChange::Remove(name) => {
                    self.durable_names.remove(&name);
                }
            }
        }
        self.names.clone_from(&self.durable_names);
    }
}

impl Node {
    fn settle(&mut self, crash: Crash, random: &mut u64) {
        let pending = std::mem::take(&mut self.pending);
        match crash {
            Crash::Process => pending
                .iter()
                .for_each(|change| change.apply(&mut self.durable)),
            Crash::ForgetAll => {}
            Crash::TearInOrder => {
                let whole = below_usize(random, pending.len() + 1);
                for change in pending.iter().take(whole) {
                    change.apply(&mut self.durable);
                }
                if let Some(torn) = pending.get(whole) {
                    torn.tear(random).apply(&mut self.durable);
                }
            }
            Crash::TearAnyOrder => {
                for change in &pending {
                    match below(random, 3) {
                        0 => {}
                        1 => change.apply(&mut self.durable),
                        _ => change.tear(random).apply(&mut self.durable),
                    }
                }
            }
        }
        self.now.clone_from(&self.durable);
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(change);
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Size(size) => file.resize(*size, 0),
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if file.len() < end {
                    file.resize(end, 0);
                }
                if let Some(place) = file.get_mut(*at..end) {
                    place.copy_from_slice(bytes);
                }
            }
        }
    }

    fn tear(&self, random: &mut u64) -> Self {
        match self {
            Self::Size(size) => Self::Size(*size),
            Self::Write { at, bytes } => {
                let kept = below_usize(random, bytes.len() + 1);
                let bytes = bytes.iter().take(kept).copied().collect();
                Self::Write { at: *at, bytes }
            }
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimFiles,
    node: usize,
    era: u64,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Disk, usize) -> io::Result<T>) -> io::Result<T> {
        let mut disk = self.disk.disk();
        if disk.era != self.era {
            return Err(io::Error::other("the simulated machine has crashed since"));
        }
        act(&mut disk, self.node)
    }

    fn resize(&self, bytes: u64, only_up: bool) -> io::Result<()> {
        self.with(|disk, node| {
            let used = disk.used_bytes();
            let capacity = disk.faults.capacity_bytes.unwrap_or(u64::MAX);
            let node = disk.nodes.get_mut(node).ok_or(io::ErrorKind::NotFound)?;
            let size = usize::try_from(bytes).map_err(io::Error::other)?;
            if only_up && size <= node.now.len() {
                return Ok(());
            }
            let more = size.saturating_sub(node.now.len()) as u64;
            if more > 0 && used + more > capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
            node.change(Change::Size(size));
            Ok(())
        })
    }
}

impl File for SimFile {
    fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<usize> {
        self.with(|disk, node| {
            count_down(&mut disk.faults.reads_before_failure)?;
            let node = disk.nodes.get(node).ok_or(io::ErrorKind::NotFound)?;
            let start = usize::try_from(at)
                .unwrap_or(usize::MAX)
                .min(node.now.len());
            let rest = node.now.get(start..).unwrap_or_default();
            let read = rest.len().min(into.len());
            if let (Some(to), Some(from)) = (into.get_mut(..read), rest.get(..read)) {
                to.copy_from_slice(from);
            }
            Ok(read)
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.with(|disk, node| {
            disk.written_bytes += bytes.len() as u64;
            let used = disk.used_bytes();
            let capacity = disk.faults.capacity_bytes.unwrap_or(u64::MAX);
            let failed = count_down(&mut disk.faults.writes_before_failure);
            let part = below_usize(&mut disk.random, bytes.len() + 1);
            let node = disk.nodes.get_mut(node).ok_or(io::ErrorKind::NotFound)?;
            let at = usize::try_from(at).map_err(io::Error::other)?;
            let write = |bytes: &[u8]| Change::Write {
                at,
                bytes: bytes.to_vec(),
            };
            if let Err(error) = failed {
                node.change(write(bytes.get(..part).unwrap_or_default()));
                return Err(error);
            }
            let more = (at + bytes.len()).saturating_sub(node.now.len()) as u64;
            if more > 0 && used + more > capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
            node.change(write(bytes));
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|disk, node| {
            let passed = disk.pass_sync();
            let ignored = disk.faults.ignores_syncs.is_some();
            let node = disk.nodes.get_mut(node).ok_or(io::ErrorKind::NotFound)?;
            match passed {
                Ok(()) if ignored => {}
                Ok(()) => {
                    for change in node.pending.drain(..) {
                        change.apply(&mut node.durable);
                    }
                }
                Err(error) => {
                    node.pending.clear();
                    return Err(error);
                }
            }
            Ok(())
        })
    }

    fn size_bytes(&self) -> io::Result<u64> {
        self.with(|disk, node| {
            let node = disk.nodes.get(node).ok_or(io::ErrorKind::NotFound)?;
            Ok(node.now.len() as u64)
        })
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.resize(bytes, false)
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.resize(bytes, true)
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimFiles,
    era: u64,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut disk = self.disk.disk();
        if disk.era == self.era {
            disk.locked = false;
        }
    }
}

fn count_down(left: &mut Option<u64>) -> io::Result<()> {
    match left {
        Some(0) => {
            *left = None;
            Err(io::Error::other("injected fault"))
        }
        Some(more) => {
            *more -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

/// splitmix64: small, and good enough to choose where things break.
fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

fn below(state: &mut u64, bound: u64) -> u64 {
    next_random(state).checked_rem(bound).unwrap_or(0)
}

fn below_usize(state: &mut u64, bound: usize) -> usize {
    usize::try_from(below(state, bound as u64)).unwrap_or(0)
}
