//! A service inside the broker: it answers requests on `service/upper` with the text in capital letters, on the topic that the
//! request names in its Response Topic and with its Correlation Data.
//!
//! `cargo run -p tidewire-broker --example request_response [tcp://127.0.0.1:1883]`

use std::error::Error;
use std::io::Read;
use std::thread::JoinHandle;
use tidewire_broker::{Broker, BrokerHandle};
use tidewire_codec::{Properties, Property, Publish, Qos};

/// Starts the broker and the service, which ends with the broker.
pub fn start(url: &str) -> Result<(Broker, JoinHandle<()>), Box<dyn Error>> {
    let broker = Broker::builder().listen(url.parse()?).start()?;
    let service = serve(broker.handle())?;
    Ok((broker, service))
}

fn serve(server: BrokerHandle) -> Result<JoinHandle<()>, Box<dyn Error>> {
    let mut requests = server.subscribe("service/upper", Qos::AtLeastOnce)?;
    Ok(std::thread::spawn(move || {
        while let Some(request) = requests.recv() {
            if let Some(response) = answer(&request) {
                // Whoever asked may have named a topic that is none.
                let _ = server.publish_and_wait(response);
            }
        }
    }))
}

/// The response to a request that says where it wants one.
fn answer(request: &Publish<'_>) -> Option<Publish<'static>> {
    let topic = request.properties.response_topic()?.to_owned();
    let text = String::from_utf8_lossy(&request.payload).to_uppercase();
    let mut properties = Properties::EMPTY;
    if let Some(data) = request.properties.correlation_data() {
        properties = properties.with(Property::CorrelationData(data));
    }
    Some(Publish {
        dup: false,
        qos: request.qos,
        retain: false,
        topic: topic.into(),
        packet_id: None,
        properties: properties.into_owned(),
        payload: text.into_bytes().into(),
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1);
    let (broker, service) = start(url.as_deref().unwrap_or("tcp://127.0.0.1:1883"))?;
    println!("listening on {:?}", broker.addresses());
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(broker);
    service.join().map_err(|_| "the service panicked")?;
    Ok(())
}
