//! A raw listener: no broker, but a controller that answers each packet as it likes. This one acknowledges messages of QoS 0
//! by their topic, sends a message before it confirms a subscription, and greets everybody when somebody comes.
//!
//! `cargo run -p tidewire-broker --example raw_controller [tcp://127.0.0.1:8081]`

use std::error::Error;
use std::io::Read;
use std::sync::{Mutex, PoisonError};
use tidewire_broker::{Broker, ListenerSettings};
use tidewire_codec::{
    Ack, ConnAck, Connect, Packet, PacketId, Properties, Publish, Qos, ReasonCode, SubAck,
    Subscribe,
};
use tidewire_handler::{Connection, Controller, Reply};

/// Starts the server.
pub fn start(url: &str) -> Result<Broker, Box<dyn Error>> {
    let listener = ListenerSettings::new("raw", url.parse()?);
    let broker = Broker::builder()
        .raw_listener(listener, ByTopic::default())
        .start()?;
    Ok(broker)
}

/// Everybody who is connected.
#[derive(Default)]
struct ByTopic {
    present: Mutex<Vec<Connection>>,
}

impl Controller for ByTopic {
    fn connect(&self, connection: &Connection, packet: &Connect<'_>) -> Reply {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        for other in present.iter() {
            let greeting = message("present", &packet.client_id);
            // Whoever has gone meanwhile needs no greeting.
            let _ = other.push(greeting);
        }
        present.push(connection.clone());
        Packet::ConnAck(ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        })
        .into()
    }

    fn publish(&self, _: &Connection, packet: &Publish<'_>) -> Reply {
        let ack = Ack {
            packet_id: packet.packet_id.unwrap_or(PacketId::MIN),
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        };
        match &*packet.topic {
            "a" => Packet::PubAck(ack).into(),
            "b" => Packet::PubRec(ack).into(),
            "c" => Packet::PubRel(ack).into(),
            "d" => Packet::PubComp(ack).into(),
            _ => Reply::None,
        }
    }

    fn subscribe(&self, connection: &Connection, packet: &Subscribe<'_>) -> Reply {
        for each in &packet.filters {
            let _ = connection.push(message("subscribed", &each.filter));
        }
        Packet::SubAck(SubAck {
            packet_id: packet.packet_id,
            properties: Properties::EMPTY,
            reasons: vec![ReasonCode::Success; packet.filters.len()],
        })
        .into()
    }

    fn closed(&self, connection: &Connection) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        present.retain(|other| other != connection);
    }
}

fn message(topic: &'static str, payload: &str) -> Packet<'static> {
    Packet::Publish(Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: topic.into(),
        packet_id: None,
        properties: Properties::EMPTY,
        payload: payload.as_bytes().to_vec().into(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let broker = start(url.as_deref().unwrap_or("tcp://127.0.0.1:8081"))?;
    println!("listening on {:?}", broker.addresses());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
