//! What stands between a listener's socket and the first byte of MQTT.

use crate::settings::{ListenerSettings, OpenSocket};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tidewire_net::{
    AddressRange, BindError, Layer, Layered, ListenUrl, MaterialError, PagesError, ProxyIdentity,
    ProxyLayer, StaticPages, TcpListener, TlsServer, TlsSettings, Transport, WebSocketLayer,
    WebSocketSettings,
};
#[cfg(unix)]
use tidewire_net::{LocalBindError, LocalListener};

/// A listening socket of any kind.
#[derive(Debug)]
pub(crate) enum ListeningSocket {
    Tcp(TcpListener),
    #[cfg(unix)]
    Local(LocalListener),
}

/// The layers of a listener's connections, shared by all workers.
pub(crate) struct Entrance {
    listener: Box<str>,
    tls: Option<Tls>,
    web_socket: Option<Arc<WebSocketSettings>>,
    /// Read when a connection comes in, replaced when files are read again.
    pages: Option<RwLock<Arc<StaticPages>>>,
    trusted_proxies: Option<Vec<AddressRange>>,
    proxy_identity: ProxyIdentity,
    timeout: Duration,
}

struct Tls {
    settings: TlsSettings,
    /// Read when a connection comes in, replaced when files are read again.
    server: RwLock<TlsServer>,
}

impl Entrance {
    /// Reads what the settings name; `None` = connections need nothing but their socket.
    pub(crate) fn build(settings: &ListenerSettings) -> Result<Option<Self>, EntranceError> {
        let scheme = settings.url.scheme();
        let tls = if scheme.is_encrypted() {
            Some(Tls {
                settings: settings.tls.clone(),
                server: RwLock::new(
                    TlsServer::load(&settings.tls).map_err(EntranceError::Certificates)?,
                ),
            })
        } else {
            None
        };
        let web_socket = scheme
            .is_web_socket()
            .then(|| Arc::new(settings.web_socket.clone()));
        let pages = match &web_socket {
            Some(web_socket) => load_pages(web_socket).map_err(EntranceError::Pages)?,
            None => None,
        };
        let trusted_proxies = settings.trusted_proxies.clone();
        if tls.is_none() && web_socket.is_none() && trusted_proxies.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            listener: settings.name.clone(),
            tls,
            web_socket,
            pages: pages.map(RwLock::new),
            trusted_proxies,
            proxy_identity: if settings.proxy_tls_identity {
                ProxyIdentity::Believed
            } else {
                ProxyIdentity::Ignored
            },
            timeout: Duration::from_secs(settings.handshake_timeout_secs.into()),
        }))
    }

    pub(crate) fn listener(&self) -> &str {
        &self.listener
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The time for all handshakes together.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether this address may come in at all. A peer in the file system has none; the file's mode has judged it.
    pub(crate) fn trusts(&self, address: Option<IpAddr>) -> bool {
        match (&self.trusted_proxies, address) {
            (Some(ranges), Some(address)) => ranges.iter().any(|range| range.contains(address)),
            (None, _) | (_, None) => true,
        }
    }

    /// Puts the layers over a new connection.
    pub(crate) fn dress(&self, transport: Transport) -> io::Result<Transport> {
        let mut layers: Vec<Box<dyn Layer>> = Vec::new();
        if self.trusted_proxies.is_some() {
            layers.push(Box::new(ProxyLayer::new(self.proxy_identity)));
        }
        if let Some(tls) = &self.tls {
            let server = tls.server.read().unwrap_or_else(PoisonError::into_inner);
            layers.push(Box::new(server.layer().map_err(io::Error::other)?));
        }
        if let Some(settings) = &self.web_socket {
            let layer = WebSocketLayer::new(Arc::clone(settings));
            layers.push(Box::new(match &self.pages {
                Some(pages) => {
                    let pages = pages.read().unwrap_or_else(PoisonError::into_inner);
                    layer.with_pages(Arc::clone(&pages))
                }
                None => layer,
            }));
        }
        Ok(Transport::Layered(Box::new(Layered::new(
            transport, layers,
        ))))
    }

    /// Reads the files of TLS again; new connections get what was read, if nothing is wrong with it.
    pub(crate) fn reload(&self) -> Result<(), MaterialError> {
        if let Some(tls) = &self.tls {
            let fresh = TlsServer::load(&tls.settings)?;
            *tls.server.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(())
    }

    /// Reads the pages again; `None` = there are none.
    pub(crate) fn reload_pages(&self) -> Option<Result<(), PagesError>> {
        let (settings, pages) = (self.web_socket.as_ref()?, self.pages.as_ref()?);
        Some(load_pages(settings).map(|fresh| {
            if let Some(fresh) = fresh {
                *pages.write().unwrap_or_else(PoisonError::into_inner) = fresh;
            }
        }))
    }
}

fn load_pages(settings: &WebSocketSettings) -> Result<Option<Arc<StaticPages>>, PagesError> {
    let folder = settings.static_folder.as_deref();
    let pages = folder.map(|folder| StaticPages::load(folder, settings.static_max_bytes));
    Ok(pages.transpose()?.map(Arc::new))
}

/// Why what stands in front of a listener could not be built.
#[derive(Debug)]
pub(crate) enum EntranceError {
    Certificates(MaterialError),
    Pages(PagesError),
}

/// Why a listener could not be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    Address(BindError),
    #[cfg(unix)]
    Path(LocalBindError),
}

impl ListeningSocket {
    /// Opens an address.
    pub(crate) fn bind(
        address: SocketAddr,
        settings: &ListenerSettings,
    ) -> Result<Self, OpenError> {
        TcpListener::bind(address, settings.tcp_options())
            .map(Self::Tcp)
            .map_err(OpenError::Address)
    }

    /// Takes over a socket that is open; the original stays open with whoever has it.
    pub(crate) fn adopt(open: &OpenSocket, settings: &ListenerSettings) -> io::Result<Self> {
        match open {
            OpenSocket::Tcp(listener) => {
                TcpListener::adopt(listener.try_clone()?, settings.tcp_options()).map(Self::Tcp)
            }
            #[cfg(unix)]
            OpenSocket::Local(listener) => {
                LocalListener::adopt(listener.try_clone()?).map(Self::Local)
            }
        }
    }

    /// Opens a path, if the URL names one.
    #[cfg(unix)]
    pub(crate) fn bind_path(
        url: &ListenUrl,
        settings: &ListenerSettings,
    ) -> Option<Result<Self, OpenError>> {
        let path = url.socket_path()?;
        let bound = LocalListener::bind(path, settings.unix_mode);
        Some(bound.map(Self::Local).map_err(OpenError::Path))
    }

    /// The address in use where `asked` was asked for.
    pub(crate) fn local_addr(&self, asked: SocketAddr) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            #[cfg(unix)]
            Self::Local(_) => Ok(asked),
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            #[cfg(unix)]
            Self::Local(listener) => listener.try_clone().map(Self::Local),
        }
    }

    pub(crate) fn register(
        &mut self,
        registry: &mio::Registry,
        token: mio::Token,
    ) -> io::Result<()> {
        match self {
            Self::Tcp(listener) => listener.register(registry, token),
            #[cfg(unix)]
            Self::Local(listener) => listener.register(registry, token),
        }
    }

    /// The next connection, and its address if it has one.
    pub(crate) fn accept(&self) -> io::Result<(Transport, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (socket, peer) = listener.accept()?;
                Ok((Transport::Socket(socket), Some(peer)))
            }
            #[cfg(unix)]
            Self::Local(listener) => Ok((Transport::Local(listener.accept()?), None)),
        }
    }
}
