//! From the text of a file to checked values, or to everything that is wrong with it.

use super::schema::{Key, Kind, Table, quoted};
use serde_json::Value as Json;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The file as the person named it.
    pub file: String,
    /// Line and column, from 1; 0 = the file as a whole.
    pub at: (usize, usize),
    /// What is wrong.
    pub message: String,
    /// What to do, where that is known.
    pub help: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.at;
        match line {
            0 => write!(f, "{}: {}", self.file, self.message)?,
            _ => write!(f, "{}:{line}:{column}: {}", self.file, self.message)?,
        }
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

/// A checked value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    Flag(bool),
    Integer(u64),
    Number(f64),
    Text(String),
    Texts(Vec<String>),
    Json(Json),
}

/// A table of the file with its values, defaults included.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) span: Range<usize>,
    values: Vec<(&'static str, Value, Range<usize>)>,
    tables: Vec<(&'static str, Section)>,
}

impl Section {
    fn get(&self, name: &str) -> Option<&Value> {
        let found = self.values.iter().find(|(key, ..)| *key == name);
        found.map(|(_, value, _)| value)
    }

    /// Where a key stands; the table's own place if it is not there.
    pub(crate) fn span(&self, name: &str) -> Range<usize> {
        let found = self.values.iter().find(|(key, ..)| *key == name);
        found.map_or_else(|| self.span.clone(), |(.., span)| span.clone())
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Value::Flag(true)))
    }

    pub(crate) fn integer(&self, name: &str) -> u64 {
        self.integer_if_set(name).unwrap_or_default()
    }

    pub(crate) fn integer_if_set(&self, name: &str) -> Option<u64> {
        match self.get(name) {
            Some(Value::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// The number in a narrower type; the table's range keeps it from being cut.
    pub(crate) fn small<T: TryFrom<u64> + Default>(&self, name: &str) -> T {
        T::try_from(self.integer(name)).unwrap_or_default()
    }

    pub(crate) fn number(&self, name: &str) -> f64 {
        self.number_if_set(name).unwrap_or_default()
    }

    pub(crate) fn number_if_set(&self, name: &str) -> Option<f64> {
        match self.get(name) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn boxed(&self, name: &str) -> Box<str> {
        self.text(name).unwrap_or_default().into()
    }

    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    pub(crate) fn texts(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    pub(crate) fn json(&self, name: &str) -> Option<&Json> {
        match self.get(name) {
            Some(Value::Json(json)) => Some(json),
            _ => None,
        }
    }

    pub(crate) fn tables<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        let named = self.tables.iter().filter(move |(key, _)| *key == name);
        named.map(|(_, section)| section)
    }
}

/// Reads a file by its tables; collects what is wrong.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    pub(crate) faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self {
            file,
            text,
            faults: Vec::new(),
        }
    }

    /// Something that is wrong at a place of the file.
    pub(crate) fn fault(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
        help: Option<String>,
    ) {
        let before = self
            .text
            .get(..span.start.min(self.text.len()))
            .unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
        self.faults.push(Fault {
            file: self.file.to_owned(),
            at: (before.matches('\n').count() + 1, column),
            message: message.into(),
            help,
        });
    }

    /// All tables of the file; of those that may not repeat exactly one each, with its defaults if it is not there.
    pub(crate) fn document(&mut self, tables: &'static [Table]) -> Vec<(&'static str, Section)> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            self.fault(
                &error.span().unwrap_or(0..0),
                error.message().to_owned(),
                None,
            );
        }
        if !errors.is_empty() {
            return Vec::new();
        }
        let mut sections = Vec::new();
        for (name, value) in document.get_ref() {
            match tables.iter().find(|table| table.name == name.get_ref()) {
                Some(table) => self.tables(table, &name.span(), value, &mut sections),
                None => {
                    let known = tables.iter().map(|table| table.name);
                    let help = closest(name.get_ref(), known).map_or_else(
                        || format!("the tables are {}", list(tables.iter().map(Table::header))),
                        |close| format!("did you mean `{close}`?"),
                    );
                    let message = format!("unknown table `{}`", name.get_ref());
                    self.fault(&name.span(), message, Some(help));
                }
            }
        }
        for table in tables.iter().filter(|table| !table.many) {
            if !sections.iter().any(|(name, _)| *name == table.name) {
                let section = self.section(table, 0..0, &DeTable::default());
                sections.push((table.name, section));
            }
        }
        sections
    }

    fn tables(
        &mut self,
        table: &'static Table,
        at: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
        into: &mut Vec<(&'static str, Section)>,
    ) {
        match value.get_ref() {
            DeValue::Table(one) if !table.many => {
                let section = self.section(table, at.clone(), one);
                into.push((table.name, section));
            }
            DeValue::Array(items) if table.many => {
                for item in items.iter() {
                    match item.get_ref() {
                        DeValue::Table(one) => {
                            let section = self.section(table, item.span(), one);
                            into.push((table.name, section));
                        }
                        _ => {
                            self.fault(
                                &item.span(),
                                format!("`{}` holds tables", table.name),
                                None,
                            );
                        }
                    }
                }
            }
            _ => {
                let help = format!(
                    "write {} on a line of its own, and the keys below it",
                    table.header()
                );
                self.fault(
                    at,
                    format!("`{}` is written {}", table.name, table.header()),
                    Some(help),
                );
            }
        }
    }

    fn section(
        &mut self,
        table: &'static Table,
        span: Range<usize>,
        found: &DeTable<'_>,
    ) -> Section {
        let mut section = Section {
            span: span.clone(),
            values: Vec::new(),
            tables: Vec::new(),
        };
        for (name, value) in found {
            let Some(key) = table.keys.iter().find(|key| key.name == name.get_ref()) else {
                self.unknown_key(table, name);
                continue;
            };
            if let Kind::Tables(below) = key.kind {
                self.tables(below, &name.span(), value, &mut section.tables);
                continue;
            }
            match accept(key.kind, value.get_ref()) {
                Ok(accepted) => section.values.push((key.name, accepted, value.span())),
                Err(wrong) => {
                    let message = format!("`{}` takes {}, not {wrong}", key.name, key.kind.noun());
                    let help = help_for(key, value.get_ref());
                    self.fault(&value.span(), message, help);
                }
            }
        }
        for key in table.keys {
            let is_there = found.iter().any(|(name, _)| name.get_ref() == key.name);
            if is_there {
                continue;
            }
            if matches!(key.kind, Kind::Required) {
                let help = format!(
                    "write `{} = \"...\"`: {}",
                    key.name,
                    first_sentence(key.doc)
                );
                self.fault(
                    &span,
                    format!("{} has no `{}`", table.header(), key.name),
                    Some(help),
                );
            } else if let Some(value) = default_of(key) {
                section.values.push((key.name, value, span.clone()));
            }
        }
        section
    }

    fn unknown_key(&mut self, table: &Table, name: &Spanned<std::borrow::Cow<'_, str>>) {
        let known = table.keys.iter().map(|key| key.name);
        let help = closest(name.get_ref(), known).map_or_else(
            || {
                format!(
                    "its keys are {}",
                    list(table.keys.iter().map(|key| key.name.to_owned()))
                )
            },
            |close| format!("did you mean `{close}`?"),
        );
        let message = format!("unknown key `{}` in {}", name.get_ref(), table.header());
        self.fault(&name.span(), message, Some(help));
    }
}

fn first_sentence(doc: &str) -> &str {
    doc.split_once(". ").map_or(doc, |(first, _)| first)
}

fn list(words: impl Iterator<Item = String>) -> String {
    words.collect::<Vec<_>>().join(", ")
}

/// The word that a person may have meant.
pub(crate) fn closest<'a>(written: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_lowercase().replace('-', "_");
    known
        .map(|word| (strsim::jaro_winkler(&written, word), word))
        .filter(|(likeness, _)| *likeness >= 0.8)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, word)| word)
}

fn help_for(key: &Key, value: &DeValue<'_>) -> Option<String> {
    match (key.kind, value) {
        (Kind::Choice(words), DeValue::String(text)) => {
            let close = closest(text, words.iter().copied());
            Some(close.map_or_else(
                || format!("write one of {}", quoted(words)),
                |close| format!("did you mean \"{close}\"?"),
            ))
        }
        (Kind::Integer { .. } | Kind::Number { .. } | Kind::Flag, DeValue::String(text)) => {
            Some(format!("write `{} = {text}`, without quotes", key.name))
        }
        _ => None,
    }
}

/// A value that the kind takes; the error says what it is instead.
fn accept(kind: Kind, value: &DeValue<'_>) -> Result<Value, String> {
    match (kind, value) {
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
        (Kind::Integer { min, max }, DeValue::Integer(_)) => match whole(value) {
            Some(number) if (min..=max).contains(&number) => Ok(Value::Integer(number)),
            _ => Err(noun(value)),
        },
        (Kind::Number { min, max }, DeValue::Integer(_) | DeValue::Float(_)) => {
            let number = number(value).filter(|number| (min..=max).contains(number));
            number.map(Value::Number).ok_or_else(|| noun(value))
        }
        (Kind::Text | Kind::Required | Kind::Secret | Kind::Path, DeValue::String(text))
            if !text.is_empty() =>
        {
            Ok(Value::Text(text.to_string()))
        }
        (Kind::Choice(words), DeValue::String(text)) if words.contains(&&**text) => {
            Ok(Value::Text(text.to_string()))
        }
        (Kind::Texts, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| match item.get_ref() {
                DeValue::String(text) => Ok(text.to_string()),
                other => Err(format!("a list with {}", noun(other))),
            });
            texts.collect::<Result<_, _>>().map(Value::Texts)
        }
        (Kind::Json, DeValue::String(text)) => serde_json::from_str(text)
            .map(Value::Json)
            .map_err(|error| format!("a text that is no JSON ({error})")),
        (Kind::Json, DeValue::Table(_)) => Ok(Value::Json(to_json(value))),
        // A secret that is of the wrong type is not shown either.
        (Kind::Secret, _) => Err("something else".to_owned()),
        _ => Err(noun(value)),
    }
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    match value {
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            u64::from_str_radix(&digits, number.radix()).ok()
        }
        _ => None,
    }
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => number.as_str().replace('_', "").parse().ok(),
        DeValue::Float(number) => number.as_str().replace('_', "").parse().ok(),
        _ => None,
    }
}

fn to_json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(_) => whole(value).map_or_else(|| number(value).into(), Json::from),
        DeValue::Float(_) => number(value).into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let rows = table
                .iter()
                .map(|(name, value)| (name.get_ref().to_string(), to_json(value.get_ref())));
            Json::Object(rows.collect())
        }
    }
}

fn noun(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty text".to_owned(),
        DeValue::String(text) => format!("\"{text}\""),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

fn default_of(key: &Key) -> Option<Value> {
    if key.default.is_empty() {
        return None;
    }
    let text = format!("v = {}", key.default);
    let document = DeTable::parse(&text).ok()?;
    let (_, value) = document.get_ref().iter().next()?;
    accept(key.kind, value.get_ref()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tables::TABLES;

    fn check_defaults(table: &Table) {
        for key in table.keys {
            assert!(
                key.default.is_empty() || default_of(key).is_some(),
                "{}.{}",
                table.name,
                key.name
            );
            if let Kind::Tables(below) = key.kind {
                check_defaults(below);
            }
        }
    }

    #[test]
    fn every_default_is_a_value_that_its_key_takes() {
        TABLES.iter().for_each(check_defaults);
    }
}
