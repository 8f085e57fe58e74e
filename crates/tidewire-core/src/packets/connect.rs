//! CONNECT: every check before anybody is asked.

use crate::admission::{Admission, Will};
use crate::asks::Matter;
use crate::config::Authentication;
use crate::conn::{Failure, Phase};
use crate::core::{Core, unexpected};
use crate::input::Authenticated;
use crate::keys::ConnKey;
use crate::message::{Message, Parts};
use crate::output::{Credentials, Question};
use crate::packets::publish::forwarded_properties;
use crate::route::interest::Interest;
use crate::time::Time;
use crate::watch::Watch;
use std::sync::Arc;
use tidewire_codec::{
    Connect, DecodeError, Frame, Packet, PacketType, Properties, ProtocolName, Qos, ReasonCode,
    Sender, Version, topic,
};

/// Longest client id of MQTT 3.1.
const V31_CLIENT_ID_MAX: usize = 23;

impl Core {
    /// A packet on a connection without a session: CONNECT, or AUTH in answer to a challenge.
    pub(crate) fn on_packet_before_session(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        frame: Frame<'_>,
    ) -> Result<(), Failure> {
        let Some(conn) = self.conns.get(key) else {
            return Ok(());
        };
        if matches!(conn.phase, Phase::Raw { .. }) {
            return self.on_raw_packet(key, frame);
        }
        let opened = matches!(conn.phase, Phase::Opened);
        match frame.packet_type() {
            Some(PacketType::Connect) if opened => self.on_connect_frame(interest, key, frame),
            Some(PacketType::Connect) => Err(Failure::new(
                ReasonCode::ProtocolError,
                "second CONNECT on a connection",
            )),
            Some(PacketType::Auth) if !opened => {
                match Packet::decode(conn.version, Sender::Client, frame)? {
                    Packet::Auth(auth) => self.on_auth_before_session(key, &auth),
                    other => Err(unexpected(other.packet_type())),
                }
            }
            // [5.0 MQTT-3.1.2-30]: DISCONNECT gives up.
            Some(PacketType::Disconnect) if !opened => {
                self.report_refused(
                    key,
                    None,
                    &Failure::new(ReasonCode::Success, "client gave up authenticating"),
                );
                self.close(key);
                Ok(())
            }
            _ => Err(Failure::new(
                ReasonCode::ProtocolError,
                "first packet is not CONNECT",
            )),
        }
    }

    fn on_connect_frame(
        &mut self,
        interest: &Interest,
        key: ConnKey,
        frame: Frame<'_>,
    ) -> Result<(), Failure> {
        match Packet::decode(Version::V5, Sender::Client, frame) {
            Ok(Packet::Connect(connect)) => match self.conns.get(key).map(|conn| conn.listener) {
                Some(listener) if self.is_raw(listener) => self.on_raw_connect(key, &connect),
                _ => self.on_connect(interest, key, &connect),
            },
            Ok(other) => return Err(unexpected(other.packet_type())),
            Err(DecodeError::UnsupportedProtocolVersion { name, level }) => {
                self.refuse_version(key, name, level);
            }
            Err(error) => self.refuse_malformed(key, frame, &error),
        }
        Ok(())
    }

    fn on_connect(&mut self, interest: &Interest, key: ConnKey, connect: &Connect<'_>) {
        let Some(conn) = self.conns.get_mut(key) else {
            return;
        };
        conn.version = connect.version;
        conn.max_packet_size_bytes = connect.properties.maximum_packet_size().unwrap_or(u32::MAX);
        let peer = Arc::clone(&conn.peer);
        let client_id = connect.client_id.clone();
        let mut admission = match self.check_connect(&peer, connect) {
            Ok(admission) => admission,
            Err(failure) => {
                self.report_refused(key, Some(&client_id), &failure);
                self.refuse(key, failure.reason, &failure.text);
                return;
            }
        };
        if admission.client_id.is_empty() {
            admission.client_id = self.new_client_id();
            admission.assigned_client_id = true;
        }
        let watched = self.watch_of(peer.listener).contains(Watch::CONNECT);
        let ask = self.listener_asks(peer.listener);
        let credentials = ask.then(|| Credentials {
            conn: key,
            peer,
            client_id: admission.client_id.clone(),
            username: connect.username.as_deref().map(Box::from),
            password: connect.password.as_deref().map(Box::from),
            version: connect.version,
            method: admission.authentication_method.clone(),
            data: connect.properties.authentication_data().map(Box::from),
            packet: watched.then(|| Box::new(connect.clone().into_owned())),
        });
        if let Some(conn) = self.conns.get_mut(key) {
            conn.phase = Phase::Authenticating(Box::new(admission));
        }
        match credentials {
            Some(credentials) => {
                self.ask(key, Question::Authenticate(credentials), Matter::Connect);
            }
            None => self.on_authenticated(interest, key, Authenticated::default()),
        }
    }

    fn listener_asks(&self, listener: u16) -> bool {
        let policy = self.config.listeners.get(usize::from(listener));
        policy.is_none_or(|policy| {
            policy.authentication == Authentication::Ask || policy.watch.contains(Watch::CONNECT)
        })
    }

    /// The checks, in the order in which they are reported.
    fn check_connect(
        &mut self,
        peer: &Arc<crate::PeerFacts>,
        connect: &Connect<'_>,
    ) -> Result<Admission, Failure> {
        let served = |policy: &crate::ListenerPolicy| policy.versions.contains(&connect.version);
        if !self
            .config
            .listeners
            .get(usize::from(peer.listener))
            .is_some_and(served)
        {
            let text = format!("MQTT {} is not served on this listener", connect.version);
            return Err(Failure::new(ReasonCode::UnsupportedProtocolVersion, text));
        }
        if self.stopping {
            return Err(Failure::new(
                ReasonCode::ServerShuttingDown,
                "server is shutting down",
            ));
        }
        self.check_client_id(connect)?;
        if connect.properties.authentication_method().is_some()
            && !self.listener_asks(peer.listener)
        {
            let text = "no enhanced authentication is configured on this listener";
            return Err(Failure::new(ReasonCode::BadAuthenticationMethod, text));
        }
        let will = connect
            .will
            .as_ref()
            .map(|will| self.check_will(will))
            .transpose()?;
        let properties = &connect.properties;
        let v5 = connect.version.is_v5();
        let session_expiry_secs = match (v5, connect.clean_start) {
            (true, _) => properties.session_expiry_interval_secs().unwrap_or(0),
            (false, true) => 0,
            (false, false) => u32::MAX,
        };
        Ok(Admission {
            peer: Arc::clone(peer),
            version: connect.version,
            client_id: connect.client_id.as_ref().into(),
            assigned_client_id: false,
            principal: None,
            valid_until: Time::NEVER,
            clean_start: connect.clean_start,
            keep_alive_secs: connect.keep_alive_secs,
            session_expiry_secs,
            receive_maximum: properties.receive_maximum().unwrap_or(u16::MAX),
            max_packet_size_bytes: properties.maximum_packet_size().unwrap_or(u32::MAX),
            topic_alias_maximum: properties.topic_alias_maximum().unwrap_or(0),
            request_response_information: properties.request_response_information() == Some(1),
            request_problem_information: properties.request_problem_information() != Some(0),
            authentication_method: properties.authentication_method().map(Box::from),
            authentication_data: None,
            will: will.map(Box::new),
            properties: Properties::EMPTY,
        })
    }

    fn check_client_id(&self, connect: &Connect<'_>) -> Result<(), Failure> {
        let id = &*connect.client_id;
        let refuse = |text: &str| Err(Failure::new(ReasonCode::ClientIdentifierNotValid, text));
        let limit = usize::from(self.config.limits.max_client_id_bytes);
        match connect.version {
            _ if id.len() > limit => refuse("client id is longer than max_client_id_bytes"),
            Version::V31 if id.is_empty() => refuse("MQTT 3.1 has no empty client id"),
            Version::V31 if id.chars().count() > V31_CLIENT_ID_MAX => {
                refuse("client id of MQTT 3.1 is longer than 23 characters")
            }
            // [3.1.1 MQTT-3.1.3-8]
            Version::V311 if id.is_empty() && !connect.clean_start => {
                refuse("empty client id needs Clean Session in MQTT 3.1.1")
            }
            _ => Ok(()),
        }
    }

    fn check_will(&mut self, will: &tidewire_codec::Will<'_>) -> Result<Will, Failure> {
        let limits = &self.config.limits;
        // [5.0 MQTT-3.2.2-12] [5.0 MQTT-3.2.2-13]
        if will.qos > limits.max_qos {
            return Err(Failure::new(
                ReasonCode::QosNotSupported,
                "will QoS is above max_qos",
            ));
        }
        if will.retain && !limits.retain_available {
            return Err(Failure::new(
                ReasonCode::RetainNotSupported,
                "retained wills are not served",
            ));
        }
        check_publish_topic(will.topic.as_bytes(), limits.max_topic_levels)?;
        let now = self.now;
        let expires = will
            .properties
            .message_expiry_interval_secs()
            .map_or(Time::NEVER, |secs| now.plus_secs(secs.into()));
        let mut properties = Vec::new();
        forwarded_properties(&will.properties, &mut properties);
        let parts = Parts {
            topic: &will.topic,
            properties: &properties,
            payload: &will.payload,
            qos: will.qos,
            retain: will.retain,
            expires,
            received: now,
            origin: None,
            stored: None,
        };
        let message = Message::new(&parts, &mut self.scratch);
        Ok(Will {
            message,
            delay_secs: will.properties.will_delay_interval_secs().unwrap_or(0),
        })
    }

    /// A client id that nobody has and whose home is this worker.
    fn new_client_id(&mut self) -> Box<str> {
        loop {
            let id = format!(
                "tw-{:016x}{:08x}",
                self.next_random(),
                self.next_random() >> 32
            );
            let free =
                self.home_of(&id) == self.config.worker && self.sessions.find(None, &id).is_none();
            if free {
                return id.into();
            }
        }
    }

    /// [5.0 MQTT-3.1.2-1] [5.0 MQTT-3.1.2-2] [3.1.1 MQTT-3.1.2-2]: a level of MQTT that is not served is told so; a
    /// protocol of another name gets no answer.
    fn refuse_version(&mut self, key: ConnKey, name: ProtocolName, level: u8) {
        let text = match name {
            ProtocolName::Other => "CONNECT names a protocol that is not MQTT".to_owned(),
            _ => format!("protocol level {level} is not served; levels 3 (MQIsdp), 4 and 5 are"),
        };
        let failure = Failure::new(ReasonCode::UnsupportedProtocolVersion, text);
        self.report_refused(key, None, &failure);
        if name == ProtocolName::Other {
            self.close(key);
            return;
        }
        if let Some(conn) = self.conns.get_mut(key) {
            // Mosquitto's bridges set the highest bit of a level that they speak, and come again without it when the refusal
            // has the shape of their version.
            let spoken = level & 0x7F;
            let has_shape_of_5 = spoken > Version::V5.level()
                || (spoken == Version::V5.level() && name == ProtocolName::Mqtt);
            conn.version = if has_shape_of_5 {
                Version::V5
            } else {
                Version::V311
            };
        }
        self.refuse(key, failure.reason, &failure.text);
    }

    /// [5.0 MQTT-3.1.4-1] [3.1.1 MQTT-3.1.4-1]: an MQTT 5 client is told why; others are closed without CONNACK.
    fn refuse_malformed(&mut self, key: ConnKey, frame: Frame<'_>, error: &DecodeError) {
        self.stats.malformed_packets += 1;
        let failure = Failure::new(error.reason_code(), error.to_string());
        self.report_refused(key, None, &failure);
        if frame.body.starts_with(b"\x00\x04MQTT\x05") {
            self.refuse(key, failure.reason, &failure.text);
        } else {
            self.close(key);
        }
    }
}

/// Whether a client may publish to a topic of this name at all; `$`-topics are the broker's own.
pub(crate) fn check_publish_topic(name: &[u8], max_levels: u16) -> Result<&str, Failure> {
    let valid = topic::validate_name(name);
    let name = valid.map_err(|error| Failure::new(error.name_reason_code(), error.to_string()))?;
    if topic::levels(name).count() > usize::from(max_levels) {
        return Err(Failure::new(
            ReasonCode::TopicNameInvalid,
            "topic has more than max_topic_levels levels",
        ));
    }
    if name.starts_with('$') {
        return Err(Failure::new(
            ReasonCode::NotAuthorized,
            "clients may not publish to topics that begin with $",
        ));
    }
    Ok(name)
}

/// Whether a QoS may be used under a maximum.
pub(crate) fn check_qos(qos: Qos, maximum: Qos) -> Result<(), Failure> {
    if qos > maximum {
        return Err(Failure::new(
            ReasonCode::QosNotSupported,
            "PUBLISH with a QoS above max_qos",
        ));
    }
    Ok(())
}
