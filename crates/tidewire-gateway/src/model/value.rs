//! Values, their quality, and samples.

use serde_json::Value as Json;

/// What an input shows.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Nothing: the device has no value for it.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(Box<str>),
}

/// A [`Value`] without ownership.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum ValueRef<'a> {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(&'a str),
}

impl Value {
    /// The same without ownership.
    #[must_use]
    pub fn borrowed(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Bool(flag) => ValueRef::Bool(*flag),
            Self::Int(number) => ValueRef::Int(*number),
            Self::Float(number) => ValueRef::Float(*number),
            Self::Text(text) => ValueRef::Text(text),
        }
    }

    /// As JSON; a number that JSON cannot write is null, as are lists and objects the other way round.
    #[must_use]
    pub fn of_json(json: &Json) -> Self {
        match json {
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Self::Int(number),
                None => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(text.as_str().into()),
            Json::Null | Json::Array(_) | Json::Object(_) => Self::Null,
        }
    }
}

impl ValueRef<'_> {
    /// With ownership.
    #[must_use]
    pub fn to_owned(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Int(number) => Value::Int(number),
            Self::Float(number) => Value::Float(number),
            Self::Text(text) => Value::Text(text.into()),
        }
    }

    /// As JSON; a number that JSON cannot write is null.
    #[must_use]
    pub fn to_json(self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(flag) => Json::Bool(flag),
            Self::Int(number) => number.into(),
            Self::Float(number) => number.into(),
            Self::Text(text) => text.into(),
        }
    }

    /// The number that it is, if it is one; true is 1.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Bool(flag) => Some(f64::from(u8::from(flag))),
            Self::Int(number) => Some(number as f64),
            Self::Float(number) => Some(number),
            Self::Null | Self::Text(_) => None,
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// How far a value can be trusted: 0 is good, everything else is the reason why it is not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Quality(pub i32);

impl Quality {
    /// The value is what the device measured.
    pub const GOOD: Self = Self(0);
    /// The device did not answer, or answered with an error.
    pub const BAD: Self = Self(1);
    /// The device cannot be reached.
    pub const OFFLINE: Self = Self(99);
}

/// A value at a time.
#[derive(Clone, PartialEq, Debug)]
pub struct Sample {
    /// The value.
    pub value: Value,
    /// Its quality.
    pub quality: Quality,
    /// When the device had it, in milliseconds since 1970.
    pub source_ms: i64,
    /// When the gateway learned of it, in milliseconds since 1970.
    pub gateway_ms: i64,
}
