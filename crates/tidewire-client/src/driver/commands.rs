//! What handles ask for.

use std::time::Instant;

use super::{Driver, PendingUnsubscribe};
use crate::protocol::Input;
use crate::shared::{Command, RouteId};

/// Bytes that wait for the socket beyond which no further message is taken out of the outbox: acknowledgements and
/// pings must not wait long behind messages.
const WRITE_AHEAD_BYTES: usize = 64 * 1024;

/// UNSUBSCRIBEs have odd tokens, SUBSCRIBEs even ones.
pub(super) const fn subscribe_token(route: RouteId) -> u64 {
    route << 1
}

impl Driver {
    /// Takes everything from the inbox that the machine can take now.
    pub(super) fn take_inbox(&mut self) {
        let now = self.now();
        let mut inbox = self.shared.lock();
        let acks = std::mem::take(&mut inbox.acks);
        let commands = std::mem::take(&mut inbox.commands);
        drop(inbox);
        for (delivery, reason) in acks {
            let input = Input::Acknowledge { delivery, reason };
            self.machine.handle(now, input);
        }
        for command in commands {
            self.on_command(command);
        }
        self.send_wanted();
        self.hand_out();
    }

    fn on_command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Subscribe {
                subscription,
                queue,
                reply,
            } => {
                self.router.add_wanted(subscription, queue, Some(reply));
            }
            Command::Unsubscribe { route, reply } => {
                let filters = self.router.remove(route);
                self.unsubscribe(filters, Some(reply));
            }
            Command::UnsubscribeFilters { filters, reply } => {
                self.unsubscribe(filters, Some(reply));
            }
            Command::StreamGone(route) => {
                let filters = self.router.remove(route);
                if !self.outlives_connection() {
                    self.unsubscribe(filters, None);
                }
            }
            Command::Ping(reply) => {
                if self.machine.is_live() {
                    self.pings.push_back((Instant::now(), reply));
                    self.machine.handle(now, Input::Ping);
                }
            }
            Command::Raw(packet) => drop(self.machine.handle(now, Input::Raw(packet))),
            Command::Reauthenticate => self.reauthenticate(),
            Command::Close(request) => self.begin_closing(request),
        }
    }

    fn outlives_connection(&self) -> bool {
        let open = &self.options.open;
        if open.version.is_v5() {
            open.session_expiry_interval_secs > 0
        } else {
            !open.clean_start
        }
    }

    fn reauthenticate(&mut self) {
        let now = self.now();
        let Some(authenticator) = &mut self.options.authenticator else {
            return;
        };
        let input = match authenticator.start() {
            Ok(data) => Input::Reauthenticate {
                data: data.map(Into::into),
            },
            Err(text) => Input::AuthenticationFailed(text.into()),
        };
        self.machine.handle(now, input);
    }

    pub(super) fn unsubscribe(
        &mut self,
        filters: Vec<Box<str>>,
        reply: Option<tokio::sync::oneshot::Sender<Result<(), crate::SubscribeError>>>,
    ) {
        if filters.is_empty() {
            if let Some(reply) = reply {
                let _ = reply.send(Ok(()));
            }
            return;
        }
        let token = self.next_unsubscribe << 1 | 1;
        self.next_unsubscribe += 1;
        let pending = PendingUnsubscribe {
            token,
            filters,
            reply,
        };
        self.send_unsubscribe(&pending);
        self.unsubscribes.push(pending);
    }

    pub(super) fn send_unsubscribe(&mut self, pending: &PendingUnsubscribe) {
        if self.machine.is_live() {
            let now = self.now();
            let (token, filters) = (pending.token, pending.filters.clone());
            self.machine
                .handle(now, Input::Unsubscribe { token, filters });
        }
    }

    /// Sends the SUBSCRIBEs that are due.
    fn send_wanted(&mut self) {
        while self.machine.is_live() {
            let Some((route, filters, properties)) = self.router.next_wanted() else {
                return;
            };
            let now = self.now();
            let input = Input::Subscribe {
                token: subscribe_token(route),
                filters,
                properties,
            };
            self.machine.handle(now, input);
        }
    }

    /// Gives messages to the machine, as many as server and socket can take.
    fn hand_out(&mut self) {
        let now = self.now();
        let mut inbox = self.shared.lock();
        while self.machine.transmit().len() < WRITE_AHEAD_BYTES {
            let can_go = inbox
                .outbox
                .next_qos()
                .is_some_and(|qos| self.machine.can_publish(qos));
            let Some((token, message)) = can_go.then(|| inbox.outbox.hand_out()).flatten() else {
                return;
            };
            self.machine.handle(now, Input::Publish { token, message });
        }
    }

    /// Messages that were accepted and not delivered.
    pub(super) fn is_outbox_empty(&self) -> bool {
        self.shared.lock().outbox.is_empty()
    }
}
