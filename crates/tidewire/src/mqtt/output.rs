//! Printing what comes.

use std::io::{self, Write as _};

use jiff::Zoned;
use tidewire_client::Message;

use super::Failure;
use super::format::{Layout, write_json_line};
use super::options::Receive;

/// Whether there is still a reader.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// There is.
    There,
    /// It has seen enough (`| head`).
    Gone,
}

/// Prints a message as the flags want it.
pub(crate) fn print(receive: &Receive, message: &Message) -> Result<Reader, Failure> {
    let mut bytes = Vec::new();
    let _ = write(receive, message, &mut bytes);
    let mut out = io::stdout().lock();
    match out.write_all(&bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::failed(format!(
            "standard output cannot be written: {error}"
        ))),
    }
}

fn write(receive: &Receive, message: &Message, out: &mut Vec<u8>) -> io::Result<()> {
    let mid = message.packet_id.map_or(0, |id| id.get());
    let layout = if receive.pretty {
        Layout::Pretty
    } else {
        Layout::Compact
    };
    if receive.json {
        let now = Zoned::now();
        return write_json_line(message, mid, &now, receive.payload_format, layout, out);
    }
    if let Some(format) = &receive.format {
        format.write(message, mid, &Zoned::now(), layout, out)?;
        if !receive.no_newline {
            out.push(b'\n');
        }
        return Ok(());
    }
    let payload = match receive.payload_format {
        Some(format) => format.print(&message.payload),
        None => message.payload.to_vec(),
    };
    if receive.verbose {
        out.extend_from_slice(message.topic.as_bytes());
        out.push(b' ');
        if payload.is_empty() {
            out.extend_from_slice(b"(null)");
        }
    } else if payload.is_empty() {
        return Ok(());
    }
    out.extend_from_slice(&payload);
    if !receive.no_newline {
        out.push(b'\n');
    }
    Ok(())
}
