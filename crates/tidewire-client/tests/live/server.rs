//! Servers that a test scripts.

use tidewire_client::Version;
use tidewire_client::codec::frame::next_frame;
use tidewire_client::codec::{ConnAck, Packet, Properties, ReasonCode, Sender};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A listening socket.
pub(crate) struct Server {
    listener: TcpListener,
}

/// One accepted connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    unread: Vec<u8>,
    version: Version,
}

impl Server {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
        Self { listener }
    }

    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.listener.local_addr().expect("bound"))
    }

    pub(crate) async fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().await.expect("a connection");
        Peer {
            stream,
            unread: Vec::new(),
            version: Version::V5,
        }
    }

    /// Accepts and answers CONNECT.
    pub(crate) async fn welcome(&self, session_present: bool) -> Peer {
        let mut peer = self.accept().await;
        let Some(Packet::Connect(connect)) = peer.next().await else {
            panic!("CONNECT comes first");
        };
        peer.version = connect.version;
        peer.say(&Packet::ConnAck(ConnAck {
            session_present,
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        }))
        .await;
        peer
    }
}

impl Peer {
    pub(crate) async fn say(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.encode(self.version, &mut bytes).expect("a packet");
        // The client may have gone.
        let _ = self.stream.write_all(&bytes).await;
    }

    /// The next packet of the client; `None` once it has closed.
    pub(crate) async fn next(&mut self) -> Option<Packet<'static>> {
        loop {
            if let Some(frame) = next_frame(&self.unread, u32::MAX).expect("frames") {
                let length = frame.bytes.len();
                let packet = Packet::decode(self.version, Sender::Client, frame);
                let packet = packet.expect("a packet").into_owned();
                self.unread.drain(..length);
                return Some(packet);
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.unread.extend_from_slice(&bytes[..count]),
            }
        }
    }
}
