//! A retained message as a line of JSON.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use tidewire_broker::RetainedPage;
use tidewire_codec::{Carrier, Properties, Property, Publish, Qos, topic};
use tidewire_core::RetainedRow;

/// A retained message. The payload is text where it is UTF-8, else base64.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, Debug)]
pub(crate) struct RetainedMessage {
    /// Topic name.
    pub(crate) topic: String,
    /// The QoS that it was published with.
    pub(crate) qos: u8,
    /// The payload as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// The payload in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payload: Option<String>,
    /// Properties of MQTT 5 that are forwarded as they are, as they travel, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) properties: Option<String>,
    /// Seconds until it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expiry_secs: Option<u32>,
}

impl RetainedMessage {
    pub(crate) fn new(row: &RetainedRow) -> Self {
        let message = &row.message;
        let text = std::str::from_utf8(message.payload()).ok();
        let properties = message.properties();
        Self {
            topic: message.topic().to_owned(),
            qos: message.qos() as u8,
            text: text.map(str::to_owned),
            payload: text
                .is_none()
                .then(|| BASE64_STANDARD.encode(message.payload())),
            properties: (!properties.is_empty()).then(|| BASE64_STANDARD.encode(properties)),
            expiry_secs: row.expiry_left_secs,
        }
    }

    pub(crate) fn page(page: &RetainedPage) -> Vec<Self> {
        page.rows.iter().map(Self::new).collect()
    }

    /// The payload.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, String> {
        match (&self.text, &self.payload) {
            (Some(text), None) => Ok(text.clone().into_bytes()),
            (None, Some(payload)) => BASE64_STANDARD
                .decode(payload)
                .map_err(|error| format!("`payload` is not base64: {error}")),
            _ => Err("either `text` or `payload` has to be there".to_owned()),
        }
    }

    /// The packet that has the topic keep it.
    pub(crate) fn publish(&self) -> Result<Publish<'static>, String> {
        topic::validate_name(self.topic.as_bytes())
            .map_err(|error| format!("{:?} is no topic name: {error}", self.topic))?;
        let payload = self.bytes()?;
        if payload.is_empty() {
            return Err("an empty message would delete what is retained".to_owned());
        }
        let qos = match self.qos {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            2 => Qos::ExactlyOnce,
            other => return Err(format!("`qos` is {other}; it can be 0, 1 or 2")),
        };
        Ok(Publish {
            dup: false,
            qos,
            retain: true,
            topic: self.topic.clone().into(),
            packet_id: None,
            properties: self.all_properties()?,
            payload: payload.into(),
        })
    }

    fn all_properties(&self) -> Result<Properties<'static>, String> {
        let encoded = self.properties.as_deref().unwrap_or_default();
        let bytes = BASE64_STANDARD
            .decode(encoded)
            .map_err(|error| format!("`properties` is not base64: {error}"))?;
        let mut properties = Properties::from_bytes(&bytes, Carrier::PublishFromClient)
            .map_err(|error| format!("`properties` are none: {error}"))?
            .into_owned();
        if let Some(secs) = self.expiry_secs {
            properties
                .push(Property::MessageExpiryInterval(secs))
                .map_err(|error| format!("`expiry_secs`: {error}"))?;
        }
        Ok(properties)
    }
}

/// The publish that has a topic keep nothing.
pub(crate) fn removal(topic: &str) -> Publish<'static> {
    Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: true,
        topic: topic.to_owned().into(),
        packet_id: None,
        properties: Properties::EMPTY,
        payload: Vec::new().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: Option<&str>, payload: Option<&str>) -> RetainedMessage {
        RetainedMessage {
            topic: "a/b".to_owned(),
            qos: 1,
            text: text.map(str::to_owned),
            payload: payload.map(str::to_owned),
            properties: None,
            expiry_secs: Some(7),
        }
    }

    #[test]
    fn message_becomes_a_packet_with_all_that_it_says() {
        let publish = message(None, Some("/wA=")).publish().expect("a packet");
        assert_eq!(
            (&*publish.payload, publish.qos),
            (&[255, 0][..], Qos::AtLeastOnce)
        );
        assert_eq!(publish.properties.message_expiry_interval_secs(), Some(7));
        assert!(publish.retain);
    }

    #[test]
    fn what_cannot_be_retained_is_refused_with_a_reason() {
        let wrong = [
            message(Some(""), None),
            message(Some("x"), Some("eA==")),
            message(None, Some("?")),
            RetainedMessage {
                qos: 3,
                ..message(Some("x"), None)
            },
            RetainedMessage {
                topic: "a/#".to_owned(),
                ..message(Some("x"), None)
            },
            RetainedMessage {
                properties: Some("AQ==".to_owned()),
                ..message(Some("x"), None)
            },
        ];
        for wrong in wrong {
            assert!(wrong.publish().is_err(), "{wrong:?}");
        }
    }
}
