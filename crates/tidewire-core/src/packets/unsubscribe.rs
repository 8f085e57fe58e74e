//! UNSUBSCRIBE, and the end of a session's subscriptions.

use crate::asks::{Matter, sayable};
use crate::conn::Failure;
use crate::core::Core;
use crate::input::Answer;
use crate::keeper::subscribe::Unsubscribed;
use crate::keys::{ConnKey, SessionKey};
use crate::output::Question;
use crate::packets::subscribe::check_form;
use crate::route::interest::{Change, InterestKind};
use crate::watch::Watch;
use tidewire_codec::{PacketType, Properties, ReasonCode, Unsubscribe, topic};

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
        let slot = self.session_of(key);
        let mut reasons = Vec::with_capacity(unsubscribe.filters.len());
        for (at, filter) in unsubscribe.filters.iter().enumerate() {
            reasons.push(match codes.get(at).copied() {
                Some(code) if code.is_error() => sayable(code, PacketType::UnsubAck),
                _ => match self.unsubscribe_one(slot, filter) {
                    ReasonCode::Success => {
                        self.report_unsubscribed(key, filter);
                        ReasonCode::Success
                    }
                    other => other,
                },
            });
        }
        self.answer_unsubscribe(Unsubscribed {
            conn: key,
            packet_id: unsubscribe.packet_id,
            reasons,
            properties: properties.clone(),
        });
    }

    pub(crate) fn unsubscribe_one(&mut self, slot: u32, filter: &str) -> ReasonCode {
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
        let was_stored = entry.is_stored();
        let last = entry.remove(slot);
        let is_stored = entry.is_stored();
        if entry.is_empty() {
            self.index.remove(filter);
        }
        self.epochs.bump(filter);
        let here = self.config.worker;
        if last {
            self.change_interest(filter, here, Change::Lost, InterestKind::Messages);
        }
        self.change_storing(filter, was_stored, is_stored);
    }
}
