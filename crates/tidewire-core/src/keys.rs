//! Integer keys: how one owner's state is named by everybody else.

pub use crate::route::workers::{MAX_WORKERS, WorkerId, WorkerSet};

/// Names a connection. The driver chooses it: `slot` is its place in the driver's table, and `generation`
/// tells a reused slot from its former tenant, so that a late answer or event finds nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnKey {
    /// Place in the driver's table; reused, kept dense.
    pub slot: u32,
    /// Counts the tenants of the slot.
    pub generation: u32,
}

/// Names a session within its worker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionKey {
    /// Place in the worker's session table.
    pub slot: u32,
    /// Counts the tenants of the slot.
    pub generation: u32,
}

/// Names a session among all workers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionAddress {
    /// The worker that owns the session.
    pub worker: WorkerId,
    /// The session within that worker.
    pub key: SessionKey,
}

/// Ties an answer to its question.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);
