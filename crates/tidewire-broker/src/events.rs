//! The core's events as log lines: one line each, with client id, address and reason; never a password.

use tidewire_core::{Event, PeerFacts};
use tracing::{debug, info, warn};

/// The target of all log lines of the broker.
pub(crate) const LOG: &str = "tidewire";

/// Writes one line; `listener` tells the name of a listener.
pub(crate) fn log<'a>(event: &Event, listener: impl Fn(&PeerFacts) -> &'a str) {
    match event {
        Event::Connected {
            client_id,
            peer,
            version,
            session_present,
            keep_alive_secs,
        } => info!(
            target: LOG,
            %client_id, address = %peer.address, listener = listener(peer), %version, session_present, keep_alive_secs,
            "connected"
        ),
        Event::Refused {
            client_id,
            peer,
            reason,
            text,
        } => warn!(
            target: LOG,
            client_id = client_id.as_deref().unwrap_or(""), address = %peer.address, listener = listener(peer),
            reason = %reason, "refused: {text}"
        ),
        Event::Disconnected {
            client_id,
            peer,
            cause,
            session_kept,
        } => info!(
            target: LOG,
            %client_id, address = %peer.address, listener = listener(peer), session_kept, "disconnected: {cause}"
        ),
        Event::SessionEnded { client_id, cause } => {
            debug!(target: LOG, %client_id, ?cause, "session ended");
        }
        Event::WillPublished { client_id, topic } => {
            debug!(target: LOG, %client_id, %topic, "will published");
        }
        Event::WillRefused {
            client_id,
            topic,
            reason,
        } => warn!(
            target: LOG,
            %client_id, %topic, reason = %reason, "will refused"
        ),
        // What handlers watch for may happen with every message.
        Event::WillArmed { .. }
        | Event::Published { .. }
        | Event::Subscribed { .. }
        | Event::Unsubscribed { .. }
        | Event::Acknowledged { .. }
        | Event::Dropped { .. }
        | Event::Pinged { .. }
        | Event::RetainedChanged { .. } => {}
    }
}
