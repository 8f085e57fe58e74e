//! Layers as their peers see them: a TLS client of the same library, a WebSocket client of another one, and bytes by hand.

use rustls_pki_types::pem::PemObject as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewire_net::{
    Layer, LayerFacts, LayerState, MaterialFault, TlsServer, TlsSettings, WebSocketLayer,
    WebSocketSettings,
};

/// Certificate and key of a name, in files.
fn identity(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (cert, key) = (
        folder.join(format!("{name}.pem")),
        folder.join(format!("{name}.key")),
    );
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (cert, key)
}

fn server(folder: &Path, names: &[&str]) -> TlsServer {
    let (cert_files, key_files) = names.iter().map(|name| identity(folder, name)).unzip();
    TlsServer::load(&TlsSettings {
        cert_files,
        key_files,
        ..TlsSettings::default()
    })
    .unwrap()
}

fn client(trusted: &Path, name: &str) -> rustls::ClientConnection {
    let mut roots = rustls::RootCertStore::empty();
    let ca = rustls_pki_types::CertificateDer::from_pem_file(trusted).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    rustls::ClientConnection::new(Arc::new(config), name.to_owned().try_into().unwrap()).unwrap()
}

/// Carries bytes between client and layer, in pieces of `piece` bytes, until nobody has anything to say.
fn converse(
    client: &mut rustls::ClientConnection,
    layer: &mut dyn Layer,
    piece: usize,
) -> (LayerState, Vec<u8>) {
    let (mut state, mut plain) = (LayerState::Handshake, Vec::new());
    loop {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        if wire.is_empty() {
            return (state, plain);
        }
        let mut reply = Vec::new();
        for piece in wire.chunks_mut(piece) {
            state = layer.receive(piece, &mut plain, &mut reply).unwrap();
        }
        let mut reply = &reply[..];
        while !reply.is_empty() {
            client.read_tls(&mut reply).unwrap();
            client.process_new_packets().unwrap();
        }
    }
}

#[test]
fn tls_carries_bytes_both_ways_in_pieces_of_any_size() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &["a.example"]);
    for piece in [1, 7, 100_000] {
        let mut layer = server.layer().unwrap();
        let mut client = client(&folder.path().join("a.example.pem"), "a.example");
        let (state, plain) = converse(&mut client, &mut layer, piece);
        assert_eq!((state, plain.len()), (LayerState::Open, 0));

        let sent: Vec<u8> = (0..50_000_u32).map(|number| number as u8).collect();
        client.writer().write_all(&sent).unwrap();
        assert_eq!(converse(&mut client, &mut layer, piece).1, sent);

        let mut wire = Vec::new();
        layer.send(&sent, &mut wire);
        layer.finish(&mut wire);
        let (mut wire, mut got) = (&wire[..], Vec::new());
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets().unwrap();
            let _ = client.reader().read_to_end(&mut got);
        }
        // The end without an error: close_notify has come.
        assert_eq!(client.reader().read(&mut [0]).unwrap(), 0);
        assert_eq!(got, sent);
    }
}

#[test]
fn the_name_asked_for_chooses_the_certificate_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &["a.example", "b.example"]);
    for name in ["b.example", "a.example"] {
        let mut layer = server.layer().unwrap();
        // The client trusts the certificate of its name only.
        let mut client = client(&folder.path().join(format!("{name}.pem")), name);
        assert_eq!(converse(&mut client, &mut layer, 4096).0, LayerState::Open);
        let mut facts = LayerFacts::default();
        layer.tell(&mut facts);
        let facts = facts.tls.unwrap();
        assert_eq!(facts.server_name.as_deref(), Some(name));
        assert_eq!(&*facts.version, "TLSv1.3");
        assert!(facts.cipher.starts_with("TLS13_"), "{}", facts.cipher);
    }
}

#[test]
fn what_is_not_tls_is_answered_with_an_alert_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut layer = server(folder.path(), &["a"]).layer().unwrap();
    let (mut plain, mut reply) = (Vec::new(), Vec::new());
    let mut connect = *b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a";
    let error = layer
        .receive(&mut connect, &mut plain, &mut reply)
        .unwrap_err();
    assert!(error.text.contains("plain MQTT"), "{error}");
    assert_eq!(reply.first(), Some(&21), "an alert record");
    assert!(plain.is_empty());
}

/// Damaged handshakes in pieces, and what follows them, never panic and never open.
#[test]
fn damaged_handshakes_end_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), &["a.example"]);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % below
    };
    for round in 0..2000 {
        let mut layer = server.layer().unwrap();
        let mut client = client(&folder.path().join("a.example.pem"), "a.example");
        if round % 2 == 0 {
            let _ = converse(&mut client, &mut layer, 1 + next(600));
            client.writer().write_all(&[7; 100]).unwrap();
        }
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        for _ in 0..=next(3) {
            let at = next(wire.len());
            match next(4) {
                0 => wire[at] ^= 1 << next(8),
                1 => wire.truncate(at + 1),
                // A handshake record that is not finished, as it may come at any time.
                2 => wire
                    .splice(..0, [22, 3, 3, 0, 4, 1, 0, 2, 0])
                    .for_each(drop),
                _ => wire.extend_from_slice(&[22, 3, 3, 0, 2, 24, 0]),
            }
        }
        let (mut plain, mut reply) = (Vec::new(), Vec::new());
        for piece in wire.chunks_mut(1 + next(300)) {
            if let Err(error) = layer.receive(piece, &mut plain, &mut reply) {
                assert!(!error.text.contains("panicked"), "round {round}: {error}");
                break;
            }
            if round % 2 == 0 {
                layer.send(b"in between", &mut reply);
            }
        }
        layer.finish(&mut reply);
    }
}

/// A faulty file, and what the message about it must say.
type Faulty = (&'static str, fn(&MaterialFault) -> bool, &'static str);

#[test]
fn unusable_files_are_named_with_their_fault() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (cert, key) = identity(folder.path(), "a");
    let (_, other_key) = identity(folder.path(), "b");
    let dated = |name: &str, from: i32, to: i32| {
        let mut params = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(to, 1, 1);
        let key = rcgen::KeyPair::from_pem(&std::fs::read_to_string(path("a.key")).unwrap());
        let made = params.self_signed(&key.unwrap()).unwrap();
        std::fs::write(path(name), made.pem()).unwrap();
    };
    dated("old.pem", 2001, 2002);
    dated("new.pem", 2090, 2091);
    std::fs::write(path("empty"), "").unwrap();
    let faulty: [Faulty; 6] = [
        (
            "missing",
            |fault| matches!(fault, MaterialFault::Unreadable(_)),
            "does not exist",
        ),
        (
            "empty",
            |fault| matches!(fault, MaterialFault::NoCertificate),
            "no certificate",
        ),
        (
            "a.key",
            |fault| matches!(fault, MaterialFault::NoCertificate),
            "no certificate",
        ),
        (
            "old.pem",
            |fault| matches!(fault, MaterialFault::Expired { .. }),
            "expired on",
        ),
        (
            "new.pem",
            |fault| matches!(fault, MaterialFault::NotYetValid { .. }),
            "clock",
        ),
        (
            "b.pem",
            |fault| matches!(fault, MaterialFault::WrongKey { .. }),
            "is not the key of",
        ),
    ];
    let load = |cert: PathBuf, key: PathBuf| {
        TlsServer::load(&TlsSettings {
            cert_files: vec![cert],
            key_files: vec![key],
            ..TlsSettings::default()
        })
    };
    for (file, is_it, words) in faulty {
        let error = load(path(file), key.clone()).unwrap_err();
        assert!(is_it(&error.fault), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(load(cert.clone(), key).is_ok());
    let error = load(cert.clone(), other_key).unwrap_err();
    assert!(
        matches!(error.fault, MaterialFault::WrongKey { .. }),
        "{error}"
    );
    let error = load(cert.clone(), cert).unwrap_err();
    assert!(matches!(error.fault, MaterialFault::NoKey), "{error}");
}

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn upgrade(path: &str, headers: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
    .into_bytes()
}

fn web_socket() -> WebSocketLayer {
    WebSocketLayer::new(Arc::new(WebSocketSettings {
        origins: vec!["https://app.example".into()],
        ..WebSocketSettings::default()
    }))
}

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(long).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.into_iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// [3.1.1 MQTT-6.0.0-4] [5.0 MQTT-6.0.0-4]
#[test]
fn an_upgrade_is_answered_with_the_key_and_the_protocol_that_was_asked_for() {
    for (path, offered, chosen) in [
        ("/", "mqtt", "mqtt"),
        ("/mqtt", "mqtt", "mqtt"),
        ("/mqtt?token=1", "chat, mqttv3.1", "mqttv3.1"),
        ("/mqtt", "mqttv3.1, mqtt", "mqtt"),
    ] {
        let mut layer = web_socket();
        let (mut plain, mut reply) = (Vec::new(), Vec::new());
        let mut request = upgrade(path, &format!("{KEY}Sec-WebSocket-Protocol: {offered}\r\n"));
        let last = request.len() - 1;
        let (start, end) = request.split_at_mut(last);
        assert_eq!(
            layer.receive(start, &mut plain, &mut reply),
            Ok(LayerState::Handshake)
        );
        assert!(reply.is_empty());
        assert_eq!(
            layer.receive(end, &mut plain, &mut reply),
            Ok(LayerState::Open)
        );
        let reply = String::from_utf8(reply).unwrap();
        // The example of RFC 6455 1.3.
        assert!(
            reply.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{reply}"
        );
        assert!(
            reply.contains(&format!("Sec-WebSocket-Protocol: {chosen}\r\n")),
            "{reply}"
        );
    }
}

#[test]
fn requests_that_are_no_upgrade_get_an_answer_of_http() {
    let protocol = "Sec-WebSocket-Protocol: mqtt\r\n";
    let long = format!("X: {}\r\n", "x".repeat(9000));
    for (status, request) in [
        ("404", upgrade("/other", &format!("{KEY}{protocol}"))),
        ("400", upgrade("/mqtt", protocol)),
        (
            "400",
            upgrade("/mqtt", &format!("Sec-WebSocket-Key: short\r\n{protocol}")),
        ),
        ("400", upgrade("/mqtt", KEY)),
        (
            "400",
            upgrade("/mqtt", &format!("{KEY}Sec-WebSocket-Protocol: chat\r\n")),
        ),
        (
            "403",
            upgrade(
                "/mqtt",
                &format!("{KEY}{protocol}Origin: https://evil.example\r\n"),
            ),
        ),
        ("431", upgrade("/mqtt", &format!("{KEY}{protocol}{long}"))),
        ("431", vec![b'G'; 9000]),
        ("426", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        ("405", b"POST / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec()),
        (
            "400",
            b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a".to_vec(),
        ),
    ] {
        let mut request = request;
        let mut reply = Vec::new();
        let result = web_socket().receive(&mut request, &mut Vec::new(), &mut reply);
        assert!(result.is_err(), "{status}");
        let reply = String::from_utf8(reply).unwrap();
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {status} ")),
            "{status}: {reply}"
        );
    }
    let mut allowed = upgrade(
        "/mqtt",
        &format!("{KEY}{protocol}Origin: https://app.example\r\n"),
    );
    assert_eq!(
        web_socket().receive(&mut allowed, &mut Vec::new(), &mut Vec::new()),
        Ok(LayerState::Open)
    );
}

fn open_web_socket() -> WebSocketLayer {
    let mut layer = web_socket();
    let mut request = upgrade("/", &format!("{KEY}Sec-WebSocket-Protocol: mqtt\r\n"));
    let state = layer.receive(&mut request, &mut Vec::new(), &mut Vec::new());
    assert_eq!(state, Ok(LayerState::Open));
    layer
}

/// Packets need not end where frames do: [3.1.1 MQTT-6.0.0-2] [5.0 MQTT-6.0.0-2]
#[test]
fn payloads_pass_whatever_the_frames_and_the_pieces_they_come_in() {
    let long: Vec<u8> = (0..70_000_u32).map(|number| number as u8).collect();
    let mut wire = frame(0x82, b"one");
    wire.extend(frame(0x02, b"t"));
    wire.extend(frame(0x89, b"ping"));
    wire.extend(frame(0x00, b"w"));
    wire.extend(frame(0x80, b"o"));
    wire.extend(frame(0x82, b""));
    wire.extend(frame(0x8A, b"unasked"));
    for part in long.chunks(60_000) {
        wire.extend(frame(0x82, part));
    }
    let mut expected = b"onetwo".to_vec();
    expected.extend_from_slice(&long);
    for piece in [1, 2, 3, 5, 1000, usize::MAX] {
        let mut layer = open_web_socket();
        let (mut plain, mut reply) = (Vec::new(), Vec::new());
        for piece in wire.clone().chunks_mut(piece) {
            assert_eq!(
                layer.receive(piece, &mut plain, &mut reply),
                Ok(LayerState::Open)
            );
        }
        assert!(plain == expected, "pieces of {piece}");
        assert_eq!(reply, b"\x8A\x04ping");
    }
}

/// A frame that is not binary ends the connection: [3.1.1 MQTT-6.0.0-1] [5.0 MQTT-6.0.0-1]
#[test]
fn broken_rules_are_answered_with_a_close_frame() {
    let unmasked = vec![0x82, 3, b'o', b'n', b'e'];
    let huge = [&[0x82, 0xFF], &[0xFF_u8; 8][..], &[0; 4]].concat();
    let padded = vec![0x82, 0xFE, 0, 5, 0, 0, 0, 0];
    for (code, wire) in [
        (1003_u16, frame(0x81, b"text")),
        (1002, unmasked),
        (1002, huge),
        (1002, padded),
        (1002, frame(0xC2, b"compressed")),
        (1002, frame(0x80, b"continuation of nothing")),
        (1002, [frame(0x02, b"a"), frame(0x82, b"b")].concat()),
        (1002, frame(0x83, b"unknown")),
        (1002, frame(0x09, b"ping in pieces")),
        (1002, frame(0x89, &[0; 126])),
        (1002, frame(0x88, b"x")),
    ] {
        let mut wire = wire;
        let (mut plain, mut reply) = (Vec::new(), Vec::new());
        let result = open_web_socket().receive(&mut wire, &mut plain, &mut reply);
        assert!(result.is_err(), "{wire:?}");
        assert_eq!(&reply[..2], b"\x88\x02");
        assert_eq!(reply[2..], code.to_be_bytes());
    }
    let mut reply = Vec::new();
    let mut close = frame(0x88, &1001_u16.to_be_bytes());
    let state = open_web_socket().receive(&mut close, &mut Vec::new(), &mut reply);
    assert_eq!(state, Ok(LayerState::Finished));
    assert_eq!(reply, b"\x88\x02\x03\xE9");
}

#[test]
fn what_is_sent_is_one_binary_frame_of_the_shortest_form() {
    for (length, header) in [
        (5, b"\x82\x05".to_vec()),
        (126, b"\x82\x7E\x00\x7E".to_vec()),
        (65_535, b"\x82\x7E\xFF\xFF".to_vec()),
        (65_536, b"\x82\x7F\x00\x00\x00\x00\x00\x01\x00\x00".to_vec()),
    ] {
        let mut wire = Vec::new();
        open_web_socket().send(&vec![7; length], &mut wire);
        assert_eq!(wire[..header.len()], header);
        assert_eq!(wire.len(), header.len() + length);
    }
}
