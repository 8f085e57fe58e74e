//! MQTT over WebSockets, against a server that the test frames as oddly as the protocol allows.

use futures_util::{SinkExt as _, StreamExt as _};
use tidewire_client::{Client, Publish, Qos, Subscription, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::broker::{TestBroker, VERSIONS, soon};

/// Frames of this many bytes: packets span them and share them.
const FRAME_BYTES: usize = 7;

#[expect(
    clippy::result_large_err,
    reason = "the signature is that of the WebSocket library"
)]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let header = |name: &str| request.headers().get(name).cloned();
    assert_eq!(request.uri().path(), "/mqtt");
    assert_eq!(header("X-Token").expect("the header"), "secret");
    let wanted = header("Sec-WebSocket-Protocol").expect("a sub-protocol");
    assert!(wanted == "mqtt" || wanted == "mqttv3.1");
    response
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", wanted);
    Ok(response)
}

async fn bridge(mut outer: WebSocketStream<TcpStream>, mut inner: TcpStream) {
    let mut bytes = [0; FRAME_BYTES];
    loop {
        tokio::select! {
            frame = outer.next() => match frame {
                Some(Ok(Message::Binary(bytes))) => {
                    inner.write_all(&bytes).await.expect("the broker reads");
                }
                Some(Ok(Message::Text(_))) => panic!("a client sends binary frames only"),
                Some(Ok(_)) => {}
                _ => return,
            },
            read = inner.read(&mut bytes) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    let frame = bytes[..count].to_vec().into();
                    outer.send(Message::Ping(Vec::new().into())).await.expect("sent");
                    outer.send(Message::Binary(frame)).await.expect("sent");
                }
            },
        }
    }
}

/// [5.0 MQTT-6.0.0-1] [5.0 MQTT-6.0.0-2] [5.0 MQTT-6.0.0-3] [3.1.1 MQTT-6.0.0-1] [3.1.1 MQTT-6.0.0-2] [3.1.1 MQTT-6.0.0-3]
#[tokio::test]
async fn packets_travel_in_binary_frames_whatever_their_borders() {
    let broker = TestBroker::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    let inner = broker.port;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let outer = accept_hdr_async(stream, agree).await.expect("a handshake");
            let inner = TcpStream::connect(("127.0.0.1", inner)).await;
            tokio::spawn(bridge(outer, inner.expect("the broker")));
        }
    });
    for version in VERSIONS {
        let builder = Client::builder(&format!("ws://127.0.0.1:{port}/mqtt")).version(version);
        let builder = builder.websocket_header("X-Token", "secret");
        let client = soon(builder.connect()).await.expect("connected");
        let wanted = Subscription::new("t").qos(Qos::ExactlyOnce);
        let mut messages = soon(client.subscribe(wanted)).await.expect("subscribed");
        for payload in ["", "short", &"long".repeat(10_000)] {
            let message = Publish::new("t", payload.to_owned()).qos(Qos::ExactlyOnce);
            soon(client.publish(message)).await.expect("accepted");
            assert_eq!(
                soon(messages.recv()).await.expect("one").text(),
                Some(payload)
            );
        }
    }
}

#[expect(
    clippy::result_large_err,
    reason = "the signature is that of the WebSocket library"
)]
fn agree_to_nothing(_: &Request, response: Response) -> Result<Response, ErrorResponse> {
    Ok(response)
}

#[tokio::test]
async fn server_without_the_sub_protocol_is_refused_in_words() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        // The client gives up over the answer; what the library makes of that is of no interest.
        let _ = accept_hdr_async(stream, agree_to_nothing).await;
    });
    let builder = Client::builder(&format!("ws://127.0.0.1:{port}"));
    let error = soon(builder.connect()).await.expect_err("refused");
    assert!(
        error.to_string().to_lowercase().contains("protocol"),
        "{error}"
    );
}

/// [5.0 MQTT-6.0.0-1] [3.1.1 MQTT-6.0.0-1]
#[tokio::test]
async fn text_frame_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let mut outer = accept_hdr_async(stream, agree).await.expect("a handshake");
        outer.next().await.expect("CONNECT").expect("a frame");
        outer
            .send(Message::Text("\u{20}\u{2}\0\0".into()))
            .await
            .expect("sent");
        outer.next().await
    });
    let builder = Client::builder(&format!("ws://127.0.0.1:{port}/mqtt"));
    let builder = builder
        .version(Version::V311)
        .websocket_header("X-Token", "secret");
    let error = soon(builder.connect()).await.expect_err("refused");
    assert!(error.to_string().contains("text frame"), "{error}");
}
