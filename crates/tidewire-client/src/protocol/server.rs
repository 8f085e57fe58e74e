//! What a server announces in CONNACK.

use tidewire_codec::{ConnAck, Properties, Qos};

/// The limits and abilities of the server, as its CONNACK says; before MQTT 5.0 what the version takes for granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Unacknowledged QoS 1 and 2 messages that the server takes at once.
    pub receive_maximum: u16,
    /// The largest packet that the server takes, in bytes with its header.
    pub max_packet_size_bytes: u32,
    /// The largest topic alias that the server takes.
    pub topic_alias_maximum: u16,
    /// The highest quality of service that the server takes messages with.
    pub max_qos: Qos,
    /// Whether the server keeps retained messages.
    pub retain_available: bool,
    /// Whether the server takes filters with wildcards.
    pub wildcard_subscription_available: bool,
    /// Whether the server has shared subscriptions.
    pub shared_subscription_available: bool,
    /// Whether the server takes subscription identifiers.
    pub subscription_identifier_available: bool,
    /// Seconds of keep-alive in force: the server's, if it wants another than the client; 0 = none.
    pub keep_alive_secs: u16,
    /// Seconds that the session outlives the connection, if the server wants another number than the client.
    pub session_expiry_interval_secs: Option<u32>,
    /// The client identifier that the server chose.
    pub assigned_client_id: Option<Box<str>>,
    /// What response topics are built from.
    pub response_information: Option<Box<str>>,
    /// Everything else in CONNACK.
    pub properties: Properties<'static>,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            receive_maximum: u16::MAX,
            max_packet_size_bytes: u32::MAX,
            topic_alias_maximum: 0,
            max_qos: Qos::ExactlyOnce,
            retain_available: true,
            wildcard_subscription_available: true,
            shared_subscription_available: true,
            subscription_identifier_available: true,
            keep_alive_secs: 0,
            session_expiry_interval_secs: None,
            assigned_client_id: None,
            response_information: None,
            properties: Properties::EMPTY,
        }
    }
}

impl ServerLimits {
    pub(crate) fn of(connack: &ConnAck<'_>, keep_alive_secs: u16) -> Self {
        let said = &connack.properties;
        let available = |flag: Option<u8>| flag != Some(0);
        Self {
            receive_maximum: said.receive_maximum().unwrap_or(u16::MAX),
            max_packet_size_bytes: said.maximum_packet_size().unwrap_or(u32::MAX),
            topic_alias_maximum: said.topic_alias_maximum().unwrap_or(0),
            max_qos: match said.maximum_qos() {
                Some(0) => Qos::AtMostOnce,
                Some(_) => Qos::AtLeastOnce,
                None => Qos::ExactlyOnce,
            },
            retain_available: available(said.retain_available()),
            wildcard_subscription_available: available(said.wildcard_subscription_available()),
            shared_subscription_available: available(said.shared_subscription_available()),
            subscription_identifier_available: available(said.subscription_identifier_available()),
            keep_alive_secs: said.server_keep_alive_secs().unwrap_or(keep_alive_secs),
            session_expiry_interval_secs: said.session_expiry_interval_secs(),
            assigned_client_id: said.assigned_client_identifier().map(Box::from),
            response_information: said.response_information().map(Box::from),
            properties: said.clone().into_owned(),
        }
    }
}
