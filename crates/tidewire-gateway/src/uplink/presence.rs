//! What an uplink says about itself: ONLINE and OFFLINE, and the list of devices.

use super::settings::{TopicSettings, UplinkSettings};
use super::topic::Names;
use crate::Hub;
use serde_json::json;
use tidewire_client::{LastWill, Publish, Qos};

/// ONLINE, OFFLINE and the list of devices, all retained.
#[derive(Debug)]
pub(crate) struct Presence {
    gateway: Box<str>,
    /// The name in the status: the client identifier, as in FreeIOE's apps.
    device: Box<str>,
    topics: TopicSettings,
}

impl Presence {
    pub(crate) fn new(gateway: &str, settings: &UplinkSettings) -> Self {
        Self {
            gateway: gateway.into(),
            device: settings.client_id.clone(),
            topics: settings.topics.clone(),
        }
    }

    fn names(&self) -> Names<'_> {
        Names {
            gateway: &self.gateway,
            ..Names::default()
        }
    }

    fn status(&self, word: &str) -> Publish {
        let payload = json!({"device": self.device, "status": word}).to_string();
        Publish::new(self.topics.status.topic(self.names()), payload)
            .qos(Qos::AtLeastOnce)
            .retained()
    }

    pub(crate) fn will(&self) -> LastWill {
        LastWill::new(self.status("OFFLINE"))
    }

    pub(crate) fn online(&self) -> Publish {
        self.status("ONLINE")
    }

    pub(crate) fn offline(&self) -> Publish {
        self.status("OFFLINE")
    }

    /// The list as it is now.
    pub(crate) fn devices(&self, hub: &Hub) -> Publish {
        let payload = hub.device_list().to_string();
        Publish::new(self.topics.devices.topic(self.names()), payload)
            .qos(Qos::AtLeastOnce)
            .retained()
    }

    /// The filters of requests.
    pub(crate) fn requests(&self) -> Vec<String> {
        let prefix = self.topics.request.topic(self.names());
        ["app", "sys", "output", "command"]
            .map(|kind| format!("{prefix}{kind}/#"))
            .to_vec()
    }

    /// What the topics of requests begin with.
    pub(crate) fn request_prefix(&self) -> String {
        self.topics.request.topic(self.names())
    }

    /// Where answers go.
    pub(crate) fn result_topic(&self, kind: &str) -> String {
        format!("{}{kind}", self.topics.result.topic(self.names()))
    }
}
