//! Editing and holding back what goes to one receiver.

use crate::peer::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tidewire_broker::ListenerSettings;
use tidewire_codec::{Ack, Packet, Publish, Qos, ReasonCode, Version};
use tidewire_handler::{Client, Decide, Deliver, Delivery, Origin, Registration, Verdict, handler};

/// Writes the receiver's name and the publisher's into the payload; holds `secret` back from everybody but the boss.
struct Censor {
    later: bool,
    asked: AtomicUsize,
}

handler! {
    impl Handler for Censor {
        fn deliver(&self, client: &Client, ask: &Deliver<'_>) -> Decide<Delivery> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let from = match &ask.origin {
                Origin::Server => "server",
                Origin::Client { client_id, .. } => client_id,
            };
            let verdict = if ask.publish.topic == "secret" && client.client_id() != "boss" {
                Verdict::Answer(Delivery::Suppress)
            } else if ask.publish.topic == "plain" {
                Verdict::Continue
            } else {
                let text = String::from_utf8_lossy(&ask.publish.payload);
                let payload = format!("{text} from {from} to {}", client.client_id());
                Verdict::Answer(Delivery::Send(Publish {
                    payload: payload.into_bytes().into(),
                    ..ask.publish.clone().into_owned()
                }))
            };
            if !self.later {
                return verdict.into();
            }
            Decide::later(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                verdict
            })
        }
    }
}

fn censor(later: bool) -> Censor {
    Censor {
        later,
        asked: AtomicUsize::new(0),
    }
}

#[test]
fn each_receiver_gets_its_own_edition_in_order_at_every_qos() {
    for later in [false, true] {
        let broker = builder().handler(0, censor(later)).start().unwrap();
        let mut boss = enter(&broker, Version::V5, "boss");
        let mut clerk = enter(&broker, Version::V311, "clerk");
        boss.subscribe("#", Qos::ExactlyOnce);
        clerk.subscribe("#", Qos::AtLeastOnce);
        let mut publisher = enter(&broker, Version::V5, "publisher");
        let topics = ["secret", "plain", "edited", "secret", "edited"];
        for (topic, id) in topics.iter().zip(1..) {
            publisher.publish(topic, "text", Qos::AtLeastOnce, id);
            publisher.receive();
        }
        let edition = |topic: &str, name: &str| match topic {
            "plain" => "text".to_owned(),
            _ => format!("text from publisher to {name}"),
        };
        for topic in topics {
            assert_eq!(boss.message(), (topic.to_owned(), edition(topic, "boss")));
        }
        for topic in topics.iter().filter(|topic| **topic != "secret") {
            let publish = clerk.received_publish();
            assert_eq!(&*publish.topic, *topic);
            assert_eq!(publish.qos, Qos::AtLeastOnce);
            assert_eq!(publish.payload, edition(topic, "clerk").into_bytes());
            clerk.send(&Packet::PubAck(Ack {
                packet_id: publish.packet_id.unwrap(),
                reason: ReasonCode::Success,
                properties: tidewire_codec::Properties::EMPTY,
            }));
        }
        clerk.ping();
        let stats = broker.handle().stats().unwrap();
        assert_eq!(stats.dropped_suppressed, 2);
    }
}

/// A burst of QoS 0 is not copied in blocks past the handlers.
#[test]
fn a_burst_of_qos_0_is_edited_message_by_message() {
    for later in [false, true] {
        let broker = builder().handler(0, censor(later)).start().unwrap();
        let mut client = enter(&broker, Version::V311, "client");
        client.subscribe("t", Qos::AtMostOnce);
        let mut publisher = enter(&broker, Version::V311, "publisher");
        for number in 0..200 {
            publisher.publish("t", &format!("{number:03}"), Qos::AtMostOnce, 0);
        }
        for number in 0..200 {
            let expected = format!("{number:03} from publisher to client");
            assert_eq!(client.message().1, expected);
        }
    }
}

#[test]
fn retained_messages_and_those_of_an_absent_client_are_edited_when_they_are_sent() {
    for later in [false, true] {
        let broker = builder().handler(0, censor(later)).start().unwrap();
        let mut publisher = enter(&broker, Version::V5, "publisher");
        let mut kept = publish("kept", "old", Qos::AtLeastOnce, 1);
        kept.retain = true;
        publisher.send(&Packet::Publish(kept));
        publisher.receive();

        let mut returning = connect(Version::V311, "returning");
        returning.clean_start = false;
        let mut client = open(&broker, Version::V311);
        client.send(&Packet::Connect(returning.clone()));
        client.receive();
        client.subscribe("#", Qos::AtLeastOnce);
        assert_eq!(client.message().1, "old from publisher to returning");
        client.send(&Packet::Disconnect(tidewire_codec::Disconnect {
            reason: ReasonCode::Success,
            properties: tidewire_codec::Properties::EMPTY,
        }));
        assert_eq!(client.try_receive(), None);
        publisher.publish("away", "new", Qos::AtLeastOnce, 2);
        publisher.receive();

        let mut client = open(&broker, Version::V311);
        client.send(&Packet::Connect(returning));
        client.receive();
        let repeated = client.received_publish();
        assert!(repeated.dup);
        assert_eq!(&*repeated.payload, b"old from publisher to returning");
        assert_eq!(client.message().1, "new from publisher to returning");
    }
}

#[test]
fn a_handler_of_one_listener_edits_nothing_for_the_clients_of_another() {
    let here = ListenerSettings::new("here", "tcp://127.0.0.1:0".parse().unwrap());
    let broker = builder()
        .listener(here)
        .register(Registration::new("censor", censor(false)).listener("here"))
        .start()
        .unwrap();
    let address = broker.addresses()[0].address;
    let stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut near = Peer::over(stream, Version::V5);
    near.connect("near");
    let mut piped = enter(&broker, Version::V5, "piped");
    near.subscribe("t", Qos::AtMostOnce);
    piped.subscribe("t", Qos::AtMostOnce);
    piped.publish("t", "x", Qos::AtMostOnce, 0);
    assert_eq!(near.message().1, "x from piped to near");
    assert_eq!(piped.message().1, "x");
}
