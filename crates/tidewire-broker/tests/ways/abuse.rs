//! Strangers and clumsy clients: closed, counted, and nobody else notices.

use crate::peer::{House, connect_packet, drain, exchange};
use std::io::{Read as _, Write as _};
use tidewire_broker::ListenerSettings;
use tungstenite::Message;

const CONNACK: &[u8] = b"\x20\x02\x00\x00";

fn hurried(settings: &mut ListenerSettings) {
    settings.handshake_timeout_secs = 1;
}

#[test]
fn slow_handshakes_are_cut_and_counted() {
    let house = House::with(hurried);
    // Nothing; the head of a TLS record that never ends; half a request.
    for (way, start) in [
        ("tls", b"".as_slice()),
        ("tls", b"\x16\x03\x01\x02\x00\x01\x00"),
        ("ws", b"GET /mqtt HTTP/1.1\r\nHost: h\r\n"),
        ("wss", b""),
    ] {
        let before = house.figures(way).failed_handshakes;
        let mut stream = house.bare(way);
        stream.write_all(start).unwrap();
        assert_eq!(drain(&mut stream), b"");
        house.wait_for(way, |figures| {
            figures.failed_handshakes == before + 1 && figures.connections == 0
        });
    }
}

#[test]
fn what_is_no_handshake_is_refused_with_words_of_its_own_protocol() {
    let house = House::new();
    let mut stream = house.bare("tls");
    stream.write_all(&connect_packet("a")).unwrap();
    assert_eq!(drain(&mut stream).first(), Some(&21), "an alert");
    let mut stream = house.bare("ws");
    stream.write_all(&connect_packet("a")).unwrap();
    assert!(drain(&mut stream).starts_with(b"HTTP/1.1 400 "));
    // An upgrade without key.
    let mut stream = house.bare("ws");
    stream
        .write_all(
            b"GET /mqtt HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n",
        )
        .unwrap();
    let answer = String::from_utf8(drain(&mut stream)).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("Sec-WebSocket-Key"),
        "{answer}"
    );
    house.wait_for("ws", |figures| {
        figures.failed_handshakes == 2 && figures.connections == 0
    });
    house.wait_for("tls", |figures| figures.failed_handshakes == 1);
}

/// A request that does not end is refused at its bound, not kept.
#[test]
fn an_endless_request_is_refused() {
    let house = House::new();
    let mut stream = house.bare("ws");
    let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 20_000]].concat();
    stream.write_all(&endless).unwrap();
    assert!(drain(&mut stream).starts_with(b"HTTP/1.1 431 "));
}

/// Whatever is not binary ends the connection: [5.0 MQTT-6.0.0-1]
#[test]
fn a_text_frame_ends_the_connection_of_its_sender_alone() {
    let house = House::new();
    let mut healthy = house.connect("ws");
    exchange(&mut *healthy, &connect_packet("healthy"), CONNACK);
    let mut clumsy = crate::peer::web_socket(house.bare("ws"));
    exchange(&mut clumsy, &connect_packet("clumsy"), CONNACK);
    clumsy.socket.send(Message::text("hello")).unwrap();
    let closed = clumsy.socket.read().unwrap();
    let Message::Close(Some(frame)) = closed else {
        panic!("{closed:?}");
    };
    assert_eq!(u16::from(frame.code), 1003);
    exchange(&mut *healthy, b"\xC0\x00", b"\xD0\x00");
    house.wait_for("ws", |figures| figures.connections == 1);
}

#[test]
fn pings_are_answered_and_a_close_is_returned() {
    let house = House::new();
    let mut client = crate::peer::web_socket(house.bare("ws"));
    exchange(&mut client, &connect_packet("a"), CONNACK);
    client.socket.send(Message::Ping("x".into())).unwrap();
    assert_eq!(client.socket.read().unwrap(), Message::Pong("x".into()));
    client.socket.close(None).unwrap();
    assert!(matches!(client.socket.read(), Ok(Message::Close(_))));
    house.wait_for("ws", |figures| figures.connections == 0);
}

/// A packet over the limit is refused by its header, in whatever frames it comes.
#[test]
fn an_oversized_packet_in_an_oversized_frame_is_refused_by_its_header() {
    let house = House::new();
    let mut client = crate::peer::web_socket(house.bare("ws"));
    exchange(&mut client, &connect_packet("a"), CONNACK);
    let stream = client.socket.get_mut();
    // A frame of 2^40 bytes, whose mask is zero, with a PUBLISH of 256 MiB.
    let mut bytes = vec![0x82, 0xFF, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes.extend_from_slice(b"\x30\xFF\xFF\xFF\x7F\x00\x01t");
    stream.write_all(&bytes).unwrap();
    drain(stream);
    house.wait_for("ws", |figures| figures.connections == 0);
}

/// Half a frame, half a record: nothing follows from it, and the end of the stream ends it.
#[test]
fn half_of_anything_is_no_harm() {
    let house = House::new();
    for way in ["tls", "ws", "wss"] {
        let mut client = house.bare(way);
        client.write_all(&[0x16, 3, 1]).unwrap();
        drop(client);
        house.wait_for(way, |figures| figures.connections == 0);
    }
    let mut client = crate::peer::web_socket(house.bare("ws"));
    exchange(&mut client, &connect_packet("a"), CONNACK);
    client
        .socket
        .get_mut()
        .write_all(&[0x82, 0x85, 1, 2])
        .unwrap();
    drop(client);
    house.wait_for("ws", |figures| figures.connections == 0);
}

#[test]
fn a_flood_of_handshakes_leaves_the_healthy_untouched() {
    let house = House::with(hurried);
    let mut healthy = house.connect("tls");
    exchange(&mut *healthy, &connect_packet("healthy"), CONNACK);
    let flood: Vec<_> = (0..300)
        .map(|number| {
            let mut stream = house.bare("tls");
            // A third says nothing, a third half a greeting, a third no TLS at all.
            let words = [
                b"".as_slice(),
                b"\x16\x03\x01\x02\x00\x01",
                b"POST / HTTP/1.1\r\n",
            ];
            stream.write_all(words[number % 3]).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        exchange(&mut *healthy, b"\xC0\x00", b"\xD0\x00");
    }
    let mut newcomer = house.connect("tls");
    exchange(&mut *newcomer, &connect_packet("newcomer"), CONNACK);
    house.wait_for("tls", |figures| {
        figures.failed_handshakes == 300 && figures.connections == 2
    });
    for mut stream in flood {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    exchange(&mut *healthy, b"\xC0\x00", b"\xD0\x00");
}

#[test]
fn only_trusted_proxies_come_in_and_they_name_whom_they_speak_for() {
    for (trusted, served) in [("127.0.0.0/8", true), ("192.0.2.0/24", false)] {
        let house = House::with(|settings| {
            settings.trusted_proxies = Some(vec![trusted.parse().unwrap()]);
        });
        for way in ["tcp", "tls", "ws"] {
            let mut stream = house.bare(way);
            let header = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 1883\r\n";
            let sent = stream.write_all(header);
            if !served {
                drop(sent);
                drain(&mut stream);
                house.wait_for(way, |figures| {
                    figures.refused_strangers == 1 && figures.connections == 0
                });
                continue;
            }
            sent.unwrap();
            let mut client: Box<dyn crate::peer::Stream> = match way {
                "tls" => Box::new(crate::peer::handshake(stream, house.trust()).unwrap()),
                "ws" => Box::new(crate::peer::web_socket(stream)),
                _ => Box::new(stream),
            };
            exchange(&mut *client, &connect_packet(way), CONNACK);
            let page = house.broker.handle().clients(None, 100).unwrap();
            let row = page.rows.iter().find(|row| &*row.client_id == way).unwrap();
            let peer = row.peer.as_ref().unwrap();
            assert_eq!(&*peer.address, "203.0.113.9:4711", "{way}");
            let proxy = peer.way.as_ref().unwrap().proxy.as_deref();
            assert!(proxy.unwrap().starts_with("127.0.0.1:"), "{way}");
        }
        if served {
            let mut stranger = house.bare("tcp");
            stranger.write_all(&connect_packet("a")).unwrap();
            assert_eq!(drain(&mut stranger), b"");
            house.wait_for("tcp", |figures| figures.failed_handshakes == 1);
        }
    }
}
