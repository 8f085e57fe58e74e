//! From `[[handler]]` to handlers that run.

use super::access::for_names;
use crate::config::{Config, Handler};
use crate::exit::{Failure, Status};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tidewire_broker::handlers::{LuaHandler, LuaSettings, WebhookHandler, WebhookSettings};
use tidewire_broker::http_client::{self, HttpLimits};
use tidewire_broker::{BrokerBuilder, BrokerHandle};
use tidewire_handler::{Handler as Handles, Registration};
use tidewire_lua::{Grant, Limits, ScriptFile};

/// A server that does not answer is to be told from one that is late by the client, which knows better why.
const BEYOND_HTTP: Duration = Duration::from_secs(1);
/// Time for the last batches when the broker has stopped.
const LAST_BATCHES: Duration = Duration::from_secs(3);

/// All handlers of the configuration, ready to run.
pub(crate) struct Handlers(Vec<Prepared>);

struct Prepared {
    config: Handler,
    kind: Kind,
}

enum Kind {
    /// The version that runs.
    Lua(Mutex<Arc<LuaHandler>>),
    Http(Arc<WebhookHandler>),
}

impl Handlers {
    /// Loads the scripts and reads what servers need; a handler with a fault starts nothing.
    pub(crate) fn prepare(config: &Config) -> Result<Self, Failure> {
        let prepared = config.handlers.iter().map(|config| {
            let kind = match (&config.lua, &config.url) {
                (Some(path), _) => Kind::Lua(Mutex::new(Arc::new(script(config, path)?))),
                (None, url) => Kind::Http(Arc::new(server(
                    config,
                    url.as_deref().unwrap_or_default(),
                )?)),
            };
            Ok(Prepared {
                config: config.clone(),
                kind,
            })
        });
        prepared.collect::<Result<_, _>>().map(Self)
    }

    /// Registers all of them, behind those that are there.
    pub(super) fn register(&self, builder: BrokerBuilder) -> BrokerBuilder {
        self.0.iter().fold(builder, |builder, prepared| {
            let config = prepared.config.clone();
            match &prepared.kind {
                Kind::Lua(running) => {
                    let script = current(running);
                    builder.register_with(move |handle| {
                        script.attach(handle);
                        registration(&config, script)
                    })
                }
                Kind::Http(webhook) => {
                    builder.register(registration(&config, Arc::clone(webhook) as _))
                }
            }
        })
    }

    /// Loads scripts again: all, or those of the files that have changed. One with a fault stays as it was.
    pub(super) fn reload(&self, why: &str, handle: &BrokerHandle, changed: Option<&[PathBuf]>) {
        for Prepared { config, kind } in &self.0 {
            let (Kind::Lua(running), Some(path)) = (kind, &config.lua) else {
                continue;
            };
            if changed.is_some_and(|changed| !changed.contains(path)) {
                continue;
            }
            let name = config.title();
            match renew(running, config, path, handle) {
                Ok(()) => tracing::info!(script = name, "{why}: script loaded again"),
                Err(says) => {
                    tracing::error!(script = name, "{why}: the script stays as it was: {says}");
                }
            }
        }
    }

    /// The broker has stopped: what servers have still to be told.
    pub(super) fn finish(&self) {
        for prepared in &self.0 {
            if let Kind::Http(webhook) = &prepared.kind {
                webhook.finish(LAST_BATCHES);
            }
        }
    }
}

/// The scripts that may change.
pub(super) fn files(config: &Config) -> impl Iterator<Item = &Path> {
    config
        .handlers
        .iter()
        .filter_map(|handler| handler.lua.as_deref())
}

fn renew(
    running: &Mutex<Arc<LuaHandler>>,
    config: &Handler,
    path: &Path,
    handle: &BrokerHandle,
) -> Result<(), String> {
    let script = ScriptFile::new(path)
        .read()
        .map_err(|error| error.to_string())?;
    let next = current(running).renewed(&script);
    let next = Arc::new(next.map_err(|error| error.to_string())?);
    let name = config.title();
    let rows = handle.handlers();
    let row = rows.iter().find(|row| *row.name == *name);
    let row = row.ok_or_else(|| "it is no longer registered".to_owned())?;
    let registration = registration(config, Arc::clone(&next) as _);
    handle
        .replace_handler(row.id, registration)
        .map_err(|error| error.to_string())?;
    *running.lock().unwrap_or_else(PoisonError::into_inner) = next;
    Ok(())
}

fn current(running: &Mutex<Arc<LuaHandler>>) -> Arc<LuaHandler> {
    Arc::clone(&running.lock().unwrap_or_else(PoisonError::into_inner))
}

fn registration(config: &Handler, handler: Arc<dyn Handles>) -> Registration {
    let deadline = Duration::from_millis(config.deadline_ms.into());
    let deadline = match config.url {
        Some(_) => deadline + BEYOND_HTTP,
        None => deadline,
    };
    let registration = Registration::shared(&config.title(), handler)
        .priority(i32::try_from(config.priority).unwrap_or(i32::MAX))
        .on_failure(config.on_failure)
        .deadline(deadline);
    for_names(registration, &config.listeners)
}

fn script(config: &Handler, path: &Path) -> Result<LuaHandler, Failure> {
    let grants = Grant::ALL
        .iter()
        .filter(|(word, _)| config.grants.contains(word));
    let settings = LuaSettings {
        limits: Limits {
            instructions: config.max_instructions,
            memory_bytes: usize::try_from(config.max_memory_bytes).unwrap_or(usize::MAX),
        },
        grants: grants.map(|(_, grant)| *grant).collect(),
        interpreters: config.interpreters.into(),
    };
    LuaHandler::load(path, &settings).map_err(|error| {
        Failure::new(
            Status::Usage,
            format!("[[handler]] lua = \"{}\": {error}", path.display()),
        )
    })
}

fn server(config: &Handler, url: &str) -> Result<WebhookHandler, Failure> {
    let faulty = |says: String| {
        Failure::new(
            Status::Usage,
            format!("[[handler]] url = \"{url}\": {says}"),
        )
    };
    let parsed = http_client::url(url)
        .map_err(|says| Failure::new(Status::Usage, format!("[[handler]]: {says}")))?;
    let secret = match &config.secret_file {
        Some(path) => {
            Some(secret(path).map_err(|says| faulty(format!("{}: {says}", path.display())))?)
        }
        None => None,
    };
    let settings = WebhookSettings {
        ca_file: config.ca_file.clone(),
        secret,
        limits: HttpLimits {
            deadline: Duration::from_millis(config.deadline_ms.into()),
            body_max_bytes: config.max_answer_bytes as usize,
            requests_max: config.max_requests as usize,
        },
        breaker_failures: config.breaker_failures,
        breaker_pause: Duration::from_secs(config.breaker_pause_secs.into()),
        cache_time: Duration::from_secs(config.cache_secs.into()),
        cache_entries: config.cache_entries as usize,
        send_payload: config.send_payload,
        batch_events: config.batch_events as usize,
        batch_time: Duration::from_millis(config.batch_ms.into()),
        queue_events: config.queue_events as usize,
        ..WebhookSettings::new(parsed, config.events)
    };
    WebhookHandler::new(&settings).map_err(|error| faulty(error.to_string()))
}

fn secret(path: &Path) -> Result<Box<[u8]>, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    let end = bytes.iter().rposition(|byte| !b"\r\n".contains(byte));
    match end {
        Some(last) => Ok(bytes[..=last].into()),
        None => Err("holds no secret".to_owned()),
    }
}
