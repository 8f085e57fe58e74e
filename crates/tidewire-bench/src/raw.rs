//! A socket forwarder without MQTT: the floor of what any broker can cost.
//!
//! One thread, epoll, reads of 64 KiB, one write per connection and turn. A connection says first which
//! [`Hello`] it is; from then on what a publisher of a group sends goes, byte for byte, to all subscribers of that
//! group. Frames are not known here, so publishers that share a subscriber must write whole packets at once.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

/// What the forwarder answers to a hello, once the connection is in its group.
pub const WELCOME: u8 = b'+';

/// Length of an encoded hello.
pub const HELLO_BYTES: usize = 9;

const MAGIC: [u8; 4] = *b"TWRW";
const LISTENER: Token = Token(0);
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Which end of a group a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// What it sends is forwarded.
    Publisher = b'P',
    /// It receives.
    Subscriber = b'S',
}

/// The first bytes on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Which end.
    pub role: Role,
    /// Of which group.
    pub group: u32,
}

impl Hello {
    /// The bytes of this hello.
    #[must_use]
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.role as u8;
        bytes[5..].copy_from_slice(&self.group.to_be_bytes());
        bytes
    }

    /// Reads a hello; `None` if these bytes are none.
    #[must_use]
    pub fn decode(bytes: &[u8; HELLO_BYTES]) -> Option<Self> {
        let [m0, m1, m2, m3, role, group @ ..] = *bytes;
        let role = match role {
            b'P' => Role::Publisher,
            b'S' => Role::Subscriber,
            _ => return None,
        };
        ([m0, m1, m2, m3] == MAGIC).then_some(Self {
            role,
            group: u32::from_be_bytes(group),
        })
    }
}

/// The forwarder.
#[derive(Debug)]
pub struct Forwarder {
    poll: Poll,
    listener: TcpListener,
    /// By token, minus one; closed connections leave a gap.
    connections: Vec<Option<Connection>>,
    /// By group number: its subscribers, as indices of connections.
    groups: Vec<Vec<usize>>,
    /// Connections with output to write at the end of the turn.
    dirty: Vec<usize>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    hello: Option<Hello>,
    out: Vec<u8>,
    written: usize,
}

/// Group numbers above this are refused: they index a table.
const MOST_GROUPS: u32 = 1 << 16;

impl Forwarder {
    /// Binds the listener.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub fn bind(addr: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(addr)?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)?;
        let buffer = vec![0; READ_BUFFER_BYTES];
        let (connections, groups, dirty) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self {
            poll,
            listener,
            connections,
            groups,
            dirty,
            buffer,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Forwards until `go_on` says no; it is asked after each turn, at least every `patience`.
    ///
    /// # Errors
    /// When polling or accepting fails. A failing connection is only closed.
    pub fn run(
        &mut self,
        patience: Option<Duration>,
        mut go_on: impl FnMut() -> bool,
    ) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while go_on() {
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    Token(token) if event.is_readable() => self.forward(token - 1),
                    Token(token) => self.dirty.push(token - 1),
                }
            }
            self.flush();
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            let token = Token(self.connections.len() + 1);
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, token, both)?;
            self.connections.push(Some(Connection {
                stream,
                hello: None,
                out: Vec::new(),
                written: 0,
            }));
        }
    }

    fn forward(&mut self, index: usize) {
        loop {
            let Some(connection) = &mut self.connections[index] else {
                return;
            };
            let count = match connection.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Ok(0) | Err(_) => return self.close(index),
                Ok(count) => count,
            };
            match connection.hello {
                Some(Hello {
                    role: Role::Publisher,
                    group,
                }) => self.spread(group, count),
                Some(Hello {
                    role: Role::Subscriber,
                    ..
                }) => {}
                None => self.greet(index, count),
            }
            if count < self.buffer.len() {
                return;
            }
        }
    }

    /// Appends the buffer's first `count` bytes to every subscriber's output.
    fn spread(&mut self, group: u32, count: usize) {
        for &subscriber in self.groups.get(group as usize).into_iter().flatten() {
            if let Some(connection) = &mut self.connections[subscriber] {
                if connection.out.is_empty() {
                    self.dirty.push(subscriber);
                }
                connection.out.extend_from_slice(&self.buffer[..count]);
            }
        }
    }

    /// Takes a hello; it comes alone, since its sender waits for the welcome.
    fn greet(&mut self, index: usize, count: usize) {
        let hello = self.buffer[..count].try_into().ok().and_then(Hello::decode);
        let Some(hello) = hello.filter(|hello| hello.group < MOST_GROUPS) else {
            return self.close(index);
        };
        if hello.role == Role::Subscriber {
            let group = hello.group as usize;
            self.groups
                .resize_with(self.groups.len().max(group + 1), Vec::new);
            self.groups[group].push(index);
        }
        if let Some(connection) = &mut self.connections[index] {
            connection.hello = Some(hello);
            connection.out.push(WELCOME);
            self.dirty.push(index);
        }
    }

    fn flush(&mut self) {
        for index in std::mem::take(&mut self.dirty) {
            let Some(connection) = &mut self.connections[index] else {
                continue;
            };
            if connection.flush().is_err() {
                self.close(index);
            }
        }
    }

    fn close(&mut self, index: usize) {
        let hello = self.connections[index]
            .take()
            .and_then(|connection| connection.hello);
        if let Some(Hello {
            role: Role::Subscriber,
            group,
        }) = hello
        {
            self.groups[group as usize].retain(|subscriber| *subscriber != index);
        }
    }
}

impl Connection {
    fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_reads_back_as_written_and_nothing_else_is_one() {
        let hello = Hello {
            role: Role::Subscriber,
            group: 77,
        };
        assert_eq!(Hello::decode(&hello.encode()), Some(hello));
        let mut other = hello.encode();
        other[0] = b'x';
        assert_eq!(Hello::decode(&other), None);
    }
}
