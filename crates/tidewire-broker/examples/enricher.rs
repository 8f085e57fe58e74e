//! Adds to each message who published it and through which listener, as user properties.
//!
//! `cargo run -p tidewire-broker --example enricher [tcp://127.0.0.1:1883]`

use std::error::Error;
use std::io::Read;
use tidewire_broker::Broker;
use tidewire_codec::{Property, Publish};
use tidewire_handler::{Client, Decide, Publication, handler};

/// Starts the broker.
pub fn start(url: &str) -> Result<Broker, Box<dyn Error>> {
    let broker = Broker::builder()
        .listen(url.parse()?)
        .handler(0, Enricher)
        .start()?;
    Ok(broker)
}

struct Enricher;

handler! {
    impl Handler for Enricher {
        fn publish(&self, client: &Client, ask: &Publish<'_>) -> Decide<Publication> {
            let mut enriched = ask.clone().into_owned();
            enriched.properties = enriched
                .properties
                .with(Property::UserProperty("publisher", client.client_id()))
                .with(Property::UserProperty("listener", client.listener_name()));
            Decide::answer(Publication::Replace(enriched))
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let broker = start(url.as_deref().unwrap_or("tcp://127.0.0.1:1883"))?;
    println!("listening on {:?}", broker.addresses());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
