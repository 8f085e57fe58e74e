//! A connection's outbound bytes: small frames copied into pooled chunks, large payloads shared, one vectored write for all.
//!
//! An [`OutQueue`] with nothing to send is one null pointer. With something to send it has one open chunk that frames are
//! appended to and a list of what must leave before it. Chunks never move: a full one is closed and the
//! next is opened, twice as large up to 64 KiB. All memory comes from and returns to the worker's [`OutPool`].

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;

/// Capacity of a connection's first chunk, in bytes: a page holds a turn's frames for most connections.
const CHUNK_BYTES_MIN: usize = 4 * 1024;
/// Capacity at which chunks stop growing, in bytes: past it one more slice in a vectored write costs nothing that shows.
const CHUNK_BYTES_MAX: usize = 64 * 1024;
/// Idle chunks that a pool keeps, in bytes of capacity: a turn of fan-out to a thousand connections.
const POOL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Idle queue heads that a pool keeps, at about 80 bytes each.
const POOL_HEADS_MAX: usize = 1024;

/// Chunks of 4, 8, 16, 32 and 64 KiB.
const SIZES: usize = (CHUNK_BYTES_MAX / CHUNK_BYTES_MIN).ilog2() as usize + 1;
/// An open chunk with no more than this is copied out when something must follow it, so that a packet's few header bytes do not
/// hold a whole chunk while its shared payload waits.
const COPY_OUT_BYTES: usize = 512;
/// The longest list of closed chunks that a queue head keeps its room for.
const CLOSED_KEPT: usize = 32;

/// Bytes that wait to be written to one connection. `S` is a shared payload, cheap to clone and to hold.
#[derive(Debug)]
pub struct OutQueue<S>(Option<Box<Head<S>>>);

#[derive(Debug)]
struct Head<S> {
    /// What is written before `open`.
    closed: VecDeque<Chunk<S>>,
    /// Bytes in `closed`, those of the first chunk that are already written included.
    closed_bytes: usize,
    /// Bytes of the first chunk that are already written.
    written: usize,
    /// The chunk that frames are appended to. Its own length counts, so appending needs no book-keeping.
    open: Vec<u8>,
}

#[derive(Debug)]
enum Chunk<S> {
    Owned(Vec<u8>),
    Shared { payload: S, range: Range<usize> },
}

impl<S: AsRef<[u8]>> OutQueue<S> {
    /// Capacity of the first chunk, in bytes.
    pub const CHUNK_BYTES_MIN: usize = CHUNK_BYTES_MIN;
    /// Capacity at which chunks stop growing, in bytes.
    pub const CHUNK_BYTES_MAX: usize = CHUNK_BYTES_MAX;

    /// An empty queue, which owns nothing.
    pub const fn new() -> Self {
        Self(None)
    }

    /// The chunk to append to, with room for at least `reserve` bytes.
    ///
    /// The queue counts what it finds in the vector afterwards. Only append: what was there belongs to earlier packets.
    /// A chunk that was taken and left empty goes back with the next [`advance`](Self::advance) or [`clear`](Self::clear).
    #[inline]
    pub fn tail(&mut self, pool: &mut OutPool<S>, reserve: usize) -> &mut Vec<u8> {
        let head = self.0.get_or_insert_with(|| pool.take_head());
        if head.open.capacity() - head.open.len() < reserve {
            head.open_next(pool, reserve);
        }
        &mut head.open
    }

    /// Appends a copy of `bytes`.
    #[inline]
    pub fn push(&mut self, pool: &mut OutPool<S>, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.tail(pool, bytes.len()).extend_from_slice(bytes);
        }
    }

    /// Appends `range` of a shared payload without copying it. What lies outside the payload is left out.
    pub fn push_shared(&mut self, pool: &mut OutPool<S>, payload: S, range: Range<usize>) {
        let end = range.end.min(payload.as_ref().len());
        if range.start >= end {
            return;
        }
        let range = range.start..end;
        let head = self.0.get_or_insert_with(|| pool.take_head());
        head.set_aside(pool);
        head.closed_bytes += range.len();
        head.closed.push_back(Chunk::Shared { payload, range });
    }

    /// Drops the first `bytes` bytes, which were written. Once nothing is left all memory goes back to the pool.
    pub fn advance(&mut self, pool: &mut OutPool<S>, bytes: usize) {
        let Some(head) = &mut self.0 else { return };
        head.written = head.written.saturating_add(bytes);
        head.drop_written(pool);
        if head.len() == 0 {
            self.clear(pool);
        }
    }

    /// Moves pieces from the front of this queue to the end of `to` until `bytes` bytes or more have moved, without
    /// copying them, and returns how many did.
    ///
    /// What one call of [`push`](Self::push) or one use of [`tail`](Self::tail) appended is never divided, and a shared payload
    /// goes with the bytes before it: whoever appends whole packets that way may append others to `to` afterwards.
    pub fn move_front_to(&mut self, pool: &mut OutPool<S>, to: &mut Self, bytes: usize) -> usize {
        let Some(from) = &mut self.0 else { return 0 };
        let head = to.0.get_or_insert_with(|| pool.take_head());
        let mut moved = 0;
        while let Some(first) = from.closed.front()
            && (moved < bytes || (moved > 0 && matches!(first, Chunk::Shared { .. })))
        {
            moved += from.move_closed_to(head, pool);
        }
        if moved < bytes {
            moved += from.move_open_to(head, pool);
        }
        if from.len() == 0 {
            self.clear(pool);
        }
        if head.len() == 0 {
            to.clear(pool);
        }
        moved
    }

    /// Drops everything.
    pub fn clear(&mut self, pool: &mut OutPool<S>) {
        if let Some(head) = self.0.take() {
            pool.put_head(head);
        }
    }

    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |head| head.len())
    }

    /// True when nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first bytes in one piece; all of them when its length is [`len`](Self::len), and then a plain write will do.
    #[inline]
    pub fn first(&self) -> &[u8] {
        let Some(head) = &self.0 else { return &[] };
        let bytes = head
            .closed
            .front()
            .map_or(head.open.as_slice(), Chunk::bytes);
        bytes.get(head.written..).unwrap_or_default()
    }

    /// Fills `out` with the first pieces and returns how many there are.
    pub fn io_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (room, piece) in out.iter_mut().zip(self.slices()) {
            *room = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    /// Heap bytes of this queue's own chunks; shared payloads belong to whoever made them.
    pub fn heap_bytes(&self) -> usize {
        let Some(head) = &self.0 else { return 0 };
        let owned = head.closed.iter().map(|chunk| match chunk {
            Chunk::Owned(bytes) => bytes.capacity(),
            Chunk::Shared { .. } => 0,
        });
        let list = head.closed.capacity() * size_of::<Chunk<S>>();
        size_of::<Head<S>>() + list + owned.sum::<usize>() + head.open.capacity()
    }

    /// What waits, piece by piece, none of them empty.
    fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let head = self.0.as_deref();
        let closed = head
            .into_iter()
            .flat_map(|head| &head.closed)
            .map(Chunk::bytes);
        let open = head.into_iter().map(|head| head.open.as_slice());
        let written = head.map_or(0, |head| head.written);
        let pieces = closed.chain(open).enumerate().map(move |(at, bytes)| {
            let from = if at == 0 { written } else { 0 };
            bytes.get(from..).unwrap_or_default()
        });
        pieces.filter(|piece| !piece.is_empty())
    }
}

impl<S> Default for OutQueue<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: AsRef<[u8]>> Head<S> {
    #[inline]
    fn len(&self) -> usize {
        // Saturating, for the caller of `tail` may have shortened the open chunk.
        (self.closed_bytes + self.open.len()).saturating_sub(self.written)
    }

    /// Closes the open chunk, which is full, and opens the next.
    #[cold]
    fn open_next(&mut self, pool: &mut OutPool<S>, reserve: usize) {
        let grown = if self.open.is_empty() {
            0
        } else {
            self.open.capacity() * 2
        };
        let wanted = grown.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX).max(reserve);
        let next = pool.take_chunk(wanted);
        let full = std::mem::replace(&mut self.open, next);
        self.close(full, pool);
    }

    /// Moves what is in the open chunk before what comes next.
    fn set_aside(&mut self, pool: &mut OutPool<S>) {
        let from = if self.closed.is_empty() {
            self.written
        } else {
            0
        };
        let unwritten = self.open.get(from..).unwrap_or_default();
        if unwritten.len() > COPY_OUT_BYTES {
            let full = std::mem::take(&mut self.open);
            self.close(full, pool);
            return;
        }
        let copy = unwritten.to_vec();
        self.open.clear();
        self.written -= from;
        self.close(copy, pool);
    }

    fn close(&mut self, chunk: Vec<u8>, pool: &mut OutPool<S>) {
        if chunk.is_empty() {
            pool.put_chunk(chunk);
            return;
        }
        self.closed_bytes += chunk.len();
        self.closed.push_back(Chunk::Owned(chunk));
    }

    fn move_closed_to(&mut self, to: &mut Self, pool: &mut OutPool<S>) -> usize {
        let Some(mut chunk) = self.closed.pop_front() else {
            return 0;
        };
        self.closed_bytes -= chunk.bytes().len();
        chunk.cut(std::mem::take(&mut self.written));
        let len = chunk.bytes().len();
        to.set_aside(pool);
        to.closed_bytes += len;
        to.closed.push_back(chunk);
        len
    }

    fn move_open_to(&mut self, to: &mut Self, pool: &mut OutPool<S>) -> usize {
        let mut open = std::mem::take(&mut self.open);
        open.drain(..self.written.min(open.len()));
        self.written = 0;
        let len = open.len();
        to.set_aside(pool);
        // It stays open, so that its room is used.
        pool.put_chunk(std::mem::replace(&mut to.open, open));
        len
    }

    fn drop_written(&mut self, pool: &mut OutPool<S>) {
        while let Some(first) = self.closed.front() {
            let len = first.bytes().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            self.closed_bytes -= len;
            if let Some(Chunk::Owned(bytes)) = self.closed.pop_front() {
                pool.put_chunk(bytes);
            }
        }
    }
}

impl<S: AsRef<[u8]>> Chunk<S> {
    /// Drops the first `written` bytes.
    fn cut(&mut self, written: usize) {
        match self {
            Self::Owned(bytes) => {
                bytes.drain(..written.min(bytes.len()));
            }
            Self::Shared { range, .. } => range.start = (range.start + written).min(range.end),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared { payload, range } => {
                payload.as_ref().get(range.clone()).unwrap_or_default()
            }
        }
    }
}

/// Spare chunks and queue heads of one worker, within named bounds; what comes back beyond them is freed.
#[derive(Debug)]
pub struct OutPool<S> {
    /// By size, the smallest first; the chunk used last is used next, while it is in the processor's cache.
    chunks: [Vec<Vec<u8>>; SIZES],
    /// The capacities of `chunks` together.
    bytes: usize,
    #[allow(clippy::vec_box, reason = "a queue takes the box as it is")]
    heads: Vec<Box<Head<S>>>,
}

impl<S: AsRef<[u8]>> OutPool<S> {
    /// The most spare capacity that is kept, in bytes.
    pub const SPARE_BYTES_MAX: usize = POOL_BYTES_MAX;

    /// An empty pool.
    pub const fn new() -> Self {
        Self {
            chunks: [const { Vec::new() }; SIZES],
            bytes: 0,
            heads: Vec::new(),
        }
    }

    /// Gives all spare memory back to the allocator.
    pub fn shrink(&mut self) {
        *self = Self::new();
    }

    /// Capacity of the spare chunks, in bytes.
    pub fn spare_bytes(&self) -> usize {
        self.bytes
    }

    /// A chunk of at least `wanted` bytes: of one of the pool's sizes, or exactly `wanted` if that is beyond them.
    fn take_chunk(&mut self, wanted: usize) -> Vec<u8> {
        if wanted > CHUNK_BYTES_MAX {
            return Vec::with_capacity(wanted);
        }
        let size = wanted.max(CHUNK_BYTES_MIN).next_power_of_two();
        let spare = self.chunks.get_mut(class_of(size)).and_then(Vec::pop);
        match spare {
            Some(chunk) => {
                self.bytes -= chunk.capacity();
                chunk
            }
            None => Vec::with_capacity(size),
        }
    }

    fn put_chunk(&mut self, mut chunk: Vec<u8>) {
        let capacity = chunk.capacity();
        let fits = (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&capacity);
        if !fits || self.bytes + capacity > POOL_BYTES_MAX {
            return;
        }
        if let Some(spare) = self.chunks.get_mut(class_of(capacity)) {
            chunk.clear();
            self.bytes += capacity;
            spare.push(chunk);
        }
    }

    fn take_head(&mut self) -> Box<Head<S>> {
        self.heads.pop().unwrap_or_else(|| {
            Box::new(Head {
                closed: VecDeque::new(),
                closed_bytes: 0,
                written: 0,
                open: Vec::new(),
            })
        })
    }

    fn put_head(&mut self, mut head: Box<Head<S>>) {
        while let Some(chunk) = head.closed.pop_front() {
            if let Chunk::Owned(bytes) = chunk {
                self.put_chunk(bytes);
            }
        }
        self.put_chunk(std::mem::take(&mut head.open));
        head.closed_bytes = 0;
        head.written = 0;
        if self.heads.len() < POOL_HEADS_MAX && head.closed.capacity() <= CLOSED_KEPT {
            self.heads.push(head);
        }
    }
}

impl<S: AsRef<[u8]>> Default for OutPool<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// The largest size that a chunk of this capacity can serve.
fn class_of(capacity: usize) -> usize {
    (capacity / CHUNK_BYTES_MIN).checked_ilog2().unwrap_or(0) as usize
}
