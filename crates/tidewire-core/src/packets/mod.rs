//! What happens when a client sends a packet: one file for each.

mod auth;
mod connect;
mod disconnect;
mod pingreq;
mod pubacks;
mod publish;
pub(crate) mod subscribe;
mod unsubscribe;
