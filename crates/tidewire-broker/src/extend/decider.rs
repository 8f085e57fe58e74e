//! One worker's way to those who decide.

use crate::answerer::{AnswerPort, Answerer};
use crate::extend::way::{Way, closed, denied};
use crate::extend::{Extension, Frames, matters, notice, watch};
use crate::worker::Entry;
use std::sync::Arc;
use tidewire_codec::Properties;
use tidewire_core::{
    Answer, AuthenticationStep, ConnKey, Event, Identity, Next, PeerFacts, Question, Ticket, Watch,
};
use tidewire_handler as asked;
use tidewire_handler::{
    About, ChainReader, Client, Denial, Notice, Outcome, Publication, Run, Snapshot,
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
    /// The number of changes that the core has been told of.
    watched: Option<u64>,
    /// What happened in this turn and is still to be told.
    held: Vec<Notice>,
}

/// What is said about one message.
enum Said {
    /// It may be published as it is.
    Nothing,
    Now(Answer),
    /// The answer will come through the port.
    Later,
}

impl Decider {
    pub(crate) fn chain(extension: &Arc<Extension>) -> Self {
        Self::Chain(ChainDecider {
            reader: extension.chain.reader(),
            extension: Arc::clone(extension),
            watched: None,
            held: Vec::new(),
        })
    }

    /// What handlers know of a connection that has just come in; `None` = nobody will ask before it is known better.
    pub(crate) fn newcomer(&mut self, peer: &PeerFacts) -> Option<Arc<Client>> {
        let Self::Chain(ChainDecider {
            extension, reader, ..
        }) = self
        else {
            return None;
        };
        if usize::from(peer.listener) >= extension.listeners.len() {
            return None;
        }
        let events = reader.snapshot().events(Some(peer.listener));
        (!events.without(matters::OBSERVED).is_empty()).then(|| extension.client(peer))
    }

    /// What handlers know of a connection that came in when nobody was to ask about it.
    pub(crate) fn acquaintance(&self, who: Identity<'_>) -> Option<Arc<Client>> {
        let Self::Chain(chain) = self else {
            return None;
        };
        let client = chain.extension.client(who.peer);
        introduce(&client, &who);
        Some(client)
    }

    /// What the core is to watch for on each listener, if the handlers have changed.
    #[inline]
    pub(crate) fn news(&mut self) -> Option<Vec<(u16, Watch)>> {
        match self {
            Self::Chain(chain) => {
                let changes = Some(chain.reader.changes());
                (chain.watched != changes).then(|| chain.watches(changes))
            }
            Self::Answerer(_) => None,
        }
    }

    /// Whether a connection may come in.
    pub(crate) fn before_connect(
        &mut self,
        client: Option<Arc<Client>>,
        conn: ConnKey,
        port: &AnswerPort,
    ) -> Entry {
        let (Self::Chain(chain), Some(client)) = (self, client) else {
            return Entry::Free;
        };
        match chain
            .reader
            .snapshot()
            .decide(&client, asked::BeforeConnect)
        {
            Run::Done(outcome) => refusal(outcome).map_or(Entry::Free, Entry::Refused),
            Run::Pending(pending) => {
                let port = port.clone();
                chain.extension.side.finish(pending, move |outcome| {
                    port.enter(conn, refusal(outcome));
                });
                Entry::Later
            }
        }
    }

    /// Tells the observing handlers of something that the core does not know.
    pub(crate) fn notify(&mut self, notice: Notice) {
        if let Self::Chain(chain) = self {
            chain.extension.notify(notice);
        }
    }

    /// Decides at once, or sees to it that the answer comes through the port.
    pub(crate) fn ask(
        &mut self,
        ticket: Ticket,
        question: Question,
        client: Option<Arc<Client>>,
        port: &AnswerPort,
    ) -> Option<Answer> {
        match self {
            Self::Answerer(answerer) => answerer.ask(ticket, question, port),
            Self::Chain(chain) => chain.ask(ticket, question, client, port),
        }
    }

    /// What handlers say about PUBLISH frames, one after the other, until one is not simply allowed.
    pub(crate) fn consult(
        &mut self,
        ticket: Ticket,
        client: Option<Arc<Client>>,
        frames: &Frames<'_>,
        port: &AnswerPort,
    ) -> (u32, Next) {
        match (self, client) {
            (Self::Chain(chain), Some(client)) => chain.consult(ticket, &client, frames, port),
            // Nobody watches, so nobody is consulted.
            _ => (frames.count(), Next::All),
        }
    }

    /// Tells the observing handlers what happened, if any of them wants to know.
    pub(crate) fn observe(&mut self, event: &Event) {
        if let Self::Chain(ChainDecider {
            extension,
            reader,
            held,
            ..
        }) = self
        {
            let (listener, name) = notice::address(event);
            let known = extension.listeners.len();
            if listener.is_some_and(|listener| usize::from(listener) >= known) {
                return;
            }
            if reader.snapshot().handles(listener, name) {
                held.push(notice::notice(event));
            }
        }
    }

    /// Passes on what happened in this turn. Not before: a handler that publishes in answer to a subscription is to find it.
    pub(crate) fn tell(&mut self) {
        if let Self::Chain(chain) = self {
            for notice in chain.held.drain(..) {
                chain.extension.notify_of(notice);
            }
        }
    }
}

impl ChainDecider {
    #[cold]
    fn watches(&mut self, changes: Option<u64>) -> Vec<(u16, Watch)> {
        self.watched = changes;
        let snapshot = self.reader.snapshot();
        let listeners = 0..u16::try_from(self.extension.listeners.len()).unwrap_or(u16::MAX);
        listeners
            .map(|listener| (listener, watch(snapshot, listener)))
            .collect()
    }

    fn consult(
        &mut self,
        ticket: Ticket,
        client: &Arc<Client>,
        frames: &Frames<'_>,
        port: &AnswerPort,
    ) -> (u32, Next) {
        let snapshot = self.reader.snapshot();
        let mut allowed = 0;
        for publish in frames.each() {
            let way = || Way::new(&self.extension, snapshot, client, ticket, port);
            match publish_chain(snapshot, client, publish, way) {
                Said::Nothing => allowed += 1,
                Said::Now(answer) => return (allowed, Next::Said(answer)),
                Said::Later => return (allowed, Next::Later),
            }
        }
        (allowed, Next::All)
    }

    fn ask(
        &mut self,
        ticket: Ticket,
        question: Question,
        client: Option<Arc<Client>>,
        port: &AnswerPort,
    ) -> Option<Answer> {
        let client = client.unwrap_or_else(|| Arc::new(Client::absent()));
        let snapshot = self.reader.snapshot();
        let way = Way::new(&self.extension, snapshot, &client, ticket, port);
        match question {
            Question::Authenticate(credentials) => way.connect(credentials),
            Question::AuthenticationStep {
                client_id,
                method,
                data,
                step,
                ..
            } => way.authentication_step(asked::AuthenticationStep {
                client_id: (*client_id).into(),
                method: (*method).into(),
                data: data.as_deref().map(Into::into),
                stage: match step {
                    AuthenticationStep::Continue => asked::AuthenticationStage::Continue,
                    AuthenticationStep::Again => asked::AuthenticationStage::Again,
                },
            }),
            Question::AuthorizePublish { message, .. } => match message.origin() {
                // Only a will is asked about so: its sender's connection is gone.
                Some(origin) => way.about(self.extension.departed(origin)).will(&message),
                None => way.will(&message),
            },
            Question::AuthorizeSubscribe {
                client_id,
                principal,
                filter,
                share,
                options,
                ..
            } => way.known_as(&client_id, principal).authorize_subscribe(
                &filter,
                share.as_deref(),
                options,
            ),
            Question::Subscribe {
                client_id,
                principal,
                packet,
                reasons,
                ..
            } => way
                .known_as(&client_id, principal)
                .subscribe(packet, reasons, 0),
            Question::Unsubscribe {
                client_id,
                principal,
                packet,
                ..
            } => way.known_as(&client_id, principal).unsubscribe(&packet),
            // Controllers are asked elsewhere.
            Question::Raw { .. } => Some(Answer::Allowed),
            Question::Deliver {
                client_id,
                principal,
                message,
                qos,
                retain,
                expiry_secs,
                ..
            } => way
                .known_as(&client_id, principal)
                .deliver(&message, qos, retain, expiry_secs),
        }
    }
}

/// Tells handlers' view of a connection what the core knows of it.
pub(crate) fn introduce(client: &Client, who: &Identity<'_>) {
    if let Some(origin) = who.origin {
        client.introduce(About {
            client_id: origin.client_id.clone(),
            username: None,
            version: Some(who.version),
        });
        client.identify(origin.principal.clone());
    }
}

fn refusal(outcome: Outcome<()>) -> Option<Denial> {
    match outcome {
        Outcome::Unanswered | Outcome::Answered(()) => None,
        Outcome::Denied(denial) | Outcome::Close(denial) => Some(denial),
    }
}

/// Asks whether a message may be published, then what becomes of it. Nothing is copied and nobody waited for.
fn publish_chain(
    snapshot: &Arc<Snapshot>,
    client: &Arc<Client>,
    publish: tidewire_codec::Publish<'_>,
    way: impl FnOnce() -> Way,
) -> Said {
    let events = snapshot.events(client.listener());
    if events.contains(asked::Event::AuthorizePublish) {
        let ask = asked::AuthorizePublish {
            topic: (&*publish.topic).into(),
            payload: (&*publish.payload).into(),
            qos: publish.qos,
            retain: publish.retain,
        };
        match snapshot.decide(client, ask) {
            Run::Done(Outcome::Unanswered | Outcome::Answered(())) => {}
            Run::Done(Outcome::Denied(denial)) => return Said::Now(denied(denial)),
            Run::Done(Outcome::Close(denial)) => return Said::Now(closed(denial)),
            Run::Pending(pending) => {
                let publish = publish.into_owned();
                way().finish(pending, move |way, outcome| {
                    way.authorized(outcome, publish)
                });
                return Said::Later;
            }
        }
    }
    if !events.contains(asked::Event::Publish) {
        return Said::Nothing;
    }
    match snapshot.decide(client, publish) {
        Run::Done(Outcome::Unanswered) => Said::Nothing,
        Run::Done(outcome) => Said::Now(published(outcome)),
        Run::Pending(pending) => {
            way().finish(pending, |_, outcome| Some(published(outcome)));
            Said::Later
        }
    }
}

/// What the core is told about a message.
pub(crate) fn published(outcome: Outcome<Publication>) -> Answer {
    match outcome {
        Outcome::Unanswered => Answer::Allowed,
        Outcome::Answered(Publication::Replace(publish)) => Answer::Replaced(Box::new(publish)),
        Outcome::Answered(Publication::Acknowledge(reason)) => Answer::Consumed(reason),
        Outcome::Answered(Publication::Reply(packet)) => Answer::Reply(packet),
        Outcome::Denied(denial) => denied(denial),
        Outcome::Close(denial) => closed(denial),
    }
}

/// The properties of a message, with what is left of its expiry interval.
pub(crate) fn properties_of(bytes: &[u8], expiry_secs: Option<u32>) -> Properties<'static> {
    let carrier = tidewire_codec::Carrier::PublishFromServer;
    // They were decoded from a packet, or built as for one.
    let properties = Properties::from_bytes(bytes, carrier).unwrap_or_default();
    let properties = properties.into_owned();
    match expiry_secs {
        Some(secs) => properties.with(tidewire_codec::Property::MessageExpiryInterval(secs)),
        None => properties,
    }
}
