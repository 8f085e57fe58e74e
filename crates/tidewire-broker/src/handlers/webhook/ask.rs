//! A question to a server, and what is remembered of its answers.

use super::WebhookSettings;
use super::body;
use super::sign::Seal;
use crate::handlers::foreign::{Said, Say, View};
use crate::http_client::{Bytes, Cache, Guarded, HttpError, Response, StatusCode, header};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidewire_handler::{Client, HandlerError, Verdict};

/// No answer is remembered longer, whatever the server says.
const CACHE_TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// The deciding half of a webhook.
pub(super) struct Asking {
    server: Guarded,
    seal: Seal,
    /// By the digest of the question: it may hold a password.
    cache: Cache<[u8; 32], Said>,
    cache_time: Duration,
    send_payload: bool,
    failures: AtomicU64,
}

/// A question that nobody has answered yet.
pub(super) struct Question {
    body: String,
    key: [u8; 32],
}

/// Whether an answer is known.
pub(super) enum Known<A> {
    Verdict(Result<Verdict<A>, HandlerError>),
    Not(Question),
}

/// Why there is no verdict.
#[derive(Debug)]
enum AskError {
    Http(HttpError),
    Status(StatusCode),
    Body(String),
    Meaning(String),
}

impl Asking {
    pub(super) fn new(settings: &WebhookSettings, server: Guarded, seal: Seal) -> Self {
        Self {
            server,
            seal,
            cache: Cache::new(settings.cache_entries),
            cache_time: settings.cache_time,
            send_payload: settings.send_payload,
            failures: AtomicU64::new(0),
        }
    }

    /// The verdict, if the server has given it before.
    pub(super) fn known<A: Say>(&self, client: &Client, ask: &A) -> Known<A::Answer> {
        let body = body::question(client, ask, self.send_payload);
        let key = Sha256::digest(body::without_port(&body, client).as_bytes()).into();
        match self.cache.get(&key, Instant::now()) {
            Some(said) => Known::Verdict(ask.verdict(&said).map_err(HandlerError::new)),
            None => Known::Not(Question { body, key }),
        }
    }

    /// Asks the server.
    pub(super) async fn put<A: Say>(
        &self,
        question: Question,
        ask: &A,
    ) -> Result<Verdict<A::Answer>, HandlerError> {
        let request = self.seal.request(&question.body, None);
        let answer = self.server.send(request).await.map_err(AskError::Http);
        let verdict = answer.and_then(|answer| {
            let said = said(&answer)?;
            let verdict = ask.verdict(&said).map_err(AskError::Meaning)?;
            let holds = holds(&answer).unwrap_or(self.cache_time);
            if !holds.is_zero() {
                let until = Instant::now() + holds.min(CACHE_TIME_MAX);
                self.cache.put(question.key, said, until);
            }
            Ok(verdict)
        });
        verdict.map_err(|error| {
            self.note_failure(&error);
            HandlerError::new(error)
        })
    }

    /// Writes the first failures to the log and ever fewer of the others; all of them are counted with the handler.
    fn note_failure(&self, error: &AskError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures.is_power_of_two() {
            tracing::warn!(target: "tidewire::webhook", failures, "{error}");
        }
    }
}

fn said(answer: &Response<Bytes>) -> Result<Said, AskError> {
    let plain = |value| Said {
        value,
        text: None,
        code: None,
    };
    match answer.status() {
        StatusCode::NO_CONTENT => Ok(plain(View::Null)),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(plain(View::Flag(false))),
        StatusCode::OK if answer.body().is_empty() => Ok(plain(View::Null)),
        StatusCode::OK => {
            let json = serde_json::from_slice(answer.body())
                .map_err(|error| AskError::Body(error.to_string()))?;
            View::from_json(json).map(plain).map_err(AskError::Body)
        }
        other => Err(AskError::Status(other)),
    }
}

/// How long an answer holds, if it says so.
fn holds(answer: &Response<Bytes>) -> Option<Duration> {
    let control = answer.headers().get(header::CACHE_CONTROL)?.to_str().ok()?;
    let mut directives = control.split(',').map(str::trim);
    directives.find_map(|directive| match directive {
        "no-store" | "no-cache" => Some(Duration::ZERO),
        other => {
            let seconds = other.strip_prefix("max-age=")?.parse().ok()?;
            Some(Duration::from_secs(seconds))
        }
    })
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => error.fmt(f),
            Self::Status(status) => write!(
                f,
                "status {}, but a verdict is 200 with JSON, 204, 401 or 403",
                status.as_u16()
            ),
            Self::Body(says) => write!(f, "the answer is not JSON: {says}"),
            Self::Meaning(says) => f.write_str(says),
        }
    }
}

impl std::error::Error for AskError {}
