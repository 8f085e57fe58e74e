//! Where questions wait whose handlers need time: a small tokio runtime beside the workers, or the application's own.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tidewire_handler::{Ask, Outcome, Pending, Step};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;

/// Threads that wait. Handlers that compute move to the blocking pool.
const THREADS: usize = 2;
/// Threads of the blocking pool: enough for slow calls of several handlers, few enough to leave the processors to the workers.
const BLOCKING_THREADS_MAX: usize = 16;

/// The runtime. One of its own ends with the broker.
pub(crate) struct Side {
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
    /// Questions that wait.
    waiting: Arc<AtomicUsize>,
}

impl Side {
    /// On the application's runtime, if it gives one.
    pub(crate) fn start(given: Option<Handle>) -> io::Result<Self> {
        if let Some(handle) = given {
            return Ok(Self {
                handle,
                runtime: Mutex::new(None),
                waiting: Arc::default(),
            });
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("tidewire-side")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Mutex::new(Some(runtime)),
            waiting: Arc::default(),
        })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Questions that wait for their handlers.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Drives a question to its end, each handler under its deadline.
    pub(crate) fn finish<A: Ask + 'static>(
        &self,
        mut pending: Box<Pending<A>>,
        then: impl FnOnce(Outcome<A::Answer>) + Send + 'static,
    ) {
        let waiting = Arc::clone(&self.waiting);
        waiting.fetch_add(1, Ordering::Relaxed);
        self.handle.spawn(async move {
            loop {
                let step = match timeout(pending.deadline(), pending.step()).await {
                    Ok(step) => step,
                    Err(_) => pending.expire(),
                };
                if let Step::Done(outcome) = step {
                    then(outcome);
                    waiting.fetch_sub(1, Ordering::Release);
                    return;
                }
            }
        });
    }
}

impl Drop for Side {
    /// Without waiting: the last owner may be a thread of the runtime itself.
    fn drop(&mut self) {
        let runtime = self.runtime.get_mut();
        if let Some(runtime) = runtime.unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}
