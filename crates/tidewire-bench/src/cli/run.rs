//! `run`: scenarios against a broker that is already running.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Outcome, TimingArgs};
use crate::encode::{Qos, Version};
use crate::engine::{Endpoint, Interrupt, Protocol};
use crate::error::{BenchError, Result};
use crate::measure::{Measurement, count_syscalls, measure};
use crate::probe::{MachineFacts, strace_is_available};
use crate::report::{run_text, write_json};
use crate::scenario::{Flow, Pacing, Plan, Routing, Scenario, select};

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Where the broker listens
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1883")]
    addr: String,
    /// The broker's process, to measure its CPU and memory; without it only delivery is checked
    #[arg(long)]
    pid: Option<u32>,
    /// Scenarios and groups to run, comma-separated; see `list`
    #[arg(
        long = "scenario",
        visible_alias = "scenarios",
        value_name = "NAMES",
        value_delimiter = ',',
        required = true
    )]
    scenarios: Vec<String>,
    #[command(flatten)]
    timing: TimingArgs,
    /// Repeat each scenario under `strace -c -f` and report system calls per message (needs --pid)
    #[arg(long, requires = "pid")]
    syscalls: bool,
    /// The address is that of `tidewire-bench raw`
    #[arg(long)]
    raw: bool,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    changes: Changes,
}

/// Changes to the named scenarios.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Changes to the scenarios")]
struct Changes {
    /// Quality of service of publishes and subscriptions
    #[arg(long, value_enum)]
    qos: Option<QosArg>,
    /// Protocol version
    #[arg(long, value_enum)]
    mqtt: Option<VersionArg>,
    /// Payload in bytes, at least 16
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(16..=16 << 20))]
    payload: Option<u32>,
    /// Publishing connections
    #[arg(long, value_name = "N")]
    publishers: Option<usize>,
    /// Subscribing connections
    #[arg(long, value_name = "N")]
    subscribers: Option<usize>,
    /// Publishers and subscribers, as many of each
    #[arg(long, value_name = "N", conflicts_with_all = ["publishers", "subscribers"])]
    pairs: Option<usize>,
    /// Undelivered messages per publisher
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=60_000))]
    window: Option<u32>,
    /// Messages a second in all, on a fixed schedule, instead of a window
    #[arg(long, value_name = "PER_SEC", conflicts_with = "window", value_parser = rate)]
    rate: Option<f64>,
    /// Idle connections
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    /// Filters in all, in the `wild` scenarios
    #[arg(long, value_name = "N")]
    filters: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum QosArg {
    #[value(name = "0")]
    Zero,
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VersionArg {
    #[value(name = "3.1.1")]
    V311,
    #[value(name = "5")]
    V5,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct RunReport {
    machine: MachineFacts,
    runs: Vec<RunEntry>,
}

#[derive(Debug, Serialize)]
struct RunEntry {
    plan: Plan,
    #[serde(flatten)]
    measurement: Measurement,
    cpu_us_per_unit: Option<f64>,
    user_us_per_unit: Option<f64>,
    generator_us_per_unit: f64,
    syscalls_per_unit: Option<f64>,
}

impl RunArgs {
    pub(super) fn execute(self, interrupt: &Interrupt) -> Result<Outcome> {
        let endpoint = self.endpoint()?;
        let options = self.timing.options(interrupt);
        let scenarios = select(&self.scenarios).map_err(BenchError::Usage)?;
        if self.syscalls && !strace_is_available() {
            return Err(BenchError::Environment(
                "--syscalls needs the program `strace`".into(),
            ));
        }
        let mut report = RunReport {
            machine: MachineFacts::collect(),
            runs: Vec::new(),
        };
        for mut scenario in scenarios {
            self.changes.apply(&mut scenario)?;
            let run = measure(&scenario, endpoint, self.pid, &options)?;
            let syscalls = match self.pid.filter(|_| self.syscalls && run.is_valid()) {
                Some(pid) => Some(count_syscalls(&scenario, endpoint, pid, &options)?),
                None => None,
            };
            if !self.json {
                print!("{}", run_text(&run, syscalls));
            }
            report
                .runs
                .push(RunEntry::new(scenario.plan, run, syscalls));
        }
        if self.json {
            write_json(&report, Path::new("-"))?;
        }
        let clean = report.runs.iter().all(|run| run.measurement.is_valid());
        Ok(if clean { Outcome::Clean } else { Outcome::Void })
    }

    fn endpoint(&self) -> Result<Endpoint> {
        let resolved = self.addr.to_socket_addrs();
        let unusable = |why: String| BenchError::Usage(format!("--addr {}: {why}", self.addr));
        let addr: SocketAddr = resolved
            .map_err(|error| unusable(error.to_string()))?
            .next()
            .ok_or_else(|| unusable("no such host".into()))?;
        let protocol = if self.raw {
            Protocol::Raw
        } else {
            Protocol::Mqtt
        };
        Ok(Endpoint { addr, protocol })
    }
}

impl RunEntry {
    fn new(plan: Plan, run: Measurement, syscalls: Option<f64>) -> Self {
        Self {
            plan,
            cpu_us_per_unit: run.cpu_us(),
            user_us_per_unit: run.user_us(),
            generator_us_per_unit: run.generator_us(),
            syscalls_per_unit: syscalls,
            measurement: run,
        }
    }
}

impl Changes {
    fn apply(&self, scenario: &mut Scenario) -> Result<()> {
        let version = self.mqtt.map(|version| match version {
            VersionArg::V311 => Version::V311,
            VersionArg::V5 => Version::V5,
        });
        match &mut scenario.plan {
            Plan::Flow(flow) => {
                self.change_flow(flow);
                flow.version = version.unwrap_or(flow.version);
                flow.check().map_err(BenchError::Usage)
            }
            Plan::Idle {
                connections,
                version: spoken,
            } => {
                *connections = self.connections.unwrap_or(*connections);
                *spoken = version.unwrap_or(*spoken);
                Ok(())
            }
            Plan::ConnectRate {
                version: spoken, ..
            } => {
                *spoken = version.unwrap_or(*spoken);
                Ok(())
            }
            Plan::Retained {
                version: spoken,
                payload_bytes,
                ..
            } => {
                *spoken = version.unwrap_or(*spoken);
                *payload_bytes = self.payload.map_or(*payload_bytes, |bytes| bytes as usize);
                Ok(())
            }
        }
    }

    fn change_flow(&self, flow: &mut Flow) {
        if let Some(qos) = self.qos {
            flow.qos = match qos {
                QosArg::Zero => Qos::AtMostOnce,
                QosArg::One => Qos::AtLeastOnce,
                QosArg::Two => Qos::ExactlyOnce,
            };
        }
        flow.payload_bytes = self
            .payload
            .map_or(flow.payload_bytes, |bytes| bytes as usize);
        flow.publishers = self.pairs.or(self.publishers).unwrap_or(flow.publishers);
        flow.subscribers = self.pairs.or(self.subscribers).unwrap_or(flow.subscribers);
        if let Some(window) = self.window {
            flow.pacing = Pacing::Window {
                messages: window as usize,
            };
        }
        if let Some(messages_per_sec) = self.rate {
            flow.pacing = Pacing::Rate { messages_per_sec };
        }
        if let (Some(wanted), Routing::ManyFilters { filters, .. }) =
            (self.filters, &mut flow.routing)
        {
            *filters = wanted;
        }
    }
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.1..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("a rate from 0.1 to 10000000 messages a second is wanted".into()),
    }
}
