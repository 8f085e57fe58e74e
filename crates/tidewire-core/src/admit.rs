//! From an authenticated CONNECT to a live session: the one way in, for new, resumed, taken-over and moved-in ones.

use crate::admission::Admission;
use crate::conn::{Conn, Phase};
use crate::core::Core;
use crate::depart::Departure;
use crate::event::{Event, SessionEnd};
use crate::keeper::cursors_of::Cursors;
use crate::keys::{ConnKey, SessionAddress, SessionKey};
use crate::message::Origin;
use crate::output::Output;
use crate::route::interest::Interest;
use crate::send::fits;
use crate::session::Session;
use crate::shared::Presence;
use crate::store::Durability;
use crate::time::Time;
use crate::timers::Timer;
use std::sync::Arc;
use tidewire_codec::{ConnAck, Packet, Properties, Property, Qos, ReasonCode};

impl Core {
    /// The client is who it says. Its session lives here or elsewhere.
    pub(crate) fn on_authenticated(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        who: crate::Authenticated,
    ) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        let Phase::Authenticating(mut admission) =
            std::mem::replace(&mut conn.phase, Phase::Opened)
        else {
            return;
        };
        admission.principal = who.principal;
        admission.valid_until = self.until(who.valid_secs);
        admission.authentication_data = who.data;
        admission.properties = who.properties;
        let home = self.home_of(&admission.client_id);
        if home == self.config.worker {
            self.admit(interest, key, *admission);
        } else {
            self.forget_conn(key);
            self.outputs.push_back(Output::Move {
                conn: key,
                to: home,
                admission,
            });
        }
    }

    /// A connection moves in from the worker that accepted it.
    pub(crate) fn on_adopt(&mut self, interest: &Interest, key: ConnKey, admission: Admission) {
        let mut conn = Conn::new(key.generation, Arc::clone(&admission.peer), self.now);
        conn.version = admission.version;
        conn.max_packet_size_bytes = admission.max_packet_size_bytes;
        self.stats.connections += 1;
        self.conns.insert(key, conn);
        if self.stopping {
            self.refuse(
                key,
                ReasonCode::ServerShuttingDown,
                "server is shutting down",
            );
            return;
        }
        self.admit(interest, key, admission);
    }

    fn admit(&mut self, interest: &Interest, key: ConnKey, admission: Admission) {
        let connack = self.connack_for(&admission);
        if !fits(
            &Packet::ConnAck(connack.clone()),
            admission.max_packet_size_bytes,
        ) {
            let text = "CONNACK is larger than the client's Maximum Packet Size";
            self.refuse_admission(key, &admission, ReasonCode::PacketTooLarge, text);
            return;
        }
        if self.admission_needs_store(&admission) {
            return self.begin_admission(interest, key, admission);
        }
        let existing = self
            .sessions
            .find(admission.principal.as_deref(), &admission.client_id);
        if let Some(session) = existing {
            self.take_over(interest, session, &admission);
        }
        self.admit_now(interest, key, admission);
    }

    /// Lets a client in whose session is in memory and on disk as it has to be. Whoever had the session has gone.
    pub(crate) fn admit_now(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        mut admission: Admission,
    ) {
        let connack = self.connack_for(&admission);
        let existing = self
            .sessions
            .find(admission.principal.as_deref(), &admission.client_id);
        let existing = existing.filter(|session| self.sessions.get(*session).is_some());
        if existing.is_some() && admission.clean_start {
            self.end_session(interest, existing, SessionEnd::CleanStart);
        }
        let resumed = existing.filter(|_| !admission.clean_start);
        let session = match resumed {
            Some(session) => session,
            None if self.sessions.len() >= self.config.limits.max_sessions as usize => {
                let text = "max_sessions is reached";
                self.refuse_admission(key, &admission, ReasonCode::QuotaExceeded, text);
                return;
            }
            None => self.create_session(&admission),
        };
        self.go_live(key, session, &admission);
        self.attach(key, session, &mut admission);
        self.send_packet(
            key,
            &Packet::ConnAck(ConnAck {
                session_present: resumed.is_some(),
                ..connack
            }),
        );
        self.report_connected(key, &admission, resumed.is_some());
        self.report_will(key, session);
        // Before anything is sent on the new connection, or it would be sent again at once.
        if let Some(session) = self.sessions.get_mut(session)
            && let Some(outbound) = session.outbound.as_mut()
        {
            outbound.rewind();
        }
        self.announce_presence(session, Presence::Online);
        self.pump(session.slot);
    }

    /// Another connection of the same client: it has to go \[5.0 MQTT-3.1.4-3\].
    pub(crate) fn take_over(
        &mut self,
        interest: &Interest,
        session: SessionKey,
        admission: &Admission,
    ) {
        let Some(old) = self.sessions.get(session).and_then(|session| session.conn) else {
            self.cancel_will(session, admission);
            return;
        };
        self.stats.sessions_taken_over += 1;
        let departure = Departure::TakenOver {
            clean_start: admission.clean_start,
        };
        self.depart(interest, old, departure);
    }

    /// A client that is back before its will was due: the will is not sent \[5.0 MQTT-3.1.3-9\]. With Clean Start the
    /// session ends instead, and the will with it.
    fn cancel_will(&mut self, session: SessionKey, admission: &Admission) {
        if admission.clean_start {
            return;
        }
        if let Some(session) = self.sessions.get_mut(session) {
            session.will = None;
            session.will_due = Time::NEVER;
        }
    }

    pub(crate) fn refuse_admission(
        &mut self,
        key: ConnKey,
        admission: &Admission,
        reason: ReasonCode,
        text: &str,
    ) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.phase = Phase::Authenticating(Box::new(admission.clone()));
        }
        self.refuse_connect(key, reason, text);
    }

    fn create_session(&mut self, admission: &Admission) -> SessionKey {
        let address = SessionAddress {
            worker: self.config.worker,
            key: self.sessions.next_key(),
        };
        let origin = Origin {
            address,
            client_id: admission.client_id.clone(),
            principal: admission.principal.clone(),
            listener: admission.peer.listener,
        };
        self.stats.sessions += 1;
        let mut session = Session::new(Arc::new(origin), admission.version);
        if let Some(keeper) = &self.keeper
            && admission.session_expiry_secs > 0
        {
            session.kept = self.listener_durability(Some(admission.peer.listener));
            let kept = session.kept != Durability::Memory;
            session.cursors = kept.then(|| Box::new(Cursors::new(keeper.config.shards, 0)));
        }
        self.sessions.insert(session)
    }

    fn attach(&mut self, key: ConnKey, session: SessionKey, admission: &mut Admission) {
        let limits = &self.config.limits;
        let expiry_secs = admission
            .session_expiry_secs
            .min(limits.max_session_expiry_secs);
        let quota = admission
            .receive_maximum
            .min(limits.max_inflight_messages)
            .max(1);
        let Some(session) = self.sessions.get_mut(session) else {
            return;
        };
        session.conn = Some(key);
        session.version = admission.version;
        session.expiry_secs = expiry_secs;
        session.ends = Time::NEVER;
        session.quota = quota;
        session.will = admission.will.take();
        session.will_due = Time::NEVER;
        self.stats.sessions_connected += 1;
        self.stats.connects_accepted += 1;
    }

    fn go_live(&mut self, key: ConnKey, session: SessionKey, admission: &Admission) {
        let keep_alive_secs = self.keep_alive_for(admission);
        let alias_maximum = admission
            .topic_alias_maximum
            .min(self.config.limits.max_outbound_topic_aliases);
        let seed = self.config.seed;
        let now = self.now;
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        conn.phase = Phase::Live;
        conn.session = session.slot;
        conn.version = admission.version;
        conn.last_received = now;
        conn.keep_alive_secs = keep_alive_secs;
        conn.max_packet_size_bytes = admission.max_packet_size_bytes;
        conn.request_problem_information = admission.request_problem_information;
        conn.authentication_method
            .clone_from(&admission.authentication_method);
        conn.valid_until = admission.valid_until;
        if alias_maximum > 0 {
            conn.outbound_aliases = Some(Box::new(crate::alias::OutboundAliases::new(
                alias_maximum,
                seed,
            )));
        }
        if keep_alive_secs > 0 {
            let deadline = conn.keep_alive_deadline();
            self.timers.schedule(deadline, Timer::KeepAlive(key));
            self.sweep_timers();
        }
        self.watch_validity(key, admission.valid_until);
    }

    /// The client's Keep Alive, or the server's where it has a maximum and the client can be told \[5.0 MQTT-3.2.2-22\].
    fn keep_alive_for(&self, admission: &Admission) -> u16 {
        let maximum = self.config.limits.max_keep_alive_secs;
        let wished = admission.keep_alive_secs;
        let too_long = maximum != 0 && (wished == 0 || wished > maximum);
        if too_long && admission.version.is_v5() {
            maximum
        } else {
            wished
        }
    }

    /// CONNACK of an admission that succeeds, but for Session Present.
    fn connack_for(&self, admission: &Admission) -> ConnAck<'static> {
        let properties = if admission.version.is_v5() {
            self.connack_properties(admission)
        } else {
            Properties::EMPTY
        };
        ConnAck {
            session_present: false,
            reason: ReasonCode::Success,
            properties,
        }
    }

    fn connack_properties(&self, admission: &Admission) -> Properties<'static> {
        let limits = &self.config.limits;
        let listener = self
            .config
            .listeners
            .get(usize::from(admission.peer.listener));
        let mut list: Vec<Property<'_>> = Vec::new();
        if admission.session_expiry_secs > limits.max_session_expiry_secs {
            list.push(Property::SessionExpiryInterval(
                limits.max_session_expiry_secs,
            ));
        }
        if limits.receive_maximum != u16::MAX {
            list.push(Property::ReceiveMaximum(limits.receive_maximum));
        }
        if limits.max_qos != Qos::ExactlyOnce {
            list.push(Property::MaximumQos(limits.max_qos as u8));
        }
        if !limits.retain_available {
            list.push(Property::RetainAvailable(0));
        }
        list.push(Property::MaximumPacketSize(limits.max_packet_size_bytes));
        if admission.assigned_client_id {
            list.push(Property::AssignedClientIdentifier(&admission.client_id));
        }
        if limits.topic_alias_maximum > 0 {
            list.push(Property::TopicAliasMaximum(limits.topic_alias_maximum));
        }
        if !limits.wildcard_subscription_available {
            list.push(Property::WildcardSubscriptionAvailable(0));
        }
        if !limits.shared_subscription_available {
            list.push(Property::SharedSubscriptionAvailable(0));
        }
        let keep_alive_secs = self.keep_alive_for(admission);
        if keep_alive_secs != admission.keep_alive_secs {
            list.push(Property::ServerKeepAlive(keep_alive_secs));
        }
        let information = listener.and_then(|listener| listener.response_information.as_deref());
        if let Some(information) = information.filter(|_| admission.request_response_information) {
            list.push(Property::ResponseInformation(information));
        }
        if let Some(method) = &admission.authentication_method {
            list.push(Property::AuthenticationMethod(method));
        }
        // [5.0 MQTT-4.12.0-6]: data without a method is for nobody.
        let data = admission.authentication_data.as_ref();
        if let Some(data) = data.filter(|_| admission.authentication_method.is_some()) {
            list.push(Property::AuthenticationData(data));
        }
        let mut properties = Properties::EMPTY;
        let wished = admission.properties.iter().filter(may_be_wished);
        for property in list.into_iter().chain(wished) {
            // Each of these is short and legal here; what could not be encoded, or is there already, is left out.
            let _ = properties.push(property);
        }
        properties.into_owned()
    }

    fn report_will(&mut self, key: ConnKey, session: SessionKey) {
        let session = self.sessions.get(session);
        let will = session.and_then(|session| session.will.as_ref());
        if let Some(message) = will.map(|will| will.message.clone()) {
            self.report_will_armed(key, message.topic());
        }
    }

    fn report_connected(&mut self, key: ConnKey, admission: &Admission, session_present: bool) {
        let keep_alive_secs = self.conns.get(key).map_or(0, |conn| conn.keep_alive_secs);
        self.outputs.push_back(Output::Event(Event::Connected {
            client_id: admission.client_id.clone(),
            peer: Arc::clone(&admission.peer),
            version: admission.version,
            session_present,
            keep_alive_secs,
        }));
    }
}

/// What handlers may add to CONNACK: the rest says what the broker does, and is the broker's to say.
fn may_be_wished(property: &Property<'_>) -> bool {
    matches!(
        property,
        Property::UserProperty(..)
            | Property::ReasonString(_)
            | Property::ServerReference(_)
            | Property::ResponseInformation(_)
    )
}
