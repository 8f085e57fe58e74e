//! Measures the durable engine at scale: many offline sessions, many queued messages, a restart, catching up, deletes on
//! acknowledgement.
//!
//! `cargo run --release -p tidewire-store --example scale_bench -- FOLDER [SESSIONS] [MESSAGES]`
//!
//! Each phase is a process of its own, so that memory is what that phase needs. The folder must be empty and on the disk to
//! be measured.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Instant;
use tidewire_log::DiskFiles;
use tidewire_store::suite::message;
use tidewire_store::{
    Answer, Config, CursorState, Durability, DurableEngine, Expect, Group, Offset, Outcome, Owner,
    Port, Read, Request, SessionName, ShardId, Stats, ThreadedStore, Ticket, home_of,
};

const BODY_BYTES: usize = 256;
const RECORD_BYTES: usize = 200;
const SHARDS: u16 = 2;
/// Requests that are out at once.
const WINDOW: u64 = 50_000;
/// Sessions that catch up in the measurement of that.
const RESUMED: u64 = 200;

type Outcomes<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> Outcomes {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let text = |at: usize| args.get(at).map(String::as_str);
    let number = |at: usize, default| text(at).and_then(|t| t.parse().ok()).unwrap_or(default);
    let folder = Path::new(text(0).ok_or("name a folder")?);
    let (sessions, messages) = (number(1, 1_000_000), number(2, 10_000_000));
    match text(3) {
        None => all(folder, sessions, messages),
        Some("fill") => fill(folder, sessions, messages),
        Some("open") => open(folder, sessions),
        Some("catch-up") => catch_up(folder, sessions, messages),
        Some("ack") => ack(folder, sessions),
        Some(other) => Err(format!("there is no phase {other}").into()),
    }
}

fn all(folder: &Path, sessions: u64, messages: u64) -> Outcomes {
    println!(
        "{sessions} sessions, {messages} messages of {BODY_BYTES} bytes, each for one session"
    );
    for phase in ["fill", "open", "catch-up", "ack", "open"] {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(folder)
            .args([sessions.to_string(), messages.to_string()]);
        if !command.arg(phase).status()?.success() {
            return Err(format!("phase {phase} failed").into());
        }
    }
    Ok(())
}

/// A store, a way to it, and what it answers.
struct Open {
    port: Port,
    answers: mpsc::Receiver<Vec<(Ticket, Answer)>>,
    _store: ThreadedStore,
}

impl Open {
    fn new(folder: &Path) -> Outcomes<Self> {
        let files = Arc::new(DiskFiles::open(folder)?);
        let config = Config {
            shards: SHARDS,
            seed: 42,
            ..Config::default()
        };
        let (engine, _) = DurableEngine::open(files, config)?;
        let store = ThreadedStore::start(Box::new(engine), usize::from(SHARDS), 1 << 30)?;
        let (into, answers) = mpsc::channel();
        let port = store.port(Box::new(move |batch| {
            drop(into.send(std::mem::take(batch)));
        }));
        Ok(Self {
            port,
            answers,
            _store: store,
        })
    }

    fn ask(&self, request: Request) -> Outcomes<Answer> {
        self.port
            .submit(Ticket(0), request)
            .map_err(|_| "overloaded")?;
        let batch = self.answers.recv()?;
        batch
            .into_iter()
            .next()
            .map(|(_, answer)| answer)
            .ok_or_else(|| "no answer".into())
    }

    /// Commits so many groups with a sync, as fast as it goes.
    fn commit(&self, count: u64, group: impl Fn(u64) -> (ShardId, Group)) -> Outcomes {
        let (mut sent, mut got) = (0, 0);
        while got < count {
            while sent < count && sent - got < WINDOW {
                let (shard, group) = group(sent);
                let durability = Durability::Sync;
                let request = Request::Commit {
                    shard,
                    durability,
                    group,
                };
                self.port
                    .submit(Ticket(sent), request)
                    .map_err(|_| "overloaded")?;
                sent += 1;
            }
            for (_, answer) in self.answers.recv()? {
                if !matches!(answer, Answer::Committed(Outcome::Stored(_))) {
                    return Err(format!("{answer:?}").into());
                }
                got += 1;
            }
        }
        Ok(())
    }

    fn stats(&self) -> Outcomes<Stats> {
        match self.ask(Request::Stats)? {
            Answer::Stats(stats) => Ok(*stats),
            other => Err(format!("{other:?}").into()),
        }
    }
}

fn client(at: u64) -> SessionName {
    SessionName::new(Some("tenant"), &format!("device-{at:07}"))
}

fn fill(folder: &Path, sessions: u64, messages: u64) -> Outcomes {
    let store = Open::new(folder)?;
    let (body, record) = ("b".repeat(BODY_BYTES), "r".repeat(RECORD_BYTES));
    let begun = Instant::now();
    store.commit(sessions, |at| {
        let name = client(at);
        let filter = format!("device/{at}/#");
        let group = Group::new()
            .put_session(&name, Expect::Any, record.as_bytes())
            .put_owner(&Owner::Session(name.clone()), [&*filter]);
        (name.home(SHARDS), group)
    })?;
    told("sessions stored", begun, sessions);
    let begun = Instant::now();
    store.commit(messages, |at| {
        let topic = format!("device/{}/x", at % sessions.max(1));
        (
            home_of(&topic, SHARDS),
            Group::new().append(&message(&topic, &body)),
        )
    })?;
    told("messages queued", begun, messages);
    state(&store.stats()?, sessions);
    Ok(())
}

fn open(folder: &Path, sessions: u64) -> Outcomes {
    let begun = Instant::now();
    let store = Open::new(folder)?;
    println!("opened in {:.2} s", begun.elapsed().as_secs_f64());
    state(&store.stats()?, sessions);
    Ok(())
}

/// Some sessions, spread over all, each read all that waits for them.
fn catch_up(folder: &Path, sessions: u64, messages: u64) -> Outcomes {
    let store = Open::new(folder)?;
    let (mut found, read_before) = (0, read_bytes());
    let begun = Instant::now();
    let resumed = RESUMED.min(sessions);
    for at in 0..resumed {
        let device = at * (sessions / resumed.max(1));
        let filters: Arc<[Box<str>]> = [format!("device/{device}/#").into()].into();
        for shard in (0..SHARDS).map(ShardId) {
            let mut from = Offset::ZERO;
            loop {
                let read = Read {
                    shard,
                    from,
                    filters: Arc::clone(&filters),
                    most: 1000,
                    most_bytes: 1 << 20,
                    now_ms: 0,
                };
                let Answer::Page(page) = store.ask(Request::Read(read))? else {
                    return Err("unreadable".into());
                };
                found += page.messages.len() as u64;
                from = page.next;
                if page.at_head {
                    break;
                }
            }
        }
    }
    let due = messages / sessions.max(1) * resumed;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{resumed} sessions caught up: {found} of {due} messages, {:.2} ms and {:.2} MB read each",
        seconds * 1e3 / resumed as f64,
        (read_bytes() - read_before) / 1e6 / resumed as f64
    );
    Ok(())
}

/// Every session is done with all that it was owed; then the space is given back.
fn ack(folder: &Path, sessions: u64) -> Outcomes {
    let store = Open::new(folder)?;
    let Answer::Heads(heads) = store.ask(Request::Heads)? else {
        return Err("no heads".into());
    };
    let before = store.stats()?.disk_bytes;
    let begun = Instant::now();
    store.commit(sessions, |at| {
        let name = client(at);
        let owner = Owner::Session(name.clone());
        let mut group = Group::new();
        for (shard, head) in (0..).map(ShardId).zip(&heads) {
            let cursor = CursorState {
                position: *head,
                acked: Vec::new(),
            };
            group = group.put_cursor(&owner, shard, &cursor);
        }
        (name.home(SHARDS), group)
    })?;
    told("sessions acknowledged all", begun, sessions);
    let begun = Instant::now();
    // The store's own rest begins a checkpoint after ten seconds without work.
    let mut disk = store.stats()?.disk_bytes;
    while disk > before / 2 && begun.elapsed().as_secs() < 120 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        disk = store.stats()?.disk_bytes;
    }
    println!(
        "{:.0} MB on disk before, {:.0} MB {:.0} s after the last acknowledgement",
        before as f64 / 1e6,
        disk as f64 / 1e6,
        begun.elapsed().as_secs_f64()
    );
    state(&store.stats()?, sessions);
    Ok(())
}

fn told(what: &str, begun: Instant, count: u64) {
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count} {what} in {seconds:.1} s, {:.0} a second",
        count as f64 / seconds
    );
}

fn state(stats: &Stats, sessions: u64) {
    println!(
        "  {:.0} MB resident, {} B of state in memory for each session, {:.0} MB on disk in {} segments, {} checkpoints, {} rewrites",
        resident_bytes() / 1e6,
        stats.state_memory_bytes / sessions.max(1),
        stats.disk_bytes as f64 / 1e6,
        stats.segments,
        stats.checkpoints,
        stats.rewrites
    );
}

fn resident_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status
        .split_whitespace()
        .nth(1)
        .and_then(|f| f.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// Bytes that this process has read, from the system's cache or the disk.
fn read_bytes() -> f64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let read = io
        .lines()
        .find_map(|line| line.strip_prefix("rchar: ")?.parse().ok());
    read.unwrap_or(0.0)
}
