//! Values of configuration keys, after their checks.

use std::fmt;
use std::net::SocketAddr;
use tidewire_net::{AddressRange, ListenUrl};

/// A checked value, or the default that the reference prints.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value {
    /// Nothing is set.
    Unset,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Integer(u64),
    /// Text.
    Text(String),
    /// One of several words.
    Choice(&'static str),
    /// Some of several words.
    Choices(Vec<&'static str>),
    /// Several texts.
    Texts(Vec<String>),
    /// Several ranges of addresses.
    Ranges(Vec<AddressRange>),
    /// Where a listener opens.
    Url(ListenUrl),
    /// An address with a port.
    Address(SocketAddr),
}

impl Value {
    /// For programs.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Unset => serde_json::Value::Null,
            Self::Flag(flag) => (*flag).into(),
            Self::Integer(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Choice(word) => (*word).into(),
            Self::Choices(words) => words.clone().into(),
            Self::Texts(texts) => texts.clone().into(),
            Self::Ranges(ranges) => {
                let texts = ranges.iter().map(ToString::to_string);
                texts.collect::<Vec<_>>().into()
            }
            Self::Url(url) => url.to_string().into(),
            Self::Address(address) => address.to_string().into(),
        }
    }

    /// The text of a text value, else empty.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            _ => String::new(),
        }
    }

    /// The number, or the largest that fits; the table's range keeps it from being cut.
    pub(super) fn narrow<T: TryFrom<u64> + Bounded>(&self) -> T {
        match self {
            Self::Integer(number) => T::try_from(*number).unwrap_or(T::LARGEST),
            _ => T::LARGEST,
        }
    }
}

/// Integers with a largest value.
pub(super) trait Bounded {
    /// The largest value.
    const LARGEST: Self;
}

impl Bounded for u16 {
    const LARGEST: Self = Self::MAX;
}

impl Bounded for u32 {
    const LARGEST: Self = Self::MAX;
}

impl Bounded for u64 {
    const LARGEST: Self = Self::MAX;
}

/// As it would be written in the file.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("unset"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Choice(word) => write!(f, "{word:?}"),
            Self::Choices(words) => write!(f, "{words:?}"),
            Self::Texts(texts) => write!(f, "{texts:?}"),
            Self::Ranges(ranges) => f
                .debug_list()
                .entries(ranges.iter().map(ToString::to_string))
                .finish(),
            Self::Url(url) => write!(f, "\"{url}\""),
            Self::Address(address) => write!(f, "\"{address}\""),
        }
    }
}
