//! What happens to a value between its device and the server.
//!
//! Change of value ([`DeadBand`]), split into an urgent and an ordinary lane, records ([`record`]) in a durable log for
//! each lane ([`Spool`]); from there, for each uplink, packets ([`packet`]) by count, bytes and age, and a place in the
//! log ([`Progress`]) that moves only when the server has acknowledged. The stages are values without a clock.

pub(crate) mod bucket;
mod change;
pub(crate) mod compress;
pub(crate) mod packet;
pub(crate) mod progress;
pub(crate) mod record;
pub(crate) mod spool;

pub(crate) use change::Gate;
pub use change::{DeadBand, Passed};
pub use compress::Compression;
pub use progress::{LaneProgress, Place, Progress};
pub use record::{PointRef, SeriesRef};
pub use spool::{Overflow, Spool, SpoolLimits, SpoolStats};

/// Which way data takes to the server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Lane {
    /// Events, emergencies and results: at once, before everything else.
    Urgent,
    /// All other data.
    Data,
}

impl Lane {
    /// Both, the urgent one first.
    pub const ALL: [Self; 2] = [Self::Urgent, Self::Data];

    /// Its name in files and figures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Data => "data",
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Urgent => 0,
            Self::Data => 1,
        }
    }
}
