//! The broker's configuration: what can be set, where each value came from, what is wrong with it.
//!
//! [`table`] declares every key once. The reader ([`read`]), the suggestions ([`suggest`]) and the reference
//! ([`reference`]) know no key by name: they walk the table.

mod accept;
mod access;
mod diagnostic;
mod handlers;
mod key;
mod limits;
mod listeners;
mod read;
pub(crate) mod reference;
mod storage;
mod suggest;
mod table;
pub(crate) mod tcp;
mod token;
mod value;
mod ways;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tidewire_broker::handlers::{BanSettings, CertificateIdentity, CertificatePassword};
use tidewire_codec::Version;
use tidewire_core::{Durability, Limits, SharedStrategy};
use tidewire_net::{ListenUrl, TcpOptions};

pub(crate) use access::AclPreset;
pub(crate) use diagnostic::Diagnostic;
pub(crate) use handlers::Handler;
pub(crate) use read::read;

/// All settings of a broker, after defaults, file and flags.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Config {
    /// Worker threads; 0 starts one per core.
    pub(crate) workers: u16,
    /// Seconds between two rounds of `$SYS` topics; 0 turns them off.
    pub(crate) sys_interval_secs: u32,
    /// How a shared group picks the member for a message.
    pub(crate) shared_strategy: SharedStrategy,
    /// Seconds that a clean stop may take.
    pub(crate) shutdown_timeout_secs: u32,
    /// Whether files that change are read again.
    pub(crate) watch_files: bool,
    /// File that holds the process id while the broker runs.
    pub(crate) pid_file: Option<PathBuf>,
    /// Topics that are kept otherwise than their listener says.
    pub(crate) topics: storage::TopicPolicies,
    /// Where the broker keeps its files; `None` means the place that suits the user.
    pub(crate) data_dir: Option<PathBuf>,
    /// Which log events are written, as a `tracing` filter.
    pub(crate) log_filter: String,
    /// How log events are written.
    pub(crate) log_format: LogFormat,
    /// Where Prometheus may scrape, if anywhere.
    pub(crate) metrics_listen: Option<SocketAddr>,
    /// User names and passwords.
    pub(crate) password_file: Option<PathBuf>,
    /// What counts as too many failed logins.
    pub(crate) bans: BanSettings,
    /// JSON Web Tokens.
    pub(crate) tokens: token::Tokens,
    /// Access rules.
    pub(crate) acl_file: Option<PathBuf>,
    /// Access rules that come with the program.
    pub(crate) acl_preset: AclPreset,
    /// Scripts and servers that handle events.
    pub(crate) handlers: Vec<Handler>,
    /// Bounds of everything that a peer can feed.
    pub(crate) limits: Limits,
    /// Where clients connect; at least one.
    pub(crate) listeners: Vec<Listener>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: 0,
            sys_interval_secs: 10,
            shared_strategy: SharedStrategy::default(),
            shutdown_timeout_secs: 5,
            watch_files: true,
            pid_file: None,
            topics: storage::TopicPolicies::default(),
            data_dir: None,
            log_filter: "info".to_owned(),
            log_format: LogFormat::Text,
            metrics_listen: None,
            password_file: None,
            bans: BanSettings::default(),
            tokens: token::Tokens::default(),
            acl_file: None,
            acl_preset: AclPreset::None,
            handlers: Vec::new(),
            limits: Limits::default(),
            listeners: vec![Listener::default()],
        }
    }
}

impl Config {
    /// Reads a file; the error holds everything that is wrong with it.
    pub(crate) fn load(path: &Path) -> Result<Self, Vec<Diagnostic>> {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => read(&shown, &text),
            Err(error) => Err(vec![Diagnostic::without_position(
                &shown,
                format!("cannot be read: {error}"),
            )]),
        }
    }
}

/// How log events are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// One `[[listener]]`.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Listener {
    /// Its name in logs and answers.
    pub(crate) name: String,
    /// Where it opens.
    pub(crate) url: ListenUrl,
    /// Whether clients come in without proving who they are; `None` = only where the address is loopback.
    pub(crate) allow_anonymous: Option<bool>,
    /// Whether `[auth]` applies.
    pub(crate) authenticate: bool,
    /// Whether `[acl]` applies.
    pub(crate) authorize: bool,
    /// What of a client's certificate says who it is, if anything does.
    pub(crate) certificate_identity: Option<CertificateIdentity>,
    /// What a password counts beside a certificate.
    pub(crate) certificate_password: CertificatePassword,
    /// Connections at a time; 0 leaves it to the system.
    pub(crate) max_connections: u32,
    /// Protocol versions that are served.
    pub(crate) versions: Vec<Version>,
    /// How its sockets are set up.
    pub(crate) tcp: TcpOptions,
    /// The name of a socket that systemd has opened for it.
    pub(crate) systemd_socket: Option<String>,
    /// Answer to Request Response Information, if any \[5.0 3.2.2.3.15\].
    pub(crate) response_information: Option<String>,
    /// How far what comes through it has to be before it is acknowledged.
    pub(crate) durability: Durability,
    /// What comes before the first byte of MQTT.
    pub(crate) ways: ways::Ways,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            name: "mqtt".to_owned(),
            url: crate::url::default_url(),
            allow_anonymous: None,
            authenticate: true,
            authorize: true,
            certificate_identity: None,
            certificate_password: CertificatePassword::NotWanted,
            max_connections: 0,
            versions: vec![Version::V31, Version::V311, Version::V5],
            tcp: TcpOptions {
                backlog: 1024,
                ..TcpOptions::default()
            },
            systemd_socket: None,
            response_information: None,
            durability: Durability::Sync,
            ways: ways::Ways::default(),
        }
    }
}
