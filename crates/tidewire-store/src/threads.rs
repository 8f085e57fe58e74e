//! The driver: one thread steps the engine, others wait for the disk. Nobody who submits ever waits.

use crate::engine::{Completion, Engine, PortId, Progress, Sync, Synced};
use crate::names::Ticket;
use crate::request::{Answer, Request};
use crossbeam_queue::SegQueue;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime};

/// Requests that one turn takes; the rest waits where it counts against the budget.
const TURN_REQUESTS: usize = 8192;
/// So long without work before what can be trimmed is.
const IDLE_BEFORE_CHECKPOINT: Duration = Duration::from_secs(10);

/// Takes a batch of answers, such as into a worker's mailbox; called on the engine's thread, so it must not wait. What
/// it leaves in the vector is dropped.
pub type Sink = Box<dyn Fn(&mut Vec<(Ticket, Answer)>) + Send + std::marker::Sync>;

/// An engine with its threads.
#[derive(Debug)]
pub struct ThreadedStore {
    shared: Arc<Shared>,
    shards: u16,
    threads: Vec<JoinHandle<()>>,
}

/// One caller's way to the store. Cheap to clone: all clones share the sink.
#[derive(Clone, Debug)]
pub struct Port {
    shared: Arc<Shared>,
    id: PortId,
}

/// The store has more waiting than its budget; the request comes back. Nothing of it is stored.
#[derive(Debug)]
pub struct Overloaded(pub Request);

struct Shared {
    inbox: SegQueue<(PortId, Ticket, Request)>,
    synced: SegQueue<Synced>,
    sinks: Mutex<BTreeMap<PortId, Arc<Sink>>>,
    next_port: AtomicU32,
    pending_bytes: AtomicUsize,
    max_pending_bytes: usize,
    asleep: AtomicBool,
    stopping: AtomicBool,
    /// The engine's thread, once it runs.
    thread: Mutex<Option<Thread>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.pending_bytes.load(Ordering::Relaxed);
        f.debug_struct("Shared")
            .field("pending_bytes", &pending)
            .finish_non_exhaustive()
    }
}

impl ThreadedStore {
    /// Starts an engine. `sync_threads` wait for the disk: one for each shard lets all sync at once.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(
        engine: Box<dyn Engine>,
        sync_threads: usize,
        max_pending_bytes: usize,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            inbox: SegQueue::new(),
            synced: SegQueue::new(),
            sinks: Mutex::new(BTreeMap::new()),
            next_port: AtomicU32::new(0),
            pending_bytes: AtomicUsize::new(0),
            max_pending_bytes,
            asleep: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            thread: Mutex::new(None),
        });
        let shards = engine.shards();
        let mut threads = Vec::new();
        let mut disks = Vec::new();
        for at in 0..sync_threads.max(1) {
            let (jobs, incoming) = mpsc::channel::<Sync>();
            let back = Arc::clone(&shared);
            let run = move || {
                for job in incoming {
                    back.synced.push(job.run());
                    back.wake();
                }
            };
            threads.push(
                thread::Builder::new()
                    .name(format!("store-sync-{at}"))
                    .spawn(run)?,
            );
            disks.push(jobs);
        }
        let back = Arc::clone(&shared);
        let run = move || Turn::new(back, engine, disks).run();
        let thread = thread::Builder::new().name("store".into()).spawn(run)?;
        *lock(&shared.thread) = Some(thread.thread().clone());
        threads.push(thread);
        Ok(Self {
            shared,
            shards,
            threads,
        })
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards
    }

    /// A way to submit, whose answers go to `sink`.
    #[must_use]
    pub fn port(&self, sink: Sink) -> Port {
        let id = PortId(self.shared.next_port.fetch_add(1, Ordering::Relaxed));
        lock(&self.shared.sinks).insert(id, Arc::new(sink));
        Port {
            shared: Arc::clone(&self.shared),
            id,
        }
    }
}

/// Deals with everything that was submitted, then stops the threads.
impl Drop for ThreadedStore {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.wake();
        // The engine's thread first: it hangs up on the others.
        for thread in self.threads.drain(..).rev() {
            // One that panicked has said so.
            drop(thread.join());
        }
    }
}

impl Port {
    /// Submits a request; never waits.
    ///
    /// # Errors
    /// The budget is used up. The request is given back.
    pub fn submit(&self, ticket: Ticket, request: Request) -> Result<(), Overloaded> {
        let bytes = cost(&request);
        let before = self
            .shared
            .pending_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        if before > self.shared.max_pending_bytes {
            self.shared
                .pending_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            return Err(Overloaded(request));
        }
        self.shared.inbox.push((self.id, ticket, request));
        self.shared.wake();
        Ok(())
    }
}

impl Shared {
    /// Wakes the engine's thread if it sleeps.
    fn wake(&self) {
        let slept = self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst);
        if slept && let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
    }
}

/// The engine's thread.
struct Turn {
    shared: Arc<Shared>,
    engine: Box<dyn Engine>,
    disks: Vec<mpsc::Sender<Sync>>,
    next_disk: usize,
    /// Syncs that are out.
    out: usize,
    completions: Vec<Completion>,
    batches: BTreeMap<PortId, Vec<(Ticket, Answer)>>,
    last_work: Instant,
    trimmed: bool,
}

impl Turn {
    fn new(shared: Arc<Shared>, engine: Box<dyn Engine>, disks: Vec<mpsc::Sender<Sync>>) -> Self {
        Self {
            shared,
            engine,
            disks,
            next_disk: 0,
            out: 0,
            completions: Vec::new(),
            batches: BTreeMap::new(),
            last_work: Instant::now(),
            trimmed: true,
        }
    }

    fn run(mut self) {
        loop {
            let took = self.take();
            let stepped = self.engine.step();
            self.hand_out_syncs();
            self.deliver();
            let maintained = self.engine.maintain(now_ms());
            // What maintenance wants synced, and has to tell.
            self.hand_out_syncs();
            self.deliver();
            if took || stepped == Progress::More || maintained == Progress::More {
                continue;
            }
            if self.shared.stopping.load(Ordering::SeqCst) && self.out == 0 && self.is_quiet() {
                return;
            }
            self.sleep();
        }
    }

    fn take(&mut self) -> bool {
        let mut took = false;
        while let Some(done) = self.shared.synced.pop() {
            self.out -= 1;
            self.engine.synced(done);
            took = true;
        }
        for _ in 0..TURN_REQUESTS {
            let Some((port, ticket, request)) = self.shared.inbox.pop() else {
                break;
            };
            self.shared
                .pending_bytes
                .fetch_sub(cost(&request), Ordering::Relaxed);
            let is_work = matches!(request, Request::Commit { .. });
            self.engine.submit(port, ticket, request);
            // Whoever looks at figures now and then must not keep the store from resting.
            if is_work {
                self.last_work = Instant::now();
                self.trimmed = false;
            }
            took = true;
        }
        took
    }

    fn hand_out_syncs(&mut self) {
        while let Some(sync) = self.engine.take_sync() {
            let at = self.next_disk.checked_rem(self.disks.len()).unwrap_or(0);
            self.next_disk = at + 1;
            self.out += 1;
            let Some(disk) = self.disks.get(at) else {
                continue;
            };
            if let Err(mpsc::SendError(sync)) = disk.send(sync) {
                // That thread is gone: wait here.
                self.shared.synced.push(sync.run());
            }
        }
    }

    fn deliver(&mut self) {
        self.engine.take_completions(&mut self.completions);
        if self.completions.is_empty() {
            return;
        }
        let sinks = lock(&self.shared.sinks).clone();
        for completion in std::mem::take(&mut self.completions) {
            if matches!(completion.answer, Answer::Heads(_)) {
                // It tells of what others have been answered: that must be with them first.
                self.hand_out(&sinks);
            }
            let batch = self.batches.entry(completion.port).or_default();
            batch.push((completion.ticket, completion.answer));
        }
        self.hand_out(&sinks);
    }

    fn hand_out(&mut self, sinks: &BTreeMap<PortId, Arc<Sink>>) {
        for (port, batch) in &mut self.batches {
            if let Some(sink) = sinks.get(port).filter(|_| !batch.is_empty()) {
                sink(batch);
            }
            batch.clear();
        }
    }

    fn sleep(&mut self) {
        self.shared.asleep.store(true, Ordering::SeqCst);
        if self.is_quiet() && !(self.shared.stopping.load(Ordering::SeqCst) && self.out == 0) {
            thread::park_timeout(IDLE_BEFORE_CHECKPOINT);
        }
        self.shared.asleep.store(false, Ordering::SeqCst);
        if !self.trimmed && self.last_work.elapsed() >= IDLE_BEFORE_CHECKPOINT {
            self.trimmed = true;
            self.engine.request_checkpoint();
        }
    }

    fn is_quiet(&self) -> bool {
        self.shared.inbox.is_empty() && self.shared.synced.is_empty()
    }
}

/// What a request counts against the budget: its bytes and an allowance for its keeping.
fn cost(request: &Request) -> usize {
    const KEEPING: usize = 128;
    KEEPING
        + match request {
            Request::Commit { group, .. } => group.size_bytes(),
            _ => 0,
        }
}

/// Unix time. A clock before 1970 counts as 1970: then nothing has expired.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
