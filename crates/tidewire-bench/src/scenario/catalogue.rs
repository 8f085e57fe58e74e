//! The named scenarios.

use super::{Flow, Pacing, Plan, Routing, Scenario, TopicReuse};
use crate::encode::{Qos, Version};

/// Names that stand for several scenarios.
pub const GROUPS: &[(&str, &[&str])] = &[
    (
        "batch",
        &[
            "1to1-batch",
            "fan-in-batch",
            "fan-out-batch",
            "shared-batch",
        ],
    ),
    ("qos", &["1to1-batch-qos1", "1to1-batch-qos2"]),
    (
        "v5",
        &["1to1-batch-v5", "1to1-batch-v5-qos1", "1to1-batch-v5-qos2"],
    ),
    (
        "sparse",
        &["1to1-sparse", "1to1-sparse-qos1", "fan-out-sparse"],
    ),
    ("latency", &["open-loop"]),
    (
        "filters",
        &["wild", "wild-every", "wild-distinct", "wild-adversarial"],
    ),
    ("large", &["1to1-4k", "1to1-64k"]),
    ("memory", &["idle-10k", "idle-19k"]),
    ("session", &["retained", "connect-rate"]),
    (
        "gate",
        &[
            "1to1-batch",
            "fan-in-batch",
            "fan-out-batch",
            "1to1-batch-qos1",
            "1to1-batch-qos2",
            "1to1-sparse",
            "open-loop",
            "wild",
            "wild-every",
            "wild-distinct",
            "wild-adversarial",
            "idle-19k",
        ],
    ),
];

/// Every named scenario, in the order of a report.
#[must_use]
pub fn catalogue() -> Vec<Scenario> {
    let mut all = batch();
    all.extend(many_to_many());
    all.extend(large());
    all.extend(sparse());
    all.extend(filters());
    all.extend(others());
    all
}

/// The scenario of that name.
#[must_use]
pub fn find(name: &str) -> Option<Scenario> {
    catalogue()
        .into_iter()
        .find(|scenario| scenario.name == name)
}

/// Resolves names, groups and `all`, each scenario once, in the order asked.
///
/// # Errors
/// A sentence that names what is unknown and what exists.
pub fn select(names: &[String]) -> Result<Vec<Scenario>, String> {
    let mut selected: Vec<Scenario> = Vec::new();
    for name in names {
        for scenario in resolve(name)? {
            if !selected.iter().any(|known| known.name == scenario.name) {
                selected.push(scenario);
            }
        }
    }
    Ok(selected)
}

fn resolve(name: &str) -> Result<Vec<Scenario>, String> {
    if name == "all" {
        return Ok(catalogue());
    }
    if let Some((_, members)) = GROUPS.iter().find(|(group, _)| *group == name) {
        return Ok(members.iter().filter_map(|member| find(member)).collect());
    }
    if let Some(scenario) = find(name) {
        return Ok(vec![scenario]);
    }
    let known: Vec<String> = catalogue()
        .into_iter()
        .map(|scenario| scenario.name)
        .collect();
    let groups: Vec<&str> = GROUPS.iter().map(|(group, _)| *group).collect();
    Err(format!(
        "no scenario is called `{name}`; there are {}, and the groups {}, all",
        known.join(", "),
        groups.join(", ")
    ))
}

/// The base of most rows: ten pairs, a window of 1,000, QoS 0, MQTT 3.1.1, 16 bytes.
fn pairs() -> Flow {
    Flow {
        publishers: 10,
        subscribers: 10,
        routing: Routing::Pairs,
        pacing: Pacing::Window { messages: 1000 },
        qos: Qos::AtMostOnce,
        version: Version::V311,
        payload_bytes: 16,
    }
}

fn batch() -> Vec<Scenario> {
    let v5 = Flow {
        version: Version::V5,
        ..pairs()
    };
    vec![
        flow("1to1-batch", "10 pairs, window 1,000", pairs()),
        flow(
            "1to1-batch-qos1",
            "the same at QoS 1",
            Flow {
                qos: Qos::AtLeastOnce,
                ..pairs()
            },
        ),
        flow(
            "1to1-batch-qos2",
            "the same at QoS 2",
            Flow {
                qos: Qos::ExactlyOnce,
                ..pairs()
            },
        ),
        flow("1to1-batch-v5", "the same in MQTT 5", v5.clone()),
        flow(
            "1to1-batch-v5-qos1",
            "MQTT 5 at QoS 1",
            Flow {
                qos: Qos::AtLeastOnce,
                ..v5.clone()
            },
        ),
        flow(
            "1to1-batch-v5-qos2",
            "MQTT 5 at QoS 2",
            Flow {
                qos: Qos::ExactlyOnce,
                ..v5
            },
        ),
    ]
}

fn many_to_many() -> Vec<Scenario> {
    let many = Pacing::Window { messages: 100 };
    vec![
        flow(
            "fan-in-batch",
            "100 publishers to one wildcard subscriber, window 100",
            Flow {
                publishers: 100,
                subscribers: 1,
                routing: Routing::Wildcard,
                pacing: many,
                ..pairs()
            },
        ),
        flow(
            "fan-out-batch",
            "one publisher to 100 subscribers, window 100",
            Flow {
                publishers: 1,
                subscribers: 100,
                routing: Routing::OneTopic,
                pacing: many,
                ..pairs()
            },
        ),
        flow(
            "shared-batch",
            "10 publishers to a shared group of 10 members, window 1,000",
            Flow {
                routing: Routing::SharedGroup,
                ..pairs()
            },
        ),
    ]
}

fn large() -> Vec<Scenario> {
    let many = Pacing::Window { messages: 100 };
    vec![
        flow(
            "1to1-4k",
            "10 pairs, 4 KiB payload, window 100",
            Flow {
                payload_bytes: 4096,
                pacing: many,
                ..pairs()
            },
        ),
        flow(
            "1to1-64k",
            "10 pairs, 64 KiB payload, window 10",
            Flow {
                payload_bytes: 65_536,
                pacing: Pacing::Window { messages: 10 },
                ..pairs()
            },
        ),
    ]
}

fn sparse() -> Vec<Scenario> {
    let one = Flow {
        publishers: 1000,
        subscribers: 1000,
        pacing: Pacing::Window { messages: 1 },
        ..pairs()
    };
    vec![
        flow(
            "1to1-sparse",
            "1,000 pairs, window 1: one message a wake-up",
            one.clone(),
        ),
        flow(
            "1to1-sparse-qos1",
            "500 pairs at QoS 1, window 1",
            Flow {
                publishers: 500,
                subscribers: 500,
                qos: Qos::AtLeastOnce,
                ..one.clone()
            },
        ),
        flow(
            "fan-out-sparse",
            "one publisher to 1,000 subscribers, window 1",
            Flow {
                publishers: 1,
                routing: Routing::OneTopic,
                ..one
            },
        ),
        flow(
            "open-loop",
            "100 pairs, 10,000 messages a second in all, 256 B, latency from the intended time",
            Flow {
                publishers: 100,
                subscribers: 100,
                pacing: Pacing::Rate {
                    messages_per_sec: 10_000.0,
                },
                payload_bytes: 256,
                ..pairs()
            },
        ),
    ]
}

fn filters() -> Vec<Scenario> {
    let wild = |filters, topics| Flow {
        routing: Routing::ManyFilters { filters, topics },
        ..pairs()
    };
    vec![
        flow(
            "wild",
            "10 subscribers hold 100,000 filters of all shapes, 1,000 repeated topics",
            wild(100_000, TopicReuse::Repeated),
        ),
        flow(
            "wild-every",
            "the same filters, each hit in turn: 100,000 repeated topics",
            wild(100_000, TopicReuse::EveryFilter),
        ),
        flow(
            "wild-distinct",
            "the same filters, every message a new topic",
            wild(100_000, TopicReuse::Distinct),
        ),
        flow(
            "wild-1m",
            "10 subscribers hold 1,000,000 filters, 1,000 repeated topics",
            wild(1_000_000, TopicReuse::Repeated),
        ),
        flow(
            "wild-adversarial",
            "4,096 filters `+/a/+/.../#` in every combination, every message a new topic",
            Flow {
                routing: Routing::Adversarial { depth: 12 },
                pacing: Pacing::Window { messages: 100 },
                ..pairs()
            },
        ),
    ]
}

fn others() -> Vec<Scenario> {
    let version = Version::V311;
    vec![
        Scenario {
            name: "retained".into(),
            about: "100,000 retained messages of 16 B to each new `#` subscriber".into(),
            plan: Plan::Retained {
                messages: 100_000,
                payload_bytes: 16,
                version,
            },
        },
        Scenario {
            name: "connect-rate".into(),
            about: "connect, subscribe, disconnect, 16 at a time".into(),
            plan: Plan::ConnectRate {
                together: 16,
                version,
            },
        },
        Scenario {
            name: "idle-10k".into(),
            about: "10,000 connections with one subscription each".into(),
            plan: Plan::Idle {
                connections: 10_000,
                version,
            },
        },
        Scenario {
            name: "idle-19k".into(),
            about: "19,000 connections with one subscription each".into(),
            plan: Plan::Idle {
                connections: 19_000,
                version,
            },
        },
    ]
}

fn flow(name: &str, about: &str, flow: Flow) -> Scenario {
    Scenario {
        name: name.into(),
        about: about.into(),
        plan: Plan::Flow(flow),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_unique_and_every_flow_fits_its_routing() {
        let all = catalogue();
        for (at, scenario) in all.iter().enumerate() {
            assert!(
                all[..at].iter().all(|other| other.name != scenario.name),
                "{}",
                scenario.name
            );
            if let Plan::Flow(flow) = &scenario.plan {
                assert_eq!(flow.check(), Ok(()), "{}", scenario.name);
            }
        }
    }

    #[test]
    fn every_group_names_scenarios_that_exist() {
        for (group, members) in GROUPS {
            assert!(find(group).is_none(), "{group} is a scenario as well");
            for member in *members {
                assert!(find(member).is_some(), "{group} names {member}");
            }
        }
    }

    #[test]
    fn a_selection_keeps_its_order_and_names_each_once() {
        let names = ["open-loop", "batch", "1to1-batch"].map(String::from);
        let selected: Vec<String> = select(&names)
            .unwrap()
            .into_iter()
            .map(|s| s.name)
            .collect();
        assert_eq!(
            selected,
            [
                "open-loop",
                "1to1-batch",
                "fan-in-batch",
                "fan-out-batch",
                "shared-batch"
            ]
        );
        assert!(
            select(&["nonsense".into()])
                .unwrap_err()
                .contains("1to1-batch")
        );
    }
}
