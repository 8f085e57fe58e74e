//! The seam between transport and protocol, where TLS, WebSocket and the PROXY protocol sit.
//!
//! A layer is a pure state machine: bytes in, bytes out, no transport, no clock, no task. [`Layered`](crate::Layered)
//! reads the transport into a buffer that all connections of a thread share, gives the bytes to [`Layer::receive`] and
//! the plain bytes that come out to the reader; what is written passes [`Layer::send`] on its way to the transport. A
//! layer keeps its own unfinished records, and moves with its connection from worker to worker. Layers stack: the outer
//! one's plain bytes are the inner one's wire bytes.

use crate::facts::LayerFacts;
use std::fmt;

/// Turns the bytes of the wire into the bytes of the protocol and back.
pub trait Layer: Send {
    /// Takes all of `wire`, which it may overwrite; appends the protocol's bytes to `plain`, and to `reply` what the layer
    /// itself has to send (handshake, pong, alert), which goes out in front of everything that is sent later.
    ///
    /// # Errors
    /// The peer broke the layer's rules: `reply` is still to be sent, then the transport closed.
    fn receive(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<LayerState, LayerError>;

    /// Wraps bytes of the protocol; called only when [`LayerState::Open`].
    fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>);

    /// Appends the layer's farewell (close frame, close_notify); nothing is sent after it.
    fn finish(&mut self, wire: &mut Vec<u8>);

    /// Appends the next piece of an answer after [`LayerState::Answered`], until it appends nothing. Pieces are asked for as the
    /// transport takes them, so that a long answer needs no memory.
    fn more(&mut self, wire: &mut Vec<u8>) {
        let _ = wire;
    }

    /// Adds what the layer has learned of the peer; called once, when it is open.
    fn tell(&mut self, facts: &mut LayerFacts);
}

/// Where a layer stands after it has received bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LayerState {
    /// The handshake goes on: no byte of the protocol may be sent yet.
    Handshake,
    /// Bytes of the protocol flow.
    Open,
    /// From here on wire and protocol have the same bytes: the layer can go.
    Transparent,
    /// The peer said farewell: what is in `plain` is the last.
    Finished,
    /// The peer wanted something else than the protocol, and gets it from the layer: `reply`, then [`Layer::more`], then the end.
    Answered,
}

/// The peer broke a layer's rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerError {
    /// Which layer: `tls`, `websocket`, `proxy protocol`.
    pub layer: &'static str,
    /// What was wrong, for the log.
    pub text: Box<str>,
}

impl LayerError {
    /// An error of a layer.
    #[must_use]
    pub fn new(layer: &'static str, text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        Self { layer, text }
    }
}

impl fmt::Display for LayerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.text)
    }
}

impl std::error::Error for LayerError {}
