//! `cargo xtask bench`: the profile that is measured, and the comparison run on it.

use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::{process, workspace};

/// What `cargo xtask bench` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Arguments of `tidewire-bench compare`.
    #[arg(last = true)]
    passed_on: Vec<String>,
}

/// Builds broker and load generator with the `dist` profile and runs `tidewire-bench compare`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::root()?;
    let packages = ["--package", "tidewire", "--package", "tidewire-bench"];
    process::run(
        process::cargo()
            .current_dir(&root)
            .args(["build", "--profile", "dist", "--bins"])
            .args(packages),
    )?;
    let built = workspace::target_folder(&root)?.join("dist");
    let mut compare = Command::new(built.join("tidewire-bench"));
    compare
        .current_dir(&root)
        .env("TIDEWIRE_BIN", built.join("tidewire"));
    process::run(compare.arg("compare").args(&options.passed_on))?;
    Ok(ExitCode::SUCCESS)
}
