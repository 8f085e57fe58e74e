//! The server handle: publish, subscribe, send, disconnect, inspect; from an application and from inside handlers.

use crate::peer::*;
use std::time::Duration;
use tidewire_broker::{Broker, BrokerHandle, PublishError, SubscribeError};
use tidewire_codec::{
    Ack, Packet, PacketId, Properties, Property, Publish, Qos, ReasonCode, Version,
};
use tidewire_handler::{
    Authenticate, Authentication, Client, Decide, Origin, Publication, Published, Subscribed,
    handler,
};

fn response(topic: &str, data: &[u8]) -> Publish<'static> {
    let mut publish = publish(topic, "answer", Qos::AtMostOnce, 0);
    publish.properties = Properties::EMPTY
        .with(Property::CorrelationData(data))
        .with(Property::UserProperty("from", "server"));
    publish
}

#[test]
fn the_server_publishes_a_packet_with_its_properties_and_in_order() {
    let broker = builder().start().unwrap();
    let mut client = enter(&broker, Version::V5, "client");
    client.subscribe("reply/#", Qos::AtLeastOnce);
    let handle = broker.handle();
    for number in 0..100u8 {
        let packet = response("reply/here", &[number]);
        if number % 2 == 0 {
            handle.publish_packet(packet).unwrap();
        } else {
            handle.publish_and_wait(packet).unwrap();
        }
    }
    for number in 0..100u8 {
        let received = client.received_publish();
        assert_eq!(received.properties.correlation_data(), Some(&[number][..]));
        assert_eq!(received.properties.user_properties().count(), 1);
    }
    let refused = handle.publish_packet(response("no/+", b""));
    assert!(matches!(refused, Err(PublishError::Topic(_))));
    drop(broker);
    let gone = handle.publish_packet(response("reply/here", b""));
    assert_eq!(gone, Err(PublishError::Gone));
}

#[test]
fn a_subscription_of_the_servers_own_hears_everything_and_passes_no_authenticator() {
    struct Nobody;
    handler! {
        impl Handler for Nobody {
            fn authenticate(&self, _: &Client, ask: &Authenticate<'_>) -> Decide<Authentication> {
                match ask.username.as_deref() {
                    Some("alice") => Decide::answer(Authentication::accepted("alice")),
                    _ => Decide::deny("alice alone"),
                }
            }
        }
    }
    let broker = builder().handler(0, Nobody).start().unwrap();
    let handle = broker.handle();
    let mut ears = handle.subscribe("t/#", Qos::ExactlyOnce).unwrap();
    assert!(ears.try_recv().is_none());
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        handle
            .publish_and_wait(publish("t/a", "x", qos, 0))
            .unwrap();
        let heard = ears.recv_timeout(PATIENCE).unwrap();
        assert_eq!((&*heard.topic, heard.qos), ("t/a", qos));
    }
    assert!(matches!(
        handle.subscribe("a#", Qos::AtMostOnce),
        Err(SubscribeError::Filter(_))
    ));
    handle.shutdown(Duration::from_secs(5));
    assert!(ears.recv().is_none(), "the broker has stopped");
}

/// What is not taken waits at QoS 1, in order, and nobody else waits for it.
#[test]
fn a_subscription_that_is_not_taken_holds_its_own_messages_back_and_loses_none_at_qos_1() {
    let broker = builder().start().unwrap();
    let handle = broker.handle();
    let mut ears = handle.subscribe("t", Qos::AtLeastOnce).unwrap();
    let mut other = enter(&broker, Version::V311, "other");
    other.subscribe("t", Qos::AtMostOnce);
    let text = "x".repeat(1000);
    for number in 0..500 {
        let packet = publish("t", &format!("{number} {text}"), Qos::AtLeastOnce, 0);
        handle.publish_and_wait(packet).unwrap();
        assert_eq!(other.message().1, format!("{number} {text}"));
    }
    for number in 0..500 {
        let heard = ears.recv_timeout(PATIENCE).unwrap();
        assert_eq!(heard.payload, format!("{number} {text}").into_bytes());
    }
}

#[test]
fn an_async_application_awaits_its_messages() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let broker = builder().start().unwrap();
    let handle = broker.handle();
    let mut ears = handle.subscribe("t", Qos::AtMostOnce).unwrap();
    runtime.block_on(async {
        let heard = tokio::spawn(async move { ears.next().await.map(|heard| heard.topic) });
        tokio::task::yield_now().await;
        handle
            .publish_packet(publish("t", "x", Qos::AtMostOnce, 0))
            .unwrap();
        let heard = tokio::time::timeout(PATIENCE, heard)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(heard.as_deref(), Some("t"));
    });
}

#[test]
fn any_packet_is_sent_to_any_client_that_can_take_it() {
    let broker = builder().start().unwrap();
    let handle = broker.handle();
    let mut old = enter(&broker, Version::V311, "old");
    let mut new = enter(&broker, Version::V5, "new");
    let ack = Packet::PubAck(Ack {
        packet_id: PacketId::new(9).unwrap(),
        reason: ReasonCode::Success,
        properties: Properties::EMPTY,
    });
    for (client, name) in [(&mut old, "old"), (&mut new, "new")] {
        assert_eq!(handle.send(name, &ack).unwrap(), 1);
        assert_eq!(client.receive(), ack);
    }
    let auth = Packet::Auth(tidewire_codec::Auth {
        reason: ReasonCode::ContinueAuthentication,
        properties: Properties::EMPTY.with(Property::AuthenticationMethod("m")),
    });
    assert_eq!(handle.send("old", &auth).unwrap(), 0, "3.1.1 has no AUTH");
    assert_eq!(handle.send("new", &auth).unwrap(), 1);
    assert_eq!(new.receive(), auth);
    assert_eq!(handle.send("nobody", &ack).unwrap(), 0);
}

#[test]
fn a_client_is_inspected_with_its_subscriptions_and_disconnected_with_a_reason() {
    let broker = builder().start().unwrap();
    let handle = broker.handle();
    let mut client = enter(&broker, Version::V5, "client");
    client.subscribe("a/+", Qos::AtLeastOnce);
    client.subscribe("$share/g/b", Qos::AtMostOnce);
    let sessions = handle.inspect("client").unwrap();
    let [session] = &*sessions else {
        panic!("{sessions:?}")
    };
    let mut filters: Vec<_> = session
        .subscriptions
        .iter()
        .map(|row| (&*row.filter, row.options.qos))
        .collect();
    filters.sort_unstable();
    assert_eq!(
        filters,
        [("$share/g/b", Qos::AtMostOnce), ("a/+", Qos::AtLeastOnce)]
    );
    assert_eq!(session.row.subscriptions, 2);
    assert_eq!(
        handle
            .disconnect("client", ReasonCode::ServerMoved, "go elsewhere")
            .unwrap(),
        1
    );
    match client.receive() {
        Packet::Disconnect(disconnect) => {
            assert_eq!(disconnect.reason, ReasonCode::ServerMoved);
            assert_eq!(disconnect.properties.reason_string(), Some("go elsewhere"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.try_receive(), None);
    assert!(handle.inspect("client").unwrap().is_empty());
}

/// A handler that publishes in answer to subscriptions and messages knows the server's own by their origin.
#[test]
fn handlers_publish_from_inside_and_tell_the_servers_messages_from_the_clients() {
    struct Echo(BrokerHandle);
    handler! {
        impl Handler for Echo {
            fn publish(&self, _: &Client, ask: &Publish<'_>) -> Decide<Publication> {
                let topic = format!("decided/{}", ask.topic);
                self.0.publish_packet(publish(&topic, "", Qos::AtMostOnce, 0)).unwrap();
                Decide::go_on()
            }
            fn published(&self, told: &Published) {
                if told.origin != Origin::Server {
                    let topic = format!("observed/{}", told.publish.topic);
                    self.0.publish_packet(publish(&topic, "", Qos::AtMostOnce, 0)).unwrap();
                }
            }
            fn subscribed(&self, told: &Subscribed) {
                let topic = format!("new/{}", told.client_id);
                let payload = told.filter.to_string();
                self.0.publish_packet(publish(&topic, &payload, Qos::AtMostOnce, 0)).unwrap();
            }
        }
    }
    let broker: Broker = builder().handler_with(0, Echo).start().unwrap();
    let mut client = enter(&broker, Version::V311, "client");
    client.subscribe("new/#", Qos::AtMostOnce);
    assert_eq!(
        client.message(),
        ("new/client".to_owned(), "new/#".to_owned())
    );
    client.subscribe("decided/#", Qos::AtMostOnce);
    assert_eq!(client.message().1, "decided/#");
    client.subscribe("observed/#", Qos::AtMostOnce);
    assert_eq!(client.message().1, "observed/#");
    client.publish("t", "x", Qos::AtMostOnce, 0);
    let mut topics = [client.message().0, client.message().0];
    topics.sort_unstable();
    assert_eq!(topics, ["decided/t", "observed/t"]);
    client.ping();
    assert_eq!(broker.handle().handlers()[0].name.as_ref(), "Echo");
}
