//! Flags of `tidewire gateway`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `tidewire gateway`
#[derive(Args, Debug)]
pub(crate) struct Gateway {
    /// What to do.
    #[command(subcommand)]
    pub(crate) operation: Operation,
}

/// What can be done with gateways.
#[derive(Subcommand, Debug)]
pub(crate) enum Operation {
    /// Run a gateway until SIGINT (Ctrl-C) or SIGTERM stops it.
    ///
    /// Data that no server has taken yet stay in its folder for the next time.
    Run(Run),
    /// Check a configuration file and say what it would do.
    ///
    /// Exit code 0 if the file is right, 2 with every mistake in it otherwise.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Print every configuration key with its type, range, default and meaning.
    ConfigReference,
    /// Ask a running gateway how it is: its log, its uplinks, what was dropped.
    Status(Status),
    /// Ask a Modbus device what it answers.
    Probe(Probe),
    /// Run an app in Lua with FreeIOE's interface.
    App {
        /// What to do.
        #[command(subcommand)]
        operation: AppOperation,
    },
}

/// `tidewire gateway run`
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// Configuration file (TOML).
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Write address of the page and process id as JSON to standard output as soon as the gateway runs.
    #[arg(long)]
    pub(crate) ready: bool,
}

/// `tidewire gateway status`
#[derive(Args, Debug)]
pub(crate) struct Status {
    /// Configuration file of the gateway: its folder is there.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `tidewire gateway probe`
#[derive(Args, Debug)]
pub(crate) struct Probe {
    /// The device: tcp://host:502 or rtu:///dev/ttyUSB0?baud=9600.
    pub(crate) url: String,
    /// Unit (slave) identifier.
    #[arg(long, default_value_t = 1)]
    pub(crate) unit: u8,
    /// First address to ask for.
    #[arg(long, default_value_t = 0)]
    pub(crate) from: u16,
    /// How many addresses to ask for.
    #[arg(long, default_value_t = 100)]
    pub(crate) count: u16,
    /// How long an answer may take, in milliseconds.
    #[arg(long, default_value_t = 1000)]
    pub(crate) timeout_ms: u64,
}

/// What can be done with apps.
#[derive(Subcommand, Debug)]
pub(crate) enum AppOperation {
    /// Run one app, with nothing else around it, until SIGINT (Ctrl-C) or SIGTERM stops it.
    Run(AppRun),
}

/// `tidewire gateway app run`
#[derive(Args, Debug)]
pub(crate) struct AppRun {
    /// The program.
    pub(crate) file: PathBuf,
    /// The app's name.
    #[arg(long, default_value = "app")]
    pub(crate) name: String,
    /// The app's configuration: a JSON object.
    #[arg(long, default_value = "{}")]
    pub(crate) conf: String,
    /// The gateway's id, which `sys:id()` returns.
    #[arg(long, default_value = "tidewire")]
    pub(crate) id: String,
    /// Devices that do not exist, so that the app has data to work on; each has three inputs that change every second.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) simulate: u32,
    /// Which log events to write, such as debug.
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}
