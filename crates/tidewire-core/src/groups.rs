//! Shared subscriptions in action: entering, leaving, picking a member, and finding another when that one cannot
//! \[5.0 4.8.2\].

use crate::config::SharedStrategy;
use crate::core::Core;
use crate::deliver::Readiness;
use crate::event::DropReason;
use crate::keys::{SessionAddress, SessionKey};
use crate::mail::Item;
use crate::message::{Message, Parts};
use crate::outbound::{Delivery, Identifiers};
use crate::output::Output;
use crate::route::interest::{Change, InterestChange, InterestKind};
use crate::shared::{Counting, GroupKey, GroupMark, Member, MemberOptions, Presence, Waiting};
use tidewire_codec::Qos;

/// The number of attempts that tells a member to queue a message for which nobody has room.
const LAST_CHANCE: u16 = u16::MAX;

impl Core {
    /// The worker that owns a group.
    fn group_home(&self, share: &str, filter: &str) -> crate::WorkerId {
        if self.config.workers == 1 {
            self.config.worker
        } else {
            self.home_of(&format!("{share}/{filter}"))
        }
    }

    /// A session of this worker enters a group, or changes its options there.
    pub(crate) fn join_group(
        &mut self,
        slot: u32,
        share: &str,
        filter: &str,
        options: MemberOptions,
        entering: bool,
    ) {
        let Some(member) = self.address_of(slot) else {
            return;
        };
        let owner = self.group_home(share, filter);
        if entering {
            self.groups.homes.entered(slot, owner);
            self.change_interest(filter, owner, Change::Gained, InterestKind::Messages);
        }
        if owner == self.config.worker {
            self.on_join(share, filter, member, options);
        } else {
            let (share, filter) = (share.into(), filter.into());
            self.outbox.send(
                owner,
                Item::Join {
                    share,
                    filter,
                    member,
                    options,
                },
            );
        }
    }

    /// A session of this worker leaves a group.
    pub(crate) fn leave_group(&mut self, slot: u32, share: &str, filter: &str) {
        let Some(member) = self.address_of(slot) else {
            return;
        };
        let owner = self.group_home(share, filter);
        self.groups.homes.left(slot, owner);
        self.change_interest(filter, owner, Change::Lost, InterestKind::Messages);
        if owner == self.config.worker {
            self.on_leave(share, filter, member);
        } else {
            self.outbox.send(
                owner,
                Item::Leave {
                    share: share.into(),
                    filter: filter.into(),
                    member,
                },
            );
        }
    }

    /// A client has come or gone: the owners of its session's groups must know, each once.
    pub(crate) fn announce_presence(&mut self, key: SessionKey, presence: Presence) {
        let Some(member) = self.address_of(key.slot) else {
            return;
        };
        for owner in self.groups.homes.of(key.slot) {
            if owner == self.config.worker {
                self.on_presence(member, presence);
            } else {
                self.outbox.send(owner, Item::Presence { member, presence });
            }
        }
    }

    pub(crate) fn on_join(
        &mut self,
        share: &str,
        filter: &str,
        member: SessionAddress,
        options: MemberOptions,
    ) {
        let (key, new) = self.groups.get_or_make(share, filter);
        if new {
            let place = self.index.get_or_insert(filter).add_group(key.slot);
            self.groups.set_place_in_entry(key.slot, place);
            self.epochs.bump(filter);
        }
        if self.groups.join(key, member, options) {
            self.stats.shared_members += 1;
        }
        self.serve_waiting(key);
    }

    pub(crate) fn on_leave(&mut self, share: &str, filter: &str, member: SessionAddress) {
        let Some(key) = self.groups.find(share, filter) else {
            return;
        };
        if self.groups.leave(key, member) {
            self.stats.shared_members -= 1;
        }
        let Some(mut group) = self.groups.remove_if_empty(key) else {
            return;
        };
        let (waiting, bytes) = group.take_waiting();
        self.uncount_waiting(waiting.len(), bytes);
        if let Some(entry) = self.index.get_mut(group.filter()) {
            if let Some(moved) = entry.remove_group(group.place_in_entry) {
                self.groups.set_place_in_entry(moved, group.place_in_entry);
            }
            if entry.is_empty() {
                self.index.remove(group.filter());
            }
        }
        self.epochs.bump(group.filter());
    }

    pub(crate) fn on_presence(&mut self, member: SessionAddress, presence: Presence) {
        for group in self.groups.set_presence(member, presence) {
            self.serve_waiting(group);
        }
    }

    /// Gives a message to one member of a group that this worker owns. `attempt` members have refused it already.
    pub(crate) fn dispatch_to_group(
        &mut self,
        slot: u32,
        parts: &Parts<'_>,
        message: &mut Option<Message>,
        attempt: u16,
    ) {
        let Some(key) = self.groups.key_of(slot) else {
            return;
        };
        let strategy = self.config.shared_strategy;
        let mut candidates = std::mem::take(&mut self.candidates);
        self.groups
            .candidates(key, strategy, parts, &mut candidates);
        let asked = usize::from(attempt);
        // The turn has gone on to the next member already; other strategies name the same first one again.
        let skip = if strategy == SharedStrategy::RoundRobin {
            0
        } else {
            asked
        };
        let mut others = candidates
            .iter()
            .skip(skip)
            .take(candidates.len().saturating_sub(asked));
        let worker = self.config.worker;
        let here = |member: &&Member| member.address.worker == worker;
        let mut again = candidates.iter().filter(here).take(asked);
        let taken = others.any(|member| self.offer(member, key, parts, message, attempt))
            // While others were asked by mail, a member of this worker may have found room.
            || again.any(|member| self.offer(member, key, parts, message, attempt))
            // Nobody has room at once: the first in turn queues it.
            || candidates.first().is_some_and(|member| self.force(member, key, parts, message));
        self.candidates = candidates;
        if !taken {
            self.keep_for_group(slot, parts, message);
        }
    }

    /// Offers a message to a member: a local one that is ready takes it, a remote one is asked and may return it.
    fn offer(
        &mut self,
        member: &Member,
        group: GroupKey,
        parts: &Parts<'_>,
        message: &mut Option<Message>,
        attempt: u16,
    ) -> bool {
        let qos = parts.qos.min(member.options.qos);
        if member.address.worker != self.config.worker {
            let delivery = self.group_delivery(member, group, parts, message);
            let session = member.address.key;
            let item = Item::GroupDelivery {
                session,
                delivery,
                attempt: attempt + 1,
            };
            self.outbox.send(member.address.worker, item);
            return true;
        }
        match self.readiness(member.address.key.slot, qos) {
            Readiness::Now(key) if qos == Qos::AtMostOnce => {
                let identifiers = Identifiers::of(member.options.identifier);
                let retain = parts.retain && member.options.retain_as_published;
                let copy = crate::send::Copy {
                    qos,
                    dup: false,
                    retain,
                    packet_id: None,
                    identifiers: &identifiers,
                };
                self.send_qos0(key, parts, message.as_ref(), copy);
                true
            }
            Readiness::Now(key) => {
                let delivery = self.group_delivery(member, group, parts, message);
                self.send_first(member.address.key.slot, key, delivery);
                true
            }
            Readiness::Later | Readiness::Away => false,
        }
    }

    /// Gives a message to a member that had no room when it was asked: it sends it if it has some by now, and queues it
    /// if not.
    fn force(
        &mut self,
        member: &Member,
        group: GroupKey,
        parts: &Parts<'_>,
        message: &mut Option<Message>,
    ) -> bool {
        let delivery = self.group_delivery(member, group, parts, message);
        let SessionAddress { worker, key } = member.address;
        if worker == self.config.worker {
            let readiness = self.readiness(key.slot, delivery.qos);
            self.hand_over(key.slot, readiness, delivery);
        } else {
            let item = Item::GroupDelivery {
                session: key,
                delivery,
                attempt: LAST_CHANCE,
            };
            self.outbox.send(worker, item);
        }
        true
    }

    /// A delivery to a member, which the group counts from here on if anybody wants to know.
    fn group_delivery(
        &mut self,
        member: &Member,
        group: GroupKey,
        parts: &Parts<'_>,
        message: &mut Option<Message>,
    ) -> Delivery {
        let whole = self.message_of(parts, message.as_ref());
        *message = Some(whole.clone());
        let qos = parts.qos.min(member.options.qos);
        let counts = self.config.shared_strategy == SharedStrategy::LeastInFlight;
        let counting = if counts && qos > Qos::AtMostOnce {
            Counting::Counted
        } else {
            Counting::Uncounted
        };
        if counting == Counting::Counted
            && let Some(group) = self.groups.get_mut(group)
        {
            group.started(member.address);
        }
        Delivery {
            message: whole,
            qos,
            retain: parts.retain && member.options.retain_as_published,
            identifiers: Identifiers::of(member.options.identifier),
            group: Some(GroupMark {
                owner: self.config.worker,
                group,
                counting,
            }),
            stored: parts.stored,
        }
    }

    /// No member is connected: QoS 1 and 2 wait for one, QoS 0 is gone.
    fn keep_for_group(&mut self, slot: u32, parts: &Parts<'_>, message: &mut Option<Message>) {
        if parts.qos == Qos::AtMostOnce {
            self.stats.dropped_no_subscriber += 1;
            self.report_dropped(None, parts.topic, DropReason::NoSubscriber);
            return;
        }
        let whole = self.message_of(parts, message.as_ref());
        *message = Some(whole.clone());
        let Some(key) = self.groups.key_of(slot) else {
            return;
        };
        let Some(group) = self.groups.get_mut(key) else {
            return;
        };
        match group.wait(whole, &self.config.limits) {
            Waiting::Kept { bytes } => {
                self.stats.queued_messages += 1;
                self.stats.queued_bytes += bytes;
            }
            Waiting::Full => {
                self.stats.dropped_queue_full += 1;
                self.report_dropped(None, parts.topic, DropReason::QueueFull);
            }
        }
    }

    /// A member is back: what waited for one goes out.
    fn serve_waiting(&mut self, key: GroupKey) {
        let waits = |group: &&mut crate::shared::Group| group.is_waiting();
        let Some(group) = self.groups.get_mut(key).filter(waits) else {
            return;
        };
        let (waiting, bytes) = group.take_waiting();
        self.uncount_waiting(waiting.len(), bytes);
        for message in waiting {
            if message.parts().is_expired(self.now) {
                self.stats.dropped_expired += 1;
                self.report_dropped(None, message.topic(), DropReason::Expired);
            } else {
                let parts = message.parts();
                self.dispatch_to_group(key.slot, &parts, &mut Some(message.clone()), 0);
            }
        }
    }

    fn uncount_waiting(&mut self, messages: usize, bytes: u64) {
        self.stats.queued_messages = self.stats.queued_messages.saturating_sub(messages as u64);
        self.stats.queued_bytes = self.stats.queued_bytes.saturating_sub(bytes);
    }

    /// The group's owner chose a session of this worker.
    pub(crate) fn on_group_delivery(&mut self, key: SessionKey, delivery: Delivery, attempt: u16) {
        let readiness = match self.sessions.get(key) {
            Some(_) => self.readiness(key.slot, delivery.qos),
            None => Readiness::Away,
        };
        let last_chance = attempt == LAST_CHANCE;
        match (readiness, delivery.group) {
            (Readiness::Now(conn), _) => self.send_first(key.slot, conn, delivery),
            (Readiness::Later, _) if last_chance || delivery.qos == Qos::AtMostOnce => {
                self.enqueue(key.slot, delivery);
            }
            (Readiness::Later | Readiness::Away, Some(mark)) => {
                self.group_finished_at(
                    mark,
                    SessionAddress {
                        worker: self.config.worker,
                        key,
                    },
                );
                self.return_to_group(mark, delivery.message, attempt);
            }
            (Readiness::Later | Readiness::Away, None) => {}
        }
    }

    /// A member could not take or keep a message: the owner finds another.
    pub(crate) fn return_to_group(&mut self, mark: GroupMark, message: Message, attempt: u16) {
        if mark.owner != self.config.worker {
            self.outbox.send(
                mark.owner,
                Item::GroupReturn {
                    mark,
                    message,
                    attempt,
                },
            );
            return;
        }
        if self.groups.get_mut(mark.group).is_some() {
            self.dispatch_to_group(
                mark.group.slot,
                &message.parts(),
                &mut Some(message.clone()),
                attempt,
            );
        }
    }

    /// A client has gone: group messages that only waited for it go to others, and QoS 0 goes nowhere.
    pub(crate) fn return_waiting_shared(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let Some(outbound) = session.outbound.as_mut() else {
            return;
        };
        outbound.end_scans();
        let returned = outbound
            .withdraw(|delivery| delivery.group.is_some() || delivery.qos == Qos::AtMostOnce);
        for delivery in returned {
            self.stats.queued_messages = self.stats.queued_messages.saturating_sub(1);
            self.uncharge(&delivery.message);
            self.group_finished(key.slot, delivery.group);
            if let Some(mark) = delivery.group {
                self.return_to_group(mark, delivery.message, 0);
            }
        }
    }

    /// A session has finished with a delivery; if a group chose it, the group's owner counts it.
    pub(crate) fn group_finished(&mut self, slot: u32, mark: Option<GroupMark>) {
        let Some(mark) = mark else { return };
        if let Some(member) = self.address_of(slot) {
            self.group_finished_at(mark, member);
        }
    }

    fn group_finished_at(&mut self, mark: GroupMark, member: SessionAddress) {
        if mark.counting == Counting::Uncounted {
            return;
        }
        if mark.owner == self.config.worker {
            self.on_group_finished(mark, member);
        } else {
            self.outbox
                .send(mark.owner, Item::GroupFinished { mark, member });
        }
    }

    pub(crate) fn on_group_finished(&mut self, mark: GroupMark, member: SessionAddress) {
        if let Some(group) = self.groups.get_mut(mark.group) {
            group.finished(member);
        }
    }

    pub(crate) fn address_of(&self, slot: u32) -> Option<SessionAddress> {
        self.session_key(slot).map(|key| SessionAddress {
            worker: self.config.worker,
            key,
        })
    }

    /// Tells the other workers, if that has changed, whether somebody here is owed a filter's messages on disk.
    pub(crate) fn change_storing(&mut self, filter: &str, was: bool, is: bool) {
        let change = match (was, is) {
            (false, true) => Change::Gained,
            (true, false) => Change::Lost,
            _ => return,
        };
        self.change_interest(filter, self.config.worker, change, InterestKind::Storing);
    }

    /// Tells the other workers, through the shared index, that a worker has come to want a filter, or no longer does.
    pub(crate) fn change_interest(
        &mut self,
        filter: &str,
        worker: crate::WorkerId,
        change: Change,
        kind: InterestKind,
    ) {
        if self.config.workers > 1 {
            self.outputs.push_back(Output::Interest(InterestChange {
                filter: filter.into(),
                worker,
                change,
                kind,
            }));
        }
    }
}
