//! Connections that end, and what the client makes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidewire_client::codec::{ConnAck, Disconnect, Packet, Properties, Property};
use tidewire_client::protocol::SessionOrigin;
use tidewire_client::{
    Backoff, Client, Credentials, Event, OptionsError, Publish, Qos, ReasonCode, StartError,
    Subscription, Version,
};

use crate::broker::{TestBroker, VERSIONS, soon};
use crate::server::Server;

fn eager() -> Backoff {
    Backoff::jittered(Duration::from_millis(5), Duration::from_millis(50))
}

#[tokio::test]
async fn broker_that_is_down_for_two_seconds_sees_at_most_four_attempts() {
    let server = Server::bind().await;
    let _client = Client::builder(&server.url()).start().expect("options");
    let mut attempts = 0;
    let counting = async {
        loop {
            drop(server.accept().await);
            attempts += 1;
        }
    };
    let counted = tokio::time::timeout(Duration::from_secs(2), counting).await;
    assert!(counted.is_err());
    assert!((2..=4).contains(&attempts), "{attempts} attempts");
}

#[tokio::test]
async fn server_that_throws_out_right_after_connack_is_not_hammered() {
    let server = Server::bind().await;
    let _client = Client::builder(&server.url()).start().expect("options");
    let mut attempts = 0;
    let counting = async {
        loop {
            drop(server.welcome(false).await);
            attempts += 1;
        }
    };
    let counted = tokio::time::timeout(Duration::from_secs(2), counting).await;
    assert!(counted.is_err());
    assert!((2..=4).contains(&attempts), "{attempts} attempts");
}

#[tokio::test]
async fn restarted_broker_gets_the_subscriptions_back_without_code_of_the_application() {
    for version in VERSIONS {
        let broker = TestBroker::start();
        let client = broker.client().version(version).backoff(eager());
        let client = soon(client.connect()).await.expect("connected");
        let mut events = client.events();
        let mut messages = soon(client.subscribe(Subscription::new("t").qos(Qos::AtLeastOnce)))
            .await
            .expect("subscribed");
        let port = broker.stop();
        let _broker = TestBroker::on_port(port);
        loop {
            match soon(events.recv()).await.expect("an event") {
                Event::Resubscribed { refused } => {
                    assert_eq!(refused, []);
                    break;
                }
                Event::Connected(connected) => assert_eq!(connected.session, SessionOrigin::New),
                Event::Disconnected { retry_in, .. } => assert!(retry_in.is_some()),
                other => panic!("{other:?}"),
            }
        }
        let message = Publish::new("t", "back").qos(Qos::AtLeastOnce);
        soon(client.publish(message)).await.expect("accepted");
        assert_eq!(
            soon(messages.recv()).await.expect("one").text(),
            Some("back")
        );
    }
}

#[tokio::test]
async fn kept_session_is_resumed_and_its_messages_in_flight_are_sent_again() {
    let server = Server::bind().await;
    let builder = Client::builder(&server.url())
        .client_id("a")
        .backoff(eager());
    let client = builder
        .keep_session(Duration::from_secs(60))
        .start()
        .expect("options");
    let mut peer = soon(server.welcome(false)).await;
    let mut receipts = Vec::new();
    for text in ["a", "b"] {
        let message = Publish::new("t", text).qos(Qos::AtLeastOnce);
        receipts.push(client.try_publish(message).expect("accepted"));
        assert!(matches!(soon(peer.next()).await, Some(Packet::Publish(_))));
    }
    drop(peer);
    let mut peer = soon(server.welcome(true)).await;
    for (number, text) in [(1, "a"), (2, "b")] {
        let Some(Packet::Publish(publish)) = soon(peer.next()).await else {
            panic!("no PUBLISH");
        };
        assert!(publish.dup);
        assert_eq!(publish.payload, text.as_bytes());
        assert_eq!(publish.packet_id.map(|id| id.get()), Some(number));
        let ack = tidewire_client::codec::Ack::success(publish.packet_id.expect("QoS 1"));
        peer.say(&Packet::PubAck(ack)).await;
    }
    for receipt in &mut receipts {
        soon(receipt.delivered()).await.expect("delivered");
    }
}

#[tokio::test]
async fn messages_accepted_while_there_is_no_connection_are_delivered_in_order() {
    let broker = TestBroker::start();
    let port = broker.stop();
    let url = format!("mqtt://127.0.0.1:{port}");
    let client = Client::builder(&url)
        .backoff(eager())
        .start()
        .expect("options");
    let mut receipts = Vec::new();
    for number in 0..20 {
        let qos = Qos::try_from(number % 3).expect("a QoS");
        let message = Publish::new("t", number.to_string()).qos(qos);
        receipts.push(client.try_publish(message).expect("accepted"));
    }
    let broker = TestBroker::on_port(port);
    let watcher = broker.client();
    let watcher = soon(watcher.connect()).await.expect("connected");
    let _messages = soon(watcher.subscribe("t")).await.expect("subscribed");
    for receipt in &mut receipts {
        soon(receipt.delivered()).await.expect("delivered");
    }
}

#[tokio::test]
async fn refusal_for_good_is_told_at_once_and_not_repeated() {
    let server = Server::bind().await;
    let url = server.url();
    let refusing = tokio::spawn(async move {
        let mut peer = server.accept().await;
        peer.next().await;
        let packet = Packet::ConnAck(ConnAck {
            session_present: false,
            reason: ReasonCode::BadUserNameOrPassword,
            properties: Properties::EMPTY.with(Property::ReasonString("not you")),
        });
        peer.say(&packet).await;
        tokio::time::timeout(Duration::from_millis(1_500), server.accept())
            .await
            .is_err()
    });
    let error = soon(Client::builder(&url).credentials("me", "x").connect())
        .await
        .expect_err("refused");
    let StartError::Connect(cause) = &error else {
        panic!("{error}");
    };
    assert!(cause.is_permanent());
    assert!(
        error.to_string().contains("bad user name or password"),
        "{error}"
    );
    assert!(error.to_string().contains("not you"), "{error}");
    assert!(soon(refusing).await.expect("no panic"), "no second attempt");
}

#[tokio::test]
async fn servers_are_tried_in_turn() {
    let broker = TestBroker::start();
    let good = format!("mqtt://127.0.0.1:{}", broker.port);
    let builder = Client::builder("mqtt://127.0.0.1:9")
        .or_server(&good)
        .backoff(eager());
    let client = soon(builder.connect())
        .await
        .expect("connected to the second");
    assert!(client.connection().is_some());
    let nobody = Client::builder("mqtt://127.0.0.1:9").connect();
    let error = soon(nobody).await.expect_err("nobody listens");
    assert!(error.to_string().contains("mqtt://127.0.0.1:9"), "{error}");
}

#[tokio::test]
async fn credentials_are_asked_for_before_every_attempt() {
    let server = Server::bind().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let builder = Client::builder(&server.url()).backoff(eager());
    let builder = builder.credentials_with(move || {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            Ok(Credentials {
                username: Some(format!("user {number}").into()),
                password: Some(b"token"[..].into()),
            })
        }
    });
    let _client = builder.start().expect("options");
    for number in 0..3 {
        let mut peer = soon(server.accept()).await;
        let Some(Packet::Connect(connect)) = soon(peer.next()).await else {
            panic!("no CONNECT");
        };
        assert_eq!(
            connect.username.as_deref(),
            Some(&*format!("user {number}"))
        );
    }
}

#[tokio::test]
async fn redirection_is_told() {
    let server = Server::bind().await;
    let builder = Client::builder(&server.url());
    let mut events = builder.events();
    let _client = builder.start().expect("options");
    let mut peer = soon(server.welcome(false)).await;
    peer.say(&Packet::Disconnect(Disconnect {
        reason: ReasonCode::ServerMoved,
        properties: Properties::EMPTY.with(Property::ServerReference("other:1883")),
    }))
    .await;
    assert!(matches!(
        soon(events.recv()).await,
        Some(Event::Connected(_))
    ));
    let Some(Event::Redirected {
        server_reference,
        reason,
    }) = soon(events.recv()).await
    else {
        panic!("not told");
    };
    assert_eq!(
        (&*server_reference, reason),
        ("other:1883", ReasonCode::ServerMoved)
    );
}

#[tokio::test]
async fn connection_that_closes_at_any_byte_of_its_answers_is_survived() {
    let script: &[u8] = b"\x20\x02\x00\x00\x30\x04\x00\x01tx\xd0\x00";
    for cut in 0..script.len() {
        let server = Server::bind().await;
        let builder = Client::builder(&server.url())
            .version(Version::V311)
            .backoff(eager());
        let mut builder = builder;
        let mut messages = builder.route("#");
        let client = builder.start().expect("options");
        let mut peer = soon(server.accept()).await;
        soon(peer.next()).await;
        tokio::io::AsyncWriteExt::write_all(&mut peer.stream, &script[..cut])
            .await
            .expect("written");
        drop(peer);
        let mut peer = soon(server.welcome(false)).await;
        peer.say(&Packet::Publish(tidewire_client::codec::Publish {
            dup: false,
            qos: Qos::AtMostOnce,
            retain: false,
            topic: "t".into(),
            packet_id: None,
            properties: Properties::EMPTY,
            payload: b"later"[..].into(),
        }))
        .await;
        loop {
            let message = soon(messages.recv()).await.expect("a message");
            if message.text() == Some("later") {
                break;
            }
        }
        drop(client);
    }
}

#[tokio::test]
async fn options_that_cannot_be_are_named() {
    let cases = [
        (Client::builder("http://x"), "the scheme is none of"),
        (
            Client::builder("mqtt://x:99999"),
            "the port is not a number",
        ),
        (
            Client::builder("mqtt://x")
                .version(Version::V311)
                .receive_maximum(5),
            "the receive maximum exists in MQTT 5.0 only",
        ),
        (
            Client::builder("mqtt://x")
                .client_id("")
                .keep_session(Duration::from_secs(1)),
            "needs a client identifier",
        ),
    ];
    for (builder, expected) in cases {
        let error: OptionsError = builder.start().expect_err(expected);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test]
async fn dropping_the_last_handle_says_disconnect() {
    let server = Server::bind().await;
    let client = Client::builder(&server.url()).start().expect("options");
    let mut peer = soon(server.welcome(false)).await;
    soon(client.connected()).await.expect("connected");
    drop(client);
    assert!(matches!(
        soon(peer.next()).await,
        Some(Packet::Disconnect(_))
    ));
    assert!(soon(peer.next()).await.is_none());
}
