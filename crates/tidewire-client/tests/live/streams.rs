//! Streams of messages: routing, bounds, their end.

use std::time::Duration;

use tidewire_client::{
    DropReason, Event, Overflow, Publish, Qos, ReasonCode, SubscribeError, Subscription, Version,
};

use crate::broker::{TestBroker, soon};

#[tokio::test]
async fn each_stream_gets_what_its_filters_match() {
    let broker = TestBroker::start();
    let client = soon(broker.client().connect()).await.expect("connected");
    let wanted = Subscription::new("a/+").and("b");
    let mut some = soon(client.subscribe(wanted)).await.expect("subscribed");
    let mut shared = soon(client.subscribe("$share/g/c"))
        .await
        .expect("subscribed");
    for topic in ["a/1", "b", "c"] {
        soon(client.publish(Publish::new(topic, topic)))
            .await
            .expect("accepted");
    }
    assert_eq!(soon(some.recv()).await.expect("one").text(), Some("a/1"));
    assert_eq!(soon(some.recv()).await.expect("one").text(), Some("b"));
    assert_eq!(soon(shared.recv()).await.expect("one").text(), Some("c"));
    assert!(some.try_recv().is_none());
}

#[tokio::test]
async fn stream_that_is_given_up_ends_its_subscription() {
    let broker = TestBroker::start();
    let client = soon(broker.client().connect()).await.expect("connected");
    let mut events = client.events();
    let messages = soon(client.subscribe("a")).await.expect("subscribed");
    soon(messages.unsubscribe()).await.expect("unsubscribed");
    let mut receipt = soon(client.publish(Publish::new("a", "x").qos(Qos::AtLeastOnce)))
        .await
        .expect("accepted");
    let published = soon(receipt.delivered()).await.expect("delivered");
    assert_eq!(published.reason, ReasonCode::NoMatchingSubscribers);

    drop(soon(client.subscribe("b")).await.expect("subscribed"));
    soon(client.ping()).await.expect("an answer");
    let mut receipt = soon(client.publish(Publish::new("b", "x").qos(Qos::AtLeastOnce)))
        .await
        .expect("accepted");
    let published = soon(receipt.delivered()).await.expect("delivered");
    assert_eq!(published.reason, ReasonCode::NoMatchingSubscribers);
    let _ = soon(client.close(Duration::from_secs(1))).await;
    while let Some(event) = soon(events.recv()).await {
        assert!(!matches!(event, Event::Dropped { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn subscription_that_nobody_waits_for_any_more_is_given_up() {
    let broker = TestBroker::start();
    let client = soon(broker.client().connect()).await.expect("connected");
    tokio::select! {
        biased;
        _ = client.subscribe("a") => panic!("nobody can have answered yet"),
        () = std::future::ready(()) => {}
    }
    // Whatever was sent for it is through when an answer to a later request has come, and its UNSUBSCRIBE after another.
    for _ in 0..2 {
        soon(client.ping()).await.expect("an answer");
    }
    let message = Publish::new("a", "x").qos(Qos::AtLeastOnce);
    let mut receipt = soon(client.publish(message)).await.expect("accepted");
    let published = soon(receipt.delivered()).await.expect("delivered");
    assert_eq!(published.reason, ReasonCode::NoMatchingSubscribers);
}

#[tokio::test]
async fn full_stream_drops_what_its_policy_says_and_tells() {
    let broker = TestBroker::start();
    for (overflow, kept) in [
        (Overflow::DropOldest, ["3", "4"]),
        (Overflow::DropNewest, ["0", "1"]),
    ] {
        let client = soon(broker.client().connect()).await.expect("connected");
        let mut events = client.events();
        let wanted = Subscription::new("t")
            .capacity(2)
            .overflow(overflow)
            .qos(Qos::AtLeastOnce);
        let mut messages = soon(client.subscribe(wanted)).await.expect("subscribed");
        for number in 0..5 {
            let message = Publish::new("t", number.to_string()).qos(Qos::AtLeastOnce);
            soon(client.publish(message)).await.expect("accepted");
        }
        for _ in 0..3 {
            let event = soon(events.recv()).await.expect("an event");
            assert!(
                matches!(
                    event,
                    Event::Dropped {
                        why: DropReason::StreamFull,
                        ..
                    }
                ),
                "{event:?}"
            );
        }
        for expected in kept {
            assert_eq!(
                soon(messages.recv()).await.expect("one").text(),
                Some(expected)
            );
        }
    }
}

#[tokio::test]
async fn stream_ends_when_the_client_is_closed_and_keeps_what_it_has() {
    let broker = TestBroker::start();
    let client = soon(broker.client().connect()).await.expect("connected");
    let mut messages = soon(client.subscribe("t")).await.expect("subscribed");
    let mut receipt = soon(client.publish(Publish::new("t", "last").qos(Qos::AtLeastOnce)))
        .await
        .expect("accepted");
    soon(receipt.delivered()).await.expect("delivered");
    soon(client.ping()).await.expect("an answer");
    let _ = soon(client.close(Duration::from_secs(1))).await;
    assert_eq!(
        soon(messages.recv()).await.expect("one").text(),
        Some("last")
    );
    assert!(soon(messages.recv()).await.is_none());
}

#[tokio::test]
async fn route_that_was_registered_before_connecting_gets_what_waited_for_the_session() {
    let broker = TestBroker::start();
    for version in [Version::V311, Version::V5] {
        let session = || {
            let builder = broker.client().version(version).client_id("sleeper");
            builder.keep_session(Duration::from_secs(60))
        };
        let first = soon(session().connect()).await.expect("connected");
        let wanted = Subscription::new("t").qos(Qos::AtLeastOnce);
        let messages = soon(first.subscribe(wanted)).await.expect("subscribed");
        drop(messages);
        let _ = soon(first.close(Duration::from_secs(1))).await;

        let other = soon(broker.client().connect()).await.expect("connected");
        for text in ["a", "b", "c"] {
            let message = Publish::new("t", text).qos(Qos::AtLeastOnce);
            let mut receipt = soon(other.publish(message)).await.expect("accepted");
            soon(receipt.delivered()).await.expect("delivered");
        }

        let mut builder = session();
        let mut messages = builder.route("t");
        let second = soon(builder.connect()).await.expect("connected");
        for text in ["a", "b", "c"] {
            assert_eq!(soon(messages.recv()).await.expect("one").text(), Some(text));
        }
        let _ = soon(second.close(Duration::from_secs(1))).await;
        soon(
            broker
                .client()
                .version(version)
                .client_id("sleeper")
                .connect(),
        )
        .await
        .expect("ends the session");
    }
}

#[tokio::test]
async fn filter_that_is_none_is_an_error_before_anything_is_sent() {
    let broker = TestBroker::start();
    let client = soon(broker.client().connect()).await.expect("connected");
    let error = soon(client.subscribe("a/#/b"))
        .await
        .expect_err("no filter");
    assert!(matches!(error, SubscribeError::Request(_)));
    let older = broker.client().version(Version::V311);
    let older = soon(older.connect()).await.expect("connected");
    let wanted = Subscription::new("a").no_local();
    let error = soon(older.subscribe(wanted)).await.expect_err("version 5");
    assert!(
        error
            .to_string()
            .contains("No Local exists in MQTT 5.0 only")
    );
}
