//! What observing handlers are told of messages and subscriptions.

use crate::peer::*;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use tidewire_codec::{
    Ack, Packet, Properties, Property, Qos, ReasonCode, Unsubscribe, Version, Will,
};
use tidewire_core::ServerPublish;
use tidewire_handler::{
    Acknowledged, Dropped, Origin, Pinged, Published, RetainedChanged, Subscribed, Unsubscribed,
    WillArmed, handler,
};

struct Notes(Mutex<Sender<String>>);

impl Notes {
    fn note(&self, text: String) {
        self.0.lock().unwrap().send(text).unwrap();
    }
}

handler! {
    impl Handler for Notes {
        fn published(&self, told: &Published) {
            let from = match &told.origin {
                Origin::Server => "server".to_owned(),
                Origin::Client { client_id, .. } => client_id.to_string(),
            };
            let payload = String::from_utf8_lossy(&told.publish.payload).into_owned();
            self.note(format!("{from} published {} {payload}", told.publish.topic));
        }
        fn subscribed(&self, told: &Subscribed) {
            self.note(format!("{} subscribed {} {:?}", told.client_id, told.filter, told.qos));
        }
        fn unsubscribed(&self, told: &Unsubscribed) {
            self.note(format!("{} unsubscribed {}", told.client_id, told.filter));
        }
        fn acknowledged(&self, told: &Acknowledged) {
            self.note(format!("{} acknowledged {} {:?}", told.client_id, told.packet_id.get(), told.reason));
        }
        fn dropped(&self, told: &Dropped) {
            let who = told.client_id.as_deref().unwrap_or("nobody");
            self.note(format!("{who} misses {}: {:?}", told.topic, told.reason));
        }
        fn pinged(&self, told: &Pinged) {
            self.note(format!("{} pinged", told.client_id));
        }
        fn will_armed(&self, told: &WillArmed) {
            self.note(format!("{} armed {}", told.client_id, told.topic));
        }
        fn retained_changed(&self, told: &RetainedChanged) {
            self.note(format!("{} retains {:?}", told.topic, told.payload_bytes));
        }
    }
}

#[test]
fn observers_are_told_of_subscriptions_messages_acknowledgements_drops_pings_wills_and_retained_ones()
 {
    let (send, told) = channel();
    let settings = tidewire_broker::Settings {
        workers: 1,
        ..settings()
    };
    let broker = tidewire_broker::Broker::builder()
        .settings(settings)
        .handler(0, Notes(Mutex::new(send)))
        .start()
        .unwrap();
    let expect = |texts: &[&str]| {
        for text in texts {
            assert_eq!(told.recv_timeout(PATIENCE).unwrap(), *text);
        }
    };
    let mut client = open(&broker, Version::V5);
    let mut packet = connect(Version::V5, "c");
    packet.properties = packet.properties.with(Property::MaximumPacketSize(100));
    packet.will = Some(Will {
        qos: Qos::AtMostOnce,
        retain: false,
        properties: Properties::EMPTY,
        topic: "last".into(),
        payload: b"w"[..].into(),
    });
    client.send(&Packet::Connect(packet));
    client.receive();
    expect(&["c armed last"]);
    client.subscribe("t/#", Qos::AtLeastOnce);
    expect(&["c subscribed t/# AtLeastOnce"]);
    client.publish("t/a", "1", Qos::AtLeastOnce, 1);
    let publish = client.received_publish();
    client.receive();
    client.send(&Packet::PubAck(Ack {
        packet_id: publish.packet_id.unwrap(),
        reason: ReasonCode::QuotaExceeded,
        properties: Properties::EMPTY,
    }));
    expect(&["c published t/a 1", "c acknowledged 1 QuotaExceeded"]);
    client.ping();
    expect(&["c pinged"]);
    client.publish("nowhere", "2", Qos::AtMostOnce, 0);
    expect(&[
        "c published nowhere 2",
        "nobody misses nowhere: NoSubscriber",
    ]);
    broker
        .handle()
        .publish(ServerPublish {
            topic: "t/large".into(),
            payload: vec![b'x'; 90].into(),
            qos: Qos::AtMostOnce,
            retain: true,
        })
        .unwrap();
    expect(&[
        &format!("server published t/large {}", "x".repeat(90)),
        "t/large retains Some(90)",
        "c misses t/large: TooLarge",
    ]);
    let mut clear = publish_retained_nothing("t/large");
    clear.properties = Properties::EMPTY;
    client.send(&Packet::Publish(clear));
    expect(&["c published t/large ", "t/large retains None"]);
    assert_eq!(client.message(), ("t/large".to_owned(), String::new()));
    client.send(&Packet::Unsubscribe(Unsubscribe {
        packet_id: tidewire_codec::PacketId::MIN,
        properties: Properties::EMPTY,
        filters: vec!["t/#".into()],
    }));
    client.receive();
    expect(&["c unsubscribed t/#"]);
    drop(client);
    expect(&["c published last w", "nobody misses last: NoSubscriber"]);
}

fn publish_retained_nothing(topic: &str) -> tidewire_codec::Publish<'static> {
    let mut message = publish(topic, "", Qos::AtMostOnce, 0);
    message.retain = true;
    message
}
