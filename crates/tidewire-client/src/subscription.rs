//! What an application subscribes to, and how it wants it.

use tidewire_codec::{Properties, Qos, RetainHandling, SubscriptionOptions};

/// One or more topic filters whose messages go into one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub(crate) filters: Vec<(Box<str>, SubscriptionOptions)>,
    pub(crate) properties: Properties<'static>,
    pub(crate) capacity: usize,
    pub(crate) overflow: Overflow,
    pub(crate) acknowledge: Acknowledge,
}

/// What happens to a message whose stream is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It waits, and so does the server: beyond a bound of bytes the client stops reading its socket. Nothing is lost
    /// by the client, and every stream of the client waits with this one.
    #[default]
    Block,
    /// The oldest message of the stream makes room.
    DropOldest,
    /// The message itself is dropped.
    DropNewest,
}

/// When the server hears that a message of QoS 1 or 2 was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// When the application has taken it out of the stream. A message for several streams is acknowledged when the last
    /// has yielded it.
    #[default]
    AfterYield,
    /// As soon as it has come.
    Automatic,
    /// When the application says so, with [`Received::acknowledge`](crate::Received::acknowledge). A message that never
    /// is holds back the acknowledgements of all later ones of its QoS.
    Manual,
}

impl Subscription {
    /// A subscription to this filter with QoS 0.
    #[must_use]
    pub fn new(filter: &str) -> Self {
        Self {
            filters: vec![(filter.into(), SubscriptionOptions::default())],
            properties: Properties::EMPTY,
            // A burst; with the default packet sizes of telemetry some tens of kilobytes.
            capacity: 256,
            overflow: Overflow::default(),
            acknowledge: Acknowledge::default(),
        }
    }

    /// What no other stream of the client is for: of a session that was kept, for instance. Only for
    /// [`Builder::route`](crate::Builder::route); nothing is subscribed.
    #[must_use]
    pub fn rest() -> Self {
        let mut rest = Self::new("");
        rest.filters.clear();
        rest
    }

    /// This filter, too, with the options that the last one had until then.
    #[must_use]
    pub fn and(mut self, filter: &str) -> Self {
        let options = self.filters.last().map(|(_, options)| *options);
        self.filters
            .push((filter.into(), options.unwrap_or_default()));
        self
    }

    /// The highest quality of service to deliver with, for the last filter.
    #[must_use]
    pub fn qos(self, qos: Qos) -> Self {
        self.change(|options| options.qos = qos)
    }

    /// Not what this client publishes itself, for the last filter (MQTT 5.0).
    #[must_use]
    pub fn no_local(self) -> Self {
        self.change(|options| options.no_local = true)
    }

    /// The RETAIN flag as the publisher set it, for the last filter (MQTT 5.0).
    #[must_use]
    pub fn retain_as_published(self) -> Self {
        self.change(|options| options.retain_as_published = true)
    }

    /// When retained messages are sent, for the last filter (MQTT 5.0).
    #[must_use]
    pub fn retain_handling(self, handling: RetainHandling) -> Self {
        self.change(|options| options.retain_handling = handling)
    }

    /// A subscription identifier and user properties, of all filters together (MQTT 5.0).
    #[must_use]
    pub fn properties(mut self, properties: Properties<'static>) -> Self {
        self.properties = properties;
        self
    }

    /// Messages that the stream holds before `overflow` says what happens; 256 if not said otherwise.
    #[must_use]
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages.max(1);
        self
    }

    /// What happens to a message whose stream is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// When the server hears that a message was taken over.
    #[must_use]
    pub fn acknowledge(mut self, when: Acknowledge) -> Self {
        self.acknowledge = when;
        self
    }

    fn change(mut self, change: impl FnOnce(&mut SubscriptionOptions)) -> Self {
        if let Some((_, options)) = self.filters.last_mut() {
            change(options);
        }
        self
    }
}

impl From<&str> for Subscription {
    fn from(filter: &str) -> Self {
        Self::new(filter)
    }
}

impl From<String> for Subscription {
    fn from(filter: String) -> Self {
        Self::new(&filter)
    }
}
