//! Other people's clients against the real broker, each in every version of the protocol that it speaks.
//!
//! `cargo xtask test` installs them and says by variables where they are; one that is missing fails its tests.

#![allow(
    clippy::needless_pass_by_value,
    reason = "a json! literal reads better as an argument without a borrow"
)]

mod activation;
mod agent;
mod drop_in;
mod libraries;
mod mosquitto;
mod storm;
mod ways;

#[path = "../support/mod.rs"]
mod support;
