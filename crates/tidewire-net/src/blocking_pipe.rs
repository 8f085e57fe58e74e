//! A pipe's end for a thread that may wait: `std::io::Read` and `Write` over [`PipeEnd`].

use crate::pipe::PipeEnd;
use std::io::{self, IoSlice, Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A pipe's end that waits for bytes and for room.
#[derive(Debug)]
pub struct BlockingPipe {
    end: PipeEnd,
    bell: Arc<Bell>,
    read_timeout: Option<Duration>,
}

/// Rings when the end becomes ready.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl BlockingPipe {
    /// Takes over an end and its notifications.
    #[must_use]
    pub fn new(mut end: PipeEnd) -> Self {
        let bell = Arc::new(Bell::default());
        let rope = Arc::clone(&bell);
        end.on_ready(Some(Arc::new(move |_| rope.ring())));
        Self {
            end,
            bell,
            read_timeout: None,
        }
    }

    /// Bounds the wait of reads; beyond it they fail with [`io::ErrorKind::TimedOut`]. `None` = wait for ever.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    /// Tells the other end that nothing more comes; reading goes on.
    pub fn shutdown_write(&mut self) {
        self.end.shutdown_write();
    }

    /// Gives the end back, without anybody listening to it.
    #[must_use]
    pub fn into_inner(mut self) -> PipeEnd {
        self.end.on_ready(None);
        self.end
    }
}

impl Read for BlockingPipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let until = self.read_timeout.map(|timeout| Instant::now() + timeout);
        loop {
            match self.end.read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.bell.wait(until)?,
                done => return done,
            }
        }
    }
}

impl Write for BlockingPipe {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        loop {
            match self.end.write(&[IoSlice::new(from)]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.bell.wait(None)?,
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self, until: Option<Instant>) -> io::Result<()> {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            rung = match until {
                None => self
                    .changed
                    .wait(rung)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    self.changed
                        .wait_timeout(rung, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        *rung = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::BlockingPipe;
    use crate::pipe::pipe;
    use std::io::{ErrorKind, Read, Write};
    use std::time::Duration;

    #[test]
    fn two_threads_exchange_far_more_than_the_pipe_holds() {
        let (near, far) = pipe(7);
        let (mut near, mut far) = (BlockingPipe::new(near), BlockingPipe::new(far));
        let sent: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || near.write_all(&copy));
        let mut got = Vec::new();
        far.read_to_end(&mut got).unwrap();
        writer.join().unwrap().unwrap();
        assert_eq!(got, sent);
    }

    #[test]
    fn a_read_gives_up_after_its_timeout() {
        let (near, _far) = pipe(1);
        let mut near = BlockingPipe::new(near);
        near.set_read_timeout(Some(Duration::from_millis(1)));
        assert_eq!(near.read(&mut [0]).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
