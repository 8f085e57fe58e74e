//! Arbitrary packets survive the wire; arbitrary bytes never cost more than an error.

mod arbitrary;

use proptest::prelude::*;
use tidewire_codec::frame::next_frame;
use tidewire_codec::{DecodeError, Packet, PacketType, PublishView, Sender, Version};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];
const SENDERS: [Sender; 2] = [Sender::Client, Sender::Server];

fn side() -> impl Strategy<Value = (Version, Sender)> {
    (
        proptest::sample::select(&VERSIONS[..]),
        proptest::sample::select(&SENDERS[..]),
    )
}

fn packet() -> impl Strategy<Value = (Version, Sender, Packet<'static>)> {
    side().prop_flat_map(|(version, sender)| {
        (
            Just(version),
            Just(sender),
            arbitrary::packet(version, sender),
        )
    })
}

fn encoded(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet
        .encode(version, &mut bytes)
        .unwrap_or_else(|error| panic!("{packet:?}: {error}"));
    bytes
}

/// Decodes, and holds what comes out against itself: what was read can be written and read again.
fn decode_and_check(version: Version, sender: Sender, bytes: &[u8]) -> Result<(), DecodeError> {
    let mut at = 0;
    while let Some(frame) = next_frame(&bytes[at..], 4096)? {
        at += frame.bytes.len();
        let view = (frame.packet_type() == Some(PacketType::Publish))
            .then(|| PublishView::parse(version, sender, frame));
        let decoded = Packet::decode(version, sender, frame);
        match (&view, &decoded) {
            (Some(Ok(view)), Ok(Packet::Publish(publish))) => {
                assert_eq!(view.payload, &publish.payload[..]);
            }
            (Some(Ok(_)), Err(error)) => {
                assert!(matches!(error, DecodeError::TopicName(_)), "{error}");
            }
            (Some(Err(of_view)), decoded) => assert_eq!(decoded.as_ref(), Err(of_view)),
            (Some(Ok(_)), Ok(other)) => panic!("{other:?} is no PUBLISH"),
            (None, _) => {}
        }
        let packet = decoded?;
        let again = encoded_again(version, &packet);
        let frame = next_frame(&again, u32::MAX)?.expect("whole");
        assert_eq!(Packet::decode(version, sender, frame)?, packet);
    }
    Ok(())
}

/// MQTT 3.1 reads the failure of a SUBACK and does not write it.
fn encoded_again(version: Version, packet: &Packet<'_>) -> Vec<u8> {
    let is_suback_31 = version == Version::V31 && packet.packet_type() == PacketType::SubAck;
    encoded(if is_suback_31 { Version::V311 } else { version }, packet)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn an_arbitrary_packet_comes_back_as_it_was((version, sender, packet) in packet()) {
        let bytes = encoded(version, &packet);
        let frame = next_frame(&bytes, u32::MAX).expect("a frame").expect("whole");
        prop_assert_eq!(frame.bytes, &bytes[..]);
        prop_assert!(frame.has_minimal_header());
        prop_assert_eq!(Packet::decode(version, sender, frame), Ok(packet.clone()));
        prop_assert_eq!(packet.clone().into_owned(), packet);
    }

    #[test]
    fn an_arbitrary_packet_cut_anywhere_waits(((version, _, packet), at) in (packet(), any::<proptest::sample::Index>())) {
        let bytes = encoded(version, &packet);
        prop_assert_eq!(next_frame(&bytes[..at.index(bytes.len())], u32::MAX), Ok(None));
    }

    #[test]
    fn arbitrary_bytes_are_packets_or_an_error(
        (version, sender) in side(),
        bytes in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let _ = decode_and_check(version, sender, &bytes);
    }

    #[test]
    fn a_body_of_arbitrary_bytes_is_a_packet_or_an_error(
        (version, sender) in side(),
        packet in proptest::sample::select(&PacketType::ALL[..]),
        flags in prop_oneof![Just(0_u8), 0..16_u8],
        body in proptest::collection::vec(prop_oneof![any::<u8>(), 0..4_u8], 0..60),
    ) {
        let mut bytes = vec![packet.first_byte() | flags, body.len() as u8];
        bytes.extend(body);
        let _ = decode_and_check(version, sender, &bytes);
    }

    #[test]
    fn a_packet_with_a_changed_byte_is_a_packet_or_an_error(
        (version, sender, packet) in packet(),
        at in any::<proptest::sample::Index>(),
        value in any::<u8>(),
    ) {
        let mut bytes = encoded(version, &packet);
        let at = at.index(bytes.len());
        bytes[at] = value;
        let _ = decode_and_check(version, sender, &bytes);
    }
}
