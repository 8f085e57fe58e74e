//! Filters with variables, and how filters relate to each other.

use tidewire_codec::topic::levels;

/// Whom it is about.
#[derive(Clone, Copy)]
pub(super) struct Who<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) client_id: &'a str,
}

/// A pattern's variable cannot be filled in.
pub(super) enum Unfit {
    /// There is no user.
    Missing,
    /// It would change what the pattern matches.
    Dangerous,
}

/// The pattern with its variables filled in.
pub(super) fn fill(pattern: &str, who: Who<'_>) -> Result<Box<str>, Unfit> {
    let mut filled = pattern.to_owned();
    let variables = [("%u", who.user), ("%c", Some(who.client_id))];
    // Looked at before any is put in: a value may look like a variable.
    let used: Vec<_> = variables
        .into_iter()
        .filter(|(variable, _)| pattern.contains(variable))
        .collect();
    for (_, value) in &used {
        let value = value.ok_or(Unfit::Missing)?;
        if value.is_empty() || value.contains(['+', '#', '/', '%']) {
            return Err(Unfit::Dangerous);
        }
    }
    for (variable, value) in used {
        filled = filled.replace(variable, value.unwrap_or_default());
    }
    Ok(filled.into())
}

/// Whether every topic that `inner` matches is matched by `outer`.
pub(super) fn covers(outer: &str, inner: &str) -> bool {
    if misses_dollar(outer, inner) {
        return false;
    }
    let (mut outer, mut inner) = (levels(outer), levels(inner));
    loop {
        match (outer.next(), inner.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

/// Whether some topic is matched by both.
pub(super) fn overlaps(left: &str, right: &str) -> bool {
    if misses_dollar(left, right) || misses_dollar(right, left) {
        return false;
    }
    let (mut left, mut right) = (levels(left), levels(right));
    loop {
        match (left.next(), right.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some("+"), Some(_)) | (Some(_), Some("+")) => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

/// A filter that begins with a wildcard matches no topic that begins with `$` \[5.0 MQTT-4.7.2-1\].
fn misses_dollar(filter: &str, other: &str) -> bool {
    other.starts_with('$') && filter.starts_with(['+', '#'])
}

#[cfg(test)]
mod tests {
    use super::{covers, overlaps};

    #[test]
    fn a_filter_covers_another_only_if_it_matches_all_that_it_matches() {
        // (outer, inner, covers, overlaps)
        let table = [
            ("#", "a/b", true, true),
            ("#", "#", true, true),
            ("#", "+/x", true, true),
            ("#", "$SYS/x", false, false),
            ("+/x", "$SYS/x", false, false),
            ("$SYS/#", "$SYS/+", true, true),
            ("$SYS/#", "#", false, false),
            ("a/#", "a", true, true),
            ("a", "a/#", false, true),
            ("a/#", "a/+/c", true, true),
            ("a/+", "a/b", true, true),
            ("a/+", "a/#", false, true),
            ("a/+", "a/b/c", false, false),
            ("a/+/c", "a/b/c", true, true),
            ("a/b", "a/+", false, true),
            ("a/b", "+/b", false, true),
            ("+/b", "a/+", false, true),
            ("a/b", "c/#", false, false),
            ("+", "#", false, true),
            ("/users/bob/#", "/users/+/x", false, true),
        ];
        for (outer, inner, does, meets) in table {
            assert_eq!(covers(outer, inner), does, "{outer} covers {inner}");
            assert_eq!(overlaps(outer, inner), meets, "{outer} overlaps {inner}");
            assert_eq!(overlaps(inner, outer), meets, "{inner} overlaps {outer}");
        }
    }
}
