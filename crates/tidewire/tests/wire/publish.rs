//! PUBLISH and its acknowledgements, as a client must not and may send them.

use crate::bytes::{V5, V31, V311, packet, publish, text, text_property, user_property};
use crate::row::Outcome::{Answers, Ends};
use crate::row::{Outcome, Row, run, then, then_in_all, then_in_both};

/// A PUBLISH of 5.0 at QoS 0 with these properties.
fn with(list: &[&[u8]], topic: &str) -> Vec<u8> {
    let list = crate::bytes::properties(list);
    packet(0x30, &[&text(topic), &list, b"x"])
}

#[test]
fn flags_identifier_and_topic_are_checked() {
    let mut rows: Vec<Row> = Vec::new();
    // [3.1.1 MQTT-3.3.1-4] [5.0 MQTT-3.3.1-4]
    rows.extend(then_in_all(
        "QoS 3",
        |v| publish(v, 0x06, "a", 1),
        &Ends(0x81),
    ));
    rows.extend(then_in_all(
        "QoS 3, DUP, RETAIN",
        |v| publish(v, 0x0F, "a", 1),
        &Ends(0x81),
    ));
    // [3.1.1 MQTT-3.3.1-2] [5.0 MQTT-3.3.1-2]
    rows.extend(then_in_both(
        "QoS 0 with DUP",
        |v| publish(v, 0x08, "a", 0),
        &Ends(0x81),
    ));
    rows.push(then(
        "QoS 0 with DUP",
        V31,
        publish(V31, 0x08, "a", 0),
        Answers(vec![]),
    ));
    // [3.1.1 MQTT-2.3.1-1]
    rows.extend(then_in_all(
        "QoS 1, identifier 0",
        |v| publish(v, 0x02, "a", 0),
        &Ends(0x82),
    ));
    rows.extend(then_in_all(
        "QoS 2, identifier 0",
        |v| publish(v, 0x04, "a", 0),
        &Ends(0x82),
    ));
    // [3.1.1 MQTT-3.3.2-2] [3.1.1 MQTT-4.7.1-1] [5.0 MQTT-3.3.2-2] [5.0 MQTT-4.7.0-1]
    for topic in ["#", "+", "a/#", "a/+/b", "a+", "a#b"] {
        let name = format!("wildcard in topic {topic}");
        rows.extend(then_in_all(
            &name,
            |v| publish(v, 0x00, topic, 0),
            &Ends(0x90),
        ));
        rows.extend(then_in_all(
            &name,
            |v| publish(v, 0x02, topic, 1),
            &Ends(0x90),
        ));
    }
    // [3.1.1 MQTT-4.7.3-1] [5.0 MQTT-4.7.3-1]
    rows.extend(then_in_all(
        "no topic",
        |v| publish(v, 0x00, "", 0),
        &Ends(0x82),
    ));
    let empty = |first: u8| move |_| vec![first, 0];
    rows.extend(then_in_all("no body", empty(0x30), &Ends(0x81)));
    rows.extend(then_in_all("no body, QoS 1", empty(0x32), &Ends(0x81)));
    rows.extend(then_in_all(
        "topic longer than the packet",
        |_| vec![0x30, 3, 0, 9, b'a'],
        &Ends(0x81),
    ));
    rows.extend(then_in_all(
        "no room for the identifier",
        |_| vec![0x32, 4, 0, 1, b'a', 0],
        &Ends(0x81),
    ));
    run(rows);
}

#[test]
fn properties_of_publish_have_values_that_make_sense() {
    let row = |name: &str, bytes, outcome: Outcome| then(name, V5, bytes, outcome);
    let lives = || Answers(vec![]);
    run([
        row("payload format 2", with(&[&[0x01, 2]], "a"), Ends(0x82)),
        row("payload format 255", with(&[&[0x01, 255]], "a"), Ends(0x82)),
        row("payload format 1", with(&[&[0x01, 1]], "a"), lives()),
        // [5.0 MQTT-3.3.2-14]
        row(
            "wildcard # in response topic",
            with(&[&text_property(0x08, "a/#")], "a"),
            Ends(0x82),
        ),
        row(
            "wildcard + in response topic",
            with(&[&text_property(0x08, "+")], "a"),
            Ends(0x82),
        ),
        row(
            "subscription identifier from a client",
            with(&[&[0x0B, 1]], "a"),
            Ends(0x82),
        ),
        row(
            "subscription identifier 0",
            with(&[&[0x0B, 0]], "a"),
            Ends(0x82),
        ),
        // [5.0 MQTT-3.3.2-8]
        row("topic alias 0", with(&[&[0x23, 0, 0]], "a"), Ends(0x94)),
        row(
            "topic alias 65535",
            with(&[&[0x23, 255, 255]], "a"),
            Ends(0x94),
        ),
        row(
            "topic alias without a topic, unknown",
            with(&[&[0x23, 0, 1]], ""),
            Ends(0x82),
        ),
        row(
            "user properties, twice the same",
            with(&[&user_property("k", "v"), &user_property("k", "v")], "a"),
            lives(),
        ),
        row(
            "property that does not exist",
            with(&[&[0x7E, 0]], "a"),
            Ends(0x81),
        ),
        row(
            "property longer than the properties",
            with(&[&[0x08, 0, 9, b'a']], "a"),
            Ends(0x81),
        ),
        row(
            "properties longer than the packet",
            packet(0x30, &[&text("a"), &[99]]),
            Ends(0x81),
        ),
        row(
            "property length of five bytes",
            packet(0x30, &[&text("a"), &[255, 255, 255, 255, 1]]),
            Ends(0x81),
        ),
        // [5.0 MQTT-1.5.5-1]
        row(
            "property length not in its shortest form",
            packet(0x30, &[&text("a"), &[0x80, 0]]),
            Ends(0x81),
        ),
    ]);
}

#[test]
fn topic_alias_lives_as_long_as_its_connection() {
    let set_and_use = [with(&[&[0x23, 0, 1]], "a"), with(&[&[0x23, 0, 1]], "")].concat();
    run([
        // [5.0 MQTT-3.3.2-12]
        then("set, then used", V5, set_and_use, Answers(vec![])),
        // [5.0 MQTT-3.3.2-7]
        then(
            "used by the next connection",
            V5,
            with(&[&[0x23, 0, 1]], ""),
            Ends(0x82),
        ),
    ]);
}

#[test]
fn publish_is_answered_according_to_its_qos() {
    let mut rows: Vec<Row> = Vec::new();
    let bytes = |first: u8| vec![first, 2, 0, 9];
    // [3.1.1 MQTT-3.3.4-1] [3.1.1 MQTT-2.3.1-6]; the topic has no subscriber.
    for version in [V31, V311] {
        rows.extend([
            then(
                "QoS 0",
                version,
                publish(version, 0, "n", 0),
                Answers(vec![]),
            ),
            then(
                "QoS 1",
                version,
                publish(version, 2, "n", 9),
                Answers(vec![bytes(0x40)]),
            ),
            then(
                "QoS 2",
                version,
                publish(version, 4, "n", 9),
                Answers(vec![bytes(0x50)]),
            ),
        ]);
    }
    // [3.1.1 MQTT-4.3.3-2]
    let twice = [
        publish(V311, 4, "n", 9),
        publish(V311, 0x0C, "n", 9),
        bytes(0x62),
    ]
    .concat();
    let answers = Answers(vec![bytes(0x50), bytes(0x50), bytes(0x70)]);
    rows.push(then("QoS 2 twice, then released", V311, twice, answers));
    // [3.1.1 MQTT-4.3.2-2]
    let twice = [publish(V311, 2, "n", 9), publish(V311, 2, "n", 9)].concat();
    rows.push(then(
        "QoS 1 twice",
        V311,
        twice,
        Answers(vec![bytes(0x40), bytes(0x40)]),
    ));
    // [3.1 MQTT31-RETRY-1]
    let again = [publish(V31, 2, "n", 9), publish(V31, 0x0A, "n", 9)].concat();
    rows.push(then(
        "QoS 1 and its repetition",
        V31,
        again,
        Answers(vec![bytes(0x40), bytes(0x40)]),
    ));
    // [3.1 MQTT31-RETRY-2] [3.1 MQTT31-RETRY-3]
    let again = [
        publish(V31, 4, "n", 9),
        publish(V31, 0x0C, "n", 9),
        bytes(0x62),
        bytes(0x62),
    ];
    let answers = Answers(vec![bytes(0x50), bytes(0x50), bytes(0x70), bytes(0x70)]);
    rows.push(then("QoS 2, all of it twice", V31, again.concat(), answers));
    // [5.0 MQTT-3.3.4-1] [5.0 MQTT-4.3.2-4] [5.0 MQTT-4.3.3-8] [5.0 MQTT-2.2.1-5]: 0x10 says that nobody subscribes.
    rows.extend([
        then(
            "QoS 1",
            V5,
            publish(V5, 2, "n", 9),
            Answers(vec![vec![0x40, 3, 0, 9, 0x10]]),
        ),
        then(
            "QoS 2",
            V5,
            publish(V5, 4, "n", 9),
            Answers(vec![vec![0x50, 3, 0, 9, 0x10]]),
        ),
    ]);
    run(rows);
}

#[test]
fn acknowledgements_of_nothing_are_answered_or_ignored() {
    let mut rows: Vec<Row> = Vec::new();
    for version in [V31, V311] {
        rows.extend([
            then("PUBACK", version, vec![0x40, 2, 0, 9], Answers(vec![])),
            then(
                "PUBREC",
                version,
                vec![0x50, 2, 0, 9],
                Answers(vec![vec![0x62, 2, 0, 9]]),
            ),
            then(
                "PUBREL",
                version,
                vec![0x62, 2, 0, 9],
                Answers(vec![vec![0x70, 2, 0, 9]]),
            ),
            then("PUBCOMP", version, vec![0x70, 2, 0, 9], Answers(vec![])),
        ]);
    }
    // 0x92: Packet Identifier not found [5.0 MQTT-3.6.2-1] [5.0 MQTT-3.7.2-1]
    rows.extend([
        then("PUBACK", V5, vec![0x40, 2, 0, 9], Answers(vec![])),
        then(
            "PUBREC",
            V5,
            vec![0x50, 2, 0, 9],
            Answers(vec![vec![0x62, 3, 0, 9, 0x92]]),
        ),
        then(
            "PUBREC with an error",
            V5,
            vec![0x50, 3, 0, 9, 0x80],
            Answers(vec![]),
        ),
        then(
            "PUBREL",
            V5,
            vec![0x62, 2, 0, 9],
            Answers(vec![vec![0x70, 3, 0, 9, 0x92]]),
        ),
        then("PUBCOMP", V5, vec![0x70, 2, 0, 9], Answers(vec![])),
    ]);
    run(rows);
}

#[test]
fn malformed_acknowledgements_end_the_connection() {
    let mut rows: Vec<Row> = Vec::new();
    for (name, first) in [
        ("PUBACK", 0x40),
        ("PUBREC", 0x50),
        ("PUBREL", 0x62),
        ("PUBCOMP", 0x70),
    ] {
        let all = |what: &str, bytes: &[u8], reason| {
            let bytes = packet(first, &[bytes]);
            then_in_all(
                &format!("{name} {what}"),
                move |_| bytes.clone(),
                &Ends(reason),
            )
        };
        rows.extend(all("without a body", &[], 0x81));
        rows.extend(all("with half an identifier", &[0], 0x81));
        rows.extend(all("with identifier 0", &[0, 0], 0x82));
        for version in [V31, V311] {
            let bytes = packet(first, &[&[0, 1, 0]]);
            rows.push(then(
                format!("{name} with a reason"),
                version,
                bytes,
                Ends(0),
            ));
        }
        let five = |what: &str, bytes: &[u8], reason| {
            then(
                format!("{name} {what}"),
                V5,
                packet(first, &[&[0, 1], bytes]),
                Ends(reason),
            )
        };
        rows.extend([
            five("with a reason that does not exist", &[0x55], 0x82),
            five("with a reason of another packet", &[0x8E], 0x82),
            five("with bytes behind its properties", &[0, 0, 0], 0x81),
            five("with properties cut short", &[0, 5, 0x1F, 0], 0x81),
        ]);
    }
    run(rows);
}
