//! What happened, on its way to the observing handlers: a bounded queue and the thread behind it.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidewire_handler::{Chain, Notice};

/// Notices that wait. Beyond it they are dropped and counted: a slow observer holds no message up and fills no memory.
const QUEUE_MAX: usize = 8192;
/// Bytes of messages in the notices that wait; beyond it they are dropped likewise.
const QUEUE_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The way in.
pub(crate) struct Notices {
    sink: Sink,
    dropped: AtomicU64,
}

/// Who tells the observing handlers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Observing {
    /// A thread of its own, behind a queue.
    Thread,
    /// Whoever reports it, on the spot: for a broker without threads.
    OnTheSpot,
}

enum Sink {
    Thread {
        queue: SyncSender<Item>,
        bytes: Arc<AtomicUsize>,
        /// Closed when the thread has ended.
        ended: Mutex<Receiver<()>>,
    },
    OnTheSpot(Arc<Chain>),
}

enum Item {
    Notice(Notice),
    End,
}

impl Notices {
    pub(crate) fn start(chain: &Arc<Chain>, observing: Observing) -> io::Result<Self> {
        let sink = match observing {
            Observing::Thread => Sink::start(Arc::clone(chain))?,
            Observing::OnTheSpot => Sink::OnTheSpot(Arc::clone(chain)),
        };
        Ok(Self {
            sink,
            dropped: AtomicU64::new(0),
        })
    }

    pub(crate) fn send(&self, notice: Notice) {
        match &self.sink {
            Sink::OnTheSpot(chain) => chain.snapshot().observe(&notice),
            Sink::Thread { queue, bytes, .. } => {
                let size = size_bytes(&notice);
                let before = bytes.fetch_add(size, Ordering::Relaxed);
                let full = size > 0 && before.saturating_add(size) > QUEUE_MAX_BYTES;
                if full
                    || matches!(
                        queue.try_send(Item::Notice(notice)),
                        Err(TrySendError::Full(_))
                    )
                {
                    bytes.fetch_sub(size, Ordering::Relaxed);
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Ends the thread behind what it has still to tell.
    pub(crate) fn finish(&self, most: Duration) {
        if let Sink::Thread { queue, ended, .. } = &self.sink
            && queue.try_send(Item::End).is_ok()
        {
            let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(most);
        }
    }
}

impl Sink {
    fn start(chain: Arc<Chain>) -> io::Result<Self> {
        let (queue, items) = sync_channel(QUEUE_MAX);
        let (end, ended) = sync_channel(0);
        let bytes: Arc<AtomicUsize> = Arc::default();
        let waiting = Arc::clone(&bytes);
        let thread = std::thread::Builder::new().name("tidewire-observe".into());
        thread.spawn(move || {
            // Dropped with the thread, which tells whoever waits for it.
            let _end: SyncSender<()> = end;
            let mut reader = chain.reader();
            while let Ok(Item::Notice(notice)) = items.recv() {
                reader.snapshot().observe(&notice);
                waiting.fetch_sub(size_bytes(&notice), Ordering::Relaxed);
            }
        })?;
        Ok(Self::Thread {
            queue,
            bytes,
            ended: Mutex::new(ended),
        })
    }
}

/// What a notice holds of a message; the others are small and bounded by their number.
fn size_bytes(notice: &Notice) -> usize {
    match notice {
        Notice::Published(told) => {
            told.publish.payload.len() + told.publish.properties.as_bytes().len()
        }
        _ => 0,
    }
}
