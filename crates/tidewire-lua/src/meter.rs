//! How many instructions the call that runs has left.

use mlua::{HookTriggers, Lua, VmState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Instructions between two looks at the meter: often enough to be exact within some microseconds.
const STEP: u32 = 1000;

/// One host's meter. The host serves one call at a time; atomics only make it shareable.
#[derive(Default)]
pub(crate) struct Meter {
    left: AtomicU64,
    /// Instructions until the call pauses, if it may.
    slice: AtomicU64,
    /// The coroutine that may pause, by address; 0 = none.
    pausable: AtomicUsize,
    paused: AtomicBool,
    exhausted: AtomicBool,
}

/// What a call has used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    pub(crate) left: u64,
    pub(crate) paused: bool,
    pub(crate) exhausted: bool,
}

impl Meter {
    pub(crate) fn install(lua: &Lua, limit: u64) -> mlua::Result<Arc<Self>> {
        let meter = Arc::new(Self::default());
        let looked_at = Arc::clone(&meter);
        let triggers = HookTriggers::new().every_nth_instruction(STEP);
        lua.set_global_hook(triggers, move |lua, debug| match looked_at.step(lua) {
            Some(state) => Ok(state),
            None => {
                let source = debug.source().short_src;
                let source = source.as_deref().unwrap_or("?");
                let line = debug.current_line().unwrap_or(0);
                Err(mlua::Error::runtime(format!(
                    "{source}:{line}: used more than {limit} instructions in one call"
                )))
            }
        })?;
        Ok(meter)
    }

    /// A call begins, or goes on.
    pub(crate) fn begin(&self, left: u64) {
        self.left.store(left, Ordering::Relaxed);
        self.pausable.store(0, Ordering::Relaxed);
        self.paused.store(false, Ordering::Relaxed);
        self.exhausted.store(left == 0, Ordering::Relaxed);
    }

    /// After so many instructions the coroutine at that address is to pause.
    pub(crate) fn pause_after(&self, slice: u64, thread: usize) {
        self.slice.store(slice, Ordering::Relaxed);
        self.pausable.store(thread, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        Reading {
            left: self.left.load(Ordering::Relaxed),
            paused: self.paused.load(Ordering::Relaxed),
            exhausted: self.exhausted.load(Ordering::Relaxed),
        }
    }

    /// `None` = nothing is left.
    fn step(&self, lua: &Lua) -> Option<VmState> {
        let left = self.left.load(Ordering::Relaxed);
        let Some(left) = left.checked_sub(STEP.into()) else {
            self.exhausted.store(true, Ordering::Relaxed);
            return None;
        };
        self.left.store(left, Ordering::Relaxed);
        self.paused.store(false, Ordering::Relaxed);
        let pausable = self.pausable.load(Ordering::Relaxed);
        if pausable == 0 {
            return Some(VmState::Continue);
        }
        let slice = self.slice.load(Ordering::Relaxed);
        let slice = slice.saturating_sub(STEP.into());
        self.slice.store(slice, Ordering::Relaxed);
        // A coroutine of the script's own must not seem to have yielded; it pauses when it is back in the call itself.
        if slice > 0 || lua.current_thread().to_pointer() as usize != pausable {
            return Some(VmState::Continue);
        }
        // Inside a call of the library that cannot be left, nothing comes of it: the next step tries again.
        self.paused.store(true, Ordering::Relaxed);
        Some(VmState::Yield)
    }
}
