//! What the core is told once, at its construction: who it is, its limits and its listeners' policies.

use crate::keys::WorkerId;
use crate::store::{Durability, UnixClock};
use crate::watch::Watch;
use tidewire_codec::{Qos, Version};

/// Everything that a core needs to know before its first input.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which worker this core is.
    pub worker: WorkerId,
    /// How many workers share the work, at least 1.
    pub workers: u16,
    /// Seed of the hash that homes client ids, topics and shared groups; the same in all workers.
    pub home_seed: u64,
    /// Seed of this core's own hash tables and of the client ids that it assigns.
    pub seed: u64,
    /// Bounds of everything that a peer can feed.
    pub limits: Limits,
    /// How a shared group picks the member for a message.
    pub shared_strategy: SharedStrategy,
    /// Policies of the listeners; a connection names its listener by index.
    pub listeners: Vec<ListenerPolicy>,
    /// The store, if there is one; without it everything is in memory whatever the policies say.
    pub store: Option<StoreConfig>,
}

/// What a core has to know of its store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreConfig {
    /// How many shards it has.
    pub shards: u16,
    /// The wall clock.
    pub clock: UnixClock,
    /// What the server itself publishes, wills of unknown listeners included, is kept so.
    pub durability: Durability,
    /// Topic filters whose messages are kept otherwise than their listener says; the first that matches holds.
    pub topics: Vec<(Box<str>, Durability)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            worker: WorkerId(0),
            workers: 1,
            home_seed: 0,
            seed: 0,
            limits: Limits::default(),
            shared_strategy: SharedStrategy::default(),
            listeners: vec![ListenerPolicy::default()],
            store: None,
        }
    }
}

/// What a listener lets in, and whether the core has to ask.
#[derive(Clone, Debug)]
pub struct ListenerPolicy {
    /// The listener's name in logs and answers.
    pub name: Box<str>,
    /// Whether the broker or a controller serves it.
    pub mode: Mode,
    /// Who decides about a CONNECT.
    pub authentication: Authentication,
    /// Who decides about a PUBLISH or a SUBSCRIBE.
    pub authorization: Authorization,
    /// What else is asked or told about its clients; [`Command::Watch`](crate::Command::Watch) changes it.
    pub watch: Watch,
    /// Protocol versions that are served; others are refused as unsupported.
    pub versions: Vec<Version>,
    /// Answer to Request Response Information: the prefix of response topics, if one is configured.
    pub response_information: Option<Box<str>>,
    /// How far what comes through it has to be before it is acknowledged.
    pub durability: Durability,
}

impl Default for ListenerPolicy {
    fn default() -> Self {
        Self {
            name: "mqtt".into(),
            mode: Mode::Broker,
            authentication: Authentication::Anonymous,
            authorization: Authorization::AllowAll,
            watch: Watch::NONE,
            versions: vec![Version::V31, Version::V311, Version::V5],
            response_information: None,
            durability: Durability::Sync,
        }
    }
}

/// What stands behind a listener.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The broker: sessions, subscriptions, messages.
    Broker,
    /// A controller, which is asked [`Question::Raw`](crate::Question::Raw) about each packet. Authentication, authorisation and watching do
    /// not apply.
    Raw,
}

/// Who decides about a CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authentication {
    /// Everybody comes in, with whatever user name they give or none; nothing is asked.
    Anonymous,
    /// The core asks [`Question::Authenticate`](crate::Question::Authenticate) and waits.
    Ask,
}

/// Who decides about a PUBLISH or a SUBSCRIBE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Authorization {
    /// Everything that the protocol allows is allowed.
    AllowAll,
    /// The core asks [`Question::AuthorizePublish`](crate::Question::AuthorizePublish) or
    /// [`Question::AuthorizeSubscribe`](crate::Question::AuthorizeSubscribe) and waits.
    Ask,
}

/// How a shared group picks the member that gets a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SharedStrategy {
    /// Each member in turn.
    #[default]
    RoundRobin,
    /// The member with the fewest unacknowledged messages of the group.
    LeastInFlight,
    /// The same member until it leaves.
    Sticky,
    /// A publisher's messages go to one member.
    HashPublisher,
    /// A topic's messages go to one member.
    HashTopic,
}

/// The bounds of everything that a peer can feed; each is a configuration key of the same name.
#[derive(Clone, PartialEq, Debug)]
pub struct Limits {
    /// Largest packet that is accepted, header included; announced in CONNACK \[5.0 3.2.2.3.6\].
    pub max_packet_size_bytes: u32,
    /// Largest packet that is accepted before authentication has succeeded.
    pub max_connect_packet_size_bytes: u32,
    /// Time from the transport's opening to a complete CONNECT.
    pub connect_timeout_secs: u32,
    /// Time for an answer to a question, after which it counts as "no".
    pub answer_timeout_secs: u32,
    /// Time for a closing connection to take what is still queued for it.
    pub close_timeout_secs: u32,
    /// Longest client identifier.
    pub max_client_id_bytes: u16,
    /// Longest Keep Alive; a longer one or none at all is replaced by this (0 = as the client wishes).
    pub max_keep_alive_secs: u16,
    /// Longest Session Expiry Interval; `u32::MAX` = as the client wishes, for ever included.
    pub max_session_expiry_secs: u32,
    /// Highest QoS that clients may publish with.
    pub max_qos: Qos,
    /// Whether retained messages are served.
    pub retain_available: bool,
    /// Whether filters with wildcards are served.
    pub wildcard_subscription_available: bool,
    /// Whether shared subscriptions are served.
    pub shared_subscription_available: bool,
    /// Unacknowledged QoS 1 and 2 messages that a client may send at once (Receive Maximum of the server).
    pub receive_maximum: u16,
    /// Unacknowledged QoS 1 and 2 messages to one client at once; the client's Receive Maximum may lower it.
    pub max_inflight_messages: u16,
    /// Messages that wait for one session beyond those in flight.
    pub max_queued_messages: u32,
    /// Bytes of messages that wait for one session beyond those in flight.
    pub max_queued_bytes: u64,
    /// Messages that wait on disk for one session; more are not kept for it, and counted.
    pub max_kept_messages: u32,
    /// Bytes of payload that wait on disk for one session.
    pub max_kept_bytes: u64,
    /// Encoded bytes that wait for one connection's socket; QoS 0 beyond it is dropped and counted, and a client that lets so
    /// many answers wait is not read.
    pub max_outbound_bytes: u32,
    /// Bytes that one worker may hold for its peers in all: for sockets to take, in flight and in queues. Beyond half of it
    /// nothing more is queued for sessions whose client is away. Beyond it publishers to whom nothing is owed are
    /// paused for at most `pause_timeout_secs`, and a receiver that is behind (16 KiB waiting, or 16 messages in
    /// flight and 16 KiB behind them) gets no more, as if its own queue were full: dropped and counted.
    pub max_worker_bytes: u64,
    /// Longest pause of publishers while a worker holds more than `max_worker_bytes`; afterwards they go on, and are
    /// paused again only when a tenth of that has been free in between.
    pub pause_timeout_secs: u32,
    /// Bytes of messages on their way from other workers to one worker above which nobody reads from the clients that
    /// feed it. The core does not look at it: the driver owns the mailboxes.
    pub max_mailbox_bytes: u64,
    /// Topic aliases that a client may use towards the broker.
    pub topic_alias_maximum: u16,
    /// Topic aliases that the broker uses towards a client that allows them.
    pub max_outbound_topic_aliases: u16,
    /// Levels of a topic name or filter.
    pub max_topic_levels: u16,
    /// Topic filters of one SUBSCRIBE that are looked at; those beyond are refused.
    pub max_filters_per_subscribe: u32,
    /// Subscriptions of one session.
    pub max_subscriptions_per_session: u32,
    /// Shared subscriptions of one session, which count among its subscriptions too.
    pub max_shared_subscriptions_per_session: u32,
    /// Sessions of one worker, connected or not.
    pub max_sessions: u32,
    /// Retained messages of one worker.
    pub max_retained_messages: u32,
    /// Bytes of retained messages of one worker.
    pub max_retained_bytes: u64,
    /// Topics whose routes a worker remembers.
    pub route_cache_slots: u32,
    /// Bytes of those routes: a topic with many receivers has a large one.
    pub route_cache_bytes: u64,
    /// Longest wait of a will for its sender's return; a longer Will Delay Interval is shortened to it.
    pub max_will_delay_secs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // The seed's server takes 2 MiB; so does this one.
            max_packet_size_bytes: 2 * 1024 * 1024,
            // Room for a long JWT and a will; an unauthenticated peer holds no more than this.
            max_connect_packet_size_bytes: 64 * 1024,
            connect_timeout_secs: 10,
            answer_timeout_secs: 30,
            close_timeout_secs: 5,
            max_client_id_bytes: 1024,
            max_keep_alive_secs: 0,
            max_session_expiry_secs: u32::MAX,
            max_qos: Qos::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            shared_subscription_available: true,
            receive_maximum: 1024,
            max_inflight_messages: 1024,
            max_queued_messages: 10_000,
            max_queued_bytes: 64 * 1024 * 1024,
            max_kept_messages: 10_000_000,
            max_kept_bytes: 16 * 1024 * 1024 * 1024,
            max_outbound_bytes: 4 * 1024 * 1024,
            max_worker_bytes: 1024 * 1024 * 1024,
            // Shorter than the time that clients commonly wait for an acknowledgement or an answer to their ping.
            pause_timeout_secs: 5,
            // Some milliseconds of work for a worker, whatever the size of its messages.
            max_mailbox_bytes: 8 * 1024 * 1024,
            topic_alias_maximum: 64,
            max_outbound_topic_aliases: 64,
            max_topic_levels: 128,
            max_filters_per_subscribe: 1_024,
            max_subscriptions_per_session: 200_000,
            max_shared_subscriptions_per_session: 1_000,
            max_sessions: 1_000_000,
            max_retained_messages: 1_000_000,
            max_retained_bytes: 1024 * 1024 * 1024,
            route_cache_slots: 8_192,
            route_cache_bytes: 64 * 1024 * 1024,
            max_will_delay_secs: u32::MAX,
        }
    }
}
