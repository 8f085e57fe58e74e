//! From a live session to a client that has gone, and to a session that has ended.

use crate::conn::{Failure, Phase};
use crate::core::Core;
use crate::event::{DisconnectCause, Event, SessionEnd};
use crate::input::TransportEnd;
use crate::keys::{ConnKey, SessionKey};
use crate::outbound::Stage;
use crate::output::Output;
use crate::route::interest::Interest;
use crate::shared::Presence;
use crate::time::Time;
use crate::timers::Timer;
use std::sync::Arc;
use std::time::Duration;
use tidewire_codec::{Qos, ReasonCode};

/// A session whose time was over when the process began waits for its will at most so long before it is looked at again.
const WILLS_RETRY: Duration = Duration::from_millis(20);

/// How a live connection ends.
#[derive(Debug)]
pub(crate) enum Departure {
    /// DISCONNECT from the client.
    ByClient { reason: ReasonCode },
    /// The broker ends it.
    ByServer(Failure),
    /// The transport ended by itself.
    Lost(TransportEnd),
    /// Another connection of the same client.
    TakenOver { clean_start: bool },
}

impl Core {
    /// Ends a connection because of something that it did or failed to do.
    pub(crate) fn fail_from(&mut self, interest: &Interest, key: ConnKey, failure: Failure) {
        let Some(conn) = self.conns.get(key) else {
            return;
        };
        match failure.reason {
            ReasonCode::MalformedPacket => self.stats.malformed_packets += 1,
            ReasonCode::ProtocolError => self.stats.protocol_errors += 1,
            _ => {}
        }
        match conn.phase {
            Phase::Closing => {}
            Phase::Live => self.depart(interest, key, Departure::ByServer(failure)),
            Phase::Raw { .. } => self.end_raw(key, Departure::ByServer(failure)),
            // MQTT 3.1.1 has no code for it and MQTT 5 makes it optional: a peer that never spoke MQTT gets no answer.
            Phase::Opened => {
                self.report_refused(key, None, &failure);
                self.close(key);
            }
            Phase::Authenticating(_) | Phase::Admitting(_) => {
                self.refuse_connect(key, failure.reason, &failure.text);
            }
        }
    }

    /// The transport has gone, and the driver has dropped it.
    pub(crate) fn on_closed(&mut self, interest: &Interest, key: ConnKey, end: TransportEnd) {
        let Some(conn) = self.conns.get(key) else {
            return;
        };
        match conn.phase {
            Phase::Live => self.depart(interest, key, Departure::Lost(end)),
            Phase::Raw { .. } => self.end_raw(key, Departure::Lost(end)),
            Phase::Opened | Phase::Authenticating(_) | Phase::Admitting(_) => {
                let text = "connection ended before CONNECT was complete";
                self.report_refused(key, None, &Failure::new(ReasonCode::UnspecifiedError, text));
            }
            Phase::Closing => {}
        }
        self.forget_conn(key);
    }

    /// Drops what the core knows of a connection.
    pub(crate) fn forget_conn(&mut self, key: ConnKey) {
        let Some(mut conn) = self.conns.remove(key) else {
            return;
        };
        self.outbound_bytes = self
            .outbound_bytes
            .saturating_sub(conn.pending_bytes() as u64);
        conn.out.clear(&mut self.pool);
        conn.backlog.clear(&mut self.pool);
        self.stats.connections -= 1;
    }

    /// Parts a live connection from its session: the will, the expiry, the shared groups.
    pub(crate) fn depart(&mut self, interest: &Interest, key: ConnKey, departure: Departure) {
        let Some(conn) = self.conns.get(key).filter(|conn| conn.is_live()) else {
            return;
        };
        let Some(session_key) = self.sessions.key_of(conn.session) else {
            return;
        };
        let peer = Arc::clone(&conn.peer);
        if self.keeper.is_some() {
            self.part_lane(key);
        }
        self.say_goodbye(key, &departure);
        let lost = matches!(departure, Departure::Lost(_));
        if !lost {
            self.drop_undelivered(key);
            self.close(key);
        } else if let Some(conn) = self.conns.get_mut(key) {
            conn.phase = Phase::Closing;
            conn.gate = None;
        }
        let Some(session) = self.sessions.get_mut(session_key) else {
            return;
        };
        let had_will = session.will.is_some();
        session.conn = None;
        session.scans.park();
        self.stats.sessions_connected -= 1;
        let kept = session.expiry_secs > 0
            && !matches!(departure, Departure::TakenOver { clean_start: true });
        let taken_over = matches!(departure, Departure::TakenOver { .. });
        let will_goes = settle_will(session, &departure);
        self.outputs.push_back(Output::Event(Event::Disconnected {
            client_id: session.client_id().into(),
            peer,
            cause: cause_of(departure),
            session_kept: kept,
        }));
        self.announce_presence(session_key, Presence::Offline);
        self.return_waiting_shared(session_key);
        if will_goes {
            self.schedule_will(interest, session_key);
        }
        if had_will {
            self.forget_will(session_key);
        }
        if kept {
            self.schedule_expiry(session_key);
            self.leave_kept(session_key, taken_over);
        } else {
            self.end_session(interest, Some(session_key), SessionEnd::WithConnection);
        }
    }

    /// Ends a session: a will that still waits is published, subscriptions and queues go.
    pub(crate) fn end_session(
        &mut self,
        interest: &Interest,
        session: Option<SessionKey>,
        cause: SessionEnd,
    ) {
        let Some(key) = session.filter(|key| self.sessions.get(*key).is_some()) else {
            return;
        };
        self.publish_will(interest, key);
        self.drop_subscriptions(key);
        let Some(mut session) = self.sessions.remove(key) else {
            return;
        };
        self.delete_kept(&session);
        session.behind.clear(&mut self.stats);
        self.stats.sessions -= 1;
        self.stats.sessions_expired += u64::from(cause == SessionEnd::Expired);
        if let Some(outbound) = session.outbound.take() {
            self.settle_debts(*outbound);
        }
        let client_id = session.client_id().into();
        self.outputs
            .push_back(Output::Event(Event::SessionEnded { client_id, cause }));
    }

    /// What an ended session still owed is dropped, but for messages of shared groups that another member may have:
    /// all but QoS 2 already begun \[5.0 MQTT-4.8.2-5\].
    fn settle_debts(&mut self, outbound: crate::outbound::Outbound) {
        for (stage, delivery) in outbound.into_owed() {
            if stage.is_none() {
                self.stats.queued_messages = self.stats.queued_messages.saturating_sub(1);
            }
            self.uncharge(&delivery.message);
            let begun_qos2 = delivery.qos == Qos::ExactlyOnce && stage.is_some();
            debug_assert!(
                stage != Some(Stage::Completion),
                "a released message is no longer kept"
            );
            if let Some(mark) = delivery.group.filter(|_| !begun_qos2) {
                self.return_to_group(mark, delivery.message, 0);
            }
        }
    }

    fn schedule_expiry(&mut self, key: SessionKey) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        if session.expiry_secs == u32::MAX {
            return;
        }
        session.ends = now.plus_secs(session.expiry_secs.into());
        self.timers.schedule(session.ends, Timer::SessionEnds(key));
        self.sweep_timers();
    }

    pub(crate) fn on_session_ends(&mut self, interest: &Interest, key: SessionKey) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        if session.conn.is_some() || session.ends > self.now {
            return;
        }
        if self.awaits_wills() {
            // Its end publishes its will, which is still to be read.
            let again = self.now.saturating_add(WILLS_RETRY);
            self.timers.schedule(again, Timer::SessionEnds(key));
        } else {
            self.end_session(interest, Some(key), SessionEnd::Expired);
        }
    }

    pub(crate) fn say_goodbye(&mut self, key: ConnKey, departure: &Departure) {
        let (reason, text) = match departure {
            Departure::ByServer(failure) => (failure.reason, &*failure.text),
            Departure::TakenOver { .. } => (
                ReasonCode::SessionTakenOver,
                "another connection took this session over",
            ),
            Departure::ByClient { .. } | Departure::Lost(_) => return,
        };
        if self.conns.get(key).is_some_and(|conn| conn.version.is_v5()) {
            self.send_disconnect(key, reason, text);
        }
    }

    /// Deliveries that are not next for the wire would only hold the end up.
    fn drop_undelivered(&mut self, key: ConnKey) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        self.outbound_bytes = self
            .outbound_bytes
            .saturating_sub(conn.backlog.len() as u64);
        conn.backlog.clear(&mut self.pool);
    }

    pub(crate) fn report_refused(
        &mut self,
        key: ConnKey,
        client_id: Option<&str>,
        failure: &Failure,
    ) {
        let Some(conn) = self.conns.get(key) else {
            return;
        };
        self.stats.connects_refused += 1;
        self.outputs.push_back(Output::Event(Event::Refused {
            client_id: client_id.map(Box::from),
            peer: Arc::clone(&conn.peer),
            reason: failure.reason,
            text: failure.text.clone(),
        }));
    }

    /// Refuses a CONNECT that had come as far as authentication.
    pub(crate) fn refuse_connect(&mut self, key: ConnKey, reason: ReasonCode, text: &str) {
        let client_id = match self.conns.get(key).map(|conn| &conn.phase) {
            Some(Phase::Authenticating(admission) | Phase::Admitting(admission)) => {
                Some(admission.client_id.clone())
            }
            _ => None,
        };
        self.report_refused(key, client_id.as_deref(), &Failure::new(reason, text));
        self.refuse(key, reason, text);
    }
}

/// Decides what becomes of the will; tells whether it goes out, now or later.
fn settle_will(session: &mut crate::session::Session, departure: &Departure) -> bool {
    // [5.0 MQTT-3.14.4-3] [3.1.1 MQTT-3.14.4-3]: only an orderly end discards it.
    if matches!(
        departure,
        Departure::ByClient {
            reason: ReasonCode::Success
        }
    ) {
        session.will = None;
        session.will_due = Time::NEVER;
    }
    let Some(will) = &session.will else {
        return false;
    };
    // A client that takes its own session over is back before any delay.
    if matches!(departure, Departure::TakenOver { clean_start: false })
        && will.delay_secs > 0
        && session.expiry_secs > 0
    {
        session.will = None;
        return false;
    }
    true
}

pub(crate) fn cause_of(departure: Departure) -> DisconnectCause {
    match departure {
        Departure::ByClient { reason } => DisconnectCause::ByClient { reason },
        Departure::ByServer(Failure { reason, text }) => DisconnectCause::ByServer { reason, text },
        Departure::Lost(end) => DisconnectCause::Transport(end),
        Departure::TakenOver { .. } => DisconnectCause::ByServer {
            reason: ReasonCode::SessionTakenOver,
            text: "session taken over by another connection".into(),
        },
    }
}
