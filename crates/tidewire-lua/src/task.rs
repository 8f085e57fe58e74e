//! A call that may pause.

use mlua::{MultiValue, Thread};
use std::fmt;

/// A call in the making: a coroutine and the instructions that it has left. It belongs to the [`Host`](crate::Host) that
/// made it.
pub struct Task {
    pub(crate) thread: Thread,
    pub(crate) left: u64,
}

/// How far a task has come.
#[derive(Clone, Debug)]
pub enum Turn {
    /// It has ended with these values.
    Ended(MultiValue),
    /// It called `coroutine.yield` with these values, and waits for some.
    Yielded(MultiValue),
    /// It has used its slice; it goes on when it is resumed.
    Paused,
}

impl Task {
    pub(crate) fn new(thread: Thread, left: u64) -> Self {
        Self { thread, left }
    }

    /// Gives it new instructions, for a task that lives long: an app that sleeps and wakes.
    pub fn refill(&mut self, instructions: u64) {
        self.left = instructions;
    }

    /// Instructions that it has left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Whether it can be resumed.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.thread.is_resumable()
    }

    /// The coroutine, as scripts see it.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    pub(crate) fn address(&self) -> usize {
        self.thread.to_pointer() as usize
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("status", &self.thread.status())
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
