//! What happens when a client sends a packet: one file for each.

mod auth;
pub(crate) mod connect;
mod disconnect;
mod pingreq;
mod pubacks;
pub(crate) mod publish;
pub(crate) mod subscribe;
mod unsubscribe;
