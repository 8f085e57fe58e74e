//! Statements of the specification are cited in one form, and exist.

use anyhow::Result;

use super::tree::Tree;
use super::{Check, Finding};
use crate::spec::citations::{self, Citation};
use crate::spec::table::Table;

pub(crate) const CHECK: Check = Check {
    name: "spec-ids",
    why: "121 ids mean different things in 3.1.1 and 5.0, so an id is cited as `[5.0 <id>]` and must be in docs/spec",
    run: check,
};

/// The table itself, and the programs whose tests plant wrong ids.
const EXEMPT: [&str; 2] = ["docs/spec/", "xtask/"];

fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let mut table = Table::default();
    for name in [
        "docs/spec/mqtt-normative.tsv",
        "docs/spec/mqtt-3.1-differences.tsv",
    ] {
        table.add_statements(tree.text(name).unwrap_or_default())?;
    }
    let mut findings = Vec::new();
    for (path, text) in tree
        .all_texts()
        .filter(|(path, _)| !EXEMPT.iter().any(|folder| path.starts_with(folder)))
    {
        for (line, citation) in citations::find(text) {
            findings.extend(objection(&table, &citation).map(|says| Finding::at(path, line, says)));
        }
    }
    Ok(findings)
}

fn objection(table: &Table, citation: &Citation) -> Option<String> {
    match citation {
        Citation::Statement(id) if table.knows(id) => None,
        Citation::Statement(id) => Some(format!("{id} is not in docs/spec")),
        Citation::Malformed(id) => Some(format!(
            "write {id} with its version: [5.0 {id}], [3.1.1 {id}]"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str =
        "id\tversion\tsection\tparaphrase\tside\nMQTT-1.1-1\t5.0\t1.1\tsays a\tserver\n";

    fn findings(text: &str) -> usize {
        let tree = Tree::of(&[
            ("docs/spec/mqtt-normative.tsv", ROWS),
            ("crates/a/src/a.rs", text),
        ]);
        check(&tree).expect("a table").len()
    }

    #[test]
    fn id_that_does_not_exist_in_that_version_is_told() {
        assert_eq!(findings("// [3.1.1 MQTT-1.1-1]\n"), 1);
        assert_eq!(findings("// [5.0 MQTT-1.1-2]\n"), 1);
        assert_eq!(findings("// MQTT-1.1-1\n"), 1);
        assert_eq!(findings("// [5.0 MQTT-1.1-1]\n"), 0);
    }
}
