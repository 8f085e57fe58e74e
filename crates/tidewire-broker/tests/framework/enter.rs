//! Deciding about connections: before CONNECT, and about CONNECT itself.

use crate::peer::*;
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tidewire_codec::{Connect, Packet, Properties, Property, ReasonCode, Version};
use tidewire_handler::{BeforeConnect, Client, Decide, Denial, Refused, Verdict, handler};

struct Porter {
    later: bool,
    open: bool,
    told: Mutex<Sender<String>>,
}

handler! {
    impl Handler for Porter {
        fn before_connect(&self, client: &Client, _: &BeforeConnect) -> Decide<()> {
            assert!(client.address().starts_with("piped:"), "{}", client.address());
            client.set(7u8);
            let verdict = match self.open {
                true => Verdict::Continue,
                false => Verdict::deny("closed for the day"),
            };
            if !self.later {
                return verdict.into();
            }
            Decide::later(async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                verdict
            })
        }

        fn connect(&self, client: &Client, ask: &Connect<'_>) -> Decide<Properties<'static>> {
            assert_eq!(client.get::<u8>().as_deref(), Some(&7));
            match &*ask.client_id {
                "denied" => Verdict::Deny(Denial::new(ReasonCode::Banned, "banned")).into(),
                _ => Decide::answer(
                    Properties::EMPTY
                        .with(Property::UserProperty("keep-alive", &ask.keep_alive_secs.to_string()))
                        .with(Property::MaximumQos(0)),
                ),
            }
        }

        fn refused(&self, told: &Refused) {
            self.told.lock().unwrap().send(told.text.to_string()).unwrap();
        }
    }
}

fn porter(later: bool, open: bool) -> (Porter, std::sync::mpsc::Receiver<String>) {
    let (send, told) = channel();
    let told_by = Mutex::new(send);
    let porter = Porter {
        later,
        open,
        told: told_by,
    };
    (porter, told)
}

#[test]
fn a_connection_is_refused_before_a_byte_of_it_is_read() {
    for later in [false, true] {
        let (porter, told) = porter(later, false);
        let broker = builder().handler(0, porter).start().unwrap();
        let mut peer = open(&broker, Version::V5);
        assert_eq!(peer.try_receive(), None, "closed without a word");
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "closed for the day");
        let figures = broker.handle().listeners().unwrap();
        let piped = figures.last().unwrap();
        assert_eq!((piped.turned_away, piped.connections), (1, 0));
        assert_eq!(broker.handle().stats().unwrap().connections_opened, 0);
    }
}

#[test]
fn a_connect_handler_sees_the_packet_and_adds_to_connack_what_is_not_the_brokers_to_say() {
    for later in [false, true] {
        let (porter, told) = porter(later, true);
        let broker = builder().handler(0, porter).start().unwrap();
        let mut peer = open(&broker, Version::V5);
        let mut packet = connect(Version::V5, "welcome");
        packet.keep_alive_secs = 42;
        peer.send(&Packet::Connect(packet));
        let Packet::ConnAck(connack) = peer.receive() else {
            panic!("no CONNACK")
        };
        assert_eq!(connack.reason, ReasonCode::Success);
        let added: Vec<_> = connack.properties.user_properties().collect();
        assert_eq!(added, [("keep-alive", "42")]);
        assert_eq!(connack.properties.maximum_qos(), None);

        let mut peer = open(&broker, Version::V5);
        peer.send(&Packet::Connect(connect(Version::V5, "denied")));
        let Packet::ConnAck(connack) = peer.receive() else {
            panic!("no CONNACK")
        };
        assert_eq!(connack.reason, ReasonCode::Banned);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), "banned");
    }
}
