//! An edge gateway: it takes data from devices and sends them to MQTT servers, in order and complete.
//!
//! Sources and apps bring devices, values, events and statistics to the [`Hub`]. What changed is written to a
//! durable log within a tenth of a second, and sent from there to each uplink, which has its own place in the log. A place
//! moves when the server has acknowledged, and only then: a cut line, a killed gateway, a full disk or a
//! restarted server cost time, and no data.
#![forbid(unsafe_code)]

pub mod app;
pub mod clock;
pub mod config;
pub mod downlink;
pub mod gateway;
pub mod hub;
mod journal;
mod json;
pub mod model;
pub mod page;
pub mod pipeline;
pub mod source;
pub mod uplink;

pub use config::Config;
pub use gateway::Gateway;
pub use hub::{Hub, HubSettings};
pub use journal::Spools;
