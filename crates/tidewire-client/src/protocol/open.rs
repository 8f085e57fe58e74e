//! What a connection is opened with.

use std::fmt;
use std::time::Duration;

use tidewire_codec::{Connect, EncodeError, Properties, Property, Version, Will};

/// How an exchange of enhanced authentication begins (MQTT 5.0).
#[derive(Clone, PartialEq, Eq)]
pub struct Authentication {
    /// The name of the method.
    pub method: Box<str>,
    /// Its first message; secret.
    pub data: Option<Box<[u8]>>,
}

/// All that one connection is opened with: CONNECT and how to go about it.
#[derive(Clone, PartialEq, Eq)]
pub struct Open {
    /// The version of the protocol.
    pub version: Version,
    /// The client identifier; empty if the server shall choose one.
    pub client_id: Box<str>,
    /// Begin a new session (Clean Session before MQTT 5.0).
    pub clean_start: bool,
    /// Seconds without a packet after which the client shows that it lives; 0 = never.
    pub keep_alive_secs: u16,
    /// User name.
    pub username: Option<Box<str>>,
    /// Password; before MQTT 5.0 only with a user name.
    pub password: Option<Box<[u8]>>,
    /// What the server publishes when the connection ends without a farewell.
    pub will: Option<Will<'static>>,
    /// Seconds that the session outlives the connection (MQTT 5.0); `u32::MAX` = for ever.
    pub session_expiry_interval_secs: u32,
    /// Unacknowledged QoS 1 and 2 messages that this client takes at once (announced in MQTT 5.0 only).
    pub receive_maximum: u16,
    /// Unacknowledged QoS 1 and 2 messages that this client sends at once; the server's Receive Maximum may lower it.
    pub max_inflight: u16,
    /// The largest packet that this client takes, in bytes with its header (announced in MQTT 5.0 only).
    pub max_packet_size_bytes: u32,
    /// The largest topic alias that this client takes (MQTT 5.0).
    pub topic_alias_maximum: u16,
    /// Enhanced authentication (MQTT 5.0).
    pub authentication: Option<Authentication>,
    /// Further properties: user properties, Request Response Information, Request Problem Information (MQTT 5.0).
    pub properties: Properties<'static>,
    /// How long to wait for CONNACK.
    pub connack_timeout: Duration,
    /// How long to wait for PINGRESP.
    pub ping_timeout: Duration,
}

impl Open {
    /// A new session with default limits and a keep-alive of 60 seconds.
    #[must_use]
    pub fn new(version: Version, client_id: &str) -> Self {
        Self {
            version,
            client_id: client_id.into(),
            clean_start: true,
            keep_alive_secs: 60,
            username: None,
            password: None,
            will: None,
            session_expiry_interval_secs: 0,
            // Enough for any round trip, and a bound on what an application that does not acknowledge holds.
            receive_maximum: 1024,
            max_inflight: Self::default_max_inflight(version),
            max_packet_size_bytes: 16 * 1024 * 1024,
            topic_alias_maximum: 64,
            authentication: None,
            properties: Properties::EMPTY,
            connack_timeout: Duration::from_secs(10),
            ping_timeout: Duration::from_secs(10),
        }
    }

    /// Before MQTT 5.0 a server cannot say how many messages it takes at once; mosquitto takes 20, and silently drops
    /// a QoS 2 message beyond them.
    pub(crate) const fn default_max_inflight(version: Version) -> u16 {
        match version {
            Version::V5 => 1024,
            Version::V31 | Version::V311 => 20,
        }
    }

    /// The CONNECT packet.
    pub(crate) fn connect(&self) -> Result<Connect<'_>, EncodeError> {
        Ok(Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_secs: self.keep_alive_secs,
            properties: self.connect_properties()?,
            client_id: (&*self.client_id).into(),
            will: self.will.clone(),
            username: self.username.as_deref().map(Into::into),
            password: self.password.as_deref().map(Into::into),
        })
    }

    fn connect_properties(&self) -> Result<Properties<'static>, EncodeError> {
        let mut properties = self.properties.clone();
        if !self.version.is_v5() {
            return Ok(Properties::EMPTY);
        }
        if self.session_expiry_interval_secs > 0 {
            properties.push(Property::SessionExpiryInterval(
                self.session_expiry_interval_secs,
            ))?;
        }
        if self.receive_maximum < u16::MAX {
            properties.push(Property::ReceiveMaximum(self.receive_maximum.max(1)))?;
        }
        properties.push(Property::MaximumPacketSize(
            self.max_packet_size_bytes.max(1),
        ))?;
        if self.topic_alias_maximum > 0 {
            properties.push(Property::TopicAliasMaximum(self.topic_alias_maximum))?;
        }
        if let Some(Authentication { method, data }) = &self.authentication {
            properties.push(Property::AuthenticationMethod(method))?;
            if let Some(data) = data {
                properties.push(Property::AuthenticationData(data))?;
            }
        }
        Ok(properties)
    }
}

/// Shows no secret.
impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_secs", &self.keep_alive_secs)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}
