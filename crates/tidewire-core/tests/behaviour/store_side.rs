//! The store of a conversation: here there is none. The broker crate has the same conversations with one.

use tidewire_core::{StoreAnswer, StoreConfig, StoreRequest, StoreTicket, Time, WorkerId};

/// A message is delivered with the QoS that was granted when it was published.
pub(crate) const FIXES_QOS: bool = true;

/// The side of the store.
pub(crate) struct StoreSide;

impl StoreSide {
    pub(crate) fn new(_workers: u16, _seed: u64) -> Self {
        Self
    }

    /// What the cores are told of it.
    pub(crate) fn config(&self) -> Option<StoreConfig> {
        None
    }

    /// A core wants something.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "the same call as with a store"
    )]
    pub(crate) fn take(
        &mut self,
        worker: WorkerId,
        _now: Time,
        _ticket: StoreTicket,
        request: StoreRequest,
    ) {
        panic!("worker {worker:?} wants {request:?} of a store that is not there");
    }

    /// A worker's turn ends. True if something was handed over.
    pub(crate) fn end_turn(&mut self, _worker: WorkerId) -> bool {
        false
    }

    /// One piece of the store's work; `None` if there was none.
    pub(crate) fn step(
        &mut self,
        _now: Time,
        _chosen: u64,
    ) -> Option<Vec<(WorkerId, StoreTicket, StoreAnswer)>> {
        None
    }
}
