//! New subscribers receive many retained messages.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::block::packet_id;
use super::handshake::{Greeting, connect, open_together, read_packet};
use super::{Gauge, Options, Tally, run_id, topic_root};
use crate::encode::{self, PublishKind, Qos, Retain, Topic, Version};
use crate::error::{BenchError, Result};
use crate::frame::{Frame, FrameScanner};
use crate::payload::Stamp;
use crate::sequence::Faults;

/// Publishes that wait for their PUBACK at the same time.
const UNACKNOWLEDGED: usize = 500;

/// Many retained messages for each new subscriber.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) messages: usize,
    pub(super) payload_bytes: usize,
    pub(super) version: Version,
}

impl Load {
    /// Stores the messages, lets subscribers come one after another, and removes the messages again.
    pub(super) fn run(
        &self,
        addr: SocketAddr,
        options: &Options,
        gauge: &mut dyn Gauge,
    ) -> Result<Tally> {
        let run = run_id();
        let root = topic_root(run);
        let greeting = Greeting::Mqtt {
            client_id: format!("{root}p"),
            version: self.version,
            qos: Qos::AtLeastOnce,
            filters: Vec::new(),
        };
        let mut publisher = open_together(addr, &[greeting])?.remove(0);
        let together = UNACKNOWLEDGED.min(usize::from(publisher.receive_maximum));
        self.store(&mut publisher.stream, run, together, options)?;
        let tally = self.receive(addr, run, options, gauge)?;
        self.remove(&mut publisher.stream, &root)?;
        Ok(tally)
    }

    fn store(
        &self,
        stream: &mut TcpStream,
        run: u32,
        together: usize,
        options: &Options,
    ) -> Result<()> {
        let root = topic_root(run);
        let kind = PublishKind {
            version: self.version,
            qos: Qos::AtLeastOnce,
            retain: Retain::Yes,
            payload_bytes: self.payload_bytes,
        };
        let mut sequence = 0u64;
        while sequence < self.messages as u64 {
            options.interrupt.check()?;
            let mut bytes = Vec::new();
            let until = (sequence + together as u64).min(self.messages as u64);
            for sequence in sequence..until {
                let mut packet = encode::publish(&topic(&root, sequence), kind);
                let id_at = packet.packet_id_at.expect("QoS 1 has a packet identifier");
                packet.bytes[id_at..id_at + 2].copy_from_slice(&packet_id(sequence).to_be_bytes());
                Stamp {
                    publisher: 0,
                    run,
                    sequence,
                }
                .write(&mut packet.bytes[packet.payload_at..]);
                bytes.extend_from_slice(&packet.bytes);
            }
            stream
                .write_all(&bytes)
                .map_err(BenchError::io("sending retained messages"))?;
            for _ in sequence..until {
                expect_puback(stream)?;
            }
            sequence = until;
        }
        Ok(())
    }

    fn receive(
        &self,
        addr: SocketAddr,
        run: u32,
        options: &Options,
        gauge: &mut dyn Gauge,
    ) -> Result<Tally> {
        let mut faults = Faults::default();
        self.subscriber(addr, run, 0, options, &mut faults)?;
        gauge.begin()?;
        let begun = Instant::now();
        let mut units = 0;
        for number in 1.. {
            units += self.subscriber(addr, run, number, options, &mut faults)?;
            if begun.elapsed() >= options.timed || !faults.is_clean() {
                break;
            }
        }
        let wall = begun.elapsed();
        gauge.end()?;
        Ok(Tally {
            units,
            wall,
            faults,
            latency: None,
        })
    }

    /// One new subscriber; returns how many messages it got.
    fn subscriber(
        &self,
        addr: SocketAddr,
        run: u32,
        number: u32,
        options: &Options,
        faults: &mut Faults,
    ) -> Result<u64> {
        let root = topic_root(run);
        let mut stream = connect(addr)?;
        let hello = encode::connect(&format!("{root}s{number}"), self.version);
        stream
            .write_all(&hello)
            .map_err(BenchError::io("sending CONNECT"))?;
        let connack = read_packet(&mut stream, "CONNECT")?;
        if connack.packet_type != 2 || connack.body.get(1) != Some(&0) {
            let answer = format!("{:02x?}", connack.body);
            return Err(BenchError::Refused {
                step: "CONNECT",
                answer,
            });
        }
        let filter = [format!("{root}/#")];
        let subscribe = encode::subscribe(1, &filter, Qos::AtMostOnce, self.version);
        stream
            .write_all(&subscribe)
            .map_err(BenchError::io("sending SUBSCRIBE"))?;
        let got = self.collect(&mut stream, run, options, faults)?;
        // The broker may be gone already; the messages are what counts.
        let _closing = stream.write_all(&encode::DISCONNECT);
        Ok(got)
    }

    fn collect(
        &self,
        stream: &mut TcpStream,
        run: u32,
        options: &Options,
        faults: &mut Faults,
    ) -> Result<u64> {
        stream
            .set_read_timeout(Some(options.stall))
            .map_err(BenchError::io("setting a timeout"))?;
        let mut inbox = Inbox {
            run,
            arrived: vec![false; self.messages],
            got: 0,
        };
        let mut scanner = FrameScanner::new(self.version);
        let mut buffer = vec![0u8; 256 * 1024];
        while inbox.got < self.messages as u64 {
            options.interrupt.check()?;
            match stream.read(&mut buffer) {
                Ok(0) => {
                    return Err(BenchError::ConnectionLost {
                        what: "the new subscriber".into(),
                    });
                }
                Ok(count) => scanner.feed(&buffer[..count], |frame| inbox.take(frame, faults))?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    break;
                }
                Err(error) => return Err(BenchError::io("reading retained messages")(error)),
            }
        }
        faults.lost += self.messages as u64 - inbox.got;
        Ok(inbox.got)
    }

    fn remove(&self, stream: &mut TcpStream, root: &str) -> Result<()> {
        let mut bytes = Vec::new();
        for sequence in 0..self.messages as u64 {
            bytes.extend(encode::clear_retained(&topic(root, sequence), self.version));
        }
        bytes.extend(encode::DISCONNECT);
        stream
            .write_all(&bytes)
            .map_err(BenchError::io("removing retained messages"))
    }
}

struct Inbox {
    run: u32,
    arrived: Vec<bool>,
    got: u64,
}

impl Inbox {
    fn take(&mut self, frame: Frame, faults: &mut Faults) {
        let Frame::Publish(delivery) = frame else {
            return;
        };
        let ours = delivery.stamp.filter(|stamp| stamp.run == self.run);
        match ours.and_then(|stamp| self.arrived.get_mut(stamp.sequence as usize)) {
            None => faults.foreign += 1,
            Some(true) => faults.duplicated += 1,
            Some(arrived) => {
                *arrived = true;
                self.got += 1;
            }
        }
    }
}

fn topic(root: &str, sequence: u64) -> Topic {
    Topic::fixed(format!("{root}/r/{}/{sequence}", sequence % 100))
}

fn expect_puback(stream: &mut TcpStream) -> Result<()> {
    let packet = read_packet(stream, "PUBLISH")?;
    if packet.packet_type == 4 && packet.body.get(2).is_none_or(|reason| *reason < 0x80) {
        return Ok(());
    }
    let answer = format!(
        "a packet of type {}: {:02x?}",
        packet.packet_type, packet.body
    );
    Err(BenchError::Refused {
        step: "PUBLISH",
        answer,
    })
}
