//! What this program adds to listener addresses: who can reach one, and what to write in place of a wrong one.

use std::net::IpAddr;
use tidewire_net::{DEFAULT_MQTT_PORT, ListenUrl, UrlError};

/// Where a broker listens that was told nothing.
pub(crate) const DEFAULT_URL: &str = "tcp://127.0.0.1:1883";

/// [`DEFAULT_URL`], read.
pub(crate) fn default_url() -> ListenUrl {
    DEFAULT_URL.parse().expect("a constant that a test reads")
}

/// Whether only programs on this machine can reach the address. A name other than `localhost` counts as reachable from
/// elsewhere: what it resolves to may change.
pub(crate) fn is_loopback(url: &ListenUrl) -> bool {
    if url.socket_path().is_some() {
        return true;
    }
    match url.host().parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => url.host().eq_ignore_ascii_case("localhost"),
    }
}

/// Reads an address; the error comes with one that would be accepted in its place.
pub(crate) fn parse(text: &str) -> Result<ListenUrl, (UrlError, String)> {
    text.parse().map_err(|error| {
        let instead = instead(text, &error);
        (error, instead)
    })
}

fn instead(text: &str, error: &UrlError) -> String {
    let guess = match error {
        UrlError::NoScheme { .. } => {
            format!("tcp://{}", text.trim_start_matches([':', '/']))
        }
        UrlError::TrailingPath { path } => text.strip_suffix(&**path).unwrap_or(text).to_owned(),
        UrlError::InvalidPort { port } => {
            let host = text.strip_suffix(&**port).unwrap_or(DEFAULT_URL);
            format!("{}:{DEFAULT_MQTT_PORT}", host.trim_end_matches(':'))
        }
        _ => DEFAULT_URL.to_owned(),
    };
    if guess.parse::<ListenUrl>().is_ok() {
        guess
    } else {
        DEFAULT_URL.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_addresses_come_with_a_right_one() {
        for (text, instead) in [
            ("127.0.0.1:1884", "tcp://127.0.0.1:1884"),
            ("tcp://h:1884/mqtt", "tcp://h:1884"),
            ("tcp://h:99999", "tcp://h:1883"),
            ("http://h", DEFAULT_URL),
            ("", DEFAULT_URL),
            ("://", DEFAULT_URL),
        ] {
            assert_eq!(
                parse(text).map_err(|(_, instead)| instead),
                Err(instead.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn only_this_machine_counts_as_loopback() {
        for (text, loopback) in [
            ("tcp://127.0.0.1", true),
            ("tcp://127.8.9.10", true),
            ("tcp://[::1]", true),
            ("tcp://localhost", true),
            ("tcp://0.0.0.0", false),
            ("tcp://[::]", false),
            ("tcp://192.0.2.1", false),
            ("tcp://localhost.example", false),
        ] {
            assert_eq!(
                parse(text).map(|url| is_loopback(&url)),
                Ok(loopback),
                "{text}"
            );
        }
    }
}
