//! Messages from the server.

use tidewire_client::protocol::{Cause, Input, Open, Output};
use tidewire_client::{Qos, ReasonCode, Version};
use tidewire_codec::{Ack, Packet, Properties, Property, Publish};

use crate::peer::{
    Peer, VERSIONS, again, connack, id, message, properties, puback, pubcomp, pubrec, pubrel,
};

fn aliased(topic: &'static str, alias: u16) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: topic.into(),
        packet_id: None,
        properties: properties(&[Property::TopicAlias(alias)]),
        payload: b"x"[..].into(),
    })
}

/// [5.0 MQTT-3.3.4-1] [5.0 MQTT-4.3.2-4] [5.0 MQTT-4.3.3-8] [5.0 MQTT-4.5.0-2]
/// [3.1.1 MQTT-3.3.4-1] [3.1.1 MQTT-4.3.2-2] [3.1.1 MQTT-4.5.0-2]
#[test]
fn message_is_acknowledged_according_to_its_qos_and_not_before_the_application() {
    for version in VERSIONS {
        for (qos, answer) in [(Qos::AtLeastOnce, puback(3)), (Qos::ExactlyOnce, pubrec(3))] {
            let mut peer = Peer::live(version);
            peer.says(&message(qos, Some(3), "x"));
            assert_eq!(peer.sent(), []);
            let received = peer.messages();
            let [(_, Some(delivery))] = received[..] else {
                panic!("{received:?}");
            };
            peer.acknowledge(delivery);
            assert_eq!(peer.sent(), [answer]);
            peer.acknowledge(delivery);
            assert_eq!(peer.sent(), [], "once is enough");
        }
        let mut peer = Peer::live(version);
        peer.says(&message(Qos::AtMostOnce, None, "x"));
        assert!(matches!(peer.messages()[..], [(_, None)]));
        assert_eq!(peer.sent(), []);
    }
}

/// [5.0 MQTT-4.6.0-2] [5.0 MQTT-4.6.0-3] [3.1.1 MQTT-4.6.0-2] [3.1.1 MQTT-4.6.0-3]
#[test]
fn acknowledgements_leave_in_the_order_of_the_messages() {
    for version in VERSIONS {
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let mut peer = Peer::live(version);
            for number in [7, 5, 6] {
                peer.says(&message(qos, Some(number), "x"));
            }
            let deliveries: Vec<_> = peer.messages().into_iter().map(|(_, key)| key).collect();
            for index in [2, 1] {
                peer.acknowledge(deliveries[index].expect("to be acknowledged"));
                assert_eq!(peer.sent(), []);
            }
            peer.acknowledge(deliveries[0].expect("to be acknowledged"));
            let answers: Vec<_> = [7, 5, 6]
                .into_iter()
                .map(|number| match qos {
                    Qos::AtLeastOnce => puback(number),
                    _ => pubrec(number),
                })
                .collect();
            assert_eq!(peer.sent(), answers);
        }
    }
}

/// [5.0 MQTT-4.3.2-5] [5.0 MQTT-4.3.3-11] [5.0 MQTT-4.3.3-12]
#[test]
fn identifier_after_the_end_of_its_exchange_is_a_new_message() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        for round in 0..3 {
            for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
                peer.says(&message(qos, Some(3), "x"));
                let received = peer.messages();
                let [(_, Some(delivery))] = received[..] else {
                    panic!("round {round}: {received:?}");
                };
                peer.acknowledge(delivery);
                peer.sent();
                if qos == Qos::ExactlyOnce {
                    peer.says(&pubrel(3));
                    assert_eq!(peer.sent(), [pubcomp(3)]);
                }
            }
        }
    }
}

/// [5.0 MQTT-4.3.3-9]
#[test]
fn identifier_that_was_refused_is_a_new_message() {
    let mut peer = Peer::live(Version::V5);
    for _ in 0..2 {
        peer.says(&message(Qos::ExactlyOnce, Some(3), "x"));
        let received = peer.messages();
        let [(_, Some(delivery))] = received[..] else {
            panic!("{received:?}");
        };
        let reason = ReasonCode::NotAuthorized;
        peer.give(Input::Acknowledge { delivery, reason });
        let refusal = Packet::PubRec(Ack::with_reason(id(3), reason));
        assert_eq!(peer.sent(), [refusal]);
    }
}

/// [5.0 MQTT-4.3.3-10]
#[test]
fn repetition_before_release_is_answered_and_not_delivered() {
    let mut peer = Peer::live(Version::V5);
    peer.says(&message(Qos::ExactlyOnce, Some(3), "x"));
    let received = peer.messages();
    let [(_, Some(delivery))] = received[..] else {
        panic!("{received:?}");
    };
    peer.says(&again(message(Qos::ExactlyOnce, Some(3), "x")));
    peer.acknowledge(delivery);
    assert_eq!(peer.sent(), [pubrec(3)]);
    peer.says(&again(message(Qos::ExactlyOnce, Some(3), "x")));
    assert_eq!(peer.sent(), [pubrec(3)]);
    assert_eq!(peer.payloads(), [""; 0]);
}

#[test]
fn release_of_an_unknown_identifier_is_answered_as_such() {
    let mut peer = Peer::live(Version::V5);
    peer.says(&pubrel(9));
    let reason = ReasonCode::PacketIdentifierNotFound;
    assert_eq!(
        peer.sent(),
        [Packet::PubComp(Ack::with_reason(id(9), reason))]
    );
    let mut peer = Peer::live(Version::V311);
    peer.says(&pubrel(9));
    assert_eq!(peer.sent(), [pubcomp(9)]);
}

#[test]
fn release_before_the_acknowledgement_ends_the_connection() {
    let mut peer = Peer::live(Version::V5);
    peer.says(&message(Qos::ExactlyOnce, Some(3), "x"));
    peer.says(&pubrel(3));
    assert!(matches!(peer.ended(), Some(Cause::Unexpected { .. })));
}

#[test]
fn identifier_of_an_unacknowledged_message_may_not_come_again() {
    for (first, second) in [
        (Qos::AtLeastOnce, Qos::AtLeastOnce),
        (Qos::AtLeastOnce, Qos::ExactlyOnce),
        (Qos::ExactlyOnce, Qos::AtLeastOnce),
    ] {
        let mut peer = Peer::live(Version::V5);
        peer.says(&message(first, Some(3), "x"));
        peer.says(&message(second, Some(3), "y"));
        assert!(
            matches!(peer.ended(), Some(Cause::Unexpected { .. })),
            "{first:?} {second:?}"
        );
    }
}

/// [5.0 MQTT-3.3.2-10]
#[test]
fn aliases_within_the_announced_maximum_stand_for_their_topics() {
    let mut peer = Peer::live(Version::V5);
    peer.says(&aliased("one", 64));
    peer.says(&aliased("two", 1));
    peer.says(&aliased("", 64));
    peer.says(&aliased("three", 64));
    peer.says(&aliased("", 64));
    let topics: Vec<_> = peer
        .messages()
        .into_iter()
        .map(|(message, _)| message.topic.to_string())
        .collect();
    assert_eq!(topics, ["one", "two", "one", "three", "three"]);
}

#[test]
fn alias_that_stands_for_nothing_ends_the_connection() {
    for (topic, alias) in [("x", 65), ("", 1)] {
        let mut peer = Peer::live(Version::V5);
        peer.says(&aliased(topic, alias));
        assert_eq!(peer.ended(), Some(Cause::TopicAlias(alias)));
        let [Packet::Disconnect(farewell)] = &peer.sent()[..] else {
            panic!("no farewell");
        };
        assert_eq!(farewell.reason, ReasonCode::TopicAliasInvalid);
    }
}

#[test]
fn more_messages_than_the_receive_maximum_end_the_connection() {
    let mut open = Open::new(Version::V5, "a");
    open.receive_maximum = 2;
    let mut peer = Peer::new();
    peer.open(open);
    peer.says(&connack(false, Properties::EMPTY));
    peer.says(&message(Qos::AtLeastOnce, Some(1), "a"));
    peer.says(&message(Qos::ExactlyOnce, Some(2), "b"));
    let deliveries: Vec<_> = peer.messages();
    peer.acknowledge(deliveries[0].1.expect("to be acknowledged"));
    peer.says(&message(Qos::AtLeastOnce, Some(3), "c"));
    assert_eq!(peer.payloads(), ["c"]);
    peer.says(&message(Qos::AtMostOnce, None, "d"));
    assert_eq!(peer.payloads(), ["d"], "QoS 0 does not count");
    peer.says(&message(Qos::AtLeastOnce, Some(4), "e"));
    assert_eq!(peer.ended(), Some(Cause::ReceiveMaximumExceeded));
}

#[test]
fn packet_that_comes_in_pieces_is_one_packet() {
    let mut bytes = Vec::new();
    message(Qos::AtMostOnce, None, "whole")
        .encode(Version::V5, &mut bytes)
        .expect("a packet");
    for cut in 1..bytes.len() {
        let mut peer = Peer::live(Version::V5);
        let used = peer.machine.handle(peer.now, Input::Bytes(&bytes[..cut]));
        assert_eq!(used, 0);
        assert!(
            !peer
                .outputs()
                .iter()
                .any(|o| matches!(o, Output::Message { .. }))
        );
        peer.says_bytes(&bytes);
        assert_eq!(peer.payloads(), ["whole"]);
    }
}
