//! Questions that are out, the gates that they hold, and what their answers set going.

use crate::ack::{Permit, Received};
use crate::conn::Failure;
use crate::consult::closed;
use crate::core::Core;
use crate::input::{Answer, Authenticated};
use crate::keys::{ConnKey, SessionKey, Ticket};
use crate::message::Message;
use crate::outbound::Delivery;
use crate::output::{Output, Question};
use crate::packets::subscribe::PendingSubscribe;
use crate::route::interest::Interest;
use crate::timers::Timer;
use std::collections::BTreeMap;
use tidewire_codec::{PacketType, Qos, ReasonCode, Sender, Unsubscribe, Version};

/// The questions that wait for an answer.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    next: u64,
    pending: BTreeMap<u64, Pending>,
}

impl Asks {
    /// How many questions are out.
    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn is_pending(&self, ticket: Ticket) -> bool {
        self.pending.contains_key(&ticket.0)
    }
}

#[derive(Debug)]
struct Pending {
    conn: ConnKey,
    what: Matter,
}

/// What goes on when the answer comes.
#[derive(Debug)]
pub(crate) enum Matter {
    /// A CONNECT; its admission is kept with the connection.
    Connect,
    /// A re-authentication.
    ReAuthenticate,
    /// PUBLISH frames that wait in the connection's unused bytes.
    Consultation,
    /// A packet on a raw listener; with DISCONNECT the connection ends behind the reply.
    Raw { farewell: Option<ReasonCode> },
    /// A PUBLISH.
    Publish {
        message: Message,
        received: Received,
    },
    /// A will that is due: its sender has gone, so no gate is held.
    Will { message: Message },
    /// A SUBSCRIBE, one filter after the other.
    Subscribe(Box<PendingSubscribe>),
    /// A delivery that has left its session's queue.
    Delivery {
        session: SessionKey,
        delivery: Delivery,
    },
    /// An UNSUBSCRIBE.
    Unsubscribe(Box<Unsubscribe<'static>>),
}

/// Why an exchange that the authenticator wants cannot be.
const NO_EXCHANGE: &str =
    "the authenticator wants an exchange that the client has no method or no room for";

/// The answer is to another question.
const NO_ANSWER: &str = "what was answered is no answer to this";

impl Core {
    /// Sends a question out and closes the connection's gate behind it.
    pub(crate) fn ask(&mut self, conn: ConnKey, question: Question, what: Matter) {
        let ticket = self.next_ticket();
        self.hold(conn, ticket, what);
        self.outputs.push_back(Output::Ask { ticket, question });
    }

    pub(crate) fn next_ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.asks.next);
        self.asks.next += 1;
        ticket
    }

    /// Keeps a connection's gate closed until an answer comes, or its deadline.
    pub(crate) fn hold(&mut self, conn: ConnKey, ticket: Ticket, what: Matter) {
        if let Some(conn) = self.conns.get_mut(conn) {
            conn.gate = Some(ticket);
        }
        self.keep_asked(ticket, conn, what);
    }

    /// Keeps what goes on when the answer comes, or its deadline.
    pub(crate) fn keep_asked(&mut self, ticket: Ticket, conn: ConnKey, what: Matter) {
        self.asks.pending.insert(ticket.0, Pending { conn, what });
        let deadline = self
            .now
            .plus_secs(self.config.limits.answer_timeout_secs.into());
        self.timers.schedule(deadline, Timer::Answer(ticket));
    }

    /// The question that holds a connection is no longer of interest, because the connection ends: what it keeps goes with
    /// it, and its answer will find nobody.
    pub(crate) fn drop_question(&mut self, conn: ConnKey) {
        let gate = self.conns.get_mut(conn).and_then(|conn| conn.gate.take());
        let pending = gate.and_then(|ticket| self.asks.pending.remove(&ticket.0));
        self.stats.questions_dropped += u64::from(pending.is_some());
    }

    pub(crate) fn on_answer(&mut self, interest: &Interest, ticket: Ticket, answer: Answer) {
        let Some(pending) = self.asks.pending.remove(&ticket.0) else {
            return;
        };
        let pending = match pending.what {
            Matter::Will { message } => return self.on_will_answer(interest, &message, answer),
            Matter::Delivery { session, delivery } => {
                return self.on_delivery_answer(interest, session, delivery, answer);
            }
            what => Pending { what, ..pending },
        };
        let gate = self.conns.get_mut(pending.conn);
        let Some(conn) = gate.filter(|conn| conn.gate == Some(ticket)) else {
            return;
        };
        conn.gate = None;
        let key = pending.conn;
        let (what, answer) = match (pending.what, answer) {
            (Matter::Connect, Answer::Closed { reason, text }) => {
                (Matter::Connect, Answer::Denied { reason, text })
            }
            (_, Answer::Closed { reason, text }) => {
                return self.fail_from(interest, key, closed(reason, text));
            }
            other => other,
        };
        match what {
            Matter::Will { .. } | Matter::Delivery { .. } => {}
            Matter::Consultation => self.on_verdict(key, answer),
            Matter::Raw { farewell } => self.on_reply(interest, key, farewell, answer),
            Matter::Connect => self.on_connect_answer(interest, key, answer),
            Matter::ReAuthenticate => self.on_reauthentication_answer(interest, key, answer),
            Matter::Publish { message, received } => {
                self.on_publish_answer(interest, &message, received, &answer);
            }
            Matter::Subscribe(subscribe) => {
                self.on_subscribe_answer(key, *subscribe, answer);
            }
            Matter::Unsubscribe(packet) => self.on_unsubscribe_answer(key, &packet, answer),
        }
        // The packet that was held is dealt with unless it raised another question.
        if self
            .conns
            .get(key)
            .is_some_and(|conn| conn.gate.is_none() && !conn.paused)
        {
            self.outputs.push_back(Output::Resume { conn: key });
        }
    }

    /// Nobody answered in time: that is a "no".
    pub(crate) fn on_answer_timeout(&mut self, interest: &Interest, ticket: Ticket) {
        let Some(pending) = self.asks.pending.get(&ticket.0) else {
            return;
        };
        let conn = pending.conn;
        let version = self.conns.get(conn).map(|conn| conn.version);
        let untold = match pending.what {
            Matter::Raw { .. } => true,
            Matter::Publish { .. } | Matter::Consultation => {
                version.is_some_and(|version| !version.is_v5())
            }
            Matter::Subscribe(_) => version == Some(Version::V31),
            Matter::Connect
            | Matter::ReAuthenticate
            | Matter::Will { .. }
            | Matter::Delivery { .. }
            | Matter::Unsubscribe(_) => false,
        };
        self.stats.answer_timeouts += 1;
        let text = "no decision within answer_timeout_secs";
        if untold {
            // What cannot be told apart from success must not be acknowledged: the client keeps it and comes again
            // [3.1.1 MQTT-4.8.0-2].
            self.asks.pending.remove(&ticket.0);
            let failure = Failure::new(ReasonCode::ServerBusy, text);
            self.fail_from(interest, conn, failure);
        } else {
            let answer = Answer::Denied {
                reason: ReasonCode::NotAuthorized,
                text: Some(text.into()),
            };
            self.on_answer(interest, ticket, answer);
        }
    }

    fn on_connect_answer(&mut self, interest: &Interest, key: ConnKey, answer: Answer) {
        match answer {
            Answer::Authenticated(authenticated) => {
                self.on_authenticated(interest, key, authenticated);
            }
            Answer::Allowed => self.on_authenticated(interest, key, Authenticated::default()),
            Answer::Continue { data } if self.may_send_auth(key, &data) => {
                self.send_auth_continue(key, &data);
            }
            Answer::Continue { .. } => {
                self.refuse_connect(key, ReasonCode::NotAuthorized, NO_EXCHANGE);
            }
            Answer::Denied { reason, text } => {
                self.refuse_connect(
                    key,
                    sayable(reason, PacketType::ConnAck),
                    text.as_deref().unwrap_or("authentication failed"),
                );
            }
            _ => self.refuse_connect(key, ReasonCode::NotAuthorized, NO_ANSWER),
        }
    }

    fn on_reauthentication_answer(&mut self, interest: &Interest, key: ConnKey, answer: Answer) {
        match answer {
            Answer::Authenticated(authenticated) => {
                self.extend_validity(key, authenticated.valid_secs);
                self.send_auth_success(key, authenticated.data.as_deref());
            }
            Answer::Allowed => self.send_auth_success(key, None),
            Answer::Continue { data } if self.may_send_auth(key, &data) => {
                self.send_auth_continue(key, &data);
            }
            Answer::Continue { .. } => {
                let failure = Failure::new(ReasonCode::NotAuthorized, NO_EXCHANGE);
                self.fail_from(interest, key, failure);
            }
            Answer::Denied { reason, text } => {
                let text = text.unwrap_or_else(|| "re-authentication failed".into());
                let reason = sayable(reason, PacketType::Disconnect);
                self.fail_from(interest, key, Failure { reason, text });
            }
            _ => {
                let failure = Failure::new(ReasonCode::NotAuthorized, NO_ANSWER);
                self.fail_from(interest, key, failure);
            }
        }
    }

    fn on_publish_answer(
        &mut self,
        interest: &Interest,
        message: &Message,
        received: Received,
        answer: &Answer,
    ) {
        match answer {
            Answer::Allowed | Answer::Authenticated(_) => {
                self.publish_and_acknowledge(interest, &message.parts(), Some(message), received);
            }
            Answer::Denied { reason, .. } => self.deny_publish(received, *reason),
            _ => self.deny_publish(received, ReasonCode::NotAuthorized),
        }
    }

    /// A denied message is acknowledged with its reason, or, where the version has none, acknowledged and dropped
    /// \[3.1.1 MQTT-3.3.5-2\].
    pub(crate) fn deny_publish(&mut self, received: Received, reason: ReasonCode) {
        self.stats.denied_publish += 1;
        self.reject_publish(received, sayable(reason, PacketType::PubAck));
    }

    pub(crate) fn reject_publish(&mut self, received: Received, reason: ReasonCode) {
        let v5 = self
            .conns
            .get(received.conn)
            .is_some_and(|conn| conn.version.is_v5());
        if !v5 && received.qos == Qos::ExactlyOnce {
            // The client will send PUBREL, and may repeat PUBLISH before: both are answered from the identifier.
            self.remember_received(received);
        }
        self.acknowledge(received, reason, Permit::not_required());
    }
}

/// A refusal's reason as the packet that tells it may carry it: whoever decides may name any.
pub(crate) fn sayable(reason: ReasonCode, packet: PacketType) -> ReasonCode {
    if reason.is_error() && reason.allowed_from(packet, Sender::Server) {
        reason
    } else {
        ReasonCode::NotAuthorized
    }
}
