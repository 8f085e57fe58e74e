//! The bounded stream that a subscription's messages come out of.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use tidewire_codec::{Qos, ReasonCode};

use crate::client::Handle;
use crate::protocol::{Delivery, Message};
use crate::shared::{Command, RouteId, Shared};
use crate::subscription::Overflow;

/// The messages of a subscription, in the order in which they came. It ends when the client is closed or the
/// subscription given up.
///
/// Dropping it gives the subscription up, unless the session outlives the connection: then the server keeps it, and a
/// route that is registered next time receives what has come.
pub struct Messages {
    pub(crate) queue: Arc<Queue>,
    pub(crate) route: RouteId,
    pub(crate) granted: Vec<Granted>,
    pub(crate) client: Arc<Handle>,
}

/// What the server granted for a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The filter.
    pub filter: Box<str>,
    /// The highest quality of service that the server delivers with, or why it refused.
    pub result: Result<Qos, ReasonCode>,
}

/// A message out of a stream. It can be used like the [`Message`] in it.
pub struct Received {
    message: Message,
    owed: Option<ManualAck>,
}

struct ManualAck {
    shared: Arc<Shared>,
    delivery: Delivery,
}

impl Received {
    /// Tells the server that the message was taken over. Only for [`Acknowledge::Manual`](crate::Acknowledge::Manual); otherwise nothing is owed.
    pub fn acknowledge(self) {
        self.answer(ReasonCode::Success);
    }

    /// Tells the server that the message was not taken over, and why (MQTT 5.0; before, as [`acknowledge`](Self::acknowledge)).
    pub fn refuse(self, reason: ReasonCode) {
        self.answer(reason);
    }

    /// The message alone.
    #[must_use]
    pub fn into_message(self) -> Message {
        self.message
    }

    fn answer(self, reason: ReasonCode) {
        if let Some(owed) = self.owed {
            owed.shared.acknowledge(owed.delivery, reason);
        }
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl Deref for Received {
    type Target = Message;

    fn deref(&self) -> &Message {
        &self.message
    }
}

impl Messages {
    /// What the server granted for each filter; empty for a route that was registered before connecting.
    #[must_use]
    pub fn granted(&self) -> &[Granted] {
        &self.granted
    }

    /// The next message; `None` at the end. May be dropped and called again.
    pub async fn recv(&mut self) -> Option<Received> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// The next message, if there is one now.
    pub fn try_recv(&mut self) -> Option<Received> {
        let entry = self.queue.lock().pop();
        entry.map(|entry| self.yielded(entry))
    }

    /// Messages that wait in the stream.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.lock().entries.len()
    }

    /// Gives the subscription up, and waits for the server's answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn unsubscribe(self) -> Result<(), crate::SubscribeError> {
        self.client.unsubscribe_route(self.route).await
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Received>> {
        let mut queue = self.queue.lock();
        if let Some(entry) = queue.pop() {
            drop(queue);
            return Poll::Ready(Some(self.yielded(entry)));
        }
        if queue.closed {
            return Poll::Ready(None);
        }
        queue.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    fn yielded(&self, entry: Entry) -> Received {
        let shared = &self.client.shared;
        shared.yielded();
        let Entry { message, ack } = entry;
        let owed = match ack {
            Ack::Manual(delivery) => Some(ManualAck {
                shared: Arc::clone(shared),
                delivery,
            }),
            // Dropping the last share of it is what acknowledges.
            Ack::AfterYield(_) | Ack::None => None,
        };
        Received { message, owed }
    }
}

impl Stream for Messages {
    type Item = Received;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Received>> {
        self.get_mut().poll_recv(context)
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.queue.close();
        self.queue.clear();
        self.client.shared.command(Command::StreamGone(self.route));
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("granted", &self.granted)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

/// The queue between the client's task and a stream.
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    capacity: usize,
    overflow: Overflow,
}

pub(crate) struct QueueState {
    entries: VecDeque<Entry>,
    bytes: usize,
    closed: bool,
    waiting: Option<Waker>,
}

pub(crate) struct Entry {
    pub(crate) message: Message,
    pub(crate) ack: Ack,
}

/// What taking a message out of the stream means for the server.
#[derive(Clone)]
pub(crate) enum Ack {
    /// Nothing.
    None,
    /// The last share that is dropped acknowledges.
    AfterYield(#[expect(dead_code, reason = "dropping it is its use")] Arc<AckOnDrop>),
    /// The application will say so.
    Manual(Delivery),
}

/// Acknowledges when it is dropped.
pub(crate) struct AckOnDrop {
    pub(crate) shared: Arc<Shared>,
    pub(crate) delivery: Delivery,
}

impl Drop for AckOnDrop {
    fn drop(&mut self) {
        self.shared.acknowledge(self.delivery, ReasonCode::Success);
    }
}

/// What became of a message that was put into a queue.
pub(crate) enum Pushed {
    Kept,
    /// An older message made room.
    DroppedOldest(Entry),
    DroppedNewest,
    /// The stream is gone.
    Closed,
}

impl Queue {
    pub(crate) fn new(capacity: usize, overflow: Overflow) -> Self {
        Self {
            state: Mutex::new(QueueState {
                entries: VecDeque::new(),
                bytes: 0,
                closed: false,
                waiting: None,
            }),
            capacity,
            overflow,
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, entry: Entry) -> Pushed {
        let mut dropped = None;
        let mut state = self.lock();
        if state.closed {
            return Pushed::Closed;
        }
        if state.entries.len() >= self.capacity {
            match self.overflow {
                Overflow::Block => {}
                Overflow::DropOldest => dropped = state.pop(),
                Overflow::DropNewest => return Pushed::DroppedNewest,
            }
        }
        state.bytes += entry.message.size();
        state.entries.push_back(entry);
        let waiting = state.waiting.take();
        drop(state);
        if let Some(waker) = waiting {
            waker.wake();
        }
        match dropped {
            Some(entry) => Pushed::DroppedOldest(entry),
            None => Pushed::Kept,
        }
    }

    /// Bytes that hold the server back: those of a full queue that drops nothing.
    pub(crate) fn blocking_bytes(&self) -> usize {
        if self.overflow != Overflow::Block {
            return 0;
        }
        let state = self.lock();
        if state.entries.len() >= self.capacity {
            state.bytes
        } else {
            0
        }
    }

    /// No message will come any more; what is in it can still be taken.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(waker) = state.waiting.take() {
            drop(state);
            waker.wake();
        }
    }

    /// Drops what nobody will take.
    pub(crate) fn clear(&self) {
        let mut state = self.lock();
        let entries = std::mem::take(&mut state.entries);
        state.bytes = 0;
        drop(state);
        drop(entries);
    }
}

impl QueueState {
    fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(entry.message.size());
        Some(entry)
    }
}
