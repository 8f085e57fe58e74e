//! Messages to the server.

use tidewire_client::protocol::{Cause, Input, Open, Output, PublishError};
use tidewire_client::{Publish, Qos, ReasonCode, Version};
use tidewire_codec::{Ack, Packet, Properties, Property};

use crate::peer::{
    Peer, VERSIONS, connack, id, properties, puback, pubcomp, publishes, pubrec, pubrel, text,
};

fn outcome(peer: &mut Peer) -> Option<(u64, Result<ReasonCode, PublishError>)> {
    peer.outputs().into_iter().find_map(|output| match output {
        Output::Published { token, result } => {
            Some((token, result.map(|published| published.reason)))
        }
        _ => None,
    })
}

/// [5.0 MQTT-2.2.1-2] [5.0 MQTT-3.3.1-2] [5.0 MQTT-4.3.1-1] [3.1.1 MQTT-2.3.1-5] [3.1.1 MQTT-3.3.1-2] [3.1.1 MQTT-4.3.1-1]
#[test]
fn qos_0_has_no_identifier_and_is_done_when_it_is_written() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        peer.publish(9, text(Qos::AtMostOnce, "x"));
        assert!(outcome(&mut peer).is_none());
        let length = peer.machine.transmit().len();
        peer.machine.written(length - 1);
        assert!(outcome(&mut peer).is_none());
        peer.machine.written(1);
        assert_eq!(outcome(&mut peer), Some((9, Ok(ReasonCode::Success))));

        peer.publish(10, text(Qos::AtMostOnce, "x"));
        assert_eq!(publishes(&peer.sent()), [(0, false, "x".to_owned())]);
    }
}

#[test]
fn qos_0_that_was_not_written_is_told_as_lost() {
    let mut peer = Peer::live(Version::V311);
    peer.publish(9, text(Qos::AtMostOnce, "x"));
    peer.machine.written(2);
    peer.give(Input::Closed);
    assert_eq!(
        outcome(&mut peer),
        Some((9, Err(PublishError::ConnectionLost)))
    );
}

/// [5.0 MQTT-2.2.1-3] [5.0 MQTT-4.3.2-1] [5.0 MQTT-4.3.2-2] [5.0 MQTT-4.3.2-3]
/// [3.1.1 MQTT-2.3.1-1] [3.1.1 MQTT-2.3.1-2] [3.1.1 MQTT-4.3.2-1]
#[test]
fn qos_1_keeps_its_identifier_until_puback() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        peer.publish(1, text(Qos::AtLeastOnce, "a"));
        peer.publish(2, text(Qos::AtLeastOnce, "b"));
        assert_eq!(
            publishes(&peer.sent()),
            [(1, false, "a".to_owned()), (2, false, "b".to_owned())]
        );
        peer.says(&puback(2));
        assert_eq!(outcome(&mut peer), Some((2, Ok(ReasonCode::Success))));
        for token in 3..200 {
            peer.publish(token, text(Qos::AtLeastOnce, "c"));
            let [(number, ..)] = publishes(&peer.sent())[..] else {
                panic!("one message");
            };
            assert_ne!(number, 1, "in use until its PUBACK");
            peer.says(&puback(number));
        }
    }
}

/// [5.0 MQTT-4.3.3-1] [5.0 MQTT-4.3.3-2] [5.0 MQTT-4.3.3-3] [5.0 MQTT-4.3.3-4] [5.0 MQTT-4.3.3-5] [5.0 MQTT-2.2.1-5]
/// [3.1.1 MQTT-4.3.3-1] [3.1.1 MQTT-2.3.1-6]
#[test]
fn qos_2_goes_through_pubrec_pubrel_and_pubcomp() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        peer.publish(1, text(Qos::ExactlyOnce, "a"));
        assert_eq!(publishes(&peer.sent()), [(1, false, "a".to_owned())]);
        peer.says(&pubrec(1));
        assert_eq!(peer.sent(), [pubrel(1)]);
        assert!(outcome(&mut peer).is_none(), "not before PUBCOMP");
        peer.says(&pubcomp(1));
        assert_eq!(outcome(&mut peer), Some((1, Ok(ReasonCode::Success))));
        assert_eq!(peer.ended(), None);
    }
}

/// [5.0 MQTT-4.6.0-4] [3.1.1 MQTT-4.6.0-4]
#[test]
fn pubrels_leave_in_the_order_of_pubrecs() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        for token in 1..=3 {
            peer.publish(token, text(Qos::ExactlyOnce, "x"));
        }
        peer.sent();
        for number in [3, 1, 2] {
            peer.says(&pubrec(number));
        }
        assert_eq!(peer.sent(), [pubrel(3), pubrel(1), pubrel(2)]);
    }
}

/// [5.0 MQTT-4.4.0-2]
#[test]
fn refusal_by_puback_or_pubrec_ends_the_exchange() {
    for (qos, is_pubrec) in [(Qos::AtLeastOnce, false), (Qos::ExactlyOnce, true)] {
        let mut peer = Peer::live(Version::V5);
        peer.publish(1, text(qos, "x"));
        peer.sent();
        let refusal = Ack::with_reason(id(1), ReasonCode::QuotaExceeded);
        peer.says(&if is_pubrec {
            Packet::PubRec(refusal)
        } else {
            Packet::PubAck(refusal)
        });
        assert_eq!(
            outcome(&mut peer),
            Some((1, Err(PublishError::Refused(ReasonCode::QuotaExceeded))))
        );
        assert_eq!(peer.sent(), []);
        assert_eq!(publishes(&peer.resume(Properties::EMPTY)), []);
    }
}

/// [5.0 MQTT-3.3.4-7] [5.0 MQTT-4.9.0-1] [5.0 MQTT-4.9.0-2] [5.0 MQTT-3.3.4-8] [5.0 MQTT-4.9.0-3]
#[test]
fn receive_maximum_of_the_server_holds_back_messages_and_nothing_else() {
    let announced = properties(&[Property::ReceiveMaximum(2)]);
    let mut peer = Peer::live_with(Version::V5, announced);
    peer.publish(1, text(Qos::AtLeastOnce, "a"));
    assert!(peer.machine.can_publish(Qos::ExactlyOnce));
    peer.publish(2, text(Qos::ExactlyOnce, "b"));
    assert!(!peer.machine.can_publish(Qos::AtLeastOnce));
    peer.publish(3, text(Qos::AtLeastOnce, "c"));
    assert_eq!(publishes(&peer.sent()).len(), 2);

    assert!(peer.machine.can_publish(Qos::AtMostOnce));
    peer.publish(4, text(Qos::AtMostOnce, "d"));
    peer.give(Input::Ping);
    peer.give(Input::Subscribe {
        token: 5,
        filters: vec![("x".into(), Default::default())],
        properties: Properties::EMPTY,
    });
    peer.says(&pubrec(2));
    assert_eq!(peer.sent().len(), 4, "QoS 0, PINGREQ, SUBSCRIBE, PUBREL");

    assert!(
        !peer.machine.can_publish(Qos::AtLeastOnce),
        "PUBREC is not the end"
    );
    peer.says(&pubcomp(2));
    assert!(peer.machine.can_publish(Qos::AtLeastOnce));
}

/// [5.0 MQTT-3.2.2-18]
#[test]
fn no_alias_is_sent_where_the_server_announces_none() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        for _ in 0..2 {
            peer.publish(1, Publish::new("a/long/topic", "x"));
            let [Packet::Publish(publish)] = &peer.sent()[..] else {
                panic!("one message");
            };
            assert_eq!(publish.topic, "a/long/topic");
            assert_eq!(publish.properties.topic_alias(), None);
        }
    }
}

/// [5.0 MQTT-3.2.2-17] [5.0 MQTT-3.3.2-8] [5.0 MQTT-3.3.2-9]
#[test]
fn repeated_topics_are_replaced_by_aliases_within_the_servers_maximum() {
    let announced = properties(&[Property::TopicAliasMaximum(2)]);
    let mut peer = Peer::live_with(Version::V5, announced);
    let mut seen = Vec::new();
    for topic in ["one/x", "two/x", "one/x", "three/x", "two/x", "three/x"] {
        peer.publish(1, Publish::new(topic, "x"));
        let [Packet::Publish(publish)] = &peer.sent()[..] else {
            panic!("one message");
        };
        seen.push((publish.topic.to_string(), publish.properties.topic_alias()));
    }
    let expected = [
        ("one/x", Some(1)),
        ("two/x", Some(2)),
        ("", Some(1)),
        ("three/x", None),
        ("", Some(2)),
        ("three/x", None),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(topic, alias)| ((*topic).to_owned(), *alias))
        .collect();
    assert_eq!(seen, expected);
}

/// [5.0 MQTT-3.3.2-7]
#[test]
fn aliases_end_with_the_connection() {
    let announced = properties(&[Property::TopicAliasMaximum(2)]);
    let mut peer = Peer::live_with(Version::V5, announced.clone());
    peer.publish(1, Publish::new("one/x", "a").qos(Qos::AtLeastOnce));
    peer.publish(2, Publish::new("one/x", "b").qos(Qos::AtLeastOnce));
    peer.sent();
    let resent = peer.resume(announced);
    assert_eq!(resent.len(), 2);
    for packet in resent {
        let Packet::Publish(publish) = packet else {
            panic!("{packet:?}");
        };
        assert_eq!(publish.topic, "one/x");
        assert_eq!(publish.properties.topic_alias(), None);
    }
    peer.publish(3, Publish::new("one/x", "c"));
    let [Packet::Publish(publish)] = &peer.sent()[..] else {
        panic!("one message");
    };
    assert_eq!(publish.topic, "one/x", "introduced anew");
}

/// [5.0 MQTT-3.3.2-2] [5.0 MQTT-4.7.0-1] [5.0 MQTT-4.7.3-1] [5.0 MQTT-4.7.3-2] [5.0 MQTT-4.7.3-3] [3.1.1 MQTT-3.3.2-2]
/// [3.1.1 MQTT-4.7.1-1] [3.1.1 MQTT-4.7.3-1] [3.1.1 MQTT-4.7.3-2] [3.1.1 MQTT-4.7.3-3]
#[test]
fn text_that_is_no_topic_name_is_not_sent() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        let long = "x".repeat(65_536);
        for topic in ["", "a/+", "a/#", "a\0b", &long] {
            peer.publish(1, Publish::new(topic, "x"));
            let result = outcome(&mut peer);
            assert!(
                matches!(result, Some((1, Err(PublishError::Message(_))))),
                "{result:?}"
            );
        }
        assert_eq!(peer.sent(), []);
    }
}

/// [5.0 MQTT-3.3.2-14]
#[test]
fn response_topic_with_wildcards_is_not_sent() {
    let mut peer = Peer::live(Version::V5);
    peer.publish(1, Publish::new("t", "x").response_topic("answers/#"));
    assert!(matches!(
        outcome(&mut peer),
        Some((1, Err(PublishError::Message(_))))
    ));
    assert_eq!(peer.sent(), []);
}

#[test]
fn acknowledgement_of_nothing_ends_the_connection() {
    for version in VERSIONS {
        for wrong in [puback(7), pubrec(7), pubcomp(7)] {
            let mut peer = Peer::live(version);
            peer.publish(1, text(Qos::AtLeastOnce, "x"));
            peer.says(&wrong);
            let packet = wrong.packet_type();
            assert_eq!(
                peer.ended(),
                Some(Cause::UnknownPacketId {
                    packet,
                    packet_id: id(7)
                })
            );
        }
    }
}

#[test]
fn acknowledgement_of_another_kind_ends_the_connection() {
    for (qos, wrong) in [
        (Qos::AtLeastOnce, pubrec(1)),
        (Qos::AtLeastOnce, pubcomp(1)),
        (Qos::ExactlyOnce, puback(1)),
        (Qos::ExactlyOnce, pubcomp(1)),
    ] {
        let mut peer = Peer::live(Version::V5);
        peer.publish(1, text(qos, "x"));
        peer.sent();
        peer.says(&wrong);
        assert!(peer.ended().is_some(), "{wrong:?}");
        let [Packet::Disconnect(farewell)] = &peer.sent()[..] else {
            panic!("no farewell");
        };
        assert_eq!(farewell.reason, ReasonCode::ProtocolError);
    }
}

#[test]
fn own_window_bounds_what_is_in_flight_before_version_5() {
    let mut peer = Peer::new();
    let mut open = Open::new(Version::V311, "a");
    open.max_inflight = 3;
    peer.open(open);
    peer.says(&connack(false, Properties::EMPTY));
    for token in 0..3 {
        assert!(peer.machine.can_publish(Qos::AtLeastOnce));
        peer.publish(token, text(Qos::AtLeastOnce, "x"));
    }
    assert!(!peer.machine.can_publish(Qos::AtLeastOnce));
}
