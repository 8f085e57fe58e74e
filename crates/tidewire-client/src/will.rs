//! The will, as an application gives it.

use std::time::Duration;

use tidewire_codec::{Property, Version, Will};

use crate::options_error::OptionsError;
use crate::protocol::Publish;

/// The will: what the server publishes when the connection ends without a farewell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWill {
    message: Publish,
    delay_secs: u32,
}

impl LastWill {
    /// This message, at once.
    #[must_use]
    pub const fn new(message: Publish) -> Self {
        Self {
            message,
            delay_secs: 0,
        }
    }

    /// Not before this time has passed, in which the client may come back (MQTT 5.0).
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay_secs = u32::try_from(delay.as_secs()).unwrap_or(u32::MAX);
        self
    }

    /// DUP means nothing in a will. Accepted, so that options of other clients can be carried over, and ignored.
    #[must_use]
    pub const fn duplicate(self) -> Self {
        self
    }

    pub(crate) fn packet(&self, version: Version) -> Result<Will<'static>, OptionsError> {
        self.message.check(version).map_err(OptionsError::Will)?;
        if self.delay_secs > 0 && !version.is_v5() {
            return Err(OptionsError::NeedsV5("the will delay"));
        }
        let mut properties = self.message.properties.clone();
        if self.delay_secs > 0 {
            properties
                .push(Property::WillDelayInterval(self.delay_secs))
                .map_err(OptionsError::Property)?;
        }
        Ok(Will {
            qos: self.message.qos,
            retain: self.message.retain,
            properties,
            topic: self.message.topic.to_string().into(),
            payload: self.message.payload.to_vec().into(),
        })
    }
}
