//! The first byte of packets, and packets that a client has no right to send.

use crate::bytes::{V5, V31, V311, Version, packet, subscribe, unsubscribe};
use crate::row::Outcome::{Answers, Ends};
use crate::row::{Row, run, then, then_in_all};

/// The packets of a client whose flags are fixed, right in this version.
fn with_fixed_flags(version: Version) -> Vec<(&'static str, Vec<u8>)> {
    let mut packets = vec![
        ("PUBACK", vec![0x40, 2, 0, 1]),
        ("PUBREC", vec![0x50, 2, 0, 1]),
        ("PUBREL", vec![0x62, 2, 0, 1]),
        ("PUBCOMP", vec![0x70, 2, 0, 1]),
        ("SUBSCRIBE", subscribe(version, "f", 0)),
        ("UNSUBSCRIBE", unsubscribe(version, "f")),
        ("PINGREQ", vec![0xC0, 0]),
        ("DISCONNECT", vec![0xE0, 0]),
    ];
    if version == V5 {
        packets.push(("AUTH", vec![0xF0, 0]));
    }
    packets
}

fn with_wrong_flags(version: Version) -> Vec<Row> {
    let mut rows = Vec::new();
    for (name, right) in with_fixed_flags(version) {
        for flags in 0..16 {
            let mut bytes = right.clone();
            bytes[0] = bytes[0] & 0xF0 | flags;
            if bytes[0] != right[0] {
                rows.push(then(
                    format!("{name} with flags {flags:04b}"),
                    version,
                    bytes,
                    Ends(0x81),
                ));
            }
        }
    }
    rows
}

// [5.0 MQTT-2.1.3-1] [5.0 MQTT-3.6.1-1] [5.0 MQTT-3.8.1-1] [5.0 MQTT-3.10.1-1] [5.0 MQTT-3.14.1-1] [5.0 MQTT-3.15.1-1]
// [5.0 MQTT-4.13.1-1]
#[test]
fn every_wrong_flag_of_every_packet_is_malformed_in_5() {
    run(with_wrong_flags(V5));
}

// [3.1.1 MQTT-2.2.2-1] [3.1.1 MQTT-2.2.2-2] [3.1.1 MQTT-3.6.1-1] [3.1.1 MQTT-3.8.1-1] [3.1.1 MQTT-3.10.1-1]
// [3.1.1 MQTT-3.14.1-1] [3.1.1 MQTT-4.8.0-1]
#[test]
fn every_wrong_flag_of_every_packet_closes_in_3_1_1() {
    run(with_wrong_flags(V311));
}

#[test]
fn repeated_requests_of_3_1_may_carry_dup() {
    let dup = |mut bytes: Vec<u8>| {
        bytes[0] |= 0x08;
        bytes
    };
    let answer = |bytes: &[u8]| Answers(vec![bytes.to_vec()]);
    run([
        // [3.1 MQTT31-DUP-1]
        then(
            "SUBSCRIBE",
            V31,
            dup(subscribe(V31, "d", 1)),
            answer(&[0x90, 3, 0, 9, 1]),
        ),
        // [3.1 MQTT31-DUP-2]
        then(
            "UNSUBSCRIBE",
            V31,
            dup(unsubscribe(V31, "d")),
            answer(&[0xB0, 2, 0, 9]),
        ),
        // [3.1 MQTT31-DUP-3] [3.1 MQTT31-RETRY-3]
        then(
            "PUBREL",
            V31,
            dup(vec![0x62, 2, 0, 5]),
            answer(&[0x70, 2, 0, 5]),
        ),
    ]);
}

#[test]
fn packets_that_only_a_server_sends_end_the_connection() {
    let mut rows = Vec::new();
    for version in Version::ALL {
        // In 5.0 with the properties that make them right but for their sender.
        let none: &[u8] = crate::bytes::no_properties(version);
        rows.extend([
            then(
                "CONNACK",
                version,
                packet(0x20, &[&[0, 0], none]),
                Ends(0x82),
            ),
            then(
                "SUBACK",
                version,
                packet(0x90, &[&[0, 1], none, &[0]]),
                Ends(0x82),
            ),
            then(
                "UNSUBACK",
                version,
                packet(0xB0, &[&[0, 1], none]),
                Ends(0x82),
            ),
            then("PINGRESP", version, vec![0xD0, 0], Ends(0x82)),
            then("type 0", version, vec![0x00, 0], Ends(0x81)),
        ]);
    }
    for version in [V31, V311] {
        rows.push(then("type 15", version, vec![0xF0, 0], Ends(0)));
    }
    run(rows);
}

#[test]
fn lengths_are_right_or_the_connection_ends() {
    let mut rows: Vec<Row> = then_in_all("PINGREQ with a body", |_| vec![0xC0, 1, 0], &Ends(0x81));
    // [5.0 MQTT-1.5.5-1]
    rows.push(then(
        "length not in its shortest form",
        V5,
        vec![0xC0, 0x80, 0x00],
        Ends(0x81),
    ));
    rows.extend(then_in_all(
        "length of five bytes",
        |_| vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1],
        &Ends(0x81),
    ));
    rows.extend(then_in_all(
        "256 MiB announced",
        |_| vec![0x30, 0xFF, 0xFF, 0xFF, 0x7F],
        &Ends(0x95),
    ));
    run(rows);
}
