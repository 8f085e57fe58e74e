//! A handler that prints each CONNECT as one line of JSON and lets everybody in.
//!
//! `cargo run -p tidewire-broker --example print_connects [tcp://127.0.0.1:1883]`

use std::error::Error;
use std::io::Read;
use tidewire_broker::Broker;
use tidewire_codec::{Connect, Properties};
use tidewire_handler::{Client, Decide, handler, json};

/// Starts the broker; `print` gets each line.
pub fn start(
    url: &str,
    print: impl Fn(&str) + Send + Sync + 'static,
) -> Result<Broker, Box<dyn Error>> {
    let broker = Broker::builder()
        .listen(url.parse()?)
        .handler(0, PrintsConnects(Box::new(print)))
        .start()?;
    Ok(broker)
}

struct PrintsConnects(Box<dyn Fn(&str) + Send + Sync>);

handler! {
    impl Handler for PrintsConnects {
        fn connect(&self, _: &Client, ask: &Connect<'_>) -> Decide<Properties<'static>> {
            (self.0)(&json::connect(ask));
            Decide::go_on()
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let print = |line: &str| println!("{line}");
    let broker = start(url.as_deref().unwrap_or("tcp://127.0.0.1:1883"), print)?;
    println!("listening on {:?}", broker.addresses());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
