//! MQTT over WebSockets \[5.0 section 6\]: a stream of bytes in binary frames, whose borders mean nothing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream as _;
use futures_sink::Sink as _;
use tidewire_codec::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};

use crate::url::{Scheme, ServerUrl};

const SUB_PROTOCOL_HEADER: &str = "Sec-WebSocket-Protocol";

/// Bytes over a WebSocket over another stream of bytes.
pub(crate) struct WebSocket<S> {
    frames: WebSocketStream<S>,
    /// What is left of the frame that came last.
    rest: Bytes,
}

/// The sub-protocol of a version: MQTT 3.1 has one of its own by custom.
const fn sub_protocol(version: Version) -> &'static str {
    match version {
        Version::V31 => "mqttv3.1",
        Version::V311 | Version::V5 => "mqtt",
    }
}

/// The opening handshake on an open stream.
pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    url: &ServerUrl,
    version: Version,
    headers: &[(Box<str>, Box<str>)],
    stream: S,
) -> io::Result<WebSocket<S>> {
    let scheme = match url.scheme {
        Scheme::WebSocketTls => "wss",
        _ => "ws",
    };
    let host = if url.host.contains(':') {
        format!("[{}]", url.host)
    } else {
        url.host.to_string()
    };
    let address = format!("{scheme}://{host}:{}{}", url.port, url.path);
    let mut request = address.into_client_request().map_err(as_io)?;
    let wanted = sub_protocol(version);
    request
        .headers_mut()
        .insert(SUB_PROTOCOL_HEADER, HeaderValue::from_static(wanted));
    for (name, value) in headers {
        let name = tungstenite::http::HeaderName::try_from(&**name).map_err(io::Error::other)?;
        let value = HeaderValue::from_str(value).map_err(io::Error::other)?;
        request.headers_mut().append(name, value);
    }
    let (frames, response) = tokio_tungstenite::client_async(request, stream)
        .await
        .map_err(as_io)?;
    let agreed = response.headers().get(SUB_PROTOCOL_HEADER);
    if agreed.is_none_or(|agreed| agreed != wanted) {
        let text = format!("the server does not speak the sub-protocol {wanted}");
        return Err(io::Error::other(text));
    }
    let rest = Bytes::new();
    Ok(WebSocket { frames, rest })
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.frames).poll_next(context)) {
                None | Some(Ok(Message::Close(_))) => return Poll::Ready(Ok(())),
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(_))) => {
                    let text = "the server sent a WebSocket text frame; MQTT has binary ones only";
                    return Poll::Ready(Err(io::Error::other(text)));
                }
                // Pings are answered by the layer below.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(error)) => return Poll::Ready(Err(as_io(error))),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(count));
        Poll::Ready(Ok(()))
    }

    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut frames = Pin::new(&mut self.frames);
        ready!(frames.as_mut().poll_ready(context)).map_err(as_io)?;
        let frame = Message::Binary(Bytes::copy_from_slice(bytes));
        frames.start_send(frame).map_err(as_io)?;
        Poll::Ready(Ok(bytes.len()))
    }

    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames)
            .poll_flush(context)
            .map_err(as_io)
    }

    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.frames)
            .poll_close(context)
            .map_err(as_io)
    }
}

fn as_io(error: tungstenite::Error) -> io::Error {
    match error {
        tungstenite::Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
