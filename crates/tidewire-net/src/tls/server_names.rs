//! Which certificate a client gets: the first that has the name it asks for, else the first of all.

use super::identity::alternative_names;
use super::overheard::{self, Greeting};
use rustls::CipherSuite;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Cipher suites that need a pre-shared key, as ranges of their numbers.
const PSK_SUITES: [(u16, u16); 9] = [
    (0x002C, 0x002E),
    (0x008A, 0x0095),
    (0x00A8, 0x00B9),
    (0xC033, 0xC03B),
    (0xC064, 0xC06F),
    (0xC08E, 0xC09B),
    (0xC0A4, 0xC0AB),
    (0xCCAB, 0xCCAE),
    (0xD001, 0xD005),
];
/// Numbers in the list of cipher suites that are signals and no suites.
const SIGNALS: [u16; 2] = [0x00FF, 0x5600];

/// The certificates of a listener.
#[derive(Debug)]
pub(super) struct ByServerName {
    identities: Vec<(Vec<Box<str>>, Arc<CertifiedKey>)>,
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
        let fits = |names: &[Box<str>]| {
            asked_for.is_some_and(|asked| names.iter().any(|name| covers(name, asked)))
        };
        let found = self.identities.iter().find(|(names, _)| fits(names));
        overheard::greeting(Greeting {
            server_name: asked_for.map(Into::into),
            is_stranger: asked_for.is_some() && found.is_none(),
            wants_psk: wants_psk(hello.cipher_suites()),
        });
        found
            .or(self.identities.first())
            .map(|(_, identity)| Arc::clone(identity))
    }
}

/// Whether all suites need a pre-shared key.
fn wants_psk(suites: &[CipherSuite]) -> bool {
    let mut numbers = suites
        .iter()
        .map(|suite| u16::from(*suite))
        .filter(|number| !SIGNALS.contains(number))
        .peekable();
    let needs_key = |number| {
        let mut ranges = PSK_SUITES.iter();
        ranges.any(|&(first, last)| (first..=last).contains(&number))
    };
    numbers.peek().is_some() && numbers.all(needs_key)
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
