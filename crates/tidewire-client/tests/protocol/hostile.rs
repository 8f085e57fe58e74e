//! Servers that say what they may not: the connection ends with a reason, and nothing panics.

use tidewire_client::protocol::{Cause, Input, Machine, Open, PacketTrace, Time};
use tidewire_client::{Qos, ReasonCode, Version};
use tidewire_codec::{Packet, Properties};

use crate::peer::{
    Peer, VERSIONS, connack, message, puback, pubcomp, pubrec, pubrel, suback, text,
};

/// Bytes that no server may send, whatever the version.
const MALFORMED: [(&str, &[u8]); 14] = [
    ("type 0", b"\x00\x00"),
    ("CONNECT", b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"),
    ("SUBSCRIBE", b"\x82\x06\x00\x01\x00\x01a\x00"),
    ("UNSUBSCRIBE", b"\xa2\x05\x00\x01\x00\x01a"),
    ("PINGREQ", b"\xc0\x00"),
    ("QoS 3", b"\x36\x05\x00\x01a\x00\x01"),
    ("flags of PUBACK", b"\x41\x02\x00\x01"),
    ("flags of PUBREL", b"\x60\x02\x00\x01"),
    ("length of five bytes", b"\x30\xff\xff\xff\xff\x01"),
    ("identifier 0", b"\x40\x02\x00\x00"),
    ("PUBACK without identifier", b"\x40\x01\x00"),
    ("PUBLISH shorter than its topic", b"\x30\x03\x00\x09a"),
    ("topic with a wildcard", b"\x30\x05\x00\x01#\x00\x00"),
    ("PINGRESP with a body", b"\xd0\x01\x00"),
];

/// [3.1.1 MQTT-2.2.2-2] [3.1.1 MQTT-4.8.0-1] [3.1.1 MQTT-3.3.1-4] [3.1.1 MQTT-3.6.1-1]
/// [5.0 MQTT-2.1.3-1] [5.0 MQTT-3.3.1-4] [5.0 MQTT-3.6.1-1]
#[test]
fn malformed_packets_end_the_connection_with_a_reason() {
    for version in VERSIONS {
        for (what, bytes) in MALFORMED {
            let mut peer = Peer::live(version);
            peer.says_bytes(bytes);
            assert!(
                matches!(peer.ended(), Some(Cause::Malformed(_))),
                "{version} {what}"
            );
            let farewells = peer.sent();
            if version == Version::V5 {
                let [Packet::Disconnect(farewell)] = &farewells[..] else {
                    panic!("{what}: {farewells:?}");
                };
                assert!(farewell.reason.is_error(), "{what}");
            } else {
                assert_eq!(farewells, [], "a farewell would cancel the will");
            }
        }
    }
}

/// [5.0 MQTT-4.13.2-1]
#[test]
fn packets_that_come_at_the_wrong_time_end_the_connection() {
    let late = [connack(false, Properties::EMPTY), Packet::PingResp];
    let early = [
        message(Qos::AtMostOnce, None, "x"),
        puback(1),
        pubrec(1),
        pubrel(1),
        pubcomp(1),
        suback(1, &[ReasonCode::Success]),
        Packet::PingResp,
    ];
    for version in VERSIONS {
        for packet in &late {
            let mut peer = Peer::live(version);
            peer.says(packet);
            assert!(matches!(peer.ended(), Some(Cause::Unexpected { .. })));
        }
        for packet in &early {
            let mut peer = Peer::connecting(version);
            peer.says(packet);
            assert!(
                matches!(peer.ended(), Some(Cause::Unexpected { .. })),
                "{packet:?}"
            );
            assert_eq!(peer.sent(), []);
        }
    }
}

#[test]
fn disconnect_before_version_5_is_malformed() {
    for version in [Version::V31, Version::V311] {
        let mut peer = Peer::live(version);
        peer.says_bytes(b"\xe0\x00");
        assert!(matches!(peer.ended(), Some(Cause::Malformed(_))));
    }
}

#[test]
fn packet_above_the_clients_maximum_is_refused_by_its_header() {
    let mut open = Open::new(Version::V5, "a");
    open.max_packet_size_bytes = 100;
    let mut peer = Peer::new();
    peer.open(open);
    peer.says(&connack(false, Properties::EMPTY));
    peer.sent();
    peer.says_bytes(b"\x30\x80\x01");
    assert!(matches!(peer.ended(), Some(Cause::Malformed(_))));
    let [Packet::Disconnect(farewell)] = &peer.sent()[..] else {
        panic!("no farewell");
    };
    assert_eq!(farewell.reason, ReasonCode::PacketTooLarge);
}

/// A conversation with every packet that a server may send, with bytes of its own.
fn conversation(version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in [
        connack(false, Properties::EMPTY),
        message(Qos::AtMostOnce, None, "zero"),
        message(Qos::AtLeastOnce, Some(1), "one"),
        message(Qos::ExactlyOnce, Some(2), "two"),
        puback(1),
        pubrec(2),
        pubcomp(2),
        suback(3, &[ReasonCode::Success]),
        Packet::PingResp,
    ] {
        packet.encode(version, &mut bytes).expect("a packet");
    }
    bytes
}

/// A machine that has asked for everything that the conversation answers.
fn asking(version: Version) -> Peer {
    let mut peer = Peer::connecting(version);
    let connack = match version {
        Version::V5 => &b"\x20\x03\x00\x00\x00"[..],
        _ => b"\x20\x02\x00\x00",
    };
    peer.says_bytes(connack);
    peer.publish(1, text(Qos::AtLeastOnce, "x"));
    peer.publish(2, text(Qos::ExactlyOnce, "x"));
    peer.give(Input::Subscribe {
        token: 3,
        filters: vec![("t".into(), Default::default())],
        properties: Properties::EMPTY,
    });
    peer.give(Input::Ping);
    peer.outputs();
    peer
}

#[test]
fn connection_that_closes_at_any_byte_ends_once_and_the_next_one_works() {
    for version in VERSIONS {
        let whole = conversation(version);
        let connack_len = if version == Version::V5 { 5 } else { 4 };
        let rest = &whole[connack_len..];
        for cut in 0..=rest.len() {
            let mut peer = asking(version);
            let used = peer.machine.handle(peer.now, Input::Bytes(&rest[..cut]));
            assert!(used <= cut);
            peer.give(Input::Closed);
            assert_eq!(peer.ended(), Some(Cause::TransportClosed), "at {cut}");
            peer.open(Open::new(version, "a"));
            peer.sent();
            peer.says(&connack(false, Properties::EMPTY));
            assert!(peer.machine.is_live());
        }
    }
}

#[test]
fn any_byte_changed_in_any_place_is_survived() {
    for version in VERSIONS {
        let whole = conversation(version);
        for at in 0..whole.len() {
            for flip in [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= flip;
                let mut peer = Peer::connecting(version);
                peer.machine.handle(peer.now, Input::Bytes(&bytes));
                peer.sent();
                peer.outputs();
                assert!(
                    peer.machine
                        .next_deadline()
                        .is_none_or(|due| due > peer.now)
                );
            }
        }
    }
}

#[test]
fn random_bytes_and_inputs_in_any_order_never_panic() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..2_000 {
        let version = VERSIONS[(next() % 3) as usize];
        let mut machine = Machine::new(PacketTrace::On);
        let mut now = Time::ZERO;
        for _ in 0..40 {
            now = now.plus(std::time::Duration::from_millis(next() % 20_000));
            let bytes: Vec<u8> = (0..next() % 24).map(|_| next() as u8).collect();
            let mut peer_bytes = Vec::new();
            let number = (next() % 4) as u16 + 1;
            let packet = match next() % 8 {
                0 => puback(number),
                1 => pubrec(number),
                2 => pubcomp(number),
                3 => pubrel(number),
                4 => message(Qos::AtLeastOnce, Some(number), "x"),
                5 => message(Qos::ExactlyOnce, Some(number), "x"),
                6 => connack(next() % 4 == 0, Properties::EMPTY),
                _ => Packet::PingResp,
            };
            packet.encode(version, &mut peer_bytes).expect("a packet");
            match next() % 12 {
                0 => machine.handle(now, Input::Open(Box::new(Open::new(version, "a")))),
                1 => machine.handle(now, Input::Bytes(&bytes)),
                2..=6 => machine.handle(now, Input::Bytes(&peer_bytes)),
                7 => machine.handle(now, Input::Closed),
                8 => machine.handle(now, Input::Timeout),
                9 => machine.handle(
                    now,
                    Input::Publish {
                        token: 1,
                        message: text(Qos::AtLeastOnce, "x"),
                    },
                ),
                10 => machine.handle(
                    now,
                    Input::Publish {
                        token: 2,
                        message: text(Qos::ExactlyOnce, "x"),
                    },
                ),
                _ => machine.handle(now, Input::Ping),
            };
            while machine.poll_output().is_some() {}
            let some = machine.transmit().len() / 2;
            machine.written(some);
        }
    }
}
