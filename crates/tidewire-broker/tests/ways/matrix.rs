//! What clients do, on every transport.

use crate::peer::{House, WAYS, connect_packet, drain, exchange};
use std::io::{Read as _, Write as _};

const CONNACK: &[u8] = b"\x20\x02\x00\x00";
const SUBSCRIBE_T: &[u8] = b"\x82\x06\x00\x01\x00\x01t\x02";
const SUBACK_T: &[u8] = b"\x90\x03\x00\x01\x02";

fn publish(qos: u8, id: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = b"\x00\x01t".to_vec();
    if qos > 0 {
        body.extend_from_slice(&[0, id]);
    }
    body.extend_from_slice(payload);
    let mut packet = vec![0x30 | qos << 1];
    let mut left = body.len();
    loop {
        let digit = (left & 0x7F) as u8;
        left >>= 7;
        packet.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(&body);
    packet
}

#[test]
fn every_action_has_the_same_result_on_every_transport() {
    let house = House::new();
    for way in WAYS {
        let mut client = house.connect(way);
        let client = &mut *client;
        exchange(client, &connect_packet(way), CONNACK);
        exchange(client, b"\xC0\x00", b"\xD0\x00");
        exchange(client, SUBSCRIBE_T, SUBACK_T);
        exchange(client, &publish(0, 0, b"zero"), &publish(0, 0, b"zero"));
        let answer = [b"\x40\x02\x00\x05".to_vec(), publish(1, 1, b"one")].concat();
        let mut got = vec![0; answer.len()];
        client.write_all(&publish(1, 5, b"one")).unwrap();
        client.read_exact(&mut got).unwrap();
        // Acknowledgement and delivery may come in either order.
        let turned = [publish(1, 1, b"one"), b"\x40\x02\x00\x05".to_vec()].concat();
        assert!(got == answer || got == turned, "{way}: {got:?}");
        client.write_all(b"\x40\x02\x00\x01").unwrap();
        client.write_all(&publish(2, 6, b"two")).unwrap();
        let mut got = vec![0; 4 + publish(2, 2, b"two").len()];
        client.read_exact(&mut got).unwrap();
        assert!(
            got.windows(4).any(|part| part == b"\x50\x02\x00\x06"),
            "{way}: {got:?}"
        );
        assert!(got.windows(3).any(|part| part == b"two"), "{way}: {got:?}");
        exchange(client, b"\x62\x02\x00\x06", b"\x70\x02\x00\x06");
        exchange(client, b"\xA2\x05\x00\x02\x00\x01t", b"\xB0\x02\x00\x02");
        client.write_all(b"\xE0\x00").unwrap();
        assert_eq!(drain(client), b"", "{way}: the server closes");
    }
}

/// More than one record, frame, chunk, read buffer or socket buffer holds.
#[test]
fn large_messages_pass_whole_between_any_two_transports() {
    let house = House::new();
    let payload: Vec<u8> = (0..1_000_000_u32)
        .map(|number| (number * 7) as u8)
        .collect();
    let message = publish(0, 0, &payload);
    for way in WAYS {
        let mut receiver = house.connect(way);
        exchange(&mut *receiver, &connect_packet("receiver"), CONNACK);
        exchange(
            &mut *receiver,
            b"\x82\x06\x00\x01\x00\x01t\x00",
            b"\x90\x03\x00\x01\x00",
        );
        for from in WAYS {
            let mut sender = house.connect(from);
            exchange(&mut *sender, &connect_packet("sender"), CONNACK);
            let part = message.len() / 3;
            std::thread::scope(|scope| {
                let sending = scope.spawn(|| {
                    for piece in message.chunks(part) {
                        sender.write_all(piece).unwrap();
                        sender.flush().unwrap();
                    }
                });
                let mut got = vec![0; message.len()];
                receiver.read_exact(&mut got).unwrap();
                assert!(got == message, "{from} to {way}");
                sending.join().unwrap();
            });
        }
    }
}

/// Packets end anywhere in frames, records and segments: [3.1.1 MQTT-6.0.0-2]
#[test]
fn packets_may_be_split_and_merged_in_any_way() {
    let house = House::new();
    for way in WAYS {
        let mut client = house.connect(way);
        let mut bytes = connect_packet(way);
        bytes.extend_from_slice(SUBSCRIBE_T);
        bytes.extend_from_slice(b"\xC0\x00\xC0\x00");
        for byte in &bytes {
            client.write_all(&[*byte]).unwrap();
            client.flush().unwrap();
        }
        let mut got = vec![0; 4 + 5 + 4];
        client.read_exact(&mut got).unwrap();
        assert_eq!(
            got,
            [CONNACK, SUBACK_T, b"\xD0\x00\xD0\x00"].concat(),
            "{way}"
        );
        exchange(
            &mut *client,
            b"\xC0\x00\xA2\x05\x00\x02\x00\x01t\xC0\x00",
            b"\xD0\x00\xB0\x02\x00\x02\xD0\x00",
        );
    }
}

#[test]
fn a_session_moves_from_transport_to_transport() {
    let house = House::new();
    let mut connect = connect_packet("wanderer");
    connect[9] = 0; // no Clean Session
    let mut present = 0;
    for way in WAYS.iter().chain(&WAYS) {
        let mut client = house.connect(way);
        exchange(&mut *client, &connect, &[0x20, 2, present, 0]);
        exchange(&mut *client, SUBSCRIBE_T, SUBACK_T);
        present = 1;
    }
}

/// What a plain HTTP client gets.
fn get(house: &House, way: &str, request: &str) -> String {
    let stream = house.bare(way);
    let mut stream: Box<dyn crate::peer::Stream> = match way {
        "ws" => Box::new(stream),
        _ => Box::new(crate::peer::handshake(stream, house.trust()).unwrap()),
    };
    stream.write_all(request.as_bytes()).unwrap();
    stream.flush().unwrap();
    String::from_utf8(drain(&mut *stream)).unwrap()
}

#[test]
fn pages_and_mqtt_share_a_port() {
    let site = tempfile::tempdir().unwrap();
    // More than the operating system takes at once.
    let script = "x".repeat(9_000_000);
    std::fs::write(site.path().join("index.html"), "<p>front</p>").unwrap();
    std::fs::write(site.path().join("large.js"), &script).unwrap();
    let folder = site.path().to_owned();
    let house = House::with(move |settings| {
        settings.web_socket.static_folder = Some(folder.clone());
    });
    for way in ["ws", "wss"] {
        let page = get(&house, way, "GET /?q HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(page.contains("Content-Length: 12\r\n"), "{page}");
        assert!(page.ends_with("\r\n\r\n<p>front</p>"), "{page}");
        let large = get(&house, way, "GET /large.js HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(large.ends_with(&script), "{way}: {} bytes", large.len());
        let head = get(&house, way, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        assert!(head.ends_with("nosniff\r\n\r\n"), "{head}");
        for (request, status) in [
            ("GET /none HTTP/1.1\r\n\r\n", "404 "),
            ("GET /../ways.rs HTTP/1.1\r\n\r\n", "404 "),
            ("POST / HTTP/1.1\r\n\r\n", "405 "),
        ] {
            let answer = get(&house, way, request);
            assert!(answer["HTTP/1.1 ".len()..].starts_with(status), "{answer}");
        }
        let mut client = house.connect(way);
        exchange(&mut *client, &connect_packet("a"), CONNACK);
        house.wait_for(way, |figures| {
            figures.connections == 1 && figures.failed_handshakes == 0
        });
    }
    std::fs::write(site.path().join("index.html"), "<p>new</p>").unwrap();
    let reloaded = house.broker.handle().reload_pages();
    assert_eq!(reloaded.len(), 2);
    let page = get(&house, "ws", "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(page.ends_with("<p>new</p>"), "{page}");
}

/// A reader that takes a page slowly costs neither memory nor anybody's time, and is cut at last.
#[test]
fn a_page_that_nobody_reads_holds_no_connection_for_ever() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("large.js"), "x".repeat(9_000_000)).unwrap();
    let folder = site.path().to_owned();
    let house = House::limited(
        |limits| limits.close_timeout_secs = 1,
        move |settings| {
            settings.web_socket.static_folder = Some(folder.clone());
        },
    );
    let mut lazy = house.bare("ws");
    lazy.write_all(b"GET /large.js HTTP/1.1\r\n\r\n").unwrap();
    let mut first = [0];
    lazy.read_exact(&mut first).unwrap();
    let mut healthy = house.connect("ws");
    exchange(&mut *healthy, &connect_packet("healthy"), CONNACK);
    house.wait_for("ws", |figures| figures.connections == 1);
    exchange(&mut *healthy, b"\xC0\x00", b"\xD0\x00");
}
