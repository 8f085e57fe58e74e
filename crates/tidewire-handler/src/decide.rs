//! What a deciding handler returns.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use tidewire_codec::ReasonCode;

/// A handler's say, now or later.
pub enum Decide<A> {
    /// It is decided.
    Now(Result<Verdict<A>, HandlerError>),
    /// It takes time. The future is polled once on the spot, and elsewhere if it is not ready then.
    Later(LaterVerdict<A>),
}

/// A verdict that takes time.
pub type LaterVerdict<A> = Pin<Box<dyn Future<Output = Result<Verdict<A>, HandlerError>> + Send>>;

/// What a handler says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict<A> {
    /// Nothing: the next handler is asked.
    Continue,
    /// This, in place of what the broker would do; the next handler is asked and may answer otherwise.
    Answer(A),
    /// No further handler is asked. Without an answer here the one that was given before stands.
    Stop(Option<A>),
    /// No. No further handler is asked.
    Deny(Denial),
    /// No, and the connection ends. No further handler is asked.
    Close(Denial),
}

/// A "no" with its reason.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denial {
    /// What the client is told, where its version and the packet have a place for it.
    pub reason: ReasonCode,
    /// A sentence for the client and the log.
    pub text: Option<Box<str>>,
}

/// A handler could not do its work. What follows is its registration's policy.
#[derive(Debug)]
pub struct HandlerError(Box<dyn std::error::Error + Send + Sync>);

impl<A> Decide<A> {
    /// Nothing to say.
    #[must_use]
    pub const fn go_on() -> Self {
        Self::Now(Ok(Verdict::Continue))
    }

    /// This is the answer, unless a later handler has another.
    #[must_use]
    pub const fn answer(answer: A) -> Self {
        Self::Now(Ok(Verdict::Answer(answer)))
    }

    /// This is the answer, and nobody else is asked.
    #[must_use]
    pub const fn stop_with(answer: A) -> Self {
        Self::Now(Ok(Verdict::Stop(Some(answer))))
    }

    /// No: not authorized.
    #[must_use]
    pub fn deny(text: &str) -> Self {
        Self::deny_with(ReasonCode::NotAuthorized, text)
    }

    /// No, with this reason.
    #[must_use]
    pub fn deny_with(reason: ReasonCode, text: &str) -> Self {
        Self::Now(Ok(Verdict::Deny(Denial::new(reason, text))))
    }

    /// The answer takes time.
    #[must_use]
    pub fn later<R: Into<Result<Verdict<A>, HandlerError>>>(
        work: impl Future<Output = R> + Send + 'static,
    ) -> Self {
        Self::Later(Box::pin(async move { work.await.into() }))
    }
}

impl<A> From<Verdict<A>> for Decide<A> {
    fn from(verdict: Verdict<A>) -> Self {
        Self::Now(Ok(verdict))
    }
}

impl<A> From<Verdict<A>> for Result<Verdict<A>, HandlerError> {
    fn from(verdict: Verdict<A>) -> Self {
        Ok(verdict)
    }
}

impl<A> From<HandlerError> for Decide<A> {
    fn from(error: HandlerError) -> Self {
        Self::Now(Err(error))
    }
}

impl<A> Verdict<A> {
    /// No: not authorized.
    #[must_use]
    pub fn deny(text: &str) -> Self {
        Self::Deny(Denial::new(ReasonCode::NotAuthorized, text))
    }
}

impl Denial {
    /// A reason and a sentence.
    #[must_use]
    pub fn new(reason: ReasonCode, text: &str) -> Self {
        Self {
            reason,
            text: Some(text.into()),
        }
    }
}

impl HandlerError {
    /// What went wrong; it is logged and not told to the client.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl<A: fmt::Debug> fmt::Debug for Decide<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(verdict) => f.debug_tuple("Now").field(verdict).finish(),
            Self::Later(_) => f.debug_tuple("Later").finish_non_exhaustive(),
        }
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for HandlerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
