//! A question's way through the chain and its answer's way back, across as many handlers as need time.

use crate::answerer::AnswerPort;
use crate::extend::decider::{properties_of, published};
use crate::extend::{Extension, Listener};
use std::sync::Arc;
use tidewire_codec::{
    Properties, Publish, Qos, ReasonCode, Subscribe, SubscriptionOptions, Unsubscribe, topic,
};
use tidewire_core::{Answer, Authenticated, Credentials, Message, Ticket};
use tidewire_handler as asked;
use tidewire_handler::{
    About, Ask, Authentication, Client, Codes, Delivery, Denial, Origin, Outcome, Pending, Run,
    Snapshot,
};

/// Where a question comes from and where its answer goes. One version of the chain answers all of it.
#[derive(Clone)]
pub(crate) struct Way {
    extension: Arc<Extension>,
    snapshot: Arc<Snapshot>,
    client: Arc<Client>,
    ticket: Ticket,
    port: AnswerPort,
}

const NO_STEP: &str = "no handler takes part in this authentication";
const NOT_VOUCHED: &str = "nobody knows this client";

impl Way {
    pub(crate) fn new(
        extension: &Arc<Extension>,
        snapshot: &Arc<Snapshot>,
        client: &Arc<Client>,
        ticket: Ticket,
        port: &AnswerPort,
    ) -> Self {
        Self {
            extension: Arc::clone(extension),
            snapshot: Arc::clone(snapshot),
            client: Arc::clone(client),
            ticket,
            port: port.clone(),
        }
    }

    /// The same about another client.
    pub(crate) fn about(self, client: Arc<Client>) -> Self {
        Self { client, ..self }
    }

    /// Introduces a client whose CONNECT nobody was asked about.
    pub(crate) fn known_as(self, client_id: &str, principal: Option<Arc<str>>) -> Self {
        if self.client.client_id().is_empty() {
            self.client.introduce(About {
                client_id: client_id.into(),
                username: None,
                version: None,
            });
        }
        if self.client.principal().is_none() {
            self.client.identify(principal);
        }
        self
    }

    /// A CONNECT: those who want to see it, then who the client is.
    pub(crate) fn connect(self, mut credentials: Credentials) -> Option<Answer> {
        self.client.introduce(About {
            client_id: credentials.client_id.clone(),
            username: credentials.username.clone(),
            version: Some(credentials.version),
        });
        match credentials.packet.take() {
            Some(packet) if self.handles(asked::Event::Connect) => {
                self.put(*packet, move |way, outcome| match outcome {
                    Outcome::Unanswered => way.authenticate(&credentials, Properties::EMPTY),
                    Outcome::Answered(properties) => way.authenticate(&credentials, properties),
                    Outcome::Denied(denial) | Outcome::Close(denial) => Some(denied(denial)),
                })
            }
            _ => self.authenticate(&credentials, Properties::EMPTY),
        }
    }

    fn authenticate(
        self,
        credentials: &Credentials,
        properties: Properties<'static>,
    ) -> Option<Answer> {
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
        let listener = self.extension.listeners.get(usize::from(peer.listener));
        let handled = self.handles(asked::Event::Authenticate);
        let may_enter = listener.is_some_and(|listener: &Listener| {
            if handled {
                listener.allow_anonymous && username.is_none() && method.is_none()
            } else {
                listener.open && method.is_none()
            }
        });
        let unanswered = if may_enter {
            Answer::Authenticated(Authenticated::default())
        } else if !handled && method.is_some() {
            deny(ReasonCode::BadAuthenticationMethod, NO_STEP)
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
        self.put(ask, move |way, outcome| {
            Some(way.admission(outcome, unanswered, properties))
        })
    }

    pub(crate) fn authentication_step(self, ask: asked::AuthenticationStep<'_>) -> Option<Answer> {
        let unanswered = deny(ReasonCode::BadAuthenticationMethod, NO_STEP);
        self.put(ask, move |way, outcome| {
            Some(way.admission(outcome, unanswered, Properties::EMPTY))
        })
    }

    fn admission(
        &self,
        outcome: Outcome<Authentication>,
        unanswered: Answer,
        properties: Properties<'static>,
    ) -> Answer {
        let mut answer = match outcome {
            Outcome::Unanswered => unanswered,
            Outcome::Answered(Authentication::Accepted {
                principal,
                data,
                valid_secs,
            }) => {
                self.client.identify(principal.clone());
                Answer::Authenticated(Authenticated {
                    principal,
                    data,
                    properties: Properties::EMPTY,
                    valid_secs,
                })
            }
            Outcome::Answered(Authentication::Challenge(data)) => Answer::Continue { data },
            // A client that is refused is closed in any case.
            Outcome::Denied(denial) | Outcome::Close(denial) => denied(denial),
        };
        if let Answer::Authenticated(who) = &mut answer {
            who.properties = properties;
        }
        answer
    }

    /// A will that is due.
    pub(crate) fn will(self, message: &Message) -> Option<Answer> {
        let publish = Publish {
            dup: false,
            qos: message.qos(),
            retain: message.retain(),
            topic: message.topic().to_owned().into(),
            packet_id: None,
            properties: properties_of(message.properties(), message.expiry_interval_secs()),
            payload: message.payload().to_vec().into(),
        };
        let ask = asked::AuthorizePublish {
            topic: message.topic().into(),
            payload: message.payload().into(),
            qos: message.qos(),
            retain: message.retain(),
        };
        self.put(ask, move |way, outcome| way.authorized(outcome, publish))
    }

    /// A message may be published, or not: if so, what becomes of it.
    pub(crate) fn authorized(
        self,
        outcome: Outcome<()>,
        publish: Publish<'static>,
    ) -> Option<Answer> {
        match outcome {
            Outcome::Denied(denial) => Some(denied(denial)),
            Outcome::Close(denial) => Some(closed(denial)),
            Outcome::Unanswered | Outcome::Answered(()) => {
                self.put(publish, |_, outcome| Some(published(outcome)))
            }
        }
    }

    pub(crate) fn authorize_subscribe(
        self,
        filter: &str,
        share: Option<&str>,
        options: SubscriptionOptions,
    ) -> Option<Answer> {
        let ask = asked::AuthorizeSubscribe {
            filter: filter.into(),
            share: share.map(Into::into),
            options,
        };
        self.put(ask, |_, outcome| {
            Some(match outcome {
                Outcome::Unanswered | Outcome::Answered(()) => Answer::Allowed,
                Outcome::Denied(denial) => denied(denial),
                Outcome::Close(denial) => closed(denial),
            })
        })
    }

    /// Which filters may be subscribed to, from the `at`th on; then what is granted. `reasons` is what would be answered.
    pub(crate) fn subscribe(
        self,
        packet: Box<Subscribe<'static>>,
        mut reasons: Vec<ReasonCode>,
        mut at: usize,
    ) -> Option<Answer> {
        let asks = self.handles(asked::Event::AuthorizeSubscribe);
        while let (true, Some(each)) = (asks, packet.filters.get(at)) {
            if reasons.get(at).is_none_or(|reason| reason.is_error()) {
                at += 1;
                continue;
            }
            let shared = topic::split_shared(&each.filter).ok().flatten();
            let ask = asked::AuthorizeSubscribe {
                filter: shared.map_or(&*each.filter, |shared| shared.filter).into(),
                share: shared.map(|shared| shared.share.into()),
                options: each.options,
            };
            match self.snapshot.decide(&self.client, ask) {
                Run::Done(outcome) => {
                    if let Some(answer) = note(&mut reasons, at, outcome) {
                        return Some(answer);
                    }
                }
                Run::Pending(pending) => {
                    self.finish(pending, move |way, outcome| {
                        match note(&mut reasons, at, outcome) {
                            Some(answer) => Some(answer),
                            None => way.subscribe(packet, reasons, at + 1),
                        }
                    });
                    return None;
                }
            }
            at += 1;
        }
        self.put(*packet, move |_, outcome| Some(granted(outcome, reasons)))
    }

    pub(crate) fn unsubscribe(self, packet: &Unsubscribe<'_>) -> Option<Answer> {
        self.put(packet.clone(), |_, outcome| {
            Some(match outcome {
                Outcome::Unanswered => Answer::Allowed,
                Outcome::Answered(Codes {
                    reasons,
                    properties,
                }) => Answer::Codes {
                    reasons,
                    properties,
                },
                Outcome::Denied(denial) => denied(denial),
                Outcome::Close(denial) => closed(denial),
            })
        })
    }

    pub(crate) fn deliver(
        self,
        message: &Message,
        qos: Qos,
        retain: bool,
        expiry_secs: Option<u32>,
    ) -> Option<Answer> {
        let ask = asked::Deliver {
            publish: Publish {
                dup: false,
                qos,
                retain,
                topic: message.topic().into(),
                packet_id: None,
                properties: properties_of(message.properties(), expiry_secs),
                payload: message.payload().into(),
            },
            origin: origin_of(message),
        };
        self.put(ask, |_, outcome| {
            Some(match outcome {
                Outcome::Unanswered => Answer::Allowed,
                Outcome::Answered(Delivery::Send(publish)) => Answer::Replaced(Box::new(publish)),
                Outcome::Answered(Delivery::Suppress) => Answer::Consumed(ReasonCode::Success),
                Outcome::Denied(denial) => denied(denial),
                Outcome::Close(denial) => closed(denial),
            })
        })
    }

    /// Sees to it that the answer comes through the port. `then` makes it of the outcome, or goes on asking.
    pub(crate) fn finish<A: Ask + 'static>(
        self,
        pending: Box<Pending<A>>,
        then: impl FnOnce(Self, Outcome<A::Answer>) -> Option<Answer> + Send + 'static,
    ) {
        let extension = Arc::clone(&self.extension);
        extension.side.finish(pending, move |outcome| {
            let (port, ticket) = (self.port.clone(), self.ticket);
            if let Some(answer) = then(self, outcome) {
                port.answer(ticket, answer);
            }
        });
    }

    fn put<A: Ask>(
        self,
        ask: A,
        then: impl FnOnce(Self, Outcome<A::Answer>) -> Option<Answer> + Send + 'static,
    ) -> Option<Answer> {
        match self.snapshot.decide(&self.client, ask) {
            Run::Done(outcome) => then(self, outcome),
            Run::Pending(pending) => {
                self.finish(pending, then);
                None
            }
        }
    }

    fn handles(&self, event: asked::Event) -> bool {
        self.snapshot.handles(self.client.listener(), event)
    }
}

/// Notes what was said about one filter; an answer if that ends it all.
fn note(reasons: &mut [ReasonCode], at: usize, outcome: Outcome<()>) -> Option<Answer> {
    match outcome {
        Outcome::Unanswered | Outcome::Answered(()) => None,
        Outcome::Denied(denial) => {
            if let Some(reason) = reasons.get_mut(at) {
                *reason = if denial.reason.is_error() {
                    denial.reason
                } else {
                    ReasonCode::NotAuthorized
                };
            }
            None
        }
        Outcome::Close(denial) => Some(closed(denial)),
    }
}

/// The answers to a SUBSCRIBE. What was refused before stays refused; what handlers do not mention is as it was.
fn granted(outcome: Outcome<Codes>, mut reasons: Vec<ReasonCode>) -> Answer {
    let mut properties = Properties::EMPTY;
    match outcome {
        Outcome::Unanswered => {}
        Outcome::Answered(codes) => {
            for (reason, said) in reasons.iter_mut().zip(codes.reasons) {
                if !reason.is_error() {
                    *reason = said;
                }
            }
            properties = codes.properties;
        }
        Outcome::Denied(denial) => {
            for reason in &mut reasons {
                if !reason.is_error() {
                    *reason = denial.reason;
                }
            }
        }
        Outcome::Close(denial) => return closed(denial),
    }
    Answer::Codes {
        reasons,
        properties,
    }
}

pub(crate) fn origin_of(message: &Message) -> Origin {
    message
        .origin()
        .map_or(Origin::Server, |origin| Origin::Client {
            client_id: (&*origin.client_id).into(),
            principal: origin.principal.clone(),
            listener: origin.listener,
        })
}

pub(crate) fn denied(denial: Denial) -> Answer {
    Answer::Denied {
        reason: denial.reason,
        text: denial.text,
    }
}

pub(crate) fn closed(denial: Denial) -> Answer {
    Answer::Closed {
        reason: denial.reason,
        text: denial.text,
    }
}

fn deny(reason: ReasonCode, text: &str) -> Answer {
    denied(Denial::new(reason, text))
}
