//! What the server's own code does with clients: publish whole packets, send to one of them, look at their sessions.

use crate::core::Core;
use crate::keys::ConnKey;
use crate::message::Parts;
use crate::output::{SessionDetails, SubscriptionRow};
use crate::packets::publish::forwarded_properties;
use crate::route::interest::Interest;
use crate::time::Time;
use tidewire_codec::{Packet, Publish, topic};

impl Core {
    /// Publishes a packet of the server's own. A topic that is none is dropped: the caller has checked it.
    pub(crate) fn forward(&mut self, interest: &Interest, publish: &Publish<'_>) {
        if topic::validate_name(publish.topic.as_bytes()).is_err() {
            return;
        }
        let mut properties = Vec::new();
        forwarded_properties(&publish.properties, &mut properties);
        let now = self.now;
        let expires = publish.properties.message_expiry_interval_secs();
        let parts = Parts {
            topic: &publish.topic,
            properties: &properties,
            payload: &publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires: expires.map_or(Time::NEVER, |secs| now.plus_secs(secs.into())),
            received: now,
            origin: None,
            stored: None,
        };
        self.publish(interest, &parts, None, None);
    }

    /// Sends a packet to the connections of a client id, if it fits; tells to how many.
    pub(crate) fn send_to_client(&mut self, client_id: &str, packet: &Packet<'_>) -> usize {
        let conns = self.connections_of(client_id);
        let sent = conns.iter().filter(|key| self.push_packet(**key, packet));
        sent.count()
    }

    /// Sends a packet to one connection. One that is larger than the client takes, that its version does not have, or that
    /// would make the bytes that wait for its socket too many, is not sent.
    pub(crate) fn push_packet(&mut self, key: ConnKey, packet: &Packet<'_>) -> bool {
        let most = self.config.limits.max_outbound_bytes as usize;
        let Some(conn) = self.conns.get(key) else {
            return false;
        };
        let mut bytes = Vec::new();
        let fits = packet.encode(conn.version, &mut bytes).is_ok()
            && bytes.len() <= conn.max_packet_size_bytes as usize
            && conn.pending_bytes() + bytes.len() <= most;
        if fits {
            self.send_packet(key, packet);
        }
        fits
    }

    /// The live connections of a client id, whosever they are.
    pub(crate) fn connections_of(&self, client_id: &str) -> Vec<ConnKey> {
        let sessions = self.sessions.find_all(client_id);
        let conn = |key: &crate::SessionKey| self.sessions.get(*key)?.conn;
        sessions.iter().filter_map(conn).collect()
    }

    pub(crate) fn inspect(&self, client_id: &str) -> Vec<SessionDetails> {
        let sessions = self.sessions.find_all(client_id);
        let details = |key: &crate::SessionKey| {
            let session = self.sessions.get(*key)?;
            let rows = session.subscriptions.filters().filter_map(|filter| {
                let subscription = session.subscriptions.get(filter)?;
                Some(SubscriptionRow {
                    filter: filter.into(),
                    options: subscription.options,
                    identifier: Some(subscription.identifier).filter(|identifier| *identifier > 0),
                })
            });
            Some(SessionDetails {
                row: self.session_row(*key)?,
                subscriptions: rows.collect(),
            })
        };
        sessions.iter().filter_map(details).collect()
    }
}
