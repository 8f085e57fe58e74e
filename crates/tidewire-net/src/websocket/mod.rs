//! WebSocket on the server's side \[RFC 6455\]: the upgrade of an HTTP request, then frames. Nothing of a frame is ever
//! collected: the bytes of its payload pass on as they come, so a frame may be of any size and costs no memory.

mod frame;
mod upgrade;

pub use upgrade::WebSocketSettings;

use crate::facts::LayerFacts;
use crate::layer::{Layer, LayerError, LayerState};
use frame::{CLOSE_NORMAL, Frames, close_frame};
use std::sync::Arc;

/// The name of this layer in errors.
const LAYER: &str = "websocket";

/// One connection's WebSocket.
pub struct WebSocketLayer {
    phase: Phase,
}

enum Phase {
    /// The request is being read.
    Upgrading {
        settings: Arc<WebSocketSettings>,
        request: Vec<u8>,
    },
    Framed(Frames),
}

impl WebSocketLayer {
    /// A connection of which nothing has been read.
    #[must_use]
    pub fn new(settings: Arc<WebSocketSettings>) -> Self {
        let request = Vec::new();
        Self {
            phase: Phase::Upgrading { settings, request },
        }
    }
}

impl Layer for WebSocketLayer {
    fn receive(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<LayerState, LayerError> {
        let (settings, request) = match &mut self.phase {
            Phase::Framed(frames) => return frames.receive(wire, plain, reply),
            Phase::Upgrading { settings, request } => (settings, request),
        };
        request.extend_from_slice(wire);
        let Some(used) = upgrade::answer(settings, request, reply)? else {
            return Ok(LayerState::Handshake);
        };
        let mut rest = request.split_off(used);
        let mut frames = Frames::default();
        let state = frames.receive(&mut rest, plain, reply);
        self.phase = Phase::Framed(frames);
        state
    }

    fn send(&mut self, plain: &[u8], wire: &mut Vec<u8>) {
        frame::binary_frame(plain, wire);
    }

    fn finish(&mut self, wire: &mut Vec<u8>) {
        close_frame(CLOSE_NORMAL, wire);
    }

    fn tell(&mut self, _: &mut LayerFacts) {}
}
