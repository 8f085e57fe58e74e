//! What a broker is told at its start.

use crate::storage::StoreSettings;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::PathBuf;
use std::sync::Arc;
use tidewire_codec::Version;
use tidewire_core::{
    Authentication, Authorization, Config, Durability, Limits, ListenerPolicy, Mode,
    SharedStrategy, StoreConfig, Watch, WorkerId,
};
use tidewire_net::{AddressRange, ListenUrl, TcpOptions, TlsSettings, WebSocketSettings};

/// Everything that a broker needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Worker threads; 0 = one for each processor that this process may use.
    pub workers: usize,
    /// Where to listen. Without any, clients come in through [`BrokerHandle::connect_piped`](crate::BrokerHandle::connect_piped) alone.
    pub listeners: Vec<ListenerSettings>,
    /// Bounds of everything that a peer can feed.
    pub limits: Limits,
    /// How a shared group picks the member for a message.
    pub shared_strategy: SharedStrategy,
    /// Where what is owed is kept; `None` = in memory, whatever the listeners say.
    pub store: Option<StoreSettings>,
    /// Seconds between updates of the `$SYS` topics; 0 = none.
    pub sys_interval_secs: u32,
    /// Seed of all hash tables and assigned client ids; `None` = a random one. Give one only to have a run repeated: who
    /// knows the seed can make tables slow.
    pub hash_seed: Option<u64>,
}

/// One listener.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    /// Its name in logs; unique.
    pub name: Box<str>,
    /// Where it listens.
    pub url: ListenUrl,
    /// Whoever gives no user name may come in where no handler objects. Needed for an address beyond loopback as long as no
    /// handler authenticates its clients.
    pub allow_anonymous: bool,
    /// Protocol versions that are served.
    pub versions: Vec<Version>,
    /// Connections at once; 0 = as many as the operating system allows.
    pub max_connections: usize,
    /// Whether small segments are sent at once (TCP_NODELAY).
    pub tcp_nodelay: bool,
    /// Connections that wait for being accepted.
    pub backlog: u32,
    /// Seconds of silence after which the operating system asks whether the peer's host is still there; 0 = never.
    pub tcp_keep_alive_secs: u32,
    /// Seconds that sent bytes may stay without an acknowledgement of the peer's host; 0 = as the system has it.
    pub tcp_user_timeout_secs: u32,
    /// The operating system's buffers for each connection; 0 = it sizes them itself.
    pub tcp_receive_buffer_bytes: u32,
    /// See [`tcp_receive_buffer_bytes`](Self::tcp_receive_buffer_bytes).
    pub tcp_send_buffer_bytes: u32,
    /// Nothing is opened: an application's own HTTP server brings the connections (feature `attach`).
    pub attached: bool,
    /// Listening sockets that somebody else has opened, a supervisor perhaps; if there are any, nothing is opened at `url`,
    /// which still says by its scheme what is spoken.
    pub open_sockets: Vec<OpenSocket>,
    /// Answer to Request Response Information.
    pub response_information: Option<Box<str>>,
    /// How far what comes through it has to be before it is acknowledged, where there is a store.
    pub durability: Durability,
    /// Files and rules of TLS, for the schemes that have it.
    pub tls: TlsSettings,
    /// What becomes a WebSocket, for the schemes that have it.
    pub web_socket: WebSocketSettings,
    /// `Some` = connections come from these proxies only, and each begins with a header of the PROXY protocol.
    pub trusted_proxies: Option<Vec<AddressRange>>,
    /// Whether what these proxies say of a client's TLS certificate counts as if it had been shown here.
    pub proxy_tls_identity: bool,
    /// Time for everything that comes before the first byte of MQTT.
    pub handshake_timeout_secs: u32,
    /// Permission bits of a socket in the file system.
    pub unix_mode: u32,
}

/// A listening socket that is open already.
#[derive(Clone, Debug)]
pub enum OpenSocket {
    /// TCP.
    Tcp(Arc<std::net::TcpListener>),
    /// In the file system; its file stays when the broker ends.
    #[cfg(unix)]
    Local(Arc<std::os::unix::net::UnixListener>),
}

impl OpenSocket {
    /// Its address, if it has one.
    pub(crate) fn address(&self) -> io::Result<Option<SocketAddr>> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Some),
            #[cfg(unix)]
            Self::Local(_) => Ok(None),
        }
    }

    /// Its path, if it has one.
    #[cfg(unix)]
    pub(crate) fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp(_) => None,
            Self::Local(listener) => listener.local_addr().ok()?.as_pathname().map(Into::into),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 0,
            listeners: Vec::new(),
            limits: Limits::default(),
            shared_strategy: SharedStrategy::default(),
            store: None,
            sys_interval_secs: 10,
            hash_seed: None,
        }
    }
}

impl ListenerSettings {
    /// A listener with every other setting at its default.
    #[must_use]
    pub fn new(name: &str, url: ListenUrl) -> Self {
        let tcp = TcpOptions::default();
        Self {
            name: name.into(),
            url,
            allow_anonymous: false,
            versions: vec![Version::V31, Version::V311, Version::V5],
            max_connections: 0,
            tcp_nodelay: tcp.nodelay,
            backlog: tcp.backlog,
            tcp_keep_alive_secs: tcp.keep_alive_secs,
            tcp_user_timeout_secs: tcp.user_timeout_secs,
            tcp_receive_buffer_bytes: tcp.receive_buffer_bytes,
            tcp_send_buffer_bytes: tcp.send_buffer_bytes,
            attached: false,
            open_sockets: Vec::new(),
            response_information: None,
            durability: Durability::Sync,
            tls: TlsSettings::default(),
            web_socket: WebSocketSettings::default(),
            trusted_proxies: None,
            proxy_tls_identity: false,
            handshake_timeout_secs: 10,
            unix_mode: 0o660,
        }
    }

    /// A listener whose connections an application's own HTTP server brings: MQTT over WebSocket, upgraded there. Whoever
    /// reaches that server reaches this listener, so it needs an authenticator or `allow_anonymous`.
    #[must_use]
    pub fn attached(name: &str) -> Self {
        Self {
            attached: true,
            ..Self::new(name, ListenUrl::web_socket_anywhere())
        }
    }

    pub(crate) fn tcp_options(&self) -> TcpOptions {
        TcpOptions {
            nodelay: self.tcp_nodelay,
            backlog: self.backlog,
            keep_alive_secs: self.tcp_keep_alive_secs,
            user_timeout_secs: self.tcp_user_timeout_secs,
            receive_buffer_bytes: self.tcp_receive_buffer_bytes,
            send_buffer_bytes: self.tcp_send_buffer_bytes,
        }
    }

    fn policy(&self, (authentication, authorization): Deciding) -> ListenerPolicy {
        ListenerPolicy {
            // What is not said here depends on who serves it.
            watch: Watch::NONE,
            mode: Mode::Broker,
            name: self.name.clone(),
            authentication,
            authorization,
            versions: self.versions.clone(),
            response_information: self.response_information.clone(),
            durability: self.durability,
        }
    }
}

/// Who decides on a listener.
pub(crate) type Deciding = (Authentication, Authorization);
/// Without an authenticator there is nobody to ask: who may connect is decided by where the listener listens.
pub(crate) const NOBODY_DECIDES: Deciding = (Authentication::Anonymous, Authorization::AllowAll);
/// There is somebody to ask.
pub(crate) const ANSWERER_DECIDES: Deciding = (Authentication::Ask, Authorization::Ask);

/// The name of the policy for connections that come from within the process.
const PIPED: &str = "piped";
/// The name of the policy for the server's own subscriptions: nobody is asked about them.
const SERVER: &str = "server";

impl Settings {
    /// The number of workers that these settings mean on this machine.
    pub(crate) fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    /// One worker's share of the settings. `seed` is the broker's.
    pub(crate) fn core_config(
        &self,
        worker: WorkerId,
        workers: u16,
        seed: u64,
        store: Option<&StoreConfig>,
        deciding: &dyn Fn(u16) -> Deciding,
    ) -> Config {
        let (authentication, authorization) = deciding(self.piped_policy());
        let piped = ListenerPolicy {
            name: PIPED.into(),
            authentication,
            authorization,
            ..ListenerPolicy::default()
        };
        let server = ListenerPolicy {
            name: SERVER.into(),
            ..ListenerPolicy::default()
        };
        Config {
            worker,
            workers,
            home_seed: seed,
            seed: seed.rotate_left(17)
                ^ (u64::from(worker.0) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15),
            limits: self.limits.clone(),
            shared_strategy: self.shared_strategy,
            store: store.cloned(),
            listeners: (0..)
                .zip(&self.listeners)
                .map(|(index, listener)| listener.policy(deciding(index)))
                .chain([piped, server])
                .collect(),
        }
    }

    /// The index of the policy for connections from within the process.
    pub(crate) fn piped_policy(&self) -> u16 {
        u16::try_from(self.listeners.len()).unwrap_or(u16::MAX)
    }

    /// The index of the policy for the server's own subscriptions, the last one.
    pub(crate) fn server_policy(&self) -> u16 {
        self.piped_policy().saturating_add(1)
    }

    /// Whether clients without a user name may come in where no handler objects, for all policies in their order.
    pub(crate) fn anonymous_allowed(&self) -> Vec<bool> {
        let listeners = self.listeners.iter();
        let allowed = listeners.map(|listener| listener.allow_anonymous);
        allowed.chain([false]).collect()
    }

    /// Names and limits of all policies, in their order.
    pub(crate) fn policies(&self) -> impl Iterator<Item = (&str, usize)> {
        let listeners = self
            .listeners
            .iter()
            .map(|listener| (&*listener.name, listener.max_connections));
        listeners.chain([(PIPED, 0), (SERVER, 0)])
    }
}
