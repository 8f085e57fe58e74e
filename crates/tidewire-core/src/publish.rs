//! What happens to a message once it is allowed: the stages behind authorisation, the same whoever published it.

use crate::ack::{Permit, Received};
use crate::ack_lane::{Receipt, Wait};
use crate::core::Core;
use crate::event::DropReason;
use crate::keeper::publish::{Published, Way};
use crate::keys::WorkerId;
use crate::mail::{Item, Publisher, Run};
use crate::message::{Message, Origin, Parts, SHARED_PAYLOAD_MIN_BYTES};
use crate::route::interest::Interest;
use crate::route::routes::{Audience, Route, Target};
use crate::watch::Watch;
use std::sync::Arc;
use tidewire_codec::{Qos, ReasonCode};

/// Whether a message found anybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Matched {
    Somebody,
    /// No subscription matches, here or anywhere.
    Nobody,
}

impl Matched {
    /// What the publisher is told.
    pub(crate) fn reason(self) -> ReasonCode {
        match self {
            Self::Somebody => ReasonCode::Success,
            Self::Nobody => ReasonCode::NoMatchingSubscribers,
        }
    }
}

impl Core {
    /// Match, store, deliver, acknowledge.
    ///
    /// A message that is owed to nobody durable needs no write: its permit is given at once. Any other is acknowledged when
    /// the store has answered.
    pub(crate) fn publish_and_acknowledge(
        &mut self,
        interest: &Interest,
        parts: &Parts<'_>,
        message: Option<&Message>,
        received: Received,
    ) {
        if self.must_refuse_retained(parts, message, received) {
            self.stats.dropped_retained_full += 1;
            self.report_dropped(None, parts.topic, DropReason::RetainedFull);
            let reason = ReasonCode::QuotaExceeded;
            return self.acknowledge(received, reason, Permit::not_required());
        }
        if received.qos == Qos::ExactlyOnce {
            self.remember_received(received);
        }
        let reason = match self.publish(interest, parts, message, Some(received)) {
            Published::Now(matched) => matched.reason(),
            Published::Later => return,
        };
        self.acknowledge(received, reason, Permit::not_required());
    }

    /// Whether a message finds the retained store full and its publisher can be told so: MQTT 5 has a reason for it,
    /// and what another worker owns is acknowledged before it gets there.
    fn must_refuse_retained(
        &mut self,
        parts: &Parts<'_>,
        message: Option<&Message>,
        received: Received,
    ) -> bool {
        let told = received.qos != Qos::AtMostOnce
            && self
                .conns
                .get(received.conn)
                .is_some_and(|conn| conn.version.is_v5());
        if !told || !parts.retain || parts.payload.is_empty() {
            return false;
        }
        if !self.retained_is_nearly_full() || self.home_of(parts.topic) != self.config.worker {
            return false;
        }
        let message = self.message_of(parts, message);
        !self.can_retain(&message)
    }

    /// Match, store, deliver.
    #[inline]
    pub(crate) fn publish(
        &mut self,
        interest: &Interest,
        parts: &Parts<'_>,
        message: Option<&Message>,
        received: Option<Received>,
    ) -> Published {
        self.report_published(parts, message);
        let alone = self.config.workers == 1;
        if self.keeper.is_none() && (alone || (!parts.retain && self.fenced.is_empty())) {
            if parts.retain {
                self.retain(parts, message);
            }
            return Published::Now(self.fan_out(interest, parts, message));
        }
        let receipt = received.and_then(|received| self.receipt_for(received));
        self.publish_with(interest, parts, message, receipt, received)
    }

    /// As [`Core::publish`], with the receipt that the publisher's acknowledgement waits for, and not before what the
    /// connection that it came `behind` has published.
    ///
    /// The worker that owns the topic's retained state orders its messages, so that a subscriber's last message and
    /// the retained one are the same. Messages that follow must not overtake: until the owner says that it has
    /// fanned this one out, they go the same way.
    pub(crate) fn publish_with(
        &mut self,
        interest: &Interest,
        parts: &Parts<'_>,
        message: Option<&Message>,
        receipt: Option<Receipt>,
        behind: Option<Received>,
    ) -> Published {
        let owner = self.owner_to_pass(parts);
        let Some((owner, hash)) = owner else {
            let way = Way {
                receipt,
                fence: None,
                behind,
            };
            return self.publish_here(interest, parts, message, way);
        };
        let message = self.message_of(parts, message);
        if self.keeper.is_some()
            && let Some(received) = behind
            && self
                .lane(received.conn)
                .is_some_and(|lane| lane.hands_on(hash))
        {
            // The owner must not have it before others have what came before it.
            self.hold_message(message, received);
            return Published::Later;
        }
        *self.fenced.entry(hash).or_insert(0) += 1;
        // Whether it has to be stored is for the owner to see: the acknowledgement waits for its word.
        let receipt = receipt.map(|receipt| self.reserve_receipt(receipt, Wait::Elsewhere, hash));
        self.outbox.send_via_owner(owner, message, receipt);
        self.note_mark(receipt);
        match receipt {
            Some(_) => Published::Later,
            None => Published::Now(Matched::Somebody),
        }
    }

    /// The other worker that a message has to pass, and its topic's hash.
    fn owner_to_pass(&self, parts: &Parts<'_>) -> Option<(WorkerId, u64)> {
        if self.config.workers == 1 || (!parts.retain && self.fenced.is_empty()) {
            return None;
        }
        let hash = self.home_hash(parts.topic);
        if !parts.retain && !self.fenced.contains_key(&hash) {
            return None;
        }
        let owner = self.home_of(parts.topic);
        (owner != self.config.worker).then_some((owner, hash))
    }

    /// Delivers to everybody who subscribed, here and elsewhere.
    pub(crate) fn fan_out(
        &mut self,
        interest: &Interest,
        parts: &Parts<'_>,
        message: Option<&Message>,
    ) -> Matched {
        let slot = self.route_of(interest, parts.topic);
        let route = self.routes.take(slot);
        let matched = if route.leads_nowhere() {
            Matched::Nobody
        } else {
            Matched::Somebody
        };
        // What the broker says of itself is seldom listened to; counting it would hide the clients' losses.
        if matched == Matched::Nobody && parts.origin.is_some() {
            self.stats.dropped_no_subscriber += 1;
            self.report_dropped(None, parts.topic, DropReason::NoSubscriber);
        }
        let mut message = message.cloned();
        if !route.workers.is_empty() {
            let whole = self.message_of(parts, message.as_ref());
            for worker in route.workers.iter() {
                let item = Item::Message(whole.clone(), parts.stored);
                self.outbox.send(worker, item);
            }
            message = Some(whole);
        }
        self.deliver_here(&route, parts, message);
        self.routes.put(slot, route);
        matched
    }

    /// Delivers to this worker's own subscribers and groups.
    pub(crate) fn deliver_here(
        &mut self,
        route: &Route,
        parts: &Parts<'_>,
        mut message: Option<Message>,
    ) {
        let share = parts.payload.len() >= SHARED_PAYLOAD_MIN_BYTES && route.targets.len() > 1;
        if share && message.is_none() {
            message = Some(self.message_of(parts, None));
        }
        for target in &route.targets {
            self.deliver(target, parts, &mut message);
        }
        for group in &route.groups {
            self.dispatch_to_group(*group, parts, &mut message, 0);
        }
    }

    /// A run of QoS 0 frames: matched once, copied to each receiver as one block where it fits.
    pub(crate) fn publish_run(&mut self, slot: u32, session: u32, run: &Run<'_>) {
        let route = self.routes.take(slot);
        if route.leads_nowhere() {
            self.stats.dropped_no_subscriber += run.count() as u64;
            if self.anybody_watches(Watch::DROPPED) {
                for _ in run.each() {
                    self.report_dropped(None, run.topic, DropReason::NoSubscriber);
                }
            }
        }
        let from = Publisher::Here(session);
        let remote = !route.workers.is_empty();
        if let Some(origin) = remote.then(|| self.origin_for(from)).flatten() {
            let topic_at = run.payload_at - usize::from(run.v5) - run.topic.len();
            for worker in route.workers.iter() {
                self.outbox.send_run(worker, &origin, run, topic_at);
            }
        }
        self.deliver_run_here(&route, from, run);
        self.routes.put(slot, route);
    }

    pub(crate) fn deliver_run_here(&mut self, route: &Route, from: Publisher<'_>, run: &Run<'_>) {
        for target in &route.targets {
            self.deliver_run(target, from, run);
        }
        if route.groups.is_empty() {
            return;
        }
        let Some(origin) = self.origin_for(from) else {
            return;
        };
        for frame in run.each() {
            let parts = self.parts_of_frame(run, frame, &origin);
            for group in &route.groups {
                self.dispatch_to_group(*group, &parts, &mut None, 0);
            }
        }
    }

    /// The origin of a run, for those who need to know.
    pub(crate) fn origin_for(&self, publisher: Publisher<'_>) -> Option<Arc<Origin>> {
        match publisher {
            Publisher::Here(session) => self.origin_of(session),
            Publisher::Elsewhere(origin) => Some(Arc::clone(origin)),
        }
    }

    pub(crate) fn parts_of_frame<'a>(
        &self,
        run: &Run<'a>,
        frame: &'a [u8],
        origin: &'a Arc<Origin>,
    ) -> Parts<'a> {
        Parts {
            topic: run.topic,
            properties: &[],
            payload: run.payload_of(frame),
            qos: Qos::AtMostOnce,
            retain: false,
            expires: crate::Time::NEVER,
            received: self.now,
            origin: Some(origin),
            stored: None,
        }
    }

    /// The message as one value: the one that exists, or a copy made now.
    pub(crate) fn message_of(&mut self, parts: &Parts<'_>, message: Option<&Message>) -> Message {
        message
            .cloned()
            .unwrap_or_else(|| Message::new(parts, &mut self.scratch))
    }

    /// The slot of the topic's current route.
    pub(crate) fn route_of(&mut self, interest: &Interest, topic: &str) -> u32 {
        let slot = self
            .routes
            .find(topic.as_bytes())
            .unwrap_or_else(|| self.routes.claim(topic));
        self.refresh_route(interest, slot);
        slot
    }

    /// Makes the route in a slot anew if an index has changed since.
    #[inline]
    pub(crate) fn refresh_route(&mut self, interest: &Interest, slot: u32) {
        let alone = self.config.workers == 1;
        let others = if alone {
            0
        } else {
            interest.epochs().changes()
        };
        let state = (self.epochs.changes(), others);
        if !self.routes.is_current(slot, state) {
            self.check_route(interest, slot, state);
        }
    }

    fn check_route(&mut self, interest: &Interest, slot: u32, state: (u64, u64)) {
        let mut route = self.routes.take(slot);
        let others = if self.config.workers == 1 {
            0
        } else {
            interest.epoch(&route.topic)
        };
        let epochs = (self.epochs.of(&route.topic), others);
        if route.epochs != epochs {
            self.rebuild_route(interest, &mut route);
            route.epochs = epochs;
            self.routes.recount(slot, &mut route);
        }
        route.seen = state;
        self.routes.put(slot, route);
    }

    fn rebuild_route(&self, interest: &Interest, route: &mut Route) {
        route.targets.clear();
        route.groups.clear();
        route.stored = false;
        let Route {
            topic,
            targets,
            groups,
            stored,
            ..
        } = route;
        self.index.for_each_match(topic, |entry| {
            entry.for_each(|subscriber| {
                targets.push(Target::of(subscriber));
            });
            groups.extend(entry.groups());
            *stored |= entry.is_stored();
        });
        merge_targets(targets);
        if self.config.workers > 1 {
            route.workers = interest.matches(&route.topic);
            route.workers.remove(self.config.worker);
            route.stored |= interest.is_stored(&route.topic);
        }
    }
}

impl Target {
    fn of(subscriber: &crate::route::subscribers::Subscriber) -> Self {
        use crate::outbound::Identifiers;
        Self {
            session: subscriber.session,
            qos: subscriber.options.qos,
            audience: if subscriber.options.no_local {
                Audience::Others
            } else {
                Audience::Everybody
            },
            retain_as_published: subscriber.options.retain_as_published,
            identifiers: Identifiers::of(subscriber.identifier),
        }
    }
}

/// One copy for a session with several matching subscriptions: the highest QoS, all identifiers, the flag as published
/// if any asks for it. Of the session's own messages those with No Local know nothing.
fn merge_targets(targets: &mut Vec<Target>) {
    targets.sort_by_key(|target| target.session);
    let same = |a: &Target, b: &Target| a.session == b.session;
    if !targets
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if same(a, b)))
    {
        return;
    }
    let mut merged = Vec::with_capacity(targets.len());
    for group in targets.chunk_by(same) {
        match group {
            [one] => merged.push(one.clone()),
            several => merge_session(several, &mut merged),
        }
    }
    *targets = merged;
}

/// One session's matching subscriptions: one target, or two if some but not all of them have No Local.
fn merge_session(group: &[Target], merged: &mut Vec<Target>) {
    let hears_itself = |target: &&Target| target.audience == Audience::Everybody;
    let own = group.iter().filter(hears_itself).count();
    let mixed = own > 0 && own < group.len();
    let audience = if own == group.len() {
        Audience::Everybody
    } else {
        Audience::Others
    };
    merged.extend(merge(group.iter(), audience));
    if mixed {
        merged.extend(merge(group.iter().filter(hears_itself), Audience::Itself));
    }
}

/// Several subscriptions of one session as one target; `None` if there are none.
fn merge<'a>(group: impl Iterator<Item = &'a Target>, audience: Audience) -> Option<Target> {
    let mut identifiers = Vec::new();
    let mut merged: Option<Target> = None;
    for target in group {
        identifiers.extend_from_slice(target.identifiers.as_slice());
        let merged = merged.get_or_insert_with(|| target.clone());
        merged.qos = merged.qos.max(target.qos);
        merged.retain_as_published |= target.retain_as_published;
    }
    let mut merged = merged?;
    merged.audience = audience;
    merged.identifiers = identifiers.into_iter().collect();
    Some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::Identifiers;

    fn target(session: u32, no_local: bool, identifier: u32) -> Target {
        Target {
            session,
            qos: Qos::AtMostOnce,
            audience: if no_local {
                Audience::Others
            } else {
                Audience::Everybody
            },
            retain_as_published: false,
            identifiers: Identifiers::One(identifier),
        }
    }

    /// With nine sessions or more, some of them mixed, the wrong target once was kept from a publisher's own messages:
    /// it got two copies. [5.0 MQTT-3.8.3-3]
    #[test]
    fn each_session_has_one_target_for_its_own_messages_and_one_for_others() {
        for pattern in 0..4_096u32 {
            let mut targets = Vec::new();
            for session in 0..12 {
                targets.push(target(session, true, 1));
                if pattern >> session & 1 == 1 {
                    targets.push(target(session, false, 2));
                }
            }
            merge_targets(&mut targets);
            for session in 0..12 {
                let mixed = pattern >> session & 1 == 1;
                let of_session = || {
                    targets
                        .iter()
                        .filter(move |target| target.session == session)
                };
                let others = of_session().filter(|target| target.audience != Audience::Itself);
                assert_eq!(others.count(), 1);
                let own: Vec<_> = of_session()
                    .filter(|target| target.audience != Audience::Others)
                    .map(|target| target.identifiers.as_slice())
                    .collect();
                assert_eq!(own, if mixed { vec![[2].as_slice()] } else { vec![] });
            }
        }
    }

    #[test]
    fn a_message_names_all_matching_identifiers_in_the_order_of_their_subscriptions() {
        let mut targets: Vec<_> = (1..=60_000).map(|id| target(7, false, id)).collect();
        merge_targets(&mut targets);
        let [one] = &*targets else {
            panic!("one target for one session");
        };
        assert!(one.identifiers.as_slice().iter().copied().eq(1..=60_000));
    }
}
