//! Connections with one subscription each that say nothing.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::handshake::{Greeting, open_all, part_all};
use super::{Gauge, Options, Tally, run_id, topic_root};
use crate::encode::{Qos, Version};
use crate::error::Result;
use crate::sequence::Faults;

/// Time for the broker to finish what the last handshakes began.
const SETTLE: Duration = Duration::from_millis(500);

/// Opens all connections between the gauge's two looks.
pub(super) fn run(
    connections: usize,
    version: Version,
    addr: SocketAddr,
    options: &Options,
    gauge: &mut dyn Gauge,
) -> Result<Tally> {
    let run = run_id();
    let root = topic_root(run);
    let greetings: Vec<Greeting> = (0..connections)
        .map(|index| Greeting::Mqtt {
            client_id: format!("{root}i{index}"),
            version,
            qos: Qos::AtMostOnce,
            filters: vec![format!("{root}/idle/{index}")],
        })
        .collect();
    gauge.begin()?;
    let begun = Instant::now();
    let sessions = open_all(addr, &greetings, &options.interrupt)?;
    std::thread::sleep(SETTLE);
    let wall = begun.elapsed();
    gauge.end()?;
    let units = sessions.len() as u64;
    part_all(sessions);
    Ok(Tally {
        units,
        wall,
        faults: Faults::default(),
        latency: None,
    })
}
