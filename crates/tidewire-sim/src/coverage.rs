//! What happened in lives: a generator that never makes something proves nothing about it.

use std::collections::BTreeMap;
use std::fmt;

/// How often each thing happened.
#[derive(Clone, Default, Debug)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.0.entry(what).or_insert(0) += 1;
    }

    pub(crate) fn saw_if(&mut self, what: &'static str, happened: bool) {
        *self.0.entry(what).or_insert(0) += u64::from(happened);
    }

    /// How often this happened.
    #[must_use]
    pub fn count(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Adds another life's.
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_insert(0) += count;
        }
    }

    /// What could have happened and never did.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let never = EXPECTED.iter().filter(|what| self.count(what) == 0);
        never.copied().collect()
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.0 {
            writeln!(f, "{count:>9}  {what}")?;
        }
        Ok(())
    }
}

/// Everything that a good number of lives must have seen.
const EXPECTED: [&str; 46] = [
    "connected with MQTT 3.1",
    "connected with MQTT 3.1.1",
    "connected with MQTT 5.0",
    "connected with clean start",
    "session resumed",
    "session expired",
    "session taken over",
    "took over while the old connection had bytes on the way",
    "resumed by another version",
    "cut off in the middle of a packet",
    "cut off before CONNACK",
    "subscribed with a wildcard",
    "subscribed to a shared group",
    "subscribed with no local",
    "subscription replaced",
    "unsubscribed",
    "published at QoS 0",
    "published at QoS 1",
    "published at QoS 2",
    "published with an alias",
    "published more than a read buffer",
    "publish repeated after resumption",
    "PUBREL repeated after resumption",
    "delivered at QoS 0",
    "delivered at QoS 1",
    "delivered at QoS 2",
    "delivery repeated with DUP",
    "delivered with an alias",
    "delivered to a group's member",
    "delivered what waited for an absent session",
    "own message kept back by no local",
    "message expired while it waited",
    "retained message delivered to a new subscription",
    "retained message replaced",
    "retained message removed",
    "will published at once",
    "will published after its delay",
    "will cancelled by a return",
    "will cancelled by DISCONNECT",
    "will sent by DISCONNECT with will",
    "keep alive ran out",
    "reader stopped",
    "worker stalled",
    "receive maximum reached",
    "queue full",
    "owed by a group",
];
