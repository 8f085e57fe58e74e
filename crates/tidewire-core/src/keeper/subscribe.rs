//! SUBACK and UNSUBACK of a kept session, which wait for its record and its interest.

use crate::core::Core;
use crate::keeper::Pending;
use crate::keeper::reading::is_shared;
use crate::keeper::record::encode_session;
use crate::keys::{ConnKey, SessionKey};
use crate::packets::subscribe::{answers_in, properties_that_fit};
use crate::route::interest::Interest;
use crate::store::{Durability, StoreAnswer, StoreOp, Unavailability};
use crate::subscriptions::Subscription;
use tidewire_codec::{
    Packet, PacketId, Properties, Qos, ReasonCode, SubAck, SubscriptionOptions, UnsubAck,
};

/// A SUBSCRIBE that is entered, and answered when it is stored.
#[derive(Debug)]
pub(crate) struct Subscribed {
    pub(crate) conn: ConnKey,
    pub(crate) packet_id: PacketId,
    pub(crate) filters: Vec<(Box<str>, SubscriptionOptions)>,
    pub(crate) reasons: Vec<ReasonCode>,
    /// Properties that handlers want to have in the answer.
    pub(crate) properties: Properties<'static>,
    pub(crate) scans: Vec<Box<str>>,
    /// Those that were not there before.
    pub(crate) fresh: Vec<Box<str>>,
    pub(crate) session: Option<SessionKey>,
}

/// An UNSUBSCRIBE that is carried out, and answered when it is stored.
#[derive(Debug)]
pub(crate) struct Unsubscribed {
    pub(crate) conn: ConnKey,
    pub(crate) packet_id: PacketId,
    pub(crate) reasons: Vec<ReasonCode>,
    /// Properties that handlers want to have in the answer.
    pub(crate) properties: Properties<'static>,
}

impl Core {
    /// SUBACK now, or when the session is stored.
    pub(crate) fn answer_subscribe(&mut self, mut subscribed: Subscribed) {
        let key = self.session_key(self.session_of(subscribed.conn));
        let is_kept = |key: &SessionKey| self.kept_name(*key).is_some();
        let Some(key) = key.filter(is_kept) else {
            return self.send_suback(subscribed);
        };
        subscribed.session = Some(key);
        self.write_subscriptions(key, Pending::Subscribe(Box::new(subscribed)));
    }

    /// UNSUBACK now, or when the session is stored.
    pub(crate) fn answer_unsubscribe(&mut self, unsubscribed: Unsubscribed) {
        let key = self.session_key(self.session_of(unsubscribed.conn));
        let is_kept = |key: &SessionKey| self.kept_name(*key).is_some();
        let Some(key) = key.filter(is_kept) else {
            return self.send_unsuback(unsubscribed);
        };
        self.write_subscriptions(key, Pending::Unsubscribe(Box::new(unsubscribed)));
    }

    fn write_subscriptions(&mut self, key: SessionKey, pending: Pending) {
        let (Some((name, durability)), Some(session)) =
            (self.kept_name(key), self.sessions.get_mut(key))
        else {
            return;
        };
        let mut ops = vec![StoreOp::PutSession(encode_session(
            session,
            session.expiry_secs,
            None,
        ))];
        let owed = session
            .subscriptions
            .iter()
            .filter(|(filter, subscription)| subscription.is_owed() && !is_shared(filter));
        let filters: Vec<Box<str>> = owed.map(|(filter, _)| filter.into()).collect();
        if let Some(cursors) = &mut session.cursors {
            cursors.filters = None;
            if !filters.is_empty() || cursors.owned {
                ops.push(StoreOp::PutOwner(filters));
            }
        }
        self.write_session(name, durability, ops, pending);
    }

    pub(super) fn on_subscription_stored(
        &mut self,
        mut subscribed: Subscribed,
        answer: StoreAnswer,
    ) {
        let session = subscribed
            .session
            .and_then(|key| self.sessions.get_mut(key));
        match answer {
            StoreAnswer::Stored { at } => {
                let Some(session) = session else { return };
                if let Some(cursors) = &mut session.cursors
                    && !cursors.owned
                    && session.subscriptions.iter().any(|(filter, subscription)| {
                        subscription.options.qos > Qos::AtMostOnce && !is_shared(filter)
                    })
                {
                    cursors.owned = true;
                    for cursor in &mut cursors.shards {
                        // What was stored before is not for it.
                        cursor.complete(at.offset);
                    }
                }
                for (filter, _) in &subscribed.filters {
                    let Some(subscription) = session.subscriptions.get_mut(filter) else {
                        continue;
                    };
                    subscription.since = at.offset.min(subscription.since);
                    if let Some((_, _, until)) = &mut subscription.former {
                        *until = at.offset.min(*until);
                    }
                }
            }
            other => {
                self.stats.store_refused += 1;
                let reason = match other {
                    StoreAnswer::Unavailable(Unavailability::Full) => ReasonCode::QuotaExceeded,
                    _ => ReasonCode::UnspecifiedError,
                };
                subscribed.scans.clear();
                let slot = subscribed.session.map_or(u32::MAX, |key| key.slot);
                for filter in std::mem::take(&mut subscribed.fresh) {
                    self.unsubscribe_one(slot, &filter);
                }
                for each in &mut subscribed.reasons {
                    if !each.is_error() {
                        *each = reason;
                    }
                }
            }
        }
        self.send_suback(subscribed);
    }

    pub(super) fn on_unsubscription_stored(
        &mut self,
        interest: &Interest,
        mut unsubscribed: Unsubscribed,
        answer: &StoreAnswer,
    ) {
        if !matches!(answer, StoreAnswer::Stored { .. }) {
            self.stats.store_refused += 1;
            let v5 = self
                .conns
                .get(unsubscribed.conn)
                .is_some_and(|conn| conn.version.is_v5());
            if !v5 {
                // UNSUBACK has no word for it: what is not stored is not answered.
                let text = "the subscriptions could not be stored";
                let failure = crate::conn::Failure::new(ReasonCode::UnspecifiedError, text);
                return self.fail_from(interest, unsubscribed.conn, failure);
            }
            for reason in &mut unsubscribed.reasons {
                *reason = ReasonCode::UnspecifiedError;
            }
        }
        self.send_unsuback(unsubscribed);
    }

    fn send_suback(&mut self, subscribed: Subscribed) {
        let Some(conn) = self
            .conns
            .get(subscribed.conn)
            .filter(|conn| conn.is_live())
        else {
            return;
        };
        let slot = conn.session;
        let reasons = answers_in(conn.version, &subscribed.reasons, &subscribed.filters);
        let suback = SubAck {
            packet_id: subscribed.packet_id,
            properties: properties_that_fit(
                &subscribed.properties,
                reasons.len(),
                conn.max_packet_size_bytes,
            ),
            reasons,
        };
        self.send_packet(subscribed.conn, &Packet::SubAck(suback));
        self.scan_retained(slot, subscribed.scans);
    }

    fn send_unsuback(&mut self, unsubscribed: Unsubscribed) {
        let Unsubscribed {
            conn,
            packet_id,
            reasons,
            properties,
        } = unsubscribed;
        let Some(live) = self.conns.get(conn).filter(|conn| conn.is_live()) else {
            return;
        };
        let limit = live.max_packet_size_bytes;
        let unsuback = UnsubAck {
            packet_id,
            properties: properties_that_fit(&properties, reasons.len(), limit),
            reasons,
        };
        self.send_packet(conn, &Packet::UnsubAck(unsuback));
    }

    /// Enters a subscription of a session that comes from the store.
    pub(super) fn restore_subscription(
        &mut self,
        slot: u32,
        filter: &str,
        subscription: Subscription,
    ) {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return;
        };
        let options = subscription.options;
        let identifier = subscription.identifier;
        if session.subscriptions.insert(filter, subscription).is_some() {
            return;
        }
        self.stats.subscriptions += 1;
        match tidewire_codec::topic::split_shared(filter) {
            Ok(Some(shared)) => {
                if let Some(session) = self.sessions.in_slot_mut(slot) {
                    session.shared_subscriptions += 1;
                }
                let member = crate::shared::MemberOptions {
                    qos: options.qos,
                    retain_as_published: options.retain_as_published,
                    identifier,
                };
                self.join_group(slot, shared.share, shared.filter, member, true);
            }
            _ => self.index_subscription(slot, filter, options, identifier),
        }
    }

    /// Whether what a session's subscription wants is kept on disk for it.
    pub(crate) fn keeps_for(&self, slot: u32, qos: Qos) -> bool {
        qos > Qos::AtMostOnce
            && self
                .sessions
                .session_in(slot)
                .is_some_and(|session| session.kept != Durability::Memory)
    }
}
