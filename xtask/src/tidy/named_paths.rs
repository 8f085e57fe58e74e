//! Files that the prose points at exist.

use super::tree::Tree;
use super::{Check, Finding};

pub(crate) const CHECK: Check = Check {
    name: "named-paths",
    why: "a stranger follows the paths in the prose to the first file to open; a wrong one sends them away",
    run: |tree| Ok(check(tree)),
};

const PAGES: [&str; 3] = ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"];
/// A path that begins with one of these is meant from the repository's root.
const TOP_FOLDERS: [&str; 8] = [
    "crates/",
    "xtask/",
    "docs/",
    "tests/",
    "fuzz/",
    "examples/",
    ".ci/",
    ".cargo/",
];
const FILE_ENDINGS: [&str; 5] = [".rs", ".md", ".toml", ".tsv", ".scenario"];

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (page, text) in PAGES
        .iter()
        .filter_map(|page| Some((page, tree.text(page)?)))
    {
        for (index, line) in text.lines().enumerate() {
            let named = code_spans(line).into_iter().chain(link_targets(line));
            let missing = named.filter(|name| !exists(tree, name));
            findings.extend(
                missing
                    .map(|name| Finding::at(page, index + 1, format!("`{name}` does not exist"))),
            );
        }
    }
    findings
}

fn code_spans(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

fn link_targets(line: &str) -> Vec<&str> {
    let targets = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
        .collect()
}

/// Whether `name` exists, or is no path at all.
fn exists(tree: &Tree, name: &str) -> bool {
    let path = name
        .split(['#', ':'])
        .next()
        .unwrap_or_default()
        .trim_end_matches('/');
    let is_plain = path
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_'));
    let from_root = TOP_FOLDERS.iter().any(|folder| name.starts_with(folder));
    let is_file_name =
        FILE_ENDINGS.iter().any(|ending| path.ends_with(ending)) && !path.starts_with('/');
    if !is_plain || !(from_root || is_file_name) {
        return true;
    }
    let is_there = |file: &String| match file.strip_prefix(path) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => !from_root && file.ends_with(&format!("/{path}")),
    };
    tree.paths.iter().any(is_there)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(prose: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("README.md", prose),
            ("crates/a/src/deep/b.rs", ""),
            ("docs/x.md", ""),
        ]);
        check(&tree)
            .into_iter()
            .map(|finding| finding.says)
            .collect()
    }

    #[test]
    fn path_that_is_not_there_is_told() {
        assert_eq!(
            missing("see `crates/a/src/c.rs`"),
            ["`crates/a/src/c.rs` does not exist"]
        );
        assert_eq!(missing("see `deep/c.rs` and [y](docs/y.md)").len(), 2);
        assert_eq!(missing("in `crates/b/`").len(), 1);
        assert_eq!(missing("in `crates/a/sr`").len(), 1);
    }

    #[test]
    fn paths_that_are_there_and_words_that_are_no_paths_pass() {
        for prose in [
            "see `crates/a/src/deep/b.rs:12`, `crates/a/`, `deep/b.rs` and `b.rs`",
            "[x](docs/x.md#part), [site](https://example.org/a.md), [here](#there)",
            "`$SYS/broker/uptime`, `a/b/c`, `crates/<name>`, `cargo run --release`, `MIT/Apache`",
        ] {
            assert_eq!(missing(prose), Vec::<String>::new(), "{prose}");
        }
    }
}
