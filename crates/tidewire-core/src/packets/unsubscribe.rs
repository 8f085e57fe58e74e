//! UNSUBSCRIBE, and the end of a session's subscriptions.

use crate::asks::{Matter, sayable};
use crate::conn::Failure;
use crate::core::Core;
use crate::input::Answer;
use crate::keys::{ConnKey, SessionKey};
use crate::output::Question;
use crate::packets::subscribe::{check_form, properties_that_fit};
use crate::route::interest::Change;
use crate::watch::Watch;
use tidewire_codec::{Packet, PacketType, Properties, ReasonCode, UnsubAck, Unsubscribe, topic};

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
        if self.watches(key, Watch::UNSUBSCRIBE) {
            let packet = Box::new(unsubscribe.clone().into_owned());
            let origin = self.origin_of(self.session_of(key));
            let question = Question::Unsubscribe {
                conn: key,
                client_id: origin
                    .as_ref()
                    .map_or_else(Box::default, |origin| origin.client_id.clone()),
                principal: origin.and_then(|origin| origin.principal.clone()),
                packet: packet.clone(),
            };
            self.ask(key, question, Matter::Unsubscribe(packet));
        } else {
            self.unsubscribe(key, unsubscribe, &[], &Properties::EMPTY);
        }
        Ok(())
    }

    pub(crate) fn on_unsubscribe_answer(
        &mut self,
        key: ConnKey,
        unsubscribe: &Unsubscribe<'_>,
        answer: Answer,
    ) {
        let count = unsubscribe.filters.len();
        match answer {
            Answer::Allowed | Answer::Authenticated(_) => {
                self.unsubscribe(key, unsubscribe, &[], &Properties::EMPTY);
            }
            Answer::Codes {
                reasons,
                properties,
            } => self.unsubscribe(key, unsubscribe, &reasons, &properties),
            Answer::Denied { reason, .. } => {
                self.unsubscribe(key, unsubscribe, &vec![reason; count], &Properties::EMPTY);
            }
            _ => {
                let reasons = vec![ReasonCode::NotAuthorized; count];
                self.unsubscribe(key, unsubscribe, &reasons, &Properties::EMPTY);
            }
        }
    }

    /// Ends the subscriptions but those for which there is an error in `codes`, and answers.
    fn unsubscribe(
        &mut self,
        key: ConnKey,
        unsubscribe: &Unsubscribe<'_>,
        codes: &[ReasonCode],
        properties: &Properties<'static>,
    ) {
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for (at, filter) in unsubscribe.filters.iter().enumerate() {
            reasons.push(match codes.get(at).copied() {
                Some(code) if code.is_error() => sayable(code, PacketType::UnsubAck),
                _ => self.unsubscribe_one(key, filter),
            });
        }
        let limit = self
            .conns
            .get(key)
            .map_or(u32::MAX, |conn| conn.max_packet_size_bytes);
        let unsuback = UnsubAck {
            packet_id: unsubscribe.packet_id,
            properties: properties_that_fit(properties, reasons.len(), limit),
            reasons,
        };
        self.send_packet(key, &Packet::UnsubAck(unsuback));
    }

    fn unsubscribe_one(&mut self, key: ConnKey, filter: &str) -> ReasonCode {
        let slot = self.session_of(key);
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return ReasonCode::UnspecifiedError;
        };
        if session.subscriptions.remove(filter).is_none() {
            return ReasonCode::NoSubscriptionExisted;
        }
        self.leave(slot, filter);
        self.report_unsubscribed(key, filter);
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
