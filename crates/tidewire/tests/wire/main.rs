//! What the broker does with bytes that it should not get, and with odd ones that it must take: tables of bytes in,
//! packets out, connection open or closed, over TCP and without any MQTT library.
//!
//! Each row has a connection of its own, and after each a healthy pair of clients and a new one are served as before.
//! `TIDEWIRE_WIRE_TARGET=host:port` runs the tables against another broker; what the specification leaves open (whether
//! a packet tells the reason, and which of several) is then not compared.

mod bytes;
mod connect;
mod flags;
mod peer;
mod property;
mod publish;
mod quota;
mod row;
mod session;
mod string;
mod subscribe;
#[path = "../support/mod.rs"]
mod support;
