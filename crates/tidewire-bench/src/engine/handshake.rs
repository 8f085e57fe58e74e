//! Connecting and subscribing before the timed part: plain blocking sockets, many at a time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use super::Interrupt;
use crate::encode::{self, Qos, Version};
use crate::error::{BenchError, Result};
use crate::frame::{remaining_length, variable_integer};
use crate::raw;

/// Connections set up side by side; below the accept backlog of any broker.
const TOGETHER: usize = 64;

/// Connections from one loopback address. The system has about 28,000 ports for each and searches longer and
/// longer for a free one when most are taken.
const CONNECTIONS_PER_SOURCE: usize = 8192;

/// How long a broker may take for one answer; adding a million filters takes its time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Filters in one SUBSCRIBE.
const FILTERS_PER_SUBSCRIBE: usize = 100;

/// A connection that has been accepted by the broker.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stream: TcpStream,
    /// Publishes at QoS 1 and 2 that the broker takes unacknowledged.
    pub(super) receive_maximum: u16,
}

/// Says DISCONNECT on all connections, then closes them so that none lingers in the system for a minute: thousands of
/// those would be in the way of the next run's.
pub(super) fn part_all(mut sessions: Vec<Session>) {
    for session in &mut sessions {
        let _may_be_gone = session.stream.write_all(&encode::DISCONNECT);
    }
    for session in &sessions {
        let _lingers_at_worst = SockRef::from(&session.stream).set_linger(Some(Duration::ZERO));
    }
}

/// What a connection says first.
#[derive(Debug, Clone)]
pub(super) enum Greeting {
    /// MQTT CONNECT, then SUBSCRIBE for the filters, if any.
    Mqtt {
        client_id: String,
        version: Version,
        qos: Qos,
        filters: Vec<String>,
    },
    /// The raw forwarder's hello.
    Raw(raw::Hello),
}

/// Opens one connection per greeting, in order.
pub(super) fn open_all(
    addr: SocketAddr,
    greetings: &[Greeting],
    interrupt: &Interrupt,
) -> Result<Vec<Session>> {
    let mut sessions = Vec::with_capacity(greetings.len());
    for greetings in greetings.chunks(TOGETHER) {
        interrupt.check()?;
        let opened = open_from(source(addr, sessions.len()), addr, greetings)?;
        sessions.extend(opened);
    }
    Ok(sessions)
}

/// Opens a few connections, each step for all of them before the next.
pub(super) fn open_together(addr: SocketAddr, greetings: &[Greeting]) -> Result<Vec<Session>> {
    open_from(None, addr, greetings)
}

fn open_from(
    source: Option<SocketAddr>,
    addr: SocketAddr,
    greetings: &[Greeting],
) -> Result<Vec<Session>> {
    let mut sessions = Vec::with_capacity(greetings.len());
    for greeting in greetings {
        let stream =
            connect_from(source, addr).map_err(BenchError::io(format!("connecting to {addr}")))?;
        let mut stream = with_options(stream)?;
        let hello = match greeting {
            Greeting::Mqtt {
                client_id, version, ..
            } => encode::connect(client_id, *version),
            Greeting::Raw(hello) => hello.encode().to_vec(),
        };
        stream
            .write_all(&hello)
            .map_err(BenchError::io("sending the first packet"))?;
        sessions.push(Session {
            stream,
            receive_maximum: u16::MAX,
        });
    }
    for (session, greeting) in sessions.iter_mut().zip(greetings) {
        match greeting {
            Greeting::Mqtt { version, .. } => {
                session.receive_maximum = read_connack(&mut session.stream, *version)?;
            }
            Greeting::Raw(_) => read_welcome(&mut session.stream)?,
        }
    }
    subscribe_all(&mut sessions, greetings)?;
    Ok(sessions)
}

/// A connection with the options all of them have.
pub(super) fn connect(addr: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect(addr).map_err(BenchError::io(format!("connecting to {addr}")))?;
    with_options(stream)
}

fn with_options(stream: TcpStream) -> Result<TcpStream> {
    let doing = "setting options of a socket";
    stream.set_nodelay(true).map_err(BenchError::io(doing))?;
    stream
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .map_err(BenchError::io(doing))?;
    Ok(stream)
}

/// The address that connection number `index` comes from; `None` leaves it to the system.
fn source(addr: SocketAddr, index: usize) -> Option<SocketAddr> {
    let host = u8::try_from(1 + index / CONNECTIONS_PER_SOURCE).unwrap_or(u8::MAX);
    let loopback = addr.is_ipv4() && addr.ip().is_loopback();
    (loopback && host > 1).then(|| SocketAddr::from(([127, 0, 0, host], 0)))
}

fn connect_from(source: Option<SocketAddr>, addr: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source else {
        return TcpStream::connect(addr);
    };
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
    #[cfg(target_os = "linux")]
    {
        use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
        // Or else the port belongs to this connection alone, whatever its destination, for a minute after its end.
        setsockopt(&socket, IpBindAddressNoPort, &true)?;
    }
    socket.bind(&source.into())?;
    socket.connect(&addr.into())?;
    Ok(socket.into())
}

fn subscribe_all(sessions: &mut [Session], greetings: &[Greeting]) -> Result<()> {
    let mut owed = vec![0usize; sessions.len()];
    for (at, greeting) in greetings.iter().enumerate() {
        let Greeting::Mqtt {
            version,
            qos,
            filters,
            ..
        } = greeting
        else {
            continue;
        };
        for (filters, packet_id) in filters.chunks(FILTERS_PER_SUBSCRIBE).zip(1u16..) {
            let packet = encode::subscribe(packet_id, filters, *qos, *version);
            let stream = &mut sessions[at].stream;
            stream
                .write_all(&packet)
                .map_err(BenchError::io("sending SUBSCRIBE"))?;
            owed[at] += 1;
            // One under way per connection at a time would be slow; all at once may fill both sockets.
            if owed[at] == 16 {
                read_subacks(stream, *version, *qos, &mut owed[at])?;
            }
        }
    }
    for (at, greeting) in greetings.iter().enumerate() {
        let Greeting::Mqtt { version, qos, .. } = greeting else {
            continue;
        };
        read_subacks(&mut sessions[at].stream, *version, *qos, &mut owed[at])?;
    }
    Ok(())
}

fn read_subacks(
    stream: &mut TcpStream,
    version: Version,
    qos: Qos,
    owed: &mut usize,
) -> Result<()> {
    while *owed > 0 {
        check_suback(&read_packet(stream, "SUBSCRIBE")?, version, qos)?;
        *owed -= 1;
    }
    Ok(())
}

fn check_suback(packet: &Packet, version: Version, qos: Qos) -> Result<()> {
    let granted = packet
        .body
        .get(2..)
        .and_then(|rest| after_properties(rest, version));
    let agreed = packet.packet_type == 9
        && granted.is_some_and(|codes| codes.iter().all(|code| *code == qos as u8));
    if agreed {
        Ok(())
    } else {
        Err(packet.refusal("SUBSCRIBE"))
    }
}

/// The broker's Receive Maximum, 65,535 unless an MQTT 5 broker says less.
fn read_connack(stream: &mut TcpStream, version: Version) -> Result<u16> {
    let packet = read_packet(stream, "CONNECT")?;
    if packet.packet_type != 2 || packet.body.get(1) != Some(&0) {
        return Err(packet.refusal("CONNECT"));
    }
    match version {
        Version::V311 => Ok(u16::MAX),
        Version::V5 => receive_maximum(&packet.body[2..]).ok_or_else(|| packet.refusal("CONNECT")),
    }
}

/// Finds property 0x21 in a CONNACK's properties; `None` if they cannot be read.
fn receive_maximum(bytes: &[u8]) -> Option<u16> {
    let (length, digits) = variable_integer(bytes).ok()??;
    let mut rest = bytes.get(digits..digits + length)?;
    let mut maximum = u16::MAX;
    while let Some((&id, value)) = rest.split_first() {
        let string = |value: &[u8]| {
            Some(2 + usize::from(u16::from_be_bytes([*value.first()?, *value.get(1)?])))
        };
        let size = match id {
            0x24 | 0x25 | 0x28 | 0x29 | 0x2A => 1,
            0x13 | 0x21 | 0x22 => 2,
            0x11 | 0x27 => 4,
            0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => string(value)?,
            0x26 => {
                let name = string(value)?;
                name + string(value.get(name..)?)?
            }
            _ => return None,
        };
        if id == 0x21 {
            maximum = u16::from_be_bytes([*value.first()?, *value.get(1)?]);
        }
        rest = value.get(size..)?;
    }
    Some(maximum)
}

fn after_properties(bytes: &[u8], version: Version) -> Option<&[u8]> {
    match version {
        Version::V311 => Some(bytes),
        Version::V5 => {
            let (length, digits) = variable_integer(bytes).ok()??;
            bytes.get(digits + length..)
        }
    }
}

fn read_welcome(stream: &mut TcpStream) -> Result<()> {
    let mut welcome = [0u8];
    stream
        .read_exact(&mut welcome)
        .map_err(BenchError::io("waiting for the raw forwarder"))?;
    if welcome == [raw::WELCOME] {
        return Ok(());
    }
    Err(BenchError::Refused {
        step: "the raw hello",
        answer: format!("{welcome:02x?}"),
    })
}

/// One whole packet.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) packet_type: u8,
    pub(super) body: Vec<u8>,
}

impl Packet {
    fn refusal(&self, step: &'static str) -> BenchError {
        let shown = &self.body[..self.body.len().min(16)];
        let answer = format!(
            "a packet of type {} that begins {shown:02x?}",
            self.packet_type
        );
        BenchError::Refused { step, answer }
    }
}

/// Reads exactly one packet, so that nothing of the next is taken.
pub(super) fn read_packet(stream: &mut TcpStream, after: &'static str) -> Result<Packet> {
    let failed = || BenchError::io(format!("waiting for the answer to {after}"));
    let mut head = vec![0u8; 2];
    stream.read_exact(&mut head).map_err(failed())?;
    let length = loop {
        if let Some((length, _)) = remaining_length(&head)? {
            break length;
        }
        let mut digit = [0u8];
        stream.read_exact(&mut digit).map_err(failed())?;
        head.push(digit[0]);
    };
    let mut body = vec![0u8; length];
    stream.read_exact(&mut body).map_err(failed())?;
    Ok(Packet {
        packet_type: head[0] >> 4,
        body,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receive_maximum_is_found_among_other_properties() {
        let text = [
            0x22, 0, 10, 0x26, 0, 1, b'k', 0, 1, b'v', 0x21, 0, 20, 0x12, 0, 1, b'x',
        ];
        let mut bytes = vec![text.len() as u8];
        bytes.extend(text);
        assert_eq!(receive_maximum(&bytes), Some(20));
        assert_eq!(receive_maximum(&[0]), Some(u16::MAX));
        assert_eq!(receive_maximum(&[2, 0x7F, 0]), None);
    }

    #[test]
    fn a_lower_granted_qos_is_a_refusal() {
        let suback = |code| Packet {
            packet_type: 9,
            body: vec![0, 1, code],
        };
        assert!(check_suback(&suback(1), Version::V311, Qos::AtLeastOnce).is_ok());
        assert!(check_suback(&suback(0), Version::V311, Qos::AtLeastOnce).is_err());
        assert!(check_suback(&suback(0x80), Version::V311, Qos::AtLeastOnce).is_err());
    }
}
