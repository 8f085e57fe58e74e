//! What happened, on its way to the observing handlers: a bounded queue and the thread behind it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidewire_core::{DisconnectCause, Event, PeerFacts, SessionEnd};
use tidewire_handler as told;
use tidewire_handler::{Chain, Notice, Peer};

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

/// What the core reports, as handlers are told it.
pub(crate) fn notice(event: &Event) -> Notice {
    match event {
        Event::Connected {
            client_id,
            peer,
            version,
            session_present,
            keep_alive_secs,
        } => Notice::Connected(told::Connected {
            client_id: (&**client_id).into(),
            peer: place(peer),
            version: *version,
            session_present: *session_present,
            keep_alive_secs: *keep_alive_secs,
        }),
        Event::Refused {
            client_id,
            peer,
            reason,
            text,
        } => Notice::Refused(told::Refused {
            client_id: client_id.as_deref().map(Into::into),
            peer: place(peer),
            reason: *reason,
            text: (&**text).into(),
        }),
        Event::Disconnected {
            client_id,
            peer,
            cause,
            session_kept,
        } => Notice::Disconnected(told::Disconnected {
            client_id: (&**client_id).into(),
            peer: place(peer),
            cause: match cause {
                DisconnectCause::ByClient { reason } => told::DisconnectCause::Client(*reason),
                DisconnectCause::ByServer { reason, .. } => told::DisconnectCause::Server(*reason),
                DisconnectCause::Transport(_) => told::DisconnectCause::Transport,
            },
            text: cause.to_string().into(),
            session_kept: *session_kept,
        }),
        Event::SessionEnded { client_id, cause } => Notice::SessionEnded(told::SessionEnded {
            client_id: (&**client_id).into(),
            cause: match cause {
                SessionEnd::WithConnection => told::SessionEnd::WithConnection,
                SessionEnd::Expired => told::SessionEnd::Expired,
                SessionEnd::CleanStart => told::SessionEnd::CleanStart,
            },
        }),
        Event::WillPublished { client_id, topic } => Notice::WillPublished(told::WillPublished {
            client_id: (&**client_id).into(),
            topic: (&**topic).into(),
        }),
        Event::WillRefused {
            client_id,
            topic,
            reason,
        } => Notice::WillRefused(told::WillRefused {
            client_id: (&**client_id).into(),
            topic: (&**topic).into(),
            reason: *reason,
        }),
    }
}

/// The event's name and listener, to see whether a notice is worth making.
pub(crate) fn address(event: &Event) -> (Option<u16>, told::Event) {
    match event {
        Event::Connected { peer, .. } => (Some(peer.listener), told::Event::Connected),
        Event::Refused { peer, .. } => (Some(peer.listener), told::Event::Refused),
        Event::Disconnected { peer, .. } => (Some(peer.listener), told::Event::Disconnected),
        Event::SessionEnded { .. } => (None, told::Event::SessionEnded),
        Event::WillPublished { .. } => (None, told::Event::WillPublished),
        Event::WillRefused { .. } => (None, told::Event::WillRefused),
    }
}

fn place(peer: &PeerFacts) -> Peer {
    Peer {
        listener: peer.listener,
        address: (&*peer.address).into(),
    }
}
