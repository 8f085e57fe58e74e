//! Every key of the configuration, declared once.

use super::key::{Access, Key, Kind, Reload, Section};
use super::value::Value;
use super::{LogFormat, access, handlers, limits, listeners, storage, tcp, token, ways};
use std::path::PathBuf;
use tidewire_core::SharedStrategy;

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
    let listeners = listeners::KEYS.iter().chain(tcp::KEYS).chain(ways::KEYS);
    listeners
        .chain(access::KEYS)
        .chain(token::KEYS)
        .chain(storage::KEYS)
        .chain(handlers::KEYS)
        .chain(KEYS)
        .chain(limits::KEYS)
}

/// The key of that name in that section.
pub(super) fn find(section: Section, name: &str) -> Option<&'static Key> {
    keys().find(|key| key.section == section && key.name == name)
}

/// A key that takes a restart; the table's usual row.
pub(super) const fn key(
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

/// The keys of `[broker]`, `[log]` and `[metrics]`.
static KEYS: &[Key] = &[
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
        "watch_files",
        Kind::Flag,
        "",
        "Whether certificates, keys, authorities, revocation lists, the password file and the access rules are read again by themselves \
         soon after they change. SIGHUP reads them again in any case. A file with a fault changes nothing, and the log says why.",
        Access::Broker {
            get: |config| Value::Flag(config.watch_files),
            set: |config, value| config.watch_files = value == Value::Flag(true),
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

/// The word for a meaning.
pub(super) fn word<T: PartialEq>(words: &[(&'static str, T)], meaning: &T) -> &'static str {
    words
        .iter()
        .find(|(_, known)| known == meaning)
        .map_or("", |(word, _)| word)
}

/// The meaning of a word.
pub(super) fn meaning<T: Copy>(words: &[(&'static str, T)], word: &str) -> Option<T> {
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
                (Kind::Texts, _) => Value::Texts(vec!["other".to_owned()]),
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
