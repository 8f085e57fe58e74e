//! The reference of all keys.

use super::schema::{Key, Kind, Table};
use super::tables::TABLES;
use std::fmt::Write as _;

/// The reference as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# Configuration of the gateway\n\n\
         Written by `tidewire gateway config-reference`; the tables of the program are its only source.\n",
    );
    for table in TABLES {
        describe(&mut text, table, &table.header());
    }
    text
}

fn describe(text: &mut String, table: &Table, header: &str) {
    let _ = write!(
        text,
        "\n## `{header}`\n\n{}\n\n| key | takes | default | meaning |\n|---|---|---|---|\n",
        table.doc
    );
    for key in table.keys {
        row(text, key);
    }
    for key in table.keys {
        if let Kind::Tables(below) = key.kind {
            describe(text, below, &format!("[[{}.{}]]", table.name, below.name));
        }
    }
}

fn row(text: &mut String, key: &Key) {
    let default = if key.default.is_empty() {
        String::new()
    } else {
        format!("`{}`", key.default)
    };
    let _ = writeln!(
        text,
        "| `{}` | {} | {default} | {} |",
        key.name,
        key.kind.noun(),
        key.doc.replace('|', "\\|")
    );
}
