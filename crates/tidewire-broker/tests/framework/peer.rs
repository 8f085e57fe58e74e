//! A client that speaks packets over any stream, and brokers for it.

use std::io::{Read, Write};
use std::time::Duration;
use tidewire_broker::{Broker, BrokerBuilder, Settings};
use tidewire_codec::frame::next_frame;
use tidewire_codec::{
    Connect, Packet, PacketId, Properties, Publish, Qos, ReasonCode, Sender, Subscribe,
    Subscription, SubscriptionOptions, Version,
};
use tidewire_net::BlockingPipe;

/// Whatever takes longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Two workers, nothing that comes by itself.
pub(crate) fn settings() -> Settings {
    Settings {
        workers: 2,
        sys_interval_secs: 0,
        ..Settings::default()
    }
}

pub(crate) fn builder() -> BrokerBuilder {
    Broker::builder().settings(settings())
}

/// A client that knows nothing but packets.
pub(crate) struct Peer<S> {
    stream: S,
    version: Version,
    unread: Vec<u8>,
}

/// Opens a connection within the process.
pub(crate) fn open(broker: &Broker, version: Version) -> Peer<BlockingPipe> {
    let mut pipe = BlockingPipe::new(broker.handle().connect_piped().unwrap());
    pipe.set_read_timeout(Some(PATIENCE));
    Peer::over(pipe, version)
}

/// Connects, and returns the client behind its CONNACK.
pub(crate) fn enter(broker: &Broker, version: Version, client_id: &str) -> Peer<BlockingPipe> {
    let mut peer = open(broker, version);
    peer.connect(client_id);
    peer
}

impl<S: Read + Write> Peer<S> {
    pub(crate) fn over(stream: S, version: Version) -> Self {
        Self {
            stream,
            version,
            unread: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next packet.
    pub(crate) fn receive(&mut self) -> Packet<'static> {
        self.try_receive()
            .expect("the broker closed the connection")
    }

    /// The next packet, or the end of the stream.
    pub(crate) fn try_receive(&mut self) -> Option<Packet<'static>> {
        loop {
            if let Some(frame) = next_frame(&self.unread, u32::MAX).unwrap() {
                let length = frame.bytes.len();
                let packet = Packet::decode(self.version, Sender::Server, frame).unwrap();
                let packet = packet.into_owned();
                self.unread.drain(..length);
                return Some(packet);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("nothing came: {error}"),
            }
        }
    }

    pub(crate) fn connect(&mut self, client_id: &str) {
        let packet = connect(self.version, client_id);
        self.send(&Packet::Connect(packet));
        match self.receive() {
            Packet::ConnAck(connack) => assert_eq!(connack.reason, ReasonCode::Success),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str, qos: Qos, id: u16) {
        self.send(&Packet::Publish(publish(topic, payload, qos, id)));
    }

    /// Subscribes and returns what SUBACK says.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: Qos) -> ReasonCode {
        self.send(&Packet::Subscribe(subscribe(&[filter], qos)));
        match self.receive() {
            Packet::SubAck(suback) => suback.reasons[0],
            other => panic!("{other:?}"),
        }
    }

    /// The next packet, which is a PUBLISH: topic and payload.
    pub(crate) fn message(&mut self) -> (String, String) {
        let publish = self.received_publish();
        let payload = String::from_utf8_lossy(&publish.payload).into_owned();
        (publish.topic.into_owned(), payload)
    }

    pub(crate) fn received_publish(&mut self) -> Publish<'static> {
        match self.receive() {
            Packet::Publish(publish) => publish,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until everything that was sent before has been dealt with.
    pub(crate) fn ping(&mut self) {
        self.send(&Packet::PingReq);
        assert_eq!(self.receive(), Packet::PingResp);
    }
}

pub(crate) fn connect(version: Version, client_id: &str) -> Connect<'static> {
    Connect {
        version,
        clean_start: true,
        keep_alive_secs: 0,
        properties: Properties::EMPTY,
        client_id: client_id.to_owned().into(),
        will: None,
        username: None,
        password: None,
    }
}

pub(crate) fn publish(topic: &str, payload: &str, qos: Qos, id: u16) -> Publish<'static> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: topic.to_owned().into(),
        packet_id: PacketId::new(id).filter(|_| qos != Qos::AtMostOnce),
        properties: Properties::EMPTY,
        payload: payload.as_bytes().to_vec().into(),
    }
}

pub(crate) fn subscribe(filters: &[&str], qos: Qos) -> Subscribe<'static> {
    let options = SubscriptionOptions {
        qos,
        ..SubscriptionOptions::default()
    };
    let subscription = |filter: &&str| Subscription {
        filter: filter.to_string().into(),
        options,
    };
    Subscribe {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        filters: filters.iter().map(subscription).collect(),
    }
}
