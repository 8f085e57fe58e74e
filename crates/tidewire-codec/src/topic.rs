//! Topic names and topic filters (5.0 section 4.7) and shared subscriptions (4.8).

use std::fmt;

use crate::ReasonCode;

/// The most bytes that a topic name or filter may have: its length is written in two bytes.
pub const MAX_LEN: usize = 65_535;

const SHARE_PREFIX: &str = "$share";

/// What is wrong with a topic name or a topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicError {
    /// It has no character.
    Empty,
    /// It has more than 65,535 bytes.
    TooLong,
    /// It is not well-formed UTF-8.
    NotUtf8,
    /// It contains U+0000.
    ContainsNul,
    /// A topic name contains `+` or `#`.
    WildcardInName,
    /// `#` is not alone in the last level.
    MisplacedHash,
    /// `+` is not alone in its level.
    MisplacedPlus,
    /// `$share` is not followed by a share name.
    NoShareName,
    /// The share name contains `+` or `#`.
    WildcardInShareName,
    /// The share name is not followed by a topic filter.
    NoSharedFilter,
}

impl TopicError {
    /// The reason code for a packet whose topic name has this fault. Bytes that are no string at all are malformed;
    /// a string that is no topic name is an invalid topic name.
    #[must_use]
    pub const fn name_reason_code(self) -> ReasonCode {
        match self {
            TopicError::NotUtf8 | TopicError::ContainsNul => ReasonCode::MalformedPacket,
            _ => ReasonCode::TopicNameInvalid,
        }
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TopicError::Empty => "it is empty",
            TopicError::TooLong => "it has more than 65535 bytes",
            TopicError::NotUtf8 => "it is not well-formed UTF-8",
            TopicError::ContainsNul => "it contains U+0000",
            TopicError::WildcardInName => "a topic name has no wildcards",
            TopicError::MisplacedHash => "# must be alone in the last level",
            TopicError::MisplacedPlus => "+ must be alone in its level",
            TopicError::NoShareName => "$share must be followed by a share name",
            TopicError::WildcardInShareName => "a share name has no wildcards",
            TopicError::NoSharedFilter => "the share name must be followed by a topic filter",
        })
    }
}

impl std::error::Error for TopicError {}

/// The bytes as a topic name.
///
/// # Errors
/// Empty, longer than 65,535 bytes, not UTF-8, with U+0000 or a wildcard.
pub fn validate_name(bytes: &[u8]) -> Result<&str, TopicError> {
    check_length(bytes)?;
    let name = std::str::from_utf8(bytes).map_err(|_| TopicError::NotUtf8)?;
    match memchr::memchr3(b'+', b'#', 0, bytes).and_then(|at| bytes.get(at)) {
        None => Ok(name),
        Some(0) => Err(TopicError::ContainsNul),
        // U+0000 further on is the graver fault: the bytes are no string of the protocol.
        Some(_) if memchr::memchr(0, bytes).is_some() => Err(TopicError::ContainsNul),
        Some(_) => Err(TopicError::WildcardInName),
    }
}

/// Checks a topic filter; of a shared subscription its share name and the filter behind it.
///
/// # Errors
/// What [`TopicError`] lists for filters.
pub fn validate_filter(filter: &str) -> Result<(), TopicError> {
    check_length(filter.as_bytes())?;
    if memchr::memchr(0, filter.as_bytes()).is_some() {
        return Err(TopicError::ContainsNul);
    }
    match split_shared(filter)? {
        Some(shared) => check_wildcards(shared.filter),
        None => check_wildcards(filter),
    }
}

/// A topic filter of a shared subscription in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedFilter<'a> {
    /// The share name.
    pub share: &'a str,
    /// The topic filter behind it.
    pub filter: &'a str,
}

/// Splits `$share/name/filter`; `None` if the filter is not shared. The filter behind the name is not checked further.
///
/// # Errors
/// `$share` alone, an empty share name, a wildcard in it, nothing behind it.
pub fn split_shared(filter: &str) -> Result<Option<SharedFilter<'_>>, TopicError> {
    let Some(behind) = filter.strip_prefix(SHARE_PREFIX) else {
        return Ok(None);
    };
    let Some(behind) = behind.strip_prefix('/') else {
        return if behind.is_empty() {
            Err(TopicError::NoShareName)
        } else {
            Ok(None)
        };
    };
    let (share, filter) = behind.split_once('/').unwrap_or((behind, ""));
    if share.is_empty() {
        Err(TopicError::NoShareName)
    } else if has_wildcards(share) {
        Err(TopicError::WildcardInShareName)
    } else if filter.is_empty() {
        Err(TopicError::NoSharedFilter)
    } else {
        Ok(Some(SharedFilter { share, filter }))
    }
}

/// Whether the topic name matches the topic filter. Both are taken as valid, and the filter as not shared.
///
/// A filter that begins with a wildcard matches no name that begins with `$`; `a/#` matches `a`.
#[must_use]
pub fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    let mut names = levels(name);
    for level in levels(filter) {
        match (level, names.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// The levels between the separators; always one at least.
#[inline]
pub fn levels(topic: &str) -> impl Iterator<Item = &str> {
    topic.split('/')
}

/// Whether there is a `+` or `#` anywhere.
#[inline]
#[must_use]
pub fn has_wildcards(topic: &str) -> bool {
    memchr::memchr2(b'+', b'#', topic.as_bytes()).is_some()
}

fn check_length(bytes: &[u8]) -> Result<(), TopicError> {
    match bytes.len() {
        0 => Err(TopicError::Empty),
        1..=MAX_LEN => Ok(()),
        _ => Err(TopicError::TooLong),
    }
}

fn check_wildcards(filter: &str) -> Result<(), TopicError> {
    let mut rest = levels(filter).peekable();
    while let Some(level) = rest.next() {
        let is_last = rest.peek().is_none();
        if level.contains('#') && (level.len() > 1 || !is_last) {
            return Err(TopicError::MisplacedHash);
        }
        if level.contains('+') && level.len() > 1 {
            return Err(TopicError::MisplacedPlus);
        }
    }
    Ok(())
}
