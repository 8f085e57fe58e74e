//! Strings that are not UTF-8 or hold a NUL, in every field of every packet that a client sends.

use crate::bytes::{
    Connect, V5, V31, V311, Version, no_properties, packet, properties, publish, subscribe, text,
    text_property, unsubscribe, user_property,
};
use crate::peer::Target;
use crate::row::Outcome::Ends;
use crate::row::{Row, first, run, then};

const ILL_FORMED: [(&str, &[u8]); 8] = [
    ("NUL", b"a\0b"),
    ("surrogate", b"a\xED\xA0\x80"),
    ("surrogate pair", b"\xED\xA0\xBD\xED\xB8\x80"),
    ("overlong form", b"\xC0\x80"),
    ("overlong slash", b"a\xE0\x80\xAF"),
    ("cut short", b"a\xE2\x82"),
    ("lone continuation", b"\x80a"),
    ("beyond U+10FFFF", b"\xF4\x90\x80\x80"),
];

/// The fields that every version has: name, when, packet.
fn fields(version: Version, bad: &[u8]) -> Vec<Row> {
    let end = || Ends(0x81);
    let connect = Connect::new(version);
    let user = Connect::new(version).flags(0x82).then(&[&text(bad)]);
    let will = Connect::new(version).flags(0x06).will(&[], bad);
    vec![
        first(
            "client identifier",
            version,
            connect.client_id(bad).bytes(),
            end(),
        ),
        first("user name", version, user.bytes(), end()),
        first("will topic", version, will.bytes(), end()),
        then("topic", version, publish(version, 0, bad, 0), end()),
        then(
            "topic at QoS 1",
            version,
            publish(version, 2, bad, 9),
            end(),
        ),
        then("filter", version, subscribe(version, bad, 0), end()),
        then(
            "filter to remove",
            version,
            unsubscribe(version, bad),
            end(),
        ),
    ]
}

/// The string properties, in each packet that may carry them.
fn property_fields(bad: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    let strings = |id: u8| text_property(id, bad);
    let pairs = [user_property(bad, "v"), user_property("k", bad)];
    let connect = |name: &str, list: &[u8]| {
        first(
            name,
            V5,
            Connect::new(V5).properties(&[list]).bytes(),
            Ends(0x81),
        )
    };
    let will = |name: &str, list: &[u8]| {
        first(
            name,
            V5,
            Connect::new(V5).flags(0x06).will(&[list], "w").bytes(),
            Ends(0x81),
        )
    };
    let with = |name: String, head: &[&[u8]], list: &[u8], tail: &[u8]| {
        let body = [&head[1..].concat(), properties(&[list]).as_slice(), tail].concat();
        then(name, V5, packet(head[0][0], &[&body]), Ends(0x81))
    };
    for pair in &pairs {
        rows.push(connect("user property of CONNECT", pair));
        rows.push(will("user property of the will", pair));
        rows.push(with(
            "user property of PUBLISH".into(),
            &[&[0x30], &text("a")],
            pair,
            b"x",
        ));
        rows.push(with(
            "user property of SUBSCRIBE".into(),
            &[&[0x82], &[0, 9]],
            pair,
            &[0, 1, b'f', 0],
        ));
        rows.push(with(
            "user property of UNSUBSCRIBE".into(),
            &[&[0xA2], &[0, 9]],
            pair,
            &[0, 1, b'f'],
        ));
    }
    rows.push(connect("authentication method", &strings(0x15)));
    rows.push(will("content type of the will", &strings(0x03)));
    rows.push(will("response topic of the will", &strings(0x08)));
    rows.push(with(
        "content type".into(),
        &[&[0x30], &text("a")],
        &strings(0x03),
        b"x",
    ));
    rows.push(with(
        "response topic".into(),
        &[&[0x30], &text("a")],
        &strings(0x08),
        b"x",
    ));
    for (name, first_byte) in [
        ("PUBACK", 0x40),
        ("PUBREC", 0x50),
        ("PUBREL", 0x62),
        ("PUBCOMP", 0x70),
    ] {
        let head: &[&[u8]] = &[&[first_byte], &[0, 9, 0]];
        rows.push(with(
            format!("reason string of {name}"),
            head,
            &strings(0x1F),
            &[],
        ));
        rows.push(with(
            format!("user property of {name}"),
            head,
            &pairs[0],
            &[],
        ));
    }
    for (name, head) in [("DISCONNECT", [0xE0, 0x00]), ("AUTH", [0xF0, 0x18])] {
        let head: &[&[u8]] = &[&head[..1], &head[1..]];
        rows.push(with(
            format!("reason string of {name}"),
            head,
            &strings(0x1F),
            &[],
        ));
        rows.push(with(
            format!("user property of {name}"),
            head,
            &pairs[1],
            &[],
        ));
    }
    rows
}

fn every(rows: impl Fn(&[u8]) -> Vec<Row>) -> Vec<Row> {
    let mut all = Vec::new();
    for (name, bad) in ILL_FORMED {
        all.extend(rows(bad).into_iter().map(|mut row| {
            row.name = format!("{name} in {}", row.name);
            row
        }));
    }
    all
}

// [5.0 MQTT-1.5.4-1] [5.0 MQTT-1.5.4-2] [5.0 MQTT-4.7.3-2]
#[test]
fn ill_formed_string_in_any_field_is_malformed_in_5() {
    run(every(|bad| fields(V5, bad)));
}

// [5.0 MQTT-1.5.4-1] [5.0 MQTT-1.5.4-2] [5.0 MQTT-1.5.7-1] [5.0 MQTT-3.3.2-13] [5.0 MQTT-3.3.2-19]
#[test]
fn ill_formed_string_in_any_property_is_malformed() {
    run(every(property_fields));
}

// [3.1.1 MQTT-1.5.3-1] [3.1.1 MQTT-1.5.3-2] [3.1.1 MQTT-4.7.3-2]
#[test]
fn ill_formed_string_in_any_field_closes_in_3_1_1() {
    run(every(|bad| fields(V311, bad)));
}

// [3.1 MQTT31-STRING-1] [3.1 MQTT31-STRING-2] [3.1 MQTT31-CLOSE-1]
#[test]
fn ill_formed_string_in_any_field_closes_in_3_1() {
    run(every(|bad| fields(V31, bad)));
}

// [3.1.1 MQTT-1.5.3-3] [5.0 MQTT-1.5.4-3] [3.1.1 MQTT-4.7.3-4] [5.0 MQTT-4.7.3-4]
#[test]
fn strings_are_delivered_byte_for_byte() {
    let target = Target::start();
    // A byte order mark, a composed and a decomposed letter, and the last code point.
    let topics = [
        "\u{feff}bom",
        "odd/\u{e9}",
        "odd/e\u{301}",
        "odd/\u{10FFFF}",
        "odd/ ",
        "odd//",
    ];
    for version in [V311, V5] {
        let mut peer = target.admitted(version);
        for topic in topics {
            let id = crate::bytes::unique_id();
            let topic = format!("{topic}{id}");
            peer.send(&subscribe(version, &topic, 0));
            peer.packet().expect("a SUBACK");
            peer.send(&publish(version, 0, &topic, 0));
            let expected = packet(0x30, &[&text(&topic), no_properties(version), b"x"]);
            assert_eq!(
                peer.packets_until_ping_response(),
                Some(vec![expected]),
                "{topic:?}"
            );
        }
    }
}
