//! Which statements the project's tests name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Result;

use super::citations::{self, Citation};
use super::table::{Statement, StatementId, Table};
use crate::{rust_source, workspace};

/// Kinds of files that can hold tests or tables of tests.
const TEST_FILE_ENDINGS: [&str; 7] = [".rs", ".scenario", ".tsv", ".txt", ".py", ".js", ".toml"];

/// What is known about a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Covered,
    Exception,
    Open,
}

/// The statements that tests name, with the places.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    /// Statement to `path:line` of the tests that name it.
    pub places: BTreeMap<StatementId, Vec<String>>,
    /// Places of tests that name a statement that is not in the table.
    pub unknown: Vec<String>,
    /// Exceptions that have a test after all.
    pub covered_exceptions: Vec<StatementId>,
}

impl Coverage {
    /// Reads every test below `root`.
    pub(crate) fn of(root: &Path, table: &Table) -> Result<Self> {
        let mut texts = Vec::new();
        for path in workspace::files(root)? {
            if may_hold_tests(&path)
                && let Ok(text) = fs::read_to_string(root.join(&path))
            {
                texts.push((path, text));
            }
        }
        Ok(Self::of_texts(texts, table))
    }

    /// Reads the tests in `(path, text)` pairs.
    pub(crate) fn of_texts(texts: Vec<(String, String)>, table: &Table) -> Self {
        let (rust, data): (Vec<_>, Vec<_>) = texts
            .into_iter()
            .partition(|(path, _)| path.ends_with(".rs"));
        let mut coverage = Self::default();
        let (files, _) = rust_source::read_all(rust);
        for file in &files {
            coverage.add(table, &file.path, &file.text, |line| file.is_test(line));
        }
        for (path, text) in &data {
            coverage.add(table, path, text, |_| {
                is_below_tests(path) || path.ends_with(".scenario")
            });
        }
        let covered: BTreeSet<&StatementId> = coverage.places.keys().collect();
        coverage.covered_exceptions = table
            .exceptions
            .keys()
            .filter(|id| covered.contains(id))
            .cloned()
            .collect();
        coverage
    }

    /// What is known about `statement`.
    pub(crate) fn standing(&self, table: &Table, statement: &Statement) -> Standing {
        if self.places.contains_key(&statement.id) {
            Standing::Covered
        } else if table.exceptions.contains_key(&statement.id) {
            Standing::Exception
        } else {
            Standing::Open
        }
    }

    fn add(&mut self, table: &Table, path: &str, text: &str, is_test: impl Fn(usize) -> bool) {
        for (line, citation) in citations::find(text) {
            // Ids in another form are told by `cargo xtask tidy`.
            let Citation::Statement(id) = citation else {
                continue;
            };
            if !is_test(line) {
                continue;
            }
            let place = format!("{path}:{line}");
            if table.knows(&id) {
                self.places.entry(id).or_default().push(place);
            } else {
                self.unknown
                    .push(format!("{place} cites {id}, which is not in docs/spec"));
            }
        }
    }
}

fn may_hold_tests(path: &str) -> bool {
    let ours = path.starts_with("crates/") || path.starts_with("tests/");
    ours && TEST_FILE_ENDINGS
        .iter()
        .any(|ending| path.ends_with(ending))
}

fn is_below_tests(path: &str) -> bool {
    path.split('/').any(|folder| folder == "tests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        let rows = "id\tversion\tsection\tparaphrase\tside\n\
                    MQTT-1.1-1\t5.0\t1.1\tsays a\tserver\nMQTT-1.1-2\t5.0\t1.1\tsays b\tserver\n";
        table.add_statements(rows).expect("rows");
        table
    }

    fn coverage(texts: &[(&str, &str)]) -> Coverage {
        let owned = texts
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Coverage::of_texts(owned.collect(), &table())
    }

    #[test]
    fn only_test_code_covers() {
        let shipped = "// [5.0 MQTT-1.1-1]\nfn f() {}\n";
        let tested = "fn f() {}\n#[cfg(test)]\nmod tests {\n    // [5.0 MQTT-1.1-2]\n    #[test]\n    fn t() {}\n}\n";
        let found = coverage(&[
            ("crates/a/src/a.rs", shipped),
            ("crates/a/src/b.rs", tested),
        ]);
        let places: Vec<String> = found.places.values().flatten().cloned().collect();
        assert_eq!(places, ["crates/a/src/b.rs:4"]);
    }

    #[test]
    fn scenarios_and_tables_below_tests_cover() {
        let found = coverage(&[
            ("crates/a/src/retained.scenario", "# [5.0 MQTT-1.1-1]\n"),
            ("crates/a/tests/rows.tsv", "x\t[5.0 MQTT-1.1-2]\n"),
            ("crates/a/src/notes.txt", "[5.0 MQTT-1.1-2]\n"),
        ]);
        assert_eq!(
            found.places.values().map(Vec::len).collect::<Vec<_>>(),
            [1, 1]
        );
    }

    #[test]
    fn unknown_id_is_told_with_its_place() {
        let found = coverage(&[("crates/a/tests/a.rs", "// [5.0 MQTT-1.1-9]\n")]);
        assert_eq!(
            found.unknown,
            ["crates/a/tests/a.rs:1 cites 5.0 MQTT-1.1-9, which is not in docs/spec"]
        );
    }
}
