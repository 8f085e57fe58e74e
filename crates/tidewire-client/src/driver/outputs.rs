//! What the machine wants done and tells.

use std::sync::Arc;

use super::Driver;
use crate::event::Event;
use crate::listener::tell;
use crate::options::OnSessionLost;
use crate::protocol::{
    Connected, Input, Output, PublishError, Published, RequestError, SessionOrigin,
};
use crate::receipt::DeliveryError;
use crate::{ReasonCode, SubscribeError};

impl Driver {
    /// Does everything that the machine wants.
    pub(super) fn drain_outputs(&mut self) {
        let mut made_room = false;
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connected(connected) => self.on_connected(*connected),
                Output::Challenge { data } => self.on_challenge(data.as_deref()),
                Output::Reauthenticated { data } => drop(self.believes_server(data.as_deref())),
                Output::Sent { token, packet_id } => {
                    if let Some(cell) = self.shared.lock().receipts.get(&token) {
                        cell.sent(packet_id);
                    }
                }
                Output::Published { token, result } => {
                    self.on_published(token, result);
                    made_room = true;
                }
                Output::Unfinished { token } => self.on_unfinished(token),
                Output::Message { message, delivery } => {
                    self.has_delivered = true;
                    self.router.deliver(&self.shared, message, delivery);
                }
                Output::Subscribed { token, result } => self.on_subscribed(token >> 1, result),
                Output::Unsubscribed { token, result } => self.on_unsubscribed(token, result),
                Output::Pong => {
                    if let Some((since, reply)) = self.pings.pop_front() {
                        let _ = reply.send(since.elapsed());
                    }
                }
                Output::Packet(packet) => {
                    if let Some(listener) = &mut self.options.listener {
                        tell(&mut **listener, &packet);
                    }
                    if self.shared.packets.receiver_count() > 0 {
                        let _ = self.shared.packets.send(Arc::from(packet));
                    }
                }
                Output::Ended(cause) => self.ended = Some(cause),
            }
        }
        if made_room {
            self.shared.room.notify_waiters();
        }
    }

    fn on_connected(&mut self, connected: Connected) {
        let data = connected.server.properties.authentication_data();
        if !self.believes_server(data) {
            return;
        }
        let session = connected.session;
        self.connected(connected);
        match session {
            SessionOrigin::New => {
                // What is not subscribed cannot be unsubscribed.
                for pending in self.unsubscribes.drain(..) {
                    if let Some(reply) = pending.reply {
                        let _ = reply.send(Ok(()));
                    }
                }
                if self.router.forget_subscriptions() {
                    self.resubscribing = Some(Vec::new());
                }
            }
            SessionOrigin::Resumed => {
                let pending = std::mem::take(&mut self.unsubscribes);
                for unsubscribe in &pending {
                    self.send_unsubscribe(unsubscribe);
                }
                self.unsubscribes = pending;
            }
        }
    }

    fn on_challenge(&mut self, data: Option<&[u8]>) {
        let now = self.now();
        let Some(authenticator) = &mut self.options.authenticator else {
            return;
        };
        let input = match authenticator.answer(data) {
            Ok(data) => Input::Authenticate {
                data: data.map(Into::into),
            },
            Err(text) => Input::AuthenticationFailed(text.into()),
        };
        self.machine.handle(now, input);
    }

    /// The server accepts: is it who it should be?
    fn believes_server(&mut self, data: Option<&[u8]>) -> bool {
        let now = self.now();
        let Some(authenticator) = &mut self.options.authenticator else {
            return true;
        };
        let Err(text) = authenticator.finish(data) else {
            return true;
        };
        let input = Input::AuthenticationFailed(text.into());
        self.machine.handle(now, input);
        false
    }

    fn on_published(&mut self, token: u64, result: Result<Published, PublishError>) {
        if let Err(PublishError::NotReady) = result {
            return self.shared.lock().outbox.take_back(token);
        }
        if let (Ok(published), Some(listener)) = (result, &mut self.options.listener) {
            listener.delivery_complete(published);
        }
        let result = result.map_err(DeliveryError::Failed);
        self.shared.lock().settle(token, result);
    }

    fn on_unfinished(&mut self, token: u64) {
        let mut inbox = self.shared.lock();
        match self.options.on_session_lost {
            OnSessionLost::PublishAgain => inbox.outbox.take_back(token),
            OnSessionLost::GiveUp => inbox.settle(token, Err(DeliveryError::SessionLost)),
        }
    }

    fn on_subscribed(&mut self, route: u64, result: Result<Vec<ReasonCode>, RequestError>) {
        let answered = self.router.answered(route, result);
        self.unsubscribe(answered.abandoned, None);
        if let Some(all) = &mut self.resubscribing {
            all.extend(answered.refused);
            if self.router.is_settled() {
                let refused = self.resubscribing.take().unwrap_or_default();
                self.shared.event(Event::Resubscribed { refused });
            }
        }
    }

    fn on_unsubscribed(&mut self, token: u64, result: Result<Vec<ReasonCode>, RequestError>) {
        // Without an answer it is asked again on the next connection, if the subscription is still there then.
        if matches!(
            result,
            Err(RequestError::ConnectionLost | RequestError::NotConnected)
        ) {
            return;
        }
        let is_it = |pending: &super::PendingUnsubscribe| pending.token == token;
        let Some(at) = self.unsubscribes.iter().position(is_it) else {
            return;
        };
        let pending = self.unsubscribes.swap_remove(at);
        let outcome = match result {
            Ok(reasons) => match reasons.into_iter().find(|reason| reason.is_error()) {
                Some(reason) => Err(SubscribeError::Refused(reason)),
                None => Ok(()),
            },
            Err(error) => Err(SubscribeError::Request(error)),
        };
        if let Some(reply) = pending.reply {
            let _ = reply.send(outcome);
        }
    }
}
