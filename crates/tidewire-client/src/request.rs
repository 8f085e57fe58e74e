//! Requests and their answers.
//!
//! In MQTT 5.0 a request names its response topic and carries correlation data. Before, a convention does: a request to
//! `topic` is published to `topic/<client>/<number>`, and answered on the same topic followed by `/reply`. Whoever
//! answers subscribes to `topic/+/+`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::Qos;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::client::{Client, SubscribeError};
use crate::protocol::{Message, Publish};
use crate::receipt::{DeliveryError, Rejected};
use crate::subscription::Subscription;

/// Where answers come when the server does not say what response topics are built from.
const RESPONSE_PREFIX: &str = "tidewire/reply";
/// What follows the topic of a request before MQTT 5.0.
const REPLY_SUFFIX: &str = "/reply";

/// Sends requests and tells their answers apart. One serves any number of requests at once.
#[derive(Clone, Debug)]
pub struct Requester {
    client: Client,
    shared: Arc<Answers>,
    /// Unique to this requester; the last level but one of topics.
    name: Arc<str>,
}

#[derive(Debug, Default)]
struct Answers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Message>>,
    /// Before MQTT 5.0: request topics whose answers are subscribed to.
    topics: Vec<Box<str>>,
    /// The tasks that receive answers; they end with the requester.
    receiving: Vec<AbortHandle>,
}

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestFailure {
    /// No answer came in time.
    TimedOut,
    /// The answers cannot be subscribed to.
    Subscribe(SubscribeError),
    /// The request was not accepted.
    Rejected(Rejected),
    /// The request was not delivered.
    Delivery(DeliveryError),
    /// The client was closed.
    Closed,
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer came in time"),
            Self::Subscribe(error) => write!(f, "answers cannot be received: {error}"),
            Self::Rejected(error) => write!(f, "the request was not accepted: {error}"),
            Self::Delivery(error) => write!(f, "the request was not delivered: {error}"),
            Self::Closed => f.write_str("the client was closed"),
        }
    }
}

impl std::error::Error for RequestFailure {}

impl Requester {
    /// Prepares to receive answers.
    ///
    /// # Errors
    /// The response topic cannot be subscribed to.
    pub async fn new(client: &Client) -> Result<Self, SubscribeError> {
        let requester = Self {
            client: client.clone(),
            shared: Arc::default(),
            name: format!("{:016x}", crate::random::next()).into(),
        };
        if client.version().is_v5() {
            requester.receive(requester.response_topic()).await?;
        }
        Ok(requester)
    }

    /// Publishes a request and waits for its answer. Dropped, it stops waiting.
    ///
    /// # Errors
    /// What [`RequestFailure`] lists.
    pub async fn request(
        &self,
        request: Publish,
        limit: Duration,
    ) -> Result<Message, RequestFailure> {
        tokio::time::timeout(limit, self.request_without_limit(request))
            .await
            .unwrap_or(Err(RequestFailure::TimedOut))
    }

    async fn request_without_limit(&self, request: Publish) -> Result<Message, RequestFailure> {
        let (answered, answer) = oneshot::channel();
        let number = self.shared.enter(answered);
        let _forget = Forget(&self.shared, number);
        let request = if self.client.version().is_v5() {
            request
                .response_topic(&self.response_topic())
                .correlation_data(&number.to_be_bytes())
        } else {
            self.subscribe_to_answers(&request.topic)
                .await
                .map_err(RequestFailure::Subscribe)?;
            let topic = format!("{}/{}/{number}", request.topic, self.name);
            request.with_topic(topic)
        };
        let mut receipt = self
            .client
            .publish(request)
            .await
            .map_err(RequestFailure::Rejected)?;
        receipt
            .delivered()
            .await
            .map_err(RequestFailure::Delivery)?;
        answer.await.map_err(|_| RequestFailure::Closed)
    }

    fn response_topic(&self) -> String {
        let connection = self.client.connection();
        let said = connection
            .as_ref()
            .and_then(|connected| connected.server.response_information.as_deref());
        format!("{}/{}", said.unwrap_or(RESPONSE_PREFIX), self.name)
    }

    async fn subscribe_to_answers(&self, topic: &str) -> Result<(), SubscribeError> {
        let is_known = self
            .shared
            .lock()
            .topics
            .iter()
            .any(|known| **known == *topic);
        if is_known {
            return Ok(());
        }
        self.receive(format!("{topic}/{}/+{REPLY_SUFFIX}", self.name))
            .await?;
        self.shared.lock().topics.push(topic.into());
        Ok(())
    }

    /// Subscribes, and hands what comes to those who wait, for as long as there is a requester.
    async fn receive(&self, filter: String) -> Result<(), SubscribeError> {
        let subscription = Subscription::new(&filter).qos(Qos::AtLeastOnce);
        let mut messages = self.client.subscribe(subscription).await?;
        let answers = Arc::downgrade(&self.shared);
        let task = tokio::spawn(async move {
            while let Some(received) = messages.recv().await {
                let Some(answers) = answers.upgrade() else {
                    return;
                };
                answers.deliver(received.into_message());
            }
        });
        self.shared.lock().receiving.push(task.abort_handle());
        Ok(())
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        for task in &self.lock().receiving {
            task.abort();
        }
    }
}

impl Answers {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, answered: oneshot::Sender<Message>) -> u64 {
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        state.waiting.insert(number, answered);
        number
    }

    fn deliver(&self, message: Message) {
        let waiting = number_of(&message).and_then(|number| self.lock().waiting.remove(&number));
        if let Some(answered) = waiting {
            // Whoever asked may have stopped waiting.
            let _ = answered.send(message);
        }
    }
}

/// Takes a request that nobody waits for any more out of the list.
struct Forget<'a>(&'a Answers, u64);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.lock().waiting.remove(&self.1);
    }
}

/// The number of the request that a message answers.
fn number_of(message: &Message) -> Option<u64> {
    match message.properties.correlation_data() {
        Some(data) => Some(u64::from_be_bytes(data.try_into().ok()?)),
        None => {
            let topic = message.topic.strip_suffix(REPLY_SUFFIX)?;
            topic.rsplit('/').next()?.parse().ok()
        }
    }
}

/// The answer to a request.
pub(crate) fn answer_to(request: &Message, payload: Bytes, qos: Qos) -> Publish {
    let Some(topic) = request.properties.response_topic() else {
        return Publish::new(format!("{}{REPLY_SUFFIX}", request.topic), payload).qos(qos);
    };
    let answer = Publish::new(topic, payload).qos(qos);
    match request.properties.correlation_data() {
        Some(data) => answer.correlation_data(data),
        None => answer,
    }
}
