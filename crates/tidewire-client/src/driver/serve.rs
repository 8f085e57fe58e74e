//! One connection, from CONNECT to its end.

use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use tidewire_codec::{Properties, ReasonCode};

use super::link::Link;
use super::{Driver, EXPIRY_CHECK_EVERY};
use crate::event::ConnectError;
use crate::protocol::{Cause, Input, Open, PacketTrace, Reading};
use crate::url::ServerUrl;

/// How long the end of a connection may take: the farewell is a courtesy.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// What a turn of the loop brought.
enum Turn {
    /// Bytes were read or written, or a handle wants something.
    Progress,
    /// The deadline has come.
    Due,
    /// The transport has ended.
    Gone(Option<io::Error>),
}

impl Driver {
    /// Serves the connection until it ends.
    pub(super) async fn serve(
        &mut self,
        mut link: Link,
        open: Open,
        url: &ServerUrl,
    ) -> ConnectError {
        self.ended = None;
        let now = self.now();
        self.machine.handle(now, Input::Open(Box::new(open)));
        let mut reading = Reading::On;
        loop {
            self.prepare();
            if let Some(cause) = self.ended.take() {
                self.say_farewell(&mut link).await;
                return ConnectError::Protocol(cause);
            }
            reading = self.decide_reading(reading);
            match self.turn(&mut link, reading).await {
                Turn::Progress => {}
                Turn::Due => {
                    let now = self.now();
                    self.machine.handle(now, Input::Timeout);
                }
                Turn::Gone(error) => return self.transport_gone(error, url),
            }
        }
    }

    /// Everything that can be done without waiting.
    fn prepare(&mut self) {
        self.drain_outputs();
        self.take_inbox();
        self.drain_outputs();
        self.drop_expired();
        if self.options.listener.is_none() {
            let trace = match self.shared.packets.receiver_count() {
                0 => PacketTrace::Off,
                _ => PacketTrace::On,
            };
            self.machine.set_trace(trace);
        }
        let is_over = |closing: &super::Closing| closing.until <= Instant::now();
        let is_closing = self.closing.as_ref();
        let is_closing =
            is_closing.is_some_and(|closing| is_over(closing) || self.is_outbox_empty());
        if is_closing {
            let now = self.now();
            let reason = ReasonCode::Success;
            let properties = Properties::EMPTY;
            self.machine
                .handle(now, Input::Disconnect { reason, properties });
            self.drain_outputs();
        }
    }

    /// While streams that drop nothing are too full, nothing is read: the server has to wait.
    fn decide_reading(&mut self, before: Reading) -> Reading {
        let is_full = |driver: &Self| {
            driver.router.blocking_bytes() >= driver.options.read_ahead_bytes.max(1)
        };
        if before == Reading::On && !std::mem::take(&mut self.has_delivered) {
            return before;
        }
        let mut after = Reading::On;
        if is_full(self) {
            self.shared.is_paused.store(true, Ordering::SeqCst);
            // A stream that yielded before it could know that this matters would wake nobody.
            if is_full(self) {
                after = Reading::Paused;
            }
        }
        if after == Reading::On {
            self.shared.is_paused.store(false, Ordering::SeqCst);
        }
        if after != before {
            let now = self.now();
            self.machine.handle(now, Input::Reading(after));
        }
        after
    }

    async fn turn(&mut self, link: &mut Link, reading: Reading) -> Turn {
        let shared = Arc::clone(&self.shared);
        let mut woken = pin!(shared.wake.notified());
        let mut due = pin!(tokio::time::sleep_until(self.next_deadline().into()));
        let machine = &mut self.machine;
        poll_fn(|context| {
            let had_bytes = !machine.transmit().is_empty();
            match link.poll_write(machine, context) {
                Poll::Ready(Err(error)) => return Poll::Ready(Turn::Gone(Some(error))),
                Poll::Ready(Ok(())) if had_bytes => return Poll::Ready(Turn::Progress),
                _ => {}
            }
            if reading == Reading::On {
                match link.poll_read(machine, shared.now(), context) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Turn::Gone(None)),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Turn::Progress),
                    Poll::Ready(Err(error)) => return Poll::Ready(Turn::Gone(Some(error))),
                    Poll::Pending => {}
                }
            }
            if woken.as_mut().poll(context).is_ready() {
                return Poll::Ready(Turn::Progress);
            }
            due.as_mut().poll(context).map(|()| Turn::Due)
        })
        .await
    }

    fn next_deadline(&self) -> Instant {
        let machine = self.machine.next_deadline();
        let machine = machine.map(|time| self.shared.instant(time));
        let closing = self.closing.as_ref().map(|closing| closing.until);
        let expiry = (!self.is_outbox_empty()).then(|| Instant::now() + EXPIRY_CHECK_EVERY);
        // Without any deadline an occasional look does no harm.
        let idle = Instant::now() + Duration::from_secs(3_600);
        [machine, closing, expiry]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
    }

    async fn say_farewell(&mut self, link: &mut Link) {
        let machine = &mut self.machine;
        let farewell = async {
            poll_fn(|context| link.poll_write(machine, context)).await?;
            poll_fn(|context| link.poll_shutdown(context)).await
        };
        // Whoever does not take it goes without.
        let _ = tokio::time::timeout(FAREWELL_LIMIT, farewell).await;
        self.close_machine();
    }

    fn transport_gone(&mut self, error: Option<io::Error>, url: &ServerUrl) -> ConnectError {
        self.close_machine();
        let cause = self.ended.take().unwrap_or(Cause::TransportClosed);
        match (cause, error) {
            (Cause::TransportClosed, Some(error)) => super::transport::failed(url, error),
            (cause, _) => ConnectError::Protocol(cause),
        }
    }

    fn close_machine(&mut self) {
        let now = self.now();
        self.machine.handle(now, Input::Closed);
        let before = self.ended.take();
        self.drain_outputs();
        self.ended = before.or(self.ended.take());
    }
}
