//! The broker as the rest of the process sees it.

use crate::broker::BoundAddress;
use crate::crew::Mailboxes;
use crate::driver::Accepted;
use crate::ending::{Ending, ShutdownReport};
use crate::entrance::Entrance;
use crate::extend::{Extension, HandlerRejected};
use crate::mailbox::Mail;
use crate::request::{ListenerFigures, Request, SessionsReply};
use crate::start::time_after;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tidewire_core::{ServerPublish, SessionKey, SessionRow, Stats};
use tidewire_handler::{HandlerId, HandlerRow, Registration};
use tidewire_net::{MaterialError, PipeEnd, Transport, pipe};

/// Bytes that a pipe to a client in this process holds in each direction.
const PIPE_BYTES: usize = 64 * 1024;
/// Beyond its deadline a shutdown waits so long for threads that are slow to end.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// Numbers piped connections in logs.
static PIPES: AtomicUsize = AtomicUsize::new(0);

/// Steers a running broker; clones steer the same one. Its calls wait for workers, so they are not for a worker's own
/// thread (an [`Answerer`](crate::Answerer)).
#[derive(Clone)]
pub struct BrokerHandle(Arc<Access>);

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
    pub(crate) piped_policy: u16,
    pub(crate) close_timeout: Duration,
    /// What stands in front of the listeners that have more than a socket.
    pub(crate) entrances: Vec<Arc<Entrance>>,
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
        Self(access)
    }

    pub(crate) fn access(&self) -> &Access {
        &self.0
    }

    /// Counters and gauges of all workers, added up.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn stats(&self) -> Result<Stats, BrokerGone> {
        let mut sum = Stats::default();
        for stats in self.0.ask_all(|reply| Request::Stats { reply })? {
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
        self.0.ask(0, Request::Listeners { reply });
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

    fn reload_where(&self, wanted: impl Fn(&str) -> bool) -> Vec<CertificateReload> {
        let encrypted = self
            .0
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
        let mut rows = Vec::new();
        while at.worker < self.0.mailboxes.len() {
            if rows.len() >= most {
                return Ok(ClientsPage {
                    rows,
                    next: Some(at),
                });
            }
            let (reply, answer) = channel();
            let wanted = most - rows.len();
            self.0.ask(
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
        let kicked = self.0.ask_all(|reply| Request::Kick {
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
        let mut hasher = DefaultHasher::new();
        message.topic.hash(&mut hasher);
        let worker = hasher.finish() as usize % self.0.mailboxes.len();
        if self.0.mailboxes[worker].is_closed() {
            return Err(BrokerGone);
        }
        self.0.ask(worker, Request::Publish(message));
        Ok(())
    }

    /// Adds a handler while the broker runs: what is asked from now on is asked of it, too.
    ///
    /// # Errors
    /// [`HandlerRejected`]: among other reasons, a listener's clients are not asked about what it handles.
    pub fn add_handler(&self, registration: Registration) -> Result<HandlerId, HandlerRejected> {
        self.0.extension()?.add(registration)
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
        self.0.extension()?.replace(id, registration)
    }

    /// Removes a handler. A listener that had an authenticating one at the start lets nobody in without one, unless it has
    /// `allow_anonymous`.
    ///
    /// # Errors
    /// [`HandlerRejected`], if there is no such handler.
    pub fn remove_handler(&self, id: HandlerId) -> Result<(), HandlerRejected> {
        self.0.extension()?.remove(id)
    }

    /// The handlers in the order in which they run, with their counters.
    #[must_use]
    pub fn handlers(&self) -> Vec<HandlerRow> {
        let extension = self.0.extension.as_ref();
        extension.map_or_else(Vec::new, |extension| extension.rows())
    }

    /// The effective order of the handlers, one line for each.
    #[must_use]
    pub fn handler_order(&self) -> String {
        let extension = self.0.extension.as_ref();
        extension.map_or_else(String::new, |extension| extension.snapshot().to_string())
    }

    /// Notices that observing handlers were not told because too many waited already.
    #[must_use]
    pub fn notices_dropped(&self) -> u64 {
        let extension = self.0.extension.as_ref();
        extension.map_or(0, |extension| extension.notices_dropped())
    }

    /// Opens a connection within the process: the returned end speaks MQTT as a client does.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn connect_piped(&self) -> Result<PipeEnd, BrokerGone> {
        let (near, far) = pipe(PIPE_BYTES);
        let number = PIPES.fetch_add(1, Ordering::Relaxed);
        let mailbox = &self.0.mailboxes[number % self.0.mailboxes.len()];
        if mailbox.is_closed() {
            return Err(BrokerGone);
        }
        mailbox.post(Mail::Newcomer(Box::new(Accepted {
            transport: Transport::Piped(near),
            policy: self.0.piped_policy,
            address: format!("piped:{number}").into(),
            handshake: None,
        })));
        Ok(far)
    }

    /// Stops the broker: listeners close, every client gets DISCONNECT 0x8B where its version has one and is closed, the
    /// threads end. After `deadline` those who have not taken their last bytes are cut off.
    #[allow(clippy::must_use_candidate, reason = "the report is an extra")]
    pub fn shutdown(&self, deadline: Duration) -> ShutdownReport {
        self.0.begin_shutdown(deadline);
        self.0
            .ending
            .wait_for(deadline.saturating_add(SHUTDOWN_GRACE))
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

    fn extension(&self) -> Result<&Arc<Extension>, HandlerRejected> {
        self.extension
            .as_ref()
            .ok_or(HandlerRejected::NotExtensible)
    }

    fn ask(&self, worker: usize, request: Request) {
        self.mailboxes[worker].post(Mail::Request(Box::new(request)));
    }

    /// Asks all workers at once; their answers in order of arrival.
    fn ask_all<R>(&self, request: impl Fn(Sender<R>) -> Request) -> Result<Vec<R>, BrokerGone> {
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

impl fmt::Debug for BrokerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerHandle")
            .field("workers", &self.0.mailboxes.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for BrokerGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the broker has stopped")
    }
}

impl std::error::Error for BrokerGone {}
