//! What a person reads after the start: what is open to whom, where data lives, what to type next.

use super::Facts;
use super::startup::Plan;
use crate::config::{Config, Listener};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;

/// Prints the banner to standard output. Nobody reading it is no reason to stop.
pub(super) fn print(facts: &Facts, plan: &Plan) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text(facts, plan).as_bytes());
    let _ = out.flush();
}

fn text(facts: &Facts, plan: &Plan) -> String {
    let mut text = format!(
        "tidewire {} is running, process {}\n\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    );
    for opened in &facts.listeners {
        let Some(listener) = plan
            .config
            .listeners
            .iter()
            .find(|listener| listener.name == opened.name)
        else {
            continue;
        };
        let _ = writeln!(
            text,
            "  {:<10} {}://{}  MQTT {}",
            opened.name,
            listener.url.scheme(),
            opened.address,
            versions(listener)
        );
        let _ = writeln!(text, "  {:<10} {}", "", audience(&plan.config, listener));
    }
    if let Some(address) = facts.metrics {
        let _ = writeln!(text, "  {:<10} http://{address}/metrics", "metrics");
    }
    if !facts.handlers.is_empty() {
        text.push_str("\n  Handlers, in the order in which they run:\n");
        for line in facts.handlers.lines() {
            let _ = writeln!(text, "  {line}");
        }
    }
    text.push('\n');
    text.push_str(&storage(facts));
    if let Some(address) = facts
        .listeners
        .iter()
        .find(|opened| opened.url.starts_with("tcp:"))
        .and_then(|opened| opened.address.parse().ok())
    {
        let target = target(address);
        let _ = write!(
            text,
            "\nTry it in two other terminals:\n  mosquitto_sub {target} -v -t 'demo/#'\n  mosquitto_pub {target} -t demo/hello -m 'it works'\n"
        );
    }
    text.push_str("\nCtrl-C stops the broker.\n");
    text
}

fn versions(listener: &Listener) -> String {
    let names = listener
        .versions
        .iter()
        .map(|version| version.to_string().replace("MQTT ", ""));
    names.collect::<Vec<_>>().join(", ")
}

fn audience(config: &Config, listener: &Listener) -> &'static str {
    if !config.is_open(listener) {
        match (config.identifies(listener), config.checks_passwords()) {
            (true, true) => "for clients with a certificate, and users with a password or token",
            (true, false) => "for clients with a certificate",
            (false, _) => "for users with a password or token",
        }
    } else if crate::url::is_loopback(&listener.url) {
        "open to every program on this machine, without a password; to nobody else"
    } else {
        "OPEN TO EVERYBODY who can reach this address, without a password"
    }
}

fn storage(facts: &Facts) -> String {
    match &facts.data_dir {
        None => "DEVELOPMENT MODE: everything is kept in memory and is gone when the broker stops. No file is written.\n\
                 `tidewire ctl` cannot reach this broker.\n"
            .to_owned(),
        Some(folder) => format!(
            "Sessions, retained messages and what is owed to clients that come back are kept in {}: an acknowledged\n\
             message is on disk first (`durability` in the configuration says how far). The control socket is there, too.\n",
            folder.display()
        ),
    }
}

/// Host and port for a client on this machine.
fn target(address: SocketAddr) -> String {
    let host = match (address.ip().is_unspecified(), address.is_ipv4()) {
        (true, true) => "127.0.0.1".to_owned(),
        (true, false) => "::1".to_owned(),
        (false, _) => address.ip().to_string(),
    };
    format!("-h {host} -p {}", address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_to_type_reach_this_machine() {
        for (address, flags) in [
            ("0.0.0.0:1883", "-h 127.0.0.1 -p 1883"),
            ("[::]:7", "-h ::1 -p 7"),
            ("127.0.0.1:1", "-h 127.0.0.1 -p 1"),
        ] {
            assert_eq!(target(address.parse().expect("an address")), flags);
        }
    }
}
