//! The statements: `docs/spec/mqtt-normative.tsv`, `docs/spec/mqtt-3.1-differences.tsv`, and the reasoned
//! exceptions of `docs/spec/exceptions.tsv`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context as _, Result, bail, ensure};

const STATEMENT_FILES: [&str; 2] = [
    "docs/spec/mqtt-normative.tsv",
    "docs/spec/mqtt-3.1-differences.tsv",
];
const EXCEPTIONS_FILE: &str = "docs/spec/exceptions.tsv";

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    V31,
    V311,
    V50,
}

impl Version {
    pub(crate) const ALL: [Self; 3] = [Self::V31, Self::V311, Self::V50];
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V50 => "5.0",
        })
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|version| version.to_string() == text);
        found.with_context(|| format!("`{text}` is no version; expected 3.1, 3.1.1 or 5.0"))
    }
}

/// Whom a statement binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Server,
    Both,
    Client,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Server, Self::Both, Self::Client];
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Server => "server",
            Self::Both => "both",
            Self::Client => "client",
        })
    }
}

impl FromStr for Side {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|side| side.to_string() == text);
        found.with_context(|| format!("`{text}` is no side; expected server, client or both"))
    }
}

/// A statement's name. The same id occurs in 3.1.1 and 5.0 with different meanings, so the version is part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StatementId {
    pub version: Version,
    pub id: String,
}

impl fmt::Display for StatementId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.version, self.id)
    }
}

/// One normative statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub id: StatementId,
    pub says: String,
    pub side: Side,
}

/// All statements in the order of their files, and the exceptions.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub statements: Vec<Statement>,
    /// Why a statement will have no test.
    pub exceptions: BTreeMap<StatementId, String>,
    known: BTreeSet<StatementId>,
}

impl Table {
    /// Reads the files below `root`.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let read = |name: &str| {
            fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))
        };
        let mut table = Self::default();
        for name in STATEMENT_FILES {
            table
                .add_statements(&read(name)?)
                .with_context(|| name.to_owned())?;
        }
        table
            .add_exceptions(&read(EXCEPTIONS_FILE)?)
            .with_context(|| EXCEPTIONS_FILE.to_owned())?;
        Ok(table)
    }

    /// Adds rows of `id version section paraphrase side`.
    pub(crate) fn add_statements(&mut self, text: &str) -> Result<()> {
        for (number, [id, version, _section, says, side]) in rows(text)? {
            let place = || format!("line {number}");
            let id = StatementId {
                version: version.parse().with_context(place)?,
                id: id.to_owned(),
            };
            ensure!(
                self.known.insert(id.clone()),
                "line {number}: {id} occurs twice"
            );
            let side = side.parse().with_context(place)?;
            self.statements.push(Statement {
                id,
                says: says.to_owned(),
                side,
            });
        }
        Ok(())
    }

    /// Adds rows of `id version reason`.
    pub(crate) fn add_exceptions(&mut self, text: &str) -> Result<()> {
        for (number, [id, version, reason]) in rows(text)? {
            let version = version.parse().with_context(|| format!("line {number}"))?;
            let id = StatementId {
                version,
                id: id.to_owned(),
            };
            ensure!(
                self.known.contains(&id),
                "line {number}: {id} is not in the table"
            );
            ensure!(
                reason.split(' ').count() >= 3,
                "line {number}: {id} needs a reason that explains"
            );
            self.exceptions.insert(id, reason.to_owned());
        }
        Ok(())
    }

    /// Whether the table has this statement.
    pub(crate) fn knows(&self, id: &StatementId) -> bool {
        self.known.contains(id)
    }
}

/// Rows of a TSV file with `N` columns, with line numbers; the first line is the heading.
fn rows<const N: usize>(text: &str) -> Result<Vec<(usize, [&str; N])>> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let Ok(columns) = <[&str; N]>::try_from(columns) else {
            bail!("line {}: expected {N} columns divided by tabs", index + 1)
        };
        found.push((index + 1, columns));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "id\tversion\tsection\tparaphrase\tside\n";

    #[test]
    fn the_same_id_in_two_versions_is_two_statements() {
        let mut table = Table::default();
        let rows = "MQTT-1.1-1\t5.0\t1.1\tsays a\tserver\nMQTT-1.1-1\t3.1.1\t1.1\tsays b\tboth\n";
        table
            .add_statements(&format!("{HEAD}{rows}"))
            .expect("two rows");
        assert_eq!(table.statements.len(), 2);
        let again = table
            .add_statements(&format!("{HEAD}{rows}"))
            .expect_err("twice");
        assert!(again.to_string().contains("occurs twice"), "{again}");
    }

    #[test]
    fn exception_needs_a_known_statement_and_a_reason() {
        let mut table = Table::default();
        table
            .add_statements(&format!("{HEAD}MQTT-1.1-1\t5.0\t1.1\tsays a\tserver\n"))
            .expect("row");
        let head = "id\tversion\treason\n";
        assert!(
            table
                .add_exceptions(&format!("{head}MQTT-1.1-1\t3.1.1\tnot seen on the wire\n"))
                .is_err()
        );
        assert!(
            table
                .add_exceptions(&format!("{head}MQTT-1.1-1\t5.0\tlater\n"))
                .is_err()
        );
        assert!(
            table
                .add_exceptions(&format!("{head}MQTT-1.1-1\t5.0\tnot seen on the wire\n"))
                .is_ok()
        );
        assert_eq!(table.exceptions.len(), 1);
    }

    #[test]
    fn files_of_the_project_load() {
        let root = crate::workspace::root().expect("root");
        let table = Table::load(&root).expect("the table");
        let count = |version| {
            table
                .statements
                .iter()
                .filter(|row| row.id.version == version)
                .count()
        };
        assert_eq!((count(Version::V50), count(Version::V311)), (251, 141));
        assert!(count(Version::V31) >= 20);
    }
}
