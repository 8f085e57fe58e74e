//! The keys of `[[listener]]`.

use super::key::{Access, Key, Kind, Section};
use super::table::{key, meaning, word};
use super::value::Value;
use tidewire_codec::Version;

/// Words for the protocol versions.
const VERSIONS: &[(&str, Version)] = &[
    ("3.1", Version::V31),
    ("3.1.1", Version::V311),
    ("5", Version::V5),
];

/// In the order of the reference.
pub(super) static KEYS: &[Key] = &[
    key(
        Section::Listener,
        "name",
        Kind::Text { max_bytes: 64 },
        "",
        "Name in the banner, in `tidewire ctl` and in logs; no two listeners share one.",
        Access::Listener {
            get: |listener| Value::Text(listener.name.clone()),
            set: |listener, value| listener.name = value.into_text(),
        },
    ),
    key(
        Section::Listener,
        "url",
        Kind::Url,
        "",
        "Where the listener opens: `tcp://host:port`. An IPv6 address stands in brackets. Port 0 lets the system choose.",
        Access::Listener {
            get: |listener| Value::Url(listener.url.clone()),
            set: |listener, value| {
                if let Value::Url(url) = value {
                    listener.url = url;
                }
            },
        },
    ),
    key(
        Section::Listener,
        "allow_anonymous",
        Kind::Flag,
        "",
        "Whether clients come in without proving who they are. Unset, it is `true` on loopback addresses and `false` elsewhere; \
         a listener beyond loopback that would let nobody in is refused at the start.",
        Access::Listener {
            get: |listener| listener.allow_anonymous.map_or(Value::Unset, Value::Flag),
            set: |listener, value| listener.allow_anonymous = Some(value == Value::Flag(true)),
        },
    ),
    key(
        Section::Listener,
        "versions",
        Kind::Choices(&["3.1", "3.1.1", "5"]),
        "",
        "Protocol versions that are served; a client of another one is refused.",
        Access::Listener {
            get: |listener| {
                Value::Choices(
                    listener
                        .versions
                        .iter()
                        .map(|version| word(VERSIONS, version))
                        .collect(),
                )
            },
            set: |listener, value| {
                if let Value::Choices(words) = value {
                    listener.versions = words
                        .into_iter()
                        .filter_map(|text| meaning(VERSIONS, text))
                        .collect();
                }
            },
        },
    ),
    key(
        Section::Listener,
        "max_connections",
        Kind::Integer {
            min: 0,
            max: 4_294_967_295,
        },
        "connections",
        "Connections at a time; more are closed as they arrive. 0 leaves the bound to the operating system.",
        Access::Listener {
            get: |listener| Value::Integer(listener.max_connections.into()),
            set: |listener, value| listener.max_connections = value.narrow(),
        },
    ),
    key(
        Section::Listener,
        "response_information",
        Kind::Text { max_bytes: 65_535 },
        "",
        "Answer to a client of MQTT 5.0 that requests response information: the prefix of its response topics.",
        Access::Listener {
            get: |listener| {
                listener
                    .response_information
                    .clone()
                    .map_or(Value::Unset, Value::Text)
            },
            set: |listener, value| listener.response_information = Some(value.into_text()),
        },
    ),
];
