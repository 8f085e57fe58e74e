//! A listener that hears every packet of the server, by its nine callbacks.
//!
//! `listener [URL]`: subscribes to `test/#`, publishes one message of each QoS, and tells what comes.

use std::time::Duration;

use tidewire_client::codec::{Ack, ConnAck, Publish as PublishPacket, SubAck, UnsubAck};
use tidewire_client::{Client, Listener, Publish, Qos, Subscription};

struct Ear;

impl Listener for Ear {
    fn connack(&mut self, packet: &ConnAck<'_>) {
        println!("connected: {}", packet.reason);
    }

    fn publish(&mut self, packet: &PublishPacket<'_>) {
        println!(
            "message on {}: {} bytes",
            packet.topic,
            packet.payload.len()
        );
    }

    fn puback(&mut self, packet: &Ack<'_>) {
        println!("QoS 1 message {}: the server has it", packet.packet_id);
    }

    fn pubrec(&mut self, packet: &Ack<'_>) {
        println!("QoS 2 message {}: the server has it", packet.packet_id);
    }

    fn pubrel(&mut self, packet: &Ack<'_>) {
        println!("QoS 2 message {} of the server: released", packet.packet_id);
    }

    fn pubcomp(&mut self, packet: &Ack<'_>) {
        println!("QoS 2 message {}: complete", packet.packet_id);
    }

    fn suback(&mut self, packet: &SubAck<'_>) {
        println!("subscribed: {:?}", packet.reasons);
    }

    fn unsuback(&mut self, packet: &UnsubAck<'_>) {
        println!("unsubscribed: {:?}", packet.reasons);
    }

    fn pingresp(&mut self) {
        println!("the server lives");
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("mqtt://localhost");
    let client = Client::builder(url).listener(Ear).connect().await?;
    let wanted = Subscription::new("test/#").qos(Qos::ExactlyOnce);
    let mut messages = client.subscribe(wanted).await?;
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        let message = Publish::new("test/listener", "hello").qos(qos);
        client.publish(message).await?.delivered().await?;
        let received = tokio::time::timeout(Duration::from_secs(5), messages.recv()).await?;
        println!("received: {received:?}");
    }
    client.ping().await?;
    messages.unsubscribe().await?;
    let _ = client.close(Duration::from_secs(5)).await;
    Ok(())
}
