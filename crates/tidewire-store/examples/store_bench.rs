//! Measures the durable engine beside a bare probe that appends the same bytes with the same group commit.
//!
//! `cargo run --release -p tidewire-store --example store_bench -- FOLDER [SECONDS] [SHARDS]`
//!
//! The folder must be empty and on the disk to be measured. What counts is the ratio to the probe of the same run.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use tidewire_log::{DiskFiles, Files as _};
use tidewire_store::suite::message;
use tidewire_store::{
    Answer, Config, CursorState, Durability, DurableEngine, Expect, Group, Outcome, Owner, Port,
    Read, Request, SessionName, ShardId, ThreadedStore, Ticket, home_of,
};

const BODY_BYTES: usize = 256;
const WINDOW: usize = 16;

fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().unwrap_or_else(|| "store-bench".into()));
    let seconds = args.next().and_then(|text| text.parse().ok()).unwrap_or(3);
    let shards = args.next().and_then(|text| text.parse().ok()).unwrap_or(2);
    fs::create_dir_all(&folder)?;
    let time = Duration::from_secs(seconds);
    println!(
        "| submitters | store msg/s | us CPU | syncs/s | written/body | probe msg/s | us CPU | store/probe |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for submitters in [1, 100, 1000] {
        let probe = probe(
            &folder.join(format!("probe-{submitters}")),
            submitters,
            time,
        )?;
        let store = appends(
            &folder.join(format!("store-{submitters}")),
            submitters,
            time,
            shards,
        )?;
        println!(
            "| {submitters} | {:.0} | {:.2} | {:.0} | {:.2} | {:.0} | {:.2} | {:.2} |",
            store.rate,
            store.cpu_us,
            store.syncs,
            store.amplification,
            probe.rate,
            probe.cpu_us,
            store.rate / probe.rate
        );
    }
    restart(&folder.join("restart"), shards)
}

#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    rate: f64,
    cpu_us: f64,
    syncs: f64,
    amplification: f64,
}

/// What the process has used so far: CPU seconds of all threads, and bytes handed to the disk.
fn used() -> (f64, f64) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|f| f.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let written = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok());
    ((ticks(11) + ticks(12)) / 100.0, written.unwrap_or(0.0))
}

fn resident_bytes() -> f64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = status
        .split_whitespace()
        .nth(1)
        .and_then(|f| f.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// One thread plays all submitters: each has a window of messages out, and sends one for each answer.
fn appends(folder: &Path, submitters: usize, time: Duration, shards: u16) -> io::Result<Measured> {
    let store = start(folder, shards)?;
    let (answers, incoming) = mpsc::channel();
    let port = store.port(Box::new(move |batch| {
        drop(answers.send(std::mem::take(batch)));
    }));
    let body = "b".repeat(BODY_BYTES);
    let names: Vec<String> = (0..submitters).map(|at| format!("client-{at}")).collect();
    let homes: Vec<ShardId> = names.iter().map(|name| home_of(name, shards)).collect();
    let topics: Vec<String> = names.iter().map(|name| format!("bench/{name}")).collect();
    let send = |at: usize| {
        let group = Group::new().append(&message(&topics[at], &body));
        submit(&port, at as u64, homes[at], group);
    };
    let (cpu, written) = used();
    let begun = Instant::now();
    for at in 0..submitters {
        (0..WINDOW).for_each(|_| send(at));
    }
    let (mut stored, mut out) = (0_u64, submitters * WINDOW);
    while out > 0 {
        let Ok(batch) = incoming.recv() else { break };
        for (ticket, answer) in batch {
            assert!(
                matches!(answer, Answer::Committed(Outcome::Stored(_))),
                "{answer:?}"
            );
            stored += 1;
            if begun.elapsed() < time {
                send(usize::try_from(ticket.0).unwrap_or(0));
            } else {
                out -= 1;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (cpu_after, written_after) = used();
    let count = stored as f64;
    Ok(Measured {
        rate: count / seconds,
        cpu_us: (cpu_after - cpu) * 1e6 / count,
        syncs: stats(&port, &incoming).syncs as f64 / seconds,
        amplification: (written_after - written) / (count * BODY_BYTES as f64),
    })
}

fn start(folder: &Path, shards: u16) -> io::Result<ThreadedStore> {
    let files = Arc::new(DiskFiles::open(folder)?);
    let config = Config {
        shards,
        seed: 42,
        ..Config::default()
    };
    let (engine, _) = DurableEngine::open(files, config).map_err(io::Error::other)?;
    ThreadedStore::start(Box::new(engine), usize::from(shards), 1 << 30)
}

fn submit(port: &Port, ticket: u64, shard: ShardId, group: Group) {
    let request = Request::Commit {
        shard,
        durability: Durability::Sync,
        group,
    };
    port.submit(Ticket(ticket), request)
        .expect("within the budget");
}

type Answers = mpsc::Receiver<Vec<(Ticket, Answer)>>;

fn ask(port: &Port, answers: &Answers, request: Request) -> Answer {
    port.submit(Ticket(u64::MAX), request)
        .expect("within the budget");
    loop {
        let batch = answers.recv().expect("the store runs");
        if let Some((_, answer)) = batch.into_iter().find(|(ticket, _)| ticket.0 == u64::MAX) {
            return answer;
        }
    }
}

fn stats(port: &Port, answers: &Answers) -> tidewire_store::Stats {
    match ask(port, answers, Request::Stats) {
        Answer::Stats(stats) => *stats,
        other => panic!("{other:?}"),
    }
}

/// The least that group commit can be: one thread collects what came, writes it with one call and syncs.
fn probe(folder: &Path, submitters: usize, time: Duration) -> io::Result<Measured> {
    // Preallocated as the store's segments are: without it each sync writes the file's length too.
    let file = DiskFiles::open(folder)?.create("probe")?;
    file.preallocate(4 << 30)?;
    let inbox = Arc::new((
        Mutex::new(VecDeque::<(usize, Vec<u8>)>::new()),
        Condvar::new(),
    ));
    let (answers, incoming) = mpsc::channel::<Vec<usize>>();
    let done = Arc::new(AtomicU64::new(0));
    let (theirs, ended) = (Arc::clone(&inbox), Arc::clone(&done));
    let writer = thread::spawn(move || -> io::Result<()> {
        let (mut at, mut batch) = (0, Vec::new());
        loop {
            let taken = {
                let (queue, came) = &*theirs;
                let mut queue = queue.lock().expect("not poisoned");
                while queue.is_empty() && ended.load(Ordering::SeqCst) == 0 {
                    queue = came.wait(queue).expect("not poisoned");
                }
                std::mem::take(&mut *queue)
            };
            if taken.is_empty() {
                return Ok(());
            }
            batch.clear();
            taken
                .iter()
                .for_each(|(_, body)| batch.extend_from_slice(body));
            file.write_at(&batch, at)?;
            file.sync()?;
            at += batch.len() as u64;
            drop(answers.send(taken.into_iter().map(|(who, _)| who).collect()));
        }
    });
    let send = |who| {
        let (queue, came) = &*inbox;
        queue
            .lock()
            .expect("not poisoned")
            .push_back((who, vec![b'b'; BODY_BYTES]));
        came.notify_one();
    };
    let (cpu, _) = used();
    let begun = Instant::now();
    for at in 0..submitters {
        (0..WINDOW).for_each(|_| send(at));
    }
    let (mut stored, mut out) = (0_u64, submitters * WINDOW);
    while out > 0 {
        let Ok(batch) = incoming.recv() else { break };
        for who in batch {
            stored += 1;
            if begun.elapsed() < time {
                send(who);
            } else {
                out -= 1;
            }
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    done.store(1, Ordering::SeqCst);
    inbox.1.notify_all();
    writer
        .join()
        .map_err(|_| io::Error::other("the probe's writer panicked"))??;
    fs::remove_dir_all(folder)?;
    Ok(Measured {
        rate: stored as f64 / seconds,
        cpu_us: (used().0 - cpu) * 1e6 / stored as f64,
        ..Measured::default()
    })
}

const SESSIONS: u64 = 100_000;
const QUEUED: u64 = 1_000_000;

/// 100,000 offline sessions with a filter each, 1,000,000 messages queued for them: time and memory to open, drain.
fn restart(folder: &Path, shards: u16) -> io::Result<()> {
    let store = start(folder, shards)?;
    let (answers, incoming) = mpsc::channel();
    let sink = move |batch: &mut Vec<_>| drop(answers.send(std::mem::take(batch)));
    let port = store.port(Box::new(sink));
    let begun = Instant::now();
    let body = "b".repeat(BODY_BYTES);
    let record = "r".repeat(200);
    let client = |at: u64| SessionName::new(Some("tenant"), &format!("device-{at:06}"));
    let fill = |count: u64, group: &dyn Fn(u64) -> (ShardId, Group)| {
        let (mut sent, mut got) = (0, 0);
        while got < count {
            while sent < count && sent - got < 50_000 {
                let (shard, group) = group(sent);
                submit(&port, sent, shard, group);
                sent += 1;
            }
            got += incoming.recv().map_or(count, |batch| batch.len() as u64);
        }
    };
    let session = |at: u64| {
        let name = client(at);
        let filter = format!("device/{at}/#");
        let group = Group::new()
            .put_session(&name, Expect::Any, record.as_bytes())
            .put_owner(&Owner::Session(name.clone()), [&*filter]);
        (name.home(shards), group)
    };
    let before = resident_bytes();
    fill(SESSIONS, &session);
    println!(
        "\n{SESSIONS} sessions stored in {:.1} s, {:.0} B resident each",
        begun.elapsed().as_secs_f64(),
        (resident_bytes() - before) / SESSIONS as f64
    );
    let begun = Instant::now();
    fill(QUEUED, &|at| {
        let topic = format!("device/{}/x", at % SESSIONS);
        (
            home_of(&topic, shards),
            Group::new().append(&message(&topic, &body)),
        )
    });
    println!(
        "{QUEUED} messages to distinct topics stored in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    println!(
        "{} checkpoints, {} segments rewritten",
        stats(&port, &incoming).checkpoints,
        stats(&port, &incoming).rewrites
    );
    drop(port);
    drop(store);
    let cold = fs::read_dir(folder)?.count();
    let before = resident_bytes();
    let begun = Instant::now();
    let store = start(folder, shards)?;
    println!(
        "opened {cold} files in {:.3} s, {:.0} B resident for each session",
        begun.elapsed().as_secs_f64(),
        (resident_bytes() - before) / SESSIONS as f64
    );
    let (answers, incoming) = mpsc::channel();
    let port = store.port(Box::new(move |batch| {
        drop(answers.send(std::mem::take(batch)));
    }));
    let begun = Instant::now();
    let mut drained = 0_u64;
    for shard in (0..shards).map(ShardId) {
        let mut from = tidewire_store::Offset::ZERO;
        loop {
            let read = Read {
                shard,
                from,
                filters: Arc::new([]),
                most: 1000,
                most_bytes: 1 << 20,
                now_ms: 0,
            };
            let Answer::Page(page) = ask(&port, &incoming, Request::Read(read)) else {
                return Err(io::Error::other("unreadable"));
            };
            drained += page.messages.len() as u64;
            from = page.next;
            if page.at_head {
                break;
            }
        }
    }
    println!(
        "drained {drained} in {:.2} s",
        begun.elapsed().as_secs_f64()
    );
    let cursor = CursorState::default();
    let one = Group::new().put_cursor(&Owner::Session(client(0)), ShardId(0), &cursor);
    submit(&port, 0, client(0).home(shards), one);
    let stats = stats(&port, &incoming);
    println!(
        "{} B of state in memory for each session, {:.0} MB on disk, {} segments",
        stats.state_memory_bytes / SESSIONS,
        stats.disk_bytes as f64 / 1e6,
        stats.segments
    );
    Ok(())
}
