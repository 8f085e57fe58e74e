//! WebSocket on the server's side \[RFC 6455\]: the upgrade of an HTTP request, then frames. Nothing of a frame is ever
//! collected: the bytes of its payload pass on as they come, so a frame may be of any size and costs no memory.

mod frame;
mod pages;
mod upgrade;

pub use pages::{PagesError, StaticPages};
pub use upgrade::{UpgradeAccepted, UpgradeRefused, UpgradeRequest, WebSocketSettings};

use crate::facts::LayerFacts;
use crate::layer::{Layer, LayerError, LayerState};
use frame::{CLOSE_NORMAL, Frames, close_frame};
use pages::Body;
use std::sync::Arc;
use upgrade::Answer;

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
        pages: Option<Arc<StaticPages>>,
        request: Vec<u8>,
    },
    Framed(Frames),
    /// A page is on its way.
    Answering(Body),
}

impl WebSocketLayer {
    /// A connection of which nothing has been read.
    #[must_use]
    pub fn new(settings: Arc<WebSocketSettings>) -> Self {
        Self {
            phase: Phase::Upgrading {
                settings,
                pages: None,
                request: Vec::new(),
            },
        }
    }

    /// A connection whose upgrade somebody else has answered: frames follow.
    #[must_use]
    pub fn upgraded() -> Self {
        Self {
            phase: Phase::Framed(Frames::default()),
        }
    }

    /// Requests that ask for no upgrade get these pages.
    #[must_use]
    pub fn with_pages(mut self, served: Arc<StaticPages>) -> Self {
        if let Phase::Upgrading { pages, .. } = &mut self.phase {
            *pages = Some(served);
        }
        self
    }
}

impl Layer for WebSocketLayer {
    fn receive(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<LayerState, LayerError> {
        let (settings, pages, request) = match &mut self.phase {
            Phase::Framed(frames) => return frames.receive(wire, plain, reply),
            Phase::Answering(_) => return Ok(LayerState::Answered),
            Phase::Upgrading {
                settings,
                pages,
                request,
            } => (settings, pages, request),
        };
        request.extend_from_slice(wire);
        let used = match upgrade::answer(settings, pages.as_deref(), request, reply)? {
            Answer::Incomplete => return Ok(LayerState::Handshake),
            Answer::Page(body) => {
                self.phase = Phase::Answering(body);
                return Ok(LayerState::Answered);
            }
            Answer::Upgraded { length } => length,
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
        if let Phase::Framed(_) = self.phase {
            close_frame(CLOSE_NORMAL, wire);
        }
    }

    fn more(&mut self, wire: &mut Vec<u8>) {
        if let Phase::Answering(body) = &mut self.phase {
            body.more(wire);
        }
    }

    fn tell(&mut self, _: &mut LayerFacts) {}
}
