//! `tidewire ctl`: asks a running broker and shows the answer.

use super::protocol::{Answer, Banned, Body, Client, Clients, Operation, Request, Status, VERSION};
use super::socket_path;
use crate::cli::{BanWho, Ctl, Operation as Asked};
use crate::data_dir;
use crate::exit::{self, Failure};
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A broker that has not answered by then will not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer that is read: a list of clients is the longest.
const MAX_ANSWER_BYTES: u64 = 256 * 1024 * 1024;

/// What a broker answered.
pub(crate) struct Outcome {
    /// For standard output.
    pub(crate) text: String,
    /// Why the broker did not do it.
    pub(crate) failure: Option<Failure>,
}

/// Runs the command; an error means that there was no answer.
pub(crate) fn run(ctl: &Ctl) -> Result<Outcome, Failure> {
    let data_dir = match &ctl.data {
        Some(path) => path.clone(),
        None => data_dir::default_path()?,
    };
    let operation = match &ctl.operation {
        Asked::Status => Operation::Status,
        Asked::Clients => Operation::Clients,
        Asked::Kick { client_id } => Operation::Kick {
            client_id: client_id.clone(),
        },
        Asked::Ban { who, secs } => Operation::Ban {
            who: named(who),
            secs: *secs,
        },
        Asked::Unban { who } => Operation::Unban { who: named(who) },
        Asked::Bans => Operation::Bans,
        Asked::Retained(retained) => {
            super::retained::client::run(&retained.operation, &data_dir, ctl.json)?;
            return Ok(Outcome {
                text: String::new(),
                failure: None,
            });
        }
    };
    let line = exchange(
        &data_dir,
        &Request {
            v: VERSION,
            operation,
        },
    )?;
    let answer: Answer = serde_json::from_str(&line)
        .map_err(|error| failed(&format!("an answer it cannot mean: {error}")))?;
    match (answer.body, answer.refusal) {
        (Some(body), _) if answer.ok => {
            let text = if ctl.json { line } else { show(&body) };
            Ok(Outcome {
                text,
                failure: None,
            })
        }
        (_, Some(refusal)) => {
            let text = if ctl.json { line } else { String::new() };
            let failure = Failure::new(exit::Status::Failed, refusal.message);
            Ok(Outcome {
                text,
                failure: Some(failure),
            })
        }
        _ => Err(failed("an answer of another version")),
    }
}

/// The one that was named; the command line asks for exactly one.
fn named(who: &BanWho) -> Banned {
    match (who.address, &who.user) {
        (Some(address), _) => Banned::Address(address),
        (None, Some(user)) => Banned::User(user.clone()),
        (None, None) => Banned::Client(who.client.clone().unwrap_or_default()),
    }
}

pub(super) fn exchange(data_dir: &Path, request: &Request) -> Result<String, Failure> {
    let path = socket_path(data_dir);
    let mut stream = UnixStream::connect(&path).map_err(|error| no_broker(data_dir, &error))?;
    let mut line = serde_json::to_vec(request).map_err(|error| failed(&error.to_string()))?;
    line.push(b'\n');
    let mut answer = String::new();
    stream
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .and_then(|()| stream.write_all(&line))
        .and_then(|()| BufReader::new(stream.take(MAX_ANSWER_BYTES)).read_line(&mut answer))
        .map_err(|error| failed(&format!("no answer: {error}")))?;
    Ok(answer)
}

fn failed(what: &str) -> Failure {
    Failure::new(exit::Status::Failed, format!("the broker gave {what}"))
}

fn no_broker(data_dir: &Path, error: &io::Error) -> Failure {
    let shown = data_dir.display();
    let message = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(
                "the broker of {shown} belongs to another user\n  help: run the command as the user who started it"
            )
        }
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "no broker is running with the data directory {shown}\n  help: name the broker's own with `--data DIR`; one started with `--dev` cannot be asked"
        ),
        _ => format!("the control socket in {shown} cannot be opened: {error}"),
    };
    Failure::new(exit::Status::NoBroker, message)
}

fn show(body: &Body) -> String {
    match body {
        Body::Status(status) => show_status(status),
        Body::Clients(clients) => show_clients(clients),
        Body::Banned(who) => format!("done: {who}\n"),
        Body::Bans(bans) => super::bans::show(bans),
        Body::Kicked(client_id) => format!("{client_id:?} is disconnected\n"),
        // Shown by their own command.
        Body::Retained(_) | Body::RetainedDeleted(_) | Body::RetainedImported(_) => String::new(),
    }
}

fn show_status(status: &Status) -> String {
    let mut text = format!(
        "tidewire {}, process {}, up {}\ndata directory {}\n",
        status.version,
        status.pid,
        duration(status.uptime_secs),
        status.data_dir
    );
    for listener in &status.listeners {
        let _ = writeln!(
            text,
            "listener {:<10} {} ({})",
            listener.name, listener.address, listener.url
        );
    }
    let width = status.stats.keys().map(String::len).max().unwrap_or(0);
    text.push('\n');
    for (name, figure) in &status.stats {
        let _ = writeln!(text, "{name:<width$}  {figure}");
    }
    text
}

fn show_clients(clients: &Clients) -> String {
    let mut text = String::new();
    if !clients.clients.is_empty() {
        let _ = writeln!(
            text,
            "{:<22} {:<6} {:>6} {:>8} {:>8}  CLIENT ID",
            "ADDRESS", "MQTT", "SUBS", "INFLIGHT", "QUEUED"
        );
    }
    for client in &clients.clients {
        let Client {
            client_id,
            version,
            subscriptions,
            inflight_messages,
            queued_messages,
            ..
        } = client;
        let address = client.address.as_deref().unwrap_or(if client.connected {
            "connected"
        } else {
            "away"
        });
        // Quoted and escaped: a client chooses its identifier, and a terminal obeys some of what it could choose.
        let _ = writeln!(
            text,
            "{address:<22} {version:<6} {subscriptions:>6} {inflight_messages:>8} {queued_messages:>8}  {client_id:?}"
        );
    }
    if clients.clients.is_empty() {
        text.push_str("no client has a session\n");
    }
    if clients.truncated {
        text.push_str("... and more\n");
    }
    text
}

/// Days, hours, minutes and seconds, from the first that is not zero.
fn duration(secs: u64) -> String {
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{secs} s"),
        (0, 0, _) => format!("{minutes} min {} s", secs % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_two_largest_units() {
        for (secs, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (3_660, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ] {
            assert_eq!(duration(secs), text);
        }
    }

    #[test]
    fn client_ids_cannot_steer_the_terminal() {
        let client = Client {
            client_id: "\u{1b}[2J".to_owned(),
            connected: true,
            address: Some("127.0.0.1:1".to_owned()),
            version: "5.0".to_owned(),
            principal: None,
            subscriptions: 0,
            inflight_messages: 0,
            queued_messages: 0,
            keep_alive_secs: 0,
            session_expiry_secs: 0,
        };
        let shown = show_clients(&Clients {
            clients: vec![client],
            truncated: false,
        });
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}
