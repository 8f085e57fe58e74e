//! From the text of a file to settings, or to everything that is wrong with it.

use super::diagnostic::{Diagnostic, Position};
use super::key::{Access, Key, Kind, Section};
use super::value::Value;
use super::{Config, Listener, suggest, table};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads `text`; `file` is its name in messages. All that is wrong is reported, in the order of the file.
pub(crate) fn read(file: &str, text: &str) -> Result<Config, Vec<Diagnostic>> {
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        file,
        text,
        found: Vec::new(),
    };
    // A line that is not TOML leaves a value that is no value: its first message is enough.
    let mut broken = Vec::new();
    for error in &syntax_errors {
        let span = error.span().unwrap_or(0..0);
        let line = Position::of(text, span.start).line;
        if !broken.contains(&line) {
            broken.push(line);
            reader.report(&span, error.message(), None);
        }
    }
    let syntax = reader.found.len();
    let config = reader.document(document.get_ref());
    if reader.found.is_empty() {
        return Ok(config);
    }
    let meaning = reader.found.split_off(syntax);
    let elsewhere = |found: &Diagnostic| found.position.is_none_or(|at| !broken.contains(&at.line));
    reader.found.extend(meaning.into_iter().filter(elsewhere));
    reader.found.sort_by_key(|diagnostic| diagnostic.position);
    Err(reader.found)
}

/// Checks one value of a key's kind; the error is what is wrong and what to do.
pub(crate) fn check(key: &Key, value: &DeValue<'_>) -> Result<Value, Problem> {
    match (key.kind, value) {
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::Flag(*flag)),
        (Kind::Integer { min, max }, DeValue::Integer(number)) => {
            let digits = number.as_str().replace('_', "");
            match i128::from_str_radix(&digits, number.radix()) {
                Ok(number) => in_range(key, number, min, max),
                Err(_) => Err(Problem::new(
                    "the number is out of every range",
                    suggest::example(key.name, key.kind),
                )),
            }
        }
        (Kind::Text { max_bytes }, DeValue::String(text)) => bounded_text(key, text, max_bytes),
        (Kind::Path, DeValue::String(text)) => bounded_text(key, text, 4096),
        (Kind::Choice(words), DeValue::String(text)) => choice(key, words, text).map(Value::Choice),
        (Kind::Choices(words), DeValue::Array(items)) => {
            choices(key, words, items.iter().map(Spanned::get_ref))
        }
        (Kind::Url, DeValue::String(text)) => {
            crate::url::parse(text)
                .map(Value::Url)
                .map_err(|(error, instead)| {
                    Problem::new(
                        error.to_string(),
                        format!("write `{} = \"{instead}\"`", key.name),
                    )
                })
        }
        (Kind::Address, DeValue::String(text)) => text.parse().map(Value::Address).map_err(|_| {
            Problem::new(
                format!("\"{text}\" is not an address with a port"),
                suggest::example(key.name, key.kind),
            )
        }),
        (Kind::LogFilter, DeValue::String(text)) => match crate::logs::filter(text) {
            Ok(_) => Ok(Value::Text(text.to_string())),
            Err(error) => Err(Problem::new(error, suggest::example(key.name, key.kind))),
        },
        _ => Err(wrong_type(key, value)),
    }
}

/// What is wrong with a value, and what to do.
pub(crate) struct Problem {
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) help: String,
}

impl Problem {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    found: Vec<Diagnostic>,
}

impl Reader<'_> {
    fn report(&mut self, span: &Range<usize>, message: impl Into<String>, help: Option<String>) {
        self.found.push(Diagnostic {
            file: self.file.to_owned(),
            position: Some(Position::of(self.text, span.start)),
            message: message.into(),
            help,
        });
    }

    fn document(&mut self, document: &DeTable<'_>) -> Config {
        let mut config = Config::default();
        for (name, value) in document {
            let Some(section) = Section::ALL
                .into_iter()
                .find(|section| section.name() == name.get_ref())
            else {
                let what = if value.get_ref().is_table() {
                    "unknown table"
                } else {
                    "unknown key"
                };
                let help = suggest::for_unknown_section(name.get_ref());
                self.report(
                    &name.span(),
                    format!("{what} `{}`", name.get_ref()),
                    Some(help),
                );
                continue;
            };
            if section == Section::Listener {
                self.listeners(&mut config, name.span(), value.get_ref());
            } else if let DeValue::Table(table) = value.get_ref() {
                self.table(section, table, |key, value| {
                    if let Access::Broker { set, .. } = key.access {
                        set(&mut config, value);
                    }
                });
            } else {
                let header = section.header();
                let help = format!("write {header} on a line of its own, and the keys below it");
                self.report(
                    &name.span(),
                    format!("`{}` is a table", section.name()),
                    Some(help),
                );
            }
        }
        config
    }

    fn table(&mut self, section: Section, table: &DeTable<'_>, mut set: impl FnMut(&Key, Value)) {
        for (name, value) in table {
            let Some(key) = table::find(section, name.get_ref()) else {
                let help = suggest::for_unknown_key(section, name.get_ref());
                let message = format!("unknown key `{}` in {}", name.get_ref(), section.header());
                self.report(&name.span(), message, Some(help));
                continue;
            };
            match check(key, value.get_ref()) {
                Ok(value) => set(key, value),
                Err(problem) => {
                    self.report(
                        &value.span(),
                        format!("`{}`: {}", key.name, problem.message),
                        Some(problem.help),
                    );
                }
            }
        }
    }

    fn listeners(&mut self, config: &mut Config, header: Range<usize>, value: &DeValue<'_>) {
        let DeValue::Array(items) = value else {
            let help =
                "there may be several listeners: write [[listener]] with two brackets".to_owned();
            self.report(&header, "`listener` is a list of tables", Some(help));
            return;
        };
        config.listeners.clear();
        for item in items.iter() {
            if let DeValue::Table(table) = item.get_ref() {
                self.listener(config, item.span(), table);
            } else {
                let help =
                    "write [[listener]] on a line of its own, and the keys below it".to_owned();
                self.report(&item.span(), "a listener is a table", Some(help));
            }
        }
        if items.is_empty() {
            self.report(
                &header,
                "no listener is left: nobody could connect",
                Some("remove the line".to_owned()),
            );
        }
    }

    fn listener(&mut self, config: &mut Config, span: Range<usize>, table: &DeTable<'_>) {
        let mut listener = Listener::default();
        self.table(Section::Listener, table, |key, value| {
            if let Access::Listener { set, .. } = key.access {
                set(&mut listener, value);
            }
        });
        let place = |name: &str| {
            table
                .iter()
                .find(|(key, _)| key.get_ref() == name)
                .map(|(_, value)| value.span())
        };
        match place("url") {
            None => {
                let help = suggest::example("url", Kind::Url);
                self.report(&span, "the listener has no `url`", Some(help));
            }
            Some(url_span) if !listener.is_open() => {
                let problem = closed(&listener);
                self.report(&url_span, problem.message, Some(problem.help));
            }
            Some(url_span)
                if config
                    .listeners
                    .iter()
                    .any(|other| listener.url.port() != 0 && other.url == listener.url) =>
            {
                self.report(
                    &url_span,
                    format!("two listeners open {}", listener.url),
                    Some("change a port".to_owned()),
                );
            }
            Some(_) => {}
        }
        if config
            .listeners
            .iter()
            .any(|other| other.name == listener.name)
        {
            let help = "give each listener a `name` of its own".to_owned();
            let message = format!("two listeners are called \"{}\"", listener.name);
            self.report(&place("name").unwrap_or(span), message, Some(help));
        }
        config.listeners.push(listener);
    }
}

/// What to say about a listener that would let nobody in: this version has no authenticator to ask.
pub(crate) fn closed(listener: &Listener) -> Problem {
    let url = &listener.url;
    if listener.allow_anonymous == Some(false) {
        return Problem::new(
            format!(
                "{url} refuses anonymous clients and has no authenticator: nobody could come in"
            ),
            "remove `allow_anonymous = false`; this version cannot check passwords yet",
        );
    }
    Problem::new(
        format!(
            "{url} is reachable from other machines and has no authenticator: everybody there could read and write everything"
        ),
        "add `allow_anonymous = true` to this [[listener]] if that is what you want, or listen on tcp://127.0.0.1",
    )
}

fn in_range(key: &Key, number: i128, min: u64, max: u64) -> Result<Value, Problem> {
    match u64::try_from(number) {
        Ok(number) if (min..=max).contains(&number) => Ok(Value::Integer(number)),
        _ => {
            let unit = if key.unit.is_empty() {
                String::new()
            } else {
                format!(" {}", key.unit)
            };
            let side = if number < i128::from(min) {
                "below"
            } else {
                "above"
            };
            let bound = if number < i128::from(min) { min } else { max };
            Err(Problem::new(
                format!("{number} is {side} {bound}"),
                format!(
                    "allowed are {min} to {max}{unit}; the default is {}",
                    key.default_value()
                ),
            ))
        }
    }
}

fn bounded_text(key: &Key, text: &str, max_bytes: usize) -> Result<Value, Problem> {
    if text.is_empty() {
        return Err(Problem::new(
            "the text is empty",
            format!("remove `{}` to leave it unset", key.name),
        ));
    }
    if text.len() > max_bytes || text.contains('\0') {
        return Err(Problem::new(
            format!("the text has {} bytes or a null character", text.len()),
            format!("allowed are {max_bytes} bytes without null characters"),
        ));
    }
    Ok(Value::Text(text.to_owned()))
}

fn choice(key: &Key, words: &[&'static str], text: &str) -> Result<&'static str, Problem> {
    if let Some(word) = words.iter().find(|word| **word == text) {
        return Ok(word);
    }
    let help = match suggest::closest(text, words.iter().copied()) {
        Some(word) => format!(
            "did you mean \"{word}\"? Allowed are {}",
            suggest::quoted(words)
        ),
        None => suggest::example(key.name, key.kind),
    };
    Err(Problem::new(
        format!("\"{text}\" is not one of its words"),
        help,
    ))
}

fn choices<'a, 'i: 'a>(
    key: &Key,
    words: &[&'static str],
    items: impl Iterator<Item = &'a DeValue<'i>>,
) -> Result<Value, Problem> {
    let mut chosen = Vec::new();
    for item in items {
        let word = match item {
            DeValue::String(text) => choice(key, words, text)?,
            other => return Err(wrong_type(key, other)),
        };
        if chosen.contains(&word) {
            return Err(Problem::new(
                format!("\"{word}\" stands twice in the list"),
                "name each once",
            ));
        }
        chosen.push(word);
    }
    if chosen.is_empty() {
        return Err(Problem::new(
            "the list is empty",
            format!("remove `{}` to allow all", key.name),
        ));
    }
    Ok(Value::Choices(chosen))
}

fn wrong_type(key: &Key, value: &DeValue<'_>) -> Problem {
    let got = match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(date) => format!("the date {date}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    };
    let unit = if key.unit.is_empty() {
        String::new()
    } else {
        format!(" of {}", key.unit)
    };
    let help = match (key.kind, value) {
        (Kind::Integer { .. }, DeValue::String(text)) => {
            suggest::number_in(key.unit, text).map(|number| {
                format!(
                    "write `{} = {number}`, without quotes and in {}",
                    key.name,
                    plain_unit(key)
                )
            })
        }
        (Kind::Flag, DeValue::String(text)) if matches!(&**text, "true" | "false") => {
            Some(format!("write `{} = {text}`, without quotes", key.name))
        }
        (Kind::Choices(_), DeValue::String(text)) => {
            Some(format!("write `{} = [\"{text}\"]`", key.name))
        }
        _ => None,
    };
    Problem::new(
        format!("takes {}{unit}, not {got}", key.kind.noun()),
        help.unwrap_or_else(|| suggest::example(key.name, key.kind)),
    )
}

fn plain_unit(key: &Key) -> &'static str {
    if key.unit.is_empty() {
        "plain digits"
    } else {
        key.unit
    }
}
