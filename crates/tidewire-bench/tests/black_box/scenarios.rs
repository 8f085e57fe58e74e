//! Every scenario, made small, against a broker in this process and against the raw forwarder.

use std::time::Duration;

use crate::fake_broker::{FakeBroker, Misdeed};
use tidewire_bench::encode::Version;
use tidewire_bench::engine::{self, Endpoint, NoGauge, Options, Protocol, Tally};
use tidewire_bench::error::{BenchError, Result};
use tidewire_bench::raw::Forwarder;
use tidewire_bench::scenario::{Flow, Pacing, Plan, Routing, catalogue, find};
use tidewire_bench::sequence::Faults;

fn options() -> Options {
    let brief = Duration::from_millis(30);
    Options {
        timed: brief,
        warm_up: brief / 3,
        stall: Duration::from_millis(200),
        ..Options::secs(1.0)
    }
}

/// The same shape with a handful of clients.
fn small(plan: Plan) -> Plan {
    let few = |count: usize| count.min(3);
    match plan {
        Plan::Flow(flow) => Plan::Flow(Flow {
            publishers: few(flow.publishers),
            subscribers: few(flow.subscribers),
            routing: match flow.routing {
                Routing::ManyFilters { topics, .. } => Routing::ManyFilters {
                    filters: 240,
                    topics,
                },
                Routing::Adversarial { .. } => Routing::Adversarial { depth: 3 },
                other => other,
            },
            pacing: match flow.pacing {
                Pacing::Window { messages } => Pacing::Window {
                    messages: messages.min(20),
                },
                Pacing::Rate { .. } => Pacing::Rate {
                    messages_per_sec: 2000.0,
                },
            },
            ..flow
        }),
        Plan::Idle { version, .. } => Plan::Idle {
            connections: 70,
            version,
        },
        Plan::ConnectRate { version, .. } => Plan::ConnectRate {
            together: 4,
            version,
        },
        Plan::Retained {
            version,
            payload_bytes,
            ..
        } => Plan::Retained {
            messages: 700,
            payload_bytes,
            version,
        },
    }
}

fn named(name: &str) -> Plan {
    small(find(name).unwrap().plan)
}

fn against_fake(plan: &Plan, misdeed: Misdeed) -> Result<Tally> {
    let broker = FakeBroker::start(misdeed);
    let endpoint = Endpoint {
        addr: broker.addr,
        protocol: Protocol::Mqtt,
    };
    engine::run(plan, endpoint, &options(), &mut NoGauge)
}

fn faults_of(name: &str, misdeed: Misdeed) -> Faults {
    against_fake(&named(name), misdeed).unwrap().faults
}

#[test]
fn every_scenario_runs_clean_against_a_right_broker() {
    for scenario in catalogue() {
        let plan = small(scenario.plan);
        let tally = against_fake(&plan, Misdeed::Nothing);
        let tally = tally.unwrap_or_else(|error| panic!("{}: {error}", scenario.name));
        assert!(
            tally.faults.is_clean(),
            "{}: {}",
            scenario.name,
            tally.faults
        );
        assert!(tally.units > 0, "{} delivered nothing", scenario.name);
        let scheduled = matches!(
            &plan,
            Plan::Flow(Flow {
                pacing: Pacing::Rate { .. },
                ..
            })
        );
        assert_eq!(tally.latency.is_some(), scheduled, "{}", scenario.name);
    }
}

#[test]
fn connections_without_messages_also_speak_mqtt_5() {
    let version = Version::V5;
    for plan in [
        Plan::Idle {
            connections: 3,
            version,
        },
        Plan::ConnectRate {
            together: 2,
            version,
        },
        Plan::Retained {
            messages: 50,
            payload_bytes: 16,
            version,
        },
    ] {
        let tally = against_fake(&plan, Misdeed::Nothing).unwrap();
        assert!(tally.faults.is_clean() && tally.units > 0, "{plan:?}");
    }
}

#[test]
fn a_lost_message_voids_the_run() {
    for name in [
        "1to1-batch",
        "1to1-sparse",
        "fan-out-batch",
        "shared-batch",
        "wild",
    ] {
        assert_eq!(faults_of(name, Misdeed::Lose(15)).lost, 1, "{name}");
    }
}

#[test]
fn a_retained_message_that_is_not_delivered_voids_the_run() {
    // One for the warm-up's subscriber and one for the first of the timed part, which is then the last.
    assert_eq!(faults_of("retained", Misdeed::Lose(15)).lost, 2);
}

#[test]
fn a_duplicate_voids_the_run() {
    for name in [
        "1to1-batch",
        "1to1-batch-v5-qos2",
        "fan-in-batch",
        "shared-batch",
    ] {
        let faults = faults_of(name, Misdeed::Duplicate(15));
        assert_eq!(
            faults,
            Faults {
                duplicated: 1,
                ..Faults::default()
            },
            "{name}"
        );
    }
}

#[test]
fn reordering_voids_the_run() {
    for name in ["fan-in-batch", "fan-out-batch"] {
        let faults = faults_of(name, Misdeed::Delay(40));
        assert_eq!(
            faults,
            Faults {
                reordered: 1,
                ..Faults::default()
            },
            "{name}"
        );
    }
}

#[test]
fn an_acknowledgement_that_refuses_voids_the_run() {
    let faults = faults_of("1to1-batch-v5-qos1", Misdeed::Refuse(0x97));
    assert!(faults.refused > 0 && faults.lost == 0, "{faults}");
}

#[test]
fn a_broker_that_closes_its_connections_is_an_error() {
    for name in ["1to1-batch", "1to1-sparse-qos1"] {
        let error = against_fake(&named(name), Misdeed::Die(25)).unwrap_err();
        assert!(
            matches!(error, BenchError::ConnectionLost { .. }),
            "{name}: {error}"
        );
    }
}

#[test]
fn an_interrupt_ends_a_run() {
    let options = options();
    options.interrupt.raise();
    let broker = FakeBroker::start(Misdeed::Nothing);
    let endpoint = Endpoint {
        addr: broker.addr,
        protocol: Protocol::Mqtt,
    };
    for scenario in catalogue() {
        let ended = engine::run(&small(scenario.plan), endpoint, &options, &mut NoGauge);
        assert!(
            matches!(ended, Err(BenchError::Interrupted)),
            "{}: {ended:?}",
            scenario.name
        );
    }
}

#[test]
fn the_raw_forwarder_serves_what_suits_it() {
    let mut forwarder = Forwarder::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = forwarder.local_addr().unwrap();
    std::thread::spawn(move || forwarder.run(None, || true));
    let endpoint = Endpoint {
        addr,
        protocol: Protocol::Raw,
    };
    let (mut served, mut refused) = (0, 0);
    for scenario in catalogue() {
        let plan = small(scenario.plan);
        let ended = engine::run(&plan, endpoint, &options(), &mut NoGauge);
        if plan.suits_raw() {
            let tally = ended.unwrap();
            assert!(
                tally.faults.is_clean() && tally.units > 0,
                "{}: {tally:?}",
                scenario.name
            );
            served += 1;
        } else {
            assert!(
                matches!(ended, Err(BenchError::Usage(_))),
                "{}",
                scenario.name
            );
            refused += 1;
        }
    }
    assert!(served >= 7 && refused >= 7, "{served} and {refused}");
}
