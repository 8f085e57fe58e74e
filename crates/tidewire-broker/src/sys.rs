//! `$SYS/broker/...`: the broker's figures as retained messages, under the names that mosquitto made customary.

mod load;

use load::Loads;
use std::collections::HashMap;
use tidewire_codec::Qos;
use tidewire_core::{ServerPublish, Stats, Time};

/// What `$SYS/broker/version` says.
const VERSION: &str = concat!("tidewire version ", env!("CARGO_PKG_VERSION"));

/// When the topics are due, and what they said last: only what has changed is published again.
pub(crate) struct SysTopics {
    interval_secs: u64,
    started: Time,
    next_due: Time,
    round: Round,
    clients_maximum: u64,
    loads: Loads,
    last: HashMap<Box<str>, Box<str>>,
}

/// One addition of all workers' figures.
#[derive(Default)]
struct Round {
    number: u64,
    at: Time,
    missing: usize,
    sum: Stats,
}

impl SysTopics {
    /// `interval_secs` is at least 1.
    pub(crate) fn new(now: Time, interval_secs: u32) -> Self {
        Self {
            interval_secs: interval_secs.max(1).into(),
            started: now,
            next_due: now,
            round: Round::default(),
            clients_maximum: 0,
            loads: Loads::default(),
            last: HashMap::new(),
        }
    }

    pub(crate) fn next_due(&self) -> Time {
        self.next_due
    }

    pub(crate) fn round(&self) -> u64 {
        self.round.number
    }

    /// Starts adding up; a round whose figures never came is given up.
    pub(crate) fn begin_round(&mut self, now: Time, workers: usize) {
        self.next_due = now.plus_secs(self.interval_secs);
        let number = self.round.number + 1;
        self.round = Round {
            number,
            at: now,
            missing: workers,
            sum: Stats::default(),
        };
    }

    /// Adds one worker's figures. With the last one of the round: what is to be published.
    pub(crate) fn add(&mut self, round: u64, stats: &Stats) -> Vec<ServerPublish> {
        if round != self.round.number || self.round.missing == 0 {
            return Vec::new();
        }
        self.round.sum.add(stats);
        self.round.missing -= 1;
        if self.round.missing > 0 {
            return Vec::new();
        }
        let (at, sum) = (self.round.at, self.round.sum);
        self.topics(at, &sum)
    }

    fn topics(&mut self, at: Time, sum: &Stats) -> Vec<ServerPublish> {
        let mut messages = Vec::new();
        let uptime_secs = at.since(self.started).as_secs();
        self.say(&mut messages, "version", VERSION);
        self.say(&mut messages, "uptime", &format!("{uptime_secs} seconds"));
        self.clients_maximum = self.clients_maximum.max(sum.sessions_connected);
        for (name, figure) in figures(sum, self.clients_maximum) {
            self.say(&mut messages, name, &figure.to_string());
        }
        self.loads.update(at, sum);
        let loads = self.loads.figures();
        for (name, rate) in loads {
            self.say(&mut messages, &name, &format!("{rate:.2}"));
        }
        messages
    }

    fn say(&mut self, messages: &mut Vec<ServerPublish>, name: &str, text: &str) {
        if self.last.get(name).is_some_and(|last| **last == *text) {
            return;
        }
        self.last.insert(name.into(), text.into());
        messages.push(ServerPublish {
            topic: format!("$SYS/broker/{name}").into(),
            payload: text.as_bytes().into(),
            qos: Qos::AtMostOnce,
            retain: true,
        });
    }
}

/// Topics that show a figure as it is.
fn figures(sum: &Stats, clients_maximum: u64) -> [(&'static str, u64); 22] {
    let disconnected = sum.sessions.saturating_sub(sum.sessions_connected);
    let dropped = sum.dropped_outbound_full
        + sum.dropped_queue_full
        + sum.dropped_expired
        + sum.dropped_too_large;
    [
        ("clients/connected", sum.sessions_connected),
        // The names of older brokers, which dashboards still ask for.
        ("clients/active", sum.sessions_connected),
        ("clients/disconnected", disconnected),
        ("clients/inactive", disconnected),
        ("clients/total", sum.sessions),
        ("clients/maximum", clients_maximum),
        ("clients/expired", sum.sessions_expired),
        ("messages/received", sum.packets_received),
        ("messages/sent", sum.packets_sent),
        (
            "messages/stored",
            sum.queued_messages + sum.retained_messages,
        ),
        ("publish/messages/received", sum.publishes_received),
        ("publish/messages/sent", sum.publishes_sent),
        ("publish/messages/dropped", dropped),
        ("publish/bytes/received", sum.publish_bytes_received),
        ("publish/bytes/sent", sum.publish_bytes_sent),
        ("bytes/received", sum.bytes_received),
        ("bytes/sent", sum.bytes_sent),
        ("subscriptions/count", sum.subscriptions),
        ("shared_subscriptions/count", sum.shared_members),
        ("retained messages/count", sum.retained_messages),
        (
            "store/messages/count",
            sum.queued_messages + sum.retained_messages,
        ),
        (
            "store/messages/bytes",
            sum.queued_bytes + sum.retained_bytes,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::SysTopics;
    use tidewire_core::{ServerPublish, Stats, Time};

    fn said<'a>(messages: &'a [ServerPublish], name: &str) -> Option<&'a str> {
        let topic = format!("$SYS/broker/{name}");
        let found = messages.iter().find(|message| *message.topic == *topic)?;
        Some(std::str::from_utf8(&found.payload).unwrap())
    }

    #[test]
    fn figures_of_all_workers_are_added_and_published_with_the_last_one() {
        let mut sys = SysTopics::new(Time::ZERO, 10);
        sys.begin_round(Time::ZERO, 2);
        let round = sys.round();
        let stats = Stats {
            sessions: 3,
            sessions_connected: 2,
            ..Stats::default()
        };
        assert!(sys.add(round, &stats).is_empty());
        let messages = sys.add(round, &stats);
        assert_eq!(said(&messages, "clients/connected"), Some("4"));
        assert_eq!(said(&messages, "clients/disconnected"), Some("2"));
        assert_eq!(said(&messages, "uptime"), Some("0 seconds"));
        assert!(messages.iter().all(|message| message.retain));
        assert!(sys.add(round, &stats).is_empty(), "nothing is added twice");
    }

    #[test]
    fn only_what_has_changed_is_published_again() {
        let mut sys = SysTopics::new(Time::ZERO, 10);
        let first = Stats {
            sessions: 1,
            sessions_connected: 1,
            ..Stats::default()
        };
        sys.begin_round(Time::ZERO, 1);
        sys.add(sys.round(), &first);
        sys.begin_round(sys.next_due(), 1);
        let second = Stats {
            sessions_connected: 0,
            ..first
        };
        let messages = sys.add(sys.round(), &second);
        assert_eq!(said(&messages, "clients/connected"), Some("0"));
        assert_eq!(said(&messages, "clients/total"), None);
        assert_eq!(
            said(&messages, "clients/maximum"),
            None,
            "the most there ever were is still 1"
        );
        assert_eq!(said(&messages, "uptime"), Some("10 seconds"));
    }
}
