//! SUBSCRIBE and UNSUBSCRIBE, as a client must not and may send them.

use crate::bytes::{
    V5, V31, V311, Version, no_properties, packet, properties, subscribe, text, unsubscribe,
};
use crate::row::Outcome::{Answers, Ends};
use crate::row::{Outcome, Row, run, then, then_in_all, then_in_both};

/// Filters that no version allows.
const INVALID_FILTERS: [&str; 12] = [
    "", "a/#/b", "a#", "#a", "+a", "a+", "a/+b/c", "##", "#/", "++", "a/b+/#", "a/#/",
];

#[test]
fn requests_have_an_identifier_and_at_least_one_filter() {
    let mut rows: Vec<Row> = Vec::new();
    for (name, first) in [("SUBSCRIBE", 0x82), ("UNSUBSCRIBE", 0xA2)] {
        let options: &[u8] = if first == 0x82 { &[0] } else { &[] };
        let id_and = |id: u16, version: Version, rest: &[u8]| {
            packet(first, &[&id.to_be_bytes(), no_properties(version), rest])
        };
        let whole = [text("f"), options.to_vec()].concat();
        let named = |what: &str| format!("{name} {what}");
        rows.extend(then_in_all(
            &named("without a filter"),
            |v| id_and(9, v, &[]),
            &Ends(0x82),
        ));
        // [3.1.1 MQTT-2.3.1-1]
        rows.extend(then_in_all(
            &named("with identifier 0"),
            |v| id_and(0, v, &whole),
            &Ends(0x82),
        ));
        rows.extend(then_in_all(
            &named("without a body"),
            |_| vec![first, 0],
            &Ends(0x81),
        ));
        rows.extend(then_in_all(
            &named("with half a length"),
            |v| id_and(9, v, &[0]),
            &Ends(0x81),
        ));
        rows.extend(then_in_all(
            &named("cut short"),
            |v| id_and(9, v, &[0, 9, b'f']),
            &Ends(0x81),
        ));
        let then_half = [whole.clone(), vec![0]].concat();
        rows.extend(then_in_all(
            &named("with a second filter cut short"),
            |v| id_and(9, v, &then_half),
            &Ends(0x81),
        ));
    }
    rows.extend(then_in_all(
        "SUBSCRIBE without options",
        |v| packet(0x82, &[&[0, 9], no_properties(v), &text("f")]),
        &Ends(0x81),
    ));
    run(rows);
}

#[test]
fn subscription_options_are_checked() {
    let mut rows: Vec<Row> = Vec::new();
    // [5.0 MQTT-3.8.3-5] [3.1.1 MQTT-3.8.3-4]
    for options in [0x40, 0x80, 0xC0] {
        let name = format!("reserved options {options:#04x}");
        rows.extend(then_in_both(
            &name,
            |v| subscribe(v, "f", options),
            &Ends(0x81),
        ));
    }
    rows.extend(then_in_both("QoS 3", |v| subscribe(v, "f", 3), &Ends(0x81)));
    // [3.1.1 MQTT-3.8.3-4]: what 5.0 uses is reserved.
    for options in [0x04, 0x08, 0x10, 0x20, 0x06] {
        rows.push(then(
            format!("options {options:#04x}"),
            V311,
            subscribe(V311, "f", options),
            Ends(0),
        ));
    }
    let row = |name: &str, bytes: Vec<u8>, outcome: Outcome| then(name, V5, bytes, outcome);
    rows.extend([
        row("retain handling 3", subscribe(V5, "f", 0x30), Ends(0x82)),
        // [5.0 MQTT-3.8.3-4]
        row(
            "no local on a shared subscription",
            subscribe(V5, "$share/g/f", 0x04),
            Ends(0x82),
        ),
        row(
            "no local",
            subscribe(V5, "f", 0x04),
            Answers(vec![vec![0x90, 4, 0, 9, 0, 0]]),
        ),
        row(
            "all options at once",
            subscribe(V5, "f", 0x2E),
            Answers(vec![vec![0x90, 4, 0, 9, 0, 2]]),
        ),
    ]);
    run(rows);
}

#[test]
fn subscription_identifier_is_from_1_to_268435455_and_stands_alone() {
    let row = |name: &str, list: &[&[u8]], outcome: Outcome| {
        let bytes = packet(0x82, &[&[0, 9], &properties(list), &text("f"), &[1]]);
        then(name, V5, bytes, outcome)
    };
    let granted = || Answers(vec![vec![0x90, 4, 0, 9, 0, 1]]);
    run([
        row("0", &[&[0x0B, 0]], Ends(0x82)),
        row("two of them", &[&[0x0B, 1], &[0x0B, 2]], Ends(0x82)),
        row("five bytes", &[&[0x0B, 255, 255, 255, 255, 1]], Ends(0x81)),
        // [5.0 MQTT-1.5.5-1]
        row("not in its shortest form", &[&[0x0B, 0x81, 0]], Ends(0x81)),
        row("1", &[&[0x0B, 1]], granted()),
        row("268435455", &[&[0x0B, 255, 255, 255, 0x7F]], granted()),
    ]);
}

#[test]
fn invalid_filters_end_the_connection() {
    let mut rows: Vec<Row> = Vec::new();
    // [3.1.1 MQTT-4.7.1-2] [3.1.1 MQTT-4.7.1-3] [3.1.1 MQTT-4.7.3-1]
    // [5.0 MQTT-4.7.1-1] [5.0 MQTT-4.7.1-2] [5.0 MQTT-4.7.3-1]
    for filter in INVALID_FILTERS {
        let name = format!("SUBSCRIBE to {filter:?}");
        rows.extend(then_in_all(&name, |v| subscribe(v, filter, 0), &Ends(0x8F)));
        let name = format!("UNSUBSCRIBE from {filter:?}");
        rows.extend(then_in_all(&name, |v| unsubscribe(v, filter), &Ends(0x8F)));
    }
    for filter in [
        "$share//x",
        "$share/g",
        "$share/g/",
        "$share/",
        "$share/g+/x",
        "$share/g#/x",
        "$share/+/x",
        "$share/g/a#",
    ] {
        let name = format!("SUBSCRIBE to {filter:?}");
        rows.push(then(name, V5, subscribe(V5, filter, 0), Ends(0x8F)));
    }
    run(rows);
}

#[test]
fn odd_but_valid_filters_are_granted() {
    let longest = "l".repeat(65535);
    let mut rows: Vec<Row> = Vec::new();
    for filter in [
        "#",
        "+",
        "/",
        "//",
        "+/+",
        "/+",
        "+/#",
        "a//b",
        " ",
        "$SYS/nothing/#",
        "\u{feff}a",
        "a/\u{1F980}/#",
        "$",
        "$shared/x",
        &longest,
    ] {
        let name = format!("{}...", filter.chars().take(20).collect::<String>());
        // [3.1.1 MQTT-3.8.4-1] [3.1.1 MQTT-3.8.4-2] [3.1.1 MQTT-2.3.1-7] [3.1 MQTT31-CONNACK-2]
        for version in [V31, V311] {
            rows.push(then(
                name.clone(),
                version,
                subscribe(version, filter, 2),
                Answers(vec![vec![0x90, 3, 0, 9, 2]]),
            ));
        }
        // [5.0 MQTT-3.8.4-1] [5.0 MQTT-3.8.4-2] [5.0 MQTT-2.2.1-6] [5.0 MQTT-4.7.3-3]; Retain Handling 2, so that nothing else comes.
        rows.push(then(
            name,
            V5,
            subscribe(V5, filter, 0x22),
            Answers(vec![vec![0x90, 4, 0, 9, 0, 2]]),
        ));
    }
    run(rows);
}

#[test]
fn requests_are_answered_filter_by_filter() {
    let three = [
        text("a"),
        vec![2],
        text("b/+"),
        vec![0],
        text("c/#"),
        vec![1],
    ]
    .concat();
    let request = |v| packet(0x82, &[&[1, 2], no_properties(v), &three]);
    let answer = |v, body: &[u8]| Answers(vec![packet(0x90, &[&[1, 2], no_properties(v), body])]);
    let remove = [
        subscribe(V5, "a", 0),
        unsubscribe(V5, "a"),
        unsubscribe(V5, "a"),
    ]
    .concat();
    let granted = vec![0x90, 4, 0, 9, 0, 0];
    let unsuback = |reason| vec![0xB0, 4, 0, 9, 0, reason];
    let remove_3 = [
        subscribe(V311, "a", 0),
        unsubscribe(V311, "a"),
        unsubscribe(V311, "a"),
    ]
    .concat();
    run([
        // [3.1.1 MQTT-3.8.4-4] [3.1.1 MQTT-3.8.4-5] [3.1.1 MQTT-3.9.3-1] [3.1.1 MQTT-3.9.3-2]
        then("three filters", V31, request(V31), answer(V31, &[2, 0, 1])),
        then(
            "three filters",
            V311,
            request(V311),
            answer(V311, &[2, 0, 1]),
        ),
        // [5.0 MQTT-3.8.4-5] [5.0 MQTT-3.8.4-6] [5.0 MQTT-3.9.3-1]
        then("three filters", V5, request(V5), answer(V5, &[2, 0, 1])),
        // [5.0 MQTT-3.10.4-4] [5.0 MQTT-3.10.4-5] [5.0 MQTT-3.11.3-2]
        then(
            "removed twice",
            V5,
            remove,
            Answers(vec![granted, unsuback(0), unsuback(0x11)]),
        ),
        // [3.1.1 MQTT-3.10.4-4] [3.1.1 MQTT-3.10.4-5]
        then(
            "removed twice",
            V311,
            remove_3,
            Answers(vec![
                vec![0x90, 3, 0, 9, 0],
                vec![0xB0, 2, 0, 9],
                vec![0xB0, 2, 0, 9],
            ]),
        ),
    ]);
}
