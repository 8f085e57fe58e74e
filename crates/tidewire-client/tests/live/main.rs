//! The client against a real broker in this process, and against servers that the tests script, over loopback sockets.

mod authenticate;
#[cfg(feature = "blocking")]
mod blocking;
mod broker;
mod delivery;
mod mosquitto;
mod reconnect;
mod server;
mod slow;
mod streams;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "websocket")]
mod websocket;
