//! PINGREQ.

use crate::core::Core;
use crate::keys::ConnKey;
use tidewire_codec::Packet;

impl Core {
    /// [5.0 MQTT-3.12.4-1] [3.1.1 MQTT-3.12.4-1]
    pub(crate) fn on_pingreq(&mut self, key: ConnKey) {
        self.send_packet(key, &Packet::PingResp);
        self.report_pinged(key);
    }
}
