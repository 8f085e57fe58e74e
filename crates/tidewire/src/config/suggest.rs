//! What a person may have meant.

use super::key::{Kind, Section};
use super::table;

/// Below this similarity a name is no suggestion: it would only confuse.
const LEAST_SIMILARITY: f64 = 0.8;

/// The word of `known` that is closest to `written`, if any is close.
pub(super) fn closest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_lowercase().replace('-', "_");
    let scored = known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(&written, word), word));
    let best = scored.max_by(|(left, _), (right, _)| left.total_cmp(right));
    best.filter(|(score, _)| *score >= LEAST_SIMILARITY)
        .map(|(_, word)| word)
}

/// What to do about a key that `section` does not have.
pub(super) fn for_unknown_key(section: Section, written: &str) -> String {
    if let Some(key) = table::keys().find(|key| key.name == written) {
        return format!("`{written}` stands in {}", key.section.header());
    }
    if section == Section::Listener && written.starts_with("psk") {
        return "pre-shared keys (TLS-PSK) are not spoken; give clients ca.pem, and certificates of their own if they shall have no password \
                (`client_certificate`, `tidewire cert make-client`)"
            .to_owned();
    }
    let here = table::keys()
        .filter(|key| key.section == section)
        .map(|key| key.name);
    if let Some(name) = closest(written, here) {
        return format!("did you mean `{name}`?");
    }
    let elsewhere = closest(written, table::keys().map(|key| key.name));
    match elsewhere.and_then(|name| table::keys().find(|key| key.name == name)) {
        Some(key) => format!("did you mean `{}` in {}?", key.name, key.section.header()),
        None => format!(
            "`tidewire config-reference` lists the keys of {}",
            section.header()
        ),
    }
}

/// What to do about a table that does not exist, or a key outside of any table.
pub(super) fn for_unknown_section(written: &str) -> String {
    if let Some(key) = table::keys().find(|key| key.name == written) {
        return format!("`{written}` stands below the line {}", key.section.header());
    }
    match closest(written, Section::ALL.map(Section::name)) {
        Some(name) => {
            let header = Section::ALL
                .into_iter()
                .find(|section| section.name() == name)
                .map_or("", Section::header);
            format!("did you mean {header}?")
        }
        None => format!(
            "the tables are {}",
            Section::ALL.map(Section::header).join(", ")
        ),
    }
}

/// The plain number that `written` stands for, where it is a number with or without a unit: `"16 KiB"`, `"5s"`.
/// `unit` is the key's own.
pub(super) fn number_in(unit: &str, written: &str) -> Option<u64> {
    let written = written.trim().replace('_', "");
    let digits = written
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(written.len());
    let (number, suffix) = written.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let factor: u64 = match (unit, suffix.trim().to_ascii_lowercase().as_str()) {
        (_, "") => 1,
        ("bytes", "b" | "byte" | "bytes") => 1,
        ("bytes", "k" | "kb") => 1000,
        ("bytes", "m" | "mb") => 1_000_000,
        ("bytes", "g" | "gb") => 1_000_000_000,
        ("bytes", "ki" | "kib") => 1 << 10,
        ("bytes", "mi" | "mib") => 1 << 20,
        ("bytes", "gi" | "gib") => 1 << 30,
        ("seconds", "s" | "sec" | "secs" | "second" | "seconds") => 1,
        ("seconds", "m" | "min" | "mins" | "minute" | "minutes") => 60,
        ("seconds", "h" | "hour" | "hours") => 3600,
        ("seconds", "d" | "day" | "days") => 86_400,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// How `kind` is written, for a value of the wrong type.
pub(super) fn example(name: &str, kind: Kind) -> String {
    match kind {
        Kind::Flag => format!("write `{name} = true` or `{name} = false`"),
        Kind::Integer { min, max } => format!("allowed are {min} to {max}"),
        Kind::Text { .. } => format!("write `{name} = \"...\"`"),
        Kind::Path => format!("write `{name} = \"/some/path\"`"),
        Kind::Paths => format!("write `{name} = \"/some/path\"`, or a list of paths"),
        Kind::Names => format!("write `{name} = \"mqtt\"`, or a list of names"),
        Kind::Texts => format!("write `{name} = [\"...\"]`"),
        Kind::Ranges => format!("write `{name} = [\"10.0.0.0/8\"]`"),
        Kind::Url => format!("write `{name} = \"tcp://127.0.0.1:1883\"`"),
        Kind::Address => format!("write `{name} = \"127.0.0.1:9464\"`"),
        Kind::LogFilter => {
            format!("write `{name} = \"info\"` or `{name} = \"warn,tidewire=debug\"`")
        }
        Kind::Choice(words) => format!("write one of {}", quoted(words)),
        Kind::Choices(words) => format!(
            "write a list of some of {}, such as `{name} = [{words:?}]`",
            quoted(words)
        )
        .replace("[[", "[")
        .replace("]]", "]"),
    }
}

/// `"a", "b", "c"`
pub(super) fn quoted(words: &[&str]) -> String {
    words
        .iter()
        .map(|word| format!("\"{word}\""))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_for_suggestions() {
        for (unit, text, number) in [
            ("bytes", "10", Some(10)),
            ("bytes", "2MB", Some(2_000_000)),
            ("bytes", "16 KiB", Some(16_384)),
            ("seconds", "5s", Some(5)),
            ("seconds", "2 min", Some(120)),
            ("seconds", "5 KiB", None),
            ("messages", "5k", None),
            ("bytes", "much", None),
            ("bytes", "99999999999999999999", None),
            ("bytes", "18446744073709551615k", None),
        ] {
            assert_eq!(number_in(unit, text), number, "{text}");
        }
    }

    #[test]
    fn distant_words_are_not_suggested() {
        assert_eq!(
            closest("max_packet_sise", ["max_packet_size_bytes", "max_qos"]),
            Some("max_packet_size_bytes")
        );
        assert_eq!(closest("zebra", ["max_packet_size_bytes", "max_qos"]), None);
    }
}
