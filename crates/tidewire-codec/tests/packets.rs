//! What the packet table says, in every version: decoding, encoding, truncation, feeding in pieces.

mod table;

use table::malformed::{self, Malformed};
use table::{Form, Row, rows};
use tidewire_codec::frame::{Frame, next_frame};
use tidewire_codec::{DecodeError, Packet, Sender, Version, wire};

const NO_LIMIT: u32 = u32::MAX;

fn frame(bytes: &[u8]) -> Frame<'_> {
    let frame = next_frame(bytes, NO_LIMIT)
        .expect("a frame")
        .expect("a whole frame");
    assert_eq!(frame.bytes, bytes, "the frame is all of the bytes");
    frame
}

fn decode(version: Version, sender: Sender, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    match next_frame(bytes, NO_LIMIT)? {
        Some(frame) => Packet::decode(version, sender, frame),
        None => panic!("the bytes are a part of a packet only"),
    }
}

fn each(mut check: impl FnMut(&Row, Version)) {
    for row in rows() {
        for &version in row.versions {
            check(&row, version);
        }
    }
}

fn each_malformed(mut check: impl FnMut(&Malformed, Version)) {
    for row in malformed::rows() {
        for &version in row.versions {
            check(&row, version);
        }
    }
}

/// The claims of the rows themselves: see the statements named beside them.
#[test]
fn every_row_decodes_to_its_packet() {
    each(|row, version| {
        let packet = decode(version, row.sender, &row.bytes);
        assert_eq!(
            packet.as_ref(),
            Ok(&row.packet),
            "{} in {version}",
            row.name
        );
    });
}

#[test]
fn every_row_in_its_shortest_form_is_what_the_encoder_writes() {
    each(|row, version| {
        let mut out = b"before".to_vec();
        row.packet
            .encode(version, &mut out)
            .unwrap_or_else(|error| panic!("{}: {error}", row.name));
        let written = out.strip_prefix(b"before").expect("what was there stays");
        match row.form {
            Form::Shortest => assert_eq!(written, row.bytes, "{} in {version}", row.name),
            Form::Other => assert_ne!(written, row.bytes, "{} in {version}", row.name),
        }
    });
}

#[test]
fn every_packet_survives_encoding_and_decoding() {
    each(|row, version| {
        let mut out = Vec::new();
        row.packet.encode(version, &mut out).expect("encodes");
        let packet = decode(version, row.sender, &out)
            .expect("decodes")
            .into_owned();
        assert_eq!(packet, row.packet, "{} in {version}", row.name);
    });
}

/// Each statement is named beside its row.
#[test]
fn every_malformed_row_is_refused_with_its_error_and_reason_code() {
    each_malformed(|row, version| {
        let error = decode(version, row.sender, &row.bytes).expect_err(row.name);
        assert_eq!(error, row.error, "{} in {version}", row.name);
        assert_eq!(error.reason_code(), row.reason, "{} in {version}", row.name);
    });
}

#[test]
fn every_error_is_told_in_a_sentence_of_its_own() {
    let mut told = std::collections::HashMap::new();
    for row in malformed::rows() {
        let sentence = row.error.to_string();
        let earlier = told.insert(sentence.clone(), row.error);
        assert!(
            earlier.is_none_or(|error| error == row.error),
            "two errors say: {sentence}"
        );
    }
}

#[test]
fn a_packet_cut_anywhere_waits_for_more() {
    each(|row, version| {
        for end in 0..row.bytes.len() {
            let part = &row.bytes[..end];
            assert_eq!(
                next_frame(part, NO_LIMIT),
                Ok(None),
                "{} in {version} up to {end}",
                row.name
            );
        }
    });
}

/// A body that ends early and says so in its header is another packet, or none. What is not in its shortest form may say
/// nothing in its last bytes.
#[test]
fn a_body_cut_anywhere_is_never_the_same_packet() {
    each(|row, version| {
        if row.form == Form::Other {
            return;
        }
        let whole = frame(&row.bytes);
        for end in 0..whole.body.len() {
            let mut bytes = vec![whole.first_byte];
            wire::put_varint(&mut bytes, end as u32);
            bytes.extend_from_slice(&whole.body[..end]);
            if let Ok(packet) = decode(version, row.sender, &bytes) {
                assert_ne!(packet, row.packet, "{} in {version} up to {end}", row.name);
            }
        }
    });
}

#[test]
fn bytes_behind_a_packet_are_left_alone() {
    each(|row, version| {
        let mut bytes = row.bytes.clone();
        bytes.extend_from_slice(&[0xFF; 7]);
        let frame = next_frame(&bytes, NO_LIMIT)
            .expect("a frame")
            .expect("a whole frame");
        assert_eq!(frame.bytes, row.bytes, "{} in {version}", row.name);
    });
}

/// Feeds a stream in pieces the way a connection does, keeping only what is not a whole packet yet.
fn feed<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    version: Version,
    sender: Sender,
) -> Vec<Packet<'static>> {
    let mut unread = Vec::new();
    let mut packets = Vec::new();
    for piece in pieces {
        unread.extend_from_slice(piece);
        let mut at = 0;
        while let Some(frame) = next_frame(&unread[at..], NO_LIMIT).expect("a frame") {
            at += frame.bytes.len();
            packets.push(
                Packet::decode(version, sender, frame)
                    .expect("a packet")
                    .into_owned(),
            );
        }
        unread.drain(..at);
    }
    assert!(unread.is_empty(), "nothing is left");
    packets
}

#[test]
fn a_stream_cut_anywhere_gives_the_same_packets() {
    for version in [Version::V31, Version::V311, Version::V5] {
        for sender in [Sender::Client, Sender::Server] {
            let rows: Vec<Row> = rows()
                .into_iter()
                .filter(|row| row.versions.contains(&version) && row.sender == sender)
                .collect();
            let stream: Vec<u8> = rows.iter().flat_map(|row| row.bytes.clone()).collect();
            let expected: Vec<Packet<'static>> = rows.into_iter().map(|row| row.packet).collect();
            for at in 0..=stream.len() {
                let (front, back) = stream.split_at(at);
                assert_eq!(
                    feed([front, back].into_iter(), version, sender),
                    expected,
                    "cut at {at}"
                );
            }
            for size in 1..=9 {
                assert_eq!(
                    feed(stream.chunks(size), version, sender),
                    expected,
                    "in pieces of {size}"
                );
            }
        }
    }
}

#[test]
fn a_row_is_refused_where_the_other_side_may_not_send_it() {
    each(|row, version| {
        let other = match row.sender {
            Sender::Client => Sender::Server,
            Sender::Server => Sender::Client,
        };
        let packet = row.packet.packet_type();
        if !packet.may_come_from(other, version) {
            let refused = Err(DecodeError::UnexpectedSender {
                packet,
                sender: other,
            });
            assert_eq!(
                decode(version, other, &row.bytes),
                refused,
                "{} in {version}",
                row.name
            );
        }
    });
}
