//! Every crate takes the workspace's lints, and those forbid unsafe code.

use anyhow::{Context as _, Result};
use toml_edit::DocumentMut;

use super::tree::Tree;
use super::{Check, Finding};

pub(crate) const CHECK: Check = Check {
    name: "lints",
    why: "a crate without the workspace's lints may contain unsafe code and undocumented items unseen",
    run: check,
};

fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (path, text) in &tree.texts {
        if path != "Cargo.toml" && !is_crate_manifest(path) {
            continue;
        }
        let manifest: DocumentMut = text.parse().with_context(|| path.clone())?;
        findings.extend(objection(path, &manifest).map(|says| Finding::of_file(path, says)));
    }
    Ok(findings)
}

fn is_crate_manifest(path: &str) -> bool {
    path == "xtask/Cargo.toml"
        || path.starts_with("crates/")
            && path.matches('/').count() == 2
            && path.ends_with("/Cargo.toml")
}

fn objection(path: &str, manifest: &DocumentMut) -> Option<&'static str> {
    let lookup = |keys: &[&str]| {
        keys.iter()
            .try_fold(manifest.as_item(), |item, key| item.get(key))
    };
    if path == "Cargo.toml" {
        let level =
            lookup(&["workspace", "lints", "rust", "unsafe_code"]).and_then(|item| item.as_str());
        return (level != Some("forbid"))
            .then_some("[workspace.lints.rust] must say unsafe_code = \"forbid\"");
    }
    let inherits = lookup(&["lints", "workspace"]).and_then(toml_edit::Item::as_bool);
    (inherits != Some(true)).then_some("add `[lints]` with `workspace = true`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).expect("valid TOML").len()
    }

    #[test]
    fn crate_without_the_lints_is_told() {
        assert_eq!(
            findings("crates/a/Cargo.toml", "[package]\nname = \"a\"\n"),
            1
        );
        assert_eq!(
            findings("crates/a/Cargo.toml", "[lints]\nworkspace = false\n"),
            1
        );
        assert_eq!(
            findings("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"),
            0
        );
    }

    #[test]
    fn workspace_that_only_denies_unsafe_code_is_told() {
        assert_eq!(
            findings(
                "Cargo.toml",
                "[workspace.lints.rust]\nunsafe_code = \"deny\"\n"
            ),
            1
        );
        assert_eq!(
            findings(
                "Cargo.toml",
                "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n"
            ),
            0
        );
    }
}
