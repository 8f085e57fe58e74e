//! UNSUBSCRIBE, and the end of a session's subscriptions.

use crate::conn::Failure;
use crate::core::Core;
use crate::keys::{ConnKey, SessionKey};
use crate::packets::subscribe::check_form;
use crate::route::interest::Change;
use tidewire_codec::{Packet, Properties, ReasonCode, UnsubAck, Unsubscribe, topic};

impl Core {
    pub(crate) fn on_unsubscribe(
        &mut self,
        key: ConnKey,
        unsubscribe: &Unsubscribe<'_>,
    ) -> Result<(), Failure> {
        for filter in &unsubscribe.filters {
            check_form(filter)?;
        }
        self.check_answer_fits(key, unsubscribe.filters.len())?;
        let slot = self.session_of(key);
        let reasons = unsubscribe
            .filters
            .iter()
            .map(|filter| self.unsubscribe_one(slot, filter))
            .collect();
        let packet_id = unsubscribe.packet_id;
        self.send_packet(
            key,
            &Packet::UnsubAck(UnsubAck {
                packet_id,
                properties: Properties::EMPTY,
                reasons,
            }),
        );
        Ok(())
    }

    fn unsubscribe_one(&mut self, slot: u32, filter: &str) -> ReasonCode {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return ReasonCode::UnspecifiedError;
        };
        if session.subscriptions.remove(filter).is_none() {
            return ReasonCode::NoSubscriptionExisted;
        }
        self.leave(slot, filter);
        ReasonCode::Success
    }

    /// Takes every subscription of a session out of the indexes.
    pub(crate) fn drop_subscriptions(&mut self, key: SessionKey) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let subscriptions = std::mem::take(&mut session.subscriptions);
        for filter in subscriptions.filters() {
            self.leave(key.slot, filter);
        }
    }

    fn leave(&mut self, slot: u32, filter: &str) {
        self.stats.subscriptions -= 1;
        if let Ok(Some(shared)) = topic::split_shared(filter) {
            if let Some(session) = self.sessions.in_slot_mut(slot) {
                session.shared_subscriptions = session.shared_subscriptions.saturating_sub(1);
            }
            self.leave_group(slot, shared.share, shared.filter);
            return;
        }
        let Some(entry) = self.index.get_mut(filter) else {
            return;
        };
        let last = entry.remove(slot);
        if entry.is_empty() {
            self.index.remove(filter);
        }
        self.epochs.bump(filter);
        if last {
            self.change_interest(filter, self.config.worker, Change::Lost);
        }
    }
}
