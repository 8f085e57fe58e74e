//! A broker inside a program: listens on the address given as the first argument (`127.0.0.1:1883` without one), with as
//! many workers as the second says (one for each processor without one), until its standard input ends.

use std::io::Read;
use std::time::Duration;
use tidewire_broker::{Broker, ListenerSettings, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:1883".into());
    let workers = arguments.next().map_or(Ok(0), |count| count.parse())?;
    let listener = ListenerSettings::new("mqtt", format!("tcp://{address}").parse()?);
    let broker = Broker::start(&Settings {
        workers,
        listeners: vec![listener],
        ..Settings::default()
    })?;
    for bound in broker.addresses() {
        println!("listening on {}", bound.address);
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let report = broker.handle().shutdown(Duration::from_secs(5));
    println!(
        "{} connections closed, {} of them cut off",
        report.connections, report.cut
    );
    broker.wait()?;
    Ok(())
}
