//! Deciding about a PUBLISH.

use crate::peer::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tidewire_codec::{
    Ack, Packet, PacketId, Properties, Property, Publish, Qos, ReasonCode, Version, Will,
};
use tidewire_handler::{
    AuthorizePublish, Client, Decide, Denial, Publication, Registration, Verdict, handler,
};

/// Does what the topic says, at once or a little later.
struct Obeys {
    later: bool,
    asked: Arc<AtomicUsize>,
}

handler! {
    impl Handler for Obeys {
        fn publish(&self, _: &Client, ask: &Publish<'_>) -> Decide<Publication> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let verdict = obey(ask);
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

fn obey(ask: &Publish<'_>) -> Verdict<Publication> {
    let answer = Verdict::Answer;
    match &*ask.topic {
        "upper" => {
            let payload = String::from_utf8_lossy(&ask.payload).to_uppercase();
            answer(Publication::Replace(Publish {
                payload: payload.into_bytes().into(),
                ..ask.clone().into_owned()
            }))
        }
        "moved" => answer(Publication::Replace(Publish {
            topic: "elsewhere".into(),
            ..ask.clone().into_owned()
        })),
        "wild" => answer(Publication::Replace(Publish {
            topic: "no/+/name".into(),
            ..ask.clone().into_owned()
        })),
        "tagged" => {
            let mut tagged = ask.clone().into_owned();
            let tag = Property::UserProperty("tag", "yes");
            tagged.properties = tagged.properties.with(tag);
            answer(Publication::Replace(tagged))
        }
        "swallowed" => answer(Publication::Acknowledge(ReasonCode::Success)),
        "quota" => answer(Publication::Acknowledge(ReasonCode::QuotaExceeded)),
        "schema" => Verdict::Deny(Denial::new(
            ReasonCode::PayloadFormatInvalid,
            "not what the schema says",
        )),
        "reply" => answer(Publication::Reply(Box::new(Packet::PubRec(Ack {
            packet_id: PacketId::new(77).unwrap(),
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        })))),
        "close" => Verdict::Close(Denial::new(ReasonCode::AdministrativeAction, "enough")),
        _ => Verdict::Continue,
    }
}

fn house(later: bool) -> (tidewire_broker::Broker, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let handler = Obeys {
        later,
        asked: Arc::clone(&asked),
    };
    (builder().handler(0, handler).start().unwrap(), asked)
}

fn reason_of(packet: &Packet<'_>) -> ReasonCode {
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack) => ack.reason,
        other => panic!("{other:?}"),
    }
}

/// What becomes of a message at every QoS, whether the handler answers at once or later: the topic to publish to, what a
/// subscriber of `#` gets, what the publisher is told.
type Row = (
    &'static str,
    Option<(&'static str, &'static str)>,
    ReasonCode,
);
const TABLE: &[Row] = &[
    ("plain", Some(("plain", "text")), ReasonCode::Success),
    ("upper", Some(("upper", "TEXT")), ReasonCode::Success),
    ("moved", Some(("elsewhere", "text")), ReasonCode::Success),
    ("wild", None, ReasonCode::TopicNameInvalid),
    ("swallowed", None, ReasonCode::Success),
    ("quota", None, ReasonCode::QuotaExceeded),
    ("schema", None, ReasonCode::PayloadFormatInvalid),
];

#[test]
fn a_handler_replaces_answers_or_refuses_a_message_at_every_qos() {
    for later in [false, true] {
        let (broker, asked) = house(later);
        let mut subscriber = enter(&broker, Version::V5, "subscriber");
        subscriber.subscribe("#", Qos::AtMostOnce);
        let mut publisher = enter(&broker, Version::V5, "publisher");
        let mut count = 0;
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            for (topic, delivered, told) in TABLE {
                publisher.publish(topic, "text", qos, 7);
                if qos != Qos::AtMostOnce {
                    assert_eq!(reason_of(&publisher.receive()), *told, "{topic} {qos:?}");
                }
                if qos == Qos::ExactlyOnce && !told.is_error() {
                    publisher.send(&Packet::PubRel(Ack {
                        packet_id: PacketId::new(7).unwrap(),
                        reason: ReasonCode::Success,
                        properties: Properties::EMPTY,
                    }));
                    assert_eq!(
                        reason_of(&publisher.receive()),
                        ReasonCode::Success,
                        "{topic}"
                    );
                }
                publisher.ping();
                if let Some((topic, payload)) = delivered {
                    assert_eq!(
                        subscriber.message(),
                        (topic.to_string(), payload.to_string())
                    );
                }
                count += 1;
                assert_eq!(asked.load(Ordering::Relaxed), count, "{topic} {qos:?}");
            }
        }
        subscriber.ping();
    }
}

/// [5.0 MQTT-3.3.2-17]: user properties travel with the message.
#[test]
fn a_handler_adds_a_user_property_that_the_subscriber_gets_behind_the_publishers_own() {
    let (broker, _) = house(false);
    let mut subscriber = enter(&broker, Version::V5, "subscriber");
    subscriber.subscribe("tagged", Qos::AtMostOnce);
    let mut publisher = enter(&broker, Version::V5, "publisher");
    let mut message = publish("tagged", "x", Qos::AtMostOnce, 0);
    message.properties = Properties::EMPTY
        .with(Property::UserProperty("own", "1"))
        .with(Property::MessageExpiryInterval(60));
    publisher.send(&Packet::Publish(message));
    let received = subscriber.received_publish();
    let tags: Vec<_> = received.properties.user_properties().collect();
    assert_eq!(tags, [("own", "1"), ("tag", "yes")]);
    assert_eq!(received.properties.message_expiry_interval_secs(), Some(60));
}

#[test]
fn a_handlers_packet_takes_the_place_of_the_acknowledgement() {
    for later in [false, true] {
        let (broker, _) = house(later);
        let mut publisher = enter(&broker, Version::V311, "publisher");
        publisher.publish("reply", "x", Qos::AtMostOnce, 0);
        match publisher.receive() {
            Packet::PubRec(ack) => assert_eq!(ack.packet_id.get(), 77),
            other => panic!("{other:?}"),
        }
        publisher.ping();
    }
}

#[test]
fn a_handler_that_closes_says_why_to_a_client_that_can_be_told() {
    for later in [false, true] {
        let (broker, _) = house(later);
        let mut publisher = enter(&broker, Version::V5, "publisher");
        publisher.publish("close", "x", Qos::AtLeastOnce, 1);
        match publisher.receive() {
            Packet::Disconnect(disconnect) => {
                assert_eq!(disconnect.reason, ReasonCode::AdministrativeAction);
                assert_eq!(disconnect.properties.reason_string(), Some("enough"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(publisher.try_receive(), None);
    }
}

/// A burst of equal frames is consulted about at once: those before and behind the one that is refused pass in order.
#[test]
fn in_a_burst_each_message_has_its_own_verdict_and_the_order_stays() {
    struct Odd(bool);
    handler! {
        impl Handler for Odd {
            fn publish(&self, _: &Client, ask: &Publish<'_>) -> Decide<Publication> {
                let number: u32 = std::str::from_utf8(&ask.payload).unwrap().parse().unwrap();
                let verdict = match number % 5 {
                    0 => Verdict::Answer(Publication::Acknowledge(ReasonCode::Success)),
                    1 => Verdict::Answer(Publication::Replace(Publish {
                        payload: format!("{number:04}!").into_bytes().into(),
                        ..ask.clone().into_owned()
                    })),
                    _ => Verdict::Continue,
                };
                if self.0 && number.is_multiple_of(7) {
                    return Decide::later(async move {
                        tokio::task::yield_now().await;
                        verdict
                    });
                }
                verdict.into()
            }
        }
    }
    for later in [false, true] {
        let broker = builder().handler(0, Odd(later)).start().unwrap();
        let mut subscriber = enter(&broker, Version::V311, "subscriber");
        subscriber.subscribe("t", Qos::AtMostOnce);
        let mut publisher = enter(&broker, Version::V311, "publisher");
        for number in 0..500 {
            publisher.publish("t", &format!("{number:04}"), Qos::AtMostOnce, 0);
        }
        publisher.ping();
        for number in (0..500).filter(|number| number % 5 != 0) {
            let expected = match number % 5 {
                1 => format!("{number:04}!"),
                _ => format!("{number:04}"),
            };
            assert_eq!(subscriber.message().1, expected);
        }
        subscriber.ping();
    }
}

#[test]
fn whoever_may_not_publish_is_refused_before_other_handlers_see_the_message() {
    struct Guard;
    handler! {
        impl Handler for Guard {
            fn authorize_publish(&self, _: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
                match &*ask.topic {
                    "secret" => Decide::deny("secret"),
                    _ => Decide::go_on(),
                }
            }
        }
    }
    let (broker, asked) = house(false);
    broker
        .handle()
        .add_handler(Registration::new("guard", Guard).priority(-5))
        .unwrap();
    let mut publisher = enter(&broker, Version::V5, "publisher");
    publisher.publish("secret", "x", Qos::AtLeastOnce, 1);
    assert_eq!(reason_of(&publisher.receive()), ReasonCode::NotAuthorized);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    publisher.publish("open", "x", Qos::AtLeastOnce, 1);
    assert_eq!(
        reason_of(&publisher.receive()),
        ReasonCode::NoMatchingSubscribers
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_topic_alias_reaches_handlers_as_the_name_that_it_stands_for() {
    let (broker, _) = house(false);
    let mut subscriber = enter(&broker, Version::V5, "subscriber");
    subscriber.subscribe("upper", Qos::AtMostOnce);
    let mut publisher = enter(&broker, Version::V5, "publisher");
    let alias = Properties::EMPTY.with(Property::TopicAlias(3));
    for topic in ["upper", ""] {
        let mut message = publish(topic, "a", Qos::AtMostOnce, 0);
        message.properties = alias.clone();
        publisher.send(&Packet::Publish(message));
        assert_eq!(subscriber.message().1, "A");
    }
}

#[test]
fn a_will_passes_the_handlers_of_messages() {
    for later in [false, true] {
        let (broker, _) = house(later);
        let mut subscriber = enter(&broker, Version::V311, "subscriber");
        subscriber.subscribe("#", Qos::AtMostOnce);
        for (topic, expected) in [("upper", "GONE"), ("schema", ""), ("plain", "gone")] {
            let mut peer = open(&broker, Version::V311);
            let mut packet = connect(Version::V311, "mortal");
            packet.will = Some(Will {
                qos: Qos::AtMostOnce,
                retain: false,
                properties: Properties::EMPTY,
                topic: topic.into(),
                payload: b"gone"[..].into(),
            });
            peer.send(&Packet::Connect(packet));
            peer.receive();
            drop(peer);
            if !expected.is_empty() {
                assert_eq!(
                    subscriber.message(),
                    (topic.to_owned(), expected.to_owned())
                );
            }
        }
    }
}
