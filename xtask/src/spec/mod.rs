//! `cargo xtask spec`: which normative statements of MQTT the tests prove.
//!
//! The statements are rows of `docs/spec/*.tsv`. A test names the ones it proves as `[5.0 MQTT-3.3.1-2]`,
//! `[3.1.1 MQTT-2.2.2-1]` or `[3.1 MQTT31-CONNECT-1]`. `docs/spec/coverage-baseline` lists what was covered
//! once, so that a statement that loses its test is noticed.

mod baseline;
pub(crate) mod citations;
mod coverage;
mod report;
pub(crate) mod table;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::workspace;
use coverage::Coverage;
use table::Table;

const COVERAGE_PAGE: &str = "docs/spec/coverage.md";

/// What `cargo xtask spec` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// List the statements that no test proves and no exception explains.
    #[arg(long)]
    open: bool,
    /// Write docs/spec/coverage.md.
    #[arg(long)]
    markdown: bool,
    /// Fail if a statement of the server lost its test, or a test names a statement that does not exist.
    #[arg(long)]
    check: bool,
    /// Take what is covered now as the new baseline, and write docs/spec/coverage.md.
    #[arg(long)]
    bless: bool,
}

/// Prints the summary and what the options ask for.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::root()?;
    let table = Table::load(&root)?;
    let coverage = Coverage::of(&root, &table)?;
    print!("{}", report::summary(&table, &coverage));
    if options.open {
        print!("{}", report::open_list(&table, &coverage));
    }
    if options.bless {
        baseline::write(&root, &coverage)?;
    }
    if options.markdown || options.bless {
        let page = report::markdown(&table, &coverage);
        fs::write(root.join(COVERAGE_PAGE), page)
            .with_context(|| format!("cannot write {COVERAGE_PAGE}"))?;
    }
    if options.check {
        check(&root, &table, &coverage)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The check of `cargo xtask spec --check`, with the summary printed.
pub(crate) fn must_hold(root: &Path) -> Result<()> {
    let table = Table::load(root)?;
    let coverage = Coverage::of(root, &table)?;
    print!("{}", report::summary(&table, &coverage));
    check(root, &table, &coverage)
}

fn check(root: &Path, table: &Table, coverage: &Coverage) -> Result<()> {
    let baseline = baseline::read(root)?;
    let lost = baseline::lost(&baseline, table, coverage);
    for id in &lost {
        println!("lost: {id} was proven by a test and is no longer");
    }
    for unknown in &coverage.unknown {
        println!("unknown: {unknown}");
    }
    for useless in &coverage.covered_exceptions {
        println!("note: {useless} has a test now; its row in docs/spec/exceptions.tsv can go");
    }
    let gained = baseline::gained(&baseline, coverage);
    if gained > 0 {
        println!(
            "note: {gained} statements are newly covered; `cargo xtask spec --bless` keeps them"
        );
    }
    if lost.is_empty() && coverage.unknown.is_empty() {
        return Ok(());
    }
    bail!(
        "{} statements lost their test, {} cited ids do not exist",
        lost.len(),
        coverage.unknown.len()
    )
}
