//! The seam between transport and protocol, where TLS and WebSocket will sit.
//!
//! A layer is a pure state machine: bytes in, bytes out, no transport, no clock, no task. The worker reads the transport
//! into its one buffer, gives the bytes to [`Layer::receive`] and the plain bytes that come out to the core; what the core
//! wants sent passes [`Layer::send`] on its way to the transport. A layer keeps its own unfinished records, and moves with
//! its connection from worker to worker. Layers stack: the outer one's plain bytes are the inner one's wire bytes.

use std::fmt;

/// Turns the bytes of the wire into the bytes of the protocol and back.
pub trait Layer: Send {
    /// Takes all of `wire`; appends the protocol's bytes to `plain`, and to `reply` what the layer itself has to send
    /// (handshake, pong, alert), which goes out in front of everything that is sent later.
    ///
    /// # Errors
    /// The peer broke the layer's rules: `reply` is still to be sent, then the transport closed.
    fn receive(
        &mut self,
        wire: &[u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<LayerState, LayerError>;

    /// Wraps bytes of the protocol; called only when [`LayerState::Open`].
    fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>);

    /// Appends the layer's farewell (close frame, close_notify); nothing is sent after it.
    fn finish(&mut self, wire: &mut Vec<u8>);
}

/// Where a layer stands after it has received bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayerState {
    /// The handshake goes on: no byte of the protocol may be sent yet.
    Handshake,
    /// Bytes of the protocol flow.
    Open,
    /// The peer said farewell: what is in `plain` is the last.
    Finished,
}

/// The peer broke a layer's rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerError {
    /// Which layer: `tls`, `websocket`.
    pub layer: &'static str,
    /// What was wrong, for the log.
    pub text: Box<str>,
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.text)
    }
}

impl std::error::Error for LayerError {}
