//! Handlers behind a URL.
//!
//! - `body`: what is sent, as JSON. `sign`: the signature on it.
//! - `ask`: a question and its answer, remembered for a while. `outbox`: what happened, in batches.

mod ask;
mod body;
mod outbox;
mod sign;

use crate::handlers::foreign::{Foreign, Say, foreign_handler};
use crate::http_client::{Breaker, Guarded, HttpClient, HttpLimits, TrustError, Uri};
use ask::{Asking, Known};
use outbox::Outbox;
use sign::Seal;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidewire_handler::{Client, Decide, Event, EventKind, Events, Notice};

/// A server that is asked about events, and told of them, by `POST` of JSON.
///
/// **Deciding events** are sent one by one, and the answer is the verdict: status 204, an empty body, `null` or `{}` go on; `true` says
/// yes; `false`, or status 401 or 403, denies; an object answers, with the keys that Lua's tables have. Everything else is an
/// error, and so are no answer within the deadline and a server that is left alone because it failed: the registration's policy
/// then decides, which is to deny. An answer with `Cache-Control: max-age` is remembered so long.
///
/// **Observing events** are collected and sent in batches, in order, and again until the server takes them. What does not fit the
/// queue meanwhile is dropped and counted.
///
/// With a secret each request carries `X-Tidewire-Timestamp`, seconds since 1970, and `X-Tidewire-Signature`,
/// `v1=` and the hexadecimal HMAC-SHA256 of the timestamp, a dot and the body.
pub struct WebhookHandler {
    events: Events,
    asking: Arc<Asking>,
    outbox: Option<Outbox>,
}

/// How a server is asked and told.
#[derive(Clone)]
pub struct WebhookSettings {
    /// Where it is.
    pub url: Uri,
    /// About which events.
    pub events: Events,
    /// Whose certificates are believed; `None` = those of the system's authorities.
    pub ca_file: Option<PathBuf>,
    /// What requests are signed with.
    pub secret: Option<Box<[u8]>>,
    /// Bounds of each request.
    pub limits: HttpLimits,
    /// Failures in a row after which the server is left alone.
    pub breaker_failures: u32,
    /// How long it is left alone.
    pub breaker_pause: Duration,
    /// How long an answer holds that does not say so itself; zero = it is not remembered.
    pub cache_time: Duration,
    /// Answers that are remembered.
    pub cache_entries: usize,
    /// Whether questions about messages carry the payload. Without it an answer about a topic holds for all its messages.
    pub send_payload: bool,
    /// Events of a batch.
    pub batch_events: usize,
    /// How long a batch waits for further events.
    pub batch_time: Duration,
    /// Events that wait for the server; further ones are dropped.
    pub queue_events: usize,
}

/// Why a server cannot be asked or told.
#[derive(Debug)]
pub enum WebhookError {
    /// The certificate authorities.
    Trust(TrustError),
    /// The system gives no thread.
    System(io::Error),
}

impl WebhookSettings {
    /// The defaults for a server and some events.
    #[must_use]
    pub fn new(url: Uri, events: Events) -> Self {
        Self {
            url,
            events,
            ca_file: None,
            secret: None,
            limits: HttpLimits::default(),
            breaker_failures: 5,
            breaker_pause: Duration::from_secs(10),
            cache_time: Duration::ZERO,
            cache_entries: 10_000,
            send_payload: true,
            batch_events: 100,
            batch_time: Duration::from_millis(200),
            queue_events: 10_000,
        }
    }
}

impl WebhookHandler {
    /// A handler; nothing is sent yet.
    ///
    /// # Errors
    /// [`WebhookError`].
    pub fn new(settings: &WebhookSettings) -> Result<Self, WebhookError> {
        let client = || {
            HttpClient::new(settings.limits.clone(), settings.ca_file.as_deref())
                .map_err(WebhookError::Trust)
        };
        let breaker = Breaker::new(settings.breaker_failures, settings.breaker_pause);
        let seal = Seal::new(settings.url.clone(), settings.secret.as_deref());
        let asking = Asking::new(
            settings,
            Guarded::new(Arc::new(client()?), breaker),
            seal.clone(),
        );
        let observes = settings
            .events
            .iter()
            .any(|event| event.kind() == EventKind::Observe);
        let outbox = if observes {
            Some(Outbox::start(settings, client()?, seal).map_err(WebhookError::System)?)
        } else {
            None
        };
        Ok(Self {
            events: settings.events,
            asking: Arc::new(asking),
            outbox,
        })
    }

    /// Events that were dropped because too many waited for the server.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.outbox.as_ref().map_or(0, Outbox::dropped)
    }

    /// Sends what waits, once the broker has stopped, but no longer than `most`. Nothing is sent afterwards.
    pub fn finish(&self, most: Duration) {
        if let Some(outbox) = &self.outbox {
            outbox.finish(most);
        }
    }
}

impl Foreign for WebhookHandler {
    fn handled(&self) -> Events {
        self.events
    }

    fn asked<A: Say>(&self, client: &Client, ask: &A) -> Decide<A::Answer>
    where
        A::Owned: Say<Answer = A::Answer>,
    {
        match self.asking.known(client, ask) {
            Known::Verdict(verdict) => Decide::Now(verdict),
            Known::Not(question) => {
                let (asking, ask) = (Arc::clone(&self.asking), ask.to_kept());
                Decide::Later(Box::pin(async move { asking.put(question, &ask).await }))
            }
        }
    }

    fn noticed(&self, notice: &Notice) {
        if let Some(outbox) = &self.outbox {
            outbox.put(body::notice(notice));
        }
    }
}

foreign_handler!(WebhookHandler);

impl fmt::Debug for WebhookHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookHandler")
            .field(
                "events",
                &self.events.iter().map(Event::name).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

/// Without the secret.
impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("url", &self.url)
            .field("events", &self.events)
            .field("signed", &self.secret.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for WebhookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trust(error) => error.fmt(f),
            Self::System(error) => write!(f, "no thread can be started: {error}"),
        }
    }
}

impl std::error::Error for WebhookError {}
