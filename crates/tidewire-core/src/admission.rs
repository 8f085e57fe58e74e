//! What a connection brings along when it moves to the worker of its session.

use crate::message::Message;
use crate::time::Time;
use std::sync::Arc;
use tidewire_codec::{Properties, Version};

/// What the transport knows about the peer.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PeerFacts {
    /// Index of the listener in [`Config::listeners`](crate::Config::listeners).
    pub listener: u16,
    /// The peer's address as text, `192.0.2.7:50123` or a transport's own form; behind a trusted proxy the one that it names.
    pub address: Box<str>,
    /// What was settled before the first byte of MQTT, if anything was.
    pub way: Option<Box<WayFacts>>,
}

/// What a connection passed through before its first byte of MQTT.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WayFacts {
    /// The address of the proxy that named the peer.
    pub proxy: Option<Box<str>>,
    /// What TLS has settled, if the connection is encrypted.
    pub tls: Option<TlsFacts>,
}

/// What TLS has settled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsFacts {
    /// Protocol version: `TLSv1.3`.
    pub version: Box<str>,
    /// Cipher suite: `TLS13_AES_256_GCM_SHA384`.
    pub cipher: Box<str>,
    /// The name that the client asked for.
    pub server_name: Option<Box<str>>,
    /// The client's certificate, if it has shown one; it was verified.
    pub certificate: Option<CertificateFacts>,
}

/// A verified client certificate.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CertificateFacts {
    /// The subject's common name.
    pub common_name: Option<Box<str>>,
    /// The whole subject: `CN=a, O=b`.
    pub subject: Box<str>,
    /// Alternative names with their kind in front: `dns:a.example`, `ip:192.0.2.1`, `email:a@example`, `uri:urn:a`.
    pub alternative_names: Vec<Box<str>>,
    /// SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: Box<str>,
}

/// A CONNECT that passed every check and was authenticated; what is left to do is to attach it to its session.
/// It is the one thing besides transport and unread bytes that moves between workers.
#[derive(Clone, Debug)]
pub struct Admission {
    pub(crate) peer: Arc<PeerFacts>,
    pub(crate) version: Version,
    pub(crate) client_id: Box<str>,
    /// The broker made the client id up; CONNACK tells it in MQTT 5.
    pub(crate) assigned_client_id: bool,
    pub(crate) principal: Option<Arc<str>>,
    /// Until when that holds.
    pub(crate) valid_until: Time,
    pub(crate) clean_start: bool,
    /// What the client asked for, before the server's own limits.
    pub(crate) keep_alive_secs: u16,
    pub(crate) session_expiry_secs: u32,
    pub(crate) receive_maximum: u16,
    /// `u32::MAX` when the client set none.
    pub(crate) max_packet_size_bytes: u32,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) request_response_information: bool,
    pub(crate) request_problem_information: bool,
    pub(crate) authentication_method: Option<Box<str>>,
    pub(crate) authentication_data: Option<Box<[u8]>>,
    pub(crate) will: Option<Box<Will>>,
    /// What handlers want to have in CONNACK.
    pub(crate) properties: Properties<'static>,
}

/// A will as it is kept: the message, and how long it waits.
#[derive(Clone, Debug)]
pub(crate) struct Will {
    pub(crate) message: Message,
    pub(crate) delay_secs: u32,
}

impl Admission {
    /// The client id, assigned ones included.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The protocol version in use.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// What the transport knows about the peer.
    #[must_use]
    pub fn peer(&self) -> &Arc<PeerFacts> {
        &self.peer
    }
}
