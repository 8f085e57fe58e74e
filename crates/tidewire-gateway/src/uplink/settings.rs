//! What an uplink is told.

use super::outflow::Order;
use super::topic::Template;
use crate::pipeline::Compression;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tidewire_client::{Tls, Version};

/// A secret: shown nowhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What payloads look like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// One JSON object for each value, with FreeIOE's fields.
    FreeIoe,
    /// Many points in one JSON object.
    Batch,
}

/// How a certificate authority and an identity are given.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TlsFiles {
    /// Certificates that are trusted; empty = the system's.
    pub ca_file: Option<PathBuf>,
    /// The gateway's own certificate.
    pub cert_file: Option<PathBuf>,
    /// Its key.
    pub key_file: Option<PathBuf>,
}

impl TlsFiles {
    pub(crate) fn tls(&self) -> Tls {
        let mut tls = Tls::new();
        if let Some(file) = &self.ca_file {
            tls = tls.ca_file(file);
        }
        if let (Some(cert), Some(key)) = (&self.cert_file, &self.key_file) {
            tls = tls.identity(cert, key);
        }
        tls
    }
}

/// The topics of an uplink.
#[derive(Clone, PartialEq, Debug)]
pub struct TopicSettings {
    /// Values.
    pub data: Template,
    /// Events.
    pub event: Template,
    /// Statistics.
    pub stat: Template,
    /// The list of devices, retained.
    pub devices: Template,
    /// ONLINE and OFFLINE, retained.
    pub status: Template,
    /// What answers to requests begin with.
    pub result: Template,
    /// What requests begin with; `app/#`, `sys/#`, `output/#` and `command/#` below it are subscribed.
    pub request: Template,
}

/// An uplink.
#[derive(Clone, PartialEq, Debug)]
pub struct UplinkSettings {
    /// Its name, in files and figures.
    pub name: Box<str>,
    /// Servers, tried in turn.
    pub servers: Vec<String>,
    /// The client identifier.
    pub client_id: Box<str>,
    /// User name.
    pub username: Option<Box<str>>,
    /// Password.
    pub password: Option<Secret>,
    /// Version of MQTT.
    pub version: Version,
    /// Silence after which the client shows that it lives.
    pub keep_alive: Duration,
    /// Certificates.
    pub tls: TlsFiles,
    /// What payloads look like.
    pub payload: Payload,
    /// Topics.
    pub topics: TopicSettings,
    /// Compression of batches.
    pub compression: Compression,
    /// Points in a packet.
    pub batch_points: u32,
    /// Bytes in a packet before compression.
    pub batch_bytes: u32,
    /// The longest that a point waits for others.
    pub batch_age: Duration,
    /// Packets on their way at once.
    pub window: u16,
    /// Which data come first after an outage.
    pub order: Order,
    /// Points per second of back-fill; 0 = no bound.
    pub backfill_rate: u32,
    /// Whether requests from the server are carried out.
    pub downlink: bool,
    /// Longest time for a request.
    pub request_timeout: Duration,
}
