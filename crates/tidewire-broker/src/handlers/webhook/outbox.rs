//! What happened, on its way to a server: a bounded queue, and the thread that empties it in batches.

use super::WebhookSettings;
use super::body;
use super::sign::Seal;
use crate::http_client::HttpClient;
use std::fmt::Write as _;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};

/// A batch that was not taken is sent again after this, then after twice as long, and so on.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest wait between two attempts.
const RETRY_MOST: Duration = Duration::from_secs(60);

/// The way in.
pub(super) struct Outbox {
    queue: Mutex<Option<mpsc::Sender<String>>>,
    shared: Arc<Shared>,
    /// Closed when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

struct Shared {
    dropped: AtomicU64,
    /// There will be no more: nothing is sent a second time.
    ending: AtomicBool,
    ended: Notify,
}

struct Courier {
    client: HttpClient,
    seal: Seal,
    queue: mpsc::Receiver<String>,
    shared: Arc<Shared>,
    batch_events: usize,
    batch_time: Duration,
    /// Names the batches: who sees one twice has it already.
    run: String,
    batches: u64,
}

impl Outbox {
    pub(super) fn start(
        settings: &WebhookSettings,
        client: HttpClient,
        seal: Seal,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (sender, queue) = mpsc::channel(settings.queue_events.max(1));
        let shared = Arc::new(Shared {
            dropped: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            ended: Notify::new(),
        });
        let (end, ended) = sync_channel(0);
        let courier = Courier {
            client,
            seal,
            queue,
            shared: Arc::clone(&shared),
            batch_events: settings.batch_events.max(1),
            batch_time: settings.batch_time,
            run: run_name(),
            batches: 0,
        };
        let thread = std::thread::Builder::new().name("tidewire-webhook".into());
        thread.spawn(move || courier.run(&runtime, end))?;
        Ok(Self {
            queue: Mutex::new(Some(sender)),
            shared,
            ended: Mutex::new(ended),
        })
    }

    pub(super) fn put(&self, notice: String) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(notice).is_ok());
        if !taken {
            let dropped = self.shared.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                tracing::warn!(target: "tidewire::webhook", dropped, "too many events wait for the server: the newest are dropped");
            }
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn finish(&self, most: Duration) {
        self.close();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = ended.recv_timeout(most);
    }

    fn close(&self) {
        self.shared.ending.store(true, Ordering::SeqCst);
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.shared.ended.notify_one();
    }
}

/// Without waiting: the last owner may be a worker's thread.
impl Drop for Outbox {
    fn drop(&mut self) {
        self.close();
    }
}

impl Courier {
    fn run(mut self, runtime: &Runtime, _end: SyncSender<()>) {
        runtime.block_on(async {
            while let Some(batch) = self.next_batch().await {
                self.deliver(&batch).await;
            }
        });
    }

    /// The next events, as many as there are within the time for a batch; `None` = there will be no more.
    async fn next_batch(&mut self) -> Option<Vec<String>> {
        let mut batch = vec![self.queue.recv().await?];
        let deadline = (Instant::now() + self.batch_time).into();
        while batch.len() < self.batch_events {
            match timeout_at(deadline, self.queue.recv()).await {
                Ok(Some(notice)) => batch.push(notice),
                Ok(None) | Err(_) => break,
            }
        }
        Some(batch)
    }

    async fn deliver(&mut self, batch: &[String]) {
        self.batches += 1;
        let delivery = format!("{}-{}", self.run, self.batches);
        let text = body::batch(batch);
        let mut wait = RETRY_FIRST;
        loop {
            let attempt = self.client.send(self.seal.request(&text, Some(&delivery)));
            let says = match attempt.await {
                Ok(answer) if answer.status().is_success() => return,
                Ok(answer) => format!("status {}", answer.status().as_u16()),
                Err(error) => error.to_string(),
            };
            if self.shared.ending.load(Ordering::SeqCst) {
                let lost = batch.len();
                tracing::warn!(target: "tidewire::webhook", lost, "the last events were not taken: {says}");
                return;
            }
            if wait == RETRY_FIRST {
                tracing::warn!(target: "tidewire::webhook", "events were not taken and will be sent again: {says}");
            }
            // The end of the broker ends the wait, for one last attempt.
            let _ = timeout(jittered(wait), self.shared.ended.notified()).await;
            wait = (wait * 2).min(RETRY_MOST);
        }
    }
}

/// Between half and all of it: many brokers that lost one server do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 1];
    let _ = getrandom::fill(&mut random);
    wait.mul_f64(0.5 + f64::from(random[0]) / 510.0)
}

fn run_name() -> String {
    let mut random = [0; 8];
    // Without randomness names repeat after a restart, which is what they are then for.
    let _ = getrandom::fill(&mut random);
    random.iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}
