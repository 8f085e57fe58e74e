//! `[[handler]]` in the real program.

mod config;
#[allow(dead_code, reason = "other test programs use the rest of it")]
#[path = "../../../tidewire-broker/tests/framework/peer.rs"]
mod peer;
mod start;
#[path = "../support/mod.rs"]
mod support;
