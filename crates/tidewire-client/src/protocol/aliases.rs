//! Topic aliases, both ways [5.0 section 3.3.2.3.4]. They end with the connection.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The most aliases that are used towards a server: what repeats is few topics.
const MOST_OUT: u16 = 256;
/// A topic that is no longer than what the alias costs is sent as it is.
const NOT_WORTH_IT: usize = 4;

/// What the server's aliases stand for.
#[derive(Debug, Default)]
pub(crate) struct AliasesIn {
    topics: BTreeMap<u16, Arc<str>>,
}

impl AliasesIn {
    pub(crate) fn set(&mut self, alias: u16, topic: Arc<str>) {
        self.topics.insert(alias, topic);
    }

    pub(crate) fn get(&self, alias: u16) -> Option<&Arc<str>> {
        self.topics.get(&alias)
    }
}

/// The aliases that the server was told.
#[derive(Debug, Default)]
pub(crate) struct AliasesOut {
    known: BTreeMap<Arc<str>, u16>,
}

/// How a topic is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TopicForm {
    /// The topic alone.
    Plain,
    /// The topic, and the alias that stands for it from now on.
    Introduce(u16),
    /// The alias alone.
    Alias(u16),
}

impl AliasesOut {
    /// How to write the topic, where the server takes aliases up to `maximum`.
    pub(crate) fn form(&self, topic: &str, maximum: u16) -> TopicForm {
        if maximum == 0 || topic.len() < NOT_WORTH_IT {
            return TopicForm::Plain;
        }
        if let Some(&alias) = self.known.get(topic) {
            return TopicForm::Alias(alias);
        }
        match u16::try_from(self.known.len() + 1) {
            Ok(next) if next <= maximum.min(MOST_OUT) => TopicForm::Introduce(next),
            _ => TopicForm::Plain,
        }
    }

    pub(crate) fn introduced(&mut self, topic: Arc<str>, alias: u16) {
        self.known.insert(topic, alias);
    }
}
