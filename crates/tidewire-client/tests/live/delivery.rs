//! Messages from one client to another, and what their publishers learn.

use std::time::Duration;

use tidewire_client::codec::{Packet, Properties};
use tidewire_client::{
    Acknowledge, Client, DeliveryError, LastWill, Listener, OfflineQos0, OnFull, OutboxLimits,
    Publish, Qos, ReasonCode, Rejection, Requester, Subscription, Version,
};
use tokio::sync::mpsc;

use crate::broker::{TestBroker, VERSIONS, soon};
use crate::server::Server;

const ALL_QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];

#[tokio::test]
async fn message_arrives_as_it_was_published_in_every_version_at_every_qos() {
    let broker = TestBroker::start();
    for version in VERSIONS {
        let client = soon(broker.client().version(version).connect())
            .await
            .expect("connected");
        for qos in ALL_QOS {
            let topic = format!("t/{version}/{qos:?}");
            let mut messages = soon(client.subscribe(Subscription::new(&topic).qos(qos)))
                .await
                .expect("subscribed");
            assert_eq!(messages.granted()[0].result, Ok(qos));
            let message = Publish::new(topic.clone(), "payload").qos(qos);
            let mut receipt = soon(client.publish(message)).await.expect("accepted");
            let delivered = soon(receipt.delivered()).await.expect("delivered");
            assert_eq!(delivered.packet_id.is_some(), qos != Qos::AtMostOnce);
            assert_eq!(receipt.packet_id(), delivered.packet_id);
            let received = soon(messages.recv()).await.expect("a message");
            assert_eq!(
                (&*received.topic, received.text()),
                (&*topic, Some("payload"))
            );
            assert_eq!(received.qos, qos);
        }
        assert!(soon(client.ping()).await.is_ok());
        assert_eq!(
            soon(client.close(Duration::from_secs(5))).await.undelivered,
            []
        );
    }
}

#[tokio::test]
async fn properties_of_version_5_travel_and_are_named_errors_before() {
    let broker = TestBroker::start();
    let message = Publish::new("t", "{}")
        .content_type("application/json")
        .user_property("unit", "m")
        .expires_after(Duration::from_secs(60));
    let client = soon(broker.client().connect()).await.expect("connected");
    let mut messages = soon(client.subscribe("t")).await.expect("subscribed");
    soon(client.publish(message.clone()))
        .await
        .expect("accepted");
    let received = soon(messages.recv()).await.expect("a message");
    assert_eq!(received.properties.content_type(), Some("application/json"));
    let users: Vec<_> = received.properties.user_properties().collect();
    assert_eq!(users, [("unit", "m")]);

    let older = broker.client().version(Version::V311);
    let older = soon(older.connect()).await.expect("connected");
    let rejected = soon(older.publish(message)).await.expect_err("rejected");
    assert!(matches!(rejected.why, Rejection::Invalid(_)));
    assert!(rejected.to_string().contains("MQTT 5.0 only"), "{rejected}");
    assert_eq!(rejected.message.topic(), "t", "given back");
}

/// The client of another library stops here: whoever publishes out of the loop that receives fills a channel that only
/// this loop empties.
#[tokio::test]
async fn fifty_messages_are_echoed_from_the_receive_loop_whatever_the_capacity() {
    let broker = TestBroker::start();
    for capacity in [1, 2, 7, 100] {
        for qos in ALL_QOS {
            let echo = broker.client().on_full(OnFull::Block);
            let echo = echo.outbox_limits(OutboxLimits {
                max_messages: capacity,
                ..OutboxLimits::default()
            });
            let echo = soon(echo.connect()).await.expect("connected");
            let wanted = Subscription::new("in").qos(qos).capacity(capacity);
            let mut incoming = soon(echo.subscribe(wanted)).await.expect("subscribed");
            let other = soon(broker.client().connect()).await.expect("connected");
            let mut answers = soon(other.subscribe(Subscription::new("out").qos(qos)))
                .await
                .expect("subscribed");
            for number in 0..50 {
                let message = Publish::new("in", number.to_string()).qos(qos);
                soon(other.publish(message)).await.expect("accepted");
            }
            for _ in 0..50 {
                let message = soon(incoming.recv()).await.expect("a message");
                let answer = Publish::new("out", message.payload.clone()).qos(qos);
                soon(echo.publish(answer)).await.expect("accepted");
            }
            for number in 0..50 {
                let answer = soon(answers.recv()).await.expect("an answer");
                assert_eq!(answer.text(), Some(&*number.to_string()));
            }
        }
    }
}

#[tokio::test]
async fn fifty_qos_2_messages_and_an_immediate_close_are_fifty_deliveries() {
    let broker = TestBroker::start();
    let receiver = soon(broker.client().connect()).await.expect("connected");
    let wanted = Subscription::new("t").qos(Qos::ExactlyOnce);
    let mut messages = soon(receiver.subscribe(wanted)).await.expect("subscribed");
    for version in VERSIONS {
        let sender = broker.client().version(version).max_inflight(5);
        let sender = soon(sender.connect()).await.expect("connected");
        for number in 0..50 {
            let message = Publish::new("t", number.to_string()).qos(Qos::ExactlyOnce);
            sender.try_publish(message).expect("accepted");
        }
        let report = soon(sender.close(Duration::from_secs(10))).await;
        assert_eq!(report.undelivered, []);
        for number in 0..50 {
            let message = soon(messages.recv()).await.expect("a message");
            assert_eq!(message.text(), Some(&*number.to_string()));
        }
    }
}

#[tokio::test]
async fn close_reports_what_is_left_and_settles_its_receipts() {
    let server = Server::bind().await;
    let client = Client::builder(&server.url()).start().expect("options");
    let mut peer = soon(server.welcome(false)).await;
    let message = Publish::new("t", "never acknowledged").qos(Qos::AtLeastOnce);
    let mut receipt = client.try_publish(message.clone()).expect("accepted");
    assert!(matches!(soon(peer.next()).await, Some(Packet::Publish(_))));
    assert_eq!(receipt.try_delivered(), None);
    let outcome = soon(receipt.delivered_within(Duration::from_millis(10))).await;
    assert_eq!(outcome, Err(DeliveryError::TimedOut));
    let other = client.clone();
    let report = soon(client.close(Duration::from_millis(50))).await;
    assert_eq!(report.undelivered, std::slice::from_ref(&message));
    assert_eq!(soon(receipt.delivered()).await, Err(DeliveryError::Closed));
    assert!(matches!(
        soon(peer.next()).await,
        Some(Packet::Disconnect(_))
    ));
    let rejected = other.try_publish(message).expect_err("closed");
    assert_eq!(rejected.why, Rejection::Closed);
}

#[tokio::test]
async fn full_outbox_does_what_its_policy_says() {
    // Nobody listens there: everything stays in the outbox.
    let offline = || Client::builder("mqtt://127.0.0.1:9").client_id("a");
    let two = OutboxLimits {
        max_messages: 2,
        ..OutboxLimits::default()
    };
    let message = |text: &'static str| Publish::new("t", text).qos(Qos::AtLeastOnce);

    let client = offline()
        .outbox_limits(two.clone())
        .start()
        .expect("options");
    client.try_publish(message("a")).expect("room");
    let mut receipt = client.try_publish(message("b")).expect("room");
    let rejected = client.try_publish(message("c")).expect_err("full");
    assert_eq!(
        (rejected.why, rejected.message),
        (Rejection::Full, message("c"))
    );
    let waiting = tokio::time::timeout(Duration::from_millis(50), client.publish(message("d")));
    assert!(waiting.await.is_err(), "publish waits for room");
    let report = soon(client.close(Duration::ZERO)).await;
    assert_eq!(
        report.undelivered,
        [message("a"), message("b")],
        "cancelled is not accepted"
    );
    assert_eq!(soon(receipt.delivered()).await, Err(DeliveryError::Closed));

    let oldest = offline()
        .outbox_limits(two.clone())
        .on_full(OnFull::DropOldest);
    let oldest = oldest.start().expect("options");
    let mut first = oldest.try_publish(message("a")).expect("room");
    oldest.try_publish(message("b")).expect("room");
    oldest.try_publish(message("c")).expect("made room");
    assert_eq!(soon(first.delivered()).await, Err(DeliveryError::Dropped));
    let report = soon(oldest.close(Duration::ZERO)).await;
    assert_eq!(report.undelivered, [message("b"), message("c")]);

    let newest = offline().outbox_limits(two).on_full(OnFull::DropNewest);
    let newest = newest.start().expect("options");
    newest.try_publish(message("a")).expect("room");
    newest.try_publish(message("b")).expect("room");
    let mut third = newest
        .try_publish(message("c"))
        .expect("dropped is an outcome");
    assert_eq!(soon(third.delivered()).await, Err(DeliveryError::Dropped));

    let picky = offline().offline_qos0(OfflineQos0::Drop);
    let picky = picky.start().expect("options");
    let mut dropped = picky
        .try_publish(Publish::new("t", "x"))
        .expect("an outcome");
    assert_eq!(soon(dropped.delivered()).await, Err(DeliveryError::Offline));

    let aged = offline().outbox_limits(OutboxLimits {
        max_age: Some(Duration::from_millis(1)),
        ..OutboxLimits::default()
    });
    let aged = aged.start().expect("options");
    let mut expired = aged.try_publish(message("x")).expect("room");
    assert_eq!(soon(expired.delivered()).await, Err(DeliveryError::Expired));
}

#[tokio::test]
async fn manual_acknowledgement_reaches_the_server_with_its_reason_and_in_order() {
    let server = Server::bind().await;
    let mut builder = Client::builder(&server.url());
    let mut messages = builder.route(Subscription::new("t").acknowledge(Acknowledge::Manual));
    let _client = builder.start().expect("options");
    let mut peer = soon(server.welcome(false)).await;
    for number in 1..=2 {
        let packet_id = tidewire_client::codec::PacketId::new(number);
        peer.say(&Packet::Publish(tidewire_client::codec::Publish {
            dup: false,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic: "t".into(),
            packet_id,
            properties: Properties::EMPTY,
            payload: b"x"[..].into(),
        }))
        .await;
    }
    let first = soon(messages.recv()).await.expect("a message");
    let second = soon(messages.recv()).await.expect("a message");
    second.acknowledge();
    first.refuse(ReasonCode::NotAuthorized);
    for expected in [(1, ReasonCode::NotAuthorized), (2, ReasonCode::Success)] {
        let Some(Packet::PubAck(ack)) = soon(peer.next()).await else {
            panic!("no PUBACK");
        };
        assert_eq!((ack.packet_id.get(), ack.reason), expected);
    }
}

#[tokio::test]
async fn request_finds_its_response_in_every_version() {
    let broker = TestBroker::start();
    for version in VERSIONS {
        let server = broker.client().version(version);
        let server = soon(server.connect()).await.expect("connected");
        let filter = if version.is_v5() { "sum" } else { "sum/+/+" };
        let mut requests = soon(server.subscribe(filter)).await.expect("subscribed");
        tokio::spawn(async move {
            // The answers come in another order than the requests.
            let first = requests.recv().await.expect("a request");
            let second = requests.recv().await.expect("a request");
            for request in [second, first] {
                let text = request.text().expect("text").to_uppercase();
                server
                    .respond(&request, text, Qos::AtMostOnce)
                    .await
                    .expect("accepted");
            }
            requests.recv().await
        });
        let client = broker.client().version(version);
        let client = soon(client.connect()).await.expect("connected");
        let requester = soon(Requester::new(&client)).await.expect("subscribed");
        let ask = |text: &'static str| {
            requester.request(Publish::new("sum", text), Duration::from_secs(10))
        };
        let (a, b) = tokio::join!(ask("a"), ask("b"));
        assert_eq!(a.expect("an answer").text(), Some("A"));
        assert_eq!(b.expect("an answer").text(), Some("B"));
    }
}

#[tokio::test]
async fn will_is_published_when_the_connection_breaks() {
    let broker = TestBroker::start();
    let watcher = soon(broker.client().connect()).await.expect("connected");
    let mut wills = soon(watcher.subscribe("events/disconnect"))
        .await
        .expect("subscribed");
    let will = Publish::new("events/disconnect", "gone")
        .qos(Qos::AtLeastOnce)
        .retained();
    let client = broker
        .client()
        .client_id("doomed")
        .will(LastWill::new(will));
    let client = soon(client.connect()).await.expect("connected");
    broker.kick("doomed");
    assert_eq!(
        soon(wills.recv()).await.expect("the will").text(),
        Some("gone")
    );
    drop(client);
}

struct Ear(mpsc::UnboundedSender<&'static str>);

impl Listener for Ear {
    fn connack(&mut self, _: &tidewire_client::codec::ConnAck<'_>) {
        let _ = self.0.send("connack");
    }
    fn publish(&mut self, _: &tidewire_client::codec::Publish<'_>) {
        let _ = self.0.send("publish");
    }
    fn pubrec(&mut self, _: &tidewire_client::codec::Ack<'_>) {
        let _ = self.0.send("pubrec");
    }
    fn pubrel(&mut self, _: &tidewire_client::codec::Ack<'_>) {
        let _ = self.0.send("pubrel");
    }
    fn pubcomp(&mut self, _: &tidewire_client::codec::Ack<'_>) {
        let _ = self.0.send("pubcomp");
    }
    fn suback(&mut self, _: &tidewire_client::codec::SubAck<'_>) {
        let _ = self.0.send("suback");
    }
    fn unsuback(&mut self, _: &tidewire_client::codec::UnsubAck<'_>) {
        let _ = self.0.send("unsuback");
    }
    fn pingresp(&mut self) {
        let _ = self.0.send("pingresp");
    }
    fn delivery_complete(&mut self, _: tidewire_client::protocol::Published) {
        let _ = self.0.send("delivery complete");
    }
}

#[tokio::test]
async fn listener_hears_every_packet() {
    let broker = TestBroker::start();
    let (ear, mut heard) = mpsc::unbounded_channel();
    let client = soon(broker.client().listener(Ear(ear)).connect())
        .await
        .expect("connected");
    let wanted = Subscription::new("t").qos(Qos::ExactlyOnce);
    let mut messages = soon(client.subscribe(wanted)).await.expect("subscribed");
    let message = Publish::new("t", "x").qos(Qos::ExactlyOnce);
    let mut receipt = soon(client.publish(message)).await.expect("accepted");
    soon(receipt.delivered()).await.expect("delivered");
    soon(messages.recv()).await.expect("a message");
    soon(messages.unsubscribe()).await.expect("unsubscribed");
    soon(client.ping()).await.expect("an answer");
    let _ = soon(client.close(Duration::from_secs(1))).await;
    let mut all = Vec::new();
    while let Some(what) = soon(heard.recv()).await {
        all.push(what);
    }
    for what in [
        "connack",
        "suback",
        "publish",
        "pubrec",
        "pubrel",
        "pubcomp",
        "delivery complete",
        "unsuback",
        "pingresp",
    ] {
        assert!(all.contains(&what), "{what} not in {all:?}");
    }
}

#[tokio::test]
async fn raw_packets_can_be_sent_and_received() {
    let broker = TestBroker::start();
    let client = soon(broker.client().connect()).await.expect("connected");
    let mut packets = client.packets();
    client.send(Packet::PingReq);
    let packet = soon(packets.recv()).await.expect("a packet");
    assert_eq!(*packet, Packet::PingResp);
}
