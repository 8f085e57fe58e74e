//! Whether a value of the file is one that its key takes, and what to do if not.

use super::key::{Key, Kind};
use super::suggest;
use super::value::Value;
use toml::Spanned;
use toml::de::DeValue;

/// Checks one value of a key's kind; the error is what is wrong and what to do.
pub(super) fn check(key: &Key, value: &DeValue<'_>) -> Result<Value, Problem> {
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
        (Kind::Paths, DeValue::String(text)) => {
            bounded_text(key, text, 4096).map(|path| Value::Texts(vec![path.into_text()]))
        }
        (Kind::Names, DeValue::String(text)) => {
            bounded_text(key, text, 64).map(|name| Value::Texts(vec![name.into_text()]))
        }
        (Kind::Paths | Kind::Names | Kind::Texts, DeValue::Array(items)) => {
            texts(key, items.iter().map(Spanned::get_ref)).map(Value::Texts)
        }
        (Kind::Ranges, DeValue::Array(items)) => {
            let texts = texts(key, items.iter().map(Spanned::get_ref))?;
            let ranges: Result<Vec<_>, _> = texts.iter().map(|text| text.parse()).collect();
            ranges
                .map(Value::Ranges)
                .map_err(|error: tidewire_net::RangeError| {
                    Problem::new(error.to_string(), suggest::example(key.name, key.kind))
                })
        }
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
pub(super) struct Problem {
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) help: String,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
        }
    }
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

fn texts<'a, 'i: 'a>(
    key: &Key,
    items: impl Iterator<Item = &'a DeValue<'i>>,
) -> Result<Vec<String>, Problem> {
    let mut texts = Vec::new();
    for item in items {
        match item {
            DeValue::String(text) => texts.push(bounded_text(key, text, 4096)?.into_text()),
            other => return Err(wrong_type(key, other)),
        }
    }
    if texts.is_empty() {
        return Err(Problem::new(
            "the list is empty",
            format!("remove `{}` to leave it unset", key.name),
        ));
    }
    Ok(texts)
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
        (Kind::Choices(_) | Kind::Texts | Kind::Ranges, DeValue::String(text)) => {
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
