//! Every key of the configuration, declared once.

use super::key::{Access, Key, Kind, Reload, Section};
use super::value::Value;
use super::{LogFormat, limits};
use std::path::PathBuf;
use tidewire_codec::Version;
use tidewire_core::SharedStrategy;

/// Words for the protocol versions.
const VERSIONS: &[(&str, Version)] = &[
    ("3.1", Version::V31),
    ("3.1.1", Version::V311),
    ("5", Version::V5),
];

/// Words for the ways to pick a member of a shared group.
const STRATEGIES: &[(&str, SharedStrategy)] = &[
    ("round_robin", SharedStrategy::RoundRobin),
    ("least_in_flight", SharedStrategy::LeastInFlight),
    ("sticky", SharedStrategy::Sticky),
    ("hash_publisher", SharedStrategy::HashPublisher),
    ("hash_topic", SharedStrategy::HashTopic),
];

/// Words for the log formats.
const LOG_FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

/// All keys, section by section.
pub(crate) fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter().chain(limits::KEYS)
}

/// The key of that name in that section.
pub(super) fn find(section: Section, name: &str) -> Option<&'static Key> {
    keys().find(|key| key.section == section && key.name == name)
}

/// A key that takes a restart; the table's usual row.
const fn key(
    section: Section,
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    doc: &'static str,
    access: Access,
) -> Key {
    Key {
        section,
        name,
        kind,
        unit,
        reload: Reload::Restart,
        doc,
        access,
    }
}

static KEYS: &[Key] = &[
    key(
        Section::Listener,
        "name",
        Kind::Text { max_bytes: 64 },
        "",
        "Name in logs, metrics and `tidewire ctl`; no two listeners share one.",
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
        "tcp_nodelay",
        Kind::Flag,
        "",
        "Whether small packets leave at once (TCP_NODELAY). `false` may save packets on slow links and costs latency.",
        Access::Listener {
            get: |listener| Value::Flag(listener.tcp_nodelay),
            set: |listener, value| listener.tcp_nodelay = value == Value::Flag(true),
        },
    ),
    key(
        Section::Listener,
        "backlog",
        Kind::Integer {
            min: 1,
            max: 65_535,
        },
        "connections",
        "Connections that the system holds until the broker accepts them; the system may have a lower bound of its own.",
        Access::Listener {
            get: |listener| Value::Integer(listener.backlog.into()),
            set: |listener, value| listener.backlog = value.narrow(),
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
    key(
        Section::Broker,
        "workers",
        Kind::Integer { min: 0, max: 128 },
        "threads",
        "Worker threads; each owns a part of the connections. 0 starts one per core.",
        Access::Broker {
            get: |config| Value::Integer(config.workers.into()),
            set: |config, value| config.workers = value.narrow(),
        },
    ),
    key(
        Section::Broker,
        "data_dir",
        Kind::Path,
        "",
        "Where the broker keeps its lock and its control socket. Unset, it is `/var/lib/tidewire` for root, and \
         `$XDG_STATE_HOME/tidewire` or `~/.local/state/tidewire` for others. A relative path starts where the broker was started.",
        Access::Broker {
            get: |config| path(config.data_dir.as_ref()),
            set: |config, value| config.data_dir = Some(PathBuf::from(value.into_text())),
        },
    ),
    key(
        Section::Broker,
        "pid_file",
        Kind::Path,
        "",
        "File that holds the broker's process id while it runs. Not written with `--dev`.",
        Access::Broker {
            get: |config| path(config.pid_file.as_ref()),
            set: |config, value| config.pid_file = Some(PathBuf::from(value.into_text())),
        },
    ),
    key(
        Section::Broker,
        "shutdown_timeout_secs",
        Kind::Integer { min: 0, max: 3600 },
        "seconds",
        "Time that a clean stop may take: clients are told, what is queued for them is sent, then connections are cut.",
        Access::Broker {
            get: |config| Value::Integer(config.shutdown_timeout_secs.into()),
            set: |config, value| config.shutdown_timeout_secs = value.narrow(),
        },
    ),
    key(
        Section::Broker,
        "sys_interval_secs",
        Kind::Integer {
            min: 0,
            max: 86_400,
        },
        "seconds",
        "Time between two rounds of messages on `$SYS/broker/#`. 0 turns them off.",
        Access::Broker {
            get: |config| Value::Integer(config.sys_interval_secs.into()),
            set: |config, value| config.sys_interval_secs = value.narrow(),
        },
    ),
    key(
        Section::Broker,
        "shared_subscription_strategy",
        Kind::Choice(&[
            "round_robin",
            "least_in_flight",
            "sticky",
            "hash_publisher",
            "hash_topic",
        ]),
        "",
        "Who of a shared group gets a message: each in turn, the one with the fewest unacknowledged, the same until it leaves, \
         or always the same one for a publisher or for a topic.",
        Access::Broker {
            get: |config| Value::Choice(word(STRATEGIES, &config.shared_strategy)),
            set: |config, value| choose(&mut config.shared_strategy, STRATEGIES, &value),
        },
    ),
    Key {
        section: Section::Log,
        name: "filter",
        kind: Kind::LogFilter,
        unit: "",
        reload: Reload::OnSighup,
        doc: "Which events are written: `error`, `warn`, `info`, `debug`, `trace`, `off`, or parts such as \
              `warn,tidewire=debug`. `--log` wins over it.",
        access: Access::Broker {
            get: |config| Value::Text(config.log_filter.clone()),
            set: |config, value| config.log_filter = value.into_text(),
        },
    },
    key(
        Section::Log,
        "format",
        Kind::Choice(&["text", "json"]),
        "",
        "Lines for people, or one JSON object a line. `--log-format` wins over it.",
        Access::Broker {
            get: |config| Value::Choice(word(LOG_FORMATS, &config.log_format)),
            set: |config, value| choose(&mut config.log_format, LOG_FORMATS, &value),
        },
    ),
    key(
        Section::Metrics,
        "listen",
        Kind::Address,
        "",
        "Address and port that answer `/metrics` for Prometheus and `/healthz`, such as `\"127.0.0.1:9464\"`. \
         Whoever reaches it may read it: it asks for no password.",
        Access::Broker {
            get: |config| config.metrics_listen.map_or(Value::Unset, Value::Address),
            set: |config, value| {
                if let Value::Address(address) = value {
                    config.metrics_listen = Some(address);
                }
            },
        },
    ),
];

fn path(path: Option<&PathBuf>) -> Value {
    path.map_or(Value::Unset, |path| Value::Text(path.display().to_string()))
}

fn word<T: PartialEq>(words: &[(&'static str, T)], meaning: &T) -> &'static str {
    words
        .iter()
        .find(|(_, known)| known == meaning)
        .map_or("", |(word, _)| word)
}

fn meaning<T: Copy>(words: &[(&'static str, T)], word: &str) -> Option<T> {
    words
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, meaning)| *meaning)
}

fn choose<T: Copy>(setting: &mut T, words: &[(&'static str, T)], value: &Value) {
    if let Value::Choice(word) = value
        && let Some(meaning) = meaning(words, word)
    {
        *setting = meaning;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::collections::BTreeSet;

    /// Field names of a structure, from its pretty debug output.
    fn fields(pretty: &str) -> BTreeSet<String> {
        let rows = pretty
            .lines()
            .filter(|line| line.starts_with("    ") && !line.starts_with("     "));
        rows.filter_map(|line| Some(line.trim().split_once(':')?.0.to_owned()))
            .collect()
    }

    #[test]
    fn every_limit_of_the_core_has_a_key_of_its_name() {
        let fields = fields(&format!("{:#?}", tidewire_core::Limits::default()));
        let keys: BTreeSet<String> = limits::KEYS.iter().map(|key| key.name.to_owned()).collect();
        assert!(
            fields.contains("max_packet_size_bytes"),
            "the fields were read: {fields:?}"
        );
        assert_eq!(keys, fields);
    }

    #[test]
    fn every_key_sets_what_it_reads() {
        for key in keys() {
            let Access::Broker { get, set } = key.access else {
                continue;
            };
            let value = match (key.kind, key.default_value()) {
                (Kind::Flag, Value::Flag(default)) => Value::Flag(!default),
                (Kind::Integer { min, max }, default) => {
                    if default == Value::Integer(min) {
                        Value::Integer(max)
                    } else {
                        Value::Integer(min)
                    }
                }
                (Kind::Choice(words), Value::Choice(default)) => Value::Choice(
                    words
                        .iter()
                        .find(|word| **word != default)
                        .expect("two words"),
                ),
                (Kind::Address, _) => Value::Address("127.0.0.1:9".parse().expect("an address")),
                _ => Value::Text("other".to_owned()),
            };
            let mut config = Config::default();
            assert_ne!(get(&config), value, "{}", key.name);
            set(&mut config, value.clone());
            assert_eq!(get(&config), value, "{}", key.name);
        }
    }

    #[test]
    fn every_default_lies_in_its_range() {
        for key in keys() {
            match (key.kind, key.default_value()) {
                (Kind::Integer { min, max }, Value::Integer(default)) => {
                    assert!((min..=max).contains(&default), "{}", key.name);
                }
                (Kind::Choice(words), Value::Choice(default)) => {
                    assert!(words.contains(&default), "{}", key.name);
                }
                (Kind::Choices(words), Value::Choices(default)) => {
                    assert!(
                        default.iter().all(|word| words.contains(word)),
                        "{}",
                        key.name
                    );
                }
                (Kind::Integer { .. } | Kind::Choice(_) | Kind::Choices(_), other) => {
                    panic!("{} has the default {other}", key.name);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn units_stand_last_in_names() {
        for key in keys() {
            assert_eq!(
                key.name.ends_with("_bytes"),
                key.unit == "bytes",
                "{}",
                key.name
            );
            assert_eq!(
                key.name.ends_with("_secs"),
                key.unit == "seconds",
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn no_key_is_declared_twice() {
        let mut seen = BTreeSet::new();
        for key in keys() {
            assert!(
                seen.insert((key.section.name(), key.name)),
                "{} twice",
                key.name
            );
        }
    }
}
