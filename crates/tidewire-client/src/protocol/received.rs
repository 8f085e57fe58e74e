//! From the server's bytes to packets, and to what each means.

use tidewire_codec::frame::next_frame;
use tidewire_codec::{Frame, Packet, PacketType, ReasonCode, Sender};

use super::cause::{Cause, Farewell};
use super::handshake::farewell;
use super::machine::{Machine, Phase};
use super::output::{Output, PacketTrace};
use super::time::Time;

impl Machine {
    pub(crate) fn on_bytes(&mut self, now: Time, bytes: &[u8]) -> usize {
        let mut used = 0;
        if !bytes.is_empty() {
            self.keep_alive.received(now);
        }
        while matches!(self.phase, Phase::Connecting | Phase::Live) {
            let rest = bytes.get(used..).unwrap_or_default();
            match next_frame(rest, self.open.max_packet_size_bytes) {
                Ok(Some(frame)) => {
                    self.on_frame(now, frame);
                    used += frame.bytes.len();
                }
                Ok(None) => return used,
                Err(error) => self.end(now, Cause::Malformed(error)),
            }
        }
        // Whatever an ended connection still says is of no interest.
        bytes.len()
    }

    fn on_frame(&mut self, now: Time, frame: Frame<'_>) {
        if self.is_refusal_of_version(frame) {
            let reason = ReasonCode::UnsupportedProtocolVersion;
            return self.end(
                now,
                Cause::Refused(Farewell {
                    reason,
                    text: None,
                    server_reference: None,
                }),
            );
        }
        match Packet::decode(self.open.version, Sender::Server, frame) {
            Ok(packet) => self.on_packet(now, packet),
            Err(error) => self.end(now, Cause::Malformed(error)),
        }
    }

    fn on_packet(&mut self, now: Time, packet: Packet<'_>) {
        if self.trace == PacketTrace::On {
            self.emit(Output::Packet(Box::new(packet.clone().into_owned())));
        }
        let kind = packet.packet_type();
        let may_come_first = matches!(
            kind,
            PacketType::ConnAck | PacketType::Auth | PacketType::Disconnect
        );
        if self.phase == Phase::Connecting && !may_come_first {
            return self.unexpected(now, kind, "CONNACK must come first");
        }
        match packet {
            Packet::ConnAck(connack) => self.on_connack(now, &connack),
            Packet::Auth(auth) => self.on_auth(now, &auth),
            Packet::Publish(publish) => self.on_publish(now, publish),
            Packet::PubAck(ack) => self.on_puback(now, &ack),
            Packet::PubRec(ack) => self.on_pubrec(now, &ack),
            Packet::PubRel(ack) => self.on_pubrel(now, &ack),
            Packet::PubComp(ack) => self.on_pubcomp(now, &ack),
            Packet::SubAck(suback) => self.on_suback(now, suback),
            Packet::UnsubAck(unsuback) => self.on_unsuback(now, unsuback),
            Packet::PingResp => self.on_pingresp(now),
            Packet::Disconnect(disconnect) => self.end(
                now,
                Cause::Disconnected(farewell(disconnect.reason, &disconnect.properties)),
            ),
            // The codec takes none of these from a server.
            Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => self.unexpected(now, kind, "only clients send it"),
        }
    }

    fn on_pingresp(&mut self, now: Time) {
        if self.keep_alive.answered() {
            self.emit(Output::Pong);
        } else {
            self.unexpected(now, PacketType::PingResp, "no PINGREQ waits for it");
        }
    }

    pub(crate) fn unexpected(&mut self, now: Time, packet: PacketType, why: &'static str) {
        self.end(now, Cause::Unexpected { packet, why });
    }
}
