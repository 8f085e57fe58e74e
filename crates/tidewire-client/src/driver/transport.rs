//! From a server's address to a stream of bytes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tidewire_codec::Version;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};

use super::proxy::Proxy;
#[cfg(feature = "websocket")]
use super::websocket::{self, WebSocket};
use crate::event::ConnectError;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::url::{Scheme, ServerUrl};

/// Bytes in both directions.
pub(crate) enum Transport {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
    #[cfg(feature = "websocket")]
    WebSocket(Box<WebSocket<TcpStream>>),
    #[cfg(all(feature = "tls", feature = "websocket"))]
    WebSocketTls(Box<WebSocket<tokio_rustls::client::TlsStream<TcpStream>>>),
}

/// What a transport is opened with, beside the address.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) version: Version,
    /// The own address to connect from.
    pub(crate) bind: Option<IpAddr>,
    pub(crate) proxy: Option<Proxy>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Tls,
    #[cfg(feature = "websocket")]
    pub(crate) headers: Vec<(Box<str>, Box<str>)>,
}

/// Opens the transport that the address names.
pub(crate) async fn open(url: ServerUrl, manner: Manner) -> Result<Transport, ConnectError> {
    let url = &url;
    match url.scheme {
        Scheme::Tcp => Ok(Transport::Tcp(tcp(url, &manner).await?)),
        #[cfg(unix)]
        Scheme::Unix => {
            let opened = tokio::net::UnixStream::connect(&*url.host).await;
            Ok(Transport::Unix(opened.map_err(|error| failed(url, error))?))
        }
        #[cfg(feature = "tls")]
        Scheme::Tls => {
            let stream = encrypted(url, &manner).await?;
            Ok(Transport::Tls(Box::new(stream)))
        }
        #[cfg(feature = "websocket")]
        Scheme::WebSocket => {
            let stream = framed(url, &manner, tcp(url, &manner).await?).await?;
            Ok(Transport::WebSocket(Box::new(stream)))
        }
        #[cfg(all(feature = "tls", feature = "websocket"))]
        Scheme::WebSocketTls => {
            let stream = framed(url, &manner, encrypted(url, &manner).await?).await?;
            Ok(Transport::WebSocketTls(Box::new(stream)))
        }
        #[cfg(not(all(unix, feature = "tls", feature = "websocket")))]
        _ => Err(ConnectError::NotSupported {
            server: url.to_string().into(),
            what: "this build cannot open such a transport",
        }),
    }
}

#[cfg(feature = "tls")]
async fn encrypted(
    url: &ServerUrl,
    manner: &Manner,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ConnectError> {
    let opened = crate::tls::connect(&manner.tls, url, tcp(url, manner).await?).await;
    opened.map_err(|error| ConnectError::Tls {
        server: url.to_string().into(),
        text: error.to_string().into(),
    })
}

#[cfg(feature = "websocket")]
async fn framed<S: AsyncRead + AsyncWrite + Unpin>(
    url: &ServerUrl,
    manner: &Manner,
    stream: S,
) -> Result<WebSocket<S>, ConnectError> {
    websocket::connect(url, manner.version, &manner.headers, stream)
        .await
        .map_err(|error| failed(url, error))
}

/// A connection to the server, or to the proxy that connects further.
async fn tcp(url: &ServerUrl, manner: &Manner) -> Result<TcpStream, ConnectError> {
    let Some(proxy) = &manner.proxy else {
        return direct(url, manner.bind).await;
    };
    let stream = direct(&proxy.url, manner.bind).await?;
    let asked = proxy.ask(stream, url).await;
    asked.map_err(|error| failed(url, error))
}

/// All addresses of the name in turn.
async fn direct(url: &ServerUrl, bind: Option<IpAddr>) -> Result<TcpStream, ConnectError> {
    let found = tokio::net::lookup_host((&*url.host, url.port)).await;
    let addresses = found.map_err(|error| ConnectError::Lookup {
        server: url.to_string().into(),
        error: Arc::new(error),
    })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match from(bind, address).await {
            Ok(stream) => {
                // Acknowledgements and pings are small and must not wait for company.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(failed(url, last))
}

async fn from(bind: Option<IpAddr>, to: SocketAddr) -> io::Result<TcpStream> {
    let Some(own) = bind else {
        return TcpStream::connect(to).await;
    };
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(SocketAddr::new(own, 0))?;
    socket.connect(to).await
}

pub(crate) fn failed(url: &ServerUrl, error: io::Error) -> ConnectError {
    ConnectError::Io {
        server: url.to_string().into(),
        error: Arc::new(error),
    }
}

impl Transport {
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            #[cfg(feature = "websocket")]
            Self::WebSocket(stream) => stream.poll_read(context, buffer),
            #[cfg(all(feature = "tls", feature = "websocket"))]
            Self::WebSocketTls(stream) => stream.poll_read(context, buffer),
        }
    }

    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            #[cfg(feature = "websocket")]
            Self::WebSocket(stream) => stream.poll_write(context, bytes),
            #[cfg(all(feature = "tls", feature = "websocket"))]
            Self::WebSocketTls(stream) => stream.poll_write(context, bytes),
        }
    }

    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "websocket")]
            Self::WebSocket(stream) => stream.poll_flush(context),
            #[cfg(all(feature = "tls", feature = "websocket"))]
            Self::WebSocketTls(stream) => stream.poll_flush(context),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "websocket")]
            Self::WebSocket(stream) => stream.poll_shutdown(context),
            #[cfg(all(feature = "tls", feature = "websocket"))]
            Self::WebSocketTls(stream) => stream.poll_shutdown(context),
        }
    }
}
