//! A transport with layers between it and its reader.

use crate::facts::LayerFacts;
use crate::layer::{Layer, LayerError, LayerState};
use crate::transport::Transport;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};

/// Wire bytes taken with one read; more than the largest TLS record (16 KiB and a little).
const WIRE_BYTES: usize = 32 * 1024;
/// Plain bytes wrapped at once. What of them the transport does not take at once waits in the connection.
const WRAP_BYTES: usize = 32 * 1024;
/// Replies that may wait for a peer who makes the layers talk (pings, key updates) and does not read.
const UNSENT_MAX_BYTES: usize = 128 * 1024;
/// Reads in a row that bring nothing for the protocol; then it is the others' turn.
const FRUITLESS_READS: usize = 8;

thread_local! {
    /// Buffers of the thread's connections: each uses them for the length of one call, so none has its own.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// What one call needs.
#[derive(Default)]
struct Scratch {
    wire: Vec<u8>,
    pipeline: Pipeline,
}

/// Buffers between layers.
#[derive(Default)]
struct Pipeline {
    plain: Vec<u8>,
    outer: Vec<u8>,
    reply: Vec<u8>,
    spare: Vec<u8>,
}

/// A transport under a stack of layers. Idle, it owns no buffer.
pub struct Layered {
    /// `None` only when it was taken out because no layer is left.
    transport: Option<Transport>,
    /// Outermost first.
    layers: Vec<Placed>,
    /// Wire bytes that the transport has not taken yet.
    unsent: Vec<u8>,
    /// Plain bytes that did not fit into the reader's buffer.
    surplus: Vec<u8>,
    stage: Stage,
    facts: Option<Box<LayerFacts>>,
}

struct Placed {
    layer: Box<dyn Layer>,
    state: LayerState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Some layer's handshake goes on.
    Opening,
    Open,
    /// The peer has said farewell.
    Finished,
    /// A layer answers a request that is not for the protocol.
    Answering,
    /// The peer broke a layer's rules: what still comes is thrown away.
    Broken,
}

impl Layered {
    /// `layers` are named from the transport inwards.
    #[must_use]
    pub fn new(transport: Transport, layers: Vec<Box<dyn Layer>>) -> Self {
        let placed = |layer| Placed {
            layer,
            state: LayerState::Handshake,
        };
        Self {
            transport: Some(transport),
            layers: layers.into_iter().map(placed).collect(),
            unsent: Vec::new(),
            surplus: Vec::new(),
            stage: Stage::Opening,
            facts: Some(Box::default()),
        }
    }

    /// The transport under the layers.
    pub fn inner_mut(&mut self) -> Option<&mut Transport> {
        self.transport.as_mut()
    }

    /// The facts of the peer, once, when all layers are open.
    pub fn take_facts(&mut self) -> Option<LayerFacts> {
        match self.stage {
            Stage::Open | Stage::Finished => self.facts.take().map(|facts| *facts),
            Stage::Opening | Stage::Answering | Stage::Broken => None,
        }
    }

    /// The transport itself, if no layer is left and nothing is kept here.
    pub(crate) fn take_hollow(&mut self) -> Option<Transport> {
        let hollow = self.layers.is_empty()
            && self.facts.is_none()
            && self.surplus.is_empty()
            && self.unsent.is_empty();
        if hollow { self.transport.take() } else { None }
    }

    /// As [`Transport::read`], with three more errors: [`io::ErrorKind::Unsupported`] when a layer answers a request that is
    /// not for the protocol, so that all that is left to do is to [`flush`](Self::flush) and to close, [`io::ErrorKind::InvalidData`] with a [`LayerError`] inside when the
    /// peer broke a layer's rules, and [`io::ErrorKind::Interrupted`] when bytes came, none of them for the reader, and
    /// more may be there.
    ///
    /// # Errors
    /// See above.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let kept = self.take_surplus(into);
        if kept == into.len() {
            return Ok(kept);
        }
        match self.stage {
            Stage::Finished => Ok(kept),
            Stage::Answering | Stage::Broken => self.transport()?.read(into),
            Stage::Opening | Stage::Open => {
                let mut scratch = SCRATCH.take();
                let result = self.read_through(kept, into, &mut scratch);
                SCRATCH.set(scratch);
                // What is left, or wrong, shows at the next flush.
                let _ = self.flush();
                result
            }
        }
    }

    /// As [`Transport::write`]. What the layers make of the bytes may stay behind in part: [`flush`](Self::flush).
    ///
    /// # Errors
    /// As [`Transport::write`].
    pub fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.stage != Stage::Open {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.flush()?;
        let mut scratch = SCRATCH.take();
        scratch.pipeline.plain.clear();
        let result = self.write_through(from, &mut scratch.pipeline);
        SCRATCH.set(scratch);
        result
    }

    /// Sends what is left of earlier writes and replies.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when something is still left, else what ended the transport.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() || self.pull_answer() {
            let Some(transport) = &mut self.transport else {
                return Err(io::ErrorKind::NotConnected.into());
            };
            let count = transport.write(&[IoSlice::new(&self.unsent)])?;
            if count == self.unsent.len() {
                self.unsent = Vec::new();
            } else {
                self.unsent.drain(..count);
            }
        }
        Ok(())
    }

    /// Takes the next piece of a layer's answer; whether there was one.
    fn pull_answer(&mut self) -> bool {
        if self.stage != Stage::Answering {
            return false;
        }
        let Some(index) = self.layers.len().checked_sub(1) else {
            return false;
        };
        let (mut piece, mut spare) = (Vec::new(), Vec::new());
        self.layers[index].layer.more(&mut piece);
        self.queue_reply(index, &mut piece, &mut spare);
        !self.unsent.is_empty()
    }

    /// Says the layers' farewells and ends the stream towards the peer; reading goes on.
    pub fn shutdown_write(&mut self) {
        if matches!(self.stage, Stage::Open | Stage::Answering) {
            let (mut farewell, mut spare) = (Vec::new(), Vec::new());
            for index in (0..self.layers.len()).rev() {
                farewell.clear();
                self.layers[index].layer.finish(&mut farewell);
                self.queue_reply(index, &mut farewell, &mut spare);
            }
        }
        // Whoever does not take a farewell does not get it.
        let _ = self.flush();
        if let Some(transport) = &mut self.transport {
            transport.shutdown_write();
        }
        // What still comes is thrown away, unread.
        self.stage = Stage::Broken;
    }

    fn transport(&mut self) -> io::Result<&mut Transport> {
        self.transport
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn write_through(
        &mut self,
        from: &[IoSlice<'_>],
        pipeline: &mut Pipeline,
    ) -> io::Result<usize> {
        let mut taken = 0;
        for slice in from {
            for piece in slice.chunks(WRAP_BYTES) {
                taken += piece.len();
                pipeline.plain.extend_from_slice(piece);
                if pipeline.plain.len() >= WRAP_BYTES && !self.wrap_out(pipeline)? {
                    return Ok(taken);
                }
            }
        }
        self.wrap_out(pipeline)?;
        Ok(taken)
    }

    fn take_surplus(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.surplus.len());
        into[..count].copy_from_slice(&self.surplus[..count]);
        if count == self.surplus.len() {
            self.surplus = Vec::new();
        } else {
            self.surplus.drain(..count);
        }
        count
    }

    /// Reads behind the first `got` bytes of `into`; returns how many there are then.
    fn read_through(
        &mut self,
        mut got: usize,
        into: &mut [u8],
        scratch: &mut Scratch,
    ) -> io::Result<usize> {
        scratch.wire.resize(WIRE_BYTES, 0);
        for _ in 0..FRUITLESS_READS {
            let count = match self.transport()?.read(&mut scratch.wire) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && got > 0 => {
                    return Ok(got);
                }
                Ok(0) if got > 0 => return Ok(got),
                done => done?,
            };
            if count == 0 {
                return Ok(0);
            }
            let result = self.peel(&mut scratch.wire[..count], &mut scratch.pipeline);
            got += self.give(&scratch.pipeline.plain, &mut into[got..]);
            scratch.pipeline.plain.clear();
            if let Err(error) = result {
                self.stage = Stage::Broken;
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            let emptied = count < WIRE_BYTES;
            if got == into.len() || (got > 0 && emptied) {
                return Ok(got);
            }
            match self.stage {
                Stage::Finished => return Ok(got),
                Stage::Answering => return Err(io::ErrorKind::Unsupported.into()),
                Stage::Opening | Stage::Open | Stage::Broken => {}
            }
        }
        // What came waits for the next call, as a short read would say that nothing more is there.
        self.surplus.splice(..0, into[..got].iter().copied());
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Copies what fits, keeps the rest.
    fn give(&mut self, plain: &[u8], into: &mut [u8]) -> usize {
        let count = plain.len().min(into.len());
        into[..count].copy_from_slice(&plain[..count]);
        self.surplus.extend_from_slice(&plain[count..]);
        count
    }

    /// Passes wire bytes through all layers; the protocol's bytes are in `plain` then.
    fn peel(&mut self, wire: &mut [u8], pipeline: &mut Pipeline) -> Result<(), LayerError> {
        pipeline.plain.clear();
        let mut index = 0;
        let mut first = true;
        while index < self.layers.len() {
            std::mem::swap(&mut pipeline.plain, &mut pipeline.outer);
            pipeline.plain.clear();
            let input: &mut [u8] = if first {
                &mut *wire
            } else {
                &mut pipeline.outer
            };
            let placed = &mut self.layers[index];
            // An open layer that gets nothing has nothing to say; only the outermost is always asked.
            if input.is_empty() {
                break;
            }
            first = false;
            let mut reply = std::mem::take(&mut pipeline.reply);
            reply.clear();
            let result = placed.layer.receive(input, &mut pipeline.plain, &mut reply);
            self.queue_reply(index, &mut reply, &mut pipeline.spare);
            pipeline.reply = reply;
            let state = result?;
            if self.unsent.len() > UNSENT_MAX_BYTES {
                return Err(LayerError::new(
                    "transport",
                    "the peer makes the broker talk and does not listen",
                ));
            }
            self.enter_state(&mut index, state);
        }
        if first {
            pipeline.plain.extend_from_slice(wire);
        }
        self.note_progress();
        Ok(())
    }

    /// Notes a layer's state and goes on to the next one.
    fn enter_state(&mut self, index: &mut usize, state: LayerState) {
        let placed = &mut self.layers[*index];
        let opens = placed.state == LayerState::Handshake && state != LayerState::Handshake;
        placed.state = state;
        if opens && let Some(facts) = &mut self.facts {
            placed.layer.tell(facts);
        }
        match state {
            LayerState::Transparent => drop(self.layers.remove(*index)),
            LayerState::Finished => {
                self.stage = Stage::Finished;
                *index += 1;
            }
            LayerState::Answered => {
                self.stage = Stage::Answering;
                *index = self.layers.len();
            }
            LayerState::Handshake | LayerState::Open => *index += 1,
        }
    }

    fn note_progress(&mut self) {
        let open = |placed: &Placed| placed.state == LayerState::Open;
        if self.stage == Stage::Opening && self.layers.iter().all(open) {
            self.stage = Stage::Open;
        }
    }

    /// Wraps a layer's own words in those outside of it.
    fn queue_reply(&mut self, index: usize, reply: &mut Vec<u8>, spare: &mut Vec<u8>) {
        if reply.is_empty() {
            return;
        }
        wrap(&mut self.layers[..index], reply, spare);
        self.unsent.extend_from_slice(reply);
    }

    /// Wraps what is in `plain` and writes it; whether the transport took all of it.
    fn wrap_out(&mut self, pipeline: &mut Pipeline) -> io::Result<bool> {
        let Pipeline { plain, spare, .. } = pipeline;
        if plain.is_empty() {
            return Ok(true);
        }
        wrap(&mut self.layers, plain, spare);
        let result = self.write_wire(plain);
        plain.clear();
        result
    }

    fn write_wire(&mut self, mut wire: &[u8]) -> io::Result<bool> {
        while !wire.is_empty() {
            match self.transport()?.write(&[IoSlice::new(wire)]) {
                Ok(count) => wire = &wire[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(wire);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Passes bytes outwards through these layers, the last one first.
fn wrap(layers: &mut [Placed], bytes: &mut Vec<u8>, spare: &mut Vec<u8>) {
    for placed in layers.iter_mut().rev() {
        spare.clear();
        placed.layer.send(bytes, spare);
        std::mem::swap(bytes, spare);
    }
}

impl fmt::Debug for Layered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layered")
            .field("transport", &self.transport)
            .field("layers", &self.layers.len())
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
