//! `tidewire gateway`: runs gateways and asks them.

mod arguments;
mod probe;
mod run;
mod status;

pub(crate) use arguments::Gateway;

use crate::exit::{Failure, Status};
use arguments::{AppOperation, Operation};
use std::fmt::Write as _;
use std::path::Path;
use tidewire_gateway::Config;
use tidewire_gateway::config::{Fault, markdown};

/// Runs the command; the text is for standard output.
pub(crate) fn run(gateway: &Gateway) -> Result<String, Failure> {
    match &gateway.operation {
        Operation::Run(run) => run::run(run),
        Operation::CheckConfig { file } => load(file).map(|config| describe(file, &config)),
        Operation::ConfigReference => Ok(markdown()),
        Operation::Status(status) => status::run(status),
        Operation::Probe(probe) => probe::run(probe),
        Operation::App {
            operation: AppOperation::Run(app),
        } => run::app(app),
    }
}

fn load(file: &Path) -> Result<Config, Failure> {
    Config::load(file).map_err(|faults| mistakes(file, &faults))
}

fn mistakes(file: &Path, faults: &[Fault]) -> Failure {
    let plural = if faults.len() == 1 {
        "mistake"
    } else {
        "mistakes"
    };
    let mut message = format!("{} {plural} in {}\n", faults.len(), file.display());
    for fault in faults {
        let _ = writeln!(message, "{fault}");
    }
    Failure::new(Status::Usage, message)
}

fn describe(file: &Path, config: &Config) -> String {
    let mut text = format!(
        "{} is right. The gateway `{}` would\n",
        file.display(),
        config.id
    );
    let _ = writeln!(
        text,
        "- keep data in {}, at most {} bytes",
        config.data_dir.display(),
        config.store.max_bytes
    );
    for source in &config.sources {
        let _ = writeln!(text, "- take data from the source `{}`", source.name());
    }
    for uplink in &config.uplinks {
        let _ = writeln!(
            text,
            "- send them to `{}`: {}",
            uplink.name,
            uplink.servers.join(", ")
        );
    }
    for app in &config.apps {
        let _ = writeln!(text, "- run the app `{}`: {}", app.name, app.file.display());
    }
    if let Some(page) = config.page {
        let _ = writeln!(text, "- serve its page on http://{page}");
    }
    if config.uplinks.is_empty() {
        text.push_str("It has no uplink: data are shown, and sent nowhere.\n");
    }
    text
}
