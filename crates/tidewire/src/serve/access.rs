//! From the keys of `[auth]` and `[acl]` to the handlers that carry them out.

use super::rules::Rules;
use crate::config::{Config, Listener};
use crate::exit::{Failure, Status};
use std::fmt::Display;
use std::path::{Path, PathBuf};
use tidewire_broker::BrokerHandle;
use tidewire_broker::handlers::{ClientCertificate, PasswordFile, TokenAuthenticator, TokenKeys};
use tidewire_handler::Registration;

/// Reads the files; a file with a fault starts nothing.
pub(crate) fn handlers(config: &Config) -> Result<Vec<Registration>, Failure> {
    let mut handlers: Vec<Registration> = certificates(config).collect();
    if let Some(path) = &config.password_file {
        let file = PasswordFile::load(path).map_err(|error| faulty("[auth]", path, &error))?;
        let registration = Registration::new("password file", file);
        handlers.extend(for_those(config, registration, |listener| {
            listener.authenticate
        }));
    }
    if let Some(path) = &config.tokens.key_file {
        let keys = TokenKeys::load(path).map_err(|error| faulty("[auth]", path, &error))?;
        let tokens = TokenAuthenticator::new(keys, config.tokens.settings.clone());
        let registration = Registration::new("tokens", tokens).priority(TOKENS);
        handlers.extend(for_those(config, registration, |listener| {
            listener.authenticate
        }));
    }
    if let Some(rules) = Rules::load(config)? {
        let registration = rules.registration();
        handlers.extend(for_those(config, registration, |listener| {
            listener.authorize
        }));
    }
    Ok(handlers)
}

/// What looks like a token is no password of a file.
const TOKENS: i32 = 5;
/// Certificates are looked at before passwords: where a certificate is enough, nobody is asked for one.
const BEFORE_PASSWORDS: i32 = 10;

/// One handler for each listener whose clients are known by their certificates.
fn certificates(config: &Config) -> impl Iterator<Item = Registration> {
    config.listeners.iter().filter_map(|listener| {
        let identity = listener
            .certificate_identity
            .filter(|_| listener.authenticate)?;
        let handler = ClientCertificate {
            identity,
            password: listener.certificate_password,
        };
        let name = format!("client certificate of {}", listener.name);
        let registration = Registration::new(&name, handler).priority(BEFORE_PASSWORDS);
        Some(registration.listener(&listener.name))
    })
}

/// The files that are read.
pub(super) fn files(config: &Config) -> impl Iterator<Item = &Path> {
    let files = config.password_file.iter().chain(&config.tokens.key_file);
    files.chain(&config.acl_file).map(PathBuf::as_path)
}

/// Reads the files again, at the paths that the broker was started with. If one has a fault, all stay as they were. `why`
/// begins the log line.
pub(super) fn reload(why: &str, config: &Config, handle: &BrokerHandle) {
    if files(config).next().is_none() {
        return;
    }
    let replaced = handlers(config).and_then(|again| {
        for registration in again {
            let running = handle.handlers();
            let row = running.iter().find(|row| *row.name == *registration.name());
            if let Some(row) = row {
                let replaced = handle.replace_handler(row.id, registration);
                replaced.map_err(|error| Failure::new(Status::Failed, error.to_string()))?;
            }
        }
        Ok(())
    });
    match replaced {
        Ok(()) => tracing::info!(
            "{why}: passwords and access rules read again; clients and subscriptions that are there stay"
        ),
        Err(failure) => {
            tracing::error!("{why}: passwords and access rules stay as they were: {failure}");
        }
    }
}

/// The registration for the listeners that want it; `None` if none does.
fn for_those(
    config: &Config,
    registration: Registration,
    wants: impl Fn(&Listener) -> bool,
) -> Option<Registration> {
    if config.listeners.iter().all(&wants) {
        return Some(registration);
    }
    let mut wanted = config.listeners.iter().filter(|listener| wants(listener));
    let first = wanted.next()?;
    Some(wanted.fold(
        registration.listener(&first.name),
        |registration, listener| registration.listener(&listener.name),
    ))
}

/// The registration for the listeners with these names, or for all if there are none.
#[cfg(feature = "handlers")]
pub(super) fn for_names(registration: Registration, names: &[String]) -> Registration {
    let mut names = names.iter();
    match names.next() {
        None => registration,
        Some(first) => names.fold(registration.listener(first), |registration, name| {
            registration.listener(name)
        }),
    }
}

pub(super) fn faulty(table: &str, path: &Path, error: &dyn Display) -> Failure {
    Failure::new(
        Status::Usage,
        format!("{table}: {}:{error}", path.display()),
    )
}
