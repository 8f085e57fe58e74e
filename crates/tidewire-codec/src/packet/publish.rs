//! PUBLISH: 3.3 of the specifications.

use std::borrow::Cow;
use std::fmt;

use crate::frame::Frame;
use crate::packet::publish_header::PublishHeader;
use crate::packet::publish_view::PublishView;
use crate::packet::{owned_bytes, owned_text};
use crate::{DecodeError, EncodeError, PacketId, Properties, Qos, Sender, Version, topic};

/// An application message on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// A repetition of an earlier attempt; never at QoS 0.
    pub dup: bool,
    /// The quality of service of this hop.
    pub qos: Qos,
    /// Keep it as the topic's retained message, or: it is one.
    pub retain: bool,
    /// The topic name; empty only with a topic alias.
    pub topic: Cow<'a, str>,
    /// Present at QoS 1 and 2, absent at QoS 0.
    pub packet_id: Option<PacketId>,
    /// Empty before MQTT 5.0.
    pub properties: Properties<'a>,
    /// The message itself.
    pub payload: Cow<'a, [u8]>,
}

impl<'a> Publish<'a> {
    pub(crate) fn decode(
        version: Version,
        sender: Sender,
        frame: Frame<'a>,
    ) -> Result<Self, DecodeError> {
        let view = PublishView::parse(version, sender, frame)?;
        let topic = match view.topic {
            // The view has made sure that there is an alias then.
            [] => "",
            name => topic::validate_name(name).map_err(DecodeError::TopicName)?,
        };
        Ok(Publish {
            dup: view.dup(),
            qos: view.qos(),
            retain: view.retain(),
            topic: Cow::Borrowed(topic),
            packet_id: view.packet_id,
            properties: view.properties,
            payload: Cow::Borrowed(view.payload),
        })
    }

    pub(crate) fn encode(&self, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let is_alias_alone =
            version.is_v5() && self.topic.is_empty() && self.properties.topic_alias().is_some();
        if !is_alias_alone {
            topic::validate_name(self.topic.as_bytes()).map_err(EncodeError::TopicName)?;
        }
        self.properties
            .check_carried_by(crate::PacketType::Publish)?;
        let header = PublishHeader {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: &self.topic,
            packet_id: self.packet_id,
            properties: &[self.properties.as_bytes()],
            payload_len: self.payload.len(),
        };
        header.encode(version, out)?;
        out.extend_from_slice(&self.payload);
        Ok(())
    }

    /// The same, with texts and bytes of its own.
    #[must_use]
    pub fn into_owned(self) -> Publish<'static> {
        Publish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: owned_text(self.topic),
            packet_id: self.packet_id,
            properties: self.properties.into_owned(),
            payload: owned_bytes(self.payload),
        }
    }
}

/// Shows the length of the payload, not the payload.
impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("dup", &self.dup)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("topic", &self.topic)
            .field("packet_id", &self.packet_id)
            .field("properties", &self.properties)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}
