//! Arrows between crates point down.

use serde_json::Value;

use super::tree::{Tree, array, string};
use super::{Check, Finding};

pub(crate) const CHECK: Check = Check {
    name: "layers",
    why: "a crate knows only crates of lower levels, so that the protocol core never learns of sockets or runtimes",
    run: |tree| Ok(check(tree)),
};

/// The crates of the design by level, lowest first.
const LEVELS: [&[&str]; 6] = [
    &["tidewire-codec"],
    &["tidewire-core", "tidewire-handler", "tidewire-log"],
    &["tidewire-store", "tidewire-net", "tidewire-lua"],
    &["tidewire-broker", "tidewire-client"],
    &["tidewire-gateway", "tidewire-bench", "tidewire-sim"],
    &["tidewire"],
];

fn level(name: &str) -> Option<usize> {
    LEVELS.iter().position(|names| names.contains(&name))
}

fn check(tree: &Tree) -> Vec<Finding> {
    tree.crates().into_iter().flat_map(of_package).collect()
}

fn of_package(package: &Value) -> Vec<Finding> {
    let name = string(&package["name"]);
    let manifest = format!("crates/{name}/Cargo.toml");
    let Some(own) = level(name) else {
        return vec![Finding::of_file(
            &manifest,
            format!("{name} has no level; give it one in the table of levels"),
        )];
    };
    let objections = array(&package["dependencies"])
        .into_iter()
        .filter_map(|dependency| {
            let other = string(&dependency["name"]);
            let theirs = level(other)?;
            // A test may use a neighbour of its level: cargo builds tests beside the crate, not below it.
            let may = if dependency["kind"] == "dev" {
                theirs <= own
            } else {
                theirs < own
            };
            (!may).then(|| format!("{name} (level {own}) depends on {other} (level {theirs})"))
        });
    objections
        .map(|says| Finding::of_file(&manifest, says))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn findings(name: &str, dependency: &str, kind: &Value) -> Vec<String> {
        let metadata = json!({
            "workspace_members": ["one"],
            "packages": [{
                "id": "one", "name": name, "manifest_path": "/x/crates/one/Cargo.toml",
                "dependencies": [{"name": dependency, "kind": kind}],
            }],
        });
        check(&Tree::of_metadata(metadata))
            .into_iter()
            .map(|finding| finding.says)
            .collect()
    }

    #[test]
    fn arrow_that_points_up_or_sideways_is_told() {
        let up = findings("tidewire-core", "tidewire-net", &Value::Null);
        assert_eq!(
            up,
            ["tidewire-core (level 1) depends on tidewire-net (level 2)"]
        );
        assert_eq!(
            findings("tidewire-core", "tidewire-handler", &Value::Null).len(),
            1
        );
        assert_eq!(
            findings("tidewire-core", "tidewire-net", &json!("dev")).len(),
            1
        );
    }

    #[test]
    fn arrows_down_and_foreign_crates_are_fine() {
        assert_eq!(
            findings("tidewire-core", "tidewire-codec", &Value::Null).len(),
            0
        );
        assert_eq!(
            findings("tidewire-core", "tidewire-log", &json!("dev")).len(),
            0
        );
        assert_eq!(findings("tidewire-core", "foldhash", &Value::Null).len(), 0);
    }

    #[test]
    fn crate_without_a_level_is_told() {
        assert_eq!(
            findings("tidewire-extra", "foldhash", &Value::Null).len(),
            1
        );
    }
}
