//! Packets by hand, and a blocking client for the tests of this crate.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test programs, each of which uses its own part"
)]

use std::io::{Read, Write};
use tidewire_codec::frame::next_frame;

/// CONNECT of MQTT 3.1.1, Clean Session, no Keep Alive.
pub fn connect(client_id: &str) -> Vec<u8> {
    connect_with(client_id, 4, 0x02, 0)
}

/// CONNECT of MQTT 5.0, Clean Start, no Keep Alive, no properties.
pub fn connect_v5(client_id: &str) -> Vec<u8> {
    connect_with(client_id, 5, 0x02, 0)
}

pub fn connect_with(client_id: &str, level: u8, flags: u8, keep_alive_secs: u16) -> Vec<u8> {
    let mut body = b"\x00\x04MQTT".to_vec();
    body.extend([level, flags]);
    body.extend(keep_alive_secs.to_be_bytes());
    if level == 5 {
        body.push(0);
    }
    put_str(&mut body, client_id);
    packet(0x10, &body)
}

pub const CONNACK: &[u8] = &[0x20, 2, 0, 0];

/// SUBSCRIBE of MQTT 3.1.1 to one filter.
pub fn subscribe(id: u16, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    put_str(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// SUBACK that grants `qos`.
pub fn suback(id: u16, qos: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    vec![0x90, 3, high, low, qos]
}

/// PUBLISH at QoS 0, MQTT 3.1.1.
pub fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put_str(&mut body, topic);
    body.extend(payload);
    packet(0x30, &body)
}

/// PUBLISH at QoS 1, MQTT 3.1.1.
pub fn publish_qos1(topic: &str, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put_str(&mut body, topic);
    body.extend(id.to_be_bytes());
    body.extend(payload);
    packet(0x32, &body)
}

pub fn puback(id: u16) -> Vec<u8> {
    packet(0x40, &id.to_be_bytes())
}

pub const DISCONNECT: &[u8] = &[0xE0, 0];
pub const PINGREQ: &[u8] = &[0xC0, 0];
pub const PINGRESP: &[u8] = &[0xD0, 0];

/// A fixed header and a body.
pub fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first_byte];
    let mut rest = body.len();
    loop {
        let digit = (rest & 0x7F) as u8;
        rest >>= 7;
        packet.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

fn put_str(body: &mut Vec<u8>, text: &str) {
    body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    body.extend(text.as_bytes());
}

/// The whole packets at the front.
pub fn split(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut packets = Vec::new();
    while let Some(frame) = next_frame(bytes, u32::MAX).unwrap() {
        packets.push(frame.bytes);
        bytes = &bytes[frame.bytes.len()..];
    }
    assert!(bytes.is_empty(), "half a packet at the end: {bytes:?}");
    packets
}

/// The payload of a PUBLISH of MQTT 3.1.1, with its packet identifier if it has one.
pub fn payload(packet: &[u8]) -> (Option<u16>, &[u8]) {
    assert_eq!(packet[0] & 0xF0, 0x30, "not a PUBLISH: {packet:?}");
    let header = 1
        + packet[1..]
            .iter()
            .position(|byte| byte & 0x80 == 0)
            .unwrap()
        + 1;
    let topic = usize::from(u16::from_be_bytes([packet[header], packet[header + 1]]));
    let at = header + 2 + topic;
    if packet[0] & 0x06 == 0 {
        return (None, &packet[at..]);
    }
    (
        Some(u16::from_be_bytes([packet[at], packet[at + 1]])),
        &packet[at + 2..],
    )
}

/// Reads one packet.
pub fn read_packet(from: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut packet = vec![0; 2];
    from.read_exact(&mut packet)?;
    let mut shift = 7;
    let mut length = usize::from(packet[1] & 0x7F);
    while packet.last().is_some_and(|byte| byte & 0x80 != 0) {
        let mut digit = [0];
        from.read_exact(&mut digit)?;
        length |= usize::from(digit[0] & 0x7F) << shift;
        shift += 7;
        packet.push(digit[0]);
    }
    let header = packet.len();
    packet.resize(header + length, 0);
    from.read_exact(&mut packet[header..])?;
    Ok(packet)
}

/// Connects over an open stream and expects to be accepted.
pub fn enter(stream: &mut (impl Read + Write), client_id: &str) {
    stream.write_all(&connect(client_id)).unwrap();
    assert_eq!(read_packet(stream).unwrap(), CONNACK);
}

/// Subscribes and expects it to be granted.
pub fn subscribe_to(stream: &mut (impl Read + Write), filter: &str, qos: u8) {
    stream.write_all(&subscribe(7, filter, qos)).unwrap();
    assert_eq!(read_packet(stream).unwrap(), suback(7, qos));
}
