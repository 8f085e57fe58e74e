//! A two-way byte channel in memory: bounded, non-blocking, with a wake-up on the edges of readiness.
//!
//! It behaves as a socket does: reads give what is there, a full lane takes no more bytes, a dropped end is an end of
//! stream for the reader and a broken pipe for the writer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Called when an end becomes ready, from the thread that made it so and with no lock held.
pub type Notify = Arc<dyn Fn(PipeEvent) + Send + Sync>;

/// What an end has become ready for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PipeEvent {
    /// Bytes came where none were, or the other end is gone.
    Readable,
    /// There is room again after a write that did not fit, or the other end is gone.
    Writable,
}

/// One end of a pipe. Dropping it closes both directions; what it wrote before can still be read.
pub struct PipeEnd {
    incoming: Arc<Mutex<Lane>>,
    outgoing: Arc<Mutex<Lane>>,
}

/// One direction.
struct Lane {
    bytes: VecDeque<u8>,
    capacity_bytes: usize,
    /// The writer ended the stream, or is gone.
    ended: bool,
    /// Nobody will ever read again.
    unread: bool,
    /// A write did not fit: the writer is told when there is room.
    writer_waits: bool,
    reader: Option<Notify>,
    writer: Option<Notify>,
}

/// Makes a pipe that holds at most `capacity_bytes` (at least 1) in each direction.
#[must_use]
pub fn pipe(capacity_bytes: usize) -> (PipeEnd, PipeEnd) {
    let (there, back) = (Lane::shared(capacity_bytes), Lane::shared(capacity_bytes));
    let near = PipeEnd {
        incoming: Arc::clone(&back),
        outgoing: Arc::clone(&there),
    };
    (
        near,
        PipeEnd {
            incoming: there,
            outgoing: back,
        },
    )
}

impl PipeEnd {
    /// Takes bytes that have come; 0 = the other end has finished.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when nothing is there yet.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut lane = lock(&self.incoming);
        if lane.bytes.is_empty() && !into.is_empty() {
            return if lane.ended {
                Ok(0)
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            };
        }
        let count = lane.take(into);
        let woken = lane.room_made();
        drop(lane);
        notify(woken, PipeEvent::Writable);
        Ok(count)
    }

    /// Sends bytes, as many as there is room for.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is no room, [`io::ErrorKind::BrokenPipe`] when the other end is gone.
    pub fn write(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut lane = lock(&self.outgoing);
        if lane.unread || lane.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let was_empty = lane.bytes.is_empty();
        let wanted: usize = from.iter().map(|slice| slice.len()).sum();
        let count = lane.put(from);
        lane.writer_waits = count < wanted;
        let woken = if was_empty && count > 0 {
            lane.reader.clone()
        } else {
            None
        };
        drop(lane);
        notify(woken, PipeEvent::Readable);
        if count == 0 && wanted > 0 {
            Err(io::ErrorKind::WouldBlock.into())
        } else {
            Ok(count)
        }
    }

    /// Ends the stream towards the other end, which reads what was sent and then the end; reading goes on.
    pub fn shutdown_write(&mut self) {
        let mut lane = lock(&self.outgoing);
        lane.ended = true;
        let woken = lane.reader.clone();
        drop(lane);
        notify(woken, PipeEvent::Readable);
    }

    /// Names who is told about readiness from now on; `None` = nobody. What is ready already is told at once.
    pub fn on_ready(&mut self, told: Option<Notify>) {
        let mut incoming = lock(&self.incoming);
        incoming.reader.clone_from(&told);
        let readable = incoming.ended || !incoming.bytes.is_empty();
        drop(incoming);
        let mut outgoing = lock(&self.outgoing);
        outgoing.writer.clone_from(&told);
        drop(outgoing);
        if readable {
            notify(told, PipeEvent::Readable);
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.shutdown_write();
        let mut incoming = lock(&self.incoming);
        incoming.unread = true;
        incoming.bytes = VecDeque::new();
        incoming.reader = None;
        let woken = incoming.writer.take();
        drop(incoming);
        lock(&self.outgoing).writer = None;
        notify(woken, PipeEvent::Writable);
    }
}

impl Lane {
    fn shared(capacity_bytes: usize) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            bytes: VecDeque::new(),
            capacity_bytes: capacity_bytes.max(1),
            ended: false,
            unread: false,
            writer_waits: false,
            reader: None,
            writer: None,
        }))
    }

    fn take(&mut self, into: &mut [u8]) -> usize {
        let count = into.len().min(self.bytes.len());
        let (front, back) = self.bytes.as_slices();
        let from_front = count.min(front.len());
        into[..from_front].copy_from_slice(&front[..from_front]);
        into[from_front..count].copy_from_slice(&back[..count - from_front]);
        self.bytes.drain(..count);
        count
    }

    fn put(&mut self, from: &[IoSlice<'_>]) -> usize {
        let mut room = self.capacity_bytes.saturating_sub(self.bytes.len());
        let before = room;
        for slice in from {
            let fits = slice.len().min(room);
            self.bytes.extend(&slice[..fits]);
            room -= fits;
        }
        before - room
    }

    /// Whom to tell that there is room, if somebody waits for it.
    fn room_made(&mut self) -> Option<Notify> {
        if !std::mem::take(&mut self.writer_waits) {
            return None;
        }
        self.writer.clone()
    }
}

impl std::fmt::Debug for PipeEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PipeEnd").finish_non_exhaustive()
    }
}

/// A lane is consistent whenever its lock is free: a panicking holder leaves nothing half done.
fn lock(lane: &Mutex<Lane>) -> MutexGuard<'_, Lane> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

fn notify(told: Option<Notify>, event: PipeEvent) {
    if let Some(told) = told {
        told(event);
    }
}

#[cfg(test)]
mod tests {
    use super::{PipeEvent, pipe};
    use std::io::{ErrorKind, IoSlice};
    use std::sync::{Arc, Mutex};

    #[test]
    fn bytes_arrive_in_order_and_the_capacity_is_never_exceeded() {
        let (mut near, mut far) = pipe(4);
        assert_eq!(
            near.write(&[IoSlice::new(b"ab"), IoSlice::new(b"cdef")])
                .unwrap(),
            4
        );
        assert_eq!(
            near.write(&[IoSlice::new(b"x")]).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
        let mut into = [0; 3];
        assert_eq!(far.read(&mut into).unwrap(), 3);
        assert_eq!(&into, b"abc");
        assert_eq!(near.write(&[IoSlice::new(b"ef")]).unwrap(), 2);
        let mut rest = [0; 8];
        assert_eq!(far.read(&mut rest).unwrap(), 3);
        assert_eq!(&rest[..3], b"def");
        assert_eq!(
            far.read(&mut rest).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
    }

    #[test]
    fn a_dropped_end_is_an_end_of_stream_behind_its_last_bytes() {
        let (mut near, mut far) = pipe(8);
        near.write(&[IoSlice::new(b"bye")]).unwrap();
        drop(near);
        let mut into = [0; 8];
        assert_eq!(far.read(&mut into).unwrap(), 3);
        assert_eq!(far.read(&mut into).unwrap(), 0);
        assert_eq!(
            far.write(&[IoSlice::new(b"x")]).unwrap_err().kind(),
            ErrorKind::BrokenPipe
        );
    }

    #[test]
    fn readiness_is_told_on_its_edges_only() {
        let (mut near, mut far) = pipe(2);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        far.on_ready(Some(Arc::new(move |event| ear.lock().unwrap().push(event))));
        near.write(&[IoSlice::new(b"a")]).unwrap();
        near.write(&[IoSlice::new(b"b")]).unwrap();
        assert_eq!(
            std::mem::take(&mut *heard.lock().unwrap()),
            [PipeEvent::Readable]
        );
        far.read(&mut [0; 8]).unwrap();
        near.write(&[IoSlice::new(b"c")]).unwrap();
        assert_eq!(
            std::mem::take(&mut *heard.lock().unwrap()),
            [PipeEvent::Readable]
        );

        far.write(&[IoSlice::new(b"full!")]).unwrap();
        near.read(&mut [0; 1]).unwrap();
        near.read(&mut [0; 1]).unwrap();
        assert_eq!(
            std::mem::take(&mut *heard.lock().unwrap()),
            [PipeEvent::Writable]
        );
        drop(near);
        assert_eq!(
            std::mem::take(&mut *heard.lock().unwrap()),
            [PipeEvent::Readable, PipeEvent::Writable]
        );
    }

    #[test]
    fn what_was_ready_before_somebody_listened_is_told_at_once() {
        let (mut near, mut far) = pipe(2);
        near.write(&[IoSlice::new(b"a")]).unwrap();
        let heard = Arc::new(Mutex::new(0));
        let ear = Arc::clone(&heard);
        far.on_ready(Some(Arc::new(move |_| *ear.lock().unwrap() += 1)));
        assert_eq!(*heard.lock().unwrap(), 1);
    }
}
