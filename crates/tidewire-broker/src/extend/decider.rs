//! One worker's way to those who decide.

use crate::answerer::{AnswerPort, Answerer};
use crate::extend::{Extension, Listener, notices};
use std::sync::Arc;
use tidewire_codec::ReasonCode;
use tidewire_core::{
    Answer, Authenticated, AuthenticationStep, ConnKey, Credentials, Event, Question, Ticket,
};
use tidewire_handler as asked;
use tidewire_handler::{
    About, Ask, Authentication, ChainReader, Client, Denial, Outcome, Run, Snapshot,
};

/// Who answers a worker's questions.
pub(crate) enum Decider {
    /// Somebody who speaks the core's language.
    Answerer(Box<dyn Answerer>),
    /// A chain of handlers.
    Chain(ChainDecider),
}

/// A chain as one worker uses it.
pub(crate) struct ChainDecider {
    extension: Arc<Extension>,
    reader: ChainReader,
}

/// What is done to a connection besides the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Cut {
    /// Nothing.
    No,
    /// It is closed.
    Yes,
}

impl Decider {
    pub(crate) fn chain(extension: &Arc<Extension>) -> Self {
        Self::Chain(ChainDecider {
            reader: extension.chain.reader(),
            extension: Arc::clone(extension),
        })
    }

    /// What handlers know of a connection that has just come in; `None` = nobody will ask.
    pub(crate) fn newcomer(&self, listener: u16, address: &str) -> Option<Arc<Client>> {
        let Self::Chain(chain) = self else {
            return None;
        };
        let facts = chain.extension.listeners.get(usize::from(listener))?;
        let client = Client::new(listener, Arc::clone(&facts.name), address);
        (!facts.asked.is_empty()).then(|| Arc::new(client))
    }

    /// Decides at once, or sees to it that the answer comes through the port.
    pub(crate) fn ask(
        &mut self,
        ticket: Ticket,
        question: Question,
        client: Option<Arc<Client>>,
        port: &AnswerPort,
    ) -> Option<(Answer, Cut)> {
        match self {
            Self::Answerer(answerer) => {
                let answer = answerer.ask(ticket, question, port)?;
                Some((answer, Cut::No))
            }
            Self::Chain(chain) => {
                let client = client.unwrap_or_else(|| Arc::new(Client::absent()));
                chain.ask(ticket, question, &client, port)
            }
        }
    }

    /// Tells the observing handlers what happened, if any of them wants to know.
    pub(crate) fn observe(&mut self, event: &Event) {
        if let Self::Chain(ChainDecider { extension, reader }) = self {
            let (listener, name) = notices::address(event);
            if reader.snapshot().handles(listener, name) {
                extension.notices.send(notices::notice(event));
            }
        }
    }
}

impl ChainDecider {
    fn ask(
        &mut self,
        ticket: Ticket,
        question: Question,
        client: &Arc<Client>,
        port: &AnswerPort,
    ) -> Option<(Answer, Cut)> {
        // A handler's future may want the runtime's timers and sockets at its first poll.
        let _entered = self.extension.side.handle().enter();
        let snapshot = self.reader.snapshot();
        let route = Route {
            extension: &self.extension,
            snapshot,
            client,
            conn: conn_of(&question),
            ticket,
            port,
        };
        match question {
            Question::Authenticate(credentials) => route.authenticate(&credentials),
            Question::AuthenticationStep {
                client_id,
                method,
                data,
                step,
                ..
            } => {
                let ask = asked::AuthenticationStep {
                    client_id: (*client_id).into(),
                    method: (*method).into(),
                    data: data.as_deref().map(Into::into),
                    stage: match step {
                        AuthenticationStep::Continue => asked::AuthenticationStage::Continue,
                        AuthenticationStep::Again => asked::AuthenticationStage::Again,
                    },
                };
                let client = Arc::clone(client);
                let unanswered = deny(ReasonCode::BadAuthenticationMethod, NO_STEP);
                route.put(ask, move |outcome| admission(&client, outcome, unanswered))
            }
            Question::AuthorizePublish {
                client_id,
                principal,
                topic,
                payload,
                qos,
                retain,
                ..
            } => {
                introduce(client, &client_id, principal);
                let ask = asked::AuthorizePublish {
                    topic: (*topic).into(),
                    payload: (*payload).into(),
                    qos,
                    retain,
                };
                route.put(ask, permission)
            }
            Question::AuthorizeSubscribe {
                client_id,
                principal,
                filter,
                share,
                options,
                ..
            } => {
                introduce(client, &client_id, principal);
                let ask = asked::AuthorizeSubscribe {
                    filter: (*filter).into(),
                    share: share.as_deref().map(Into::into),
                    options,
                };
                route.put(ask, permission)
            }
        }
    }
}

/// A question's way to the chain and its answer's way back.
struct Route<'a> {
    extension: &'a Arc<Extension>,
    snapshot: &'a Arc<Snapshot>,
    client: &'a Arc<Client>,
    conn: ConnKey,
    ticket: Ticket,
    port: &'a AnswerPort,
}

const NO_STEP: &str = "no handler takes part in this authentication";
const NOT_VOUCHED: &str = "nobody knows this client";

impl Route<'_> {
    fn authenticate(self, credentials: &Credentials) -> Option<(Answer, Cut)> {
        let Credentials {
            client_id,
            username,
            password,
            version,
            method,
            data,
            peer,
            ..
        } = credentials;
        self.client.introduce(About {
            client_id: client_id.clone(),
            username: username.clone(),
            version: Some(*version),
        });
        let listener = self.extension.listeners.get(usize::from(peer.listener));
        let handled = self
            .snapshot
            .handles(Some(peer.listener), asked::Event::Authenticate);
        let may_enter = listener.is_some_and(|listener: &Listener| {
            if handled {
                listener.allow_anonymous && username.is_none() && method.is_none()
            } else {
                listener.open
            }
        });
        let unanswered = if may_enter {
            Answer::Authenticated(Authenticated::default())
        } else {
            deny(ReasonCode::NotAuthorized, NOT_VOUCHED)
        };
        let ask = asked::Authenticate {
            client_id: (**client_id).into(),
            username: username.as_deref().map(Into::into),
            password: password.as_deref().map(Into::into),
            version: *version,
            method: method.as_deref().map(Into::into),
            data: data.as_deref().map(Into::into),
        };
        let client = Arc::clone(self.client);
        self.put(ask, move |outcome| admission(&client, outcome, unanswered))
    }

    fn put<A: Ask>(
        self,
        ask: A,
        to_answer: impl FnOnce(Outcome<A::Answer>) -> (Answer, Cut) + Send + 'static,
    ) -> Option<(Answer, Cut)> {
        match self.snapshot.decide(self.client, ask) {
            Run::Done(outcome) => Some(to_answer(outcome)),
            Run::Pending(pending) => {
                let (port, ticket, conn) = (self.port.clone(), self.ticket, self.conn);
                self.extension.side.finish(pending, move |outcome| {
                    let (answer, cut) = to_answer(outcome);
                    port.answer(ticket, answer);
                    if cut == Cut::Yes {
                        port.cut(conn);
                    }
                });
                None
            }
        }
    }
}

fn admission(
    client: &Client,
    outcome: Outcome<Authentication>,
    unanswered: Answer,
) -> (Answer, Cut) {
    let answer = match outcome {
        Outcome::Unanswered => unanswered,
        Outcome::Answered(Authentication::Accepted { principal, data }) => {
            client.identify(principal.clone());
            Answer::Authenticated(Authenticated { principal, data })
        }
        Outcome::Answered(Authentication::Challenge(data)) => Answer::Continue { data },
        // A client that is refused is closed in any case.
        Outcome::Denied(denial) | Outcome::Close(denial) => denied(denial),
    };
    (answer, Cut::No)
}

fn permission(outcome: Outcome<()>) -> (Answer, Cut) {
    match outcome {
        Outcome::Unanswered | Outcome::Answered(()) => (Answer::Allowed, Cut::No),
        Outcome::Denied(denial) => (denied(denial), Cut::No),
        Outcome::Close(denial) => (denied(denial), Cut::Yes),
    }
}

fn denied(denial: Denial) -> Answer {
    Answer::Denied {
        reason: denial.reason,
        text: denial.text,
    }
}

fn deny(reason: ReasonCode, text: &str) -> Answer {
    denied(Denial::new(reason, text))
}

/// Where nobody asks who a client is, its first deed is where its name is learnt.
fn introduce(client: &Client, client_id: &str, principal: Option<Arc<str>>) {
    if client.client_id().is_empty() {
        client.introduce(About {
            client_id: client_id.into(),
            username: None,
            version: None,
        });
    }
    if client.principal().is_none() {
        client.identify(principal);
    }
}

/// Whose connection a question is about.
pub(crate) fn conn_of(question: &Question) -> ConnKey {
    match question {
        Question::Authenticate(credentials) => credentials.conn,
        Question::AuthenticationStep { conn, .. }
        | Question::AuthorizePublish { conn, .. }
        | Question::AuthorizeSubscribe { conn, .. } => *conn,
    }
}
