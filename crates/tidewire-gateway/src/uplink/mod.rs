//! From the log to a server.

mod debounce;
pub(crate) mod format;
pub(crate) mod outflow;
#[cfg(test)]
mod outflow_tests;
mod presence;
mod settings;
mod status;
mod stream;
pub(crate) mod task;
pub mod topic;

pub use outflow::{Order, SentCounters};
pub use settings::{Payload, Secret, TlsFiles, TopicSettings, UplinkSettings};
pub use status::{UplinkState, UplinkStatus};
