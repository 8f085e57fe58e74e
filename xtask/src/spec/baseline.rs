//! `docs/spec/coverage-baseline`: the statements that had a test once, one a line.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::coverage::Coverage;
use super::table::{Side, StatementId, Table};

const BASELINE: &str = "docs/spec/coverage-baseline";

/// Statements that were covered when the baseline was taken.
pub(crate) type Baseline = BTreeSet<StatementId>;

/// Reads the baseline; a project without one has an empty one.
pub(crate) fn read(root: &Path) -> Result<Baseline> {
    let path = root.join(BASELINE);
    if !path.exists() {
        return Ok(Baseline::new());
    }
    parse(&fs::read_to_string(path)?).with_context(|| BASELINE.to_owned())
}

/// Writes what is covered now, after telling what falls out.
pub(crate) fn write(root: &Path, coverage: &Coverage) -> Result<()> {
    for id in read(root)?
        .iter()
        .filter(|id| !coverage.places.contains_key(id))
    {
        println!("dropped from the baseline: {id}");
    }
    let lines: String = coverage.places.keys().map(|id| format!("{id}\n")).collect();
    fs::write(root.join(BASELINE), lines).with_context(|| format!("cannot write {BASELINE}"))
}

/// Statements of the server (or of both sides) that were covered and are no longer.
pub(crate) fn lost<'baseline>(
    baseline: &'baseline Baseline,
    table: &Table,
    coverage: &Coverage,
) -> Vec<&'baseline StatementId> {
    let clients: BTreeSet<&StatementId> = table
        .statements
        .iter()
        .filter(|row| row.side == Side::Client)
        .map(|row| &row.id)
        .collect();
    baseline
        .iter()
        .filter(|id| !coverage.places.contains_key(id) && !clients.contains(id))
        .collect()
}

/// How many statements are covered and not in the baseline.
pub(crate) fn gained(baseline: &Baseline, coverage: &Coverage) -> usize {
    coverage
        .places
        .keys()
        .filter(|id| !baseline.contains(id))
        .count()
}

fn parse(text: &str) -> Result<Baseline> {
    let mut found = Baseline::new();
    for line in text.lines() {
        let (version, id) = line
            .split_once(' ')
            .with_context(|| format!("`{line}` is not `<version> <id>`"))?;
        found.insert(StatementId {
            version: version.parse()?,
            id: id.to_owned(),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::default();
        let rows = "id\tversion\tsection\tparaphrase\tside\n\
                    MQTT-1.1-1\t5.0\t1.1\tsays a\tserver\n\
                    MQTT-1.1-2\t5.0\t1.1\tsays b\tclient\n\
                    MQTT-1.1-3\t5.0\t1.1\tsays c\tboth\n";
        table.add_statements(rows).expect("rows");
        table
    }

    fn covering(test: &str) -> Coverage {
        Coverage::of_texts(
            vec![("crates/a/tests/a.rs".to_owned(), test.to_owned())],
            &table(),
        )
    }

    #[test]
    fn statement_that_loses_its_test_is_lost_and_clients_may_come_and_go() {
        let baseline = parse("5.0 MQTT-1.1-1\n5.0 MQTT-1.1-2\n5.0 MQTT-1.1-3\n").expect("baseline");
        let coverage = covering("// [5.0 MQTT-1.1-3]\n");
        let lost: Vec<String> = lost(&baseline, &table(), &coverage)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(lost, ["5.0 MQTT-1.1-1"]);
    }

    #[test]
    fn statement_that_left_the_table_is_lost_too() {
        let baseline = parse("5.0 MQTT-9.9-9\n").expect("baseline");
        assert_eq!(lost(&baseline, &table(), &covering("")).len(), 1);
    }

    #[test]
    fn new_coverage_is_a_gain_and_no_loss() {
        let baseline = parse("5.0 MQTT-1.1-1\n").expect("baseline");
        let coverage = covering("// [5.0 MQTT-1.1-1] [5.0 MQTT-1.1-3]\n");
        assert!(lost(&baseline, &table(), &coverage).is_empty());
        assert_eq!(gained(&baseline, &coverage), 1);
    }
}
