//! Whether an app's configuration has the keys that its program reads.

use crate::config::closest;
use serde_json::Value as Json;

/// What is wrong with a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Oddity {
    /// A key that the program does not read, though it reads one that is spelt nearly so.
    Misspelt(String, String),
    /// A key that the program does not seem to read.
    Unread(String),
}

/// Keys of a configuration that the text of a program never names after `conf.`.
pub(crate) fn oddities(program: &str, conf: &Json) -> Vec<Oddity> {
    let read = keys_read(program);
    let Some(rows) = conf.as_object() else {
        return Vec::new();
    };
    let unread = rows
        .keys()
        .filter(|key| !read.contains(&key.as_str()) && !is_quoted(program, key));
    unread
        .map(|key| {
            let candidates = read
                .iter()
                .copied()
                .filter(|known| !rows.contains_key(*known));
            match closest(key, candidates) {
                Some(known) => Oddity::Misspelt(key.clone(), known.to_owned()),
                None => Oddity::Unread(key.clone()),
            }
        })
        .collect()
}

/// `conf.name`, anywhere.
fn keys_read(program: &str) -> Vec<&str> {
    let mut keys = Vec::new();
    for (at, word) in program.match_indices("conf.") {
        let rest = program.get(at + word.len()..).unwrap_or_default();
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        if let Some(key) = rest.get(..end).filter(|key| !key.is_empty()) {
            keys.push(key);
        }
    }
    keys
}

fn is_quoted(program: &str, key: &str) -> bool {
    program.contains(&format!("\"{key}\"")) || program.contains(&format!("'{key}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn misspelt_keys_are_told_from_those_that_are_read() {
        let program =
            "self._host = conf.server or 'x'\nlocal p = self._conf.port\nlocal q = conf['queue']";
        let found = oddities(
            program,
            &json!({"sever": "a", "port": "1883", "queue": 1, "color": "red"}),
        );
        let expected = [
            Oddity::Unread("color".to_owned()),
            Oddity::Misspelt("sever".to_owned(), "server".to_owned()),
        ];
        assert_eq!(found, expected);
    }
}
