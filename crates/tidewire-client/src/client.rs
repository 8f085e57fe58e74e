//! The handle of a running client.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidewire_codec::{Packet, Qos, ReasonCode, Version};
use tokio::sync::{broadcast, oneshot};

use crate::event::{ConnectError, Event};
use crate::messages::{Messages, Queue};
use crate::options::Builder;
use crate::protocol::{Connected, Publish, RequestError, check_subscription};
use crate::receipt::{Receipt, Rejected, Rejection};
use crate::shared::{CloseRequest, Command, OnFull, RouteId, Shared, Status};
use crate::subscription::Subscription;

/// A running client. Cloning it gives another handle of the same client; when the last handle and the last stream are
/// dropped, the client says DISCONNECT and ends.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

/// What keeps a client running.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    pub(crate) async fn unsubscribe_route(&self, route: RouteId) -> Result<(), SubscribeError> {
        let (reply, answer) = oneshot::channel();
        self.shared.command(Command::Unsubscribe { route, reply });
        answer.await.unwrap_or(Err(SubscribeError::Closed))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let (reply, _) = oneshot::channel();
        let until = Instant::now();
        self.shared
            .command(Command::Close(CloseRequest { until, reply }));
    }
}

impl Client {
    pub(crate) const fn new(handle: Arc<Handle>) -> Self {
        Self { handle }
    }

    /// Options of a client of the server at this address.
    #[must_use]
    pub fn builder(url: &str) -> Builder {
        Builder::new(url)
    }

    /// Publishes a message. It returns as soon as the client has accepted the message; while the outbox is full and
    /// its policy is to block, it waits. Dropped before it returns, the message is not accepted; afterwards the message goes on
    /// whatever happens to the receipt.
    ///
    /// # Errors
    /// The message, and why it was not accepted.
    pub async fn publish(&self, message: Publish) -> Result<Receipt, Rejected> {
        let shared = &self.handle.shared;
        let mut message = message;
        loop {
            let room = shared.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            match shared.push(message) {
                Err(Rejected {
                    message: back,
                    why: Rejection::Full,
                }) if shared.on_full() == OnFull::Block => message = back,
                outcome => return outcome,
            }
            room.await;
        }
    }

    /// Publishes a message without ever waiting.
    ///
    /// # Errors
    /// The message, and why it was not accepted.
    pub fn try_publish(&self, message: Publish) -> Result<Receipt, Rejected> {
        self.handle.shared.push(message)
    }

    /// Subscribes, and returns the stream of what comes once the server has answered. The client subscribes again by
    /// itself when the server has lost the session.
    ///
    /// # Errors
    /// That the server refused all filters, or why it was not asked.
    pub async fn subscribe(
        &self,
        subscription: impl Into<Subscription>,
    ) -> Result<Messages, SubscribeError> {
        let subscription = subscription.into();
        let version = self.handle.shared.version();
        for (filter, options) in &subscription.filters {
            check_subscription(version, filter, *options).map_err(SubscribeError::Request)?;
        }
        let queue = Arc::new(Queue::new(subscription.capacity, subscription.overflow));
        let (reply, answer) = oneshot::channel();
        self.handle.shared.command(Command::Subscribe {
            subscription,
            queue: Arc::clone(&queue),
            reply,
        });
        let outcome = answer.await.unwrap_or(Err(SubscribeError::Closed));
        let (route, granted) = outcome?;
        Ok(Messages {
            queue,
            route,
            granted,
            client: Arc::clone(&self.handle),
        })
    }

    /// Unsubscribes from filters that no stream of this client stands for: those of a session that was kept.
    /// [`Messages::unsubscribe`] gives up a stream.
    ///
    /// # Errors
    /// That the server refused, or why there is no answer.
    pub async fn unsubscribe(&self, filters: &[&str]) -> Result<(), SubscribeError> {
        let (reply, answer) = oneshot::channel();
        let filters = filters.iter().map(|filter| (*filter).into()).collect();
        self.handle
            .shared
            .command(Command::UnsubscribeFilters { filters, reply });
        answer.await.unwrap_or(Err(SubscribeError::Closed))
    }

    /// Sends PINGREQ and waits for the answer: how long it took.
    ///
    /// # Errors
    /// There is no connection, or it was lost.
    pub async fn ping(&self) -> Result<Duration, RequestError> {
        let (reply, answer) = oneshot::channel();
        self.handle.shared.command(Command::Ping(reply));
        answer.await.map_err(|_| RequestError::NotConnected)
    }

    /// Authenticates anew on the live connection, with the authenticator of the options (MQTT 5.0).
    pub fn reauthenticate(&self) {
        self.handle.shared.command(Command::Reauthenticate);
    }

    /// Sends a packet as it is, on the live connection. What the server makes of it is the caller's affair; without a
    /// connection it is dropped.
    pub fn send(&self, packet: Packet<'static>) {
        self.handle.shared.command(Command::Raw(packet));
    }

    /// All packets that come from now on. Whoever falls more than a thousand packets behind misses the oldest.
    #[must_use]
    pub fn packets(&self) -> Packets {
        let packets = self.handle.shared.packets.subscribe();
        self.handle.shared.wake.notify_one();
        Packets(packets)
    }

    /// What happens to the connection from now on; [`Builder::events`] misses nothing.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(&self.handle.shared)
    }

    /// What the server said when the present connection began, if there is one.
    #[must_use]
    pub fn connection(&self) -> Option<Arc<Connected>> {
        match &*self.handle.shared.status.borrow() {
            Status::Connected(connected) => Some(Arc::clone(connected)),
            _ => None,
        }
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    /// A refusal that another attempt would not change, or that the client is closed.
    pub async fn connected(&self) -> Result<Arc<Connected>, Arc<ConnectError>> {
        self.first_connection(usize::MAX).await
    }

    /// The version that is spoken.
    #[must_use]
    pub fn version(&self) -> Version {
        self.handle.shared.version()
    }

    /// Publishes the answer to a request: to its response topic with its correlation data (MQTT 5.0), or, where it has
    /// none, to its own topic followed by `/reply`.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn respond(
        &self,
        request: &crate::Message,
        payload: impl Into<bytes::Bytes>,
        qos: Qos,
    ) -> Result<Receipt, Rejected> {
        self.publish(crate::request::answer_to(request, payload.into(), qos))
            .await
    }

    /// Closes the client: nothing more is accepted, what was accepted is delivered until the deadline, then DISCONNECT
    /// is sent. Says what is left.
    pub async fn close(self, deadline: Duration) -> CloseReport {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + deadline;
        self.handle
            .shared
            .command(Command::Close(CloseRequest { until, reply }));
        let undelivered = answer.await.unwrap_or_default();
        CloseReport { undelivered }
    }

    /// Waits for a connection, or for so many failed attempts.
    pub(crate) async fn first_connection(
        &self,
        attempts_max: usize,
    ) -> Result<Arc<Connected>, Arc<ConnectError>> {
        let mut status = self.handle.shared.status.subscribe();
        loop {
            match &*status.borrow_and_update() {
                Status::Connected(connected) => return Ok(Arc::clone(connected)),
                Status::Failed { attempts, error }
                    if *attempts >= attempts_max || error.is_permanent() =>
                {
                    return Err(Arc::clone(error));
                }
                Status::Closed => return Err(Arc::new(ConnectError::Closed)),
                Status::Connecting | Status::Failed { .. } => {}
            }
            if status.changed().await.is_err() {
                return Err(Arc::new(ConnectError::Closed));
            }
        }
    }

    /// Ends the client without waiting.
    pub(crate) fn abandon(&self) {
        let (reply, _) = oneshot::channel();
        let until = Instant::now();
        let request = CloseRequest { until, reply };
        self.handle.shared.command(Command::Close(request));
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("status", &*self.handle.shared.status.borrow())
            .finish_non_exhaustive()
    }
}

/// What was left when a client was closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct CloseReport {
    /// Messages that were accepted and not delivered, in order.
    pub undelivered: Vec<Publish>,
}

/// The events of a client.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    pub(crate) fn new(shared: &Shared) -> Self {
        Self(shared.events.subscribe())
    }

    /// The next event; `None` once the client has ended. Whoever falls 256 events behind misses the oldest.
    pub async fn recv(&mut self) -> Option<Event> {
        received(&mut self.0).await
    }
}

/// The packets that come to a client.
#[derive(Debug)]
pub struct Packets(broadcast::Receiver<Arc<Packet<'static>>>);

impl Packets {
    /// The next packet; `None` once the client has ended.
    pub async fn recv(&mut self) -> Option<Arc<Packet<'static>>> {
        received(&mut self.0).await
    }
}

async fn received<T: Clone>(receiver: &mut broadcast::Receiver<T>) -> Option<T> {
    loop {
        match receiver.recv().await {
            Ok(value) => return Some(value),
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return None,
        }
    }
}

/// Why there is no subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeError {
    /// The server refused every filter; this is the first one's reason.
    Refused(ReasonCode),
    /// The request was not sent, or has no answer.
    Request(RequestError),
    /// The client is closed.
    Closed,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "the server refused the subscription: {reason}"),
            Self::Request(error) => write!(f, "{error}"),
            Self::Closed => f.write_str("the client is closed"),
        }
    }
}

impl std::error::Error for SubscribeError {}
