//! The client that a question is about, and what handlers keep with it.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tidewire_codec::Version;

/// One connection, as handlers see it. It lives as long as the connection, and moves with it between workers.
pub struct Client {
    listener: Option<(u16, Arc<str>)>,
    address: Arc<str>,
    certificate: Option<Box<Certificate>>,
    about: OnceLock<About>,
    principal: OnceLock<Option<Arc<str>>>,
    data: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// A client's TLS certificate, verified.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Certificate {
    /// The subject's common name.
    pub common_name: Option<Box<str>>,
    /// The whole subject: `CN=a, O=b`.
    pub subject: Box<str>,
    /// Alternative names with their kind in front: `dns:a.example`, `ip:192.0.2.1`, `email:a@example`, `uri:urn:a`.
    pub alternative_names: Vec<Box<str>>,
    /// SHA-256 of the certificate in lower-case hexadecimal digits.
    pub fingerprint: Box<str>,
}

/// What CONNECT says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct About {
    /// The client id, assigned ones included.
    pub client_id: Box<str>,
    /// User name, if one was given and asked about.
    pub username: Option<Box<str>>,
    /// Protocol version, if CONNECT was asked about.
    pub version: Option<Version>,
}

impl Client {
    /// A connection of which only the transport is known. `listener` is the listener's index and name.
    #[must_use]
    pub fn new(listener: u16, name: Arc<str>, address: &str) -> Self {
        Self {
            listener: Some((listener, name)),
            address: address.into(),
            certificate: None,
            about: OnceLock::new(),
            principal: OnceLock::new(),
            data: Mutex::default(),
        }
    }

    /// A client without a connection: the sender of a will. The handlers of every listener are asked about it.
    #[must_use]
    pub fn absent() -> Self {
        Self {
            listener: None,
            address: "".into(),
            certificate: None,
            about: OnceLock::new(),
            principal: OnceLock::new(),
            data: Mutex::default(),
        }
    }

    /// The same connection, with the certificate that its client has shown.
    #[must_use]
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(Box::new(certificate));
        self
    }

    /// The index of the listener through which it came; `None` = it has no connection.
    #[must_use]
    pub fn listener(&self) -> Option<u16> {
        self.listener.as_ref().map(|(index, _)| *index)
    }

    /// The name of the listener through which it came, empty for one without connection.
    #[must_use]
    pub fn listener_name(&self) -> &str {
        self.listener.as_ref().map_or("", |(_, name)| name)
    }

    /// The address as text, `192.0.2.7:50123` or a transport's own form.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The client's certificate, if it has shown one; it was verified, by the broker or by a proxy that is believed.
    #[must_use]
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_deref()
    }

    /// The client id; empty before CONNECT.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.about.get().map_or("", |about| &about.client_id)
    }

    /// The user name of CONNECT. It says nothing about who the client is; see [`principal`](Self::principal).
    #[must_use]
    pub fn username(&self) -> Option<&str> {
        self.about.get()?.username.as_deref()
    }

    /// The protocol version, where CONNECT was asked about.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.about.get()?.version
    }

    /// Who it is, as authentication has found.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.principal.get()?.as_deref()
    }

    /// For the broker: what CONNECT said. The first time counts.
    pub fn introduce(&self, about: About) {
        let _ = self.about.set(about);
    }

    /// For the broker: who it is. The first time counts.
    pub fn identify(&self, principal: Option<Arc<str>>) {
        let _ = self.principal.set(principal);
    }

    /// Keeps a value with the connection, for this handler and others; there is one of each type.
    pub fn set<T: Any + Send + Sync>(&self, value: T) {
        self.lock().insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// The value of this type that was kept last.
    #[must_use]
    pub fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let value = Arc::clone(self.lock().get(&TypeId::of::<T>())?);
        value.downcast().ok()
    }

    /// Takes the value of this type away.
    #[allow(clippy::must_use_candidate, reason = "taking away is an end in itself")]
    pub fn remove<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.lock().remove(&TypeId::of::<T>())?.downcast().ok()
    }

    /// The map is whole between any two operations, whoever panicked.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("listener", &self.listener_name())
            .field("address", &self.address)
            .field("client_id", &self.client_id())
            .field("principal", &self.principal())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{About, Client};

    #[derive(PartialEq, Debug)]
    struct Role(&'static str);

    #[test]
    fn a_value_is_found_by_its_type_and_no_other() {
        let client = Client::new(0, "mqtt".into(), "192.0.2.7:1");
        client.set(Role("guest"));
        client.set(Role("operator"));
        assert_eq!(*client.get::<Role>().unwrap(), Role("operator"));
        assert!(client.get::<&'static str>().is_none());
        assert!(client.remove::<Role>().is_some());
        assert!(client.get::<Role>().is_none());
    }

    #[test]
    fn what_a_client_says_of_itself_is_not_who_it_is() {
        let client = Client::new(0, "mqtt".into(), "192.0.2.7:1");
        client.introduce(About {
            client_id: "c".into(),
            username: Some("root".into()),
            version: None,
        });
        assert_eq!(client.username(), Some("root"));
        assert_eq!(client.principal(), None);
        client.identify(Some("alice".into()));
        client.identify(Some("mallory".into()));
        assert_eq!(client.principal(), Some("alice"));
    }
}
