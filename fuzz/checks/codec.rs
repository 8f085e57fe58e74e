//! What must hold for any bytes. The fuzz targets call these functions, and so do the tests that replay the corpora.

use tidewire_codec::frame::{Frame, next_frame};
use tidewire_codec::topic::{self, SharedFilter};
use tidewire_codec::{Packet, PacketType, PublishView, Sender, Version};

/// A stream is cut into packets or refused; a view and a packet agree; pieces give what the whole gives.
pub fn decoder(input: &[u8]) {
    let Some((version, sender, stream)) = setting(input) else {
        return;
    };
    let whole = packets(version, sender, stream);
    let mut fed = Vec::new();
    let mut unread = Vec::new();
    for byte in stream {
        unread.push(*byte);
        match next_frame(&unread, 4096) {
            Ok(None) => {}
            Ok(Some(frame)) => {
                fed.push(Packet::decode(version, sender, frame).map(Packet::into_owned));
                unread.clear();
            }
            Err(_) => break,
        }
    }
    assert_eq!(whole, fed, "byte by byte gives what the whole gives");
}

/// What was read can be written, and read again as the same.
pub fn round_trip(input: &[u8]) {
    let Some((version, sender, stream)) = setting(input) else {
        return;
    };
    for packet in packets(version, sender, stream).into_iter().flatten() {
        let mut bytes = Vec::new();
        // MQTT 3.1 reads the failure of a SUBACK and does not write it.
        let version = match packet {
            Packet::SubAck(_) if version == Version::V31 => Version::V311,
            _ => version,
        };
        packet
            .encode(version, &mut bytes)
            .expect("what was read can be written");
        let frame = next_frame(&bytes, u32::MAX).expect("legal").expect("whole");
        assert_eq!(Packet::decode(version, sender, frame), Ok(packet));
    }
}

/// Names, filters and shares agree with one another, and matching ends.
pub fn topics(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (first, second) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let name = topic::validate_name(second);
    let Ok(filter) = std::str::from_utf8(first) else {
        return;
    };
    let is_filter = topic::validate_filter(filter).is_ok();
    let shared = topic::split_shared(filter);
    if let Ok(Some(SharedFilter {
        share,
        filter: behind,
    })) = shared
    {
        assert_eq!(format!("$share/{share}/{behind}"), filter);
        assert!(!topic::has_wildcards(share) && !behind.is_empty());
    }
    if let (true, Ok(None), Ok(name)) = (is_filter, shared, name) {
        let matched = topic::matches(filter, name);
        if !topic::has_wildcards(filter) {
            assert_eq!(matched, filter == name);
        }
        assert!(topic::matches(name, name), "a name matches itself");
    }
    assert_eq!(topic::levels(filter).collect::<Vec<_>>().join("/"), filter);
}

fn setting(input: &[u8]) -> Option<(Version, Sender, &[u8])> {
    let (choice, stream) = input.split_first()?;
    let version = match choice & 3 {
        1 => Version::V311,
        2 => Version::V5,
        _ => Version::V31,
    };
    let sender = if choice & 4 == 0 {
        Sender::Client
    } else {
        Sender::Server
    };
    Some((version, sender, stream))
}

type Decoded = Result<Packet<'static>, tidewire_codec::DecodeError>;

fn packets(version: Version, sender: Sender, mut stream: &[u8]) -> Vec<Decoded> {
    let mut decoded = Vec::new();
    while let Ok(Some(frame)) = next_frame(stream, 4096) {
        stream = &stream[frame.bytes.len()..];
        let packet = Packet::decode(version, sender, frame).map(Packet::into_owned);
        check_view(version, sender, frame, &packet);
        decoded.push(packet);
    }
    decoded
}

fn check_view(version: Version, sender: Sender, frame: Frame<'_>, packet: &Decoded) {
    if frame.packet_type() != Some(PacketType::Publish) {
        return;
    }
    match (PublishView::parse(version, sender, frame), packet) {
        (Err(of_view), packet) => assert_eq!(packet.as_ref(), Err(&of_view)),
        (Ok(view), Ok(Packet::Publish(publish))) => {
            assert_eq!(&frame.bytes[view.payload_offset()..], &publish.payload[..]);
            assert_eq!(view.packet_id, publish.packet_id);
        }
        (Ok(view), _) => assert!(topic::validate_name(view.topic).is_err()),
    }
}
