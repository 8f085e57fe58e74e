//! The two ends of the hot path: a view of what came, and a header that is written once for many receivers.

use tidewire_codec::frame::next_frame;
use tidewire_codec::topic::MAX_LEN;
use tidewire_codec::{
    DecodeError, EncodeError, EncodedPublish, Packet, PacketId, Properties, Property,
    PublishHeader, PublishView, Qos, Sender, TopicError, Version, wire,
};

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn view(version: Version, bytes: &[u8]) -> Result<PublishView<'_>, DecodeError> {
    let frame = next_frame(bytes, u32::MAX)?.expect("a whole frame");
    PublishView::parse(version, Sender::Client, frame)
}

fn header(qos: Qos, payload_len: usize) -> PublishHeader<'static> {
    let packet_id = if qos == Qos::AtMostOnce {
        None
    } else {
        PacketId::new(0x0102)
    };
    PublishHeader {
        dup: false,
        qos,
        retain: false,
        topic: "a/b",
        packet_id,
        properties: &[],
        payload_len,
    }
}

#[test]
fn a_view_says_where_identifier_and_payload_lie() {
    for version in VERSIONS {
        for payload_len in [0, 1, 100, 200, 20_000] {
            let mut bytes = Vec::new();
            header(Qos::AtLeastOnce, payload_len)
                .encode(version, &mut bytes)
                .expect("encodes");
            bytes.extend(vec![b'p'; payload_len]);
            let view = view(version, &bytes).expect("a PUBLISH");
            let at = view.packet_id_offset().expect("an identifier");
            assert_eq!(bytes[at..at + 2], [1, 2], "{version}, {payload_len} bytes");
            assert_eq!(bytes[view.payload_offset()..], *view.payload);
            assert_eq!(view.payload.len(), payload_len);
        }
    }
}

#[test]
fn a_view_agrees_with_the_packet() {
    let properties = Properties::EMPTY.with(Property::MessageExpiryInterval(5));
    let pieces = [properties.as_bytes()];
    for version in VERSIONS {
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            for (dup, retain) in [
                (false, false),
                (false, true),
                (qos != Qos::AtMostOnce, true),
            ] {
                let mut bytes = Vec::new();
                let header = PublishHeader {
                    dup,
                    retain,
                    properties: &pieces,
                    ..header(qos, 2)
                };
                header.encode(version, &mut bytes).expect("encodes");
                bytes.extend_from_slice(b"hi");
                let frame = next_frame(&bytes, u32::MAX)
                    .expect("a frame")
                    .expect("whole");
                let view = PublishView::parse(version, Sender::Client, frame).expect("a PUBLISH");
                let Ok(Packet::Publish(packet)) = Packet::decode(version, Sender::Client, frame)
                else {
                    panic!("no PUBLISH");
                };
                assert_eq!((view.dup(), view.qos(), view.retain()), (dup, qos, retain));
                assert_eq!(
                    (view.dup(), view.qos(), view.retain()),
                    (packet.dup, packet.qos, packet.retain)
                );
                assert_eq!(
                    (view.topic, view.payload),
                    (packet.topic.as_bytes(), &packet.payload[..])
                );
                assert_eq!(
                    (view.packet_id, &view.properties),
                    (packet.packet_id, &packet.properties)
                );
            }
        }
    }
}

#[test]
fn a_view_leaves_only_the_characters_of_the_topic_unchecked() {
    let wildcard = view(Version::V311, b"\x30\x03\x00\x01#").expect("a view");
    assert_eq!(wildcard.topic, b"#");
    assert_eq!(
        view(Version::V311, b"\x30\x02\x00\x00"),
        Err(DecodeError::TopicName(TopicError::Empty))
    );
    assert_eq!(
        view(Version::V5, b"\x30\x03\x00\x00\x00"),
        Err(DecodeError::NoTopic)
    );
    assert_eq!(
        view(Version::V5, b"\x30\x08\x00\x00\x05\x23\x00\x01\x01\x02"),
        Err(DecodeError::PropertyValue {
            property: tidewire_codec::PropertyId::PayloadFormatIndicator,
            value: 2,
        })
    );
}

#[test]
fn an_identifier_patched_for_each_receiver_is_all_that_differs() {
    for version in VERSIONS {
        let mut bytes = Vec::new();
        let at = header(Qos::ExactlyOnce, 1)
            .encode(version, &mut bytes)
            .expect("encodes");
        bytes.push(b'!');
        let offset = at.packet_id_offset.expect("an identifier");
        bytes[offset..offset + 2].copy_from_slice(&PacketId::MAX.get().to_be_bytes());
        let view = view(version, &bytes).expect("a PUBLISH");
        assert_eq!(
            (view.packet_id, view.topic, view.payload),
            (Some(PacketId::MAX), &b"a/b"[..], &b"!"[..])
        );
    }
}

#[test]
fn offsets_count_from_the_first_byte_of_the_packet() {
    let mut out = b"earlier".to_vec();
    let encoded = header(Qos::AtLeastOnce, 0)
        .encode(Version::V5, &mut out)
        .expect("encodes");
    assert_eq!(
        encoded,
        EncodedPublish {
            packet_id_offset: Some(7),
            payload_offset: 10
        }
    );
    assert_eq!(out.len(), 7 + 10);
}

#[test]
fn pieces_of_properties_follow_one_another_and_only_in_5() {
    let expiry = Properties::EMPTY.with(Property::MessageExpiryInterval(9));
    let identifier = Properties::EMPTY.with(Property::SubscriptionIdentifier(300));
    let pieces = [expiry.as_bytes(), identifier.as_bytes()];
    let header = PublishHeader {
        properties: &pieces,
        ..header(Qos::AtMostOnce, 0)
    };
    let mut v5 = Vec::new();
    header.encode(Version::V5, &mut v5).expect("encodes");
    assert_eq!(
        v5,
        b"\x30\x0E\x00\x03a/b\x08\x02\x00\x00\x00\x09\x0B\xAC\x02"
    );
    let mut v311 = Vec::new();
    header.encode(Version::V311, &mut v311).expect("encodes");
    assert_eq!(v311, b"\x30\x05\x00\x03a/b");
}

#[test]
fn the_length_is_known_before_writing() {
    for version in VERSIONS {
        for payload_len in [0, 110, 121, 122, 123, 200, 16_380, 20_000] {
            let header = header(Qos::AtLeastOnce, payload_len);
            let mut out = Vec::new();
            let encoded = header.encode(version, &mut out).expect("encodes");
            assert_eq!(
                header.encoded_len(version),
                encoded.payload_offset + payload_len
            );
        }
    }
}

#[test]
fn what_no_packet_can_say_is_not_written() {
    let long = "x".repeat(MAX_LEN + 1);
    let zero = header(Qos::AtMostOnce, 0);
    let one = header(Qos::AtLeastOnce, 0);
    let refusals = [
        (
            PublishHeader {
                topic: &long,
                ..zero
            },
            EncodeError::FieldTooLong {
                length: MAX_LEN + 1,
            },
        ),
        (
            PublishHeader {
                packet_id: None,
                ..one
            },
            EncodeError::PacketIdMismatch,
        ),
        (
            PublishHeader {
                packet_id: Some(PacketId::MIN),
                ..zero
            },
            EncodeError::PacketIdMismatch,
        ),
        // [5.0 MQTT-3.3.1-2] [3.1.1 MQTT-3.3.1-2]
        (
            PublishHeader { dup: true, ..zero },
            EncodeError::DupWithQosZero,
        ),
    ];
    for (header, error) in refusals {
        let mut out = vec![1];
        assert_eq!(header.encode(Version::V311, &mut out), Err(error));
        assert_eq!(out, [1], "nothing is written");
    }
    let largest = header(Qos::AtMostOnce, wire::MAX_VARINT as usize - 5);
    assert!(
        largest
            .encode(Version::V311, &mut Vec::new())
            .is_ok_and(|encoded| encoded.payload_offset == 10)
    );
    let too_large = header(Qos::AtMostOnce, wire::MAX_VARINT as usize - 4);
    let refused = too_large.encode(Version::V311, &mut Vec::new());
    assert_eq!(
        refused,
        Err(EncodeError::PacketTooLarge {
            length: wire::MAX_VARINT as usize + 1
        })
    );
}

#[test]
fn identifiers_go_round_past_zero() {
    assert_eq!(PacketId::new(0), None);
    assert_eq!(PacketId::MAX.next(), PacketId::MIN);
    assert_eq!(PacketId::MIN.next().get(), 2);
}
