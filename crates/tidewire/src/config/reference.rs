//! The reference of all keys, written from the table.

use super::key::{Key, Kind, Reload, Section};
use super::{suggest, table};
use serde_json::{Value as Json, json};
use std::fmt::Write as _;

/// What stands above the tables.
const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `tidewire config-reference` from the table in `crates/tidewire/src/config/`; do not edit. -->

`tidewire serve --config FILE` reads a TOML file. Everything has a default, so the shortest file is an empty one;
flags win over the file. `tidewire check-config FILE` says what a file would open, or everything that is wrong with it.

```toml
[[listener]]
name = \"mqtt\"
url = \"tcp://127.0.0.1:1883\"

[limits]
max_packet_size_bytes = 1048576

[metrics]
listen = \"127.0.0.1:9464\"
```

Numbers are whole numbers without quotes, in the unit that is named with the key. On SIGHUP the broker reads the file again:
keys marked *SIGHUP* change at once, the others with the next start.
";

/// The reference as the page `docs/configuration.md`.
pub(crate) fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in Section::ALL {
        let _ = write!(page, "\n## `{}`\n\n{}\n", section.header(), section.doc());
        for key in table::keys().filter(|key| key.section == section) {
            let _ = write!(
                page,
                "\n### `{}`\n\n{}\n\n{}\n",
                key.name,
                key.doc,
                facts(key)
            );
        }
    }
    page
}

/// The reference for programs.
pub(crate) fn json() -> Json {
    let keys: Vec<Json> = table::keys().map(describe).collect();
    json!({ "v": 1, "keys": keys })
}

fn facts(key: &Key) -> String {
    let takes = match key.kind {
        Kind::Integer { min, max } if key.unit.is_empty() => {
            format!("a whole number, {min} to {max}")
        }
        Kind::Integer { min, max } => format!("{min} to {max} {}", key.unit),
        Kind::Choice(words) => format!("one of {}", code(words)),
        Kind::Choices(words) => format!("a list of {}", code(words)),
        Kind::Text { max_bytes } => format!("text of at most {max_bytes} bytes"),
        other => other.noun().to_owned(),
    };
    let default = match (is_required(key), key.default_value()) {
        (true, _) => "none, the key is required".to_owned(),
        (_, super::value::Value::Unset) => "unset".to_owned(),
        (_, value) => format!("`{value}`"),
    };
    let change = match key.reload {
        Reload::OnSighup => "SIGHUP",
        Reload::Restart => "restart",
    };
    format!("Takes: {takes}. Default: {default}. Changes with: {change}.")
}

fn is_required(key: &Key) -> bool {
    key.section == Section::Listener && key.name == "url"
}

fn code(words: &[&str]) -> String {
    suggest::quoted(words)
        .split(", ")
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn describe(key: &Key) -> Json {
    let (kind, range, words) = match key.kind {
        Kind::Flag => ("flag", None, None),
        Kind::Integer { min, max } => ("integer", Some(json!({ "min": min, "max": max })), None),
        Kind::Text { max_bytes } => ("text", Some(json!({ "max_bytes": max_bytes })), None),
        Kind::Choice(words) => ("choice", None, Some(words)),
        Kind::Choices(words) => ("choices", None, Some(words)),
        Kind::Url => ("url", None, None),
        Kind::Address => ("address", None, None),
        Kind::Path => ("path", None, None),
        Kind::Paths => ("paths", None, None),
        Kind::Names => ("names", None, None),
        Kind::Texts => ("texts", None, None),
        Kind::Ranges => ("ranges", None, None),
        Kind::LogFilter => ("log_filter", None, None),
    };
    json!({
        "section": key.section.name(),
        "name": key.name,
        "kind": kind,
        "unit": key.unit,
        "range": range,
        "words": words,
        "default": key.default_value().to_json(),
        "required": is_required(key),
        "reload": key.reload == Reload::OnSighup,
        "doc": key.doc,
    })
}
