//! PUBACK, PUBREC, PUBREL, PUBCOMP.

use crate::ack::Permit;
use crate::core::Core;
use crate::keys::ConnKey;
use crate::outbound::Stage;
use tidewire_codec::{Ack, PacketType, ReasonCode};

impl Core {
    /// The client has a QoS 1 message, or does not want it: either way it is done \[5.0 MQTT-4.4.0-2\].
    pub(crate) fn on_puback(&mut self, key: ConnKey, ack: &Ack<'_>) {
        self.finish_for(key, ack, Stage::Acknowledgement);
    }

    /// The client has a QoS 2 message: the identifier is all that is owed from now on. Or it refuses it.
    pub(crate) fn on_pubrec(&mut self, key: ConnKey, ack: &Ack<'_>) {
        if ack.reason.is_error() {
            self.finish_for(key, ack, Stage::Receipt);
            return;
        }
        let slot = self.session_of(key);
        if self.keeper.is_some() && self.note_received(slot, ack.packet_id) {
            return;
        }
        let known = self.note_received_by_client(slot, ack);
        let v5 = self.conns.get(key).is_some_and(|conn| conn.version.is_v5());
        let reason = if known || !v5 {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.send_ack(key, PacketType::PubRel, ack.packet_id, reason);
    }

    /// The client releases a QoS 2 identifier \[5.0 MQTT-4.3.3-11\].
    pub(crate) fn on_pubrel(&mut self, key: ConnKey, ack: &Ack<'_>) {
        let slot = self.session_of(key);
        let inbound = self
            .sessions
            .in_slot_mut(slot)
            .and_then(|session| session.inbound.as_mut());
        let known = inbound.is_some_and(|ids| ids.remove(ack.packet_id));
        if known && self.keeper.is_some() && self.release_marked(key, ack.packet_id) {
            return;
        }
        let reason = if known {
            ReasonCode::Success
        } else {
            ReasonCode::PacketIdentifierNotFound
        };
        self.complete(key, ack.packet_id, reason, Permit::not_required());
    }

    pub(crate) fn on_pubcomp(&mut self, key: ConnKey, ack: &Ack<'_>) {
        self.finish_for(key, ack, Stage::Completion);
    }

    fn note_received_by_client(&mut self, slot: u32, ack: &Ack<'_>) -> bool {
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return false;
        };
        let Some(outbound) = session.outbound.as_mut() else {
            return false;
        };
        let Some(entry) = outbound
            .find(ack.packet_id)
            .and_then(|at| outbound.at_mut(at))
        else {
            return false;
        };
        if matches!(entry.stage, Stage::Acknowledgement | Stage::Binding) {
            return false;
        }
        entry.stage = Stage::Completion;
        if let Some(delivery) = entry.delivery.take() {
            self.uncharge(&delivery.message);
            self.group_finished(slot, delivery.group);
        }
        true
    }

    fn finish_for(&mut self, key: ConnKey, ack: &Ack<'_>, stage: Stage) {
        let slot = self.session_of(key);
        let Some(entry) = self.finish(slot, ack.packet_id, Some(stage)) else {
            return;
        };
        self.report_acknowledged(key, ack);
        if entry.stored.is_some() && entry.stage != Stage::Acknowledgement {
            self.complete_bound(slot, entry.id);
        }
        self.group_finished(slot, entry.delivery.and_then(|delivery| delivery.group));
        self.pump(slot);
    }

    pub(crate) fn session_of(&self, key: ConnKey) -> u32 {
        self.conns.get(key).map_or(u32::MAX, |conn| conn.session)
    }
}
