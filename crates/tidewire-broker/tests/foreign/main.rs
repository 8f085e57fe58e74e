//! Handlers in Lua and behind a URL: what they say, as clients see it, and what becomes of their faults.

mod lua;
#[allow(dead_code, reason = "other test programs use the rest of it")]
#[path = "../framework/peer.rs"]
mod peer;
