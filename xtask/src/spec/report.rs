//! The coverage as text for a terminal and as a page.

use std::fmt::Write as _;

use super::coverage::{Coverage, Standing};
use super::table::{Side, Statement, Table, Version};

/// Statements of one version and side by standing.
#[derive(Clone, Copy, Default)]
struct Tally {
    covered: usize,
    exceptions: usize,
    open: usize,
}

/// One line for each version and side.
pub(crate) fn summary(table: &Table, coverage: &Coverage) -> String {
    let mut text = format!(
        "{:8} {:7} {:>8} {:>10} {:>5}\n",
        "version", "side", "covered", "exceptions", "open"
    );
    for (version, side, tally) in tallies(table, coverage) {
        let Tally {
            covered,
            exceptions,
            open,
        } = tally;
        text += &format!(
            "{version:8} {side:7} {covered:8} {exceptions:10} {open:5}\n",
            version = version.to_string(),
            side = side.to_string()
        );
    }
    text
}

/// The open statements with what they say.
pub(crate) fn open_list(table: &Table, coverage: &Coverage) -> String {
    let open = table
        .statements
        .iter()
        .filter(|row| coverage.standing(table, row) == Standing::Open);
    open.map(|row| format!("open: [{}] ({}) {}\n", row.id, row.side, row.says))
        .collect()
}

/// The page `docs/spec/coverage.md`.
pub(crate) fn markdown(table: &Table, coverage: &Coverage) -> String {
    let mut page = String::from(
        "# Coverage of the MQTT specifications\n\n\
         Written by `cargo xtask spec --markdown`. A statement is covered when a test names it; the words are our own.\n\n\
         | version | side | covered | exceptions | open |\n|---|---|---:|---:|---:|\n",
    );
    for (version, side, tally) in tallies(table, coverage) {
        let Tally {
            covered,
            exceptions,
            open,
        } = tally;
        let _ = writeln!(
            page,
            "| {version} | {side} | {covered} | {exceptions} | {open} |"
        );
    }
    for version in Version::ALL {
        let _ = write!(
            page,
            "\n## MQTT {version}\n\n| id | side | says | standing |\n|---|---|---|---|\n"
        );
        for row in table
            .statements
            .iter()
            .filter(|row| row.id.version == version)
        {
            let standing = standing_cell(table, coverage, row);
            let _ = writeln!(
                page,
                "| {} | {} | {} | {standing} |",
                row.id.id,
                row.side,
                cell(&row.says)
            );
        }
    }
    page
}

fn standing_cell(table: &Table, coverage: &Coverage, row: &Statement) -> String {
    match coverage.standing(table, row) {
        // Line numbers would change the page with every edit of a test.
        Standing::Covered => {
            let mut files: Vec<&str> = coverage.places[&row.id]
                .iter()
                .filter_map(|place| Some(place.rsplit_once(':')?.0))
                .collect();
            files.dedup();
            let more = files.len().saturating_sub(1);
            let rest = if more == 0 {
                String::new()
            } else {
                format!(" and {more} more")
            };
            format!("covered: {}{rest}", files[0])
        }
        Standing::Exception => format!("exception: {}", cell(&table.exceptions[&row.id])),
        Standing::Open => "**open**".to_owned(),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn tallies(table: &Table, coverage: &Coverage) -> Vec<(Version, Side, Tally)> {
    let mut found = Vec::new();
    for version in Version::ALL {
        for side in Side::ALL {
            let mut tally = Tally::default();
            for row in table
                .statements
                .iter()
                .filter(|row| row.id.version == version && row.side == side)
            {
                match coverage.standing(table, row) {
                    Standing::Covered => tally.covered += 1,
                    Standing::Exception => tally.exceptions += 1,
                    Standing::Open => tally.open += 1,
                }
            }
            found.push((version, side, tally));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> (Table, Coverage) {
        let mut table = Table::default();
        let rows = "id\tversion\tsection\tparaphrase\tside\n\
                    MQTT-1.1-1\t5.0\t1.1\tsays a\tserver\n\
                    MQTT-1.1-2\t5.0\t1.1\tsays b < c\tserver\n\
                    MQTT-1.1-3\t5.0\t1.1\tsays c\tserver\n";
        table.add_statements(rows).expect("rows");
        table
            .add_exceptions("id\tversion\treason\nMQTT-1.1-3\t5.0\tnot seen on the wire\n")
            .expect("row");
        let test = (
            "crates/a/tests/a.rs".to_owned(),
            "// [5.0 MQTT-1.1-1]\n".to_owned(),
        );
        let coverage = Coverage::of_texts(vec![test], &table);
        (table, coverage)
    }

    #[test]
    fn each_statement_is_counted_once_by_its_standing() {
        let (table, coverage) = both();
        let line = summary(&table, &coverage)
            .lines()
            .find(|line| line.starts_with("5.0      server"))
            .map(str::to_owned);
        let numbers: Vec<String> = line
            .expect("a line")
            .split_whitespace()
            .skip(2)
            .map(str::to_owned)
            .collect();
        assert_eq!(numbers, ["1", "1", "1"]);
    }

    #[test]
    fn open_list_says_what_is_missing() {
        let (table, coverage) = both();
        assert_eq!(
            open_list(&table, &coverage),
            "open: [5.0 MQTT-1.1-2] (server) says b < c\n"
        );
    }

    #[test]
    fn page_names_tests_reasons_and_open_rows() {
        let (table, coverage) = both();
        let page = markdown(&table, &coverage);
        for row in [
            "| MQTT-1.1-1 | server | says a | covered: crates/a/tests/a.rs |",
            "| MQTT-1.1-2 | server | says b &lt; c | **open** |",
            "| MQTT-1.1-3 | server | says c | exception: not seen on the wire |",
            "| 5.0 | server | 1 | 1 | 1 |",
        ] {
            assert!(page.contains(row), "{row} is missing in:\n{page}");
        }
    }
}
