//! Other people's clients against the real broker, each in every version of the protocol that it speaks.
//!
//! `cargo xtask test` installs them and says by variables where they are; one that is missing fails its tests.

mod agent;
mod libraries;
mod mosquitto;
mod storm;

#[path = "../support/mod.rs"]
mod support;
