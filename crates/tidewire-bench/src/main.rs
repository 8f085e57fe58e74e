//! The command `tidewire-bench`.

use std::process::ExitCode;

use clap::Parser;
use tidewire_bench::cli::{Cli, execute};

fn main() -> ExitCode {
    execute(Cli::parse())
}
