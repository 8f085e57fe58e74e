//! The operating system's world: sockets and readiness through `mio`.

use crate::desk::StorePort;
use crate::driver::{Accepted, Driver, Poller, Ready, Transport};
use crate::entrance::{Entrance, ListeningSocket};
use mio::event::Event;
use mio::{Events, Poll, Registry, Token, Waker};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewire_core::Time;
use tidewire_net::{LayerFacts, PipeEvent, Socket, Transport as NetTransport};
use tidewire_store::Port;

/// Names the waker; connections are named by their slot, listeners by the numbers below this one.
const WAKER: Token = Token(usize::MAX);
/// Events taken in one call: a turn for a thousand sparse connections, 16 KiB.
const EVENTS_PER_POLL: usize = 1024;

/// Tells the worker about readiness that the operating system does not see: that of pipes.
pub(crate) type ReadyPort = Arc<dyn Fn(Ready) + Send + Sync>;

/// A worker's sockets.
pub(crate) struct MioDriver {
    registry: Registry,
    origin: Instant,
    listeners: Vec<MioListener>,
    port: ReadyPort,
    store: Option<Port>,
}

/// A listening socket with the policy of those who come in by it.
pub(crate) struct MioListener {
    pub(crate) listener: ListeningSocket,
    pub(crate) policy: u16,
    /// What they pass first, if anything.
    pub(crate) entrance: Option<Arc<Entrance>>,
}

/// Waits for a worker's sockets.
pub(crate) struct MioPoller {
    poll: Poll,
    events: Events,
}

impl MioPoller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_PER_POLL),
        })
    }

    /// What ends a wait from another thread.
    pub(crate) fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), WAKER)
    }

    /// The state's side. All workers of a broker have the same `origin`.
    pub(crate) fn driver(
        &self,
        origin: Instant,
        mut listeners: Vec<MioListener>,
        port: ReadyPort,
        store: Option<Port>,
    ) -> io::Result<MioDriver> {
        let registry = self.poll.registry().try_clone()?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener
                .listener
                .register(&registry, listener_token(index))?;
        }
        Ok(MioDriver {
            registry,
            origin,
            listeners,
            port,
            store,
        })
    }
}

impl Poller for MioPoller {
    fn poll(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            done => done?,
        }
        for event in &self.events {
            note(event, ready);
        }
        Ok(())
    }
}

impl Driver for MioDriver {
    type Transport = NetTransport;

    fn now(&self) -> Time {
        let micros = self.origin.elapsed().as_micros();
        Time::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn register(&mut self, transport: &mut NetTransport, slot: u32) -> io::Result<()> {
        match transport {
            NetTransport::Socket(socket) => socket.register(&self.registry, slot_token(slot)),
            #[cfg(unix)]
            NetTransport::Local(socket) => socket.register(&self.registry, slot_token(slot)),
            NetTransport::Layered(layered) => match layered.inner_mut() {
                Some(inner) => self.register(inner, slot),
                None => Err(io::ErrorKind::NotConnected.into()),
            },
            NetTransport::Piped(pipe) => {
                let port = Arc::clone(&self.port);
                pipe.on_ready(Some(Arc::new(move |event| {
                    port(match event {
                        PipeEvent::Readable => Ready::Readable { slot, ended: false },
                        PipeEvent::Writable => Ready::Writable { slot },
                    });
                })));
                Ok(())
            }
        }
    }

    fn want_writable(&mut self, transport: &mut NetTransport, slot: u32) -> io::Result<()> {
        match transport {
            NetTransport::Socket(socket) => socket.want_writable(&self.registry, slot_token(slot)),
            #[cfg(unix)]
            NetTransport::Local(socket) => socket.want_writable(&self.registry, slot_token(slot)),
            NetTransport::Layered(layered) => match layered.inner_mut() {
                Some(inner) => self.want_writable(inner, slot),
                None => Err(io::ErrorKind::NotConnected.into()),
            },
            // A pipe tells its writer about room whenever a write did not fit.
            NetTransport::Piped(_) => Ok(()),
        }
    }

    fn deregister(&mut self, transport: &mut NetTransport) -> io::Result<()> {
        match transport {
            NetTransport::Socket(socket) => socket.deregister(&self.registry),
            #[cfg(unix)]
            NetTransport::Local(socket) => socket.deregister(&self.registry),
            NetTransport::Layered(layered) => match layered.inner_mut() {
                Some(inner) => self.deregister(inner),
                None => Err(io::ErrorKind::NotConnected.into()),
            },
            NetTransport::Piped(pipe) => {
                pipe.on_ready(None);
                Ok(())
            }
        }
    }

    fn listeners(&self) -> usize {
        self.listeners.len()
    }

    fn accept(&mut self, listener: usize) -> io::Result<Accepted<NetTransport>> {
        let Some(from) = self.listeners.get(listener) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let (transport, peer) = from.listener.accept()?;
        let address = peer.map_or_else(|| "unix".into(), |peer| peer.to_string().into());
        let mut accepted = Accepted {
            transport,
            policy: from.policy,
            address,
            handshake: None,
        };
        if let Some(entrance) = &from.entrance {
            if !entrance.trusts(peer.map(|peer| peer.ip())) {
                let text = format!("{} is not among trusted_proxies", accepted.address);
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
            accepted.transport = entrance.dress(accepted.transport)?;
            accepted.handshake = Some(entrance.timeout());
        }
        Ok(accepted)
    }

    fn policy_of(&self, listener: usize) -> u16 {
        self.listeners.get(listener).map_or(0, |from| from.policy)
    }

    fn store(&mut self) -> Option<&mut dyn StorePort> {
        self.store.as_mut().map(|port| port as &mut dyn StorePort)
    }

    fn stop_listening(&mut self) {
        self.listeners.clear();
    }
}

impl Transport for NetTransport {
    const SHORT_READ_MEANS_EMPTY: bool = Socket::SHORT_READ_MEANS_EMPTY;

    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.read(into)
    }

    #[inline]
    fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(from)
    }

    fn shutdown_write(&mut self) {
        self.shutdown_write();
    }

    #[inline]
    fn flush(&mut self) -> io::Result<()> {
        self.flush()
    }

    fn opened(&mut self) -> Option<LayerFacts> {
        self.opened()
    }

    fn says_farewell(&self) -> bool {
        self.says_farewell()
    }
}

/// Slots are 32 bits wide and so are tokens on the smallest platforms; listeners and the waker are named from the other end.
fn slot_token(slot: u32) -> Token {
    Token(slot as usize)
}

fn listener_token(index: usize) -> Token {
    Token(WAKER.0 - 1 - index)
}

/// The first token that names a listener: far above any slot that memory allows, below it room for many listeners.
const FIRST_LISTENER: usize = WAKER.0 - 65_536;

fn note(event: &Event, ready: &mut Vec<Ready>) {
    let Token(token) = event.token();
    if token == WAKER.0 {
        return;
    }
    if token >= FIRST_LISTENER {
        ready.push(Ready::Listener(WAKER.0 - 1 - token));
        return;
    }
    let slot = token as u32;
    if event.is_writable() {
        ready.push(Ready::Writable { slot });
    }
    let ended = event.is_read_closed() || event.is_error();
    if event.is_readable() || ended {
        ready.push(Ready::Readable { slot, ended });
    }
}
