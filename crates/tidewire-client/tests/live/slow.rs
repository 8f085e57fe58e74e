//! An application that does not keep up.

use std::time::Duration;

use tidewire_client::codec::{Packet, PacketId, Properties, Publish};
use tidewire_client::{Client, Qos, Subscription, Version};
use tokio::io::AsyncWriteExt as _;

use crate::broker::soon;
use crate::server::Server;

const MESSAGES: usize = 10_000;
const PAYLOAD: usize = 10_000;
/// What the client may hold: its stream, what it reads ahead, and one read of its socket.
const HELD_MAX: usize = 4 * 1024 * 1024;

fn message(qos: Qos, number: usize) -> Vec<u8> {
    let packet_id = match qos {
        Qos::AtMostOnce => None,
        _ => PacketId::new((number % 65_535) as u16 + 1),
    };
    let packet = Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: "t".into(),
        packet_id,
        properties: Properties::EMPTY,
        payload: vec![b'x'; PAYLOAD].into(),
    });
    let mut bytes = Vec::new();
    packet.encode(Version::V311, &mut bytes).expect("a packet");
    bytes
}

/// Memory is what the client took off its socket and did not hand on: it must stop taking. Its own silence must not cost
/// it the connection meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_is_held_back_while_pings_go_on() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let server = Server::bind().await;
        let builder = Client::builder(&server.url()).version(Version::V311);
        let mut builder = builder.keep_alive(Duration::from_secs(1));
        let wanted = Subscription::new("t").qos(qos).capacity(100);
        let mut messages = builder.route(wanted);
        let client = builder.start().expect("options");
        let peer = soon(server.welcome(false)).await;
        let (mut from_client, mut to_client) = peer.stream.into_split();
        let flood = tokio::spawn(async move {
            for number in 0..MESSAGES {
                if to_client.write_all(&message(qos, number)).await.is_err() {
                    return;
                }
            }
            // Held open until the test has seen what it wants.
            std::future::pending::<()>().await;
        });
        // At least two pings come while nothing is taken out of the stream.
        let pings = async {
            let mut seen = 0;
            let mut bytes = [0; 4096];
            while seen < 2 {
                let count = tokio::io::AsyncReadExt::read(&mut from_client, &mut bytes).await;
                let count = count.expect("the connection lasts");
                assert!(count > 0, "the connection lasts");
                assert_eq!(&bytes[..count], b"\xc0\x00", "nothing but PINGREQ");
                seen += 1;
            }
        };
        soon(pings).await;
        let held = messages.waiting() * PAYLOAD;
        assert!((PAYLOAD..HELD_MAX).contains(&held), "{qos:?}: {held} bytes");
        for _ in 0..1_000 {
            soon(messages.recv()).await.expect("the flood goes on");
        }
        assert!(messages.waiting() * PAYLOAD < HELD_MAX);
        flood.abort();
        drop(client);
    }
}
