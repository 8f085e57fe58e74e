//! Refuses telemetry that is not what its schema says, with reason 0x99 (Payload format invalid): messages below `telemetry/` are JSON
//! objects with a number `temperature` and a text `unit`.
//!
//! `cargo run -p tidewire-broker --example schema_check [tcp://127.0.0.1:1883]`

use std::error::Error;
use std::io::Read;
use tidewire_broker::Broker;
use tidewire_codec::{Publish, ReasonCode};
use tidewire_handler::{Client, Decide, Publication, handler};

/// Starts the broker.
pub fn start(url: &str) -> Result<Broker, Box<dyn Error>> {
    let broker = Broker::builder()
        .listen(url.parse()?)
        .handler(0, SchemaCheck)
        .start()?;
    Ok(broker)
}

struct SchemaCheck;

handler! {
    impl Handler for SchemaCheck {
        fn publish(&self, _: &Client, ask: &Publish<'_>) -> Decide<Publication> {
            if !ask.topic.starts_with("telemetry/") {
                return Decide::go_on();
            }
            match fault(&ask.payload) {
                None => Decide::go_on(),
                Some(fault) => Decide::deny_with(ReasonCode::PayloadFormatInvalid, fault),
            }
        }
    }
}

fn fault(payload: &[u8]) -> Option<&'static str> {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(payload) else {
        return Some("not JSON");
    };
    let of = |key: &str| value.get(key);
    if !of("temperature").is_some_and(serde_json::Value::is_number) {
        Some("`temperature` is missing or no number")
    } else if !of("unit").is_some_and(serde_json::Value::is_string) {
        Some("`unit` is missing or no text")
    } else {
        None
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let broker = start(url.as_deref().unwrap_or("tcp://127.0.0.1:1883"))?;
    println!("listening on {:?}", broker.addresses());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
