//! Which certificate a client gets: the first that has the name it asks for, else the first of all.

use super::identity::alternative_names;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// The name in the greeting that this thread handles right now. A connection without buffers does not tell it, and
    /// whoever chooses the certificate hears it in the same call.
    static ASKED_FOR: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// The certificates of a listener.
#[derive(Debug)]
pub(super) struct ByServerName {
    identities: Vec<(Vec<Box<str>>, Arc<CertifiedKey>)>,
}

/// The name that the last greeting on this thread asked for, if one came since the last call.
pub(super) fn take_asked_for() -> Option<Box<str>> {
    ASKED_FOR.take()
}

impl ByServerName {
    pub(super) fn new(identities: Vec<CertifiedKey>) -> Self {
        let named = |identity: CertifiedKey| {
            let names = identity.cert.first().map(|cert| dns_names(cert));
            (names.unwrap_or_default(), Arc::new(identity))
        };
        Self {
            identities: identities.into_iter().map(named).collect(),
        }
    }
}

impl ResolvesServerCert for ByServerName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked_for = hello.server_name();
        ASKED_FOR.set(asked_for.map(Into::into));
        let fits = |names: &[Box<str>]| {
            asked_for.is_some_and(|asked| names.iter().any(|name| covers(name, asked)))
        };
        let found = self.identities.iter().find(|(names, _)| fits(names));
        found
            .or(self.identities.first())
            .map(|(_, identity)| Arc::clone(identity))
    }
}

fn dns_names(certificate: &[u8]) -> Vec<Box<str>> {
    alternative_names(certificate)
        .iter()
        .filter_map(|name| name.strip_prefix("dns:"))
        .map(Into::into)
        .collect()
}

/// Whether a certificate's name stands for the one asked for; `*` stands for one whole first label.
fn covers(name: &str, asked: &str) -> bool {
    match name.strip_prefix("*.") {
        Some(domain) => asked
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain)),
        None => name.eq_ignore_ascii_case(asked),
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_star_stands_for_one_label() {
        for (name, asked, fits) in [
            ("a.example", "A.example", true),
            ("a.example", "b.example", false),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", "example", false),
            ("*.example", ".example", false),
        ] {
            assert_eq!(covers(name, asked), fits, "{name} {asked}");
        }
    }
}
