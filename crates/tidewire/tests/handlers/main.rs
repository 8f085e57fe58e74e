//! `[[handler]]` in the real program, and the recipes of the documentation as a reader would try them.

mod config;
#[allow(dead_code, reason = "other test programs use the rest of it")]
#[path = "../../../tidewire-broker/tests/framework/peer.rs"]
mod peer;
mod recipes;
mod start;
#[path = "../support/mod.rs"]
mod support;
