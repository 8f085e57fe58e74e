//! DISCONNECT.

use crate::conn::Failure;
use crate::core::Core;
use crate::depart::Departure;
use crate::keys::ConnKey;
use crate::route::interest::Interest;
use tidewire_codec::{Disconnect, ReasonCode};

impl Core {
    pub(crate) fn on_disconnect(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        disconnect: &Disconnect<'_>,
    ) -> Result<(), Failure> {
        if let Some(secs) = disconnect.properties.session_expiry_interval_secs() {
            self.change_expiry(key, secs)?;
        }
        self.depart(
            interest,
            key,
            Departure::ByClient {
                reason: disconnect.reason,
            },
        );
        Ok(())
    }

    /// A session that was to end with its connection cannot be made to stay at the last moment \[5.0 3.14.2.2.2\].
    fn change_expiry(&mut self, key: ConnKey, secs: u32) -> Result<(), Failure> {
        let limit = self.config.limits.max_session_expiry_secs;
        let slot = self.conns.get(key).map_or(u32::MAX, |conn| conn.session);
        let Some(session) = self.sessions.in_slot_mut(slot) else {
            return Ok(());
        };
        if session.expiry_secs == 0 && secs != 0 {
            let text = "DISCONNECT sets a Session Expiry Interval where CONNECT had set none";
            return Err(Failure::new(ReasonCode::ProtocolError, text));
        }
        session.expiry_secs = secs.min(limit);
        Ok(())
    }
}
