//! Several processes that fight over one client identifier, and one that sleeps: nothing is lost, others are served.

use crate::agent::{Agent, Kind, Library};
use crate::support::TestBroker;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;

fn kept(version: &str) -> Json {
    match version {
        "5" => {
            json!({ "client_id": "same", "clean": false, "properties": { "session_expiry_interval": 600 } })
        }
        _ => json!({ "client_id": "same", "clean": false }),
    }
}

// [3.1.1 MQTT-3.1.4-2] [5.0 MQTT-3.1.4-3] [3.1.1 MQTT-4.4.0-1] [5.0 MQTT-4.4.0-1]
fn takeover_storm(version: &'static str) {
    const MESSAGES: usize = 300;
    let broker = TestBroker::start();
    let start = |library| Agent::start(Kind { library, version }, broker.port());
    let publisher = start(Library::Paho);
    publisher.connect("pub", json!({}));
    publisher.connect("same", kept(version));
    publisher.subscribe("same", "queue/#", 1);
    publisher.disconnect("same", json!({}));

    let fighters = [
        start(Library::Paho),
        start(Library::MqttJs),
        start(Library::Paho),
    ];
    // Clients of one process take turns as fast as they can, and the processes take over from each other.
    for round in 0..ROUNDS {
        for fighter in &fighters {
            let name = round.to_string();
            let command = fighter.connect_command(&name, kept(version));
            fighter.tell(&name, "connect", command);
        }
        for number in 0..MESSAGES / ROUNDS {
            let payload = (round * (MESSAGES / ROUNDS) + number).to_string();
            publisher.publish("pub", "queue/a", &payload, 1);
        }
    }
    // All but one of the connections end; then the last one drains the queue up to the end mark.
    let mut got = BTreeSet::new();
    let mut closed = 0;
    let mut ended = false;
    let deadline = Instant::now() + Duration::from_secs(30);
    publisher.publish("pub", "queue/end", "end", 1);
    while closed < fighters.len() * ROUNDS - 1 || !ended || got.len() < MESSAGES {
        assert!(
            Instant::now() < deadline,
            "{closed} closed, {} messages, end mark: {ended}",
            got.len()
        );
        for fighter in &fighters {
            let Some(event) = fighter.any_event(Duration::from_millis(5)) else {
                continue;
            };
            match event["event"].as_str() {
                Some("closed") => closed += 1,
                Some("message") if event["payload"] == "end" => ended = true,
                Some("message") => {
                    let payload = event["payload"]
                        .as_str()
                        .and_then(|text| text.parse::<usize>().ok());
                    got.insert(payload.expect("a number"));
                }
                _ => {}
            }
        }
    }
    assert_eq!(got, (0..MESSAGES).collect(), "nothing was lost");
    // Exactly one is connected: one copy of a message arrives, and nobody else closes.
    publisher.publish("pub", "queue/end", "last", 1);
    let mut last = Vec::new();
    while last.is_empty() {
        assert!(Instant::now() < deadline, "nobody is connected");
        last.extend(
            fighters
                .iter()
                .filter_map(|fighter| fighter.any_event(Duration::from_millis(50))),
        );
    }
    let copies = last
        .iter()
        .filter(|event| event["payload"] == "last")
        .count();
    assert_eq!((copies, last.len()), (1, 1), "{last:?}");
}

#[test]
fn processes_that_take_over_from_each_other_lose_nothing_in_3_1_1() {
    takeover_storm("3.1.1");
}

#[test]
fn processes_that_take_over_from_each_other_lose_nothing_in_5() {
    takeover_storm("5");
}

/// Half of the round trips beside the sleeper take less than this.
const MEDIAN_BOUND: Duration = Duration::from_millis(100);

fn stopped_process(library: Library) {
    let broker = TestBroker::start();
    let kind = Kind {
        library,
        version: "3.1.1",
    };
    let agent = Agent::start(kind, broker.port());
    agent.connect("awake", json!({}));
    agent.subscribe("awake", "t", 1);
    agent.connect("pub", json!({}));
    let sleeper = Agent::start(kind, broker.port());
    sleeper.connect("sleeper", json!({}));
    sleeper.subscribe("sleeper", "t", 1);
    sleeper.suspend();
    // 16 MiB, more than the buffers of a connection hold; less than a session's queue.
    let mut round_trips = Vec::new();
    for number in 0..256 {
        let since = Instant::now();
        let payload = format!("{number:04}");
        let message = json!({ "topic": "t", "payload": payload, "repeat": 16384, "qos": 1 });
        agent.publish_with("pub", message);
        assert_eq!(agent.message("awake")["bytes"], 65536);
        round_trips.push(since.elapsed());
    }
    round_trips.sort_unstable();
    let median = round_trips[round_trips.len() / 2];
    assert!(median < MEDIAN_BOUND, "{median:?}");
    sleeper.resume();
    for number in 0..256 {
        assert_eq!(
            sleeper.message("sleeper")["bytes"],
            65536,
            "message {number}"
        );
    }
    agent.publish("pub", "t", "end", 1);
    assert_eq!(sleeper.payload("sleeper"), "end");
}

#[test]
fn stopped_paho_slows_nobody_and_gets_everything_when_it_goes_on() {
    stopped_process(Library::Paho);
}

#[test]
fn stopped_mqtt_js_slows_nobody_and_gets_everything_when_it_goes_on() {
    stopped_process(Library::MqttJs);
}
