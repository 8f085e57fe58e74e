//! A broker of a few lines, just right enough for the load generator, which can be told to misbehave.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misdeed {
    Nothing,
    /// The delivery of this number, from 0, does not happen.
    Lose(u64),
    /// It happens twice.
    Duplicate(u64),
    /// It happens after the next one.
    Delay(u64),
    /// All connections are closed instead.
    Die(u64),
    /// Publishes at QoS 1 are acknowledged with this MQTT 5 reason code.
    Refuse(u8),
}

/// A running fake; it lives as long as the test process.
pub(crate) struct FakeBroker {
    pub(crate) addr: SocketAddr,
}

#[derive(Default)]
struct Shared {
    subscriptions: Vec<Subscription>,
    retained: BTreeMap<String, Vec<u8>>,
    connections: Vec<TcpStream>,
    deliveries: u64,
    turns: usize,
    delayed: Option<(usize, Vec<u8>)>,
}

struct Subscription {
    filter: String,
    group: bool,
    qos: u8,
    v5: bool,
    next_id: u16,
    stream: TcpStream,
}

struct Packet {
    first: u8,
    body: Vec<u8>,
}

struct Client {
    shared: Arc<Mutex<Shared>>,
    misdeed: Misdeed,
    stream: TcpStream,
    v5: bool,
}

impl FakeBroker {
    pub(crate) fn start(misdeed: Misdeed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared::default()));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_nodelay(true).unwrap();
                let shared = Arc::clone(&shared);
                shared
                    .lock()
                    .unwrap()
                    .connections
                    .push(stream.try_clone().unwrap());
                let mut client = Client {
                    shared,
                    misdeed,
                    stream,
                    v5: false,
                };
                thread::spawn(move || client.serve());
            }
        });
        Self { addr }
    }
}

impl Client {
    fn serve(&mut self) {
        let mut reader = BufReader::new(self.stream.try_clone().unwrap());
        while let Ok(packet) = read_packet(&mut reader) {
            if self.handle(&packet).is_err() {
                break;
            }
        }
        let _gone = self.stream.shutdown(std::net::Shutdown::Both);
    }

    fn handle(&mut self, packet: &Packet) -> io::Result<()> {
        let body = &packet.body;
        match packet.first >> 4 {
            1 => {
                self.v5 = body[6] == 5;
                // A small Receive Maximum, so that respecting it is part of the test.
                let v5: &[u8] = &[0x20, 6, 0, 0, 3, 0x21, 0, 4];
                self.stream
                    .write_all(if self.v5 { v5 } else { &[0x20, 2, 0, 0] })
            }
            3 => self.publish(packet.first, body),
            5 => self.stream.write_all(&[0x62, 2, body[0], body[1]]),
            6 => self.stream.write_all(&[0x70, 2, body[0], body[1]]),
            8 => self.subscribe(body),
            14 => Err(io::ErrorKind::ConnectionAborted.into()),
            _ => Ok(()),
        }
    }

    fn publish(&mut self, first: u8, body: &[u8]) -> io::Result<()> {
        let topic_bytes = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + topic_bytes].to_vec()).unwrap();
        let qos = first >> 1 & 3;
        let mut at = 2 + topic_bytes;
        let id = body.get(at..at + 2).map(<[u8]>::to_vec);
        at += usize::from(qos > 0) * 2 + usize::from(self.v5);
        let payload = &body[at..];
        let mut shared = self.shared.lock().unwrap();
        if first & 1 == 1 {
            shared.retained.insert(topic.clone(), payload.to_vec());
        }
        shared.route(&topic, payload, qos, self.misdeed)?;
        drop(shared);
        match (qos, id) {
            (1, Some(id)) => match self.misdeed {
                Misdeed::Refuse(reason) => self.stream.write_all(&[0x40, 3, id[0], id[1], reason]),
                _ => self.stream.write_all(&[0x40, 2, id[0], id[1]]),
            },
            (2, Some(id)) => self.stream.write_all(&[0x50, 2, id[0], id[1]]),
            _ => Ok(()),
        }
    }

    fn subscribe(&mut self, body: &[u8]) -> io::Result<()> {
        let mut shared = self.shared.lock().unwrap();
        let mut codes = Vec::new();
        let mut at = 2 + usize::from(self.v5);
        while at < body.len() {
            let length = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
            let text = String::from_utf8(body[at + 2..at + 2 + length].to_vec()).unwrap();
            let qos = body[at + 2 + length];
            at += 3 + length;
            codes.push(qos);
            let stream = self.stream.try_clone()?;
            let filter = text
                .strip_prefix("$share/group/")
                .unwrap_or(&text)
                .to_owned();
            let group = filter != text;
            shared.subscriptions.push(Subscription {
                filter,
                group,
                qos,
                v5: self.v5,
                next_id: 0,
                stream,
            });
        }
        let properties: &[u8] = if self.v5 { &[0] } else { &[] };
        let suback = [&body[..2], properties, &codes].concat();
        let mut reply = encode(0x90, &suback);
        let newest = shared.subscriptions.last_mut().unwrap();
        let filter = newest.filter.clone();
        let v5 = newest.v5;
        let kept = shared
            .retained
            .iter()
            .filter(|(topic, _)| matches(&filter, topic));
        for (_, (topic, payload)) in (0..)
            .zip(kept)
            .filter(|(nth, _)| self.misdeed != Misdeed::Lose(*nth))
        {
            reply.extend(publish(topic, payload, 0, 0, v5));
        }
        self.stream.write_all(&reply)
    }
}

impl Shared {
    fn route(&mut self, topic: &str, payload: &[u8], qos: u8, misdeed: Misdeed) -> io::Result<()> {
        let hits: Vec<usize> = (0..self.subscriptions.len())
            .filter(|&n| matches(&self.subscriptions[n].filter, topic))
            .collect();
        let (members, singles): (Vec<usize>, Vec<usize>) =
            hits.into_iter().partition(|&n| self.subscriptions[n].group);
        self.turns += 1;
        let member = (!members.is_empty()).then(|| members[self.turns % members.len()]);
        for n in singles.into_iter().chain(member) {
            let subscription = &mut self.subscriptions[n];
            subscription.next_id = subscription.next_id % 65_535 + 1;
            let (qos, id) = (qos.min(subscription.qos), subscription.next_id);
            let packet = publish(topic, payload, qos, id, subscription.v5);
            self.deliver(n, packet, misdeed)?;
        }
        Ok(())
    }

    fn deliver(&mut self, n: usize, packet: Vec<u8>, misdeed: Misdeed) -> io::Result<()> {
        let number = self.deliveries;
        self.deliveries += 1;
        match misdeed {
            Misdeed::Lose(nth) if nth == number => return Ok(()),
            Misdeed::Duplicate(nth) if nth == number => self.write(n, &packet)?,
            Misdeed::Delay(nth) if nth == number => {
                self.delayed = Some((n, packet));
                return Ok(());
            }
            Misdeed::Die(nth) if nth == number => {
                for connection in &self.connections {
                    let _gone = connection.shutdown(std::net::Shutdown::Both);
                }
            }
            _ => {}
        }
        self.write(n, &packet)?;
        if self.delayed.as_ref().is_some_and(|(of, _)| *of == n)
            && let Some((n, late)) = self.delayed.take()
        {
            self.write(n, &late)?;
        }
        Ok(())
    }

    fn write(&mut self, n: usize, packet: &[u8]) -> io::Result<()> {
        self.subscriptions[n].stream.write_all(packet)
    }
}

fn publish(topic: &str, payload: &[u8], qos: u8, id: u16, v5: bool) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.as_bytes());
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    if v5 {
        body.push(0);
    }
    body.extend(payload);
    encode(0x30 | qos << 1, &body)
}

fn encode(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    while rest >= 128 {
        bytes.push((rest % 128) as u8 | 0x80);
        rest /= 128;
    }
    bytes.push(rest as u8);
    bytes.extend(body);
    bytes
}

fn read_packet(reader: &mut impl Read) -> io::Result<Packet> {
    let mut byte = [0u8];
    reader.read_exact(&mut byte)?;
    let first = byte[0];
    let (mut length, mut shift) = (0usize, 0);
    loop {
        reader.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Packet { first, body })
}

fn matches(filter: &str, topic: &str) -> bool {
    let (mut filters, mut levels) = (filter.split('/'), topic.split('/'));
    loop {
        match (filters.next(), levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}
