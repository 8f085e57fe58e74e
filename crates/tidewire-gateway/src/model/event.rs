//! Events and statistics of devices.

use serde_json::{Value as Json, json};
use std::fmt;

/// How grave an event is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// 0: for who looks for a fault.
    Debug,
    /// 1: worth knowing.
    Info,
    /// 2: may become a fault.
    Warning,
    /// 3: something does not work.
    Error,
    /// 99: somebody has to act at once.
    Fatal,
}

impl Level {
    /// All of them, least first.
    pub const ALL: [Self; 5] = [
        Self::Debug,
        Self::Info,
        Self::Warning,
        Self::Error,
        Self::Fatal,
    ];

    /// Its number in payloads: 0, 1, 2, 3, 99.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Debug => 0,
            Self::Info => 1,
            Self::Warning => 2,
            Self::Error => 3,
            Self::Fatal => 99,
        }
    }

    /// The level of a number; numbers between two mean the lower one.
    #[must_use]
    pub const fn of_number(number: i64) -> Self {
        match number {
            ..=0 => Self::Debug,
            1 => Self::Info,
            2 => Self::Warning,
            3..=98 => Self::Error,
            _ => Self::Fatal,
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventKind {
    /// The gateway itself.
    System,
    /// A device.
    Device,
    /// The line to a device.
    Communication,
    /// Its data.
    Data,
    /// An app.
    App,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::System,
        Self::Device,
        Self::Communication,
        Self::Data,
        Self::App,
    ];

    /// Its word in payloads.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::System => "SYS",
            Self::Device => "DEV",
            Self::Communication => "COMM",
            Self::Data => "DATA",
            Self::App => "APP",
        }
    }

    /// The kind of a word, in any case; what is none of the words is an app's own affair.
    #[must_use]
    pub fn of_word(word: &str) -> Self {
        let found = Self::ALL
            .into_iter()
            .find(|kind| kind.word().eq_ignore_ascii_case(word));
        found.unwrap_or(Self::App)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Something that happened.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// Who says so.
    pub app: Box<str>,
    /// The device.
    pub sn: Box<str>,
    /// How grave it is.
    pub level: Level,
    /// What it is about.
    pub kind: EventKind,
    /// A sentence for people.
    pub info: Box<str>,
    /// Whatever else there is to say.
    pub data: Json,
    /// When, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

impl Event {
    /// The `data` of a payload: type, sentence, and the rest.
    #[must_use]
    pub fn data(&self) -> Json {
        json!({"type": self.kind.word(), "info": &*self.info, "data": self.data})
    }
}

/// A figure of a device's own, such as bytes sent on its line.
#[derive(Clone, PartialEq, Debug)]
pub struct Stat {
    /// Who says so.
    pub app: Box<str>,
    /// The device.
    pub sn: Box<str>,
    /// Its name.
    pub stat: Box<str>,
    /// Which of its properties.
    pub prop: Box<str>,
    /// The figure.
    pub value: super::Value,
    /// When, in milliseconds since 1970.
    pub timestamp_ms: i64,
}
