//! The gateway's configuration: a TOML file, checked against [`TABLES`].

mod build;
mod read;
mod reference;
mod schema;
mod table_modbus;
mod table_uplink;
mod tables;

pub use build::AppSettings;
pub use read::Fault;
pub(crate) use read::closest;
pub use reference::markdown;
pub use schema::{Key, Kind, Table};
pub use tables::TABLES;

use crate::hub::HubSettings;
use crate::pipeline::SpoolLimits;
use crate::source::SourceSettings;
use crate::uplink::UplinkSettings;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// All that a gateway is told.
#[derive(Clone, PartialEq, Debug)]
pub struct Config {
    /// Its name.
    pub id: Box<str>,
    /// Where it keeps data.
    pub data_dir: PathBuf,
    /// Which log events are written, as a `tracing` filter.
    pub log: String,
    /// What the hub lets through.
    pub hub: HubSettings,
    /// The longest that a value is only in memory.
    pub commit: Duration,
    /// The bounds of the log.
    pub store: SpoolLimits,
    /// Where the page is served, if anywhere.
    pub page: Option<SocketAddr>,
    /// The servers.
    pub uplinks: Vec<UplinkSettings>,
    /// The devices.
    pub sources: Vec<SourceSettings>,
    /// The apps.
    pub apps: Vec<AppSettings>,
}

impl Config {
    /// Reads the text of a file; `file` is its name in messages.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut reader = read::Reader::new(file, text);
        let sections = reader.document(TABLES);
        let config = build::build(&mut reader, &sections);
        let mut faults = reader.faults;
        if faults.is_empty() {
            return Ok(config);
        }
        faults.sort_by_key(|fault| fault.at);
        Err(faults)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Vec<Fault>> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            vec![Fault {
                file: shown.clone(),
                at: (0, 0),
                message: format!("cannot be read: {error}"),
                help: None,
            }]
        })?;
        Self::read(&shown, &text)
    }
}
