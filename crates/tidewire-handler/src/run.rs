//! One question's way through the chain.

use crate::asked::Ask;
use crate::chain::{Entry, Snapshot};
use crate::client::Client;
use crate::decide::{Decide, Denial, HandlerError, LaterVerdict, Verdict};
use crate::latency::{Started, Stopwatch};
use crate::registration::{OnFailure, count};
use std::fmt;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tidewire_codec::ReasonCode;

/// What a chain made of a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome<A> {
    /// Nobody said anything: the broker does what it would do without handlers.
    Unanswered,
    /// This is done in place of it.
    Answered(A),
    /// No.
    Denied(Denial),
    /// No, and the connection ends.
    Close(Denial),
}

/// A question that was put to a chain.
pub enum Run<A: Ask> {
    /// It is decided.
    Done(Outcome<A::Answer>),
    /// A handler needs time.
    Pending(Box<Pending<A::Owned>>),
}

/// A question whose next handler needs time. Drive it with [`step`](Self::step), under the
/// [`deadline`](Self::deadline) of that handler; once it has passed, call [`expire`](Self::expire).
pub struct Pending<A: Ask> {
    snapshot: Arc<Snapshot>,
    client: Arc<Client>,
    ask: A,
    progress: Progress<A::Answer>,
    waiting: Waiting<A::Answer>,
}

/// What a step of a pending question came to.
#[derive(Debug)]
pub enum Step<A> {
    /// It is decided.
    Done(Outcome<A>),
    /// The handler has answered, and a later one needs time: its deadline begins now.
    Next,
}

struct Progress<A> {
    /// The place of the next handler among those of the event.
    turn: usize,
    answer: Option<A>,
}

struct Waiting<A> {
    entry: Arc<Entry>,
    verdict: LaterVerdict<A>,
    started: Started,
}

enum Flow<A> {
    Done(Outcome<A>),
    Wait(Waiting<A>),
}

/// How a handler failed.
enum Failure {
    Error(HandlerError),
    Panic(Box<str>),
    Late,
}

impl Snapshot {
    /// Puts a question to the handlers of its event, one after the other, until one decides. A handler that needs time is
    /// polled once here; if it is not ready, the rest is handed back.
    pub fn decide<A: Ask>(self: &Arc<Self>, client: &Arc<Client>, mut ask: A) -> Run<A> {
        let mut progress = Progress {
            turn: 0,
            answer: None,
        };
        match advance(self, client, &mut ask, &mut progress) {
            Flow::Done(outcome) => Run::Done(outcome),
            Flow::Wait(waiting) => Run::Pending(Box::new(Pending {
                snapshot: Arc::clone(self),
                client: Arc::clone(client),
                ask: ask.to_kept(),
                progress,
                waiting,
            })),
        }
    }
}

impl<A: Ask> Pending<A> {
    /// Waits for the handler, then asks those behind it until one of them needs time.
    pub async fn step(&mut self) -> Step<A::Answer> {
        let said = poll_fn(|context| poll_verdict(&mut self.waiting.verdict, context)).await;
        let entry = Arc::clone(&self.waiting.entry);
        entry.counters.stopwatch.stop(self.waiting.started);
        match settle(&entry, &mut self.ask, &mut self.progress, said) {
            Some(outcome) => Step::Done(outcome),
            None => self.go_on(),
        }
    }

    /// How long the handler that is waited for may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.waiting.entry.registration.deadline
    }

    /// The handler that is waited for.
    #[must_use]
    pub fn handler(&self) -> &str {
        &self.waiting.entry.registration.name
    }

    /// The client that it is about.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The handler is late: it is waited for no longer, and its failure policy decides.
    pub fn expire(&mut self) -> Step<A::Answer> {
        let entry = Arc::clone(&self.waiting.entry);
        entry.counters.stopwatch.stop(self.waiting.started);
        match settle(
            &entry,
            &mut self.ask,
            &mut self.progress,
            Err(Failure::Late),
        ) {
            Some(outcome) => Step::Done(outcome),
            None => self.go_on(),
        }
    }

    fn go_on(&mut self) -> Step<A::Answer> {
        let Self {
            snapshot,
            client,
            ask,
            progress,
            waiting,
        } = self;
        match advance(snapshot, client, ask, progress) {
            Flow::Done(outcome) => Step::Done(outcome),
            Flow::Wait(next) => {
                *waiting = next;
                Step::Next
            }
        }
    }
}

fn advance<A: Ask>(
    snapshot: &Snapshot,
    client: &Client,
    ask: &mut A,
    progress: &mut Progress<A::Answer>,
) -> Flow<A::Answer> {
    while let Some(entry) = snapshot.at(client.listener(), A::EVENT, progress.turn) {
        progress.turn += 1;
        let started = Stopwatch::start(count(&entry.counters.calls));
        let handler = &*entry.registration.handler;
        let said = catch_unwind(AssertUnwindSafe(|| ask.put(handler, client)));
        let said = match said {
            Ok(Decide::Now(verdict)) => verdict.map_err(Failure::Error),
            Ok(Decide::Later(mut verdict)) => {
                // Nobody is woken: whoever takes over polls again before waiting.
                let mut context = Context::from_waker(Waker::noop());
                match poll_verdict(&mut verdict, &mut context) {
                    Poll::Ready(said) => said,
                    Poll::Pending => {
                        count(&entry.counters.waits);
                        let entry = Arc::clone(entry);
                        let started = Started::waited(started);
                        return Flow::Wait(Waiting {
                            entry,
                            verdict,
                            started,
                        });
                    }
                }
            }
            Err(panic) => Err(Failure::Panic(panic_text(&*panic))),
        };
        if let Some(started) = started {
            entry.counters.stopwatch.stop(started);
        }
        if let Some(outcome) = settle(entry, ask, progress, said) {
            return Flow::Done(outcome);
        }
    }
    Flow::Done(match progress.answer.take() {
        Some(answer) => Outcome::Answered(answer),
        None => Outcome::Unanswered,
    })
}

fn poll_verdict<A>(
    verdict: &mut LaterVerdict<A>,
    context: &mut Context<'_>,
) -> Poll<Result<Verdict<A>, Failure>> {
    match catch_unwind(AssertUnwindSafe(|| verdict.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(said)) => Poll::Ready(said.map_err(Failure::Error)),
        Err(panic) => Poll::Ready(Err(Failure::Panic(panic_text(&*panic)))),
    }
}

/// What one handler's say means for the question; `None` = the next one is asked.
fn settle<A: Ask>(
    entry: &Entry,
    ask: &mut A,
    progress: &mut Progress<A::Answer>,
    said: Result<Verdict<A::Answer>, Failure>,
) -> Option<Outcome<A::Answer>> {
    let verdict = match said {
        Ok(verdict) => verdict,
        Err(failure) => return fail(entry, &failure),
    };
    match verdict {
        Verdict::Continue => None,
        Verdict::Answer(answer) => {
            ask.revise(&answer);
            progress.answer = Some(answer);
            None
        }
        Verdict::Stop(answer) => Some(match answer.or_else(|| progress.answer.take()) {
            Some(answer) => Outcome::Answered(answer),
            None => Outcome::Unanswered,
        }),
        Verdict::Deny(denial) => {
            count(&entry.counters.denials);
            Some(Outcome::Denied(denial))
        }
        Verdict::Close(denial) => {
            count(&entry.counters.denials);
            Some(Outcome::Close(denial))
        }
    }
}

fn fail<A>(entry: &Entry, failure: &Failure) -> Option<Outcome<A>> {
    let counters = &entry.counters;
    let (counter, what) = match failure {
        Failure::Error(error) => {
            counters.note_failure(&error.to_string());
            (&counters.errors, "failed")
        }
        Failure::Panic(text) => {
            counters.note_failure(text);
            (&counters.panics, "panicked")
        }
        Failure::Late => {
            counters.note_failure("no answer within its deadline");
            (&counters.timeouts, "did not answer in time")
        }
    };
    count(counter);
    match entry.registration.on_failure {
        OnFailure::Skip => None,
        OnFailure::Deny => {
            // The error itself may tell a client too much: operators find it in the handler's row.
            let text = format!("the handler `{}` {what}", entry.registration.name);
            Some(Outcome::Denied(Denial::new(
                ReasonCode::NotAuthorized,
                &text,
            )))
        }
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> Box<str> {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panicked: {}", text.unwrap_or("no message")).into()
}

impl<A: Ask> fmt::Debug for Run<A>
where
    A::Answer: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(outcome) => f.debug_tuple("Done").field(outcome).finish(),
            Self::Pending(pending) => pending.fmt(f),
        }
    }
}

impl<A: Ask> fmt::Debug for Pending<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("handler", &self.handler())
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}
