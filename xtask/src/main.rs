//! Development commands of the Tidewire repository, run as `cargo xtask <command>`.
//!
//! - `test`: everything that must pass before a change lands, on a machine that has only Rust;
//! - `tidy`: what we agree on about the shape of the code, checked by a program;
//! - `spec`: which normative statements of MQTT the tests prove;
//! - `sim`: lives of the whole broker in a simulated world, from seeds;
//! - `bench`: the measured build beside other brokers.

mod bench;
mod process;
mod rust_source;
mod sim;
mod spec;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Development commands of the Tidewire repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests need, then run every check and test.
    Test(test::Options),
    /// Check layering, lengths, banned calls, licences and the other rules of the tree.
    Tidy(tidy::Options),
    /// Show which normative statements of MQTT the tests prove.
    Spec(spec::Options),
    /// Live the simulated broker's lives from seeds: `--seeds N`, `--seed S`, `--random`, `--within SECS`, `--coverage`.
    #[command(disable_help_flag = true)]
    Sim(sim::Options),
    /// Build the measured profile and compare it with other brokers; arguments after `--` are passed on.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test(options) => test::run(&options),
        Command::Tidy(options) => tidy::run(&options),
        Command::Spec(options) => spec::run(&options),
        Command::Sim(options) => sim::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
