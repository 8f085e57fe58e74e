//! What must hold for any bytes in front of MQTT. The fuzz targets call these functions, and so does the test that replays the corpora.

use std::sync::{Arc, OnceLock};
use tidewire_net::{
    Layer, LayerFacts, LayerState, ProxyIdentity, ProxyLayer, TlsServer, TlsSettings,
    WebSocketLayer, WebSocketSettings,
};

/// A server, and what its clients trust; made once, since a key takes its time.
struct House {
    server: TlsServer,
    client: Arc<rustls::ClientConfig>,
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("tidewire-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        let server = TlsServer::load(&TlsSettings {
            cert_files: vec![cert],
            key_files: vec![key],
            ..TlsSettings::default()
        });
        let _ = std::fs::remove_dir_all(&folder);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        House {
            server: server.expect("a server"),
            client: Arc::new(client),
        }
    })
}

/// Whatever comes in whatever pieces, and whenever the server speaks: the library under the layer never panics, and nothing of the
/// protocol comes out of a handshake that is not done. The input is a list of steps, three bytes each.
pub fn tls(input: &[u8]) {
    let house = house();
    let mut layer = house.server.layer().expect("a layer");
    let name = "localhost".try_into().expect("a name");
    let mut client =
        rustls::ClientConnection::new(Arc::clone(&house.client), name).expect("a client");
    let (mut wire, mut plain, mut reply) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_open = false;
    for step in input.chunks_exact(3) {
        let (what, count) = (step[0], usize::from(step[1]) * 4 + 1);
        match what % 8 {
            // The client reads what the server has sent, and says what it has to say.
            0 | 1 => {
                let mut got = reply.as_slice();
                while !got.is_empty() && client.read_tls(&mut got).is_ok_and(|count| count > 0) {
                    let _ = client.process_new_packets();
                }
                reply.clear();
                let _ = client.write_tls(&mut wire);
            }
            2 => drop(std::io::Write::write(
                &mut client.writer(),
                &vec![step[2]; count],
            )),
            3 => wire.extend(std::iter::repeat_n(step[2], count)),
            // The head of a record, of any kind and length.
            4 => wire.extend_from_slice(&[20 + step[1] % 5, 3, 3, step[2] >> 2, step[2]]),
            5 if !wire.is_empty() => {
                let at = count % wire.len();
                wire[at] ^= step[2];
            }
            6 if is_open => layer.send(&vec![step[2]; count], &mut reply),
            _ => {
                let taken = wire.len().min(count);
                let mut piece: Vec<u8> = wire.drain(..taken).collect();
                match layer.receive(&mut piece, &mut plain, &mut reply) {
                    Ok(state) => {
                        is_open = state == LayerState::Open;
                        assert!(plain.is_empty() || state != LayerState::Handshake);
                    }
                    Err(error) => {
                        assert!(!error.text.contains("panicked"), "{error}");
                        break;
                    }
                }
            }
        }
    }
    layer.finish(&mut reply);
}

/// Requests, frames and headers of proxies: never a panic, and the same bytes in pieces come to the same end.
pub fn web_socket(input: &[u8]) {
    let settings = Arc::new(WebSocketSettings::default());
    let Some((&step, input)) = input.split_first() else {
        return;
    };
    let request: &[u8] = b"GET /mqtt HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    let framed = [request, input].concat();
    let step = usize::from(step) + 1;
    for stream in [input, &framed] {
        let whole = through(
            WebSocketLayer::new(Arc::clone(&settings)),
            stream,
            stream.len().max(1),
        );
        let pieces = through(WebSocketLayer::new(Arc::clone(&settings)), stream, step);
        assert_eq!(whole, pieces);
    }
    let proxy = || ProxyLayer::new(ProxyIdentity::Believed);
    let whole = through(proxy(), input, input.len().max(1));
    // Behind a header that is refused nothing is read, however much has come by then.
    if whole.1 {
        assert_eq!(whole, through(proxy(), input, step));
    } else {
        through(proxy(), input, step);
    }
}

/// What comes out of a layer that gets a stream in pieces, and whether it ended well.
fn through(mut layer: impl Layer, stream: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let (mut plain, mut reply) = (Vec::new(), Vec::new());
    let mut state = LayerState::Handshake;
    for bytes in stream.chunks(piece) {
        match state {
            LayerState::Finished | LayerState::Answered => break,
            LayerState::Transparent => plain.extend_from_slice(bytes),
            LayerState::Handshake | LayerState::Open => {
                match layer.receive(&mut bytes.to_vec(), &mut plain, &mut reply) {
                    Ok(next) => state = next,
                    Err(_) => return (plain, false),
                }
            }
        }
    }
    layer.tell(&mut LayerFacts::default());
    layer.finish(&mut reply);
    (plain, true)
}
