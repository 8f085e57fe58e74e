//! AUTH: enhanced authentication, at CONNECT time and later \[5.0 4.12\].

use crate::asks::Matter;
use crate::conn::{Conn, Failure, Phase};
use crate::core::Core;
use crate::keys::ConnKey;
use crate::output::{AuthenticationStep, Question};
use crate::send::fits;
use crate::timers::Timer;
use tidewire_codec::{Auth, Packet, Properties, Property, ReasonCode};

impl Core {
    /// AUTH on a live connection: the client authenticates anew.
    pub(crate) fn on_auth(&mut self, key: ConnKey, auth: &Auth<'_>) -> Result<(), Failure> {
        let Some(conn) = self.conns.get(key) else {
            return Ok(());
        };
        let step = match auth.reason {
            ReasonCode::ReAuthenticate => AuthenticationStep::Again,
            _ => AuthenticationStep::Continue,
        };
        if step == AuthenticationStep::Continue && !conn.reauthenticating {
            return Err(Failure::new(
                ReasonCode::ProtocolError,
                "AUTH continues an exchange that nobody has begun",
            ));
        }
        let method = checked_method(conn.authentication_method.as_deref(), auth)?;
        let client_id = self
            .sessions
            .session_in(conn.session)
            .map_or("", |session| session.client_id());
        let question = Question::AuthenticationStep {
            conn: key,
            client_id: client_id.into(),
            method,
            data: auth.properties.authentication_data().map(Box::from),
            step,
        };
        if let Some(conn) = self.conns.get_mut(key) {
            conn.reauthenticating = true;
        }
        self.ask(key, question, Matter::ReAuthenticate);
        Ok(())
    }

    /// AUTH while CONNECT is being decided.
    pub(crate) fn on_auth_before_session(
        &mut self,
        key: ConnKey,
        auth: &Auth<'_>,
    ) -> Result<(), Failure> {
        let Some(conn) = self.conns.get(key) else {
            return Ok(());
        };
        let Phase::Authenticating(admission) = &conn.phase else {
            return Err(Failure::new(
                ReasonCode::ProtocolError,
                "AUTH before CONNECT",
            ));
        };
        if auth.reason != ReasonCode::ContinueAuthentication {
            return Err(Failure::new(
                ReasonCode::ProtocolError,
                "AUTH before CONNACK must continue the exchange",
            ));
        }
        let method = checked_method(admission.authentication_method.as_deref(), auth)?;
        let question = Question::AuthenticationStep {
            conn: key,
            client_id: admission.client_id.clone(),
            method,
            data: auth.properties.authentication_data().map(Box::from),
            step: AuthenticationStep::Continue,
        };
        self.ask(key, question, Matter::Connect);
        Ok(())
    }

    /// Whether an AUTH with this data may be sent: CONNECT must have named a method \[5.0 MQTT-4.12.0-6\], and the client
    /// must take a packet of that size \[5.0 MQTT-3.1.2-24\].
    pub(crate) fn may_send_auth(&self, key: ConnKey, data: &[u8]) -> bool {
        let Some(conn) = self.conns.get(key) else {
            return false;
        };
        let packet = auth_packet(conn, ReasonCode::ContinueAuthentication, Some(data));
        method_of(conn).is_some() && fits(&packet, conn.max_packet_size_bytes)
    }

    /// [5.0 MQTT-4.12.0-2]
    pub(crate) fn send_auth_continue(&mut self, key: ConnKey, data: &[u8]) {
        self.send_auth(key, ReasonCode::ContinueAuthentication, Some(data));
        let deadline = self
            .now
            .plus_secs(self.config.limits.connect_timeout_secs.into());
        self.timers.schedule(deadline, Timer::Connect(key));
    }

    pub(crate) fn send_auth_success(&mut self, key: ConnKey, data: Option<&[u8]>) {
        if let Some(conn) = self.conns.get_mut(key) {
            conn.reauthenticating = false;
        }
        self.send_auth(key, ReasonCode::Success, data);
    }

    fn send_auth(&mut self, key: ConnKey, reason: ReasonCode, data: Option<&[u8]>) {
        if let Some(conn) = self.conns.get(key) {
            let packet = auth_packet(conn, reason, data);
            self.send_packet(key, &packet);
        }
    }
}

fn method_of(conn: &Conn) -> Option<&str> {
    match &conn.phase {
        Phase::Authenticating(admission) => admission.authentication_method.as_deref(),
        _ => conn.authentication_method.as_deref(),
    }
}

fn auth_packet(conn: &Conn, reason: ReasonCode, data: Option<&[u8]>) -> Packet<'static> {
    let mut properties = Properties::EMPTY;
    // [5.0 MQTT-4.12.0-5]. Both were legal properties when they came in, so they can be sent.
    if let Some(method) = method_of(conn) {
        let _ = properties.push(Property::AuthenticationMethod(method));
    }
    if let Some(data) = data {
        let _ = properties.push(Property::AuthenticationData(data));
    }
    let properties = properties.into_owned();
    Packet::Auth(Auth { reason, properties })
}

/// The method must be the one that CONNECT named \[5.0 MQTT-4.12.0-7\] \[5.0 MQTT-4.12.1-1\].
fn checked_method(expected: Option<&str>, auth: &Auth<'_>) -> Result<Box<str>, Failure> {
    let Some(expected) = expected else {
        return Err(Failure::new(
            ReasonCode::ProtocolError,
            "AUTH without an Authentication Method in CONNECT",
        ));
    };
    if auth.properties.authentication_method() != Some(expected) {
        return Err(Failure::new(
            ReasonCode::ProtocolError,
            "AUTH names another Authentication Method than CONNECT",
        ));
    }
    Ok(expected.into())
}
