//! Frames \[RFC 6455 5\]: from the client masked and in any pieces, to the client whole and unmasked.

use super::LAYER;
use crate::layer::{LayerError, LayerState};

/// Close codes \[RFC 6455 7.4.1\].
pub(super) const CLOSE_NORMAL: u16 = 1000;
const CLOSE_PROTOCOL_ERROR: u16 = 1002;
const CLOSE_UNSUPPORTED_DATA: u16 = 1003;

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;

const FIN: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const MASKED: u8 = 0x80;
/// The longest payload of a control frame.
const CONTROL_MAX_BYTES: usize = 125;
/// Two bytes, eight of length, four of mask.
const HEADER_MAX_BYTES: usize = 14;

/// Where a connection stands among its frames.
#[derive(Default)]
pub(super) struct Frames {
    /// The header so far.
    header: [u8; HEADER_MAX_BYTES],
    header_len: u8,
    /// A message was begun and not ended.
    in_message: bool,
    /// The frame whose payload is being read.
    current: Option<Current>,
}

struct Current {
    opcode: u8,
    mask: [u8; 4],
    /// Bytes of payload to come.
    left: u64,
    /// Bytes of payload so far, as far as the mask cares.
    at: u8,
    /// The payload of a control frame.
    control: Vec<u8>,
}

/// A broken rule: the code of the close frame, and words.
struct Violation(u16, &'static str);

/// A header that is complete.
struct Header {
    length: usize,
    frame: Current,
    ends_message: bool,
}

impl Frames {
    pub(super) fn receive(
        &mut self,
        wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<LayerState, LayerError> {
        self.process(wire, plain, reply)
            .map_err(|Violation(code, text)| {
                close_frame(code, reply);
                LayerError::new(LAYER, text)
            })
    }

    fn process(
        &mut self,
        mut wire: &mut [u8],
        plain: &mut Vec<u8>,
        reply: &mut Vec<u8>,
    ) -> Result<LayerState, Violation> {
        loop {
            if self.current.is_none() && !self.read_header(&mut wire)? {
                return Ok(LayerState::Open);
            }
            let Some(frame) = &mut self.current else {
                return Ok(LayerState::Open);
            };
            let count = usize::try_from(frame.left).map_or(wire.len(), |left| left.min(wire.len()));
            let (payload, rest) = wire.split_at_mut(count);
            frame.unmask(payload);
            if frame.opcode & 0x8 == 0 {
                plain.extend_from_slice(payload);
            } else {
                frame.control.extend_from_slice(payload);
            }
            wire = rest;
            if frame.left > 0 {
                return Ok(LayerState::Open);
            }
            let done = self.current.take();
            if let Some(frame) = done
                && frame.answer(reply)? == LayerState::Finished
            {
                return Ok(LayerState::Finished);
            }
        }
    }

    /// Takes header bytes off the front of `wire`; whether the header is complete.
    fn read_header(&mut self, wire: &mut &mut [u8]) -> Result<bool, Violation> {
        let held = usize::from(self.header_len);
        let room = (HEADER_MAX_BYTES - held).min(wire.len());
        self.header[held..held + room].copy_from_slice(&wire[..room]);
        let Some(header) = Header::parse(&self.header[..held + room], self.in_message)? else {
            self.header_len = (held + room) as u8;
            *wire = &mut [];
            return Ok(false);
        };
        self.header_len = 0;
        let whole = std::mem::take(wire);
        *wire = whole.split_at_mut(header.length - held).1;
        if header.frame.opcode & 0x8 == 0 {
            self.in_message = !header.ends_message;
        }
        self.current = Some(header.frame);
        Ok(true)
    }
}

impl Header {
    /// Nothing while it is incomplete.
    fn parse(bytes: &[u8], in_message: bool) -> Result<Option<Self>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let (opcode, fin) = (first & 0x0F, first & FIN != 0);
        check_first(opcode, first, in_message)?;
        if second & MASKED == 0 {
            return Err(Violation(
                CLOSE_PROTOCOL_ERROR,
                "a frame without a mask, as only servers send",
            ));
        }
        let short = second & !MASKED;
        let is_control = opcode & 0x8 != 0;
        if is_control && (!fin || usize::from(short) > CONTROL_MAX_BYTES) {
            return Err(Violation(
                CLOSE_PROTOCOL_ERROR,
                "a control frame that is in pieces or too long",
            ));
        }
        let (left, rest) = match (short, rest) {
            (126, &[a, b, ref rest @ ..]) => (u64::from(u16::from_be_bytes([a, b])), rest),
            (127, &[a, b, c, d, e, f, g, h, ref rest @ ..]) => {
                (u64::from_be_bytes([a, b, c, d, e, f, g, h]), rest)
            }
            (126 | 127, _) => return Ok(None),
            (short, rest) => (u64::from(short), rest),
        };
        let longer_than_needed =
            (short == 126 && left < 126) || (short == 127 && left <= u64::from(u16::MAX));
        if longer_than_needed || left > i64::MAX as u64 {
            return Err(Violation(
                CLOSE_PROTOCOL_ERROR,
                "a length in a form that is not allowed",
            ));
        }
        let &[a, b, c, d, ref rest @ ..] = rest else {
            return Ok(None);
        };
        Ok(Some(Self {
            length: bytes.len() - rest.len(),
            frame: Current {
                opcode,
                mask: [a, b, c, d],
                left,
                at: 0,
                control: Vec::new(),
            },
            ends_message: fin,
        }))
    }
}

/// Whether a frame of this kind may stand here.
fn check_first(opcode: u8, first: u8, in_message: bool) -> Result<(), Violation> {
    let text = match opcode {
        _ if first & RESERVED_BITS != 0 => "reserved bits are set, and no extension was agreed on",
        CONTINUATION if !in_message => "a continuation of nothing",
        BINARY if in_message => "a message inside a message",
        // [5.0 MQTT-6.0.0-1]
        TEXT => {
            return Err(Violation(
                CLOSE_UNSUPPORTED_DATA,
                "a text frame; MQTT travels in binary frames",
            ));
        }
        CONTINUATION | BINARY | CLOSE | PING | PONG => return Ok(()),
        _ => "a frame of an unknown kind",
    };
    Err(Violation(CLOSE_PROTOCOL_ERROR, text))
}

impl Current {
    /// Takes off the mask of the next bytes of the payload.
    fn unmask(&mut self, payload: &mut [u8]) {
        let mut mask = self.mask;
        mask.rotate_left(usize::from(self.at & 3));
        for chunk in payload.chunks_mut(4) {
            for (byte, mask) in chunk.iter_mut().zip(mask) {
                *byte ^= mask;
            }
        }
        self.left -= payload.len() as u64;
        self.at = (usize::from(self.at) + payload.len()) as u8 & 3;
    }

    /// What a frame that is complete asks for.
    fn answer(&self, reply: &mut Vec<u8>) -> Result<LayerState, Violation> {
        match self.opcode {
            PING => control_frame(PONG, &self.control, reply),
            CLOSE => {
                let code = match self.control[..] {
                    [] => CLOSE_NORMAL,
                    [high, low, ..] => u16::from_be_bytes([high, low]),
                    [_] => {
                        return Err(Violation(CLOSE_PROTOCOL_ERROR, "a close frame of one byte"));
                    }
                };
                close_frame(code, reply);
                return Ok(LayerState::Finished);
            }
            _ => {}
        }
        Ok(LayerState::Open)
    }
}

/// Appends one message in one frame.
pub(super) fn binary_frame(payload: &[u8], wire: &mut Vec<u8>) {
    wire.push(FIN | BINARY);
    match payload.len() {
        short @ 0..=125 => wire.push(short as u8),
        medium @ 126..=0xFFFF => {
            wire.push(126);
            wire.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            wire.push(127);
            wire.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    wire.extend_from_slice(payload);
}

/// Appends a close frame.
pub(super) fn close_frame(code: u16, wire: &mut Vec<u8>) {
    control_frame(CLOSE, &code.to_be_bytes(), wire);
}

fn control_frame(opcode: u8, payload: &[u8], wire: &mut Vec<u8>) {
    wire.push(FIN | opcode);
    wire.push(payload.len().min(CONTROL_MAX_BYTES) as u8);
    wire.extend_from_slice(&payload[..payload.len().min(CONTROL_MAX_BYTES)]);
}
