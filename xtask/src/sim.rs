//! `cargo xtask sim`: lives of the simulated broker, optimized, so that there are many of them.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::{process, workspace};

/// What `cargo xtask sim` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Arguments of the simulator, such as `--seeds 1000`, `--seed 7` or `--help`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    passed_on: Vec<OsString>,
}

/// Builds the simulator and runs it; a life that goes wrong is an error.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::root()?;
    let mut run = process::cargo();
    run.current_dir(&root)
        .args([
            "run",
            "--quiet",
            "--release",
            "--package",
            "tidewire-sim",
            "--",
        ])
        .args(&options.passed_on);
    let status = run.status()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
