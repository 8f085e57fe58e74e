//! Everything that a client can be told before it connects.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tidewire_codec::{EncodeError, Properties, Property, Version, topic};

use crate::backoff::Backoff;
use crate::client::{Client, Events, Handle};
use crate::driver::Driver;
use crate::driver::proxy::Proxy;
use crate::driver::transport::Manner;
use crate::listener::{Authenticator, Listener};
use crate::messages::{Messages, Queue};
use crate::options_error::{OptionsError, StartError};
use crate::outbox::{MemoryOutbox, Outbox, OutboxLimits};
use crate::protocol::{Open, check_subscription};
use crate::router::Router;
use crate::shared::{OfflineQos0, OnFull, Shared};
use crate::subscription::Subscription;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::url::{Scheme, ServerUrl, UrlError};
use crate::will::LastWill;

/// User name and password of one attempt to connect.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub username: Option<Box<str>>,
    /// Password or token; before MQTT 5.0 only with a user name.
    pub password: Option<Box<[u8]>>,
}

/// Shows no password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

type CredentialsFuture = Pin<Box<dyn Future<Output = Result<Credentials, String>> + Send>>;
type UrlFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;
pub(crate) type UrlSigner = Box<dyn FnMut(String) -> UrlFuture + Send>;
pub(crate) type CredentialsSource = Box<dyn FnMut() -> CredentialsFuture + Send>;

/// What to do with messages of which nobody knows whether the server had them when it lost the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnSessionLost {
    /// Send them again, as new messages: nothing is lost, and one may arrive twice, at QoS 2, too.
    #[default]
    PublishAgain,
    /// Give them up with [`DeliveryError::SessionLost`](crate::DeliveryError::SessionLost).
    GiveUp,
}

/// What a driver is built from.
pub(crate) struct Options {
    pub(crate) servers: Vec<ServerUrl>,
    pub(crate) open: Open,
    pub(crate) connect_timeout: Duration,
    pub(crate) backoff: Backoff,
    pub(crate) on_session_lost: OnSessionLost,
    pub(crate) read_ahead_bytes: usize,
    pub(crate) credentials: Option<CredentialsSource>,
    pub(crate) url_signer: Option<UrlSigner>,
    pub(crate) authenticator: Option<Box<dyn Authenticator>>,
    pub(crate) listener: Option<Box<dyn Listener>>,
    pub(crate) manner: Manner,
}

/// A client that is not connected yet. Streams that are registered here miss nothing of what the server sends right
/// after the connection is there.
pub struct Builder {
    servers: Vec<Result<ServerUrl, UrlError>>,
    options: Options,
    will: Option<LastWill>,
    max_inflight: Option<u16>,
    /// Names of set options that exist in MQTT 5.0 only.
    v5_only: Vec<&'static str>,
    properties: Vec<EncodeError>,
    outbox: Outboxing,
    handle: Arc<Handle>,
    streams: EarlyStreams,
}

struct Outboxing {
    limits: OutboxLimits,
    custom: Option<Box<dyn Outbox>>,
    on_full: OnFull,
    offline_qos0: OfflineQos0,
}

#[derive(Clone, Copy)]
enum StreamKind {
    Route,
    Subscription,
}

/// Streams that were registered before connecting. Without a client they end.
#[derive(Default)]
struct EarlyStreams(Vec<(Subscription, Arc<Queue>, StreamKind)>);

impl Drop for EarlyStreams {
    fn drop(&mut self) {
        for (_, queue, _) in &self.0 {
            queue.close();
        }
    }
}

impl Builder {
    /// A client of the server at this address. MQTT 5.0, a new session, a random client identifier and a keep-alive of
    /// 60 seconds, if not said otherwise.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let client_id = format!("tidewire{:014x}", crate::random::next() >> 8);
        Self {
            servers: vec![url.parse()],
            options: Options {
                servers: Vec::new(),
                open: Open::new(Version::V5, &client_id),
                connect_timeout: Duration::from_secs(10),
                backoff: Backoff::default(),
                on_session_lost: OnSessionLost::default(),
                // What a slow application may lag behind beyond its streams before the server has to wait.
                read_ahead_bytes: 1024 * 1024,
                credentials: None,
                url_signer: None,
                authenticator: None,
                listener: None,
                manner: Manner {
                    version: Version::V5,
                    bind: None,
                    proxy: None,
                    #[cfg(feature = "tls")]
                    tls: Tls::default(),
                    #[cfg(feature = "websocket")]
                    headers: Vec::new(),
                },
            },
            will: None,
            max_inflight: None,
            v5_only: Vec::new(),
            properties: Vec::new(),
            outbox: Outboxing {
                limits: OutboxLimits::default(),
                custom: None,
                on_full: OnFull::default(),
                offline_qos0: OfflineQos0::default(),
            },
            handle: Arc::new(Handle::new(Arc::new(Shared::new()))),
            streams: EarlyStreams::default(),
        }
    }

    /// Another server, tried in turn.
    #[must_use]
    pub fn or_server(mut self, url: &str) -> Self {
        self.servers.push(url.parse());
        self
    }

    /// The version of the protocol.
    #[must_use]
    pub fn version(mut self, version: Version) -> Self {
        self.options.open.version = version;
        self
    }

    /// The client identifier.
    #[must_use]
    pub fn client_id(mut self, client_id: &str) -> Self {
        self.options.open.client_id = client_id.into();
        self
    }

    /// Go on with the session that the server has for this client identifier, and have it outlive the connection by
    /// this time (before MQTT 5.0: for as long as the server likes).
    #[must_use]
    pub fn keep_session(mut self, expiry: Duration) -> Self {
        self.options.open.clean_start = false;
        self.options.open.session_expiry_interval_secs =
            u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX);
        self
    }

    /// Begin with a new session, whatever the server has. Reconnections go on with it if it outlives its connection.
    #[must_use]
    pub fn clean_start(mut self) -> Self {
        self.options.open.clean_start = true;
        self
    }

    /// Silence after which the client shows that it lives; zero = never. Rounded up to seconds.
    #[must_use]
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        let secs = interval.as_secs() + u64::from(interval.subsec_nanos() > 0);
        self.options.open.keep_alive_secs = u16::try_from(secs).unwrap_or(u16::MAX);
        self
    }

    /// How long to wait for the answer to a ping; 10 seconds if not said otherwise.
    #[must_use]
    pub fn ping_timeout(mut self, limit: Duration) -> Self {
        self.options.open.ping_timeout = limit;
        self
    }

    /// How long transport, TLS and CONNACK may take together; 10 seconds if not said otherwise.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = limit;
        self
    }

    /// User name and password.
    #[must_use]
    pub fn credentials(mut self, username: &str, password: impl AsRef<[u8]>) -> Self {
        self.options.open.username = Some(username.into());
        self.options.open.password = Some(password.as_ref().into());
        self
    }

    /// User name without a password.
    #[must_use]
    pub fn username(mut self, username: &str) -> Self {
        self.options.open.username = Some(username.into());
        self
    }

    /// Password or token without a user name (MQTT 5.0).
    #[must_use]
    pub fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.options.open.password = Some(password.as_ref().into());
        self
    }

    /// The own address to connect from.
    #[must_use]
    pub fn bind(mut self, address: IpAddr) -> Self {
        self.options.manner.bind = Some(address);
        self
    }

    /// Connect through a proxy: `socks5h://[USER:PASSWORD@]HOST[:PORT]` or, with CONNECT,
    /// `http://[USER:PASSWORD@]HOST[:PORT]`. The proxy looks the server's name up.
    #[must_use]
    pub fn proxy(mut self, url: &str) -> Self {
        match Proxy::parse(url) {
            Ok(proxy) => self.options.manner.proxy = Some(proxy),
            Err(error) => self.servers.push(Err(error)),
        }
        self
    }

    /// Asks for the address before every attempt to connect: for WebSocket URLs whose signatures expire. It is given the
    /// server's address and returns the one to use.
    #[must_use]
    pub fn sign_url_with<F, Fut>(mut self, mut signer: F) -> Self
    where
        F: FnMut(String) -> Fut + Send + 'static,
        Fut: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.options.url_signer = Some(Box::new(move |url| Box::pin(signer(url))));
        self
    }

    /// Asks for the credentials before every attempt to connect: for tokens that expire.
    #[must_use]
    pub fn credentials_with<F, Fut>(mut self, mut source: F) -> Self
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<Credentials, String>> + Send + 'static,
    {
        self.options.credentials = Some(Box::new(move || Box::pin(source())));
        self
    }

    /// Enhanced authentication (MQTT 5.0).
    #[must_use]
    pub fn authenticator(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.v5_only.push("enhanced authentication");
        self.options.authenticator = Some(Box::new(authenticator));
        self
    }

    /// The will.
    #[must_use]
    pub fn will(mut self, will: LastWill) -> Self {
        self.will = Some(will);
        self
    }

    /// Unacknowledged messages that the client takes at once: announced in MQTT 5.0.
    #[must_use]
    pub fn receive_maximum(mut self, messages: u16) -> Self {
        self.v5_only.push("the receive maximum");
        self.options.open.receive_maximum = messages.max(1);
        self
    }

    /// Unacknowledged messages that the client sends at once, if the server takes so many. If not said otherwise 1,024,
    /// and 20 before MQTT 5.0, where the server cannot say how many it takes: some drop what is beyond that.
    #[must_use]
    pub fn max_inflight(mut self, messages: u16) -> Self {
        self.max_inflight = Some(messages.max(1));
        self
    }

    /// The largest packet that the client takes, in bytes: announced in MQTT 5.0, and in every version the end of a
    /// connection that brings a larger one.
    #[must_use]
    pub fn max_packet_size(mut self, bytes: u32) -> Self {
        self.options.open.max_packet_size_bytes = bytes.max(1);
        self
    }

    /// The largest topic alias that the server may use; 0 = none (MQTT 5.0).
    #[must_use]
    pub fn topic_alias_maximum(mut self, aliases: u16) -> Self {
        self.v5_only.push("the topic alias maximum");
        self.options.open.topic_alias_maximum = aliases;
        self
    }

    /// A name and a value in CONNECT (MQTT 5.0); may be called several times.
    #[must_use]
    pub fn user_property(mut self, name: &str, value: &str) -> Self {
        self.v5_only.push("a user property");
        self.connect_property(Property::UserProperty(name, value));
        self
    }

    /// Other properties in CONNECT (MQTT 5.0), those that have no method of their own.
    #[must_use]
    pub fn properties(mut self, properties: &Properties<'_>) -> Self {
        self.v5_only.push("a property of CONNECT");
        for property in properties.iter() {
            self.connect_property(property);
        }
        self
    }

    /// Asks the server what response topics are to be built from (MQTT 5.0).
    #[must_use]
    pub fn request_response_information(mut self) -> Self {
        self.v5_only.push("Request Response Information");
        self.connect_property(Property::RequestResponseInformation(1));
        self
    }

    /// When to try again.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.options.backoff = backoff;
        self
    }

    /// What to do with messages of an unknown fate when the server has lost the session.
    #[must_use]
    pub fn on_session_lost(mut self, what: OnSessionLost) -> Self {
        self.options.on_session_lost = what;
        self
    }

    /// The bounds of the outbox in memory.
    #[must_use]
    pub fn outbox_limits(mut self, limits: OutboxLimits) -> Self {
        self.outbox.limits = limits;
        self
    }

    /// Another outbox than the one in memory.
    #[must_use]
    pub fn outbox(mut self, outbox: impl Outbox + 'static) -> Self {
        self.outbox.custom = Some(Box::new(outbox));
        self
    }

    /// What happens when the outbox is full.
    #[must_use]
    pub fn on_full(mut self, what: OnFull) -> Self {
        self.outbox.on_full = what;
        self
    }

    /// What happens to messages of QoS 0 while there is no connection.
    #[must_use]
    pub fn offline_qos0(mut self, what: OfflineQos0) -> Self {
        self.outbox.offline_qos0 = what;
        self
    }

    /// Bytes in full streams at which the client stops reading its socket; 1 MiB if not said otherwise.
    #[must_use]
    pub fn read_ahead(mut self, bytes: usize) -> Self {
        self.options.read_ahead_bytes = bytes;
        self
    }

    /// Callbacks at the level of packets.
    #[must_use]
    pub fn listener(mut self, listener: impl Listener + 'static) -> Self {
        self.options.listener = Some(Box::new(listener));
        self
    }

    /// How `mqtts` and `wss` servers are trusted, and who the client is to them.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.options.manner.tls = tls;
        self
    }

    /// A header of the request that opens a WebSocket; may be called several times.
    #[cfg(feature = "websocket")]
    #[must_use]
    pub fn websocket_header(mut self, name: &str, value: &str) -> Self {
        let header = (name.into(), value.into());
        self.options.manner.headers.push(header);
        self
    }

    /// Registers a stream for messages that the server sends anyway: those of a session that is kept. Nothing is
    /// subscribed.
    pub fn route(&mut self, subscription: impl Into<Subscription>) -> Messages {
        self.register(subscription.into(), StreamKind::Route)
    }

    /// Registers a stream and subscribes as soon as there is a connection.
    pub fn subscribe(&mut self, subscription: impl Into<Subscription>) -> Messages {
        self.register(subscription.into(), StreamKind::Subscription)
    }

    /// What happens to the connection, from the first attempt on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(&self.handle.shared)
    }

    fn register(&mut self, subscription: Subscription, kind: StreamKind) -> Messages {
        let queue = Arc::new(Queue::new(subscription.capacity, subscription.overflow));
        // The router numbers them in the same order.
        let route = self.streams.0.len() as u64;
        self.streams
            .0
            .push((subscription, Arc::clone(&queue), kind));
        Messages {
            queue,
            route,
            granted: Vec::new(),
            client: Arc::clone(&self.handle),
        }
    }

    fn connect_property(&mut self, property: Property<'_>) {
        if let Err(error) = self.options.open.properties.push(property) {
            self.properties.push(error);
        }
    }

    /// Starts the client on the present tokio runtime and returns at once; it connects, and connects again, by itself.
    ///
    /// # Errors
    /// Options that contradict each other or the version.
    pub fn start(self) -> Result<Client, OptionsError> {
        let open = self.checked_open()?;
        let Self {
            servers,
            mut options,
            outbox,
            mut streams,
            handle,
            ..
        } = self;
        let servers = servers.into_iter().collect::<Result<_, _>>();
        options.servers = servers.map_err(OptionsError::Url)?;
        options.manner.version = open.version;
        options.open = open;
        let limits = outbox.limits;
        let store = outbox
            .custom
            .unwrap_or_else(|| Box::new(MemoryOutbox::new(limits)));
        let version = options.open.version;
        let shared = Arc::clone(&handle.shared);
        shared.configure(version, store, outbox.on_full, outbox.offline_qos0);
        let mut router = Router::default();
        for (subscription, queue, kind) in std::mem::take(&mut streams.0) {
            match kind {
                StreamKind::Route => router.add_local(subscription, queue),
                StreamKind::Subscription => router.add_wanted(subscription, queue, None),
            };
        }
        tokio::spawn(Driver::new(options, shared, router).run());
        Ok(Client::new(handle))
    }

    /// Starts the client and waits until it is connected.
    ///
    /// # Errors
    /// Options that contradict each other; a refusal that another attempt would not change; that each server was tried
    /// once in vain. The client is closed then.
    pub async fn connect(self) -> Result<Client, StartError> {
        let servers = self.servers.len();
        let client = self.start().map_err(StartError::Options)?;
        match client.first_connection(servers).await {
            Ok(_) => Ok(client),
            Err(error) => {
                client.abandon();
                Err(StartError::Connect(error))
            }
        }
    }

    fn checked_open(&self) -> Result<Open, OptionsError> {
        let mut open = self.options.open.clone();
        let version = open.version;
        let max_inflight = self.max_inflight;
        open.max_inflight = max_inflight.unwrap_or(Open::default_max_inflight(version));
        if let Some(Ok(url)) = self.servers.first() {
            open.username = open.username.or_else(|| url.username.clone());
            let from_url = url.password.as_deref().map(|text| text.as_bytes().into());
            open.password = open.password.or(from_url);
        }
        if let (false, Some(name)) = (version.is_v5(), self.v5_only.first()) {
            return Err(OptionsError::NeedsV5(name));
        }
        if let Some(error) = self.properties.first() {
            return Err(OptionsError::Property(*error));
        }
        if open.password.is_some() && open.username.is_none() && !version.is_v5() {
            return Err(OptionsError::PasswordWithoutUsername);
        }
        if open.client_id.is_empty() && !open.clean_start {
            return Err(OptionsError::SessionWithoutClientId);
        }
        if let Some(will) = &self.will {
            open.will = Some(will.packet(version)?);
        }
        if !version.is_v5() {
            open.properties = Properties::EMPTY;
            open.topic_alias_maximum = 0;
        }
        for (subscription, _, kind) in &self.streams.0 {
            for (filter, options) in &subscription.filters {
                match kind {
                    StreamKind::Route => {
                        topic::validate_filter(filter).map_err(OptionsError::Filter)?;
                    }
                    StreamKind::Subscription => check_subscription(version, filter, *options)
                        .map_err(OptionsError::Subscription)?,
                }
            }
        }
        self.check_transports()?;
        Ok(open)
    }

    fn check_transports(&self) -> Result<(), OptionsError> {
        for url in self.servers.iter().flatten() {
            let is_websocket = matches!(url.scheme, Scheme::WebSocket | Scheme::WebSocketTls);
            if is_websocket && cfg!(not(feature = "websocket")) {
                return Err(OptionsError::NotInThisBuild(
                    "WebSockets",
                    "the feature `websocket`",
                ));
            }
            if url.scheme.is_encrypted() && cfg!(not(feature = "tls")) {
                return Err(OptionsError::NotInThisBuild("TLS", "the feature `tls`"));
            }
            if url.scheme == Scheme::Unix && cfg!(not(unix)) {
                return Err(OptionsError::NotInThisBuild("unix sockets", "mqtt://"));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("servers", &self.servers)
            .field("open", &self.options.open)
            .finish_non_exhaustive()
    }
}
