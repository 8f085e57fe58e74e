//! What a deciding handler costs for each message, in a whole worker without threads or sockets: nobody handles messages, a
//! Rust handler that is ready at once, and one that waits.
//!
//! `cargo run --profile dist -p tidewire-broker --example handler_cost [nobody|ready|authorize|replace|waits [qos1]]`

use std::time::Instant;
use tidewire_broker::simulated::{Pieces, SimClient, Simulation};
use tidewire_broker::{Broker, BrokerBuilder, Settings};
use tidewire_codec::{
    Connect, Packet, PacketId, Properties, Publish, Qos, Subscribe, Subscription,
    SubscriptionOptions, Version,
};
use tidewire_handler::{AuthorizePublish, Client, Decide, Publication, Verdict, handler};

const ROUNDS: usize = 200;
const BURST: usize = 500;

struct Ready;
struct Authorize;
struct Replace;
struct Waits;

handler! {
    impl Handler for Ready {
        fn publish(&self, _: &Client, ask: &Publish<'_>) -> Decide<Publication> {
            if ask.topic.len() > 100 { Decide::deny("too long") } else { Decide::go_on() }
        }
    }
}

handler! {
    impl Handler for Authorize {
        fn authorize_publish(&self, _: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            if ask.topic.len() > 100 { Decide::deny("too long") } else { Decide::answer(()) }
        }
    }
}

handler! {
    impl Handler for Replace {
        fn publish(&self, _: &Client, ask: &Publish<'_>) -> Decide<Publication> {
            Decide::answer(Publication::Replace(ask.clone().into_owned()))
        }
    }
}

handler! {
    impl Handler for Waits {
        fn publish(&self, _: &Client, _: &Publish<'_>) -> Decide<Publication> {
            Decide::later(async {
                tokio::task::yield_now().await;
                Verdict::Continue
            })
        }
    }
}

/// Adds a handler to a broker in the making.
type House = fn(BrokerBuilder) -> BrokerBuilder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let qos = match arguments.next().as_deref() {
        Some("qos1") => Qos::AtLeastOnce,
        _ => Qos::AtMostOnce,
    };
    let houses: [(&str, House); 5] = [
        ("nobody", |builder| builder),
        ("ready", |builder| builder.handler(0, Ready)),
        ("authorize", |builder| builder.handler(0, Authorize)),
        ("replace", |builder| builder.handler(0, Replace)),
        ("waits", |builder| builder.handler(0, Waits)),
    ];
    for (name, house) in houses {
        if only.as_deref().is_none_or(|only| only == name) {
            let rounds = if name == "waits" { 2 } else { ROUNDS };
            measure(name, house(Broker::builder()), qos, rounds)?;
        }
    }
    Ok(())
}

fn measure(
    name: &str,
    builder: BrokerBuilder,
    qos: Qos,
    rounds: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings {
        workers: 1,
        sys_interval_secs: 0,
        ..Settings::default()
    };
    let mut sim = with_settings(builder, settings).simulate(1, Pieces::Whole)?;
    let publisher = enter(&mut sim, "publisher");
    let subscriber = enter(&mut sim, "subscriber");
    send(
        &mut sim,
        subscriber,
        &Packet::Subscribe(subscribe("bench/one")),
    );
    sim.settle();
    let mut burst = Vec::new();
    for id in 1..=BURST {
        Packet::Publish(publish(qos, u16::try_from(id)?)).encode(Version::V311, &mut burst)?;
    }
    let start = Instant::now();
    for _ in 0..rounds {
        sim.send(publisher, &burst);
        sim.settle();
        sim.take_received(subscriber);
        sim.take_received(publisher);
    }
    let messages = (rounds * BURST) as f64;
    let each = start.elapsed().as_secs_f64() * 1e9 / messages;
    let sent = sim.stats().publishes_sent;
    println!("{name:10} {each:8.1} ns a message, {sent} delivered");
    Ok(())
}

/// Settings first: they replace what was said about listeners, and handlers stay.
fn with_settings(builder: BrokerBuilder, settings: Settings) -> BrokerBuilder {
    builder.settings(settings)
}

fn enter(sim: &mut Simulation, client_id: &str) -> SimClient {
    let client = sim.connect();
    let connect = Connect {
        version: Version::V311,
        clean_start: true,
        keep_alive_secs: 0,
        properties: Properties::EMPTY,
        client_id: client_id.into(),
        will: None,
        username: None,
        password: None,
    };
    send(sim, client, &Packet::Connect(connect));
    sim.settle();
    client
}

fn send(sim: &mut Simulation, client: SimClient, packet: &Packet<'_>) {
    let mut bytes = Vec::new();
    if packet.encode(Version::V311, &mut bytes).is_ok() {
        sim.send(client, &bytes);
    }
}

fn subscribe(filter: &str) -> Subscribe<'_> {
    Subscribe {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        filters: vec![Subscription {
            filter: filter.into(),
            options: SubscriptionOptions::default(),
        }],
    }
}

fn publish(qos: Qos, id: u16) -> Publish<'static> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: "bench/one".into(),
        packet_id: PacketId::new(id).filter(|_| qos != Qos::AtMostOnce),
        properties: Properties::EMPTY,
        payload: vec![7; 16].into(),
    }
}
