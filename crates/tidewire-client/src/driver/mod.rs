//! The task behind the handles: it connects, carries bytes between transport and machine, and connects again.

mod commands;
mod link;
mod outputs;
pub(crate) mod proxy;
mod serve;
pub(crate) mod transport;
#[cfg(feature = "websocket")]
mod websocket;

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::SubscribeError;
use crate::backoff::{Attempts, Outlook};
use crate::event::{ConnectError, DropReason, Event};
use crate::options::Options;
use crate::protocol::{Authentication, Cause, Connected, Machine, Open, PacketTrace, Time};
use crate::receipt::DeliveryError;
use crate::router::Router;
use crate::shared::{CloseRequest, Shared, Status};
use crate::url::ServerUrl;

/// Between looks for messages that have waited too long.
const EXPIRY_CHECK_EVERY: Duration = Duration::from_millis(500);

/// The state of the task.
pub(crate) struct Driver {
    options: Options,
    shared: Arc<Shared>,
    machine: Machine,
    router: Router,
    attempts: Attempts,
    /// Which of the servers is the next to try.
    server: usize,
    /// Attempts that failed since the last connection.
    failures: usize,
    /// When the present connection was accepted.
    connected_at: Option<Instant>,
    /// There has been a connection: its session is the one to go on with.
    has_session: bool,
    /// The server had lost the subscriptions; what it refuses this time is collected.
    resubscribing: Option<Vec<(Box<str>, tidewire_codec::ReasonCode)>>,
    /// UNSUBSCRIBEs without an answer.
    unsubscribes: Vec<PendingUnsubscribe>,
    next_unsubscribe: u64,
    pings: VecDeque<(Instant, oneshot::Sender<Duration>)>,
    /// Deadline and askers of the end.
    closing: Option<Closing>,
    /// Why the machine ended the connection.
    ended: Option<Cause>,
    next_expiry_check: Instant,
    /// Messages have gone into streams since these were last looked at.
    has_delivered: bool,
}

struct PendingUnsubscribe {
    token: u64,
    filters: Vec<Box<str>>,
    reply: Option<oneshot::Sender<Result<(), SubscribeError>>>,
}

struct Closing {
    until: Instant,
    replies: Vec<oneshot::Sender<Vec<crate::Publish>>>,
}

impl Driver {
    pub(crate) fn new(options: Options, shared: Arc<Shared>, router: Router) -> Self {
        let trace = match &options.listener {
            Some(_) => PacketTrace::On,
            None => PacketTrace::Off,
        };
        Self {
            options,
            shared,
            machine: Machine::new(trace),
            router,
            attempts: Attempts::default(),
            server: 0,
            failures: 0,
            connected_at: None,
            has_session: false,
            resubscribing: None,
            unsubscribes: Vec::new(),
            next_unsubscribe: 0,
            pings: VecDeque::new(),
            closing: None,
            ended: None,
            next_expiry_check: Instant::now(),
            has_delivered: false,
        }
    }

    pub(crate) async fn run(mut self) {
        while let Some(error) = self.one_connection().await {
            let lasted = self.connected_at.take();
            let lasted = lasted.map_or(Duration::ZERO, |since| since.elapsed());
            self.pings.clear();
            self.router.connection_lost();
            self.shared.set_connected(false);
            if self.is_finished() {
                break;
            }
            let wait = self.next_wait(&error, lasted);
            self.tell_failure(error, Some(wait));
            if self.beside(tokio::time::sleep(wait)).await.is_none() {
                break;
            }
        }
        self.finish();
    }

    /// Connects and serves the connection to its end; `None` if the client was closed meanwhile.
    async fn one_connection(&mut self) -> Option<ConnectError> {
        let started = Instant::now();
        let url = self.options.servers.get(self.server).cloned()?;
        self.server = (self.server + 1) % self.options.servers.len();
        let url = match self.signed(url).await? {
            Ok(url) => url,
            Err(error) => return Some(error),
        };
        let mut open = match self.next_open().await? {
            Ok(open) => open,
            Err(error) => return Some(error),
        };
        let server = url.to_string();
        let limit = self.options.connect_timeout;
        let opened = transport::open(url.clone(), self.options.manner.clone());
        let opened = match self.beside(tokio::time::timeout(limit, opened)).await? {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Some(error),
            Err(_) => {
                let server = server.into();
                return Some(ConnectError::TimedOut { server });
            }
        };
        open.connack_timeout = limit.saturating_sub(started.elapsed());
        let error = self.serve(link::Link::new(opened), open, &url).await;
        // A client that was told to end ends, whatever the connection's end was.
        Some(error)
    }

    /// The address as the application's signer wants it.
    async fn signed(&mut self, url: ServerUrl) -> Option<Result<ServerUrl, ConnectError>> {
        let Some(signer) = &mut self.options.url_signer else {
            return Some(Ok(url));
        };
        let asked = signer(url.with_path());
        let signed = self.beside(asked).await?;
        let parsed = signed.and_then(|text| text.parse::<ServerUrl>().map_err(|e| e.to_string()));
        Some(parsed.map_err(|text| ConnectError::Credentials(text.into())))
    }

    /// What the next connection is opened with.
    async fn next_open(&mut self) -> Option<Result<Open, ConnectError>> {
        let mut open = self.options.open.clone();
        if self.has_session && open.session_expiry_interval_secs > 0 {
            open.clean_start = false;
        }
        if let Some(source) = &mut self.options.credentials {
            let asked = source();
            match self.beside(asked).await? {
                Ok(credentials) => {
                    open.username = credentials.username;
                    open.password = credentials.password;
                }
                Err(text) => return Some(Err(ConnectError::Credentials(text.into()))),
            }
        }
        if let Some(authenticator) = &mut self.options.authenticator {
            let method = authenticator.method().into();
            match authenticator.start() {
                Ok(data) => {
                    let data = data.map(Into::into);
                    open.authentication = Some(Authentication { method, data });
                }
                Err(text) => return Some(Err(ConnectError::Credentials(text.into()))),
            }
        }
        Some(Ok(open))
    }

    /// Waits for something while there is no connection; `None` if the client is finished before.
    async fn beside<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let mut work = std::pin::pin!(work);
        let shared = Arc::clone(&self.shared);
        loop {
            self.take_inbox();
            self.drop_expired();
            if self.is_finished() {
                return None;
            }
            let look_again = match &self.closing {
                Some(closing) => closing.until,
                None => Instant::now() + EXPIRY_CHECK_EVERY,
            };
            tokio::select! {
                biased;
                output = &mut work => return Some(output),
                () = shared.wake.notified() => {}
                () = tokio::time::sleep_until(look_again.into()) => {}
            }
        }
    }

    /// Whether the client is to end and has nothing left to do, or no time left for it.
    fn is_finished(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| {
            closing.until <= Instant::now() || self.shared.lock().outbox.is_empty()
        })
    }

    fn next_wait(&mut self, error: &ConnectError, lasted: Duration) -> Duration {
        let outlook = if error.is_permanent() {
            Outlook::Permanent
        } else {
            Outlook::MayRecover
        };
        let random = crate::random::next();
        self.attempts
            .wait(&self.options.backoff, lasted, outlook, random)
    }

    fn tell_failure(&mut self, error: ConnectError, retry_in: Option<Duration>) {
        let cause = Arc::new(error);
        self.failures += 1;
        if let Some(listener) = &mut self.options.listener {
            listener.connection_lost(&cause);
        }
        if let ConnectError::Protocol(ended) = &*cause
            && let Some((reference, reason)) = ended.redirect()
        {
            self.shared.event(Event::Redirected {
                server_reference: reference.into(),
                reason,
            });
        }
        self.shared.event(Event::Disconnected {
            cause: Arc::clone(&cause),
            retry_in,
        });
        self.shared.status.send_replace(Status::Failed {
            attempts: self.failures,
            error: cause,
        });
    }

    fn drop_expired(&mut self) {
        let now = Instant::now();
        if now < self.next_expiry_check {
            return;
        }
        self.next_expiry_check = now + EXPIRY_CHECK_EVERY;
        let time = self.shared.now();
        let mut any = false;
        loop {
            let mut inbox = self.shared.lock();
            let Some((key, message)) = inbox.outbox.drop_expired(time) else {
                break;
            };
            inbox.settle(key, Err(DeliveryError::Expired));
            drop(inbox);
            any = true;
            self.shared.dropped(message.topic, DropReason::Expired);
        }
        if any {
            self.shared.room.notify_waiters();
        }
    }

    fn begin_closing(&mut self, request: CloseRequest) {
        self.shared.lock().is_open = false;
        // Whoever waits for room waits in vain.
        self.shared.room.notify_waiters();
        match &mut self.closing {
            Some(closing) => {
                closing.until = closing.until.min(request.until);
                closing.replies.push(request.reply);
            }
            None => {
                self.closing = Some(Closing {
                    until: request.until,
                    replies: vec![request.reply],
                });
            }
        }
    }

    fn finish(mut self) {
        self.router.close();
        let left = self.shared.shut();
        for reply in self
            .closing
            .take()
            .map_or_else(Vec::new, |closing| closing.replies)
        {
            let _ = reply.send(left.clone());
        }
    }

    fn now(&self) -> Time {
        self.shared.now()
    }

    fn connected(&mut self, connected: Connected) {
        let connected = Arc::new(connected);
        self.failures = 0;
        self.connected_at = Some(Instant::now());
        self.has_session = true;
        if let Some(assigned) = &connected.server.assigned_client_id {
            self.options.open.client_id = assigned.clone();
        }
        self.shared.set_connected(true);
        self.shared
            .status
            .send_replace(Status::Connected(Arc::clone(&connected)));
        self.shared.event(Event::Connected(connected));
    }
}
