//! SUBSCRIBE: each filter is checked, authorised, entered, and served with what is retained; then one SUBACK for all.

use crate::asks::{Matter, sayable};
use crate::config::Authorization;
use crate::conn::Failure;
use crate::core::Core;
use crate::input::Answer;
use crate::keeper::subscribe::Subscribed;
use crate::keys::ConnKey;
use crate::output::Question;
use crate::route::interest::{Change, InterestKind};
use crate::route::subscribers::Subscriber;
use crate::shared::MemberOptions;
use crate::subscriptions::Subscription;
use crate::watch::Watch;
use tidewire_codec::{
    PacketId, PacketType, Properties, Property, Qos, ReasonCode, RetainHandling, Subscribe,
    SubscriptionOptions, Version, topic,
};

/// A SUBSCRIBE that is being worked through.
#[derive(Debug)]
pub(crate) struct PendingSubscribe {
    packet_id: PacketId,
    identifier: u32,
    filters: Vec<(Box<str>, SubscriptionOptions)>,
    /// One for each filter that has been decided \[5.0 MQTT-3.9.3-1\].
    reasons: Vec<ReasonCode>,
    /// Filters whose retained messages follow the SUBACK.
    scans: Vec<Box<str>>,
    /// What handlers want to have answered.
    decided: Decided,
    /// Filters that were not subscribed before.
    fresh: Vec<Box<str>>,
}

/// What handlers say about a SUBSCRIBE as a whole.
#[derive(Debug)]
enum Decided {
    /// They are not asked.
    Not,
    /// They are being asked.
    Asked,
    /// A code for each filter, and properties of SUBACK.
    As(Vec<ReasonCode>, Properties<'static>),
}

impl Core {
    pub(crate) fn on_subscribe(
        &mut self,
        key: ConnKey,
        subscribe: &Subscribe<'_>,
    ) -> Result<(), Failure> {
        let identifier = subscribe
            .properties
            .subscription_identifiers()
            .next()
            .unwrap_or(0);
        for each in &subscribe.filters {
            check_form(&each.filter)?;
        }
        self.check_answer_fits(key, subscribe.filters.len())?;
        let filters = subscribe
            .filters
            .iter()
            .map(|each| (Box::from(&*each.filter), each.options))
            .collect();
        let mut pending = PendingSubscribe {
            packet_id: subscribe.packet_id,
            identifier,
            filters,
            reasons: Vec::new(),
            scans: Vec::new(),
            decided: Decided::Not,
            fresh: Vec::new(),
        };
        if self.watches(key, Watch::SUBSCRIBE) {
            pending.decided = Decided::Asked;
            let question = self.question_about_all(key, subscribe);
            self.ask(key, question, Matter::Subscribe(Box::new(pending)));
        } else {
            self.go_on_subscribing(key, pending);
        }
        Ok(())
    }

    /// A client that cannot take the answer to its own request has broken its own rule: nothing larger than its Maximum
    /// Packet Size may be sent to it \[5.0 MQTT-3.1.2-24\].
    pub(crate) fn check_answer_fits(&self, key: ConnKey, filters: usize) -> Result<(), Failure> {
        // Fixed header of at most 5 bytes, packet identifier, property length, a code for each filter.
        const BESIDE_CODES: usize = 8;
        let limit = self
            .conns
            .get(key)
            .map_or(u32::MAX, |conn| conn.max_packet_size_bytes);
        if filters.saturating_add(BESIDE_CODES) > limit as usize {
            let text = "the answer would be larger than the client's Maximum Packet Size";
            return Err(Failure::new(ReasonCode::PacketTooLarge, text));
        }
        Ok(())
    }

    pub(crate) fn on_subscribe_answer(
        &mut self,
        key: ConnKey,
        mut pending: PendingSubscribe,
        answer: Answer,
    ) {
        if matches!(pending.decided, Decided::Asked) {
            return self.on_decided(key, pending, answer);
        }
        let at = pending.reasons.len();
        let reason = match (answer, pending.filters.get(at).cloned()) {
            (Answer::Allowed | Answer::Authenticated(_), Some((filter, options))) => {
                self.enter(key, &filter, options, &mut pending)
            }
            (Answer::Denied { reason, .. }, _) => self.denied(reason),
            _ => self.denied(ReasonCode::NotAuthorized),
        };
        pending.reasons.push(reason);
        self.go_on_subscribing(key, pending);
    }

    /// Decides filter after filter until one needs an answer from outside, or all are done.
    fn go_on_subscribing(&mut self, key: ConnKey, mut pending: PendingSubscribe) {
        while let Some((filter, options)) = pending.filters.get(pending.reasons.len()).cloned() {
            let reason = match self.check_filter(pending.reasons.len(), &filter) {
                Err(reason) => reason,
                Ok(()) if matches!(pending.decided, Decided::As(..)) => {
                    self.enter_as_decided(key, &filter, options, &mut pending)
                }
                Ok(()) if self.asks_for_subscribe(key) => {
                    let question = self.question_about(key, &filter, options);
                    self.ask(key, question, Matter::Subscribe(Box::new(pending)));
                    return;
                }
                Ok(()) => self.enter(key, &filter, options, &mut pending),
            };
            pending.reasons.push(reason);
        }
        self.finish_subscribing(key, pending);
    }

    /// What handlers say about all filters of a SUBSCRIBE.
    fn on_decided(&mut self, key: ConnKey, mut pending: PendingSubscribe, answer: Answer) {
        let all = |reason: ReasonCode| vec![reason; pending.filters.len()];
        let (reasons, properties) = match answer {
            Answer::Allowed | Answer::Authenticated(_) => {
                let granted = pending.filters.iter().map(|(_, options)| granted(*options));
                (granted.collect(), Properties::EMPTY)
            }
            Answer::Codes {
                reasons,
                properties,
            } => (reasons, properties),
            Answer::Denied { reason, .. } => (all(reason), Properties::EMPTY),
            _ => (all(ReasonCode::NotAuthorized), Properties::EMPTY),
        };
        pending.decided = Decided::As(reasons, properties);
        self.go_on_subscribing(key, pending);
    }

    /// Enters a subscription with the quality of service that handlers grant, no higher than asked for.
    fn enter_as_decided(
        &mut self,
        key: ConnKey,
        filter: &str,
        mut options: SubscriptionOptions,
        pending: &mut PendingSubscribe,
    ) -> ReasonCode {
        let code = match &pending.decided {
            Decided::As(reasons, _) => reasons.get(pending.reasons.len()).copied(),
            Decided::Not | Decided::Asked => None,
        };
        let granted = match code {
            Some(ReasonCode::Success) => Qos::AtMostOnce,
            Some(ReasonCode::GrantedQos1) => Qos::AtLeastOnce,
            Some(ReasonCode::GrantedQos2) => Qos::ExactlyOnce,
            Some(reason) => return self.denied(reason),
            None => return self.denied(ReasonCode::NotAuthorized),
        };
        options.qos = options.qos.min(granted);
        self.enter(key, filter, options, pending)
    }

    /// Whether a connection's listener watches for something.
    pub(crate) fn watches(&self, key: ConnKey, what: Watch) -> bool {
        let conn = self.conns.get(key);
        conn.is_some_and(|conn| self.watch_of(conn.listener).contains(what))
    }

    fn question_about_all(&self, key: ConnKey, subscribe: &Subscribe<'_>) -> Question {
        let origin = self.origin_of(self.session_of(key));
        let reasons = subscribe.filters.iter().enumerate().map(|(place, each)| {
            match self.check_filter(place, &each.filter) {
                Ok(()) => granted(each.options),
                Err(reason) => reason,
            }
        });
        Question::Subscribe {
            conn: key,
            client_id: origin
                .as_ref()
                .map_or_else(Box::default, |origin| origin.client_id.clone()),
            principal: origin.as_ref().and_then(|origin| origin.principal.clone()),
            reasons: reasons.collect(),
            packet: Box::new(subscribe.clone().into_owned()),
        }
    }

    fn denied(&mut self, reason: ReasonCode) -> ReasonCode {
        self.stats.denied_subscribe += 1;
        sayable(reason, PacketType::SubAck)
    }

    fn check_filter(&self, place: usize, filter: &str) -> Result<(), ReasonCode> {
        let limits = &self.config.limits;
        if place >= limits.max_filters_per_subscribe as usize {
            return Err(ReasonCode::QuotaExceeded);
        }
        let shared = topic::split_shared(filter).map_err(|_| ReasonCode::TopicFilterInvalid)?;
        let behind = shared.map_or(filter, |shared| shared.filter);
        if topic::levels(behind).count() > usize::from(limits.max_topic_levels) {
            return Err(ReasonCode::TopicFilterInvalid);
        }
        if shared.is_some() && !limits.shared_subscription_available {
            return Err(ReasonCode::SharedSubscriptionsNotSupported);
        }
        if topic::has_wildcards(behind) && !limits.wildcard_subscription_available {
            return Err(ReasonCode::WildcardSubscriptionsNotSupported);
        }
        Ok(())
    }

    fn asks_for_subscribe(&self, key: ConnKey) -> bool {
        let listener = self
            .conns
            .get(key)
            .map_or(u16::MAX, |conn| conn.peer.listener);
        let policy = self.config.listeners.get(usize::from(listener));
        policy.is_none_or(|policy| policy.authorization == Authorization::Ask)
    }

    fn question_about(&self, key: ConnKey, filter: &str, options: SubscriptionOptions) -> Question {
        let origin = self.origin_of(self.session_of(key));
        let shared = topic::split_shared(filter).ok().flatten();
        Question::AuthorizeSubscribe {
            conn: key,
            client_id: origin
                .as_ref()
                .map_or_else(Box::default, |origin| origin.client_id.clone()),
            principal: origin.and_then(|origin| origin.principal.clone()),
            filter: shared.map_or(filter, |shared| shared.filter).into(),
            share: shared.map(|shared| shared.share.into()),
            options,
        }
    }

    /// Enters one subscription, new or in place of the former \[5.0 MQTT-3.8.4-3\].
    fn enter(
        &mut self,
        key: ConnKey,
        filter: &str,
        options: SubscriptionOptions,
        pending: &mut PendingSubscribe,
    ) -> ReasonCode {
        let slot = self.session_of(key);
        let limit = self.config.limits.max_subscriptions_per_session as usize;
        let shared_limit = self.config.limits.max_shared_subscriptions_per_session;
        let identifier = pending.identifier;
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return ReasonCode::UnspecifiedError;
        };
        let known = session.subscriptions.get(filter).is_some();
        if !known && session.subscriptions.len() >= limit {
            return ReasonCode::QuotaExceeded;
        }
        let shared = topic::split_shared(filter).ok().flatten();
        if !known && shared.is_some() && session.shared_subscriptions >= shared_limit {
            return ReasonCode::QuotaExceeded;
        }
        let since = session
            .subscriptions
            .get(filter)
            // What was stored while it was served at QoS 0 only is not owed.
            .filter(|old| old.options.qos > Qos::AtMostOnce || options.qos == Qos::AtMostOnce)
            .map_or(u64::MAX, |subscription| subscription.since);
        let former = session.subscriptions.get(filter).and_then(|old| {
            let changed = old.options.qos != options.qos && old.options.qos > Qos::AtMostOnce;
            let former = (old.options.qos, old.since, u64::MAX);
            changed.then_some(former).or(old.former)
        });
        let former = former.filter(|_| session.cursors.is_some());
        session.subscriptions.insert(
            filter,
            Subscription {
                options,
                identifier,
                since,
                former,
            },
        );
        if !known {
            pending.fresh.push(filter.into());
        }
        if let Some(shared) = shared {
            session.shared_subscriptions += u32::from(!known);
            let member = MemberOptions {
                qos: options.qos,
                retain_as_published: options.retain_as_published,
                identifier,
            };
            self.join_group(slot, shared.share, shared.filter, member, !known);
        } else {
            self.index_subscription(slot, filter, options, identifier);
            let wanted = match options.retain_handling {
                RetainHandling::SendAlways => true,
                RetainHandling::SendIfNew => !known,
                RetainHandling::DoNotSend => false,
            };
            if wanted && self.config.limits.retain_available {
                pending.scans.push(filter.into());
            }
        }
        self.stats.subscriptions += u64::from(!known);
        self.report_subscribed(key, filter, options.qos);
        granted(options)
    }

    pub(crate) fn index_subscription(
        &mut self,
        slot: u32,
        filter: &str,
        options: SubscriptionOptions,
        identifier: u32,
    ) {
        let subscriber = Subscriber {
            session: slot,
            options,
            identifier,
            kept: self.keeps_for(slot, options.qos),
        };
        let entry = self.index.get_or_insert(filter);
        let was_stored = entry.is_stored();
        let first = entry.set(subscriber);
        let is_stored = entry.is_stored();
        self.epochs.bump(filter);
        let here = self.config.worker;
        if first {
            self.change_interest(filter, here, Change::Gained, InterestKind::Messages);
        }
        self.change_storing(filter, was_stored, is_stored);
    }

    /// SUBACK, when it is stored where that is wanted; then what is retained.
    fn finish_subscribing(&mut self, key: ConnKey, pending: PendingSubscribe) {
        let Some(conn) = self.conns.get(key) else {
            return;
        };
        debug_assert!(conn.is_live(), "nobody else subscribes");
        let properties = match pending.decided {
            Decided::As(_, properties) => properties,
            Decided::Not | Decided::Asked => Properties::EMPTY,
        };
        self.answer_subscribe(Subscribed {
            conn: key,
            packet_id: pending.packet_id,
            filters: pending.filters,
            reasons: pending.reasons,
            properties,
            scans: pending.scans,
            fresh: pending.fresh,
            session: None,
        });
    }
}

/// A filter that is no filter at all is a violation of the protocol, not a subscription that is refused \[5.0 MQTT-4.7.1-1\]
/// \[3.1.1 MQTT-4.8.0-1\].
pub(crate) fn check_form(filter: &str) -> Result<(), Failure> {
    let valid = topic::validate_filter(filter).and_then(|_| topic::split_shared(filter));
    let invalid = |error: tidewire_codec::TopicError| {
        Failure::new(
            ReasonCode::TopicFilterInvalid,
            format!("topic filter is not valid: {error}"),
        )
    };
    valid.map(drop).map_err(invalid)
}

/// The properties that handlers want to have in SUBACK or UNSUBACK and the client takes: no others are possible there.
pub(crate) fn properties_that_fit(
    wished: &Properties<'static>,
    codes: usize,
    limit: u32,
) -> Properties<'static> {
    /// Fixed header, packet identifier and property length at their longest.
    const BESIDE: usize = 5 + 2 + 4;
    let mut properties = Properties::EMPTY;
    for property in wished.iter() {
        if matches!(
            property,
            Property::UserProperty(..) | Property::ReasonString(_)
        ) {
            let _ = properties.push(property);
        }
    }
    if BESIDE + codes + properties.as_bytes().len() > limit as usize {
        return Properties::EMPTY;
    }
    properties.into_owned()
}

pub(crate) fn granted(options: SubscriptionOptions) -> ReasonCode {
    match options.qos {
        Qos::AtMostOnce => ReasonCode::Success,
        Qos::AtLeastOnce => ReasonCode::GrantedQos1,
        Qos::ExactlyOnce => ReasonCode::GrantedQos2,
    }
}

/// The reasons as a version can say them. MQTT 3.1.1 has one code for every failure \[3.1.1 MQTT-3.9.3-2\]. MQTT 3.1 has
/// none: a refused filter is answered as if it had been granted.
pub(crate) fn answers_in(
    version: Version,
    reasons: &[ReasonCode],
    filters: &[(Box<str>, SubscriptionOptions)],
) -> Vec<ReasonCode> {
    let answers = reasons.iter().zip(filters);
    let answer =
        |(reason, (_, options)): (&ReasonCode, &(Box<str>, SubscriptionOptions))| match version {
            Version::V311 if reason.is_error() => ReasonCode::UnspecifiedError,
            Version::V31 if reason.is_error() => granted(*options),
            _ => *reason,
        };
    answers.map(answer).collect()
}
