//! What a table of the file may hold: declared once, read, checked, suggested and documented from the declaration.

/// A table of the file.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Whether there may be several: `[[name]]`.
    pub many: bool,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys, in the order of the reference.
    pub keys: &'static [Key],
}

impl Table {
    /// Its header as it stands in the file.
    #[must_use]
    pub fn header(&self) -> String {
        if self.many {
            format!("[[{}]]", self.name)
        } else {
            format!("[{}]", self.name)
        }
    }
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// Its name; a unit, if it has one, is the name's last word.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is if it is not there, as it would stand in the file; empty = unset.
    pub default: &'static str,
    /// Sentences of documentation.
    pub doc: &'static str,
}

impl Key {
    pub(crate) const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        doc: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            default,
            doc,
        }
    }
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number of this range, both ends included.
    Integer {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// A number of this range.
    Number {
        /// Smallest.
        min: f64,
        /// Largest.
        max: f64,
    },
    /// Text that is not empty.
    Text,
    /// Text that is not empty, and is required.
    Required,
    /// Text that is shown nowhere.
    Secret,
    /// The path of a file or folder.
    Path,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// Anything: an inline table, or a text that holds JSON.
    Json,
    /// Tables below this one.
    Tables(&'static Table),
}

impl Kind {
    /// The type in a person's words.
    #[must_use]
    pub fn noun(self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::Integer { min, max: u64::MAX } => format!("a whole number from {min}"),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Number { min, max } if min <= f64::MIN && max >= f64::MAX => {
                "a number".to_owned()
            }
            Self::Number { min, max } if max >= f64::MAX => format!("a number from {min}"),
            Self::Number { min, max } => format!("a number from {min} to {max}"),
            Self::Text | Self::Secret => "text".to_owned(),
            Self::Required => "text, required".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Choice(words) => quoted(words),
            Self::Texts => "a list of texts".to_owned(),
            Self::Json => "a table, or a text that holds JSON".to_owned(),
            Self::Tables(table) => format!("tables `[[...{}]]`", table.name),
        }
    }
}

/// `"a", "b" or "c"`
pub(super) fn quoted(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
