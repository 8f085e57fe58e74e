//! Messages, as an application gives them to the client and gets them from it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::{
    Carrier, DecodeError, EncodeError, PacketId, Properties, Property, Qos, TopicError, Version,
    topic,
};

/// A message to publish. Cloning one shares topic and payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) properties: Properties<'static>,
    /// The first property that could not be added: told when the message is published.
    fault: Option<EncodeError>,
}

impl Publish {
    /// A message with QoS 0, not retained, without properties.
    #[must_use]
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.into(),
            qos: Qos::AtMostOnce,
            retain: false,
            properties: Properties::EMPTY,
            fault: None,
        }
    }

    /// With this quality of service.
    #[must_use]
    pub fn qos(mut self, qos: Qos) -> Self {
        self.qos = qos;
        self
    }

    /// To be kept by the server as the topic's retained message.
    #[must_use]
    pub fn retained(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The message is void after this time (MQTT 5.0); a message that waits longer before it is sent is not sent.
    #[must_use]
    pub fn expires_after(self, interval: Duration) -> Self {
        let secs = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
        self.property(Property::MessageExpiryInterval(secs))
    }

    /// The payload is UTF-8 text (MQTT 5.0).
    #[must_use]
    pub fn text(self) -> Self {
        self.property(Property::PayloadFormatIndicator(1))
    }

    /// What the payload is, for instance its media type (MQTT 5.0).
    #[must_use]
    pub fn content_type(self, content_type: &str) -> Self {
        self.property(Property::ContentType(content_type))
    }

    /// The topic to answer on (MQTT 5.0).
    #[must_use]
    pub fn response_topic(self, topic: &str) -> Self {
        self.property(Property::ResponseTopic(topic))
    }

    /// What tells the requester which request an answer is for (MQTT 5.0).
    #[must_use]
    pub fn correlation_data(self, data: &[u8]) -> Self {
        self.property(Property::CorrelationData(data))
    }

    /// A name and a value of the application's own (MQTT 5.0); may be called several times.
    #[must_use]
    pub fn user_property(self, name: &str, value: &str) -> Self {
        self.property(Property::UserProperty(name, value))
    }

    /// With another payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Bytes>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Further properties (MQTT 5.0).
    #[must_use]
    pub fn properties(self, properties: &Properties<'_>) -> Self {
        properties.iter().fold(self, Self::property)
    }

    /// To another topic.
    #[must_use]
    pub(crate) fn with_topic(mut self, topic: impl Into<Arc<str>>) -> Self {
        self.topic = topic.into();
        self
    }

    /// The topic name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    fn property(mut self, property: Property<'_>) -> Self {
        if let Err(fault) = self.properties.push(property) {
            self.fault.get_or_insert(fault);
        }
        self
    }

    /// Whether a connection of this version can carry the message.
    ///
    /// # Errors
    /// What [`PublishFault`] lists.
    pub fn check(&self, version: Version) -> Result<(), PublishFault> {
        if let Some(fault) = self.fault {
            return Err(PublishFault::Property(fault));
        }
        topic::validate_name(self.topic.as_bytes()).map_err(PublishFault::Topic)?;
        if let Some(property) = self.properties.iter().next() {
            if !version.is_v5() {
                return Err(PublishFault::NeedsV5(property.id().name()));
            }
            Properties::from_bytes(self.properties.as_bytes(), Carrier::PublishFromClient)
                .map_err(PublishFault::Misplaced)?;
        }
        Ok(())
    }

    /// What the message holds in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.as_bytes().len()
    }

    /// How long the message is worth sending.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        let secs = self.properties.message_expiry_interval_secs()?;
        Some(Duration::from_secs(secs.into()))
    }
}

/// Shows the length of the payload, not the payload.
impl fmt::Debug for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("properties", &self.properties)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

/// Why a message cannot be published on a connection of this version, whatever the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishFault {
    /// The topic is no topic name.
    Topic(TopicError),
    /// The property of this name exists in MQTT 5.0 only.
    NeedsV5(&'static str),
    /// A property's value cannot be sent.
    Property(EncodeError),
    /// A property that a client may not send with a message.
    Misplaced(DecodeError),
}

impl fmt::Display for PublishFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(error) => write!(f, "the topic name is not valid: {error}"),
            Self::NeedsV5(field) => write!(
                f,
                "{field} exists in MQTT 5.0 only; connect with version 5 or leave it out"
            ),
            Self::Property(error) => write!(f, "a property cannot be sent: {error}"),
            Self::Misplaced(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PublishFault {}

/// A message that came from the server. Cloning one shares topic and payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic name, aliases resolved.
    pub topic: Arc<str>,
    /// The message itself.
    pub payload: Bytes,
    /// The quality of service that the server delivered it with.
    pub qos: Qos,
    /// It was retained by the server, or, on a subscription with Retain As Published, published so.
    pub retain: bool,
    /// The server sends it again; never at QoS 0.
    pub dup: bool,
    /// The packet identifier that it came with; none at QoS 0.
    pub packet_id: Option<PacketId>,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'static>,
}

impl Message {
    /// The payload, if it is text.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.payload).ok()
    }

    /// What the message holds in memory, in bytes, with what keeping it costs.
    pub(crate) fn size(&self) -> usize {
        const OVERHEAD: usize = 128;
        OVERHEAD + self.topic.len() + self.payload.len() + self.properties.as_bytes().len()
    }
}

/// Shows the length of the payload, not the payload.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("dup", &self.dup)
            .field("properties", &self.properties)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}
