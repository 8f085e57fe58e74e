//! The server's end of a machine's connection.

use tidewire_client::protocol::{Cause, Delivery, Input, Machine, Open, Output, PacketTrace, Time};
use tidewire_client::{Message, Publish, Qos, ReasonCode, Version};
use tidewire_codec::frame::next_frame;
use tidewire_codec::{Ack, ConnAck, Packet, PacketId, Properties, Property, Sender, SubAck};

pub(crate) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// A machine, its clock and what it has said.
pub(crate) struct Peer {
    pub(crate) machine: Machine,
    pub(crate) now: Time,
    version: Version,
}

pub(crate) fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("not zero")
}

pub(crate) fn connack(session_present: bool, properties: Properties<'static>) -> Packet<'static> {
    Packet::ConnAck(ConnAck {
        session_present,
        reason: ReasonCode::Success,
        properties,
    })
}

pub(crate) fn message(qos: Qos, packet_id: Option<u16>, payload: &str) -> Packet<'static> {
    Packet::Publish(tidewire_codec::Publish {
        dup: false,
        qos,
        retain: false,
        topic: "t/1".into(),
        packet_id: packet_id.map(id),
        properties: Properties::EMPTY,
        payload: payload.as_bytes().to_vec().into(),
    })
}

pub(crate) fn again(packet: Packet<'static>) -> Packet<'static> {
    match packet {
        Packet::Publish(publish) => Packet::Publish(tidewire_codec::Publish {
            dup: true,
            ..publish
        }),
        other => other,
    }
}

pub(crate) fn puback(number: u16) -> Packet<'static> {
    Packet::PubAck(Ack::success(id(number)))
}

pub(crate) fn pubrec(number: u16) -> Packet<'static> {
    Packet::PubRec(Ack::success(id(number)))
}

pub(crate) fn pubrel(number: u16) -> Packet<'static> {
    Packet::PubRel(Ack::success(id(number)))
}

pub(crate) fn pubcomp(number: u16) -> Packet<'static> {
    Packet::PubComp(Ack::success(id(number)))
}

pub(crate) fn suback(number: u16, reasons: &[ReasonCode]) -> Packet<'static> {
    Packet::SubAck(SubAck {
        packet_id: id(number),
        properties: Properties::EMPTY,
        reasons: reasons.to_vec(),
    })
}

pub(crate) fn text(qos: Qos, payload: &'static str) -> Publish {
    Publish::new("t/1", payload).qos(qos)
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self {
            machine: Machine::new(PacketTrace::Off),
            now: Time::from_millis(1_000_000),
            version: Version::V5,
        }
    }

    /// A machine that has sent CONNECT of a new session, which has been looked at.
    pub(crate) fn connecting(version: Version) -> Self {
        let mut peer = Self::new();
        peer.open(Open::new(version, "a"));
        peer.sent();
        peer
    }

    /// A live connection with a new session.
    pub(crate) fn live(version: Version) -> Self {
        Self::live_with(version, Properties::EMPTY)
    }

    /// A live connection whose CONNACK has these properties.
    pub(crate) fn live_with(version: Version, properties: Properties<'static>) -> Self {
        let mut peer = Self::connecting(version);
        peer.says(&connack(false, properties));
        assert!(matches!(peer.outputs()[..], [Output::Connected(_)]));
        peer
    }

    pub(crate) fn open(&mut self, open: Open) {
        self.version = open.version;
        self.give(Input::Open(Box::new(open)));
    }

    /// Cuts the connection and opens one that goes on with the session; what the machine then says is returned.
    pub(crate) fn resume(&mut self, properties: Properties<'static>) -> Vec<Packet<'static>> {
        self.give(Input::Closed);
        let mut open = Open::new(self.version, "a");
        open.clean_start = false;
        open.session_expiry_interval_secs = 100;
        self.open(open);
        self.sent();
        self.outputs();
        self.says(&connack(true, properties));
        self.sent()
    }

    pub(crate) fn give(&mut self, input: Input<'_>) {
        self.machine.handle(self.now, input);
    }

    pub(crate) fn publish(&mut self, token: u64, message: Publish) {
        self.give(Input::Publish { token, message });
    }

    pub(crate) fn acknowledge(&mut self, delivery: Delivery) {
        let reason = ReasonCode::Success;
        self.give(Input::Acknowledge { delivery, reason });
    }

    pub(crate) fn after_millis(&mut self, millis: u64) {
        self.now = self.now.plus(std::time::Duration::from_millis(millis));
        self.give(Input::Timeout);
    }

    /// The server says this.
    pub(crate) fn says(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet
            .encode(self.version, &mut bytes)
            .expect("a packet that can be written");
        self.says_bytes(&bytes);
    }

    pub(crate) fn says_bytes(&mut self, bytes: &[u8]) {
        let used = self.machine.handle(self.now, Input::Bytes(bytes));
        assert_eq!(used, bytes.len(), "whole packets are used up");
    }

    /// What the client has said since the last look: only packets that a strict server can read.
    pub(crate) fn sent(&mut self) -> Vec<Packet<'static>> {
        let bytes = self.machine.transmit().to_vec();
        self.machine.written(bytes.len());
        let mut rest = &bytes[..];
        let mut packets = Vec::new();
        while let Some(frame) = next_frame(rest, u32::MAX).expect("frames") {
            rest = &rest[frame.bytes.len()..];
            let packet = Packet::decode(self.version, Sender::Client, frame).expect("a packet");
            packets.push(packet.into_owned());
        }
        assert!(rest.is_empty(), "half a packet: {rest:?}");
        packets
    }

    pub(crate) fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.machine.poll_output()).collect()
    }

    /// The messages among the outputs, with what acknowledges them.
    pub(crate) fn messages(&mut self) -> Vec<(Message, Option<Delivery>)> {
        let outputs = self.outputs().into_iter();
        outputs
            .filter_map(|output| match output {
                Output::Message { message, delivery } => Some((message, delivery)),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn payloads(&mut self) -> Vec<String> {
        let text = |(message, _): (Message, _)| message.text().map(str::to_owned);
        self.messages().into_iter().filter_map(text).collect()
    }

    /// Why the connection ended; `None` if it has not.
    pub(crate) fn ended(&mut self) -> Option<Cause> {
        self.outputs().into_iter().find_map(|output| match output {
            Output::Ended(cause) => Some(cause),
            _ => None,
        })
    }
}

pub(crate) fn properties(all: &[Property<'_>]) -> Properties<'static> {
    let mut properties = Properties::EMPTY;
    for property in all {
        properties.push(*property).expect("a property");
    }
    properties
}

pub(crate) fn publishes(packets: &[Packet<'_>]) -> Vec<(u16, bool, String)> {
    let publish = |packet: &Packet<'_>| match packet {
        Packet::Publish(publish) => Some((
            publish.packet_id.map_or(0, PacketId::get),
            publish.dup,
            String::from_utf8_lossy(&publish.payload).into_owned(),
        )),
        _ => None,
    };
    packets.iter().filter_map(publish).collect()
}
