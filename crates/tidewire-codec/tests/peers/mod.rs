//! Two published codecs, each as one function: bytes in, what it understood written out again.

use std::panic::catch_unwind;

use bytes::BytesMut;
use mqtt5_protocol::packet::{FixedHeader, MqttPacket as _, Packet as Protocol};
use tidewire_codec::Version;

/// Another codec.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) versions: &'static [Version],
    /// The packet as the peer writes it after reading it; `None` if the peer refuses the bytes, or panics on them.
    pub(crate) transcode: fn(Version, &[u8]) -> Option<Vec<u8>>,
}

pub(crate) const PEERS: [Peer; 2] = [
    // It reads and writes versions before 5.0 for few packets only.
    Peer {
        name: "mqtt5-protocol",
        versions: &[Version::V5],
        transcode: mqtt5_protocol,
    },
    Peer {
        name: "rumqttc",
        versions: &[Version::V311, Version::V5],
        transcode: rumqttc,
    },
];

fn mqtt5_protocol(_: Version, bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = bytes.to_vec();
    catch_unwind(move || {
        let mut rest = &bytes[..];
        let header = FixedHeader::decode(&mut rest).ok()?;
        let mut body = rest.get(..header.remaining_length as usize)?;
        let packet = Protocol::decode_from_body(header.packet_type, &header, &mut body).ok()?;
        let mut out = BytesMut::new();
        match packet {
            Protocol::Connect(packet) => packet.encode(&mut out),
            Protocol::ConnAck(packet) => packet.encode(&mut out),
            Protocol::Publish(packet) => packet.encode(&mut out),
            Protocol::PubAck(packet) => packet.encode(&mut out),
            Protocol::PubRec(packet) => packet.encode(&mut out),
            Protocol::PubRel(packet) => packet.encode(&mut out),
            Protocol::PubComp(packet) => packet.encode(&mut out),
            Protocol::Subscribe(packet) => packet.encode(&mut out),
            Protocol::SubAck(packet) => packet.encode(&mut out),
            Protocol::Unsubscribe(packet) => packet.encode(&mut out),
            Protocol::UnsubAck(packet) => packet.encode(&mut out),
            Protocol::PingReq => {
                mqtt5_protocol::packet::pingreq::PingReqPacket::default().encode(&mut out)
            }
            Protocol::PingResp => {
                mqtt5_protocol::packet::pingresp::PingRespPacket::default().encode(&mut out)
            }
            Protocol::Disconnect(packet) => packet.encode(&mut out),
            Protocol::Auth(packet) => packet.encode(&mut out),
        }
        .ok()?;
        Some(out.to_vec())
    })
    .unwrap_or(None)
}

fn rumqttc(version: Version, bytes: &[u8]) -> Option<Vec<u8>> {
    let bytes = BytesMut::from(bytes);
    catch_unwind(move || {
        let (mut stream, mut out) = (bytes, BytesMut::new());
        if version.is_v5() {
            let packet = rumqttc::v5::mqttbytes::v5::Packet::read(&mut stream, None).ok()?;
            packet.write(&mut out, None).ok()?;
        } else {
            let packet = rumqttc::mqttbytes::v4::Packet::read(&mut stream, usize::MAX).ok()?;
            packet.write(&mut out, usize::MAX).ok()?;
        }
        Some(out.to_vec())
    })
    .unwrap_or(None)
}
