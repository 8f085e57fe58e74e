//! `cargo xtask test`: the one command that says whether a tree may land.
//!
//! It installs what is missing, runs every check and every test to the end, and closes with a line
//! `N passed, N failed` that programs read. Nothing is skipped: what cannot be installed is an error.

mod count;
mod long;
mod needs;
mod steps;

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;
use clap::Args;

use crate::{process, workspace};
use count::Count;
use needs::Policy;
use steps::Steps;

/// What `cargo xtask test` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Run the long tests (marked `#[ignore]`) too and note their result in docs/long-tests.md.
    #[arg(long)]
    long: bool,
    /// Install nothing: a missing component is an error at once.
    #[arg(long)]
    no_install: bool,
}

/// Names and values that the tests find their tools by.
type Environment = Vec<(&'static str, OsString)>;

/// Runs all steps; the exit code is a success only if every step and every test passed.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::root()?;
    let policy = if options.no_install {
        Policy::OnlyLook
    } else {
        Policy::Install
    };
    let mut steps = Steps::start();

    let mut environment = Environment::new();
    steps.run("components", || {
        environment = needs::provide(&root, policy)?;
        Ok(())
    });
    if steps.any_failed() {
        return Ok(steps.close(Count::default()));
    }
    steps.run("cargo fmt --check", || {
        cargo(&root, &["fmt", "--all", "--check"])
    });
    steps.run("cargo clippy", || {
        cargo(
            &root,
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ],
        )
    });
    steps.run("cargo xtask tidy", || crate::tidy::must_be_clean(&root));
    steps.run("cargo xtask spec --check", || crate::spec::must_hold(&root));
    steps.run("build the broker", || {
        environment.extend(build_broker(&root)?);
        Ok(())
    });
    steps.run("build the tests", || {
        cargo(&root, &["test", "--workspace", "--no-run"])
    });

    let mut count = Count::default();
    steps.run("cargo test --workspace", || {
        let (counted, outcome) = count::cargo_test(&root, &environment, &[]);
        count += counted;
        outcome
    });
    if options.long {
        steps.run("long tests", || {
            let (counted, outcome) = long::run(&root, &environment);
            count += counted;
            outcome
        });
    }
    Ok(steps.close(count))
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<()> {
    process::run(process::cargo().current_dir(root).args(arguments))
}

/// Builds the `tidewire` binary, if its crate exists yet, and says where it is.
fn build_broker(root: &Path) -> Result<Environment> {
    if !workspace::has_package(root, "tidewire")? {
        return Ok(Environment::new());
    }
    cargo(root, &["build", "--package", "tidewire", "--bins"])?;
    let binary = workspace::target_folder(root)?
        .join("debug")
        .join("tidewire");
    process::run(Command::new(&binary).arg("--version"))?;
    Ok(vec![("TIDEWIRE_BIN", binary.into_os_string())])
}
