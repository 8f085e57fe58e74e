//! The seam to the broker library: settings in, addresses and answers out.

use super::access;
use super::activation::Activation;
use super::handlers::Handlers;
use crate::config::{Config, Listener, tcp};
use crate::control;
use crate::control::protocol::{
    Answer, Body, Client, Clients, Opened, Operation, Status as Report,
};
use crate::control::retained::server as retained;
use crate::control::server::Operator;
use crate::exit::{Failure, Status};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tidewire_broker::handlers::Bans;
use tidewire_broker::{
    Broker, BrokerGone, BrokerHandle, ListenerSettings, Settings, StartError, StoreSettings,
};
use tidewire_codec::topic;
use tidewire_core::SessionRow;
use tidewire_handler::{Events, Registration};

/// Who is banned is not asked anything else.
const FIRST: i32 = 1_000_000;
const GUARD: &str = "bans";

fn guard(bans: &Bans) -> Registration {
    Registration::new(GUARD, bans.clone()).priority(FIRST)
}

fn guards_logins(config: &Config) -> bool {
    config.checks_passwords() && config.bans.max_login_failures > 0
}

/// Keeps somebody out; the first time, a broker without logins begins to look at who comes.
fn ban(
    handle: &BrokerHandle,
    bans: &Bans,
    who: control::protocol::Banned,
    secs: Option<u64>,
) -> Answer {
    let is_there = handle.handlers().iter().any(|row| *row.name == *GUARD);
    if !is_there && let Err(error) = handle.add_handler(guard(bans)) {
        return Answer::refused("not_banned", error.to_string());
    }
    control::bans::ban(bans, who, secs)
}

/// Starts the broker library.
pub(super) fn start(
    config: &Config,
    data_dir: Option<&Path>,
    handlers: &Handlers,
    bans: &Bans,
) -> Result<Broker, Failure> {
    let mut listeners: Vec<ListenerSettings> = config
        .listeners
        .iter()
        .map(|listener| settings_of(config, listener))
        .collect();
    Activation::take()?.give(&config.listeners, &mut listeners)?;
    let settings = Settings {
        workers: config.workers.into(),
        listeners,
        limits: config.limits.clone(),
        shared_strategy: config.shared_strategy,
        sys_interval_secs: config.sys_interval_secs,
        store: data_dir
            .map(|folder| store_in(folder, config))
            .transpose()?,
        ..Settings::default()
    };
    let builder = Broker::builder().settings(settings);
    // A handler that sees every connection costs each of them memory: it is there when there is something to guard.
    let builder = if guards_logins(config) {
        builder.register(guard(bans))
    } else {
        builder.handlers_later(Events::NONE)
    };
    let builder = access::handlers(config)?
        .into_iter()
        .fold(builder, tidewire_broker::BrokerBuilder::register);
    let builder = handlers.register(builder);
    builder.start().map_err(|error| failure(&error))
}

/// The store in the data directory.
fn store_in(folder: &Path, config: &Config) -> Result<StoreSettings, Failure> {
    let folder = crate::data_dir::store_folder(folder);
    let mut store = StoreSettings::in_folder(&folder).map_err(|error| {
        let message = format!(
            "the store in {} cannot be opened: {error}\n  help: choose another folder with `--data DIR`, or run with `--dev` to need none",
            folder.display()
        );
        Failure::new(Status::DataDir, message)
    })?;
    for (filter, durability) in config.topics.all() {
        topic::validate_filter(filter).map_err(|error| {
            let message = format!(
                "`{filter}` in sync_topics, os_topics or memory_topics is no topic filter: {error}"
            );
            Failure::new(Status::Usage, message)
        })?;
        store.topics.push((filter.into(), durability));
    }
    Ok(store)
}

/// The open addresses with the listeners they belong to; a name may stand for several addresses.
pub(super) fn opened(config: &Config, broker: &Broker) -> Vec<Opened> {
    let mut opened = Vec::new();
    for listener in &config.listeners {
        let bound = broker
            .addresses()
            .iter()
            .filter(|bound| *bound.listener == *listener.name);
        opened.extend(bound.map(|bound| Opened {
            name: listener.name.clone(),
            url: listener.url.to_string(),
            address: bound.address.to_string(),
        }));
        let paths = broker.paths().iter();
        let bound = paths.filter(|bound| *bound.listener == *listener.name);
        opened.extend(bound.map(|bound| Opened {
            name: listener.name.clone(),
            url: listener.url.to_string(),
            address: bound.path.display().to_string(),
        }));
    }
    opened
}

/// What carries out requests of the control socket.
pub(super) fn operator(
    handle: BrokerHandle,
    data_dir: String,
    listeners: Vec<Opened>,
    bans: Bans,
) -> Arc<Operator> {
    let started = Instant::now();
    let lists = retained::Lists::default();
    Arc::new(move |operation| {
        let answer = match operation {
            Operation::Status => report(&handle, &data_dir, &listeners, started),
            Operation::Clients => clients(&handle),
            Operation::Kick { client_id } => kick(&handle, client_id),
            Operation::Ban { who, secs } => Ok(ban(&handle, &bans, who, secs)),
            Operation::Unban { who } => Ok(control::bans::unban(&bans, who)),
            Operation::Bans => Ok(control::bans::list(&bans)),
            Operation::Retained { filter, from } => retained::list(&handle, &lists, &filter, from),
            Operation::DeleteRetained { filter } => retained::delete(&handle, &filter),
            Operation::ImportRetained { messages } => retained::import(&handle, &messages),
        };
        answer.unwrap_or_else(|gone| Answer::refused("stopping", gone.to_string()))
    })
}

fn report(
    handle: &BrokerHandle,
    data_dir: &str,
    listeners: &[Opened],
    started: Instant,
) -> Result<Answer, BrokerGone> {
    let mut stats = BTreeMap::new();
    handle.stats()?.for_each(|name, figure| {
        stats.insert(name.to_owned(), figure);
    });
    Ok(Answer::done(Body::Status(Box::new(Report {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        uptime_secs: started.elapsed().as_secs(),
        data_dir: data_dir.to_owned(),
        listeners: listeners.to_vec(),
        stats,
    }))))
}

/// Clients in one answer; more are cut off, and the answer says so.
const MAX_CLIENTS: usize = 100_000;
/// Clients that are asked for at once, so that no worker is held up for long.
const CLIENTS_PAGE: usize = 500;

fn clients(handle: &BrokerHandle) -> Result<Answer, BrokerGone> {
    let mut clients: Vec<Client> = Vec::new();
    let mut from = None;
    loop {
        let page = handle.clients(from, CLIENTS_PAGE)?;
        clients.extend(page.rows.into_iter().map(client));
        from = page.next;
        if from.is_none() || clients.len() >= MAX_CLIENTS {
            break;
        }
    }
    clients.sort_unstable_by(|left, right| left.client_id.cmp(&right.client_id));
    Ok(Answer::done(Body::Clients(Clients {
        clients,
        truncated: from.is_some(),
    })))
}

fn client(row: SessionRow) -> Client {
    Client {
        client_id: row.client_id.into(),
        connected: row.peer.is_some(),
        address: row.peer.map(|peer| peer.address.to_string()),
        version: row.version.to_string().replace("MQTT ", ""),
        principal: row.principal.map(|principal| principal.to_string()),
        subscriptions: row.subscriptions as u64,
        inflight_messages: row.inflight as u64,
        queued_messages: row.queued as u64,
        keep_alive_secs: row.keep_alive_secs,
        session_expiry_secs: row.expiry_secs,
    }
}

fn kick(handle: &BrokerHandle, client_id: String) -> Result<Answer, BrokerGone> {
    Ok(match handle.kick(&client_id)? {
        0 => Answer::refused(
            "unknown_client",
            format!("no client {client_id:?} is connected"),
        ),
        _ => Answer::done(Body::Kicked(client_id)),
    })
}

fn settings_of(config: &Config, listener: &Listener) -> ListenerSettings {
    let mut settings = ListenerSettings {
        allow_anonymous: config.is_open(listener),
        versions: listener.versions.clone(),
        max_connections: listener.max_connections as usize,
        response_information: listener.response_information.as_deref().map(Into::into),
        durability: listener.durability,
        ..ListenerSettings::new(&listener.name, listener.url.clone())
    };
    listener.ways.apply(&mut settings);
    tcp::apply(listener, &mut settings);
    settings
}

fn failure(error: &StartError) -> Failure {
    let status = match error {
        StartError::Bind { .. } | StartError::BindPath { .. } | StartError::Resolve { .. } => {
            Status::Listener
        }
        StartError::System(_) => Status::Failed,
        StartError::Store(_) => Status::DataDir,
        StartError::TooManyWorkers { .. }
        | StartError::TooManyListeners { .. }
        | StartError::DuplicateListener { .. }
        | StartError::Certificates { .. }
        | StartError::Pages { .. }
        | StartError::Handler(_)
        | StartError::OpenToAll { .. }
        | StartError::AttachedToAll { .. } => Status::Usage,
    };
    Failure::new(status, error.to_string())
}
