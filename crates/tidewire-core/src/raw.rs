//! Raw listeners: codec, framing, Keep Alive and limits are ours, and what packets mean is a controller's business.
//!
//! Each packet leaves as a question and holds the connection's gate; the answer is the reply. No session, no routing.

use crate::asks::Matter;
use crate::conn::{Failure, Phase};
use crate::core::Core;
use crate::depart::Departure;
use crate::event::{DisconnectCause, Event};
use crate::input::Answer;
use crate::keys::ConnKey;
use crate::output::{Output, Question};
use crate::route::interest::Interest;
use crate::timers::Timer;
use std::sync::Arc;
use tidewire_codec::{Connect, Frame, Packet, PacketType, ReasonCode, Sender};

impl Core {
    /// Whether a controller serves the listener.
    pub(crate) fn is_raw(&self, listener: u16) -> bool {
        let policy = self.config.listeners.get(usize::from(listener));
        policy.is_some_and(|policy| policy.mode == crate::Mode::Raw)
    }

    /// CONNECT on a raw listener: it tells version and Keep Alive.
    pub(crate) fn on_raw_connect(&mut self, key: ConnKey, connect: &Connect<'_>) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let policy = self.config.listeners.get(usize::from(conn.listener));
        let served = policy.is_some_and(|policy| policy.versions.contains(&connect.version));
        conn.version = connect.version;
        conn.max_packet_size_bytes = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
        conn.keep_alive_secs = connect.keep_alive_secs;
        conn.last_received = now;
        if !served {
            let text = format!("MQTT {} is not served on this listener", connect.version);
            let failure = Failure::new(ReasonCode::UnsupportedProtocolVersion, text);
            self.report_refused(key, Some(&connect.client_id), &failure);
            return self.refuse(key, failure.reason, &failure.text);
        }
        conn.phase = Phase::Raw {
            client_id: (&*connect.client_id).into(),
        };
        let (peer, deadline) = (Arc::clone(&conn.peer), conn.keep_alive_deadline());
        if connect.keep_alive_secs > 0 {
            self.timers.schedule(deadline, Timer::KeepAlive(key));
            self.sweep_timers();
        }
        self.outputs.push_back(Output::Event(Event::Connected {
            client_id: (&*connect.client_id).into(),
            peer,
            version: connect.version,
            session_present: false,
            keep_alive_secs: connect.keep_alive_secs,
        }));
        self.ask_controller(key, Packet::Connect(connect.clone()));
    }

    /// Any other packet on a raw listener.
    pub(crate) fn on_raw_packet(&mut self, key: ConnKey, frame: Frame<'_>) -> Result<(), Failure> {
        let Some(conn) = self.conns.get(key) else {
            return Ok(());
        };
        if frame.packet_type() == Some(PacketType::Connect) {
            let text = "second CONNECT on a connection";
            return Err(Failure::new(ReasonCode::ProtocolError, text));
        }
        let packet = Packet::decode(conn.version, Sender::Client, frame)?;
        self.ask_controller(key, packet);
        Ok(())
    }

    /// The controller's reply.
    pub(crate) fn on_reply(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        farewell: Option<ReasonCode>,
        answer: Answer,
    ) {
        match answer {
            Answer::Reply(packet) => {
                self.push_packet(key, &packet);
            }
            Answer::Denied { reason, text } => {
                let text = text.unwrap_or_else(|| "refused by the controller".into());
                return self.fail_from(interest, key, Failure { reason, text });
            }
            _ => {}
        }
        if let Some(reason) = farewell {
            self.end_raw(key, Departure::ByClient { reason });
        }
    }

    /// Ends a raw connection.
    pub(crate) fn end_raw(&mut self, key: ConnKey, departure: Departure) {
        self.say_goodbye(key, &departure);
        let lost = matches!(departure, Departure::Lost(_));
        self.report_raw_end(key, crate::depart::cause_of(departure));
        if !lost {
            self.close(key);
        }
    }

    fn report_raw_end(&mut self, key: ConnKey, cause: DisconnectCause) {
        let Some(conn) = self.conns.get(key) else {
            return;
        };
        if let Phase::Raw { client_id } = &conn.phase {
            let event = Event::Disconnected {
                client_id: client_id.clone(),
                peer: Arc::clone(&conn.peer),
                cause,
                session_kept: false,
            };
            self.outputs.push_back(Output::Event(event));
        }
    }

    fn ask_controller(&mut self, conn: ConnKey, packet: Packet<'_>) {
        let farewell = match &packet {
            Packet::Disconnect(disconnect) => Some(disconnect.reason),
            _ => None,
        };
        let packet = Box::new(packet.into_owned());
        let question = Question::Raw { conn, packet };
        self.ask(conn, question, Matter::Raw { farewell });
    }
}
