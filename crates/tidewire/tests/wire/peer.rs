//! The broker under test, and connections to it that read whole packets.

use crate::bytes::{Connect, V311, Version, publish, subscribe, text, unique_id};
use crate::support::{TestBroker, read_packet};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The variable that names another broker as `host:port`: then only what every broker must do is asked for.
const OTHER_BROKER: &str = "TIDEWIRE_WIRE_TARGET";

/// Within this time a connection that must end has ended.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for another broker, which may leave many open.
const END_TIMEOUT_OF_OTHERS: Duration = Duration::from_millis(500);

/// The broker under test: ours, or the one that `TIDEWIRE_WIRE_TARGET` names.
pub(crate) enum Target {
    Ours(TestBroker),
    Other(SocketAddr),
}

impl Target {
    /// Starts ours unless another one is named.
    pub(crate) fn start() -> Self {
        match std::env::var(OTHER_BROKER) {
            Ok(address) => Self::Other(address.parse().expect("host:port of a broker")),
            Err(_) => Self::Ours(TestBroker::start()),
        }
    }

    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Ours(_))
    }

    pub(crate) fn connect(&self) -> Peer {
        let (address, timeout) = match self {
            Self::Ours(broker) => (broker.address(), END_TIMEOUT),
            Self::Other(address) => (*address, END_TIMEOUT_OF_OTHERS),
        };
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(timeout)).expect("set");
        stream.set_nodelay(true).expect("set");
        Peer(stream)
    }

    /// A connection on which a client was admitted.
    pub(crate) fn admitted(&self, version: Version) -> Peer {
        let mut peer = self.connect();
        peer.send(&Connect::new(version).bytes());
        let connack = peer.packet().expect("a CONNACK");
        assert_eq!(
            (connack[0], connack.get(3)),
            (0x20, Some(&0)),
            "{version:?}: CONNACK with success"
        );
        peer
    }
}

/// A connection.
pub(crate) struct Peer(TcpStream);

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// The packets before the end.
    pub(crate) packets: Vec<Vec<u8>>,
    /// Whether the peer closed within the time limit.
    pub(crate) closed: bool,
}

impl Peer {
    /// Sends bytes; a connection that is already closed is no error here, the answer tells.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// The next packet as it came; `None` at the end or when none comes in time.
    pub(crate) fn packet(&mut self) -> Option<Vec<u8>> {
        let (first, body) = read_packet(&mut self.0)?;
        Some(crate::bytes::packet(first, &[&body]))
    }

    /// Sends PINGREQ and returns the packets that come before its answer; `None` if the connection ends instead.
    pub(crate) fn packets_until_ping_response(&mut self) -> Option<Vec<Vec<u8>>> {
        self.send(&[0xC0, 0]);
        let mut packets = Vec::new();
        loop {
            let packet = self.packet()?;
            if packet == [0xD0, 0] {
                return Some(packets);
            }
            packets.push(packet);
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn shut_down(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    /// Reads until the other side closes.
    pub(crate) fn end(mut self) -> End {
        let mut packets = Vec::new();
        while let Some(packet) = self.packet() {
            packets.push(packet);
        }
        let closed = match self.0.read(&mut [0]) {
            Ok(length) => length == 0,
            Err(error) => !matches!(
                error.kind(),
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
            ),
        };
        End { packets, closed }
    }
}

/// Two clients that use the broker as they should, to see that it still serves them.
pub(crate) struct HealthyPair {
    publisher: Peer,
    subscriber: Peer,
    topic: String,
}

impl HealthyPair {
    pub(crate) fn start(target: &Target) -> Self {
        let topic = format!("health/{}", unique_id());
        let mut subscriber = target.admitted(V311);
        subscriber.send(&subscribe(V311, &topic, 0));
        let suback = subscriber.packet().expect("a SUBACK");
        assert_eq!(suback, [0x90, 3, 0, 9, 0]);
        Self {
            publisher: target.admitted(V311),
            subscriber,
            topic,
        }
    }

    /// One message through the old connections, and one new connection.
    pub(crate) fn check(&mut self, target: &Target) -> Result<(), String> {
        self.publisher.send(&publish(V311, 0x02, &self.topic, 7));
        let puback = self.publisher.packet();
        if puback.as_deref() != Some(&[0x40, 2, 0, 7]) {
            return Err(format!("the healthy publisher got {puback:?}"));
        }
        let delivered = self.subscriber.packet();
        let expected = crate::bytes::packet(0x30, &[&text(&self.topic), b"x"]);
        if delivered.as_ref() != Some(&expected) {
            return Err(format!("the healthy subscriber got {delivered:?}"));
        }
        let fresh = target.admitted(V311).packets_until_ping_response();
        match fresh {
            Some(packets) if packets.is_empty() => Ok(()),
            other => Err(format!("a new client got {other:?}")),
        }
    }
}
