//! A broker in the making.

use crate::broker::Broker;
use crate::handle::BrokerHandle;
use crate::plan::{Guards, Plan};
use crate::settings::{ListenerSettings, Settings};
use crate::simulated::{Pieces, Simulation};
use crate::start::start;
use crate::start_error::StartError;
use std::fmt;
use std::sync::Arc;
use tidewire_handler::{Controller, Events, Handler, Registration};
use tidewire_net::ListenUrl;
use tokio::runtime::Handle;

/// Settings, listeners and handlers of a broker that is about to start.
///
/// ```
/// use tidewire_broker::Broker;
/// use tidewire_handler::{Authenticate, Authentication, Client, Decide, handler};
///
/// struct Doorman;
///
/// handler! {
///     impl Handler for Doorman {
///         fn authenticate(&self, _: &Client, ask: &Authenticate<'_>) -> Decide<Authentication> {
///             match ask.username.as_deref() {
///                 Some("alice") => Decide::answer(Authentication::accepted("alice")),
///                 _ => Decide::deny("alice alone may come in"),
///             }
///         }
///     }
/// }
///
/// let broker = Broker::builder()
///     .listen("tcp://127.0.0.1:0".parse()?)
///     .handler(0, Doorman)
///     .start()?;
/// assert_eq!(broker.handle().handlers().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct BrokerBuilder {
    settings: Settings,
    handlers: Vec<Prepared>,
    later: Option<Events>,
    controllers: Vec<(Box<str>, Arc<dyn Controller>)>,
    runtime: Option<Handle>,
}

/// A handler that is there, or one that is made when there is a handle for it.
enum Prepared {
    Made(Registration),
    Later(Box<dyn FnOnce(BrokerHandle) -> Registration + Send>),
}

impl BrokerBuilder {
    /// Replaces all settings; what was said before about listeners is lost, handlers stay.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Worker threads; 0 = one for each processor that this process may use.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.settings.workers = workers;
        self
    }

    /// Adds a listener. The first is named `mqtt`, further ones `mqtt-2` and so on; see [`listener`](Self::listener) for others.
    #[must_use]
    pub fn listen(self, url: ListenUrl) -> Self {
        let name = match self.settings.listeners.len() {
            0 => "mqtt".to_owned(),
            before => format!("mqtt-{}", before + 1),
        };
        self.listener(ListenerSettings::new(&name, url))
    }

    /// Adds a listener.
    #[must_use]
    pub fn listener(mut self, listener: ListenerSettings) -> Self {
        self.settings.listeners.push(listener);
        self
    }

    /// Adds a raw listener: no broker behind it, but a controller that is given each packet. Limits, versions, TLS and WebSocket are
    /// as for any listener; who may come in is the controller's to decide, so an address beyond this machine needs
    /// `allow_anonymous`.
    #[must_use]
    pub fn raw_listener(mut self, listener: ListenerSettings, controller: impl Controller) -> Self {
        let name = listener.name.clone();
        self.controllers.push((name, Arc::new(controller)));
        self.listener(listener)
    }

    /// Handlers and controllers that need time wait in this runtime, which has to live as long as the broker; without one the
    /// broker has its own.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Adds a handler for all listeners, named after its type. Larger priorities run first, ties in the order of these calls.
    #[must_use]
    pub fn handler<H: Handler>(self, priority: i32, handler: H) -> Self {
        self.register(Registration::new(name_of::<H>(), handler).priority(priority))
    }

    /// As [`handler`](Self::handler), for one that steers the broker: that publishes in answer to what it is told, for instance.
    /// The handle that it gets reaches the broker from its first event on.
    #[must_use]
    pub fn handler_with<H: Handler>(
        self,
        priority: i32,
        make: impl FnOnce(BrokerHandle) -> H + Send + 'static,
    ) -> Self {
        self.register_with(move |handle| {
            Registration::new(name_of::<H>(), make(handle)).priority(priority)
        })
    }

    /// Adds a handler with everything that can be said about it.
    #[must_use]
    pub fn register(mut self, registration: Registration) -> Self {
        self.handlers.push(Prepared::Made(registration));
        self
    }

    /// As [`register`](Self::register), for one that steers the broker.
    #[must_use]
    pub fn register_with(
        mut self,
        make: impl FnOnce(BrokerHandle) -> Registration + Send + 'static,
    ) -> Self {
        self.handlers.push(Prepared::Later(Box::new(make)));
        self
    }

    /// Handlers may be added while the broker runs, even if none is there at the start. If one of the events is
    /// `authenticate`, nobody comes in through an address beyond this machine before such a handler is there.
    #[must_use]
    pub fn handlers_later(mut self, events: Events) -> Self {
        self.later = Some(self.later.unwrap_or_default().and(events));
        self
    }

    /// The same broker in a world without threads, sockets or clocks, for tests that let hours pass in a moment: its listeners
    /// need no address, handlers run as they would, and the same seed gives the same life. Handles that
    /// [`handler_with`](Self::handler_with) gave out reach nobody, and raw listeners have no controller there.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidewire_broker::{Broker, simulated::Pieces};
    /// use tidewire_handler::{Disconnected, handler};
    ///
    /// struct Notes(std::sync::mpsc::Sender<String>);
    /// handler! {
    ///     impl Handler for Notes {
    ///         fn disconnected(&self, told: &Disconnected) {
    ///             self.0.send(told.text.to_string()).unwrap();
    ///         }
    ///     }
    /// }
    ///
    /// let (notes, told) = std::sync::mpsc::channel();
    /// let mut sim = Broker::builder().handler(0, Notes(notes)).simulate(7, Pieces::Seeded)?;
    /// let client = sim.connect();
    /// // CONNECT of MQTT 3.1.1 with client id "a" and a Keep Alive of an hour.
    /// sim.send(client, b"\x10\x0d\x00\x04MQTT\x04\x02\x0e\x10\x00\x01a");
    /// sim.advance(Duration::from_secs(5401));
    /// assert!(told.try_recv()?.contains("Keep Alive of 3600 s"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`StartError::Handler`], and that the operating system gives no descriptor.
    pub fn simulate(self, seed: u64, pieces: Pieces) -> Result<Simulation, StartError> {
        let handlers = made(self.handlers, &BrokerHandle::early());
        let later = self.later.unwrap_or_default();
        Simulation::with_handlers(&self.settings, seed, pieces, handlers, later)
    }

    /// Opens all listeners and starts the workers. When it returns, clients can connect.
    ///
    /// # Errors
    /// [`StartError`] says which setting or handler is wrong and what to do.
    pub fn start(self) -> Result<Broker, StartError> {
        let handle = BrokerHandle::early();
        let handlers = made(self.handlers, &handle);
        let guards = match (handlers.is_empty(), self.later) {
            (true, None) => Guards::Nobody,
            (_, later) => Guards::Handlers(handlers, later.unwrap_or_default()),
        };
        let plan = Plan {
            early: handle,
            controllers: self.controllers,
            runtime: self.runtime,
            ..Plan::new(guards)
        };
        start(&self.settings, plan)
    }
}

fn made(handlers: Vec<Prepared>, handle: &BrokerHandle) -> Vec<Registration> {
    let made = handlers.into_iter().map(|prepared| match prepared {
        Prepared::Made(registration) => registration,
        Prepared::Later(make) => make(handle.clone()),
    });
    made.collect()
}

/// A type's name without its path.
fn name_of<H>() -> &'static str {
    let name = std::any::type_name::<H>();
    name.rsplit("::").next().unwrap_or(name)
}

impl fmt::Debug for BrokerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerBuilder")
            .field("settings", &self.settings)
            .field("handlers", &self.handlers.len())
            .finish_non_exhaustive()
    }
}
