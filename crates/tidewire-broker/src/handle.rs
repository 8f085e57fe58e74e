//! The broker as the rest of the process sees it.

use crate::broker::BoundAddress;
use crate::crew::Mailboxes;
use crate::driver::Accepted;
use crate::ending::{Ending, ShutdownReport};
use crate::entrance::Entrance;
use crate::extend::{Extension, HandlerRejected};
use crate::mailbox::Mail;
use crate::request::{ListenerFigures, Request, SessionsReply};
use crate::side::Side;
use crate::start::time_after;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use tidewire_core::{ServerPublish, SessionKey, SessionRow, Stats};
use tidewire_handler::{HandlerId, HandlerRow, Registration};
use tidewire_net::{MaterialError, PagesError, PipeEnd, Transport, pipe};

/// Bytes that a pipe to a client in this process holds in each direction.
const PIPE_BYTES: usize = 64 * 1024;
/// Beyond its deadline a shutdown waits so long for threads that are slow to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// Numbers piped connections in logs.
static PIPES: AtomicUsize = AtomicUsize::new(0);

/// Steers a running broker; clones steer the same one. Calls that return an answer wait for workers, so they are not for a
/// worker's own thread (an [`Answerer`](crate::Answerer), a deciding handler that does not return a future).
/// [`publish`](Self::publish) and [`publish_packet`](Self::publish_packet) wait for nobody.
#[derive(Clone)]
pub struct BrokerHandle(Reach);

/// How a handle reaches its broker.
#[derive(Clone)]
enum Reach {
    Strong(Arc<Access>),
    /// A handler's: the broker owns the handler, and must not be owned by it. Empty until the broker has started.
    Weak(Arc<OnceLock<Weak<Access>>>),
}

/// What a handle reaches.
pub(crate) struct Access {
    pub(crate) mailboxes: Mailboxes<Transport>,
    pub(crate) ending: Arc<Ending>,
    /// Present if the broker was started with handlers.
    pub(crate) extension: Option<Arc<Extension>>,
    /// Where the listeners are open.
    pub(crate) addresses: Vec<BoundAddress>,
    /// Handlers have been told of the end.
    pub(crate) farewell: AtomicBool,
    /// Where the workers' clock begins.
    pub(crate) origin: Instant,
    /// Where handlers and controllers wait that need time, if there are any.
    pub(crate) side: Option<Arc<Side>>,
    pub(crate) piped_policy: u16,
    /// The policy of the server's own subscriptions.
    pub(crate) server_policy: u16,
    pub(crate) close_timeout: Duration,
    /// What stands in front of the listeners that have more than a socket.
    pub(crate) entrances: Vec<Arc<Entrance>>,
    /// The listeners whose connections an application's own server brings.
    #[cfg(feature = "attach")]
    pub(crate) attachable: Vec<Arc<crate::attach::Attachable>>,
}

/// The broker has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BrokerGone;

/// Where a page of clients starts; made by the page before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientsCursor {
    worker: usize,
    after: Option<SessionKey>,
}

/// What came of reading a listener's certificates again.
#[derive(Debug)]
pub struct CertificateReload {
    /// The listener's name.
    pub listener: Box<str>,
    /// What is wrong with which file, if anything is.
    pub result: Result<(), MaterialError>,
}

/// What came of reading a listener's pages again.
#[derive(Debug)]
pub struct PagesReload {
    /// The listener's name.
    pub listener: Box<str>,
    /// What is wrong, if anything is.
    pub result: Result<(), PagesError>,
}

/// A page of clients: sessions, connected or not.
#[derive(Clone, Debug)]
pub struct ClientsPage {
    /// The rows, in no particular order.
    pub rows: Vec<SessionRow>,
    /// Where the next page starts; `None` = this was the last.
    pub next: Option<ClientsCursor>,
}

impl BrokerHandle {
    pub(crate) fn new(access: Arc<Access>) -> Self {
        Self(Reach::Strong(access))
    }

    /// A handle for those who are made before their broker.
    pub(crate) fn early() -> Self {
        Self(Reach::Weak(Arc::default()))
    }

    /// The broker of an early handle has started.
    pub(crate) fn bind(&self, access: &Arc<Access>) {
        if let Reach::Weak(early) = &self.0 {
            let _ = early.set(Arc::downgrade(access));
        }
    }

    pub(crate) fn access(&self) -> Result<Arc<Access>, BrokerGone> {
        match &self.0 {
            Reach::Strong(access) => Ok(Arc::clone(access)),
            Reach::Weak(early) => early.get().and_then(Weak::upgrade).ok_or(BrokerGone),
        }
    }

    fn extension(&self) -> Option<Arc<Extension>> {
        self.access().ok()?.extension.clone()
    }

    /// Counters and gauges of all workers, added up.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn stats(&self) -> Result<Stats, BrokerGone> {
        let mut sum = Stats::default();
        for stats in self.access()?.ask_all(|reply| Request::Stats { reply })? {
            sum.add(&stats);
        }
        Ok(sum)
    }

    /// The figures of all listeners, in their order; the last one is that of connections within the process.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn listeners(&self) -> Result<Vec<ListenerFigures>, BrokerGone> {
        let (reply, answer) = channel();
        self.access()?.ask(0, Request::Listeners { reply });
        answer.recv().map_err(|_| BrokerGone)
    }

    /// Reads all certificates, authorities and revocation lists again. Connections that are open stay as they are; new
    /// ones get what was read. A listener whose files are faulty keeps what it has.
    #[must_use]
    pub fn reload_certificates(&self) -> Vec<CertificateReload> {
        self.reload_where(|_| true)
    }

    /// As [`reload_certificates`](Self::reload_certificates), for the listeners of these names alone: a session of TLS is not
    /// resumed after it, so listeners that nothing has changed for are better left alone.
    #[must_use]
    pub fn reload_certificates_of(&self, listeners: &[&str]) -> Vec<CertificateReload> {
        self.reload_where(|name| listeners.contains(&name))
    }

    /// Reads the pages of WebSocket listeners again; a listener whose folder cannot be read keeps what it has.
    #[must_use]
    pub fn reload_pages(&self) -> Vec<PagesReload> {
        let Ok(access) = self.access() else {
            return Vec::new();
        };
        let reload = |entrance: &Arc<Entrance>| {
            Some(PagesReload {
                result: entrance.reload_pages()?,
                listener: entrance.listener().into(),
            })
        };
        access.entrances.iter().filter_map(reload).collect()
    }

    fn reload_where(&self, wanted: impl Fn(&str) -> bool) -> Vec<CertificateReload> {
        let Ok(access) = self.access() else {
            return Vec::new();
        };
        let encrypted = access
            .entrances
            .iter()
            .filter(|entrance| entrance.has_tls() && wanted(entrance.listener()));
        let reload = |entrance: &Arc<Entrance>| CertificateReload {
            listener: entrance.listener().into(),
            result: entrance.reload(),
        };
        encrypted.map(reload).collect()
    }

    /// A page of at most `most` clients, from the cursor of the page before or from the beginning.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn clients(
        &self,
        from: Option<ClientsCursor>,
        most: usize,
    ) -> Result<ClientsPage, BrokerGone> {
        let mut at = from.unwrap_or(ClientsCursor {
            worker: 0,
            after: None,
        });
        let access = self.access()?;
        let mut rows = Vec::new();
        while at.worker < access.mailboxes.len() {
            if rows.len() >= most {
                return Ok(ClientsPage {
                    rows,
                    next: Some(at),
                });
            }
            let (reply, answer) = channel();
            let wanted = most - rows.len();
            access.ask(
                at.worker,
                Request::Sessions {
                    after: at.after,
                    most: wanted,
                    reply,
                },
            );
            let SessionsReply { rows: more, next } = answer.recv().map_err(|_| BrokerGone)?;
            rows.extend(more);
            at = match next {
                Some(_) => ClientsCursor { after: next, ..at },
                None => ClientsCursor {
                    worker: at.worker + 1,
                    after: None,
                },
            };
        }
        Ok(ClientsPage { rows, next: None })
    }

    /// Closes the connections of a client id with DISCONNECT 0x98, whoever it belongs to; returns how many there were.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn kick(&self, client_id: &str) -> Result<usize, BrokerGone> {
        let kicked = self.access()?.ask_all(|reply| Request::Kick {
            client_id: client_id.into(),
            reply,
        })?;
        Ok(kicked.into_iter().sum())
    }

    /// Publishes with the server as origin. Messages of one topic keep their order.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn publish(&self, message: ServerPublish) -> Result<(), BrokerGone> {
        let access = self.access()?;
        let worker = access.worker_for(&message.topic)?;
        access.ask(worker, Request::Publish(message));
        Ok(())
    }

    /// Adds a handler while the broker runs: what is asked from now on is asked of it, too.
    ///
    /// # Errors
    /// [`HandlerRejected`]: among other reasons, a listener's clients are not asked about what it handles.
    pub fn add_handler(&self, registration: Registration) -> Result<HandlerId, HandlerRejected> {
        self.extensible()?.add(registration)
    }

    /// Puts another handler in the place of one. A question that is under way ends with the one that it met.
    ///
    /// # Errors
    /// [`HandlerRejected`]; nothing changes then.
    pub fn replace_handler(
        &self,
        id: HandlerId,
        registration: Registration,
    ) -> Result<(), HandlerRejected> {
        self.extensible()?.replace(id, registration)
    }

    /// Removes a handler. A listener that had an authenticating one at the start lets nobody in without one, unless it has
    /// `allow_anonymous`.
    ///
    /// # Errors
    /// [`HandlerRejected`], if there is no such handler.
    pub fn remove_handler(&self, id: HandlerId) -> Result<(), HandlerRejected> {
        self.extensible()?.remove(id)
    }

    /// The handlers in the order in which they run, with their counters.
    #[must_use]
    pub fn handlers(&self) -> Vec<HandlerRow> {
        self.extension()
            .map_or_else(Vec::new, |extension| extension.rows())
    }

    /// The effective order of the handlers, one line for each.
    #[must_use]
    pub fn handler_order(&self) -> String {
        self.extension()
            .map_or_else(String::new, |extension| extension.snapshot().to_string())
    }

    /// Notices that observing handlers were not told because too many waited already.
    #[must_use]
    pub fn notices_dropped(&self) -> u64 {
        self.extension()
            .map_or(0, |extension| extension.notices_dropped())
    }

    /// Opens a connection within the process: the returned end speaks MQTT as a client does.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn connect_piped(&self) -> Result<PipeEnd, BrokerGone> {
        let access = self.access()?;
        access.connect_piped(access.piped_policy)
    }

    /// Stops the broker: listeners close, every client gets DISCONNECT 0x8B where its version has one and is closed, the
    /// threads end. After `deadline` those who have not taken their last bytes are cut off.
    #[allow(clippy::must_use_candidate, reason = "the report is an extra")]
    pub fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        let Ok(access) = self.access() else {
            return ShutdownReport::default();
        };
        access.begin_shutdown(deadline);
        access
            .ending
            .wait_for(deadline.saturating_add(SHUTDOWN_GRACE))
    }

    fn extensible(&self) -> Result<Arc<Extension>, HandlerRejected> {
        self.extension().ok_or(HandlerRejected::NotExtensible)
    }
}

impl Access {
    pub(crate) fn begin_shutdown(&self, deadline: Duration) {
        if let Some(extension) = &self.extension
            && !self.farewell.swap(true, Ordering::Relaxed)
        {
            extension.notify_stopping(&self.addresses, self.mailboxes.len());
        }
        let deadline = time_after(self.origin, deadline);
        for worker in 0..self.mailboxes.len() {
            self.ask(worker, Request::Shutdown { deadline });
        }
    }

    /// Opens a connection within the process under a policy.
    pub(crate) fn connect_piped(&self, policy: u16) -> Result<PipeEnd, BrokerGone> {
        let (near, far) = pipe(PIPE_BYTES);
        let number = PIPES.fetch_add(1, Ordering::Relaxed);
        let mailbox = &self.mailboxes[number % self.mailboxes.len()];
        if mailbox.is_closed() {
            return Err(BrokerGone);
        }
        mailbox.post(Mail::Newcomer(Box::new(Accepted {
            transport: Transport::Piped(near),
            policy,
            address: format!("piped:{number}").into(),
            handshake: None,
        })));
        Ok(far)
    }

    /// The worker that publishes what the server has to say on a topic: always the same, so that messages keep their order.
    pub(crate) fn worker_for(&self, topic: &str) -> Result<usize, BrokerGone> {
        let mut hasher = DefaultHasher::new();
        topic.hash(&mut hasher);
        let worker = hasher.finish() as usize % self.mailboxes.len();
        if self.mailboxes[worker].is_closed() {
            return Err(BrokerGone);
        }
        Ok(worker)
    }

    pub(crate) fn ask(&self, worker: usize, request: Request) {
        self.mailboxes[worker].post(Mail::Request(Box::new(request)));
    }

    /// Asks all workers at once; their answers in order of arrival.
    pub(crate) fn ask_all<R>(
        &self,
        request: impl Fn(Sender<R>) -> Request,
    ) -> Result<Vec<R>, BrokerGone> {
        let answers: Receiver<R> = {
            let (reply, answers) = channel();
            for worker in 0..self.mailboxes.len() {
                self.ask(worker, request(reply.clone()));
            }
            answers
        };
        let answers: Vec<R> = answers.into_iter().collect();
        if answers.len() == self.mailboxes.len() {
            Ok(answers)
        } else {
            Err(BrokerGone)
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("workers", &self.mailboxes.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for BrokerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerHandle")
            .field("reaches", &self.access().is_ok())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for BrokerGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the broker has stopped")
    }
}

impl std::error::Error for BrokerGone {}
