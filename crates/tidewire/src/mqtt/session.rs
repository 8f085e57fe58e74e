//! A connected client, and what ends it.

use std::time::Duration;

use tidewire_client::codec::{Carrier, Disconnect, Packet, Properties, ReasonCode};
use tidewire_client::{Builder, Client, Event, Events, StartError, Version};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::options::Options;
use super::{Failure, connect};

/// How long the farewell may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connected client.
pub(crate) struct Session {
    /// Its handle.
    pub(crate) client: Client,
    events: Events,
    version: Version,
    farewell: Properties<'static>,
    interrupt: Signal,
    terminate: Signal,
    quiet: bool,
    debug: bool,
}

/// What ends a tool before it is done by itself.
pub(crate) enum End {
    /// SIGINT or SIGTERM.
    Signal,
    /// A refusal that another attempt would not change.
    Failed(Failure),
}

impl Session {
    /// Connects. `prepare` may register streams that miss nothing.
    pub(crate) async fn open<T>(
        options: &mut Options,
        prepare: impl FnOnce(&mut Builder) -> T,
    ) -> Result<(Self, T), Failure> {
        let mut builder = connect::builder(options)?;
        let farewell = options.properties.take(Carrier::DisconnectFromClient)?;
        let version = options.server.version;
        let events = builder.events();
        let prepared = prepare(&mut builder);
        let unusable = |error| Failure::failed(format!("signals cannot be received: {error}"));
        let interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;
        let terminate = signal(SignalKind::terminate()).map_err(unusable)?;
        // What has an outbox on disk needs no connection to begin with.
        let connected = if options.message.outbox.is_some() {
            builder.start().map_err(StartError::Options)
        } else {
            builder.connect().await
        };
        let client = connected.map_err(|error| Failure::of_start(&error, version))?;
        let session = Self {
            client,
            events,
            version,
            farewell,
            interrupt,
            terminate,
            quiet: options.quiet,
            debug: options.debug,
        };
        Ok((session, prepared))
    }

    /// Waits for what ends the tool; tells meanwhile what happens to the connection. May be dropped and called again.
    pub(crate) async fn ended(&mut self) -> End {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => return End::Signal,
                _ = self.terminate.recv() => return End::Signal,
                event = self.events.recv() => match event {
                    Some(event) => if let Some(end) = self.on_event(&event) {
                        return end;
                    },
                    None => std::future::pending().await,
                },
            }
        }
    }

    fn on_event(&self, event: &Event) -> Option<End> {
        match event {
            Event::Disconnected { cause, retry_in } => {
                let is_final = retry_in.is_none() || cause.is_permanent();
                if is_final {
                    return Some(End::Failed(Failure::of_connection(cause, self.version)));
                }
                if !self.quiet {
                    eprintln!("{cause}; trying again");
                }
            }
            Event::Connected(connected) if self.debug => {
                eprintln!("connected; the server's limits: {:?}", connected.server);
            }
            other if self.debug => eprintln!("{other:?}"),
            _ => {}
        }
        None
    }

    /// Flushes and says goodbye.
    pub(crate) async fn close(self) {
        if !self.farewell.is_empty() {
            self.client.send(Packet::Disconnect(Disconnect {
                reason: ReasonCode::Success,
                properties: self.farewell,
            }));
        }
        let left = self.client.close(FAREWELL).await.undelivered;
        if !left.is_empty() && !self.quiet {
            eprintln!("{} messages are not delivered", left.len());
        }
    }
}
