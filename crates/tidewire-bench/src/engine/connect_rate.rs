//! Connect, subscribe, disconnect, over and over.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::handshake::{Greeting, Session, open_together};
use super::{Gauge, Options, Tally, run_id, topic_root};
use crate::encode::{self, Qos, Version};
use crate::error::{BenchError, Result};
use crate::sequence::Faults;

/// Makes connections for the timed part; each has a client identifier and a topic of its own.
pub(super) fn run(
    together: usize,
    version: Version,
    addr: SocketAddr,
    options: &Options,
    gauge: &mut dyn Gauge,
) -> Result<Tally> {
    let mut load = Load {
        together: together.max(1),
        version,
        addr,
        root: topic_root(run_id()),
        made: 0,
    };
    load.repeat(options.warm_up, options)?;
    gauge.begin()?;
    let (begun, before) = (Instant::now(), load.made);
    load.repeat(options.timed, options)?;
    let wall = begun.elapsed();
    gauge.end()?;
    Ok(Tally {
        units: load.made - before,
        wall,
        faults: Faults::default(),
        latency: None,
    })
}

struct Load {
    together: usize,
    version: Version,
    addr: SocketAddr,
    root: String,
    made: u64,
}

impl Load {
    fn repeat(&mut self, length: Duration, options: &Options) -> Result<()> {
        let end = Instant::now() + length;
        while Instant::now() < end {
            options.interrupt.check()?;
            let sessions = open_together(self.addr, &self.greetings())?;
            self.made += sessions.len() as u64;
            close_all(sessions)?;
        }
        Ok(())
    }

    fn greetings(&self) -> Vec<Greeting> {
        (self.made..self.made + self.together as u64)
            .map(|index| Greeting::Mqtt {
                client_id: format!("{}c{index}", self.root),
                version: self.version,
                qos: Qos::AtMostOnce,
                filters: vec![format!("{}/c/{index}", self.root)],
            })
            .collect()
    }
}

/// Says DISCONNECT everywhere and waits until the broker has closed every connection.
fn close_all(mut sessions: Vec<Session>) -> Result<()> {
    for session in &mut sessions {
        session
            .stream
            .write_all(&encode::DISCONNECT)
            .map_err(BenchError::io("sending DISCONNECT"))?;
    }
    for session in &mut sessions {
        match session.stream.read(&mut [0u8; 1]) {
            Ok(0) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Ok(_) => {
                let answer = "a packet instead of closing".into();
                return Err(BenchError::Refused {
                    step: "DISCONNECT",
                    answer,
                });
            }
            Err(error) => return Err(BenchError::io("waiting for the broker to close")(error)),
        }
    }
    Ok(())
}
