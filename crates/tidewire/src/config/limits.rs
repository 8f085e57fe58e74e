//! The keys of `[limits]`: every field of [`tidewire_core::Limits`] under its own name.

use super::key::{Access, Key, Kind, Reload, Section};
use super::value::Value;
use tidewire_codec::Qos;

/// The largest packet that MQTT can express: five bytes of header and a remaining length of four digits of base 128.
const LARGEST_PACKET_BYTES: u64 = 5 + 268_435_455;

/// The largest number that a TOML file can hold.
const LARGEST_INTEGER: u64 = i64::MAX as u64;

macro_rules! number {
    ($field:ident, ($min:expr, $max:expr), $unit:literal, $doc:literal) => {
        Key {
            section: Section::Limits,
            name: stringify!($field),
            kind: Kind::Integer {
                min: $min,
                max: $max,
            },
            unit: $unit,
            reload: Reload::Restart,
            doc: $doc,
            access: Access::Broker {
                get: |config| Value::Integer(u64::from(config.limits.$field)),
                set: |config, value| config.limits.$field = value.narrow(),
            },
        }
    };
}

macro_rules! flag {
    ($field:ident, $doc:literal) => {
        Key {
            section: Section::Limits,
            name: stringify!($field),
            kind: Kind::Flag,
            unit: "",
            reload: Reload::Restart,
            doc: $doc,
            access: Access::Broker {
                get: |config| Value::Flag(config.limits.$field),
                set: |config, value| config.limits.$field = value == Value::Flag(true),
            },
        }
    };
}

/// In the order of the reference: packets, time, sessions, what is served, queues, memory.
pub(super) static KEYS: &[Key] = &[
    number!(
        max_packet_size_bytes,
        (256, LARGEST_PACKET_BYTES),
        "bytes",
        "Largest packet that is accepted, header included. Clients of MQTT 5.0 are told in CONNACK; a larger packet closes the connection."
    ),
    number!(
        max_connect_packet_size_bytes,
        (256, LARGEST_PACKET_BYTES),
        "bytes",
        "Largest packet that is accepted before a client is admitted: room for a client id, credentials and a will."
    ),
    number!(
        connect_timeout_secs,
        (1, 3600),
        "seconds",
        "Time from the opening of a connection to its complete CONNECT; then it is closed."
    ),
    number!(
        answer_timeout_secs,
        (1, 3600),
        "seconds",
        "Time that an authenticator or an access rule has for its answer; no answer counts as a refusal."
    ),
    number!(
        close_timeout_secs,
        (0, 3600),
        "seconds",
        "Time that a closing connection has to take what is still queued for it."
    ),
    number!(
        max_client_id_bytes,
        (23, 65_535),
        "bytes",
        "Longest client identifier."
    ),
    number!(
        max_keep_alive_secs,
        (0, 65_535),
        "seconds",
        "Longest keep alive: a longer one, or none, is replaced by this, and clients of MQTT 5.0 are told. 0 leaves it to the client."
    ),
    number!(
        max_session_expiry_secs,
        (0, 4_294_967_295),
        "seconds",
        "Longest time that a session outlives its connection. 4294967295 leaves it to the client, for ever included."
    ),
    number!(
        max_will_delay_secs,
        (0, 4_294_967_295),
        "seconds",
        "Longest time that a will waits for its sender's return; a longer Will Delay Interval is shortened to it."
    ),
    Key {
        section: Section::Limits,
        name: "max_qos",
        kind: Kind::Integer { min: 0, max: 2 },
        unit: "",
        reload: Reload::Restart,
        doc: "Highest quality of service that clients may publish with: 0, 1 or 2.",
        access: Access::Broker {
            get: |config| Value::Integer(config.limits.max_qos as u64),
            set: |config, value| {
                config.limits.max_qos = match value {
                    Value::Integer(0) => Qos::AtMostOnce,
                    Value::Integer(1) => Qos::AtLeastOnce,
                    _ => Qos::ExactlyOnce,
                }
            },
        },
    },
    flag!(
        retain_available,
        "Whether retained messages are served; if not, a client that sends one is disconnected."
    ),
    flag!(
        wildcard_subscription_available,
        "Whether topic filters with `+` and `#` are served."
    ),
    flag!(
        shared_subscription_available,
        "Whether shared subscriptions (`$share/group/filter`) are served."
    ),
    number!(
        receive_maximum,
        (1, 65_535),
        "messages",
        "Messages of QoS 1 and 2 that a client may have sent without an acknowledgement; clients of MQTT 5.0 are told."
    ),
    number!(
        max_inflight_messages,
        (1, 65_535),
        "messages",
        "Messages of QoS 1 and 2 that the broker sends to a client ahead of its acknowledgements; the client's Receive Maximum may lower it."
    ),
    number!(
        max_queued_messages,
        (0, 4_294_967_295),
        "messages",
        "Messages that wait for one session beyond those in flight; more are dropped and counted."
    ),
    number!(
        max_queued_bytes,
        (0, LARGEST_INTEGER),
        "bytes",
        "Bytes of messages that wait for one session beyond those in flight; more are dropped and counted."
    ),
    number!(
        max_kept_messages,
        (0, 4_294_967_295),
        "messages",
        "Messages that wait on disk for one session; more are not kept for it, and counted."
    ),
    number!(
        max_kept_bytes,
        (0, LARGEST_INTEGER),
        "bytes",
        "Bytes of messages that wait on disk for one session; more are not kept for it, and counted."
    ),
    number!(
        max_outbound_bytes,
        (1024, 4_294_967_295),
        "bytes",
        "Bytes that wait for one connection's socket: a slow reader. Messages of QoS 0 beyond it are dropped and counted."
    ),
    number!(
        max_worker_bytes,
        (1_048_576, LARGEST_INTEGER),
        "bytes",
        "Bytes that one worker may hold for its clients in all: for sockets to take, in flight and in queues. Beyond half of it nothing more is queued for sessions whose client is away. Beyond it publishers to whom nothing is owed are paused for at most `pause_timeout_secs`, and a receiver that is behind (16 KiB waiting, or 16 messages in flight and 16 KiB behind them) gets no more; what is dropped is counted."
    ),
    number!(
        pause_timeout_secs,
        (0, 3600),
        "seconds",
        "Longest pause of publishers while a worker holds more than `max_worker_bytes`. Afterwards they go on, and are paused again only when a tenth of that has been free in between."
    ),
    number!(
        max_mailbox_bytes,
        (65_536, LARGEST_INTEGER),
        "bytes",
        "Bytes of messages on their way from other workers to one worker. While more than that waits, nobody reads from the clients that feed it, so that a worker that is behind costs a bounded queue."
    ),
    number!(
        topic_alias_maximum,
        (0, 65_535),
        "aliases",
        "Topic aliases that a client may use towards the broker."
    ),
    number!(
        max_outbound_topic_aliases,
        (0, 65_535),
        "aliases",
        "Topic aliases that the broker uses towards a client that allows them."
    ),
    number!(
        max_topic_levels,
        (1, 65_535),
        "levels",
        "Levels of a topic name or filter: the parts between slashes."
    ),
    number!(
        max_filters_per_subscribe,
        (1, 4_294_967_295),
        "filters",
        "Topic filters of one SUBSCRIBE that are looked at; those beyond are refused in SUBACK."
    ),
    number!(
        max_subscriptions_per_session,
        (1, 4_294_967_295),
        "subscriptions",
        "Subscriptions of one session."
    ),
    number!(
        max_shared_subscriptions_per_session,
        (1, 4_294_967_295),
        "subscriptions",
        "Shared subscriptions of one session, which count among its subscriptions too."
    ),
    number!(
        max_sessions,
        (1, 4_294_967_295),
        "sessions",
        "Sessions of one worker, connected or not."
    ),
    number!(
        max_retained_messages,
        (0, 4_294_967_295),
        "messages",
        "Retained messages of one worker."
    ),
    number!(
        max_retained_bytes,
        (0, LARGEST_INTEGER),
        "bytes",
        "Bytes of retained messages of one worker."
    ),
    number!(
        route_cache_slots,
        (0, 16_777_216),
        "topics",
        "Topics whose receivers a worker remembers, so that a repeated topic is not matched again. 0 turns the memory off."
    ),
    number!(
        route_cache_bytes,
        (0, LARGEST_INTEGER),
        "bytes",
        "Bytes of those remembered receivers in one worker: a topic with many receivers takes many."
    ),
];
