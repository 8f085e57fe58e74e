//! What two published codecs make of the packet table and of arbitrary packets. Every disagreement is settled from the
//! specification in `DIFFERENCES.md`, whose lists this test reads: one that is not there fails it, and so does one too many.

mod arbitrary;
mod peers;
mod table;

use std::collections::BTreeSet;

use peers::{PEERS, Peer};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use table::malformed::Malformed;
use tidewire_codec::frame::next_frame;
use tidewire_codec::{Packet, Properties, Sender, Version};

const SETTLED: &str = include_str!("../DIFFERENCES.md");

/// The lines of the lists: "- `row` (peer, version)".
fn settled() -> BTreeSet<String> {
    SETTLED
        .lines()
        .filter(|line| line.starts_with("- `") && line.contains("` ("))
        .map(str::to_owned)
        .collect()
}

fn line(row: &str, peer: &Peer, version: Version) -> String {
    format!("- `{row}` ({}, {version})", peer.name)
}

/// What the peer understood, read back; `None` if it refused the bytes or wrote something else than a packet.
fn understood(
    peer: &Peer,
    version: Version,
    sender: Sender,
    bytes: &[u8],
) -> Option<Packet<'static>> {
    let written = (peer.transcode)(version, bytes)?;
    let frame = next_frame(&written, u32::MAX).ok()??;
    Packet::decode(version, sender, frame)
        .ok()
        .map(|packet| sorted(packet.into_owned()))
}

/// The order of different properties says nothing (5.0 section 2.2.2.2), and `mqtt5-protocol` does not keep it.
fn sorted(mut packet: Packet<'static>) -> Packet<'static> {
    if let Packet::Connect(connect) = &mut packet
        && let Some(will) = &mut connect.will
    {
        sort(&mut will.properties);
    }
    match &mut packet {
        Packet::Connect(connect) => sort(&mut connect.properties),
        Packet::ConnAck(connack) => sort(&mut connack.properties),
        Packet::Publish(publish) => sort(&mut publish.properties),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            sort(&mut ack.properties);
        }
        Packet::Subscribe(subscribe) => sort(&mut subscribe.properties),
        Packet::SubAck(suback) => sort(&mut suback.properties),
        Packet::Unsubscribe(unsubscribe) => sort(&mut unsubscribe.properties),
        Packet::UnsubAck(unsuback) => sort(&mut unsuback.properties),
        Packet::Disconnect(disconnect) => sort(&mut disconnect.properties),
        Packet::Auth(auth) => sort(&mut auth.properties),
        Packet::PingReq | Packet::PingResp => {}
    }
    packet
}

fn sort(properties: &mut Properties<'static>) {
    let unsorted = std::mem::take(properties);
    let mut list: Vec<_> = unsorted.iter().collect();
    list.sort_by_key(|property| property.id());
    for property in list {
        properties.push(property).expect("it was there");
    }
}

fn disagreements() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for peer in &PEERS {
        for row in table::rows() {
            for &version in row
                .versions
                .iter()
                .filter(|version| peer.versions.contains(version))
            {
                if understood(peer, version, row.sender, &row.bytes)
                    != Some(sorted(row.packet.clone()))
                {
                    found.insert(line(row.name, peer, version));
                }
            }
        }
        for row in table::malformed::rows() {
            for &version in row
                .versions
                .iter()
                .filter(|version| peer.versions.contains(version))
            {
                assert!(is_refused_here(&row, version), "{}", row.name);
                if (peer.transcode)(version, &row.bytes).is_some() {
                    found.insert(line(row.name, peer, version));
                }
            }
        }
    }
    found
}

/// This codec's side of a disagreement.
fn is_refused_here(row: &Malformed, version: Version) -> bool {
    let error = match next_frame(&row.bytes, u32::MAX) {
        Ok(Some(frame)) => Packet::decode(version, row.sender, frame).err(),
        Ok(None) => None,
        Err(error) => Some(error),
    };
    error == Some(row.error) && row.error.reason_code() == row.reason
}

#[test]
fn every_disagreement_over_the_packet_table_is_settled() {
    let (settled, found) = (settled(), disagreements());
    let missing: Vec<&String> = found.difference(&settled).collect();
    let gone: Vec<&String> = settled.difference(&found).collect();
    assert!(
        missing.is_empty(),
        "not settled in DIFFERENCES.md: {missing:#?}"
    );
    assert!(gone.is_empty(), "no disagreement any more: {gone:#?}");
}

/// Packets over which the peer is known to differ; why is said in DIFFERENCES.md.
fn is_known_to_differ(peer: &Peer, packet: &Packet<'_>) -> bool {
    match packet {
        Packet::Connect(connect) => match (peer.name, &connect.username, &connect.password) {
            ("rumqttc", Some(username), _) if username.is_empty() => true,
            ("rumqttc", _, Some(password)) => {
                password.is_empty() || std::str::from_utf8(password).is_err()
            }
            ("mqtt5-protocol", None, Some(_)) => true,
            _ => false,
        },
        Packet::Disconnect(disconnect) => {
            peer.name == "rumqttc" && disconnect.properties.is_empty()
        }
        Packet::Auth(_) => peer.name == "rumqttc",
        Packet::Publish(publish) => {
            peer.name == "rumqttc"
                && publish
                    .properties
                    .subscription_identifiers()
                    .next()
                    .is_some()
        }
        _ => false,
    }
}

#[test]
fn peers_understand_arbitrary_packets_as_they_were_meant() {
    for peer in &PEERS {
        for &version in peer.versions {
            for sender in [Sender::Client, Sender::Server] {
                let mut runner = TestRunner::new(ProptestConfig {
                    failure_persistence: None,
                    ..ProptestConfig::with_cases(400)
                });
                let checked = runner.run(&arbitrary::packet(version, sender), |packet| {
                    if is_known_to_differ(peer, &packet) {
                        return Ok(());
                    }
                    let mut bytes = Vec::new();
                    packet.encode(version, &mut bytes).expect("encodes");
                    let understood = understood(peer, version, sender, &bytes);
                    prop_assert_eq!(
                        understood,
                        Some(sorted(packet)),
                        "{} in {}",
                        peer.name,
                        version
                    );
                    Ok(())
                });
                if let Err(error) = checked {
                    panic!("{} as a {sender} in {version}: {error}", peer.name);
                }
            }
        }
    }
}
