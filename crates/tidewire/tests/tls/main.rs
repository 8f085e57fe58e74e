//! TLS as others see it: what goes wrong, in whose words, and programs of the field that were written for other brokers.

mod client_side;
mod material;
mod paho;
mod recipe;
mod server_side;

#[path = "../support/mod.rs"]
mod support;
