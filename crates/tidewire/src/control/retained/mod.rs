//! `tidewire ctl retained`: what the broker retains, listed, searched, deleted, exported and imported.

pub(crate) mod arguments;
pub(crate) mod client;
pub(crate) mod message;
pub(crate) mod server;
