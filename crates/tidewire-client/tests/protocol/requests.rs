//! SUBSCRIBE and UNSUBSCRIBE.

use tidewire_client::protocol::{Cause, Input, Output, RequestError};
use tidewire_client::{ReasonCode, Version};
use tidewire_codec::{
    Packet, PacketId, PacketType, Properties, Property, Qos, RetainHandling, SubscriptionOptions,
    UnsubAck,
};

use crate::peer::{Peer, VERSIONS, id, properties, suback};

fn subscribe(peer: &mut Peer, token: u64, filters: &[&str], qos: Qos) {
    let filters = filters
        .iter()
        .map(|filter| ((*filter).into(), SubscriptionOptions::with_qos(qos)))
        .collect();
    peer.give(Input::Subscribe {
        token,
        filters,
        properties: Properties::EMPTY,
    });
}

fn result(peer: &mut Peer) -> Option<(u64, Result<Vec<ReasonCode>, RequestError>)> {
    peer.outputs().into_iter().find_map(|output| match output {
        Output::Subscribed { token, result } | Output::Unsubscribed { token, result } => {
            Some((token, result))
        }
        _ => None,
    })
}

fn packet_id(packets: &[Packet<'_>]) -> PacketId {
    match packets {
        [Packet::Subscribe(packet)] => packet.packet_id,
        [Packet::Unsubscribe(packet)] => packet.packet_id,
        other => panic!("not one request: {other:?}"),
    }
}

/// [5.0 MQTT-2.2.1-3] [3.1.1 MQTT-2.3.1-1]
#[test]
fn each_filter_has_its_own_result() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        subscribe(&mut peer, 1, &["a", "b/#", "+/c"], Qos::ExactlyOnce);
        let number = packet_id(&peer.sent()).get();
        let reasons = [
            ReasonCode::GrantedQos2,
            ReasonCode::Success,
            ReasonCode::GrantedQos1,
        ];
        peer.says(&suback(number, &reasons));
        assert_eq!(result(&mut peer), Some((1, Ok(reasons.to_vec()))));
    }
}

#[test]
fn requests_are_told_apart_by_their_identifiers() {
    let mut peer = Peer::live(Version::V5);
    subscribe(&mut peer, 1, &["a"], Qos::AtMostOnce);
    let first = packet_id(&peer.sent()).get();
    subscribe(&mut peer, 2, &["b"], Qos::AtMostOnce);
    let second = packet_id(&peer.sent()).get();
    assert_ne!(first, second);
    peer.says(&suback(second, &[ReasonCode::NotAuthorized]));
    assert_eq!(
        result(&mut peer),
        Some((2, Ok(vec![ReasonCode::NotAuthorized])))
    );
}

#[test]
fn unsubscribe_has_a_result_for_each_filter_in_every_version() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        peer.give(Input::Unsubscribe {
            token: 4,
            filters: vec!["a".into(), "b".into()],
        });
        let packet_id = packet_id(&peer.sent());
        let reasons = vec![ReasonCode::Success, ReasonCode::Success];
        peer.says(&Packet::UnsubAck(UnsubAck {
            packet_id,
            properties: Properties::EMPTY,
            reasons: reasons.clone(),
        }));
        assert_eq!(result(&mut peer), Some((4, Ok(reasons))));
    }
}

#[test]
fn answer_that_fits_no_request_ends_the_connection() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        subscribe(&mut peer, 1, &["a"], Qos::AtMostOnce);
        peer.says(&suback(9, &[ReasonCode::Success]));
        assert_eq!(
            peer.ended(),
            Some(Cause::UnknownPacketId {
                packet: PacketType::SubAck,
                packet_id: id(9)
            })
        );
        let mut peer = Peer::live(version);
        subscribe(&mut peer, 1, &["a", "b"], Qos::AtMostOnce);
        let number = packet_id(&peer.sent()).get();
        peer.says(&suback(number, &[ReasonCode::Success]));
        assert!(matches!(peer.ended(), Some(Cause::Unexpected { .. })));
    }
}

#[test]
fn lost_connection_answers_what_waits() {
    let mut peer = Peer::live(Version::V5);
    subscribe(&mut peer, 1, &["a"], Qos::AtMostOnce);
    peer.give(Input::Closed);
    assert_eq!(
        result(&mut peer),
        Some((1, Err(RequestError::ConnectionLost)))
    );
}

/// [5.0 MQTT-4.7.1-1] [5.0 MQTT-4.7.1-2] [5.0 MQTT-4.8.2-1] [5.0 MQTT-4.8.2-2] [5.0 MQTT-4.7.3-1]
/// [3.1.1 MQTT-4.7.1-2] [3.1.1 MQTT-4.7.1-3] [3.1.1 MQTT-4.7.3-1]
#[test]
fn text_that_is_no_topic_filter_is_not_sent() {
    for version in VERSIONS {
        for filter in [
            "",
            "a/#/b",
            "a#",
            "a+/b",
            "$share//a",
            "$share/x+/a",
            "$share/x",
        ] {
            let mut peer = Peer::live(version);
            subscribe(&mut peer, 1, &["fine", filter], Qos::AtMostOnce);
            assert!(matches!(
                result(&mut peer),
                Some((1, Err(RequestError::Filter(_))))
            ));
            assert_eq!(peer.sent(), []);
        }
    }
}

/// [5.0 MQTT-3.8.3-2] [5.0 MQTT-3.10.3-2] [3.1.1 MQTT-3.8.3-3] [3.1.1 MQTT-3.10.3-2]
#[test]
fn request_without_filters_is_not_sent_and_costs_no_identifier() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        subscribe(&mut peer, 1, &[], Qos::AtMostOnce);
        assert!(matches!(
            result(&mut peer),
            Some((1, Err(RequestError::Invalid(_))))
        ));
        peer.give(Input::Unsubscribe {
            token: 2,
            filters: Vec::new(),
        });
        assert!(matches!(
            result(&mut peer),
            Some((2, Err(RequestError::Invalid(_))))
        ));
        assert_eq!(peer.sent(), []);
        peer.give(Input::Closed);
        assert!(result(&mut peer).is_none());
    }
}

/// [5.0 MQTT-3.8.3-4]
#[test]
fn no_local_on_a_shared_subscription_is_not_sent() {
    let mut peer = Peer::live(Version::V5);
    let options = SubscriptionOptions {
        no_local: true,
        ..SubscriptionOptions::default()
    };
    peer.give(Input::Subscribe {
        token: 1,
        filters: vec![("$share/g/t".into(), options)],
        properties: Properties::EMPTY,
    });
    assert!(matches!(
        result(&mut peer),
        Some((1, Err(RequestError::Invalid(_))))
    ));
    assert_eq!(peer.sent(), []);
}

#[test]
fn what_the_server_does_not_support_is_not_asked_for() {
    let cases = [
        (
            Property::WildcardSubscriptionAvailable(0),
            "a/#",
            ReasonCode::WildcardSubscriptionsNotSupported,
        ),
        (
            Property::SharedSubscriptionAvailable(0),
            "$share/g/a",
            ReasonCode::SharedSubscriptionsNotSupported,
        ),
    ];
    for (announced, filter, reason) in cases {
        let mut peer = Peer::live_with(Version::V5, properties(&[announced]));
        subscribe(&mut peer, 1, &[filter], Qos::AtMostOnce);
        assert_eq!(
            result(&mut peer),
            Some((1, Err(RequestError::NotSupported(reason))))
        );
        assert_eq!(peer.sent(), []);
    }
}

#[test]
fn options_of_version_5_on_an_older_connection_are_named_errors() {
    let options = [
        SubscriptionOptions {
            no_local: true,
            ..SubscriptionOptions::default()
        },
        SubscriptionOptions {
            retain_as_published: true,
            ..SubscriptionOptions::default()
        },
        SubscriptionOptions {
            retain_handling: RetainHandling::DoNotSend,
            ..SubscriptionOptions::default()
        },
    ];
    for option in options {
        let mut peer = Peer::live(Version::V311);
        peer.give(Input::Subscribe {
            token: 1,
            filters: vec![("a".into(), option)],
            properties: Properties::EMPTY,
        });
        assert!(matches!(
            result(&mut peer),
            Some((1, Err(RequestError::NeedsV5(_))))
        ));
    }
}
