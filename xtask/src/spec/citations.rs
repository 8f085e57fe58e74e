//! Finds statement ids in text.

use super::table::{StatementId, Version};

/// What a text names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Citation {
    /// `[5.0 MQTT-3.3.1-2]`
    Statement(StatementId),
    /// An id without its version, or in another form; the text as found.
    Malformed(String),
}

/// All citations in `text` with their line numbers (the first is 1).
pub(crate) fn find(text: &str) -> Vec<(usize, Citation)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let starts = line.match_indices("MQTT").map(|(at, _)| at);
        found.extend(
            starts
                .filter_map(|at| cited_at(line, at))
                .map(|citation| (index + 1, citation)),
        );
    }
    found
}

fn cited_at(line: &str, at: usize) -> Option<Citation> {
    let (before, from) = line.split_at(at);
    let length = from
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '.')
        .unwrap_or(from.len());
    let (word, after) = from.split_at(length);
    let id = word.trim_end_matches(['.', '-']);
    if !is_statement_id(id) {
        return None;
    }
    let version = before
        .rsplit_once('[')
        .and_then(|(_, version)| version.strip_suffix(' ')?.parse().ok());
    // In a doc comment the brackets may be escaped.
    let closes = after.trim_start_matches('\\').starts_with(']');
    match version {
        Some(version) if id == word && closes && fits(version, id) => {
            Some(Citation::Statement(StatementId {
                version,
                id: id.to_owned(),
            }))
        }
        _ => Some(Citation::Malformed(id.to_owned())),
    }
}

/// `MQTT-<section with dots>-<number>`, or `MQTT31-<packet>-<number>`.
fn is_statement_id(word: &str) -> bool {
    let Some((front, number)) = word.rsplit_once('-') else {
        return false;
    };
    let is_number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit());
    let of_section = front.strip_prefix("MQTT-").is_some_and(|section| {
        section.contains('.') && section.chars().all(|c| c.is_ascii_digit() || c == '.')
    });
    let of_packet = front.strip_prefix("MQTT31-").is_some_and(|name| {
        name.chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
    });
    is_number && (of_section || of_packet)
}

fn fits(version: Version, id: &str) -> bool {
    id.starts_with("MQTT31-") == (version == Version::V31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(text: &str) -> Vec<String> {
        let found = find(text)
            .into_iter()
            .filter_map(|(line, citation)| match citation {
                Citation::Statement(id) => Some(format!("{line}: {id}")),
                Citation::Malformed(_) => None,
            });
        found.collect()
    }

    fn malformed(text: &str) -> usize {
        find(text)
            .iter()
            .filter(|(_, citation)| matches!(citation, Citation::Malformed(_)))
            .count()
    }

    #[test]
    fn citations_are_found_in_comments_tables_and_strings() {
        let text =
            "/// [5.0 MQTT-3.3.1-2] [3.1.1 MQTT-2.2.2-1]\n\"x\", \"[3.1 MQTT31-CONNECT-1]\"\n";
        assert_eq!(
            statements(text),
            [
                "1: 5.0 MQTT-3.3.1-2",
                "1: 3.1.1 MQTT-2.2.2-1",
                "2: 3.1 MQTT31-CONNECT-1"
            ]
        );
        assert_eq!(malformed(text), 0);
        assert_eq!(statements(r"\[5.0 MQTT-3.3.1-2\]"), ["1: 5.0 MQTT-3.3.1-2"]);
        assert_eq!(statements("[5.0 MQTT-4.2-1]"), ["1: 5.0 MQTT-4.2-1"]);
    }

    #[test]
    fn id_without_its_version_is_malformed() {
        for text in [
            "[MQTT-3.3.1-2]",
            "MQTT-3.3.1-2.",
            "[5 MQTT-3.3.1-2]",
            "[5.0 MQTT-3.3.1-2",
            "[5.0 MQTT31-CONNECT-1]",
        ] {
            assert_eq!((statements(text).len(), malformed(text)), (0, 1), "{text}");
        }
    }

    #[test]
    fn other_words_with_mqtt_are_left_alone() {
        for text in [
            "MQTT-5.0",
            "MQTT 3.1.1",
            "MQTT.js",
            "MQTT-over-TLS",
            "mqtt-normative.tsv",
            "MQTT-5",
        ] {
            assert_eq!(find(text), [], "{text}");
        }
    }
}
