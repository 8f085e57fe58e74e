//! What happened, on its way to the observing handlers: a bounded queue and the thread behind it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidewire_handler::{Chain, Notice};

/// Notices that wait. Beyond it they are dropped and counted: a slow observer holds no message up and fills no memory.
const QUEUE_MAX: usize = 8192;

/// The way in.
pub(crate) struct Notices {
    queue: SyncSender<Item>,
    dropped: Arc<AtomicU64>,
    /// Closed when the thread has ended.
    ended: Mutex<Receiver<()>>,
}

enum Item {
    Notice(Notice),
    End,
}

impl Notices {
    pub(crate) fn start(chain: &Arc<Chain>) -> io::Result<Self> {
        let (queue, items) = sync_channel(QUEUE_MAX);
        let (end, ended) = sync_channel(0);
        let chain = Arc::clone(chain);
        let thread = std::thread::Builder::new().name("tidewire-observe".into());
        thread.spawn(move || {
            // Dropped with the thread, which tells whoever waits for it.
            let _end: SyncSender<()> = end;
            let mut reader = chain.reader();
            while let Ok(Item::Notice(notice)) = items.recv() {
                reader.snapshot().observe(&notice);
            }
        })?;
        Ok(Self {
            queue,
            dropped: Arc::default(),
            ended: Mutex::new(ended),
        })
    }

    pub(crate) fn send(&self, notice: Notice) {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Item::Notice(notice)) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Ends the thread behind what it has still to tell.
    pub(crate) fn finish(&self, most: Duration) {
        if self.queue.try_send(Item::End).is_ok() {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(most);
        }
    }
}
