//! The client for programs without an async runtime: the same names, and every call waits.
//!
//! ```no_run
//! use std::time::Duration;
//! use tidewire_client::{Client, Publish, Qos, blocking};
//!
//! let client = blocking::Client::connect(Client::builder("mqtt://localhost"))?;
//! let mut messages = client.subscribe("tide/#")?;
//! let mut receipt = client.publish(Publish::new("tide/level", "3.2 m").qos(Qos::AtLeastOnce))?;
//! receipt.delivered()?;
//! println!("{:?}", messages.recv());
//! let _ = client.close(Duration::from_secs(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! None of these calls may be made on a thread of an async runtime.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tidewire_codec::{Packet, PacketId};
use tokio::runtime::{Handle, Runtime};

use crate::protocol::{Connected, Published, RequestError};
use crate::{
    Builder, CloseReport, ConnectError, DeliveryError, Event, Publish, Received, Rejected,
    StartError, SubscribeError, Subscription,
};

/// A running client; see [`crate::Client`].
#[derive(Clone, Debug)]
pub struct Client {
    client: crate::Client,
    background: Background,
}

/// The thread that the client's task runs on. It ends with the last handle, stream and receipt.
#[derive(Clone)]
struct Background {
    handle: Handle,
    _runtime: Arc<OwnRuntime>,
}

struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // The task still has its farewell to say.
            runtime.shutdown_timeout(Duration::from_millis(500));
        }
    }
}

impl Background {
    fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("tidewire-client")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            _runtime: Arc::new(OwnRuntime(Some(runtime))),
        })
    }

    fn wait<F: Future>(&self, work: F) -> F::Output {
        self.handle.block_on(work)
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Background")
    }
}

/// Why there is no client.
#[derive(Debug)]
pub enum Error {
    /// The client's thread could not be started.
    Thread(io::Error),
    /// The options cannot be, or there is no connection.
    Start(StartError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(error) => write!(f, "the client's thread cannot be started: {error}"),
            Self::Start(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Error {}

impl Client {
    /// Starts a client and waits until it is connected; see [`Builder::connect`].
    ///
    /// # Errors
    /// No thread, options that cannot be, or no connection.
    pub fn connect(builder: Builder) -> Result<Self, Error> {
        let background = Background::start().map_err(Error::Thread)?;
        let client = background.wait(builder.connect()).map_err(Error::Start)?;
        Ok(Self { client, background })
    }

    /// Starts a client; see [`Builder::start`].
    ///
    /// # Errors
    /// No thread, or options that cannot be.
    pub fn start(builder: Builder) -> Result<Self, Error> {
        let background = Background::start().map_err(Error::Thread)?;
        let started = background.wait(async { builder.start() });
        let client = started.map_err(|error| Error::Start(StartError::Options(error)))?;
        Ok(Self { client, background })
    }

    /// Publishes a message; waits while the outbox is full and its policy is to block.
    ///
    /// # Errors
    /// The message, and why it was not accepted.
    pub fn publish(&self, message: Publish) -> Result<Receipt, Rejected> {
        let receipt = self.background.wait(self.client.publish(message))?;
        Ok(self.receipt(receipt))
    }

    /// Publishes a message without ever waiting.
    ///
    /// # Errors
    /// The message, and why it was not accepted.
    pub fn try_publish(&self, message: Publish) -> Result<Receipt, Rejected> {
        let receipt = self.client.try_publish(message)?;
        Ok(self.receipt(receipt))
    }

    fn receipt(&self, receipt: crate::Receipt) -> Receipt {
        let background = self.background.clone();
        Receipt {
            receipt,
            background,
        }
    }

    /// Subscribes, and returns the stream of what comes once the server has answered.
    ///
    /// # Errors
    /// That the server refused all filters, or why it was not asked.
    pub fn subscribe(
        &self,
        subscription: impl Into<Subscription>,
    ) -> Result<Messages, SubscribeError> {
        let messages = self.background.wait(self.client.subscribe(subscription))?;
        Ok(self.messages(messages))
    }

    /// Makes a stream that was registered before connecting one that waits.
    #[must_use]
    pub fn messages(&self, messages: crate::Messages) -> Messages {
        let background = self.background.clone();
        Messages {
            messages,
            background,
        }
    }

    /// Sends PINGREQ and waits for the answer: how long it took.
    ///
    /// # Errors
    /// There is no connection, or it was lost.
    pub fn ping(&self) -> Result<Duration, RequestError> {
        self.background.wait(self.client.ping())
    }

    /// Sends a packet as it is.
    pub fn send(&self, packet: Packet<'static>) {
        self.client.send(packet);
    }

    /// All packets that come from now on.
    #[must_use]
    pub fn packets(&self) -> Packets {
        Packets {
            packets: self.client.packets(),
            background: self.background.clone(),
        }
    }

    /// What happens to the connection from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events {
            events: self.client.events(),
            background: self.background.clone(),
        }
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    /// A refusal that another attempt would not change, or that the client is closed.
    pub fn connected(&self) -> Result<Arc<Connected>, Arc<ConnectError>> {
        self.background.wait(self.client.connected())
    }

    /// Closes the client: delivers what was accepted until the deadline, and says what is left.
    pub fn close(self, deadline: Duration) -> CloseReport {
        self.background.wait(self.client.close(deadline))
    }
}

/// Proof that the client has accepted a message; see [`crate::Receipt`].
#[derive(Debug)]
pub struct Receipt {
    receipt: crate::Receipt,
    background: Background,
}

impl Receipt {
    /// The packet identifier, once the message is on its way.
    #[must_use]
    pub fn packet_id(&self) -> Option<PacketId> {
        self.receipt.packet_id()
    }

    /// The outcome, if there is one already.
    #[must_use]
    pub fn try_delivered(&self) -> Option<Result<Published, DeliveryError>> {
        self.receipt.try_delivered()
    }

    /// Waits for the outcome.
    ///
    /// # Errors
    /// Why the message was not delivered.
    pub fn delivered(&mut self) -> Result<Published, DeliveryError> {
        self.background.wait(self.receipt.delivered())
    }

    /// As [`delivered`](Self::delivered), for a time at most.
    ///
    /// # Errors
    /// [`DeliveryError::TimedOut`], or why the message was not delivered.
    pub fn delivered_within(&mut self, limit: Duration) -> Result<Published, DeliveryError> {
        let receipt = &mut self.receipt;
        self.background
            .wait(async { receipt.delivered_within(limit).await })
    }
}

/// The messages of a subscription; see [`crate::Messages`].
#[derive(Debug)]
pub struct Messages {
    messages: crate::Messages,
    background: Background,
}

impl Messages {
    /// Waits for the next message; `None` at the end.
    pub fn recv(&mut self) -> Option<Received> {
        self.background.wait(self.messages.recv())
    }

    /// The next message, if there is one now.
    pub fn try_recv(&mut self) -> Option<Received> {
        self.messages.try_recv()
    }

    /// Waits for the next message for a time at most.
    pub fn recv_within(&mut self, limit: Duration) -> Option<Received> {
        let messages = &mut self.messages;
        self.background.wait(async {
            let next = tokio::time::timeout(limit, messages.recv());
            next.await.ok().flatten()
        })
    }

    /// Gives the subscription up, and waits for the server's answer.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn unsubscribe(self) -> Result<(), SubscribeError> {
        self.background.wait(self.messages.unsubscribe())
    }
}

impl Iterator for Messages {
    type Item = Received;

    fn next(&mut self) -> Option<Received> {
        self.recv()
    }
}

/// The events of a client; see [`crate::Events`].
#[derive(Debug)]
pub struct Events {
    events: crate::Events,
    background: Background,
}

impl Events {
    /// Waits for the next event; `None` once the client has ended.
    pub fn recv(&mut self) -> Option<Event> {
        self.background.wait(self.events.recv())
    }
}

/// The packets that come to a client; see [`crate::Packets`].
#[derive(Debug)]
pub struct Packets {
    packets: crate::Packets,
    background: Background,
}

impl Packets {
    /// Waits for the next packet; `None` once the client has ended.
    pub fn recv(&mut self) -> Option<Arc<Packet<'static>>> {
        self.background.wait(self.packets.recv())
    }
}
