//! Handlers in Lua and behind a URL: what they say, as clients see it, and what becomes of their faults.

mod chain;
#[path = "../hook_server/mod.rs"]
mod hook_server;
mod lua;
#[allow(dead_code, reason = "other test programs use the rest of it")]
#[path = "../framework/peer.rs"]
mod peer;
mod webhook;
