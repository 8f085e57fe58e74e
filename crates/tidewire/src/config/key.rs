//! What the table says about a key.

use super::value::Value;
use super::{Config, Handler, Listener};

/// One configuration key: everything that parser, help and reference need to know of it.
pub(crate) struct Key {
    /// The table of the file that it stands in.
    pub(crate) section: Section,
    /// Its name there; a unit, if it has one, is the name's last word.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) kind: Kind,
    /// Unit of a number, in plain words; empty for other values and plain counts.
    pub(crate) unit: &'static str,
    /// Whether a running broker takes over a change.
    pub(crate) reload: Reload,
    /// Sentences of documentation.
    pub(crate) doc: &'static str,
    /// How the value is read from and put into the settings.
    pub(crate) access: Access,
}

impl Key {
    /// The value of a broker that was told nothing.
    pub(crate) fn default_value(&self) -> Value {
        match self.access {
            Access::Broker { get, .. } => get(&Config::default()),
            Access::Listener { get, .. } => get(&Listener::default()),
            Access::Handler { get, .. } => get(&Handler::default()),
        }
    }
}

/// A table of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Section {
    /// `[broker]`
    Broker,
    /// `[[listener]]`
    Listener,
    /// `[auth]`
    Auth,
    /// `[acl]`
    Acl,
    /// `[[handler]]`
    Handler,
    /// `[limits]`
    Limits,
    /// `[log]`
    Log,
    /// `[metrics]`
    Metrics,
}

impl Section {
    /// All of them, in the order of the reference.
    pub(crate) const ALL: [Self; 8] = [
        Self::Listener,
        Self::Broker,
        Self::Auth,
        Self::Acl,
        Self::Handler,
        Self::Limits,
        Self::Log,
        Self::Metrics,
    ];

    /// Its name in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Listener => "listener",
            Self::Auth => "auth",
            Self::Acl => "acl",
            Self::Handler => "handler",
            Self::Limits => "limits",
            Self::Log => "log",
            Self::Metrics => "metrics",
        }
    }

    /// Its header as it stands in the file.
    pub(crate) const fn header(self) -> &'static str {
        match self {
            Self::Broker => "[broker]",
            Self::Listener => "[[listener]]",
            Self::Auth => "[auth]",
            Self::Acl => "[acl]",
            Self::Handler => "[[handler]]",
            Self::Limits => "[limits]",
            Self::Log => "[log]",
            Self::Metrics => "[metrics]",
        }
    }

    /// What it is for.
    pub(crate) const fn doc(self) -> &'static str {
        match self {
            Self::Broker => "The broker as a whole.",
            Self::Listener => {
                "Where clients connect; one table for each address. A file without any listens on `tcp://127.0.0.1:1883`. \
                 `--listen` on the command line replaces the file's listeners."
            }
            Self::Auth => "Who may come in. Without it, nobody is asked for a password.",
            Self::Acl => {
                "Who may publish and subscribe where. Without it, whoever comes in may do everything."
            }
            Self::Handler => {
                "Scripts and servers that decide about what clients do, and hear of it; one table for each. `lua` names a script, `url` a server. \
                 `tidewire check-config` loads the scripts, too."
            }
            Self::Limits => {
                "Bounds of everything that a client can make the broker hold or do. The defaults serve ordinary fleets; \
                 limits of a worker apply to each worker thread on its own."
            }
            Self::Log => "What is written to standard error.",
            Self::Metrics => "Figures for Prometheus. Off unless an address is given.",
        }
    }
}

/// What a key takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number of this range, both ends included.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// Text of at most this many bytes, not empty.
    Text {
        /// Longest, in bytes.
        max_bytes: usize,
    },
    /// Exactly one of these words.
    Choice(&'static [&'static str]),
    /// A list of at least one of these words.
    Choices(&'static [&'static str]),
    /// `tcp://host:port`.
    Url,
    /// `address:port`.
    Address,
    /// The path of a file or folder.
    Path,
    /// A path, or a list of them.
    Paths,
    /// A name, or a list of them.
    Names,
    /// A list of texts, at least one.
    Texts,
    /// A list of address ranges, at least one.
    Ranges,
    /// A filter for log events.
    LogFilter,
}

impl Kind {
    /// The type in a person's words.
    pub(crate) const fn noun(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Integer { .. } => "a whole number",
            Self::Text { .. } => "text",
            Self::Choice(_) => "one word",
            Self::Choices(_) => "a list of words",
            Self::Url => "an address such as \"tcp://127.0.0.1:1883\"",
            Self::Address => "an address such as \"127.0.0.1:9464\"",
            Self::Path => "a path",
            Self::Paths => "a path or a list of paths",
            Self::Names => "a name or a list of names",
            Self::Texts => "a list of texts",
            Self::Ranges => "a list of address ranges",
            Self::LogFilter => "a log filter",
        }
    }
}

/// Whether a running broker takes over a change of a key when it gets SIGHUP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reload {
    /// SIGHUP applies it.
    OnSighup,
    /// It takes a restart.
    Restart,
}

/// Reads and writes one setting.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    /// A setting of the broker.
    Broker {
        /// Reads it.
        get: fn(&Config) -> Value,
        /// Writes a checked value.
        set: fn(&mut Config, Value),
    },
    /// A setting of one handler.
    Handler {
        /// Reads it.
        get: fn(&Handler) -> Value,
        /// Writes a checked value.
        set: fn(&mut Handler, Value),
    },
    /// A setting of one listener.
    Listener {
        /// Reads it.
        get: fn(&Listener) -> Value,
        /// Writes a checked value.
        set: fn(&mut Listener, Value),
    },
}
