//! `tidewire check-config`: what a file would open, or everything that is wrong with it.

use crate::cli::CheckConfig;
use crate::config::{Config, Diagnostic};
use crate::exit::{Failure, Status};
use serde_json::json;
use std::fmt::Write as _;
use std::path::Path;

/// The verdict on a file and the text to print.
pub(crate) enum Verdict {
    /// The file is right.
    Right(String),
    /// It is not.
    Wrong {
        /// Every mistake, for people.
        failure: Failure,
        /// The same for programs, if they asked.
        report: Option<String>,
    },
}

/// Runs the command.
pub(crate) fn run(check: &CheckConfig) -> Verdict {
    match (Config::load(&check.file), check.json) {
        (Ok(config), false) => match loadable(&config) {
            Ok(_) => Verdict::Right(describe(&check.file.display().to_string(), &config)),
            Err(failure) => Verdict::Wrong {
                failure,
                report: None,
            },
        },
        (Ok(config), true) => Verdict::Right(format!("{}\n", report(&config, &[]))),
        (Err(found), json) => Verdict::Wrong {
            failure: mistakes(&check.file, &found),
            report: json.then(|| format!("{}\n", report(&Config::default(), &found))),
        },
    }
}

/// Loads all that a start would load.
fn loadable(config: &Config) -> Result<(), Failure> {
    crate::serve::access::handlers(config)?;
    crate::serve::handlers::Handlers::prepare(config).map(drop)
}

/// The failure of whoever needs a file that has mistakes: one line in all, then every mistake on lines of its own.
pub(crate) fn mistakes(file: &Path, found: &[Diagnostic]) -> Failure {
    let plural = if found.len() == 1 {
        "mistake"
    } else {
        "mistakes"
    };
    let mut message = format!("{} {plural} in {}\n", found.len(), file.display());
    for diagnostic in found {
        let _ = writeln!(message, "{diagnostic}");
    }
    Failure::new(Status::Usage, message)
}

fn describe(file: &str, config: &Config) -> String {
    let mut text = format!("{file} is right. It would open:\n");
    for listener in &config.listeners {
        let audience = match (
            config.is_open(listener),
            crate::url::is_loopback(&listener.url),
        ) {
            (false, _) => "for users with a password",
            (true, true) => "open to this machine's programs without a password",
            (true, false) => "open TO EVERYBODY who can reach it without a password",
        };
        let _ = writeln!(text, "  {:<10} {}, {audience}", listener.name, listener.url);
    }
    if let Some(address) = config.metrics_listen {
        let _ = writeln!(text, "  {:<10} http://{address}/metrics", "metrics");
    }
    text
}

fn report(config: &Config, found: &[Diagnostic]) -> serde_json::Value {
    let listeners: Vec<_> = config
        .listeners
        .iter()
        .map(|listener| json!({ "name": listener.name, "url": listener.url.to_string(), "anonymous": config.is_open(listener) }))
        .collect();
    json!({
        "v": 1,
        "ok": found.is_empty(),
        "errors": found,
        "listeners": if found.is_empty() { listeners } else { Vec::new() },
        "metrics": config.metrics_listen.map(|address| address.to_string()),
    })
}
