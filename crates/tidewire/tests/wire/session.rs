//! What needs more than one packet: second CONNECT, DISCONNECT, re-authentication, take-over, keep alive.

use crate::bytes::{
    Connect, V5, V311, Version, packet, properties, publish, subscribe, text, text_property,
    unique_id,
};
use crate::peer::Target;
use crate::row::Outcome::{Closed, Ends};
use crate::row::{run, then, then_in_all};
use std::time::{Duration, Instant};

// [3.1.1 MQTT-3.1.0-2] [5.0 MQTT-3.1.0-2]
#[test]
fn second_connect_ends_the_connection() {
    let mut rows: Vec<_> = then_in_all(
        "a CONNECT of its own",
        |v| Connect::new(v).bytes(),
        &Ends(0x82),
    );
    // One that could not be read either way.
    rows.push(then(
        "CONNECT of 3.1.1 after 5.0",
        V5,
        Connect::new(V311).bytes(),
        Ends(0x82),
    ));
    run(rows);
}

#[test]
fn disconnect_is_read_to_its_last_byte() {
    let disconnect = |body: &[u8]| packet(0xE0, &[body]);
    let expiry = |secs: u8| properties(&[&[0x11, 0, 0, 0, secs]]);
    run([
        // [3.1.1 MQTT-3.14.1-1]
        then("with a body", V311, disconnect(&[0]), Closed),
        then("plain", V311, disconnect(&[]), Closed),
        then("plain", V5, disconnect(&[]), Closed),
        then("with a reason", V5, disconnect(&[0x04]), Closed),
        then(
            "with a reason and no properties",
            V5,
            disconnect(&[0, 0]),
            Closed,
        ),
        // [5.0 MQTT-3.14.2-1]
        then(
            "with a reason that does not exist",
            V5,
            disconnect(&[0x55]),
            Ends(0x82),
        ),
        then(
            "with a reason of the server",
            V5,
            disconnect(&[0x8B]),
            Ends(0x82),
        ),
        then(
            "with bytes behind its properties",
            V5,
            disconnect(&[0, 0, 0]),
            Ends(0x81),
        ),
        then(
            "session expiry 0",
            V5,
            disconnect(&[&[0], expiry(0).as_slice()].concat()),
            Closed,
        ),
        // The session was to end with its connection, and that cannot be taken back.
        then(
            "session expiry 9 where CONNECT had none",
            V5,
            disconnect(&[&[0], expiry(9).as_slice()].concat()),
            Ends(0x82),
        ),
    ]);
}

#[test]
fn authentication_without_a_method_in_connect_is_a_protocol_error() {
    let auth = |body: &[u8]| packet(0xF0, &[body]);
    let method = properties(&[&text_property(0x15, "m")]);
    let data_alone = properties(&[&text_property(0x16, "d")]);
    run([
        // [5.0 MQTT-4.12.0-6]: the answer is no AUTH.
        then(
            "re-authentication",
            V5,
            auth(&[&[0x19], method.as_slice()].concat()),
            Ends(0x82),
        ),
        then(
            "continued",
            V5,
            auth(&[&[0x18], method.as_slice()].concat()),
            Ends(0x82),
        ),
        then(
            "data without a method",
            V5,
            auth(&[&[0x18], data_alone.as_slice()].concat()),
            Ends(0x82),
        ),
        then("success without a body", V5, auth(&[]), Ends(0x82)),
        // [5.0 MQTT-3.15.2-1]
        then(
            "a reason that does not exist",
            V5,
            auth(&[&[0x55], method.as_slice()].concat()),
            Ends(0x82),
        ),
    ]);
}

// [3.1.1 MQTT-3.12.4-1] [5.0 MQTT-3.12.4-1]
#[test]
fn ping_is_answered() {
    let target = Target::start();
    for version in Version::ALL {
        let mut peer = target.admitted(version);
        for _ in 0..3 {
            peer.send(&[0xC0, 0]);
            assert_eq!(
                peer.packet().as_deref(),
                Some([0xD0, 0].as_slice()),
                "{version:?}"
            );
        }
    }
}

// [3.1.1 MQTT-3.1.4-2] [5.0 MQTT-3.1.4-3] [3.1 MQTT31-CONNECT-10]
#[test]
fn same_client_identifier_takes_over() {
    let target = Target::start();
    for version in Version::ALL {
        let id = unique_id();
        let mut first = target.connect();
        first.send(&Connect::new(version).client_id(&id).bytes());
        assert_eq!(first.packet().map(|packet| packet[0]), Some(0x20));
        let mut second = target.connect();
        second.send(&Connect::new(version).client_id(&id).bytes());
        assert_eq!(second.packet().map(|packet| packet[0]), Some(0x20));
        let end = first.end();
        assert!(end.closed, "{version:?}");
        let first_bytes: Vec<_> = end
            .packets
            .iter()
            .map(|packet| (packet[0], packet.get(2)))
            .collect();
        match version {
            V5 => assert_eq!(first_bytes, [(0xE0, Some(&0x8E))]),
            _ => assert!(first_bytes.is_empty(), "{version:?}: {first_bytes:?}"),
        }
        assert_eq!(second.packets_until_ping_response(), Some(vec![]));
    }
}

// [3.1.1 MQTT-3.1.2-24] [5.0 MQTT-3.1.2-22]
#[test]
fn silence_of_one_and_a_half_keep_alives_ends_the_connection() {
    let target = Target::start();
    // All at once, so that the test takes as long as one.
    let mut silent = Vec::new();
    for version in Version::ALL {
        let mut bytes = Connect::new(version).bytes();
        let keep_alive_at = 2 + Connect::new(version).name.len() + 4;
        bytes[keep_alive_at..keep_alive_at + 2].copy_from_slice(&[0, 1]);
        let mut peer = target.connect();
        peer.send(&bytes);
        assert_eq!(
            peer.packet().map(|packet| packet[0]),
            Some(0x20),
            "{version:?}"
        );
        silent.push((version, peer, Instant::now()));
    }
    for (version, peer, since) in silent {
        let end = peer.end();
        let lasted = since.elapsed();
        assert!(end.closed, "{version:?}");
        assert!(
            lasted >= Duration::from_millis(1400),
            "{version:?}: {lasted:?}"
        );
        assert!(lasted < Duration::from_secs(5), "{version:?}: {lasted:?}");
        if target.is_ours() && version == V5 {
            assert_eq!((end.packets[0][0], end.packets[0][2]), (0xE0, 0x8D));
        }
    }
}

// [3.1.1 MQTT-3.1.4-5] [5.0 MQTT-3.1.4-6]
#[test]
fn nothing_after_a_refused_connect_is_processed() {
    let target = Target::start();
    let mut listener = target.admitted(V311);
    let topic = format!("refused/{}", unique_id());
    listener.send(&subscribe(V311, &topic, 0));
    listener.packet().expect("a SUBACK");
    for (version, connect) in [
        (V311, Connect::new(V311).flags(0).client_id("")),
        (V5, Connect::new(V5).properties(&[&[0x21, 0, 0]])),
    ] {
        let mut refused = target.connect();
        refused.send(&[connect.bytes(), publish(version, 0, &topic, 0)].concat());
        assert!(refused.end().closed);
    }
    assert_eq!(listener.packets_until_ping_response(), Some(vec![]));
}

// [3.1.1 MQTT-3.14.4-3] [5.0 MQTT-3.14.4-3] [3.1.1 MQTT-3.1.2-8] [5.0 MQTT-3.1.2-8] [3.1 MQTT31-CONNECT-8] [3.1 MQTT31-CONNECT-9]
#[test]
fn will_follows_an_end_without_disconnect_and_no_other() {
    let target = Target::start();
    let topic = format!("will/{}", unique_id());
    let mut listener = target.admitted(V311);
    listener.send(&subscribe(V311, &topic, 0));
    listener.packet().expect("a SUBACK");
    let will = packet(0x30, &[&text(&topic), b"gone"]);
    let ends: [(&str, &[u8], bool); 4] = [
        ("DISCONNECT", &[0xE0, 0], false),
        ("no DISCONNECT", &[], true),
        ("wrong flags of a PINGREQ", &[0xC1, 0], true),
        ("half a packet", &[0x30, 9, 0], true),
    ];
    for version in Version::ALL {
        for (how, last_bytes, published) in ends {
            let mut peer = target.connect();
            peer.send(&Connect::new(version).flags(0x06).will(&[], &topic).bytes());
            peer.packet().expect("a CONNACK");
            peer.send(last_bytes);
            peer.shut_down();
            assert!(peer.end().closed);
            let got = if published {
                listener.packet().into_iter().collect()
            } else {
                Vec::new()
            };
            let expected: Vec<Vec<u8>> = if published {
                vec![will.clone()]
            } else {
                vec![]
            };
            assert_eq!(got, expected, "{version:?}, {how}");
            assert_eq!(
                listener.packets_until_ping_response(),
                Some(vec![]),
                "{version:?}, {how}"
            );
        }
    }
}
