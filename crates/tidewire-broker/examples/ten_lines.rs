//! A broker inside a program, in ten lines.

use tidewire_broker::Broker;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let broker = Broker::builder()
        .listen("tcp://127.0.0.1:1883".parse()?)
        .start()?;
    println!("listening on {}", broker.addresses()[0].address);
    broker.wait()?;
    Ok(())
}
