//! Acknowledgements of received messages, and the permit without which none can be written.

use crate::core::Core;
use crate::keys::ConnKey;
use tidewire_codec::{PacketId, PacketType, Qos, ReasonCode};

/// The right to acknowledge one message: proof that it has reached the durability that its policy names. It is made
/// here only, so an early acknowledgement cannot be written by mistake.
#[derive(Debug)]
pub(crate) struct Permit(());

impl Permit {
    /// Nothing durable is owed for this message: it was refused, or its policy is `memory`.
    pub(crate) fn not_required() -> Self {
        Self(())
    }
}

/// A received message that wants an acknowledgement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    pub(crate) conn: ConnKey,
    pub(crate) qos: Qos,
    pub(crate) packet_id: Option<PacketId>,
}

impl Core {
    /// PUBACK or PUBREC, as the QoS asks; nothing at QoS 0 \[5.0 MQTT-3.3.4-1\].
    pub(crate) fn acknowledge(&mut self, received: Received, reason: ReasonCode, _permit: Permit) {
        let Some(id) = received.packet_id else { return };
        let packet = match received.qos {
            Qos::AtMostOnce => return,
            Qos::AtLeastOnce => PacketType::PubAck,
            Qos::ExactlyOnce => PacketType::PubRec,
        };
        self.send_ack(received.conn, packet, id, reason);
    }

    /// PUBCOMP: the identifier is released.
    pub(crate) fn complete(
        &mut self,
        key: ConnKey,
        id: PacketId,
        reason: ReasonCode,
        _permit: Permit,
    ) {
        self.send_ack(key, PacketType::PubComp, id, reason);
    }
}
