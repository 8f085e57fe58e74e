//! What Paho (Python) and MQTT.js do with the broker, in every version that they speak.

use crate::agent::{Agent, Kind, Library};
use crate::support::TestBroker;
use rustix::process::Signal;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;

macro_rules! tests {
    ($module:ident, $library:ident, $version:literal, [$($test:ident),* $(,)?]) => {
        mod $module {
            use super::*;
            $(
                #[test]
                fn $test() {
                    super::$test(Kind { library: Library::$library, version: $version });
                }
            )*
        }
    };
}

macro_rules! in_every_version {
    ($tests:tt) => {
        tests!(paho_3_1, Paho, "3.1", $tests);
        tests!(paho_3_1_1, Paho, "3.1.1", $tests);
        tests!(paho_5, Paho, "5", $tests);
        tests!(mqtt_js_3_1, MqttJs, "3.1", $tests);
        tests!(mqtt_js_3_1_1, MqttJs, "3.1.1", $tests);
        tests!(mqtt_js_5, MqttJs, "5", $tests);
    };
}

macro_rules! in_5 {
    ($tests:tt) => {
        tests!(paho_of_5, Paho, "5", $tests);
        tests!(mqtt_js_of_5, MqttJs, "5", $tests);
    };
}

in_every_version!([
    messages_of_every_qos_arrive_in_order,
    retained_message_is_set_read_and_cleared,
    will_is_published_when_the_process_is_killed,
    session_is_resumed_with_its_queue_in_order,
    clean_session_forgets,
    shared_subscription_gives_each_message_to_one_member,
    payload_of_a_mebibyte_arrives_whole,
    wildcards_choose_among_many_topics,
    unsubscribed_filter_is_silent,
    second_client_of_the_same_identifier_takes_over,
]);

in_5!([
    properties_of_a_message_arrive_as_they_were_sent,
    subscription_identifiers_of_all_matching_filters_arrive,
    topic_aliases_work_both_ways,
    server_assigns_an_identifier_to_those_without,
    session_lives_as_long_as_its_expiry_interval_says,
    reason_codes_say_what_happened,
    no_local_keeps_own_messages_away,
    retain_handling_and_retain_as_published_are_obeyed,
    small_receive_maximum_loses_nothing,
    expired_message_is_not_delivered,
    shutdown_tells_why,
]);

/// A broker, and one process with clients.
fn start(kind: Kind) -> (TestBroker, Agent) {
    let broker = TestBroker::start();
    let agent = Agent::start(kind, broker.port());
    (broker, agent)
}

/// What a client says in CONNECT to have a session that outlives its connection.
fn keeping_its_session(kind: Kind) -> Json {
    if kind.is_v5() {
        json!({ "clean": false, "properties": { "session_expiry_interval": 600 } })
    } else {
        json!({ "clean": false })
    }
}

// [3.1.1 MQTT-4.3.1-1] [3.1.1 MQTT-3.8.4-6] [3.1.1 MQTT-4.6.0-6] [5.0 MQTT-4.3.1-1] [5.0 MQTT-3.8.4-8] [5.0 MQTT-4.6.0-5]
fn messages_of_every_qos_arrive_in_order(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("sub", json!({}));
    agent.connect("pub", json!({}));
    for granted in [0, 1, 2] {
        let topic = format!("granted/{granted}");
        assert_eq!(agent.subscribe("sub", &topic, granted), u64::from(granted));
        for sent in [0, 1, 2] {
            for number in 0..10 {
                agent.publish("pub", &topic, &format!("{sent} {number}"), sent);
            }
            for number in 0..10 {
                let message = agent.message("sub");
                let expected = (
                    topic.as_str(),
                    format!("{sent} {number}"),
                    sent.min(granted),
                );
                assert_eq!(message["topic"], expected.0);
                assert_eq!(message["payload"], expected.1);
                assert_eq!(message["qos"], expected.2);
                assert_eq!(message["retain"], false);
            }
        }
    }
}

// [3.1.1 MQTT-3.3.1-5] [3.1.1 MQTT-3.3.1-6] [3.1.1 MQTT-3.3.1-8] [3.1.1 MQTT-3.3.1-9] [3.1.1 MQTT-3.3.1-10]
// [5.0 MQTT-3.3.1-5] [5.0 MQTT-3.3.1-6] [5.0 MQTT-3.3.1-12] [3.1 MQTT31-PUBLISH-2] [3.1 MQTT31-PUBLISH-3]
fn retained_message_is_set_read_and_cleared(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("pub", json!({}));
    agent.connect("early", json!({}));
    agent.subscribe("early", "state/#", 1);
    let retain = |payload: &str| {
        agent.publish_with(
            "pub",
            json!({ "topic": "state/a", "payload": payload, "qos": 1, "retain": true }),
        );
    };
    retain("one");
    retain("two");
    assert_eq!(agent.message("early")["retain"], false, "a live message");
    assert_eq!(agent.message("early")["retain"], false, "a live message");
    agent.connect("late", json!({}));
    agent.subscribe("late", "state/+", 1);
    let message = agent.message("late");
    assert_eq!(
        (&message["payload"], &message["retain"]),
        (&json!("two"), &json!(true))
    );
    retain("");
    assert_eq!(
        agent.payload("early"),
        "",
        "the clearing message is forwarded"
    );
    agent.connect("later", json!({}));
    agent.subscribe("later", "state/+", 1);
    agent.publish("pub", "state/b", "end", 1);
    assert_eq!(
        agent.payload("later"),
        "end",
        "nothing is retained any more"
    );
}

// [3.1.1 MQTT-3.1.2-8] [3.1.1 MQTT-3.1.2-17] [5.0 MQTT-3.1.2-8] [5.0 MQTT-3.1.2-15] [3.1 MQTT31-CONNECT-9]
fn will_is_published_when_the_process_is_killed(kind: Kind) {
    let (broker, agent) = start(kind);
    agent.connect("sub", json!({}));
    agent.subscribe("sub", "will/#", 2);
    let mortal = Agent::start(kind, broker.port());
    let will = |topic: &str, retain| json!({ "topic": topic, "payload": "gone", "qos": 2, "retain": retain });
    mortal.connect("mortal", json!({ "will": will("will/killed", true) }));
    mortal.connect("polite", json!({ "will": will("will/polite", false) }));
    mortal.disconnect("polite", json!({}));
    mortal.kill();
    let message = agent.message("sub");
    assert_eq!(
        message["topic"], "will/killed",
        "the other one said DISCONNECT"
    );
    assert_eq!(
        (&message["payload"], &message["qos"]),
        (&json!("gone"), &json!(2))
    );
    agent.connect("late", json!({}));
    agent.subscribe("late", "will/#", 2);
    let message = agent.message("late");
    assert_eq!(
        (&message["topic"], &message["retain"]),
        (&json!("will/killed"), &json!(true))
    );
}

// [3.1.1 MQTT-3.1.2-4] [3.1.1 MQTT-3.1.2-5] [3.1.1 MQTT-3.2.2-2] [5.0 MQTT-3.1.2-5] [5.0 MQTT-3.1.2-23] [5.0 MQTT-3.2.2-3]
// [3.1 MQTT31-CONNECT-12]
fn session_is_resumed_with_its_queue_in_order(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("pub", json!({}));
    let first = agent.connect("kept", keeping_its_session(kind));
    assert_eq!(first["session_present"], false);
    agent.subscribe("kept", "queue/#", 2);
    agent.disconnect("kept", json!({}));
    for number in 0..50 {
        agent.publish("pub", "queue/a", &number.to_string(), 1 + number % 2);
    }
    let again = agent.connect("kept", keeping_its_session(kind));
    assert_eq!(again["session_present"], kind.tells_session_present());
    // The libraries hand on a message of QoS 2 when it is released, so each QoS has an order of its own.
    let mut next = [0, 1];
    for _ in 0..50 {
        let message = agent.message("kept");
        let qos = message["qos"].as_u64().expect("a QoS");
        let next = &mut next[usize::try_from(qos - 1).expect("0 or 1")];
        assert_eq!(message["payload"], next.to_string(), "QoS {qos}");
        *next += 2;
    }
    assert_eq!(next, [50, 51]);
    agent.publish("pub", "queue/a", "live", 1);
    assert_eq!(
        agent.payload("kept"),
        "live",
        "still subscribed, and nothing came twice"
    );
}

// [3.1.1 MQTT-3.1.2-6] [3.1.1 MQTT-3.2.2-1] [5.0 MQTT-3.1.2-4] [5.0 MQTT-3.2.2-2]
fn clean_session_forgets(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("pub", json!({}));
    agent.connect("kept", keeping_its_session(kind));
    agent.subscribe("kept", "queue/#", 1);
    agent.disconnect("kept", json!({}));
    agent.publish("pub", "queue/a", "lost", 1);
    let clean = agent.connect("kept", json!({}));
    assert_eq!(clean["session_present"], false);
    agent.subscribe("kept", "other", 1);
    agent.publish("pub", "queue/a", "lost too", 1);
    agent.publish("pub", "other", "end", 1);
    assert_eq!(agent.payload("kept"), "end");
}

fn shared_subscription_gives_each_message_to_one_member(kind: Kind) {
    let (_broker, agent) = start(kind);
    let members = ["m1", "m2", "m3"];
    for member in members {
        agent.connect(member, json!({}));
        agent.subscribe(member, "$share/g/job/+", 1);
        agent.subscribe(member, "end", 1);
    }
    agent.connect("all", json!({}));
    agent.subscribe("all", "job/#", 1);
    agent.connect("pub", json!({}));
    for number in 0..30 {
        agent.publish("pub", &format!("job/{number}"), &number.to_string(), 1);
    }
    agent.publish("pub", "end", "end", 1);
    let mut got = Vec::new();
    for member in members {
        let before = got.len();
        loop {
            match agent.payload(member).as_str() {
                "end" => break,
                number => got.push(number.parse::<u32>().expect("a number")),
            }
        }
        assert!(got.len() > before, "{member} got nothing");
    }
    got.sort_unstable();
    assert_eq!(got, (0..30).collect::<Vec<_>>(), "each exactly once");
    for number in 0..30 {
        assert_eq!(
            agent.payload("all"),
            number.to_string(),
            "others are not concerned"
        );
    }
}

fn payload_of_a_mebibyte_arrives_whole(kind: Kind) {
    const SHA256: &str = "aca1cd027e979588d14b877b7b0cb8585ad9fec599eb45801992ee5382b3760f";
    let (_broker, agent) = start(kind);
    agent.connect("sub", json!({}));
    agent.subscribe("sub", "large", 2);
    agent.connect("pub", json!({}));
    for qos in [0, 1, 2] {
        let large =
            json!({ "topic": "large", "payload": "0123456789abcdef", "repeat": 65536, "qos": qos });
        agent.publish_with("pub", large);
        let message = agent.message("sub");
        assert_eq!(
            (&message["bytes"], &message["sha256"]),
            (&json!(1_048_576), &json!(SHA256))
        );
    }
}

// [3.1.1 MQTT-3.3.2-3] [5.0 MQTT-3.3.2-3] [3.1.1 MQTT-4.7.2-1] [5.0 MQTT-4.7.2-1]
fn wildcards_choose_among_many_topics(kind: Kind) {
    let (_broker, agent) = start(kind);
    let filters = [
        ("one", "site/+/temp"),
        ("deep", "site/7/#"),
        ("levels", "+/+"),
        ("every", "#"),
    ];
    for (name, filter) in filters {
        agent.connect(name, json!({}));
        agent.subscribe(name, filter, 0);
        // A `+` or `#` in front leaves `$`-topics out: nothing of `$SYS` may come.
        agent.subscribe(name, "over/and/out", 0);
    }
    agent.connect("pub", json!({}));
    let mut topics = Vec::new();
    for site in 0..100 {
        for what in ["temp", "temp/max", ""] {
            topics.push(
                format!("site/{site}/{what}")
                    .trim_end_matches('/')
                    .to_owned(),
            );
        }
    }
    for topic in &topics {
        agent.publish("pub", topic, "x", 0);
    }
    agent.publish("pub", "over/and/out", "end", 0);
    let mut got = Vec::new();
    for (name, _) in filters {
        let mut of_this = BTreeSet::new();
        loop {
            let message = agent.message(name);
            let topic = message["topic"].as_str().expect("a topic");
            if topic == "over/and/out" {
                break;
            }
            assert!(of_this.insert(topic.to_owned()), "{name} got {topic} twice");
        }
        got.push(of_this);
    }
    let select = |wanted: &dyn Fn(&str) -> bool| -> BTreeSet<String> {
        topics
            .iter()
            .filter(|topic| wanted(topic))
            .cloned()
            .collect()
    };
    assert_eq!(got[0], select(&|topic| topic.ends_with("/temp")));
    assert_eq!(
        got[1],
        select(&|topic| topic == "site/7" || topic.starts_with("site/7/"))
    );
    assert_eq!(got[2], select(&|topic| topic.matches('/').count() == 1));
    assert_eq!(got[3], select(&|_| true));
}

// [3.1.1 MQTT-3.10.4-2] [5.0 MQTT-3.10.4-2] [5.0 MQTT-3.11.3-1]
fn unsubscribed_filter_is_silent(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("sub", json!({}));
    agent.subscribe("sub", "a/+", 1);
    agent.subscribe("sub", "b", 1);
    agent.connect("pub", json!({}));
    agent.publish("pub", "a/1", "heard", 1);
    assert_eq!(agent.payload("sub"), "heard");
    agent.tell("sub", "unsubscribe", json!({ "filters": ["a/+", "never"] }));
    let reasons = agent.wait("sub", "unsubscribed")["reasons"].clone();
    if kind.is_v5() {
        assert_eq!(reasons, json!([0, 0x11]));
    }
    agent.publish("pub", "a/1", "not heard", 1);
    agent.publish("pub", "b", "end", 1);
    assert_eq!(agent.payload("sub"), "end");
}

// [3.1.1 MQTT-3.1.4-2] [5.0 MQTT-3.1.4-3] [3.1 MQTT31-CONNECT-10]
fn second_client_of_the_same_identifier_takes_over(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("first", json!({ "client_id": "same" }));
    agent.connect("second", json!({ "client_id": "same" }));
    let closed = agent.wait("first", "closed");
    let reason = if kind.is_v5() {
        json!(0x8E)
    } else {
        Json::Null
    };
    assert_eq!(closed["reason"], reason);
    agent.subscribe("second", "a", 1);
    agent.publish("second", "a", "alive", 1);
    assert_eq!(agent.payload("second"), "alive");
}

// [5.0 MQTT-3.3.2-4] [5.0 MQTT-3.3.2-15] [5.0 MQTT-3.3.2-16] [5.0 MQTT-3.3.2-17] [5.0 MQTT-3.3.2-18] [5.0 MQTT-3.3.2-20]
// [5.0 MQTT-3.1.3-10]
fn properties_of_a_message_arrive_as_they_were_sent(kind: Kind) {
    let (broker, agent) = start(kind);
    agent.connect("sub", json!({}));
    agent.subscribe("sub", "p", 1);
    agent.connect("pub", json!({}));
    let properties = json!({
        "content_type": "application/json",
        "response_topic": "answers/here",
        "correlation_data": "request 7",
        "payload_format_indicator": 1,
        "message_expiry_interval": 600,
        "user_properties": [["z", "1"], ["z", "2"], ["a", "3"], ["a", "1"], ["m", ""]],
    });
    let message = json!({ "topic": "p", "payload": "{}", "qos": 1, "properties": properties });
    agent.publish_with("pub", message.clone());
    assert_eq!(agent.message("sub")["properties"], properties);
    // The same from a will.
    let mortal = Agent::start(kind, broker.port());
    let mut will = message;
    will["retain"] = false.into();
    mortal.connect("mortal", json!({ "will": will }));
    mortal.kill();
    assert_eq!(agent.message("sub")["properties"], properties);
}

// [5.0 MQTT-3.3.4-3]
fn subscription_identifiers_of_all_matching_filters_arrive(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("sub", json!({}));
    for (filter, identifier) in [("a/+", 7), ("a/b", 268_435_455), ("c", 1)] {
        let properties = json!({ "subscription_identifier": identifier });
        agent.subscribe_with("sub", json!({ "filter": filter, "qos": 1 }), properties);
    }
    agent.subscribe("sub", "end", 1);
    agent.connect("pub", json!({}));
    for topic in ["a/b", "c", "end"] {
        agent.publish("pub", topic, topic, 1);
    }
    // One copy with both, or one for each: the specification leaves it open.
    let mut of_the_first = Vec::new();
    let mut others = Vec::new();
    while others.len() < 2 {
        let message = agent.message("sub");
        let identifiers = message["properties"]["subscription_identifier"].clone();
        if message["topic"] == "a/b" {
            of_the_first.extend(identifiers.as_array().expect("identifiers").clone());
        } else {
            others.push(identifiers);
        }
    }
    of_the_first.sort_by_key(Json::as_u64);
    assert_eq!(of_the_first, [json!(7), json!(268_435_455)]);
    assert_eq!(others, [json!([1]), Json::Null]);
}

// [5.0 MQTT-3.3.2-12] [5.0 MQTT-3.1.2-26] [5.0 MQTT-3.1.2-27]
fn topic_aliases_work_both_ways(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect(
        "aliased",
        json!({ "properties": { "topic_alias_maximum": 2 } }),
    );
    agent.connect("plain", json!({}));
    agent.subscribe("aliased", "t/#", 1);
    agent.subscribe("plain", "t/#", 1);
    let welcome = agent.connect("pub", json!({}));
    assert!(
        welcome["properties"]["topic_alias_maximum"].as_u64() >= Some(2),
        "{welcome}"
    );
    let aliased = |topic: &str, alias: u16, payload: &str| json!({ "topic": topic, "payload": payload, "qos": 1, "properties": { "topic_alias": alias } });
    let sent = [
        ("t/1", 1),
        ("", 1),
        ("t/2", 2),
        ("", 1),
        ("", 2),
        ("t/3", 1),
        ("", 1),
        ("t/1", 2),
    ];
    for (number, (topic, alias)) in sent.into_iter().enumerate() {
        agent.publish_with("pub", aliased(topic, alias, &number.to_string()));
    }
    let mut aliases = 0;
    for topic in ["t/1", "t/1", "t/2", "t/1", "t/2", "t/3", "t/3", "t/1"] {
        let plain = agent.message("plain");
        assert_eq!(
            (&plain["topic"], &plain["properties"]["topic_alias"]),
            (&json!(topic), &Json::Null)
        );
        let message = agent.message("aliased");
        assert_eq!(message["topic"], topic);
        if let Some(alias) = message["properties"]["topic_alias"].as_u64() {
            assert!((1..=2).contains(&alias), "{message}");
            aliases += 1;
        }
    }
    assert!(
        aliases > 0,
        "the broker uses aliases towards a client that allows them"
    );
}

// [5.0 MQTT-3.1.3-7] [5.0 MQTT-3.2.2-16]
fn server_assigns_an_identifier_to_those_without(kind: Kind) {
    let (_broker, agent) = start(kind);
    let assigned = |name: &str| {
        let connack = agent.connect(name, json!({ "client_id": "" }));
        connack["properties"]["assigned_client_identifier"]
            .as_str()
            .expect("an identifier")
            .to_owned()
    };
    let first = assigned("a");
    assert_ne!(first, assigned("b"));
    // It is an identifier as any other: who connects with it takes over.
    agent.connect("heir", json!({ "client_id": first }));
    assert_eq!(agent.wait("a", "closed")["reason"], 0x8E);
}

// [5.0 MQTT-3.1.2-23] [5.0 MQTT-4.1.0-2]
fn session_lives_as_long_as_its_expiry_interval_says(kind: Kind) {
    let (_broker, agent) = start(kind);
    let present = |more: Json| agent.connect("s", more)["session_present"] == true;
    let keep = json!({ "clean": false, "properties": { "session_expiry_interval": 600 } });
    assert!(!present(json!({ "clean": false })));
    agent.disconnect("s", json!({}));
    assert!(
        !present(keep.clone()),
        "without an interval the session ended"
    );
    agent.disconnect("s", json!({}));
    assert!(present(keep.clone()));
    agent.disconnect(
        "s",
        json!({ "properties": { "session_expiry_interval": 0 } }),
    );
    assert!(!present(keep), "DISCONNECT shortened it");
}

// [5.0 MQTT-3.4.2-1] [5.0 MQTT-3.5.2-1] [5.0 MQTT-3.9.3-2]
fn reason_codes_say_what_happened(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("a", json!({}));
    let publish =
        |qos| agent.publish_with("a", json!({ "topic": "t", "payload": "x", "qos": qos }));
    assert_eq!(publish(1), 0x10, "no matching subscribers");
    // Paho tells the reason of PUBCOMP, MQTT.js that of PUBREC.
    let of_qos_2 = match kind.library {
        Library::Paho => 0,
        Library::MqttJs => 0x10,
    };
    assert_eq!(publish(2), of_qos_2);
    for qos in [0, 1, 2] {
        assert_eq!(agent.subscribe("a", "t", qos), u64::from(qos), "granted");
    }
    assert_eq!(publish(1), 0);
}

// [5.0 MQTT-3.8.3-3]
fn no_local_keeps_own_messages_away(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("a", json!({}));
    agent.connect("b", json!({}));
    agent.subscribe_with(
        "a",
        json!({ "filter": "t", "qos": 1, "no_local": true }),
        json!({}),
    );
    agent.publish("a", "t", "own", 1);
    agent.publish("b", "t", "another's", 1);
    assert_eq!(agent.payload("a"), "another's");
}

// [5.0 MQTT-3.3.1-9] [5.0 MQTT-3.3.1-10] [5.0 MQTT-3.3.1-11] [5.0 MQTT-3.3.1-12] [5.0 MQTT-3.3.1-13]
fn retain_handling_and_retain_as_published_are_obeyed(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("pub", json!({}));
    let retain = |payload: &str| {
        agent.publish_with(
            "pub",
            json!({ "topic": "t", "payload": payload, "qos": 1, "retain": true }),
        );
    };
    retain("old");
    agent.connect("sub", json!({}));
    let subscribe = |handling: u8, as_published: bool| {
        let filter = json!({ "filter": "t", "qos": 1, "retain_handling": handling, "retain_as_published": as_published });
        agent.subscribe_with("sub", filter, json!({}));
    };
    let next = || {
        let message = agent.message("sub");
        (
            message["payload"].as_str().expect("text").to_owned(),
            message["retain"] == true,
        )
    };
    subscribe(2, false);
    retain("new 1");
    assert_eq!(
        next(),
        ("new 1".to_owned(), false),
        "2: nothing is sent at the subscription"
    );
    subscribe(1, true);
    retain("new 2");
    assert_eq!(
        next(),
        ("new 2".to_owned(), true),
        "1: nothing for a subscription that exists; as published"
    );
    subscribe(0, false);
    assert_eq!(next(), ("new 2".to_owned(), true), "0: each time");
    subscribe(0, false);
    assert_eq!(next(), ("new 2".to_owned(), true), "0: each time");
    agent.tell("sub", "unsubscribe", json!({ "filters": ["t"] }));
    agent.wait("sub", "unsubscribed");
    subscribe(1, false);
    assert_eq!(
        next(),
        ("new 2".to_owned(), true),
        "1: for a new subscription"
    );
}

// [5.0 MQTT-3.3.4-9] [5.0 MQTT-4.9.0-1]
fn small_receive_maximum_loses_nothing(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("sub", json!({ "properties": { "receive_maximum": 1 } }));
    agent.subscribe("sub", "t", 2);
    agent.connect("pub", json!({}));
    for number in 0..100 {
        let qos = 1 + number % 2;
        agent.tell(
            "pub",
            "publish",
            json!({ "topic": "t", "payload": number.to_string(), "qos": qos }),
        );
    }
    // Order holds within a topic and a QoS.
    let (mut of_1, mut of_2) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let number: u32 = agent.payload("sub").parse().expect("a number");
        if number.is_multiple_of(2) {
            of_1.push(number);
        } else {
            of_2.push(number);
        }
    }
    assert_eq!(of_1, (0..100).step_by(2).collect::<Vec<_>>());
    assert_eq!(of_2, (1..100).step_by(2).collect::<Vec<_>>());
}

// [5.0 MQTT-3.3.2-5] [5.0 MQTT-3.3.2-6]
fn expired_message_is_not_delivered(kind: Kind) {
    let (_broker, agent) = start(kind);
    agent.connect("s", keeping_its_session(kind));
    agent.subscribe("s", "t", 1);
    agent.disconnect("s", json!({}));
    // The clock of the broker is the only one that counts: a will delayed by two seconds tells when they are over.
    agent.connect("clock", json!({}));
    agent.subscribe("clock", "tick", 1);
    let will = json!({ "topic": "tick", "payload": "", "qos": 1, "retain": false, "properties": { "will_delay_interval": 2 } });
    let delayed = json!({ "will": will, "properties": { "session_expiry_interval": 600 } });
    agent.connect("pub", delayed);
    for (payload, secs) in [("short", 1), ("long", 600)] {
        let properties = json!({ "message_expiry_interval": secs });
        agent.publish_with(
            "pub",
            json!({ "topic": "t", "payload": payload, "qos": 1, "properties": properties }),
        );
    }
    agent.disconnect("pub", json!({ "reason": 4 }));
    agent.message("clock");
    agent.connect("s", keeping_its_session(kind));
    let message = agent.message("s");
    assert_eq!(message["payload"], "long", "the other one has expired");
    let left = message["properties"]["message_expiry_interval"]
        .as_u64()
        .expect("an interval");
    assert!((500..=599).contains(&left), "{left}");
}

// [5.0 MQTT-4.13.1-1]
fn shutdown_tells_why(kind: Kind) {
    let (broker, agent) = start(kind);
    agent.connect("a", json!({}));
    agent.connect("b", json!({}));
    broker.signal(Signal::TERM);
    for name in ["a", "b"] {
        assert_eq!(agent.wait(name, "closed")["reason"], 0x8B);
    }
    assert_eq!(broker.wait().code(), Some(0));
}
