//! What is wrong with a configuration file, and where.

use serde::Serialize;
use std::fmt;

/// A place in a file; both count from 1, columns count characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub(crate) struct Position {
    /// Line.
    pub(crate) line: usize,
    /// Column.
    pub(crate) column: usize,
}

impl Position {
    /// The place of the byte at `offset`.
    pub(super) fn of(text: &str, offset: usize) -> Self {
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let before = text.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        }
    }
}

/// One thing that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Diagnostic {
    /// The file as the person named it.
    pub(crate) file: String,
    /// Where in the file, unless the file as a whole is meant.
    #[serde(flatten)]
    pub(crate) position: Option<Position>,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead, where that is known.
    pub(crate) help: Option<String>,
}

impl Diagnostic {
    /// Something about the file as a whole.
    pub(crate) fn without_position(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            position: None,
            message: message.into(),
            help: None,
        }
    }
}

/// `file:line:column: message`, then what to do on a line of its own.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Position { line, column }) = self.position {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let text = "a = \"é\" x\nb = 1\n";
        assert_eq!(
            Position::of(text, text.find('x').expect("x")),
            Position { line: 1, column: 9 }
        );
        assert_eq!(
            Position::of(text, text.find('b').expect("b")),
            Position { line: 2, column: 1 }
        );
        assert_eq!(Position::of(text, 999), Position { line: 3, column: 1 });
    }
}
