//! CONNECT and CONNACK.

use std::time::Duration;

use tidewire_client::protocol::{Cause, Input, Open, Output, PublishError, SessionOrigin};
use tidewire_client::{Publish, Qos, ReasonCode, Version};
use tidewire_codec::{ConnAck, Connect, Packet, Properties, Property, Will};

use crate::peer::{Peer, VERSIONS, connack, id, properties, text};

fn connect_of(open: Open) -> Connect<'static> {
    let mut peer = Peer::new();
    peer.open(open);
    match &peer.sent()[..] {
        [Packet::Connect(connect)] => connect.clone(),
        other => panic!("not one CONNECT: {other:?}"),
    }
}

/// [5.0 MQTT-3.1.0-1] [3.1.1 MQTT-3.1.0-1]
#[test]
fn connect_is_the_first_packet_and_nothing_follows_before_connack() {
    for version in VERSIONS {
        let mut peer = Peer::new();
        peer.open(Open::new(version, "a"));
        peer.publish(1, text(Qos::AtMostOnce, "early"));
        assert!(matches!(peer.sent()[..], [Packet::Connect(_)]), "{version}");
        assert!(matches!(
            peer.outputs()[..],
            [Output::Published {
                token: 1,
                result: Err(PublishError::NotReady)
            }]
        ));
    }
}

/// [5.0 MQTT-3.1.2-9] [5.0 MQTT-3.1.2-17] [5.0 MQTT-3.1.2-19] [5.0 MQTT-3.1.3-1] [5.0 MQTT-3.1.3-3]
/// [3.1.1 MQTT-3.1.2-9] [3.1.1 MQTT-3.1.2-19] [3.1.1 MQTT-3.1.2-21] [3.1.1 MQTT-3.1.3-1] [3.1.1 MQTT-3.1.3-3]
#[test]
fn connect_carries_everything_that_it_was_opened_with() {
    for version in VERSIONS {
        let will = Will {
            qos: Qos::ExactlyOnce,
            retain: true,
            properties: Properties::EMPTY,
            topic: "gone".into(),
            payload: b"bye"[..].into(),
        };
        let mut open = Open::new(version, "me");
        open.username = Some("user".into());
        open.password = Some(b"secret"[..].into());
        open.will = Some(will.clone());
        open.keep_alive_secs = 7;
        let connect = connect_of(open);
        assert_eq!(connect.version, version);
        assert_eq!(connect.client_id, "me");
        assert_eq!(connect.username.as_deref(), Some("user"));
        assert_eq!(connect.password.as_deref(), Some(&b"secret"[..]));
        assert_eq!(connect.will, Some(will));
        assert_eq!(connect.keep_alive_secs, 7);
        assert!(connect.clean_start);
    }
}

/// [5.0 MQTT-3.1.2-11] [5.0 MQTT-3.1.2-13] [5.0 MQTT-3.1.2-16] [5.0 MQTT-3.1.2-18]
/// [3.1.1 MQTT-3.1.2-11] [3.1.1 MQTT-3.1.2-18] [3.1.1 MQTT-3.1.2-20]
#[test]
fn what_connect_has_not_has_no_flag_either() {
    for version in [Version::V311, Version::V5] {
        let mut peer = Peer::new();
        peer.open(Open::new(version, "a"));
        let bytes = peer.machine.transmit();
        assert_eq!(bytes[9], 0b0000_0010, "Clean Start alone");
    }
}

/// [3.1.1 MQTT-3.1.2-22]
#[test]
fn password_without_a_user_name_is_an_error_before_anything_is_sent() {
    let mut open = Open::new(Version::V311, "a");
    open.password = Some(b"secret"[..].into());
    let mut peer = Peer::new();
    peer.open(open);
    assert_eq!(peer.sent(), []);
    assert!(matches!(peer.ended(), Some(Cause::CannotSend(_))));
}

#[test]
fn limits_of_the_client_are_announced_in_version_5_only() {
    let mut open = Open::new(Version::V5, "a");
    open.session_expiry_interval_secs = 9;
    open.receive_maximum = 5;
    open.max_packet_size_bytes = 1_000;
    open.topic_alias_maximum = 3;
    let said = connect_of(open.clone()).properties;
    assert_eq!(said.session_expiry_interval_secs(), Some(9));
    assert_eq!(said.receive_maximum(), Some(5));
    assert_eq!(said.maximum_packet_size(), Some(1_000));
    assert_eq!(said.topic_alias_maximum(), Some(3));
    open.version = Version::V311;
    assert!(connect_of(open).properties.is_empty());
}

#[test]
fn refusal_ends_the_attempt_and_says_whether_to_try_again() {
    let refusals = [
        (ReasonCode::BadUserNameOrPassword, true),
        (ReasonCode::NotAuthorized, true),
        (ReasonCode::ClientIdentifierNotValid, true),
        (ReasonCode::UnsupportedProtocolVersion, true),
        (ReasonCode::ServerUnavailable, false),
    ];
    for version in VERSIONS {
        for (reason, is_permanent) in refusals {
            let mut peer = Peer::connecting(version);
            peer.says(&Packet::ConnAck(ConnAck {
                session_present: false,
                reason,
                properties: Properties::EMPTY,
            }));
            let cause = peer.ended().expect("ended");
            assert_eq!(cause.is_permanent(), is_permanent, "{cause}");
            assert_eq!(peer.sent(), []);
            let Cause::Refused(farewell) = cause else {
                panic!("{cause}");
            };
            assert_eq!(farewell.reason, reason);
        }
    }
}

#[test]
fn refusal_of_version_5_in_the_words_of_version_4_is_understood() {
    let mut peer = Peer::connecting(Version::V5);
    peer.says_bytes(b"\x20\x02\x00\x01");
    let Some(Cause::Refused(farewell)) = peer.ended() else {
        panic!("not refused");
    };
    assert_eq!(farewell.reason, ReasonCode::UnsupportedProtocolVersion);
}

#[test]
fn silence_after_connect_ends_the_attempt() {
    let mut open = Open::new(Version::V5, "a");
    open.connack_timeout = Duration::from_secs(3);
    let mut peer = Peer::new();
    peer.open(open);
    let due = peer.machine.next_deadline().expect("a deadline");
    assert_eq!(due.since(peer.now), Duration::from_secs(3));
    peer.after_millis(2_999);
    assert_eq!(peer.ended(), None);
    peer.after_millis(1);
    assert_eq!(peer.ended(), Some(Cause::NoConnAck));
}

/// [5.0 MQTT-3.2.2-4]
#[test]
fn session_that_was_not_asked_for_ends_the_connection() {
    for version in [Version::V311, Version::V5] {
        let mut peer = Peer::connecting(version);
        peer.says(&connack(true, Properties::EMPTY));
        assert_eq!(peer.ended(), Some(Cause::UnexpectedSession), "{version}");
    }
}

/// [5.0 MQTT-3.2.2-5] [5.0 MQTT-3.1.2-4]
#[test]
fn session_that_the_server_lost_is_discarded_and_its_messages_are_told_in_order() {
    for version in [Version::V311, Version::V5] {
        let mut peer = Peer::live(version);
        for token in 1..=3 {
            peer.publish(token, text(Qos::AtLeastOnce, "x"));
        }
        peer.give(Input::Closed);
        let mut open = Open::new(version, "a");
        open.clean_start = false;
        peer.open(open);
        peer.outputs();
        peer.sent();
        peer.says(&connack(false, Properties::EMPTY));
        let mut outputs = peer.outputs().into_iter();
        for expected in 1..=3 {
            let output = outputs.next();
            assert!(
                matches!(output, Some(Output::Unfinished { token }) if token == expected),
                "{output:?}"
            );
        }
        let Some(Output::Connected(connected)) = outputs.next() else {
            panic!("not connected");
        };
        assert_eq!(connected.session, SessionOrigin::New);
        assert_eq!(peer.sent(), [], "nothing is sent again");
        assert!(peer.machine.can_publish(Qos::AtLeastOnce));
    }
}

/// [5.0 MQTT-3.2.2-11] [5.0 MQTT-3.2.2-14]
#[test]
fn message_that_the_server_announced_not_to_take_is_not_sent() {
    let announced = properties(&[Property::MaximumQos(1), Property::RetainAvailable(0)]);
    let mut peer = Peer::live_with(Version::V5, announced);
    peer.publish(1, text(Qos::ExactlyOnce, "x"));
    peer.publish(2, text(Qos::AtMostOnce, "x").retained());
    assert_eq!(peer.sent(), []);
    let errors: Vec<_> = peer.outputs();
    assert!(matches!(
        errors[..],
        [
            Output::Published {
                token: 1,
                result: Err(PublishError::QosNotSupported)
            },
            Output::Published {
                token: 2,
                result: Err(PublishError::RetainNotSupported)
            }
        ]
    ));
    peer.publish(3, text(Qos::AtLeastOnce, "x"));
    assert_eq!(peer.sent().len(), 1);
}

/// [5.0 MQTT-3.2.2-15]
#[test]
fn packet_above_the_servers_maximum_is_not_sent() {
    let announced = properties(&[Property::MaximumPacketSize(20)]);
    let mut peer = Peer::live_with(Version::V5, announced);
    // 2 bytes of header, 5 of topic, 2 of identifier, 1 of property length.
    peer.publish(1, text(Qos::AtLeastOnce, "0123456789"));
    assert_eq!(peer.sent().len(), 1);
    peer.publish(2, text(Qos::AtLeastOnce, "0123456789a"));
    assert_eq!(peer.sent(), []);
    assert!(matches!(
        peer.outputs().last(),
        Some(Output::Published {
            token: 2,
            result: Err(PublishError::TooLarge {
                size: 21,
                limit: 20
            })
        })
    ));
    peer.publish(3, text(Qos::AtLeastOnce, "x"));
    let [Packet::Publish(third)] = &peer.sent()[..] else {
        panic!("one message");
    };
    assert_ne!(third.packet_id, Some(id(1)), "still in use");
}

#[test]
fn field_of_version_5_on_an_older_connection_is_a_named_error() {
    for version in [Version::V31, Version::V311] {
        let mut peer = Peer::live(version);
        peer.publish(1, Publish::new("t", "x").content_type("text/plain"));
        assert_eq!(peer.sent(), []);
        let outputs = peer.outputs();
        let [
            Output::Published {
                result: Err(error), ..
            },
        ] = &outputs[..]
        else {
            panic!("{outputs:?}");
        };
        assert!(
            error
                .to_string()
                .starts_with("ContentType exists in MQTT 5.0 only")
        );
    }
}

/// [5.0 MQTT-3.14.4-1] [5.0 MQTT-3.14.4-2] [3.1.1 MQTT-3.14.4-1] [3.1.1 MQTT-3.14.4-2]
#[test]
fn nothing_follows_disconnect_and_the_connection_is_closed() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        peer.give(Input::Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        });
        assert!(matches!(peer.sent()[..], [Packet::Disconnect(_)]));
        peer.says(&crate::peer::message(Qos::AtLeastOnce, Some(1), "late"));
        peer.give(Input::Ping);
        peer.publish(1, text(Qos::AtMostOnce, "late"));
        assert_eq!(peer.sent(), []);
        assert_eq!(peer.ended(), Some(Cause::Asked));
    }
}
