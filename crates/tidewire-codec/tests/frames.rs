//! Frames and wire types: limits are applied before anything is taken, and each byte is judged when it comes.

use tidewire_codec::frame::{fixed_header, next_frame};
use tidewire_codec::wire::{self, MAX_VARINT};
use tidewire_codec::{DecodeError, EncodeError, PacketType, ReasonCode};

#[test]
fn a_packet_that_is_too_large_is_refused_by_its_header_alone() {
    // The header announces 256 MB; nothing else has come.
    let refused = next_frame(b"\x30\xFF\xFF\xFF\x7F", 1_000_000).expect_err("too large");
    assert_eq!(
        refused,
        DecodeError::PacketTooLarge {
            size: 268_435_460,
            limit: 1_000_000
        }
    );
    assert_eq!(refused.reason_code(), ReasonCode::PacketTooLarge);
}

#[test]
fn the_limit_counts_the_whole_packet() {
    let ten_bytes = b"\x30\x08\x00\x01a12345";
    assert_eq!(
        next_frame(ten_bytes, 10).map(|frame| frame.map(|frame| frame.bytes.len())),
        Ok(Some(10))
    );
    assert_eq!(
        next_frame(ten_bytes, 9),
        Err(DecodeError::PacketTooLarge { size: 10, limit: 9 })
    );
}

/// [5.0 MQTT-2.1.3-1] [3.1.1 MQTT-2.2.2-1]
#[test]
fn the_first_byte_alone_shows_a_reserved_type_or_flag() {
    for byte in 0..=u8::MAX {
        let flags = byte & 0x0F;
        let legal = match PacketType::from_first_byte(byte) {
            None => false,
            Some(PacketType::Publish) => flags & 0b0110 != 0b0110,
            // MQTT 3.1 repeats these with DUP.
            Some(PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe) => {
                flags == 2 || flags == 10
            }
            Some(_) => flags == 0,
        };
        assert_eq!(
            next_frame(&[byte], u32::MAX).is_ok(),
            legal,
            "first byte {byte:#04x}"
        );
        assert_eq!(
            fixed_header(&[byte]).is_ok(),
            legal,
            "first byte {byte:#04x}"
        );
    }
}

#[test]
fn the_fifth_byte_of_a_remaining_length_is_not_waited_for() {
    assert_eq!(next_frame(b"\x30\x80\x80\x80", u32::MAX), Ok(None));
    assert_eq!(
        next_frame(b"\x30\x80\x80\x80\x80", u32::MAX),
        Err(DecodeError::VarintTooLong)
    );
}

#[test]
fn a_header_says_where_its_packet_ends() {
    let header = fixed_header(b"\x82\x80\x01rest")
        .expect("legal")
        .expect("whole");
    assert_eq!(header.packet_type(), Some(PacketType::Subscribe));
    assert_eq!(
        (header.header_len, header.remaining_len, header.total_len()),
        (3, 128, 131)
    );
    assert_eq!(fixed_header(b"\x82\x80"), Ok(None));
    assert_eq!(fixed_header(b""), Ok(None));
}

/// The borders of table 1-1. [5.0 MQTT-1.5.5-1]
#[test]
fn a_variable_byte_integer_has_its_shortest_form() {
    let borders: [(u32, &[u8]); 8] = [
        (0, b"\x00"),
        (127, b"\x7F"),
        (128, b"\x80\x01"),
        (16_383, b"\xFF\x7F"),
        (16_384, b"\x80\x80\x01"),
        (2_097_151, b"\xFF\xFF\x7F"),
        (2_097_152, b"\x80\x80\x80\x01"),
        (MAX_VARINT, b"\xFF\xFF\xFF\x7F"),
    ];
    for (value, bytes) in borders {
        let mut out = Vec::new();
        wire::put_varint(&mut out, value);
        assert_eq!(out, bytes);
        assert_eq!(wire::varint_len(value), bytes.len());
        assert_eq!(wire::read_varint(bytes), Ok(Some((value, bytes.len()))));
        for end in 0..bytes.len() {
            assert_eq!(wire::read_varint(&bytes[..end]), Ok(None));
        }
    }
}

#[test]
fn a_field_of_more_than_65535_bytes_is_not_written() {
    let mut out = vec![1];
    assert_eq!(
        wire::put_bytes(&mut out, &[0; 65_536]),
        Err(EncodeError::FieldTooLong { length: 65_536 })
    );
    assert_eq!(out, [1]);
    assert_eq!(wire::put_bytes(&mut out, &[7; 65_535]), Ok(()));
    assert_eq!(out.len(), 1 + 2 + 65_535);
    assert_eq!(out[1..3], [0xFF, 0xFF]);
}
