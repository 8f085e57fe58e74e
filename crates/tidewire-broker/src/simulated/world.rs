//! The simulated world itself: pipes with a stretch of wire, edges of readiness, and a clock that stands still.

use crate::desk::{StoreBusy, StorePort};
use crate::driver::{Accepted, Driver, Ready, Transport};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidewire_core::Time;
use tidewire_store::{PortId, Request, Ticket};

/// Bytes that a simulated transport holds for a client that does not read, like a socket's send buffer.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// The longest piece that [`Pieces::Seeded`] makes; most are much shorter.
const PIECE_MAX_BYTES: u64 = 8 * 1024;

/// In which pieces bytes travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pieces {
    /// All that was sent arrives at once.
    Whole,
    /// Pieces of random length, and writes that fall short at random.
    Seeded,
    /// One byte at a time.
    Bytes,
}

/// The world, shared by its drivers and transports.
#[derive(Clone)]
pub(crate) struct SimWorld(Arc<Mutex<World>>);

struct World {
    now: Time,
    random: u64,
    pieces: Pieces,
    wires: Vec<Wire>,
    /// Connections that wait to be accepted.
    backlog: VecDeque<usize>,
    refuses_accepts: bool,
    ready: Vec<Vec<Ready>>,
    calls: u64,
    /// Wires with bytes to move, and some whose bytes have moved.
    movable: Vec<usize>,
    /// What the workers have handed to the store.
    requests: VecDeque<(PortId, Ticket, Request)>,
    has_store: bool,
}

/// One connection.
#[derive(Default)]
struct Wire {
    policy: u16,
    /// Sent by the client, not arrived.
    on_the_way: VecDeque<u8>,
    /// Arrived, not read by the broker.
    arrived: VecDeque<u8>,
    /// The client has closed its side; seen by the broker behind the last byte.
    ended: bool,
    end_arrived: bool,
    /// The end is a broken connection, not an orderly one.
    broken: bool,
    /// Written by the broker, not taken by the client.
    sent: VecDeque<u8>,
    received: Vec<u8>,
    idle_client: bool,
    /// The broker has closed its side.
    closed: bool,
    /// The worker and slot that readiness is reported to.
    watched: Option<(usize, u32)>,
    wants_room: bool,
    /// A write fell short.
    blocked: bool,
}

/// A worker's side of the world.
pub(crate) struct SimDriver {
    world: SimWorld,
    worker: usize,
    store: Option<SimPort>,
}

/// A worker's way to the simulated store.
struct SimPort {
    world: SimWorld,
    port: PortId,
}

impl StorePort for SimPort {
    fn submit(&mut self, ticket: Ticket, request: Request) -> Result<(), StoreBusy> {
        let mut world = self.world.lock();
        world.requests.push_back((self.port, ticket, request));
        Ok(())
    }
}

/// The broker's end of a connection.
pub(crate) struct SimTransport {
    world: SimWorld,
    wire: usize,
}

impl SimWorld {
    pub(crate) fn new(workers: usize, seed: u64, pieces: Pieces) -> Self {
        let ready = vec![Vec::new(); workers];
        let (wires, backlog) = (Vec::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(World {
            now: Time::ZERO,
            random: seed,
            pieces,
            wires,
            backlog,
            refuses_accepts: false,
            ready,
            calls: 0,
            movable: Vec::new(),
            requests: VecDeque::new(),
            has_store: false,
        })))
    }

    pub(crate) fn driver(&self, worker: usize) -> SimDriver {
        let store = self.lock().has_store.then(|| SimPort {
            world: self.clone(),
            port: PortId(u32::try_from(worker).unwrap_or(u32::MAX)),
        });
        SimDriver {
            world: self.clone(),
            worker,
            store,
        }
    }

    /// The drivers that are made from now on have a store.
    pub(crate) fn give_store(&self) {
        self.lock().has_store = true;
    }

    /// What was handed to the store next.
    pub(crate) fn take_request(&self) -> Option<(PortId, Ticket, Request)> {
        self.lock().requests.pop_front()
    }

    pub(crate) fn has_requests(&self) -> bool {
        !self.lock().requests.is_empty()
    }

    pub(crate) fn connect(&self, policy: u16) -> usize {
        let mut world = self.lock();
        let wire = world.wires.len();
        world.wires.push(Wire {
            policy,
            ..Wire::default()
        });
        world.backlog.push_back(wire);
        for ready in &mut world.ready {
            ready.push(Ready::Listener(0));
        }
        wire
    }

    pub(crate) fn send(&self, wire: usize, bytes: &[u8]) {
        let mut world = self.lock();
        world.wires[wire].on_the_way.extend(bytes);
        world.may_move(wire);
    }

    pub(crate) fn close(&self, wire: usize) {
        let mut world = self.lock();
        world.wires[wire].ended = true;
        world.may_move(wire);
    }

    /// Breaks a connection: of what is on the way the broker gets `keep` bytes at most, of what it sends the client gets
    /// nothing more.
    pub(crate) fn cut(&self, wire: usize, keep: usize) {
        let mut world = self.lock();
        let cut = &mut world.wires[wire];
        cut.on_the_way.truncate(keep);
        cut.sent.clear();
        cut.received.clear();
        cut.ended = true;
        cut.broken = true;
        world.may_move(wire);
    }

    pub(crate) fn on_the_way(&self, wire: usize) -> usize {
        self.lock().wires[wire].on_the_way.len()
    }

    pub(crate) fn set_reading(&self, wire: usize, reading: bool) {
        let mut world = self.lock();
        world.wires[wire].idle_client = !reading;
        world.may_move(wire);
    }

    pub(crate) fn refuse_accepts(&self, refuse: bool) {
        self.lock().refuses_accepts = refuse;
    }

    pub(crate) fn take_received(&self, wire: usize) -> Vec<u8> {
        std::mem::take(&mut self.lock().wires[wire].received)
    }

    pub(crate) fn is_closed(&self, wire: usize) -> bool {
        self.lock().wires[wire].closed
    }

    pub(crate) fn is_at_end(&self, wire: usize) -> bool {
        let wire = &self.lock().wires[wire];
        wire.closed && wire.sent.is_empty() && wire.received.is_empty()
    }

    pub(crate) fn now(&self) -> Time {
        self.lock().now
    }

    pub(crate) fn set_now(&self, now: Time) {
        self.lock().now = now;
    }

    pub(crate) fn calls(&self) -> u64 {
        self.lock().calls
    }

    pub(crate) fn choose(&self, among: usize) -> usize {
        self.lock().below(among as u64) as usize
    }

    pub(crate) fn is_ready(&self, worker: usize) -> bool {
        !self.lock().ready[worker].is_empty()
    }

    pub(crate) fn take_ready(&self, worker: usize) -> Vec<Ready> {
        std::mem::take(&mut self.lock().ready[worker])
    }

    /// Moves a piece of some connection's bytes along, in both directions; false when none has any to move.
    pub(crate) fn move_some_bytes(&self) -> bool {
        let world = &mut *self.lock();
        let wires = &world.wires;
        world.movable.retain(|&wire| wires[wire].can_move());
        if world.movable.is_empty() {
            return false;
        }
        let chosen = world.below(world.movable.len() as u64) as usize;
        let wire = world.movable[chosen];
        world.bring(wire);
        world.fetch(wire);
        true
    }

    /// The world is whole between calls, whatever a test that panicked was about to do.
    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl World {
    /// A number below `bound`, by SplitMix64.
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn piece(&mut self, available: usize) -> usize {
        match self.pieces {
            Pieces::Whole => available,
            Pieces::Bytes => available.min(1),
            Pieces::Seeded => {
                // Lengths of all magnitudes: most tests live on pieces shorter than a packet.
                let magnitude = 1 << self.below(u64::from(PIECE_MAX_BYTES.ilog2()) + 1);
                available.min(self.below(magnitude) as usize + 1)
            }
        }
    }

    /// From client to broker.
    fn bring(&mut self, at: usize) {
        let count = self.piece(self.wires[at].on_the_way.len());
        let wire = &mut self.wires[at];
        let was_empty = wire.arrived.is_empty();
        wire.arrived.extend(wire.on_the_way.drain(..count));
        let ends = wire.ended && !wire.end_arrived && wire.on_the_way.is_empty();
        wire.end_arrived |= ends;
        if (was_empty && count > 0) || ends {
            let ended = wire.end_arrived;
            self.tell(at, |slot| Ready::Readable { slot, ended });
        }
    }

    /// From broker to client.
    fn fetch(&mut self, at: usize) {
        let wire = &mut self.wires[at];
        if wire.idle_client || wire.sent.is_empty() {
            return;
        }
        wire.received.extend(wire.sent.drain(..));
        if std::mem::take(&mut wire.blocked) && wire.wants_room {
            self.tell(at, |slot| Ready::Writable { slot });
        }
    }

    fn may_move(&mut self, wire: usize) {
        if !self.movable.contains(&wire) {
            self.movable.push(wire);
        }
    }

    fn tell(&mut self, at: usize, ready: impl FnOnce(u32) -> Ready) {
        if let Some((worker, slot)) = self.wires[at].watched {
            self.ready[worker].push(ready(slot));
        }
    }
}

impl Wire {
    fn can_move(&self) -> bool {
        let end_due = self.ended && !self.end_arrived;
        !self.on_the_way.is_empty() || end_due || (!self.sent.is_empty() && !self.idle_client)
    }
}

impl Driver for SimDriver {
    type Transport = SimTransport;

    fn now(&self) -> Time {
        self.world.now()
    }

    fn register(&mut self, transport: &mut SimTransport, slot: u32) -> io::Result<()> {
        let world = &mut *self.world.lock();
        let wire = &mut world.wires[transport.wire];
        wire.watched = Some((self.worker, slot));
        wire.wants_room = false;
        if !wire.arrived.is_empty() || wire.end_arrived {
            let ended = wire.end_arrived;
            world.tell(transport.wire, |slot| Ready::Readable { slot, ended });
        }
        Ok(())
    }

    fn want_writable(&mut self, transport: &mut SimTransport, _: u32) -> io::Result<()> {
        let world = &mut *self.world.lock();
        let wire = &mut world.wires[transport.wire];
        wire.wants_room = true;
        if wire.sent.len() < SEND_BUFFER_BYTES && std::mem::take(&mut wire.blocked) {
            world.tell(transport.wire, |slot| Ready::Writable { slot });
        }
        Ok(())
    }

    fn deregister(&mut self, transport: &mut SimTransport) -> io::Result<()> {
        self.world.lock().wires[transport.wire].watched = None;
        Ok(())
    }

    fn listeners(&self) -> usize {
        1
    }

    fn accept(&mut self, _: usize) -> io::Result<Accepted<SimTransport>> {
        let mut world = self.world.lock();
        if world.refuses_accepts && !world.backlog.is_empty() {
            return Err(io::Error::other("too many open files"));
        }
        let Some(wire) = world.backlog.pop_front() else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        let transport = SimTransport {
            world: self.world.clone(),
            wire,
        };
        Ok(Accepted {
            transport,
            policy: world.wires[wire].policy,
            address: format!("sim:{wire}").into(),
            handshake: None,
        })
    }

    fn policy_of(&self, _: usize) -> u16 {
        0
    }

    fn stop_listening(&mut self) {}

    fn store(&mut self) -> Option<&mut dyn StorePort> {
        self.store.as_mut().map(|port| port as &mut dyn StorePort)
    }
}

impl Transport for SimTransport {
    const SHORT_READ_MEANS_EMPTY: bool = true;

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut world = self.world.lock();
        world.calls += 1;
        let wire = &mut world.wires[self.wire];
        if wire.arrived.is_empty() {
            return if wire.end_arrived && wire.broken {
                Err(io::ErrorKind::ConnectionReset.into())
            } else if wire.end_arrived {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let count = into.len().min(wire.arrived.len());
        for (to, byte) in into.iter_mut().zip(wire.arrived.drain(..count)) {
            *to = byte;
        }
        Ok(count)
    }

    fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let world = &mut *self.world.lock();
        world.calls += 1;
        if world.wires[self.wire].broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let wanted: usize = from.iter().map(|slice| slice.len()).sum();
        let room = SEND_BUFFER_BYTES
            .saturating_sub(world.wires[self.wire].sent.len())
            .min(wanted);
        let mut left = world.piece(room);
        let short = left < wanted;
        let taken = left;
        let wire = &mut world.wires[self.wire];
        for slice in from {
            let fits = slice.len().min(left);
            wire.sent.extend(&slice[..fits]);
            left -= fits;
        }
        wire.blocked |= short;
        world.may_move(self.wire);
        if taken == 0 && wanted > 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(taken)
        }
    }

    fn shutdown_write(&mut self) {
        self.world.lock().wires[self.wire].closed = true;
    }
}

impl Drop for SimTransport {
    fn drop(&mut self) {
        let mut world = self.world.lock();
        let wire = &mut world.wires[self.wire];
        wire.closed = true;
        wire.watched = None;
        wire.arrived.clear();
    }
}
