//! Limits that the broker announces in CONNACK, and what exceeding them leads to.

use crate::bytes::{Connect, V5, V311, packet, publish, subscribe, text, unique_id, varint};
use crate::peer::{Peer, Target};

/// The properties of a CONNACK that are numbers of two and four bytes, as far as these tests need them.
struct Announced {
    receive_maximum: u16,
    topic_alias_maximum: u16,
    maximum_packet_size: Option<u32>,
}

impl Announced {
    /// Reads the properties of a CONNACK; user properties do not occur.
    fn of(connack: &[u8]) -> Self {
        let mut announced = Self {
            receive_maximum: u16::MAX,
            topic_alias_maximum: 0,
            maximum_packet_size: None,
        };
        let mut rest = &connack[5..];
        while let [id, after @ ..] = rest {
            let number = |length: usize| {
                after[..length]
                    .iter()
                    .fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte))
            };
            let length = match id {
                0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
                0x13 | 0x21 | 0x22 => 2,
                0x11 | 0x27 => 4,
                _ => 2 + usize::from(u16::from_be_bytes([after[0], after[1]])),
            };
            match id {
                0x21 => announced.receive_maximum = u16::try_from(number(2)).expect("two bytes"),
                0x22 => {
                    announced.topic_alias_maximum = u16::try_from(number(2)).expect("two bytes");
                }
                0x27 => announced.maximum_packet_size = Some(number(4)),
                _ => {}
            }
            rest = &after[length..];
        }
        announced
    }
}

fn admitted(target: &Target) -> (Peer, Announced) {
    let mut peer = target.connect();
    peer.send(&Connect::new(V5).bytes());
    let connack = peer.packet().expect("a CONNACK");
    assert_eq!((connack[0], connack[3]), (0x20, 0));
    (peer, Announced::of(&connack))
}

fn assert_disconnected(target: &Target, peer: Peer, reason: u8) {
    let end = peer.end();
    assert!(end.closed);
    if target.is_ours() {
        let last = end.packets.last().expect("a DISCONNECT");
        assert_eq!((last[0], last[2]), (0xE0, reason));
    }
}

#[test]
fn publishes_within_receive_maximum_are_taken_and_one_more_is_too_many() {
    let target = Target::start();
    let (mut peer, announced) = admitted(&target);
    let maximum = announced.receive_maximum;
    if maximum == u16::MAX {
        // Every identifier may be in use at once: one more cannot be sent.
        return;
    }
    let topic = unique_id();
    for id in 1..=maximum {
        peer.send(&publish(V5, 0x04, &topic, id));
    }
    for id in 1..=maximum {
        let pubrec = peer.packet().expect("a PUBREC");
        assert_eq!(
            (pubrec[0], &pubrec[2..4]),
            (0x50, id.to_be_bytes().as_slice())
        );
    }
    // [5.0 MQTT-4.9.0-3]: other packets are still served.
    assert_eq!(peer.packets_until_ping_response(), Some(vec![]));
    peer.send(&publish(V5, 0x04, &topic, maximum + 1));
    assert_disconnected(&target, peer, 0x93);
}

#[test]
fn released_identifiers_make_room_again() {
    let target = Target::start();
    let (mut peer, announced) = admitted(&target);
    let topic = unique_id();
    let rounds = u32::from(announced.receive_maximum.min(4096)) + 10;
    for _ in 0..rounds {
        peer.send(&[publish(V5, 0x04, &topic, 7), vec![0x62, 2, 0, 7]].concat());
        assert_eq!(peer.packet().map(|packet| packet[0]), Some(0x50));
        // [5.0 MQTT-4.3.3-11] [5.0 MQTT-4.3.3-12]
        assert_eq!(peer.packet().as_deref(), Some([0x70, 2, 0, 7].as_slice()));
    }
}

#[test]
fn alias_up_to_the_maximum_is_taken_and_one_more_is_invalid() {
    let target = Target::start();
    let (mut peer, announced) = admitted(&target);
    let maximum = announced.topic_alias_maximum;
    let aliased = |topic: &str, alias: u16| {
        packet(
            0x30,
            &[&text(topic), &[3, 0x23], &alias.to_be_bytes(), b"x"],
        )
    };
    // [5.0 MQTT-3.3.2-12]
    for alias in 1..=maximum {
        peer.send(&aliased("a", alias));
    }
    assert_eq!(peer.packets_until_ping_response(), Some(vec![]));
    peer.send(&aliased("a", maximum + 1));
    assert_disconnected(&target, peer, 0x94);
}

#[test]
fn packet_of_the_maximum_size_is_taken_and_a_larger_one_is_told_so() {
    let target = Target::start();
    let (mut peer, announced) = admitted(&target);
    let Some(maximum) = announced.maximum_packet_size else {
        assert!(!target.is_ours(), "our limit is announced");
        return;
    };
    let maximum = usize::try_from(maximum).expect("fits");
    let sized = |size: usize| {
        let body = size - 1 - varint(size - 5).len();
        let head = [text("a"), vec![0]].concat();
        let bytes = packet(0x30, &[&head, &vec![b'x'; body - head.len()]]);
        assert_eq!(bytes.len(), size);
        bytes
    };
    peer.send(&sized(maximum));
    assert_eq!(peer.packets_until_ping_response(), Some(vec![]));
    peer.send(&sized(maximum + 1));
    assert_disconnected(&target, peer, 0x95);
}

// [5.0 MQTT-3.1.2-24] [5.0 MQTT-3.1.2-25]
#[test]
fn message_above_the_clients_maximum_packet_size_is_dropped_as_if_delivered() {
    let target = Target::start();
    let topic = unique_id();
    let mut peer = target.connect();
    peer.send(&Connect::new(V5).properties(&[&[0x27, 0, 0, 0, 64]]).bytes());
    assert_eq!(peer.packet().map(|packet| packet[0]), Some(0x20));
    peer.send(&subscribe(V5, &topic, 1));
    peer.packet().expect("a SUBACK");
    let mut publisher = target.admitted(V311);
    let large = packet(0x32, &[&text(&topic), &[0, 1], &[b'x'; 100]]);
    publisher.send(&large);
    publisher.send(&publish(V311, 0x02, &topic, 2));
    assert_eq!(publisher.packet().map(|packet| packet[0]), Some(0x40));
    assert_eq!(publisher.packet().map(|packet| packet[0]), Some(0x40));
    let delivered = peer.packet().expect("the small one");
    assert_eq!((delivered[0], delivered.last()), (0x32, Some(&b'x')));
    assert!(delivered.len() <= 64);
}

// [5.0 MQTT-3.3.4-9] [5.0 MQTT-3.3.4-10] [5.0 MQTT-4.9.0-2]
#[test]
fn broker_stays_within_the_clients_receive_maximum() {
    let target = Target::start();
    let topic = unique_id();
    let mut peer = target.connect();
    peer.send(&Connect::new(V5).properties(&[&[0x21, 0, 2]]).bytes());
    assert_eq!(peer.packet().map(|packet| packet[0]), Some(0x20));
    peer.send(&subscribe(V5, &topic, 1));
    peer.packet().expect("a SUBACK");
    let mut publisher = target.admitted(V311);
    for id in 1..=5 {
        publisher.send(&publish(V311, 0x02, &topic, id));
        assert_eq!(publisher.packet().map(|packet| packet[0]), Some(0x40));
    }
    let id_of = |packet: &[u8]| {
        let at = 4 + topic.len();
        packet[at..at + 2].to_vec()
    };
    let mut open = vec![
        peer.packet().expect("the first"),
        peer.packet().expect("the second"),
    ];
    assert_eq!(
        peer.packets_until_ping_response(),
        Some(vec![]),
        "two are in flight"
    );
    for _ in 0..3 {
        let acknowledged = open.remove(0);
        peer.send(&[&[0x40, 2], id_of(&acknowledged).as_slice()].concat());
        open.push(peer.packet().expect("another for the acknowledged one"));
    }
    assert_eq!(
        peer.packets_until_ping_response(),
        Some(vec![]),
        "there were five"
    );
}
