//! A session that goes on: what is sent again, and in which order.

use tidewire_client::protocol::{Input, Open, Output};
use tidewire_client::{Qos, Version};
use tidewire_codec::{Packet, Properties, Property};

use crate::peer::{
    Peer, VERSIONS, again, connack, message, properties, puback, pubcomp, publishes, pubrec,
    pubrel, text,
};

/// [5.0 MQTT-3.3.1-1] [5.0 MQTT-4.4.0-1] [5.0 MQTT-4.6.0-1] [5.0 MQTT-4.1.0-1]
/// [3.1.1 MQTT-3.3.1-1] [3.1.1 MQTT-4.4.0-1] [3.1.1 MQTT-4.6.0-1] [3.1.1 MQTT-2.3.1-3] [3.1.1 MQTT-3.1.2-4]
#[test]
fn unacknowledged_messages_are_sent_again_in_order_with_their_identifiers() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        for (token, qos) in [
            (1, Qos::AtLeastOnce),
            (2, Qos::ExactlyOnce),
            (3, Qos::AtLeastOnce),
            (4, Qos::ExactlyOnce),
        ] {
            peer.publish(token, text(qos, ["", "a", "b", "c", "d"][token as usize]));
        }
        peer.says(&puback(1));
        peer.sent();
        let expected = [
            (2, true, "b".to_owned()),
            (3, true, "c".to_owned()),
            (4, true, "d".to_owned()),
        ];
        assert_eq!(publishes(&peer.resume(Properties::EMPTY)), expected);
        assert_eq!(
            publishes(&peer.resume(Properties::EMPTY)),
            expected,
            "and again"
        );
        peer.says(&puback(3));
        assert_eq!(peer.ended(), None);
    }
}

/// [5.0 MQTT-4.3.3-6] [5.0 MQTT-4.6.0-4]
#[test]
fn released_messages_are_released_again_and_not_sent_again() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        for token in 1..=3 {
            peer.publish(token, text(Qos::ExactlyOnce, "x"));
        }
        peer.says(&pubrec(2));
        peer.says(&pubrec(1));
        peer.sent();
        let resent = peer.resume(Properties::EMPTY);
        assert_eq!(resent[..2], [pubrel(2), pubrel(1)]);
        assert_eq!(publishes(&resent), [(3, true, "x".to_owned())]);
        peer.says(&pubcomp(1));
        assert_eq!(peer.ended(), None);
    }
}

/// [5.0 MQTT-4.4.0-1]
#[test]
fn nothing_is_sent_again_while_the_connection_lasts() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        peer.publish(1, text(Qos::AtLeastOnce, "x"));
        peer.publish(2, text(Qos::ExactlyOnce, "x"));
        peer.sent();
        for _ in 0..100 {
            peer.after_millis(9_000);
            for packet in peer.sent() {
                assert_eq!(packet, Packet::PingReq);
                peer.says(&Packet::PingResp);
            }
        }
        assert_eq!(peer.ended(), None);
    }
}

#[test]
fn resending_keeps_within_a_smaller_receive_maximum_and_before_new_messages() {
    let mut peer = Peer::live(Version::V5);
    for token in 1..=4 {
        peer.publish(token, text(Qos::AtLeastOnce, "x"));
    }
    peer.sent();
    let resent = peer.resume(properties(&[Property::ReceiveMaximum(2)]));
    assert_eq!(publishes(&resent).len(), 2);
    assert!(!peer.machine.can_publish(Qos::AtMostOnce), "order is kept");
    peer.says(&puback(1));
    let [(3, true, _)] = publishes(&peer.sent())[..] else {
        panic!("the third follows");
    };
    peer.says(&puback(2));
    peer.sent();
    peer.says(&puback(3));
    assert!(peer.machine.can_publish(Qos::AtLeastOnce));
}

/// [5.0 MQTT-4.9.0-2]
#[test]
fn released_messages_count_against_the_receive_maximum_of_the_next_connection() {
    let mut peer = Peer::live(Version::V5);
    peer.publish(1, text(Qos::ExactlyOnce, "x"));
    peer.says(&pubrec(1));
    peer.resume(properties(&[Property::ReceiveMaximum(1)]));
    assert!(!peer.machine.can_publish(Qos::AtLeastOnce));
    peer.says(&pubcomp(1));
    assert!(peer.machine.can_publish(Qos::AtLeastOnce));
}

#[test]
fn acknowledgement_of_what_is_still_to_be_sent_again_ends_the_connection() {
    let mut peer = Peer::live(Version::V5);
    for token in 1..=2 {
        peer.publish(token, text(Qos::AtLeastOnce, "x"));
    }
    peer.resume(properties(&[Property::ReceiveMaximum(1)]));
    peer.says(&puback(2));
    assert!(peer.ended().is_some());
}

#[test]
fn messages_that_pubrec_acknowledged_are_done_when_the_session_is_lost() {
    let mut peer = Peer::live(Version::V5);
    peer.publish(1, text(Qos::ExactlyOnce, "a"));
    peer.publish(2, text(Qos::ExactlyOnce, "b"));
    peer.says(&pubrec(1));
    peer.give(Input::Closed);
    peer.open(Open::new(Version::V5, "a"));
    peer.outputs();
    peer.sent();
    peer.says(&connack(false, Properties::EMPTY));
    let outputs = peer.outputs();
    assert!(
        matches!(
            outputs[..],
            [
                Output::Published {
                    token: 1,
                    result: Ok(_)
                },
                Output::Unfinished { token: 2 },
                Output::Connected(_)
            ]
        ),
        "{outputs:?}"
    );
}

/// [5.0 MQTT-4.3.3-10] [3.1.1 MQTT-4.3.3-2]
#[test]
fn qos_2_message_that_the_server_repeats_is_delivered_once() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        peer.says(&message(Qos::ExactlyOnce, Some(5), "once"));
        let received = peer.messages();
        let [(_, Some(delivery))] = received[..] else {
            panic!("{received:?}");
        };
        peer.acknowledge(delivery);
        assert_eq!(peer.sent(), [pubrec(5)]);
        peer.resume(Properties::EMPTY);
        peer.outputs();
        peer.says(&again(message(Qos::ExactlyOnce, Some(5), "once")));
        assert_eq!(peer.payloads(), [""; 0]);
        assert_eq!(
            peer.sent(),
            [pubrec(5)],
            "without asking the application again"
        );
        peer.says(&pubrel(5));
        assert_eq!(peer.sent(), [pubcomp(5)]);
    }
}

#[test]
fn acknowledgement_between_connections_answers_the_repetition() {
    let mut peer = Peer::live(Version::V5);
    peer.says(&message(Qos::ExactlyOnce, Some(5), "once"));
    let received = peer.messages();
    let [(_, Some(delivery))] = received[..] else {
        panic!("{received:?}");
    };
    peer.give(Input::Closed);
    peer.acknowledge(delivery);
    assert_eq!(peer.resume(Properties::EMPTY), []);
    peer.outputs();
    peer.says(&again(message(Qos::ExactlyOnce, Some(5), "once")));
    assert_eq!(peer.sent(), [pubrec(5)]);
    assert_eq!(peer.payloads(), [""; 0]);
}

#[test]
fn acknowledgement_of_an_earlier_connections_qos_1_message_is_ignored() {
    let mut peer = Peer::live(Version::V5);
    peer.says(&message(Qos::AtLeastOnce, Some(5), "x"));
    let received = peer.messages();
    let [(_, Some(delivery))] = received[..] else {
        panic!("{received:?}");
    };
    peer.resume(Properties::EMPTY);
    peer.acknowledge(delivery);
    assert_eq!(peer.sent(), []);
    peer.outputs();
    peer.says(&again(message(Qos::AtLeastOnce, Some(5), "x")));
    assert_eq!(peer.payloads(), ["x"], "at least once");
}
