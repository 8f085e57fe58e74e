//! Deciding about SUBSCRIBE and UNSUBSCRIBE.

use crate::peer::*;
use std::time::Duration;
use tidewire_codec::{
    Packet, PacketId, Properties, Property, Qos, ReasonCode, Subscribe, Unsubscribe, Version,
};
use tidewire_handler::{AuthorizeSubscribe, Client, Codes, Decide, Denial, Verdict, handler};

struct Grants {
    later: bool,
}

fn said<A: Send + 'static>(later: bool, verdict: Verdict<A>) -> Decide<A> {
    if !later {
        return verdict.into();
    }
    Decide::later(async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        verdict
    })
}

handler! {
    impl Handler for Grants {
        fn authorize_subscribe(&self, _: &Client, ask: &AuthorizeSubscribe<'_>) -> Decide<()> {
            said(self.later, match &*ask.filter {
                "forbidden" => Verdict::deny("forbidden"),
                _ => Verdict::Continue,
            })
        }

        fn subscribe(&self, _: &Client, ask: &Subscribe<'_>) -> Decide<Codes> {
            if ask.filters[0].filter == "close" {
                let denial = Denial::new(ReasonCode::NotAuthorized, "no such thing");
                return said(self.later, Verdict::Close(denial));
            }
            let reasons = ask.filters.iter().map(|each| match &*each.filter {
                "low" => ReasonCode::Success,
                "full" => ReasonCode::QuotaExceeded,
                _ => ReasonCode::GrantedQos2,
            });
            said(self.later, Verdict::Answer(Codes {
                reasons: reasons.collect(),
                properties: Properties::EMPTY.with(Property::UserProperty("by", "grants")),
            }))
        }

        fn unsubscribe(&self, _: &Client, ask: &Unsubscribe<'_>) -> Decide<Codes> {
            let reasons = ask.filters.iter().map(|filter| match &**filter {
                "low" => ReasonCode::NotAuthorized,
                _ => ReasonCode::Success,
            });
            said(self.later, Verdict::Answer(reasons.collect::<Vec<_>>().into()))
        }
    }
}

/// [5.0 MQTT-3.8.4-7]: the granted QoS may be lower than the one that was asked for.
#[test]
fn handlers_grant_a_lower_qos_or_refuse_and_what_was_refused_before_stays_refused() {
    for later in [false, true] {
        let broker = builder().handler(0, Grants { later }).start().unwrap();
        let mut client = enter(&broker, Version::V5, "client");
        let filters = ["low", "full", "forbidden", "free", "$share/g/forbidden"];
        client.send(&Packet::Subscribe(subscribe(&filters, Qos::AtLeastOnce)));
        let Packet::SubAck(suback) = client.receive() else {
            panic!("no SUBACK")
        };
        assert_eq!(
            suback.reasons,
            [
                ReasonCode::Success,
                ReasonCode::QuotaExceeded,
                ReasonCode::NotAuthorized,
                ReasonCode::GrantedQos1,
                ReasonCode::NotAuthorized
            ]
        );
        let by: Vec<_> = suback.properties.user_properties().collect();
        assert_eq!(by, [("by", "grants")]);
        let mut publisher = enter(&broker, Version::V5, "publisher");
        for (topic, qos) in [
            ("full", None),
            ("low", Some(Qos::AtMostOnce)),
            ("free", Some(Qos::AtLeastOnce)),
        ] {
            publisher.publish(topic, "x", Qos::AtLeastOnce, 1);
            publisher.receive();
            if let Some(qos) = qos {
                let publish = client.received_publish();
                assert_eq!((&*publish.topic, publish.qos), (topic, qos));
            }
        }
    }
}

#[test]
fn a_subscription_that_a_handler_keeps_outlives_its_unsubscribe() {
    for later in [false, true] {
        let broker = builder().handler(0, Grants { later }).start().unwrap();
        let mut client = enter(&broker, Version::V5, "client");
        for filter in ["low", "free"] {
            client.subscribe(filter, Qos::AtMostOnce);
        }
        client.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: PacketId::MIN,
            properties: Properties::EMPTY,
            filters: vec!["low".into(), "free".into(), "other".into()],
        }));
        let Packet::UnsubAck(unsuback) = client.receive() else {
            panic!("no UNSUBACK")
        };
        assert_eq!(
            unsuback.reasons,
            [
                ReasonCode::NotAuthorized,
                ReasonCode::Success,
                ReasonCode::NoSubscriptionExisted
            ]
        );
        let mut publisher = enter(&broker, Version::V5, "publisher");
        publisher.publish("free", "x", Qos::AtMostOnce, 0);
        publisher.publish("low", "x", Qos::AtMostOnce, 0);
        assert_eq!(client.message().0, "low");
    }
}

#[test]
fn a_handler_closes_the_connection_of_a_subscriber() {
    for later in [false, true] {
        let broker = builder().handler(0, Grants { later }).start().unwrap();
        let mut client = enter(&broker, Version::V5, "client");
        client.send(&Packet::Subscribe(subscribe(&["close"], Qos::AtMostOnce)));
        assert!(matches!(client.receive(), Packet::Disconnect(_)));
        assert_eq!(client.try_receive(), None);
    }
}
