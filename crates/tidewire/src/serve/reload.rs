//! What a running broker takes over: at SIGHUP everything, by itself what has changed.

use super::access;
use super::handlers::{self, Handlers};
use super::startup::Plan;
use crate::config::{Config, Listener};
use crate::logs::FilterSwitch;
use std::path::{Path, PathBuf};
use tidewire_broker::{BrokerHandle, CertificateReload, PagesReload};

/// Files and folders of pages that are watched; for more, there is SIGHUP.
const WATCHED_PAGES_MAX: usize = 1000;

/// SIGHUP.
pub(super) fn all(plan: &Plan, logs: &FilterSwitch, handle: &BrokerHandle, handlers: &Handlers) {
    configuration(plan, logs);
    certificates("SIGHUP", handle.reload_certificates());
    pages("SIGHUP", handle);
    access::reload("SIGHUP", &plan.config, handle);
    handlers.reload("SIGHUP", handle, None);
}

/// The files that may change while the broker runs.
pub(super) fn files(config: &Config) -> Vec<PathBuf> {
    let listeners = config.listeners.iter().flat_map(certificate_files);
    let access = access::files(config);
    let mut files: Vec<PathBuf> = listeners
        .chain(access)
        .chain(handlers::files(config))
        .map(Path::to_owned)
        .collect();
    files.extend(page_folders(config).flat_map(contents));
    files.sort_unstable();
    files.dedup();
    files
}

/// Some of these files have changed.
pub(super) fn changed(
    config: &Config,
    handle: &BrokerHandle,
    handlers: &Handlers,
    changed: &[PathBuf],
) {
    handlers.reload("changed", handle, Some(changed));
    let is_changed = |file: &Path| changed.iter().any(|other| other == file);
    let concerned: Vec<&str> = config
        .listeners
        .iter()
        .filter(|listener| certificate_files(listener).any(is_changed))
        .map(|listener| listener.name.as_str())
        .collect();
    if !concerned.is_empty() {
        certificates("changed", handle.reload_certificates_of(&concerned));
    }
    if page_folders(config).any(|folder| changed.iter().any(|file| file.starts_with(folder))) {
        pages("changed", handle);
    }
    if access::files(config).any(is_changed) {
        access::reload("changed", config, handle);
    }
}

/// The files of a listener's TLS.
fn certificate_files(listener: &Listener) -> impl Iterator<Item = &Path> {
    let tls = &listener.ways.tls;
    let lists = tls.cert_files.iter().chain(&tls.key_files);
    let more = tls.client_ca_file.iter().chain(&tls.crl_file);
    let encrypted = listener.url.scheme().is_encrypted();
    lists
        .chain(more)
        .filter(move |_| encrypted)
        .map(PathBuf::as_path)
}

/// The folders of pages.
fn page_folders(config: &Config) -> impl Iterator<Item = &Path> {
    let listeners = config.listeners.iter();
    let served = listeners.filter(|listener| listener.url.scheme().is_web_socket());
    served.filter_map(|listener| listener.ways.web_socket.static_folder.as_deref())
}

/// A folder, the folders below it, whose own stamps tell of new files, and all that is in them.
fn contents(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        at += 1;
        if let Ok(entries) = std::fs::read_dir(&path)
            && found.len() < WATCHED_PAGES_MAX
        {
            found.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
    }
    found
}

fn pages(why: &str, handle: &BrokerHandle) {
    for PagesReload { listener, result } in handle.reload_pages() {
        match result {
            Ok(()) => tracing::info!(%listener, "{why}: pages read again"),
            Err(error) => tracing::error!(%listener, %error, "{why}: the pages stay as they were"),
        }
    }
}

fn certificates(why: &str, reloads: Vec<CertificateReload>) {
    for CertificateReload { listener, result } in reloads {
        match result {
            Ok(()) => tracing::info!(
                %listener,
                "{why}: certificates read again; connections that are open stay"
            ),
            Err(error) => {
                tracing::error!(%listener, %error, "{why}: the certificates stay as they were");
            }
        }
    }
}

/// Reads the configuration file again and applies what a running broker can take over.
fn configuration(plan: &Plan, logs: &FilterSwitch) {
    let Some(path) = &plan.config_file else {
        tracing::info!("SIGHUP: there is no configuration file to read again");
        return;
    };
    match Config::load(path) {
        Ok(_) if plan.log_flag => {
            tracing::info!("SIGHUP: `--log` wins over the file, nothing changes");
        }
        Ok(config) => match logs.set(&config.log_filter) {
            Ok(()) => tracing::info!(
                filter = config.log_filter,
                "SIGHUP: log filter read again; other keys change with a restart"
            ),
            Err(error) => tracing::error!(error, "SIGHUP: the log filter stays as it was"),
        },
        Err(diagnostics) => {
            for diagnostic in diagnostics {
                tracing::error!("SIGHUP: {diagnostic}");
            }
        }
    }
}
