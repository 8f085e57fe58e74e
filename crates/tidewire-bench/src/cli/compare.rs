//! `compare`: several brokers in turns.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Outcome, TimingArgs};
use crate::compare::{Comparison, Report, Syscalls};
use crate::engine::Interrupt;
use crate::error::{BenchError, Result};
use crate::peer::{Fetch, Peer, PeerSpec};
use crate::probe::strace_is_available;
use crate::report::{comparison_text, write_json};
use crate::scenario::select;

/// Options of `compare`.
#[derive(Debug, Args)]
#[command(
    after_help = "Peers are tidewire, mosquitto, rumqttd and raw (a forwarder without MQTT), each also as NAME=PROGRAM.\n\
    What is missing is fetched: mosquitto with apt-get (as root), rumqttd with `cargo install` into\n\
    $XDG_CACHE_HOME/tidewire-bench or ~/.cache/tidewire-bench. Each broker runs alone, on a free loopback port."
)]
pub struct CompareArgs {
    /// The broker that is compared
    #[arg(long, value_name = "PEER", default_value = "tidewire")]
    a: PeerSpec,
    /// A broker to compare it with; may be repeated
    #[arg(long, value_name = "PEER", default_value = "mosquitto")]
    b: Vec<PeerSpec>,
    /// Scenarios and groups to run, comma-separated; see `list`
    #[arg(
        long,
        visible_alias = "scenario",
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "gate"
    )]
    scenarios: Vec<String>,
    /// How often each broker has its turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    #[command(flatten)]
    timing: TimingArgs,
    /// Count system calls per message too, under `strace -c -f`, once per broker and scenario
    #[arg(long)]
    syscalls: bool,
    /// Never install a peer that is missing
    #[arg(long)]
    no_fetch: bool,
    /// Write every run's figures to this file as JSON; `-` prints them instead of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl CompareArgs {
    pub(super) fn execute(self, interrupt: &Interrupt) -> Result<Outcome> {
        let scenarios = select(&self.scenarios).map_err(BenchError::Usage)?;
        if self.syscalls && !strace_is_available() {
            return Err(BenchError::Environment(
                "--syscalls needs the program `strace`".into(),
            ));
        }
        let fetch = if self.no_fetch {
            Fetch::Never
        } else {
            Fetch::Allowed
        };
        let specs = std::iter::once(&self.a).chain(&self.b);
        let peers = specs
            .map(|spec| Peer::locate(spec, fetch))
            .collect::<Result<Vec<_>>>()?;
        let comparison = Comparison {
            peers,
            scenarios,
            rounds: self.rounds as usize,
            options: self.timing.options(interrupt),
            syscalls: if self.syscalls {
                Syscalls::Count
            } else {
                Syscalls::Skip
            },
        };
        let report = comparison.run(|step| eprintln!("{step}"))?;
        self.publish(&report)?;
        Ok(outcome(&report))
    }

    fn publish(&self, report: &Report) -> Result<()> {
        if let Some(path) = &self.json {
            write_json(report, path)?;
        }
        if self.json.as_deref() != Some(Path::new("-")) {
            print!("{}", comparison_text(report));
        }
        Ok(())
    }
}

fn outcome(report: &Report) -> Outcome {
    let mut columns = report.rows.iter().flat_map(|row| &row.columns);
    if columns.any(|column| !column.failures.is_empty()) {
        Outcome::Failed
    } else if report.is_valid() {
        Outcome::Clean
    } else {
        Outcome::Void
    }
}
