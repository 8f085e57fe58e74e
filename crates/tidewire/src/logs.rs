//! Log events on standard error, as lines for people or as JSON.

use crate::config::LogFormat;
use std::io::IsTerminal as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt};

/// Reads a filter such as `warn,tidewire=debug`; the error says what is wrong with it.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, String> {
    let known = |word: &str| {
        let level = word.rsplit('=').next().unwrap_or(word).trim();
        // The library reads an unknown bare word as the name of a target, which then logs everything.
        word.contains(['=', '[']) || LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
    };
    if let Some(word) = text.split(',').find(|word| !known(word)) {
        return Err(format!(
            "\"{}\" is not a level; levels are {}",
            word.trim(),
            LEVELS.join(", ")
        ));
    }
    EnvFilter::builder()
        .parse(text)
        .map_err(|error| format!("\"{text}\" is not a log filter: {error}"))
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Changes which events are written while the program runs.
pub(crate) struct FilterSwitch {
    handle: reload::Handle<EnvFilter, Registry>,
}

impl FilterSwitch {
    /// Replaces the filter; the error says why it stayed as it was.
    pub(crate) fn set(&self, text: &str) -> Result<(), String> {
        let filter = filter(text)?;
        self.handle
            .reload(filter)
            .map_err(|error| error.to_string())
    }
}

/// Starts logging for the whole process.
pub(crate) fn start(filter: EnvFilter, format: LogFormat) -> Result<FilterSwitch, String> {
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match format {
        LogFormat::Text => {
            let lines = fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(std::io::stderr().is_terminal());
            registry.with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = fmt::layer()
                .json()
                .flatten_event(true)
                .with_writer(std::io::stderr);
            registry.with(lines).try_init()
        }
    };
    started.map_err(|error| error.to_string())?;
    Ok(FilterSwitch { handle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_levels_are_refused() {
        for text in ["info", "WARN", "warn,tidewire=debug", "off"] {
            assert!(filter(text).is_ok(), "{text}");
        }
        for text in ["inof", "", "info,,", "tidewire_broker=loud"] {
            assert!(filter(text).is_err(), "{text}");
        }
    }
}
