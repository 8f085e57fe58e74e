//! What deciding handlers are asked, and what they may answer.

use crate::client::Client;
use crate::decide::Decide;
use crate::event::{Event, Handler};
use crate::told::Origin;
use std::borrow::Cow;
use std::sync::Arc;
use tidewire_codec::{
    Connect, Packet, Properties, Publish, Qos, ReasonCode, Subscribe, SubscriptionOptions,
    Unsubscribe, Version,
};

/// The way from a question to the method that answers it; written by the table of events.
pub trait Put {
    /// Which event raises it.
    const EVENT: Event;
    /// What an answer consists of.
    type Answer: Send + 'static;
    /// Asks one handler.
    fn put(&self, handler: &dyn Handler, client: &Client) -> Decide<Self::Answer>;
}

/// A question to a chain. It borrows what it asks about; only if somebody needs time for an answer is it copied.
pub trait Ask: Put + Send + Sync {
    /// The question with everything its own.
    type Owned: Ask<Answer = Self::Answer> + 'static;

    /// The same question, to be kept.
    fn to_kept(&self) -> Self::Owned;

    /// A handler answered, and those behind it are to see it.
    fn revise(&mut self, answer: &Self::Answer) {
        let _ = answer;
    }
}

/// A transport is open. What is known of it is in the [`Client`].
#[derive(Clone, Copy, Debug)]
pub struct BeforeConnect;

/// What a CONNECT says about its sender.
#[derive(Clone)]
pub struct Authenticate<'a> {
    /// The client id, assigned ones included.
    pub client_id: Cow<'a, str>,
    /// User name.
    pub username: Option<Cow<'a, str>>,
    /// Password; not shown by `Debug`.
    pub password: Option<Cow<'a, [u8]>>,
    /// Protocol version.
    pub version: Version,
    /// Authentication Method of enhanced authentication.
    pub method: Option<Cow<'a, str>>,
    /// Authentication Data of enhanced authentication; not shown by `Debug`.
    pub data: Option<Cow<'a, [u8]>>,
}

/// A further message of an enhanced authentication.
#[derive(Clone)]
pub struct AuthenticationStep<'a> {
    /// The client id.
    pub client_id: Cow<'a, str>,
    /// The method named in CONNECT.
    pub method: Cow<'a, str>,
    /// Authentication Data; not shown by `Debug`.
    pub data: Option<Cow<'a, [u8]>>,
    /// Where the exchange stands.
    pub stage: AuthenticationStage,
}

/// Where an enhanced authentication stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuthenticationStage {
    /// AUTH 0x18: a further message.
    Continue,
    /// AUTH 0x19: the client begins to authenticate anew.
    Again,
}

/// An answer about who a client is.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    /// It may come in.
    Accepted {
        /// Who it is; sessions belong to it. `None` = nobody in particular.
        principal: Option<Arc<str>>,
        /// Authentication Data of the final CONNACK or AUTH; not shown by `Debug`.
        data: Option<Box<[u8]>>,
        /// For how many seconds that holds; `None` = as long as the connection. A client that has not authenticated anew when
        /// they are over is disconnected (0xA0, maximum connect time).
        valid_secs: Option<u64>,
    },
    /// An AUTH packet with this data goes to the client; its reply is the next step. Not shown by `Debug`.
    Challenge(Box<[u8]>),
}

/// A client wants to publish.
#[derive(Clone, Debug)]
pub struct AuthorizePublish<'a> {
    /// Topic name, aliases resolved.
    pub topic: Cow<'a, str>,
    /// The message.
    pub payload: Cow<'a, [u8]>,
    /// Quality of service.
    pub qos: Qos,
    /// Whether it is to be retained.
    pub retain: bool,
}

/// A client wants to subscribe.
#[derive(Clone, Debug)]
pub struct AuthorizeSubscribe<'a> {
    /// The filter, without `$share/name/`.
    pub filter: Cow<'a, str>,
    /// The share name, if shared.
    pub share: Option<Cow<'a, str>>,
    /// What was asked for.
    pub options: SubscriptionOptions,
}

/// What becomes of a client's message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Publication {
    /// This goes on in its place, and later handlers see it: topic, payload, RETAIN and properties are taken from it, the
    /// quality of service no higher than the client's. The topic is checked again; packet identifier and DUP are not looked at.
    Replace(Publish<'static>),
    /// It goes no further, and its sender is told this in PUBACK or PUBREC where its version can be told; `Success` = as if
    /// it had been published.
    Acknowledge(ReasonCode),
    /// It goes no further, and this is sent in place of what the broker would answer. The handler answers for the rest of
    /// the exchange.
    Reply(Box<Packet<'static>>),
}

/// The answers to a packet's topic filters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Codes {
    /// One for each filter, in order. For SUBSCRIBE: the granted quality of service, no higher than the client asked for, or
    /// an error. What the broker itself refuses stays refused.
    pub reasons: Vec<ReasonCode>,
    /// Properties of SUBACK or UNSUBACK (MQTT 5.0).
    pub properties: Properties<'static>,
}

/// A message on its way to one receiver. The receiver is the client that is asked about.
#[derive(Clone, Debug)]
pub struct Deliver<'a> {
    /// The message as it would be sent. It has no packet identifier yet.
    pub publish: Publish<'a>,
    /// Who published it.
    pub origin: Origin,
}

/// What to do with a message for one receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// Send this in its place: topic, payload and properties are taken from it.
    Send(Publish<'static>),
    /// Send nothing.
    Suppress,
}

impl From<Vec<ReasonCode>> for Codes {
    fn from(reasons: Vec<ReasonCode>) -> Self {
        Self {
            reasons,
            properties: Properties::EMPTY,
        }
    }
}

impl Authentication {
    /// The client may come in, as this principal.
    #[must_use]
    pub fn accepted(principal: impl Into<Arc<str>>) -> Self {
        Self::Accepted {
            principal: Some(principal.into()),
            data: None,
            valid_secs: None,
        }
    }

    /// The client may come in, as nobody in particular.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::Accepted {
            principal: None,
            data: None,
            valid_secs: None,
        }
    }
}

impl std::fmt::Debug for Authentication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Accepted { principal, .. } => f
                .debug_struct("Accepted")
                .field("principal", principal)
                .finish_non_exhaustive(),
            Self::Challenge(_) => f.debug_tuple("Challenge").finish_non_exhaustive(),
        }
    }
}

impl std::fmt::Debug for Authenticate<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticate")
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("version", &self.version)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for AuthenticationStep<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthenticationStep")
            .field("client_id", &self.client_id)
            .field("method", &self.method)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Ask for BeforeConnect {
    type Owned = Self;

    fn to_kept(&self) -> Self {
        *self
    }
}

impl Ask for Connect<'_> {
    type Owned = Connect<'static>;

    fn to_kept(&self) -> Self::Owned {
        self.clone().into_owned()
    }
}

impl Ask for Authenticate<'_> {
    type Owned = Authenticate<'static>;

    fn to_kept(&self) -> Self::Owned {
        Authenticate {
            client_id: kept(&*self.client_id),
            username: self.username.as_deref().map(kept),
            password: self.password.as_deref().map(kept),
            version: self.version,
            method: self.method.as_deref().map(kept),
            data: self.data.as_deref().map(kept),
        }
    }
}

impl Ask for AuthenticationStep<'_> {
    type Owned = AuthenticationStep<'static>;

    fn to_kept(&self) -> Self::Owned {
        AuthenticationStep {
            client_id: kept(&*self.client_id),
            method: kept(&*self.method),
            data: self.data.as_deref().map(kept),
            stage: self.stage,
        }
    }
}

impl Ask for AuthorizePublish<'_> {
    type Owned = AuthorizePublish<'static>;

    fn to_kept(&self) -> Self::Owned {
        AuthorizePublish {
            topic: kept(&*self.topic),
            payload: kept(&*self.payload),
            qos: self.qos,
            retain: self.retain,
        }
    }
}

impl Ask for AuthorizeSubscribe<'_> {
    type Owned = AuthorizeSubscribe<'static>;

    fn to_kept(&self) -> Self::Owned {
        AuthorizeSubscribe {
            filter: kept(&*self.filter),
            share: self.share.as_deref().map(kept),
            options: self.options,
        }
    }
}

impl Ask for Publish<'_> {
    type Owned = Publish<'static>;

    fn to_kept(&self) -> Self::Owned {
        self.clone().into_owned()
    }

    fn revise(&mut self, answer: &Publication) {
        if let Publication::Replace(publish) = answer {
            *self = publish.clone();
        }
    }
}

impl Ask for Subscribe<'_> {
    type Owned = Subscribe<'static>;

    fn to_kept(&self) -> Self::Owned {
        self.clone().into_owned()
    }
}

impl Ask for Unsubscribe<'_> {
    type Owned = Unsubscribe<'static>;

    fn to_kept(&self) -> Self::Owned {
        self.clone().into_owned()
    }
}

impl Ask for Deliver<'_> {
    type Owned = Deliver<'static>;

    fn to_kept(&self) -> Self::Owned {
        Deliver {
            publish: self.publish.clone().into_owned(),
            origin: self.origin.clone(),
        }
    }

    fn revise(&mut self, answer: &Delivery) {
        if let Delivery::Send(publish) = answer {
            self.publish = publish.clone();
        }
    }
}

fn kept<T: ToOwned + ?Sized>(borrowed: &T) -> Cow<'static, T> {
    Cow::Owned(borrowed.to_owned())
}
