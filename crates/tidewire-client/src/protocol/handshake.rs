//! CONNECT, CONNACK and AUTH: how a connection begins, and who the peers are.

use tidewire_codec::{
    Auth, ConnAck, Frame, Packet, PacketType, Properties, Property, ReasonCode, Version,
};

use super::cause::{Cause, Farewell};
use super::machine::{Machine, Phase};
use super::open::{Authentication, Open};
use super::output::{Connected, Output, RequestError, SessionOrigin};
use super::server::ServerLimits;
use super::time::Time;

impl Machine {
    pub(crate) fn on_open(&mut self, now: Time, open: Box<Open>) {
        self.fail_requests(RequestError::ConnectionLost);
        self.forget_connection();
        self.open = open;
        self.phase = Phase::Connecting;
        self.connack_due = Some(now.plus(self.open.connack_timeout));
        let written = match self.open.connect() {
            Ok(connect) => Packet::Connect(connect).encode(self.open.version, self.out.tail()),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            self.end(now, Cause::CannotSend(error));
        }
    }

    pub(crate) fn on_connack(&mut self, now: Time, connack: &ConnAck<'_>) {
        if self.phase != Phase::Connecting {
            return self.unexpected(now, PacketType::ConnAck, "the connection is open already");
        }
        if connack.reason != ReasonCode::Success {
            return self.end(
                now,
                Cause::Refused(farewell(connack.reason, &connack.properties)),
            );
        }
        if connack.session_present && self.open.clean_start {
            self.phase = Phase::Live;
            return self.end(now, Cause::UnexpectedSession);
        }
        if !self.has_agreed_method(&connack.properties) {
            self.phase = Phase::Live;
            let why = "its authentication method is not the one of CONNECT";
            return self.unexpected(now, PacketType::ConnAck, why);
        }
        self.server = ServerLimits::of(connack, self.open.keep_alive_secs);
        self.phase = Phase::Live;
        self.keep_alive
            .start(now, self.server.keep_alive_secs, self.open.ping_timeout);
        self.enter_session(now, connack.session_present);
    }

    /// MQTT 3.1 does not tell whether it goes on with a session: the client takes it that it does what it was asked for.
    fn enter_session(&mut self, now: Time, session_present: bool) {
        let is_resumed =
            session_present || (self.version() == Version::V31 && !self.open.clean_start);
        self.outgoing.max = self
            .server
            .receive_maximum
            .min(self.open.max_inflight)
            .max(1);
        let session = if is_resumed {
            SessionOrigin::Resumed
        } else {
            self.lose_session();
            SessionOrigin::New
        };
        self.emit(Output::Connected(Box::new(Connected {
            version: self.open.version,
            session,
            server: self.server.clone(),
        })));
        if is_resumed {
            self.begin_resend(now);
        }
    }

    /// A server of an older version answers CONNECT of MQTT 5.0 in the form that it knows.
    pub(crate) fn is_refusal_of_version(&self, frame: Frame<'_>) -> bool {
        self.phase == Phase::Connecting
            && self.version().is_v5()
            && frame.bytes == [0x20, 0x02, 0x00, 0x01]
    }

    pub(crate) fn on_auth(&mut self, now: Time, auth: &Auth<'_>) {
        let is_expected = match self.phase {
            Phase::Connecting => {
                self.open.authentication.is_some() && auth.reason != ReasonCode::Success
            }
            _ => self.reauthenticating,
        };
        if !is_expected {
            return self.unexpected(now, PacketType::Auth, "no authentication is going on");
        }
        let is_bare_success = auth.reason == ReasonCode::Success && auth.properties.is_empty();
        if !is_bare_success && !self.has_agreed_method(&auth.properties) {
            let why = "its authentication method is not the one of CONNECT";
            return self.unexpected(now, PacketType::Auth, why);
        }
        let data = auth.properties.authentication_data().map(Box::from);
        if auth.reason == ReasonCode::Success {
            self.reauthenticating = false;
            self.emit(Output::Reauthenticated { data });
        } else {
            self.emit(Output::Challenge { data });
        }
    }

    pub(crate) fn on_reauthenticate(&mut self, now: Time, data: Option<&[u8]>) {
        if self.phase == Phase::Live && self.open.authentication.is_some() {
            self.reauthenticating = true;
            self.send_auth(now, ReasonCode::ReAuthenticate, data);
        }
    }

    /// Sends AUTH; without an authentication method in CONNECT there is none to send.
    pub(crate) fn send_auth(&mut self, now: Time, reason: ReasonCode, data: Option<&[u8]>) {
        let is_going_on = self.phase == Phase::Connecting || self.reauthenticating;
        let Some(Authentication { method, .. }) = &self.open.authentication else {
            return;
        };
        if !is_going_on || matches!(self.phase, Phase::Idle | Phase::Ended) {
            return;
        }
        let mut properties = Properties::EMPTY;
        let pushed = properties
            .push(Property::AuthenticationMethod(method))
            .and_then(|()| {
                data.map_or(Ok(()), |data| {
                    properties.push(Property::AuthenticationData(data))
                })
            });
        match pushed {
            Ok(()) => self.send(now, &Packet::Auth(Auth { reason, properties })),
            Err(error) => self.end(now, Cause::CannotSend(error)),
        }
    }

    fn has_agreed_method(&self, properties: &Properties<'_>) -> bool {
        let ours = self.open.authentication.as_ref().map(|ours| &*ours.method);
        properties.authentication_method() == ours
    }
}

/// What the server says when it refuses or ends a connection.
pub(crate) fn farewell(reason: ReasonCode, properties: &Properties<'_>) -> Farewell {
    Farewell {
        reason,
        text: properties.reason_string().map(Box::from),
        server_reference: properties.server_reference().map(Box::from),
    }
}
