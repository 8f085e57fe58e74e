//! PINGREQ and PINGRESP.

use std::time::Duration;

use tidewire_client::protocol::{Cause, Input, Output, Reading};
use tidewire_client::{Qos, Version};
use tidewire_codec::{Packet, Properties, Property};

use crate::peer::{Peer, VERSIONS, message, properties, text};

/// Moves to the machine's next deadline and returns how long that took.
fn to_deadline(peer: &mut Peer) -> Duration {
    let due = peer.machine.next_deadline().expect("a deadline");
    let waited = due.since(peer.now);
    peer.now = due;
    peer.give(Input::Timeout);
    waited
}

/// [5.0 MQTT-3.1.2-20] [3.1.1 MQTT-3.1.2-23]
#[test]
fn idle_client_pings_within_its_keep_alive() {
    for version in VERSIONS {
        let mut peer = Peer::live(version);
        for _ in 0..3 {
            assert!(to_deadline(&mut peer) < Duration::from_secs(60));
            assert_eq!(peer.sent(), [Packet::PingReq]);
            peer.says(&Packet::PingResp);
        }
        assert_eq!(peer.ended(), None);
    }
}

/// [5.0 MQTT-3.1.2-21] [5.0 MQTT-3.2.2-21]
#[test]
fn keep_alive_of_the_server_takes_the_place_of_the_clients() {
    let announced = properties(&[Property::ServerKeepAlive(4)]);
    let mut peer = Peer::live_with(Version::V5, announced);
    let waited = to_deadline(&mut peer);
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    assert_eq!(peer.sent(), [Packet::PingReq]);
    let none = properties(&[Property::ServerKeepAlive(0)]);
    assert_eq!(
        Peer::live_with(Version::V5, none).machine.next_deadline(),
        None
    );
}

#[test]
fn missing_answer_ends_the_connection_and_says_so() {
    let mut peer = Peer::live(Version::V311);
    to_deadline(&mut peer);
    assert_eq!(to_deadline(&mut peer), Duration::from_secs(10));
    assert_eq!(peer.ended(), Some(Cause::NoPingResp));
}

#[test]
fn whatever_comes_shows_that_the_server_lives() {
    let mut peer = Peer::live(Version::V311);
    to_deadline(&mut peer);
    for _ in 0..5 {
        peer.after_millis(9_000);
        peer.says(&message(Qos::AtMostOnce, None, "still here"));
    }
    assert_eq!(peer.ended(), None);
    peer.after_millis(10_000);
    assert_eq!(peer.ended(), Some(Cause::NoPingResp));
}

#[test]
fn client_that_publishes_without_pause_still_learns_that_nobody_listens() {
    let mut peer = Peer::live(Version::V5);
    for _ in 0..200 {
        peer.after_millis(1_000);
        peer.publish(1, text(Qos::AtMostOnce, "x"));
        peer.sent();
    }
    assert_eq!(peer.ended(), Some(Cause::NoPingResp));
}

#[test]
fn client_that_does_not_read_goes_on_pinging_and_misses_no_answer() {
    let mut peer = Peer::live(Version::V5);
    peer.give(Input::Reading(Reading::Paused));
    for _ in 0..5 {
        assert!(to_deadline(&mut peer) < Duration::from_secs(60));
        assert_eq!(peer.sent(), [Packet::PingReq]);
    }
    peer.give(Input::Reading(Reading::On));
    for _ in 0..5 {
        peer.says(&Packet::PingResp);
    }
    let pongs = peer.outputs();
    assert_eq!(pongs.len(), 5);
    assert!(pongs.iter().all(|output| matches!(output, Output::Pong)));
}

#[test]
fn ping_on_request_is_answered() {
    let mut peer = Peer::live_with(Version::V5, Properties::EMPTY);
    peer.give(Input::Ping);
    assert_eq!(peer.sent(), [Packet::PingReq]);
    peer.says(&Packet::PingResp);
    assert!(matches!(peer.outputs()[..], [Output::Pong]));
}
