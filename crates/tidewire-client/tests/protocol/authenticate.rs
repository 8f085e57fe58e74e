//! Enhanced authentication [5.0 section 4.12].

use tidewire_client::protocol::{Authentication, Cause, Input, Open, Output};
use tidewire_client::{Qos, ReasonCode, Version};
use tidewire_codec::{Auth, Packet, Properties, Property};

use crate::peer::{Peer, connack, properties, text};

fn auth(reason: ReasonCode, method: &str, data: &[u8]) -> Packet<'static> {
    Packet::Auth(Auth {
        reason,
        properties: properties(&[
            Property::AuthenticationMethod(method),
            Property::AuthenticationData(data),
        ]),
    })
}

fn accepted(method: &str) -> Packet<'static> {
    connack(false, properties(&[Property::AuthenticationMethod(method)]))
}

fn connecting() -> Peer {
    let mut open = Open::new(Version::V5, "a");
    open.authentication = Some(Authentication {
        method: "M".into(),
        data: Some(b"first"[..].into()),
    });
    let mut peer = Peer::new();
    peer.open(open);
    let [Packet::Connect(connect)] = &peer.sent()[..] else {
        panic!("no CONNECT");
    };
    assert_eq!(connect.properties.authentication_method(), Some("M"));
    assert_eq!(
        connect.properties.authentication_data(),
        Some(&b"first"[..])
    );
    peer
}

/// [5.0 MQTT-3.1.2-30] [5.0 MQTT-4.12.0-3] [5.0 MQTT-4.12.0-5]
#[test]
fn challenge_is_answered_with_the_method_of_connect_and_nothing_else_is_sent() {
    let mut peer = connecting();
    peer.says(&auth(ReasonCode::ContinueAuthentication, "M", b"who?"));
    let outputs = peer.outputs();
    assert!(
        matches!(&outputs[..], [Output::Challenge { data: Some(data) }] if **data == b"who?"[..])
    );
    peer.publish(1, text(Qos::AtMostOnce, "early"));
    peer.give(Input::Ping);
    let data = Some(b"me"[..].into());
    peer.give(Input::Authenticate { data });
    assert_eq!(
        peer.sent(),
        [auth(ReasonCode::ContinueAuthentication, "M", b"me")]
    );
    peer.says(&accepted("M"));
    assert!(peer.machine.is_live());
}

#[test]
fn another_method_than_that_of_connect_ends_the_connection() {
    for wrong in [
        auth(ReasonCode::ContinueAuthentication, "N", b"x"),
        accepted("N"),
        connack(false, Properties::EMPTY),
    ] {
        let mut peer = connecting();
        peer.says(&wrong);
        assert!(
            matches!(peer.ended(), Some(Cause::Unexpected { .. })),
            "{wrong:?}"
        );
    }
}

/// [5.0 MQTT-4.12.0-7]
#[test]
fn client_without_a_method_sends_no_auth_and_takes_none() {
    let mut peer = Peer::live(Version::V5);
    peer.give(Input::Reauthenticate { data: None });
    peer.give(Input::Authenticate { data: None });
    assert_eq!(peer.sent(), []);
    peer.says(&auth(ReasonCode::ContinueAuthentication, "M", b"x"));
    assert!(matches!(peer.ended(), Some(Cause::Unexpected { .. })));
}

/// [5.0 MQTT-4.12.1-1]
#[test]
fn authentication_anew_uses_the_method_of_connect() {
    let mut peer = connecting();
    peer.says(&accepted("M"));
    peer.outputs();
    let data = Some(b"again"[..].into());
    peer.give(Input::Reauthenticate { data });
    assert_eq!(
        peer.sent(),
        [auth(ReasonCode::ReAuthenticate, "M", b"again")]
    );
    peer.says(&auth(ReasonCode::Success, "M", b"fine"));
    assert!(matches!(
        peer.outputs()[..],
        [Output::Reauthenticated { data: Some(_) }]
    ));
    peer.says(&auth(ReasonCode::Success, "M", b"fine"));
    assert!(peer.ended().is_some(), "nobody asked a second time");
}

/// [5.0 MQTT-4.12.1-2]
#[test]
fn failed_authentication_anew_ends_the_connection() {
    let mut peer = connecting();
    peer.says(&accepted("M"));
    peer.give(Input::Reauthenticate { data: None });
    peer.says(&auth(ReasonCode::ContinueAuthentication, "M", b"x"));
    peer.sent();
    peer.give(Input::AuthenticationFailed("the proof is wrong".into()));
    assert!(matches!(peer.sent()[..], [Packet::Disconnect(_)]));
    assert_eq!(
        peer.ended(),
        Some(Cause::AuthenticationFailed("the proof is wrong".into()))
    );
}
