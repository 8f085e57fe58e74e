//! The first bytes of a connection.

use crate::bytes::{
    Connect, V5, V31, V311, Version, packet, publish, subscribe, text, text_property, unsubscribe,
};
use crate::row::Outcome::{Closed, Ends, Refused, Welcome};
use crate::row::{Outcome, Row, first, run};

const WILL_DELAY: [u8; 5] = [0x18, 0, 0, 0, 5];

#[test]
fn first_packet_is_connect_or_the_connection_ends() {
    let mut rows = Vec::new();
    // [3.1.1 MQTT-3.2.0-1] [5.0 MQTT-3.2.0-1]: nothing comes back before a CONNACK with success.
    for version in [V311, V5] {
        let packets = [
            ("CONNACK", vec![0x20, 2, 0, 0]),
            ("PUBLISH QoS 0", publish(version, 0, "a", 0)),
            ("PUBLISH QoS 1", publish(version, 2, "a", 1)),
            ("PUBACK", vec![0x40, 2, 0, 1]),
            ("PUBREC", vec![0x50, 2, 0, 1]),
            ("PUBREL", vec![0x62, 2, 0, 1]),
            ("PUBCOMP", vec![0x70, 2, 0, 1]),
            ("SUBSCRIBE", subscribe(version, "a", 0)),
            ("SUBACK", vec![0x90, 3, 0, 1, 0]),
            ("UNSUBSCRIBE", unsubscribe(version, "a")),
            ("UNSUBACK", vec![0xB0, 2, 0, 1]),
            ("PINGREQ", vec![0xC0, 0]),
            ("PINGRESP", vec![0xD0, 0]),
            ("DISCONNECT", vec![0xE0, 0]),
            ("AUTH", vec![0xF0, 0]),
            ("type 0", vec![0x00, 0]),
        ];
        rows.extend(packets.map(|(name, bytes)| first(name, version, bytes, Closed)));
    }
    // Not MQTT at all.
    rows.push(first(
        "HTTP",
        V311,
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        Closed,
    ));
    rows.push(first(
        "TLS",
        V311,
        vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0],
        Closed,
    ));
    run(rows);
}

#[test]
fn protocol_name_and_level_are_known_or_refused() {
    let named = |name: &str, level| Connect::new(V311).protocol(name, level).bytes();
    run([
        // [3.1.1 MQTT-3.1.2-1] [5.0 MQTT-3.1.2-1]
        first("name MQTTX, level 4", V311, named("MQTTX", 4), Closed),
        first("name mqtt, level 4", V311, named("mqtt", 4), Closed),
        first("no name, level 4", V311, named("", 4), Closed),
        first("name MQTTX, level 5", V5, named("MQTTX", 5), Closed),
        // [3.1.1 MQTT-3.1.2-2]
        first("level 0", V311, named("MQTT", 0), Refused(1)),
        // [3.1 MQTT31-CONNECT-3]
        first("name MQTT, level 3", V31, named("MQTT", 3), Refused(1)),
        // [3.1 MQTT31-CONNECT-2]
        first("name MQIsdp, level 4", V31, named("MQIsdp", 4), Refused(1)),
        first("name MQIsdp, level 5", V31, named("MQIsdp", 5), Refused(1)),
        // Bridges of mosquitto set the highest bit; they come again without it, if they can read the refusal.
        first("level 0x84", V311, named("MQTT", 0x84), Refused(1)),
        first("level 0x85", V5, named("MQTT", 0x85), Refused(0x84)),
        // [5.0 MQTT-3.1.2-2]: the answer has the shape of 5.0.
        first("level 6", V5, named("MQTT", 6), Refused(0x84)),
        first("level 255", V5, named("MQTT", 255), Refused(0x84)),
        // [3.1 MQTT31-CONNECT-1] [3.1.1 MQTT-3.1.4-4] [5.0 MQTT-3.1.4-5]
        first("3.1", V31, Connect::new(V31).bytes(), Welcome),
        first("3.1.1", V311, Connect::new(V311).bytes(), Welcome),
        first("5.0", V5, Connect::new(V5).bytes(), Welcome),
    ]);
}

#[test]
fn connect_flags_agree_with_each_other_and_with_the_payload() {
    let mut rows = Vec::new();
    for version in [V311, V5] {
        let flags = |flags| Connect::new(version).flags(flags);
        let bad = |name: &str, connect: Connect| first(name, version, connect.bytes(), Ends(0x81));
        rows.extend([
            // [3.1.1 MQTT-3.1.2-3] [5.0 MQTT-3.1.2-3] [3.1.1 MQTT-3.1.4-1] [5.0 MQTT-3.1.4-1]
            bad("reserved flag", flags(0x03)),
            bad("will QoS 1 without a will", flags(0x0A)),
            bad("will QoS 2 without a will", flags(0x12)),
            bad("will retain without a will", flags(0x22)),
            bad("will QoS 3", flags(0x1E).will(&[], "w")),
            bad("will QoS 3 and retain", flags(0x3E).will(&[], "w")),
            bad("will flag, no will", flags(0x06)),
            bad("user name flag, no user name", flags(0x82)),
            bad(
                "password flag, no password",
                flags(0xC2).then(&[&text("u")]),
            ),
            bad(
                "user name without its flag",
                flags(0x02).then(&[&text("u")]),
            ),
            bad("will without its flag", flags(0x02).will(&[], "w")),
            bad("a byte too many", flags(0x82).then(&[&text("u"), b"x"])),
            first("will", version, flags(0x06).will(&[], "w").bytes(), Welcome),
            first(
                "user name",
                version,
                flags(0x82).then(&[&text("u")]).bytes(),
                Welcome,
            ),
        ]);
    }
    let password = |version| {
        Connect::new(version)
            .flags(0x42)
            .then(&[&text("p")])
            .bytes()
    };
    rows.extend([
        first("password without user name", V5, password(V5), Welcome),
        first("password without user name", V311, password(V311), Ends(0)),
        // [3.1 MQTT31-CONNECT-6]
        first("password without user name", V31, password(V31), Ends(0)),
        // [3.1 MQTT31-CONNECT-7]
        first(
            "user name flag, no user name",
            V31,
            Connect::new(V31).flags(0x82).bytes(),
            Welcome,
        ),
    ]);
    run(rows);
}

#[test]
fn connect_is_whole_and_no_longer_than_it_says() {
    let mut rows = Vec::new();
    for version in Version::ALL {
        let whole = Connect::new(version).bytes();
        // Every shorter body: a CONNECT that ends in the middle of a field. Before the level nobody can tell the version.
        let version_known = 2 + Connect::new(version).name.len() + 1;
        for length in 0..whole.len() - 2 {
            let bytes = packet(0x10, &[&whole[2..2 + length]]);
            let outcome = if length < version_known {
                Closed
            } else {
                Ends(0x81)
            };
            let name = format!("{length} bytes of a CONNECT");
            rows.push(first(name, version, bytes, outcome));
        }
    }
    for flags in 1..16 {
        let mut bytes = Connect::new(V311).bytes();
        bytes[0] |= flags;
        // [3.1.1 MQTT-2.2.2-1] [3.1.1 MQTT-2.2.2-2]
        rows.push(first(
            format!("CONNECT with flags {flags:04b}"),
            V311,
            bytes,
            Closed,
        ));
        let mut bytes = Connect::new(V5).bytes();
        bytes[0] |= flags;
        // [5.0 MQTT-2.1.3-1]
        rows.push(first(
            format!("CONNECT with flags {flags:04b}"),
            V5,
            bytes,
            Closed,
        ));
    }
    run(rows);
}

#[test]
fn announced_length_is_refused_before_the_bytes_arrive() {
    let largest: &[u8] = &[0xFF, 0xFF, 0xFF, 0x7F];
    let start = |length: &[u8]| [&[0x10], length].concat();
    run([
        first("CONNECT of 256 MiB", V311, start(largest), Closed),
        first(
            "length of five bytes",
            V311,
            start(&[0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
            Closed,
        ),
        first(
            "length of five zero digits",
            V5,
            start(&[0x80, 0x80, 0x80, 0x80, 0x00]),
            Closed,
        ),
        first(
            "PUBLISH of 256 MiB",
            V5,
            [&[0x30], largest].concat(),
            Closed,
        ),
    ]);
}

#[test]
fn client_identifier_may_be_empty_where_the_version_says_so() {
    let empty = |version, flags| Connect::new(version).flags(flags).client_id("").bytes();
    let long = "c".repeat(65535);
    let long = |version| Connect::new(version).client_id(&long).bytes();
    run([
        // [5.0 MQTT-3.1.3-6]
        first("empty, clean start", V5, empty(V5, 2), Welcome),
        first("empty, no clean start", V5, empty(V5, 0), Welcome),
        // [3.1.1 MQTT-3.1.3-6]
        first("empty, clean session", V311, empty(V311, 2), Welcome),
        // [3.1.1 MQTT-3.1.3-8] [3.1.1 MQTT-3.1.3-9] [3.1.1 MQTT-3.2.2-4] [3.1.1 MQTT-3.2.2-5]
        first("empty, session to keep", V311, empty(V311, 0), Refused(2)),
        // [3.1 MQTT31-CONNECT-4]
        first("empty, clean session", V31, empty(V31, 2), Refused(2)),
        first("empty, session to keep", V31, empty(V31, 0), Refused(2)),
        first("65535 bytes", V311, long(V311), Closed),
        first("65535 bytes", V5, long(V5), Closed),
    ]);
}

/// [3.1.1 MQTT-3.1.3-5] [5.0 MQTT-3.1.3-5]
#[test]
fn client_identifiers_of_23_letters_and_digits_are_accepted() {
    let ids = [
        "0123456789abcdefghijklm",
        "nopqrstuvwxyzABCDEFGHIJ",
        "KLMNOPQRSTUVWXYZ",
        "a",
    ];
    let connect = |version, id| Connect::new(version).client_id(id).bytes();
    run(Version::ALL
        .into_iter()
        .flat_map(|version| ids.map(|id| first(id, version, connect(version, id), Welcome))));
}

#[test]
fn properties_of_connect_have_values_that_make_sense() {
    let row = |name: &str, list: &[&[u8]], outcome: Outcome| {
        first(name, V5, Connect::new(V5).properties(list).bytes(), outcome)
    };
    let will = |name: &str, list: &[&[u8]], outcome: Outcome| -> Row {
        first(
            name,
            V5,
            Connect::new(V5).flags(0x06).will(list, "w").bytes(),
            outcome,
        )
    };
    run([
        row("receive maximum 0", &[&[0x21, 0, 0]], Ends(0x82)),
        row("maximum packet size 0", &[&[0x27, 0, 0, 0, 0]], Ends(0x82)),
        row("request response information 2", &[&[0x19, 2]], Ends(0x82)),
        row("request problem information 2", &[&[0x17, 2]], Ends(0x82)),
        row(
            "authentication data without a method",
            &[&text_property(0x16, "d")],
            Ends(0x82),
        ),
        // [5.0 MQTT-4.12.0-1]
        row(
            "unknown authentication method",
            &[&text_property(0x15, "NONE-SUCH")],
            Ends(0x8C),
        ),
        row("property that does not exist", &[&[0x7F, 0]], Ends(0x81)),
        row("property cut short", &[&[0x11, 0, 0]], Ends(0x81)),
        row("will delay in CONNECT itself", &[&WILL_DELAY], Ends(0x81)),
        will("payload format 2 in the will", &[&[0x01, 2]], Ends(0x82)),
        will(
            "wildcard in the will's response topic",
            &[&text_property(0x08, "a/+")],
            Ends(0x82),
        ),
        will(
            "session expiry in the will",
            &[&[0x11, 0, 0, 0, 1]],
            Ends(0x81),
        ),
        will("delay of the will", &[&WILL_DELAY], Welcome),
    ]);
}
