//! Scenarios as data: what connects, what is sent where, and how it is paced.

mod catalogue;
mod topics;

use std::fmt;

use serde::Serialize;

pub use catalogue::{GROUPS, catalogue, find, select};
pub use topics::{FilterSet, TopicPlan};

use crate::encode::{Qos, Version};

/// One row of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Scenario {
    /// What a person types.
    pub name: String,
    /// One line of explanation.
    pub about: String,
    /// What is done.
    pub plan: Plan,
}

/// The kinds of load.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// Messages flow between connected clients; figures are per delivered message.
    Flow(Flow),
    /// Connections with one subscription each that say nothing; figures are bytes per connection.
    Idle {
        /// How many.
        connections: usize,
        /// Protocol version.
        version: Version,
    },
    /// Connect, subscribe, disconnect, over and over; figures are per connection.
    ConnectRate {
        /// Connections that are being set up at the same time.
        together: usize,
        /// Protocol version.
        version: Version,
    },
    /// New subscribers receive many retained messages; figures are per delivered message.
    Retained {
        /// Retained messages, each on a topic of its own.
        messages: usize,
        /// Application payload in bytes.
        payload_bytes: usize,
        /// Protocol version.
        version: Version,
    },
}

/// Publishers and subscribers between which messages flow.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flow {
    /// Publishing connections.
    pub publishers: usize,
    /// Subscribing connections.
    pub subscribers: usize,
    /// Who gets whose messages.
    pub routing: Routing,
    /// When messages are sent.
    pub pacing: Pacing,
    /// QoS of publishes and subscriptions alike.
    pub qos: Qos,
    /// Protocol version of all connections.
    pub version: Version,
    /// Application payload in bytes, at least 16.
    pub payload_bytes: usize,
}

/// Who gets whose messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    /// Subscriber `n` gets publisher `n`'s messages, on a topic of their own.
    Pairs,
    /// Every subscriber gets all messages; each publisher has its own topic, filters are one wildcard.
    Wildcard,
    /// Every subscriber gets all messages; all publishers use one topic.
    OneTopic,
    /// The subscribers are members of one shared subscription; each message goes to one of them.
    SharedGroup,
    /// As pairs, but the subscribers hold this many filters in all, of which one matches a message.
    ManyFilters {
        /// Filters in all.
        filters: usize,
        /// Whether topics come again.
        topics: TopicReuse,
    },
    /// As pairs, among filters made of `+` in every combination: a naive walk visits `2^depth` nodes a message.
    Adversarial {
        /// Levels that are either a literal or `+`.
        depth: usize,
    },
}

/// Whether a route cache could help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicReuse {
    /// Each publisher repeats a hundred topics, over filters of all shapes.
    Repeated,
    /// Each publisher hits all filters of its subscriber in turn, one topic each, and starts again.
    EveryFilter,
    /// No topic is used twice (until four thousand million messages), over the wildcard filters.
    Distinct,
}

/// When messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pacing {
    /// As soon as half the window is free, half the window.
    Window {
        /// Undelivered (or unacknowledged) messages a publisher may have.
        messages: usize,
    },
    /// On a fixed schedule, whatever the broker does.
    Rate {
        /// By all publishers together.
        messages_per_sec: f64,
    },
}

impl Flow {
    /// Most messages a publisher may have under way.
    #[must_use]
    pub fn window(&self) -> usize {
        match self.pacing {
            Pacing::Window { messages } => messages.max(1),
            // Sixteen seconds of backlog per publisher: more is a broker that cannot keep the rate.
            Pacing::Rate { messages_per_sec } => (messages_per_sec * 16.0
                / self.publishers.max(1) as f64)
                .ceil()
                .max(64.0) as usize,
        }
    }

    /// To how many subscribers a message is owed.
    #[must_use]
    pub fn copies(&self) -> usize {
        match self.routing {
            Routing::Wildcard | Routing::OneTopic => self.subscribers,
            _ => 1,
        }
    }

    /// Whether every connection count fits the routing.
    ///
    /// # Errors
    /// A sentence that says what does not fit.
    pub fn check(&self) -> Result<(), String> {
        if self.publishers == 0 || self.subscribers == 0 {
            return Err("a flow needs at least one publisher and one subscriber".into());
        }
        let paired = matches!(
            self.routing,
            Routing::Pairs | Routing::ManyFilters { .. } | Routing::Adversarial { .. }
        );
        if paired && self.publishers != self.subscribers {
            return Err(format!(
                "pairs need as many publishers as subscribers, not {} and {}",
                self.publishers, self.subscribers
            ));
        }
        if let Routing::Adversarial { depth } = self.routing
            && !(1..=16).contains(&depth)
        {
            return Err(format!("a depth of {depth} is outside 1 to 16"));
        }
        Ok(())
    }
}

impl Plan {
    /// What a figure is divided by.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match self {
            Self::Flow(_) | Self::Retained { .. } => Unit::Message,
            Self::ConnectRate { .. } => Unit::Connection,
            Self::Idle { .. } => Unit::IdleConnection,
        }
    }

    /// Whether a bare forwarder without MQTT can serve it.
    #[must_use]
    pub fn suits_raw(&self) -> bool {
        match self {
            Self::Flow(flow) => {
                flow.qos == Qos::AtMostOnce
                    && matches!(
                        flow.routing,
                        Routing::Pairs | Routing::Wildcard | Routing::OneTopic
                    )
            }
            _ => false,
        }
    }

    /// Connections that are open at the same time.
    #[must_use]
    pub fn connections(&self) -> usize {
        match self {
            Self::Flow(flow) => flow.publishers + flow.subscribers,
            Self::Idle { connections, .. } => *connections,
            Self::ConnectRate { together, .. } => *together,
            Self::Retained { .. } => 1,
        }
    }
}

/// What a figure is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A delivered message.
    Message,
    /// A connection that was made and ended.
    Connection,
    /// A connection that stays and says nothing.
    IdleConnection,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Message => "message",
            Self::Connection => "connection",
            Self::IdleConnection => "idle connection",
        })
    }
}
