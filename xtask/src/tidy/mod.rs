//! `cargo xtask tidy`: what we agree on about the shape of the tree, checked by a program.
//!
//! A finding on a line of Rust can be answered by `// tidy-allow: <check> <reason>` on that line or the
//! one above. A check that annoys without teaching is to be removed.

mod banned_calls;
mod commented_code;
mod dependencies;
mod layers;
mod leaks;
mod lengths;
mod lints;
mod markers;
mod named_paths;
mod spec_ids;
mod tree;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use crate::{process, workspace};
use tree::Tree;

/// What `cargo xtask tidy` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Run cargo-deny too (built on first use): security advisories; fetches the advisory database.
    #[arg(long)]
    deny: bool,
    /// List files that come near the length limit.
    #[arg(long)]
    lengths: bool,
}

/// Something that a check objects to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Line number, the first is 1; 0 for the file as a whole.
    line: usize,
    says: String,
}

impl Finding {
    fn at(path: &str, line: usize, says: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            says: says.into(),
        }
    }

    fn of_file(path: &str, says: impl Into<String>) -> Self {
        Self::at(path, 0, says)
    }
}

/// One rule.
struct Check {
    name: &'static str,
    /// One sentence that teaches, printed when the check fires.
    why: &'static str,
    run: fn(&Tree) -> Result<Vec<Finding>>,
}

const CHECKS: [Check; 11] = [
    tree::PARSES,
    layers::CHECK,
    dependencies::CHECK,
    lints::CHECK,
    lengths::CHECK,
    markers::CHECK,
    commented_code::CHECK,
    banned_calls::CHECK,
    named_paths::CHECK,
    spec_ids::CHECK,
    leaks::CHECK,
];

/// Runs all checks; a failure exit code if one fired.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::root()?;
    let tree = Tree::read(&root)?;
    if options.lengths {
        print!("{}", lengths::near_limit(&tree));
    }
    report(&tree)?;
    if options.deny {
        cargo_deny(&root)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs all checks; an error if one fired.
pub(crate) fn must_be_clean(root: &Path) -> Result<()> {
    report(&Tree::read(root)?)
}

fn report(tree: &Tree) -> Result<()> {
    let mut fired = BTreeMap::new();
    let mut allowed = 0;
    for check in CHECKS {
        let all = (check.run)(tree)?;
        let total = all.len();
        let objections: Vec<Finding> = all
            .into_iter()
            .filter(|finding| !is_allowed(tree, check.name, finding))
            .collect();
        allowed += total - objections.len();
        for finding in &objections {
            println!(
                "{}:{}: {}: {}",
                finding.path, finding.line, check.name, finding.says
            );
        }
        if !objections.is_empty() {
            fired.insert(check.name, (objections.len(), check.why));
        }
    }
    for (name, (_, why)) in &fired {
        println!("why {name}: {why}");
    }
    let total: usize = fired.values().map(|(count, _)| count).sum();
    println!(
        "{} checks, {total} findings, {allowed} allowed by a reason",
        CHECKS.len()
    );
    if total > 0 {
        bail!("{total} findings");
    }
    Ok(())
}

fn is_allowed(tree: &Tree, check: &str, finding: &Finding) -> bool {
    let Some(file) = tree.rust.iter().find(|file| file.path == finding.path) else {
        return false;
    };
    let gives_reason = |number: usize| {
        let line = number
            .checked_sub(1)
            .and_then(|index| file.lines.get(index));
        let comment = line
            .and_then(|line| line.comment.as_ref())
            .map(|(_, text)| text.trim());
        let reason =
            comment.and_then(|text| text.strip_prefix("tidy-allow: ")?.strip_prefix(check));
        reason
            .is_some_and(|reason| reason.starts_with(' ') && reason.split_whitespace().count() >= 3)
    };
    finding.line > 0 && (gives_reason(finding.line) || gives_reason(finding.line - 1))
}

/// cargo-deny adds the advisories to what `dependencies` checks; it takes minutes to build, so it is not
/// part of the test command.
fn cargo_deny(root: &Path) -> Result<()> {
    let tools = workspace::target_folder(root)?.join("tools");
    let built = tools.join("bin").join("cargo-deny");
    let program = match process::find_on_path("cargo-deny") {
        Some(found) => found,
        None if built.exists() => built,
        None => {
            let install = [
                "install",
                "--locked",
                "cargo-deny",
                "--version",
                "0.20.2",
                "--root",
            ];
            process::run(process::cargo().args(install).arg(&tools))?;
            built
        }
    };
    process::run(
        std::process::Command::new(program)
            .current_dir(root)
            .args(["--all-features", "check"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str, line: usize) -> bool {
        let tree = Tree::of(&[("crates/tidewire-core/src/a.rs", text)]);
        is_allowed(
            &tree,
            "banned-calls",
            &Finding::at("crates/tidewire-core/src/a.rs", line, "x"),
        )
    }

    #[test]
    fn reason_on_the_line_or_above_allows_that_check_only() {
        assert!(allowed(
            "// tidy-allow: banned-calls checked at compile time\nfn f() {}\n",
            2
        ));
        assert!(allowed(
            "fn f() {} // tidy-allow: banned-calls checked at compile time\n",
            1
        ));
        assert!(!allowed("// tidy-allow: banned-calls\nfn f() {}\n", 2));
        assert!(!allowed(
            "// tidy-allow: lengths checked at compile time\nfn f() {}\n",
            2
        ));
        assert!(!allowed(
            "// tidy-allow: banned-calls checked at compile time\n\nfn f() {}\n",
            3
        ));
    }

    #[test]
    fn each_check_has_a_name_of_its_own_and_teaches() {
        let names: std::collections::BTreeSet<&str> =
            CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
        assert!(CHECKS.iter().all(|check| check.why.split(' ').count() > 5));
    }
}
