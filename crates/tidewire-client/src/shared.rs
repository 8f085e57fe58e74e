//! What handles and the client's task share: one box behind one lock, and what wakes either side.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidewire_codec::{Packet, Qos, ReasonCode, Version};
use tokio::sync::{Notify, broadcast, oneshot, watch};

use crate::event::{ConnectError, DropReason, Event};
use crate::messages::Queue;
use crate::outbox::{Key, MemoryOutbox, Outbox, OutboxLimits};
use crate::protocol::{Connected, Delivery, Publish, Time};
use crate::receipt::{DeliveryError, Receipt, ReceiptCell, Rejected, Rejection};
use crate::router::SubscribeOutcome;
use crate::subscription::{Acknowledge, Subscription};

/// Names a stream and its subscription.
pub(crate) type RouteId = u64;

/// Events that a reader may be behind before it misses the oldest.
const EVENTS_KEPT: usize = 256;
/// Packets that a raw reader may be behind before it misses the oldest.
const PACKETS_KEPT: usize = 1024;

/// What happens when the outbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// `publish` waits.
    #[default]
    Block,
    /// `publish` gives the message back.
    Reject,
    /// The oldest message that was not sent makes room.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
}

/// What happens to messages of QoS 0 while there is no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OfflineQos0 {
    /// They wait in the outbox like the others.
    #[default]
    Keep,
    /// They are dropped.
    Drop,
}

/// What a handle wants of the task.
pub(crate) enum Command {
    Subscribe {
        subscription: Subscription,
        queue: Arc<Queue>,
        reply: oneshot::Sender<SubscribeOutcome>,
    },
    Unsubscribe {
        route: RouteId,
        reply: oneshot::Sender<Result<(), crate::SubscribeError>>,
    },
    UnsubscribeFilters {
        filters: Vec<Box<str>>,
        reply: oneshot::Sender<Result<(), crate::SubscribeError>>,
    },
    StreamGone(RouteId),
    Ping(oneshot::Sender<Duration>),
    Raw(Packet<'static>),
    Reauthenticate,
    Close(CloseRequest),
}

/// Flush what can be flushed until then, and say what is left.
pub(crate) struct CloseRequest {
    pub(crate) until: Instant,
    pub(crate) reply: oneshot::Sender<Vec<Publish>>,
}

/// What is known of the connection.
#[derive(Clone, Debug)]
pub(crate) enum Status {
    Connecting,
    Connected(Arc<Connected>),
    /// So many attempts have failed since the start or the last connection; this was the last one's reason.
    Failed {
        attempts: usize,
        error: Arc<ConnectError>,
    },
    Closed,
}

/// The box.
pub(crate) struct Inbox {
    pub(crate) outbox: Box<dyn Outbox>,
    pub(crate) receipts: HashMap<Key, Arc<ReceiptCell>>,
    pub(crate) commands: VecDeque<Command>,
    pub(crate) acks: Vec<(Delivery, ReasonCode)>,
    pub(crate) is_open: bool,
    is_connected: bool,
    version: Version,
    on_full: OnFull,
    offline_qos0: OfflineQos0,
}

pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    /// Wakes the task.
    pub(crate) wake: Notify,
    /// Wakes publishers that wait for room.
    pub(crate) room: Notify,
    /// The task does not read the socket because streams are full.
    pub(crate) is_paused: AtomicBool,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) packets: broadcast::Sender<Arc<Packet<'static>>>,
    pub(crate) status: watch::Sender<Status>,
    origin: Instant,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            inbox: Mutex::new(Inbox {
                outbox: Box::new(MemoryOutbox::new(OutboxLimits::default())),
                receipts: HashMap::new(),
                commands: VecDeque::new(),
                acks: Vec::new(),
                is_open: true,
                is_connected: false,
                version: Version::V5,
                on_full: OnFull::default(),
                offline_qos0: OfflineQos0::default(),
            }),
            wake: Notify::new(),
            room: Notify::new(),
            is_paused: AtomicBool::new(false),
            events: broadcast::Sender::new(EVENTS_KEPT),
            packets: broadcast::Sender::new(PACKETS_KEPT),
            status: watch::Sender::new(Status::Connecting),
            origin: Instant::now(),
        }
    }

    pub(crate) fn configure(
        &self,
        version: Version,
        outbox: Box<dyn Outbox>,
        on_full: OnFull,
        offline_qos0: OfflineQos0,
    ) {
        let mut inbox = self.lock();
        inbox.version = version;
        inbox.outbox = outbox;
        inbox.on_full = on_full;
        inbox.offline_qos0 = offline_qos0;
    }

    pub(crate) fn version(&self) -> Version {
        self.lock().version
    }

    pub(crate) fn on_full(&self) -> OnFull {
        self.lock().on_full
    }

    pub(crate) fn now(&self) -> Time {
        Time::from_duration(self.origin.elapsed())
    }

    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.origin + time.as_duration()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a message, or gives it back.
    pub(crate) fn push(&self, message: Publish) -> Result<Receipt, Rejected> {
        let cell = Arc::new(ReceiptCell::default());
        let mut inbox = self.lock();
        if let Err(fault) = message.check(inbox.version) {
            return Err(Rejected {
                message,
                why: Rejection::Invalid(fault),
            });
        }
        if !inbox.is_open {
            return Err(Rejected {
                message,
                why: Rejection::Closed,
            });
        }
        let is_dropped = message.qos == Qos::AtMostOnce
            && !inbox.is_connected
            && inbox.offline_qos0 == OfflineQos0::Drop;
        if is_dropped {
            cell.settle(Err(DeliveryError::Offline));
            return Ok(Receipt::new(cell));
        }
        match inbox.outbox.push(self.now(), message) {
            Ok(key) => drop(inbox.receipts.insert(key, Arc::clone(&cell))),
            Err(message) => self.overflow(&mut inbox, message, &cell)?,
        }
        drop(inbox);
        self.wake.notify_one();
        Ok(Receipt::new(cell))
    }

    fn overflow(
        &self,
        inbox: &mut Inbox,
        message: Publish,
        cell: &Arc<ReceiptCell>,
    ) -> Result<(), Rejected> {
        let mut message = message;
        if inbox.outbox.failure().is_some() {
            let why = Rejection::Storage;
            return Err(Rejected { message, why });
        }
        loop {
            match inbox.on_full {
                OnFull::Block | OnFull::Reject => {
                    let why = Rejection::Full;
                    return Err(Rejected { message, why });
                }
                OnFull::DropNewest => {
                    self.dropped(Arc::clone(&message.topic), DropReason::OutboxFull);
                    cell.settle(Err(DeliveryError::Dropped));
                    return Ok(());
                }
                OnFull::DropOldest => {
                    let Some((key, oldest)) = inbox.outbox.drop_oldest() else {
                        // Everything in it has been sent and waits for its acknowledgement.
                        let why = Rejection::Full;
                        return Err(Rejected { message, why });
                    };
                    inbox.settle(key, Err(DeliveryError::Dropped));
                    self.dropped(oldest.topic, DropReason::OutboxFull);
                    match inbox.outbox.push(self.now(), message) {
                        Ok(key) => {
                            inbox.receipts.insert(key, Arc::clone(cell));
                            return Ok(());
                        }
                        Err(back) => message = back,
                    }
                }
            }
        }
    }

    pub(crate) fn command(&self, command: Command) {
        let mut inbox = self.lock();
        if inbox.is_open || matches!(command, Command::Close(_)) {
            inbox.commands.push_back(command);
            drop(inbox);
            self.wake.notify_one();
        }
    }

    pub(crate) fn acknowledge(&self, delivery: Delivery, reason: ReasonCode) {
        self.lock().acks.push((delivery, reason));
        self.wake.notify_one();
    }

    /// A stream has yielded a message: there may be room to read on.
    pub(crate) fn yielded(&self) {
        if self.is_paused.load(Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    pub(crate) fn event(&self, event: Event) {
        // Without anybody who listens there is nobody to tell.
        let _ = self.events.send(event);
    }

    pub(crate) fn dropped(&self, topic: Arc<str>, why: DropReason) {
        if self.events.receiver_count() > 0 {
            self.event(Event::Dropped { topic, why });
        }
    }

    pub(crate) fn set_connected(&self, is_connected: bool) {
        self.lock().is_connected = is_connected;
    }

    /// The task has ended: nothing is accepted any more, nothing more will come.
    pub(crate) fn shut(&self) -> Vec<Publish> {
        let mut inbox = self.lock();
        inbox.is_open = false;
        inbox.is_connected = false;
        inbox.commands.clear();
        let left = inbox.outbox.drain();
        // One on disk is free for the next client, however long handles of this one live.
        inbox.outbox = Box::new(MemoryOutbox::new(OutboxLimits::default()));
        for (_, cell) in inbox.receipts.drain() {
            cell.settle(Err(DeliveryError::Closed));
        }
        drop(inbox);
        self.status.send_replace(Status::Closed);
        self.room.notify_waiters();
        left.into_iter().map(|(_, message)| message).collect()
    }
}

impl Inbox {
    /// Ends the way of a message.
    pub(crate) fn settle(
        &mut self,
        key: Key,
        result: Result<crate::protocol::Published, DeliveryError>,
    ) {
        self.outbox.remove(key);
        if let Some(cell) = self.receipts.remove(&key) {
            cell.settle(result);
        }
    }
}

/// How the acknowledgements of all streams of one message go together.
pub(crate) fn strictest(modes: impl Iterator<Item = Acknowledge>) -> Acknowledge {
    let strictness = |mode: &Acknowledge| match mode {
        Acknowledge::Automatic => 0,
        Acknowledge::AfterYield => 1,
        Acknowledge::Manual => 2,
    };
    modes
        .max_by_key(strictness)
        .unwrap_or(Acknowledge::Automatic)
}
