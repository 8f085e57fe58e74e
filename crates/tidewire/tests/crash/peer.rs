//! Clients that remember what MQTT wants them to, whatever happens to their broker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Messages that a publisher has on the way.
const WINDOW: usize = 16;
/// So long without a packet: nothing more comes.
const SILENCE: Duration = Duration::from_secs(20);

/// A connection of MQTT 3.1.1 with a session that is kept.
struct Conn {
    stream: TcpStream,
    present: bool,
}

impl Conn {
    fn open(address: SocketAddr, client_id: &str) -> io::Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let mut body = b"\x00\x04MQTT\x04\x00\x00\x00".to_vec();
        put_text(&mut body, client_id);
        send(&mut stream, 0x10, &body)?;
        let mut conn = Self {
            stream,
            present: false,
        };
        let (first, body) = conn.read()?;
        assert_eq!((first, body.get(1)), (0x20, Some(&0)), "CONNACK");
        conn.present = body[0] == 1;
        Ok(conn)
    }

    fn send(&mut self, first: u8, body: &[u8]) -> io::Result<()> {
        send(&mut self.stream, first, body)
    }

    fn read(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head)?;
        let (mut length, mut shift) = (usize::from(head[1] & 127), 7);
        let mut more = head[1] & 128 != 0;
        while more {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 127) << shift;
            shift += 7;
            more = byte[0] & 128 != 0;
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((head[0], body))
    }
}

/// Short packets only.
fn send(stream: &mut TcpStream, first: u8, body: &[u8]) -> io::Result<()> {
    let length = u8::try_from(body.len()).expect("short");
    assert!(length < 128, "one byte of length is enough here");
    stream.write_all(&[&[first, length], body].concat())
}

fn put_text(into: &mut Vec<u8>, text: &str) {
    into.extend(u16::try_from(text.len()).expect("short").to_be_bytes());
    into.extend(text.as_bytes());
}

/// Publishes numbers, and repeats what was not acknowledged.
#[derive(Debug)]
pub(crate) struct Publisher {
    number: usize,
    pub(crate) qos: u8,
    next: u32,
    /// By packet identifier.
    pending: BTreeMap<u16, u32>,
    released: BTreeSet<u16>,
    pub(crate) acked: BTreeSet<u32>,
}

impl Publisher {
    pub(crate) fn new(number: usize, qos: u8) -> Self {
        Self {
            number,
            qos,
            next: 0,
            pending: BTreeMap::new(),
            released: BTreeSet::new(),
            acked: BTreeSet::new(),
        }
    }

    pub(crate) fn topic(&self) -> String {
        format!("q{}/{}", self.qos, self.number)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.pending.is_empty() && self.released.is_empty()
    }

    /// Publishes until the broker has gone, or only ends what it has begun.
    pub(crate) fn run(&mut self, address: SocketAddr, goes_on: bool) {
        // However the connection ends, what was not acknowledged is repeated on the next one.
        let _ = self.talk(address, goes_on);
    }

    fn talk(&mut self, address: SocketAddr, goes_on: bool) -> io::Result<()> {
        let mut conn = Conn::open(address, &format!("p{}-{}", self.qos, self.number))?;
        let mut again: Vec<_> = self.pending.iter().map(|(id, n)| (*n, *id)).collect();
        again.sort_unstable();
        for (number, id) in again {
            self.publish(&mut conn, id, number, 8)?;
        }
        for id in &self.released {
            conn.send(0x62, &id.to_be_bytes())?;
        }
        loop {
            while goes_on && self.pending.len() + self.released.len() < WINDOW {
                let id = u16::try_from(self.next % 60_000).expect("below") + 1;
                self.pending.insert(id, self.next);
                self.next += 1;
                self.publish(&mut conn, id, self.next - 1, 0)?;
            }
            if !goes_on && self.is_done() {
                return Ok(());
            }
            let (first, body) = conn.read()?;
            let id = u16::from_be_bytes([body[0], body[1]]);
            match first {
                0x40 | 0x50 => {
                    self.acked.extend(self.pending.remove(&id));
                    if first == 0x50 {
                        self.released.insert(id);
                        conn.send(0x62, &id.to_be_bytes())?;
                    }
                }
                0x70 => drop(self.released.remove(&id)),
                other => panic!("unexpected packet {other:#x}"),
            }
        }
    }

    fn publish(&self, conn: &mut Conn, id: u16, number: u32, dup: u8) -> io::Result<()> {
        let mut body = Vec::new();
        put_text(&mut body, &self.topic());
        body.extend(id.to_be_bytes());
        body.extend(number.to_string().as_bytes());
        conn.send(0x30 | self.qos << 1 | dup, &body)
    }
}

/// Takes what its session is owed, and notes it.
#[derive(Debug)]
pub(crate) struct Subscriber {
    name: &'static str,
    pub(crate) qos: u8,
    got: BTreeMap<String, Vec<u32>>,
    held: BTreeSet<u16>,
}

impl Subscriber {
    pub(crate) fn subscribe(address: SocketAddr, name: &'static str, qos: u8) -> Self {
        let subscriber = Self {
            name,
            qos,
            got: BTreeMap::new(),
            held: BTreeSet::new(),
        };
        let mut conn = Conn::open(address, &subscriber.to_string()).expect("connected");
        let mut body = vec![0, 1];
        put_text(&mut body, &format!("q{qos}/#"));
        body.push(qos);
        conn.send(0x82, &body).expect("sent");
        assert_eq!(conn.read().expect("SUBACK").0, 0x90);
        subscriber
    }

    pub(crate) fn is_here(&self) -> bool {
        self.name == "here"
    }

    pub(crate) fn of(&self, topic: &str) -> &[u32] {
        self.got.get(topic).map_or(&[], Vec::as_slice)
    }

    /// Takes messages until the broker has gone, or so many different ones have come.
    pub(crate) fn run(&mut self, address: SocketAddr, goal: Option<usize>) {
        let _ = self.talk(address, goal);
    }

    fn talk(&mut self, address: SocketAddr, goal: Option<usize>) -> io::Result<()> {
        let mut conn = Conn::open(address, &self.to_string())?;
        assert!(conn.present, "the session of {self} is gone");
        let mut different: BTreeSet<(String, u32)> = self
            .got
            .iter()
            .flat_map(|(topic, numbers)| numbers.iter().map(|n| (topic.clone(), *n)))
            .collect();
        while goal.is_none_or(|goal| different.len() < goal) || !self.held.is_empty() {
            let (first, body) = conn.read()?;
            if first >> 4 != 3 {
                let id = u16::from_be_bytes([body[0], body[1]]);
                assert_eq!(first, 0x62, "PUBREL is all that may come beside PUBLISH");
                self.held.remove(&id);
                conn.send(0x70, &body[..2])?;
                continue;
            }
            let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
            let (topic, rest) = body[2..].split_at(length);
            let topic = String::from_utf8(topic.to_vec()).expect("UTF-8");
            let id = u16::from_be_bytes([rest[0], rest[1]]);
            let number = std::str::from_utf8(&rest[2..])
                .expect("digits")
                .parse()
                .expect("a number");
            let is_qos2 = first & 6 == 4;
            if !is_qos2 || self.held.insert(id) {
                self.got.entry(topic.clone()).or_default().push(number);
                different.insert((topic, number));
            }
            conn.send(if is_qos2 { 0x50 } else { 0x40 }, &rest[..2])?;
        }
        Ok(())
    }
}

impl fmt::Display for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, self.qos)
    }
}
