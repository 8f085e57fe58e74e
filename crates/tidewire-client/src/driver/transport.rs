//! From a server's address to a stream of bytes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

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
}

/// Opens the transport that the address names.
pub(crate) async fn open(
    url: ServerUrl,
    #[cfg(feature = "tls")] tls: Tls,
) -> Result<Transport, ConnectError> {
    let url = &url;
    match url.scheme {
        Scheme::Tcp => Ok(Transport::Tcp(tcp(url).await?)),
        #[cfg(unix)]
        Scheme::Unix => {
            let opened = tokio::net::UnixStream::connect(&*url.host).await;
            Ok(Transport::Unix(opened.map_err(|error| failed(url, error))?))
        }
        #[cfg(feature = "tls")]
        Scheme::Tls => crate::tls::connect(&tls, url, tcp(url).await?)
            .await
            .map(|stream| Transport::Tls(Box::new(stream)))
            .map_err(|error| ConnectError::Tls {
                server: url.to_string().into(),
                text: error.to_string().into(),
            }),
        _ => Err(ConnectError::NotSupported {
            server: url.to_string().into(),
            what: "this build cannot open such a transport",
        }),
    }
}

/// All addresses of the name in turn.
async fn tcp(url: &ServerUrl) -> Result<TcpStream, ConnectError> {
    let found = tokio::net::lookup_host((&*url.host, url.port)).await;
    let addresses = found.map_err(|error| ConnectError::Lookup {
        server: url.to_string().into(),
        error: Arc::new(error),
    })?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
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
        }
    }

    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
