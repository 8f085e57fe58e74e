//! What the server itself asks of a core.

use crate::asks::sayable;
use crate::conn::Failure;
use crate::core::Core;
use crate::input::{Command, ServerPublish};
use crate::keys::{SessionKey, Ticket};
use crate::message::Parts;
use crate::output::{Output, Reply, SessionRow};
use crate::route::interest::Interest;
use crate::time::Time;
use std::sync::Arc;
use tidewire_codec::{PacketType, ReasonCode, topic};

impl Core {
    pub(crate) fn on_command(&mut self, interest: &Interest, command: Command) {
        match command {
            Command::Publish(publish) => self.publish_for_server(interest, &publish),
            Command::Forward(publish) => self.forward(interest, &publish),
            Command::Push { conn, packet } => {
                self.push_packet(conn, &packet);
            }
            Command::Close { conn, reason } => {
                let reason = sayable(reason, PacketType::Disconnect);
                self.fail_from(interest, conn, Failure::new(reason, "closed by the server"));
            }
            Command::Kick { ticket, client_id } => {
                let failure = Failure::new(
                    ReasonCode::AdministrativeAction,
                    "disconnected by an operator",
                );
                let connections = self.kick(interest, &client_id, &failure);
                self.reply(ticket, Reply::Kicked { connections });
            }
            Command::Disconnect {
                ticket,
                client_id,
                reason,
                text,
            } => {
                let reason = sayable(reason, PacketType::Disconnect);
                let connections = self.kick(interest, &client_id, &Failure { reason, text });
                self.reply(ticket, Reply::Kicked { connections });
            }
            Command::Send {
                ticket,
                client_id,
                packet,
            } => {
                let connections = self.send_to_client(&client_id, &packet);
                self.reply(ticket, Reply::Sent { connections });
            }
            Command::Inspect { ticket, client_id } => {
                let sessions = self.inspect(&client_id);
                self.reply(ticket, Reply::Inspected { sessions });
            }
            Command::ListSessions {
                ticket,
                after,
                most,
            } => {
                let reply = self.list_sessions(after, most);
                self.reply(ticket, reply);
            }
            Command::ListRetained {
                ticket,
                filter,
                from,
                most,
            } => {
                let reply = self.list_retained(&filter, from.as_deref(), most);
                self.outputs.push_back(Output::Reply { ticket, reply });
            }
            Command::Watch { listener, watch } => self.set_watch(listener, watch),
            Command::Shutdown => self.shut_down(interest),
        }
    }

    fn publish_for_server(&mut self, interest: &Interest, publish: &ServerPublish) {
        if topic::validate_name(publish.topic.as_bytes()).is_err() {
            return;
        }
        let parts = Parts {
            topic: &publish.topic,
            properties: &[],
            payload: &publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires: Time::NEVER,
            received: self.now,
            origin: None,
            stored: None,
        };
        self.publish(interest, &parts, None, None);
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.outputs.push_back(Output::Reply { ticket, reply });
    }

    fn kick(&mut self, interest: &Interest, client_id: &str, failure: &Failure) -> usize {
        let conns = self.connections_of(client_id);
        for key in &conns {
            let failure = Failure::new(failure.reason, failure.text.clone());
            self.fail_from(interest, *key, failure);
        }
        conns.len()
    }

    fn list_sessions(&self, after: Option<SessionKey>, most: usize) -> Reply {
        let keys: Vec<SessionKey> = self
            .sessions
            .keys_after(after)
            .take(most.saturating_add(1))
            .collect();
        let next = keys
            .get(..most)
            .and_then(|page| page.last())
            .copied()
            .filter(|_| keys.len() > most);
        let rows = keys
            .iter()
            .take(most)
            .filter_map(|key| self.session_row(*key))
            .collect();
        Reply::Sessions { rows, next }
    }

    pub(crate) fn session_row(&self, key: SessionKey) -> Option<SessionRow> {
        let session = self.sessions.get(key)?;
        let conn = session.conn.and_then(|key| self.conns.get(key));
        Some(SessionRow {
            client_id: session.client_id().into(),
            principal: session.origin.principal.clone(),
            peer: conn.map(|conn| Arc::clone(&conn.peer)),
            version: session.version,
            subscriptions: session.subscriptions.len(),
            inflight: session
                .outbound
                .as_ref()
                .map_or(0, |outbound| outbound.inflight_len()),
            queued: session
                .outbound
                .as_ref()
                .map_or(0, |outbound| outbound.waiting_len())
                .saturating_add(session.behind.messages as usize),
            keep_alive_secs: conn.map_or(0, |conn| conn.keep_alive_secs),
            expiry_secs: session.expiry_secs,
        })
    }

    fn shut_down(&mut self, interest: &Interest) {
        self.stopping = true;
        for key in self.conns.keys() {
            self.fail_from(
                interest,
                key,
                Failure::new(ReasonCode::ServerShuttingDown, "server is shutting down"),
            );
        }
    }
}
