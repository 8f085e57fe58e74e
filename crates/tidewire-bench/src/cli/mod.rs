//! The command line; a library module, so that another program can carry it as a subcommand.

mod compare;
mod run;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::engine::{Interrupt, Options};
use crate::error::{BenchError, Result};
use crate::raw::Forwarder;
use crate::scenario::{GROUPS, catalogue};

/// Load MQTT brokers, check every message, and compare their CPU per delivered message.
#[derive(Debug, Parser)]
#[command(
    name = "tidewire-bench",
    version,
    after_help = "Exit codes: 0 all runs were clean; 1 a run was void (a message was lost, duplicated, reordered or refused); \
                  2 wrong usage, a broker that failed, or a machine that lacks something."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios against a broker that is already running
    Run(run::RunArgs),
    /// Start several brokers in turns (A B A B) and compare them
    Compare(compare::CompareArgs),
    /// List the scenarios and the groups of them
    List,
    /// Forward bytes between sockets without MQTT: the floor to compare brokers with
    Raw(RawArgs),
}

/// Options of `raw`.
#[derive(Debug, Args)]
pub struct RawArgs {
    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1884")]
    pub listen: SocketAddr,
}

/// How long runs take; shared by `run` and `compare`.
#[derive(Debug, Clone, Args)]
pub struct TimingArgs {
    /// Length of each timed part, in seconds; what is under way at its end is waited for
    #[arg(long, value_name = "SECS", default_value_t = 1.5, value_parser = seconds)]
    pub secs: f64,
    /// Length of the part before it, which is not measured [default: a fifth of --secs]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub warm_up: Option<f64>,
    /// A load that has not moved for this long has lost what is missing, in seconds
    #[arg(long, value_name = "SECS", default_value_t = 5.0, value_parser = seconds)]
    pub stall: f64,
}

impl TimingArgs {
    fn options(&self, interrupt: &Interrupt) -> Options {
        Options {
            timed: Duration::from_secs_f64(self.secs),
            warm_up: Duration::from_secs_f64(self.warm_up.unwrap_or(self.secs / 5.0)),
            stall: Duration::from_secs_f64(self.stall),
            interrupt: interrupt.clone(),
        }
    }
}

/// Whether all runs were clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// They were.
    Clean,
    /// Some run was void.
    Void,
    /// Some broker failed.
    Failed,
}

impl Outcome {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Void => 1,
            Self::Failed => 2,
        }
    }
}

/// Does what `cli` says and prints the outcome.
#[must_use]
pub fn execute(cli: Cli) -> ExitCode {
    match dispatch(cli.command) {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(Outcome::Failed.code())
        }
    }
}

fn dispatch(command: Command) -> Result<Outcome> {
    match command {
        Command::Run(args) => args.execute(&stop_on_signal()?),
        Command::Compare(args) => args.execute(&stop_on_signal()?),
        Command::List => {
            print!("{}", listing());
            Ok(Outcome::Clean)
        }
        Command::Raw(args) => forward(args.listen),
    }
}

fn forward(listen: SocketAddr) -> Result<Outcome> {
    let mut forwarder =
        Forwarder::bind(listen).map_err(BenchError::io(format!("listening on {listen}")))?;
    let bound = forwarder
        .local_addr()
        .map_err(BenchError::io("asking for the address"))?;
    eprintln!("forwarding on {bound}");
    forwarder
        .run(None, || true)
        .map_err(BenchError::io("forwarding"))?;
    Ok(Outcome::Clean)
}

/// Ctrl-C and SIGTERM end the run in an orderly way, so that started brokers are stopped.
fn stop_on_signal() -> Result<Interrupt> {
    let interrupt = Interrupt::default();
    let raised = interrupt.clone();
    ctrlc::set_handler(move || raised.raise()).map_err(|error| {
        BenchError::Environment(format!("installing a signal handler: {error}"))
    })?;
    Ok(interrupt)
}

fn listing() -> String {
    let all = catalogue();
    let width = all
        .iter()
        .map(|scenario| scenario.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::from("Scenarios:\n");
    for scenario in &all {
        text.push_str(&format!(
            "  {:<width$}  {}\n",
            scenario.name, scenario.about
        ));
    }
    text.push_str("\nGroups:\n");
    for (group, members) in GROUPS {
        text.push_str(&format!("  {group:<width$}  {}\n", members.join(", ")));
    }
    text.push_str(&format!("  {:<width$}  everything\n", "all"));
    text
}

fn seconds(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(secs) if (0.001..=86_400.0).contains(&secs) => Ok(secs),
        _ => Err("a number of seconds from 0.001 to 86400 is wanted".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_listing_names_every_scenario_and_group() {
        let text = listing();
        assert!(
            catalogue()
                .iter()
                .all(|scenario| text.contains(&scenario.about))
        );
        assert!(GROUPS.iter().all(|(group, _)| text.contains(group)));
    }
}
