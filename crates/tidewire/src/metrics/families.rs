//! Which figure appears under which metric name: the names with units, the labels with few values.

use prometheus_client::encoding::{EncodeMetric as _, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Metrics that share a name.
pub(super) struct Family {
    /// Name without the prefix, the unit and `_total`.
    pub(super) name: &'static str,
    /// Whether it only grows.
    pub(super) shape: Shape,
    /// Unit as the last part of the name, if it is more than a count.
    pub(super) unit: Option<&'static str>,
    /// Sentence for people.
    pub(super) help: &'static str,
    /// Name of the label that tells the rows apart, if there are several.
    pub(super) label: Option<&'static str>,
    /// The figures.
    pub(super) rows: &'static [Row],
}

/// One figure of a family.
pub(super) struct Row {
    /// Its name in [`tidewire_core::Stats`].
    pub(super) figure: &'static str,
    /// Value of the family's label; empty without one.
    pub(super) value: &'static str,
}

/// Whether a figure only grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Shape {
    pub(super) const fn metric_type(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
        }
    }

    /// Writes one value.
    pub(super) fn encode(self, figure: u64, encoder: MetricEncoder<'_>) -> std::fmt::Result {
        match self {
            Self::Counter => ConstCounter::new(figure).encode(encoder),
            Self::Gauge => {
                ConstGauge::new(i64::try_from(figure).unwrap_or(i64::MAX)).encode(encoder)
            }
        }
    }
}

impl Family {
    pub(super) fn unit(&self) -> Option<Unit> {
        self.unit.map(|unit| Unit::Other(unit.to_owned()))
    }
}

macro_rules! one {
    ($shape:ident, $name:literal, $figure:literal, $help:literal) => {
        one!($shape, $name, None, $figure, $help)
    };
    ($shape:ident, $name:literal, $unit:expr, $figure:literal, $help:literal) => {
        Family {
            name: $name,
            shape: Shape::$shape,
            unit: $unit,
            help: $help,
            label: None,
            rows: &[Row {
                figure: $figure,
                value: "",
            }],
        }
    };
}

macro_rules! labelled {
    ($name:literal, $help:literal, $label:literal: $($figure:literal => $value:literal),+ $(,)?) => {
        Family {
            name: $name,
            shape: Shape::Counter,
            unit: None,
            help: $help,
            label: Some($label),
            rows: &[$(Row { figure: $figure, value: $value }),+],
        }
    };
}

/// All metrics, in the order in which they are written.
pub(super) static FAMILIES: &[Family] = &[
    one!(
        Gauge,
        "connections",
        "connections",
        "Connections, admitted or not"
    ),
    one!(Gauge, "sessions", "sessions", "Sessions, connected or not"),
    one!(
        Gauge,
        "sessions_connected",
        "sessions_connected",
        "Sessions with a live connection"
    ),
    one!(
        Gauge,
        "subscriptions",
        "subscriptions",
        "Subscriptions, shared ones included"
    ),
    one!(
        Gauge,
        "shared_group_members",
        "shared_members",
        "Members of shared subscription groups"
    ),
    one!(
        Gauge,
        "retained_messages",
        "retained_messages",
        "Retained messages"
    ),
    one!(
        Gauge,
        "retained_messages_size",
        Some("bytes"),
        "retained_bytes",
        "Bytes of retained messages"
    ),
    one!(
        Gauge,
        "queued_messages",
        "queued_messages",
        "Messages that wait in the queues of sessions and groups"
    ),
    one!(
        Gauge,
        "queued_messages_size",
        Some("bytes"),
        "queued_bytes",
        "Bytes of messages that wait in queues or for an acknowledgement"
    ),
    one!(
        Counter,
        "connections_opened",
        "connections_opened",
        "Transports opened"
    ),
    one!(
        Counter,
        "connects_accepted",
        "connects_accepted",
        "CONNECT packets accepted"
    ),
    one!(
        Counter,
        "connects_refused",
        "connects_refused",
        "Connections refused before they were admitted"
    ),
    one!(
        Counter,
        "sessions_expired",
        "sessions_expired",
        "Sessions that ended because their expiry interval passed"
    ),
    one!(
        Counter,
        "sessions_taken_over",
        "sessions_taken_over",
        "Sessions taken over by another connection"
    ),
    one!(
        Counter,
        "packets_received",
        "packets_received",
        "Packets received"
    ),
    one!(
        Counter,
        "packets_sent",
        "packets_sent",
        "Packets queued for sending"
    ),
    one!(
        Counter,
        "received",
        Some("bytes"),
        "bytes_received",
        "Bytes received from clients"
    ),
    one!(
        Counter,
        "sent",
        Some("bytes"),
        "bytes_sent",
        "Bytes handed to transports"
    ),
    one!(
        Counter,
        "publishes_received",
        "publishes_received",
        "PUBLISH packets received"
    ),
    one!(
        Counter,
        "publishes_sent",
        "publishes_sent",
        "PUBLISH packets queued for sending"
    ),
    one!(
        Counter,
        "publish_payload_received",
        Some("bytes"),
        "publish_bytes_received",
        "Bytes of payload in PUBLISH packets received"
    ),
    one!(
        Counter,
        "publish_payload_sent",
        Some("bytes"),
        "publish_bytes_sent",
        "Bytes of payload in PUBLISH packets queued for sending"
    ),
    labelled!("dropped_messages", "Messages dropped", "reason":
        "dropped_no_subscriber" => "no_subscriber",
        "dropped_outbound_full" => "outbound_full",
        "dropped_queue_full" => "queue_full",
        "dropped_expired" => "expired",
        "dropped_too_large" => "too_large",
        "dropped_retained_full" => "retained_full",
        "dropped_suppressed" => "suppressed",
    ),
    one!(
        Counter,
        "consumed_messages",
        "consumed_publish",
        "Messages that handlers took and answered: they were not published"
    ),
    labelled!("denied", "What authorisation denied", "operation":
        "denied_publish" => "publish",
        "denied_subscribe" => "subscribe",
    ),
    labelled!("wrong_packets", "Packets that closed their connection", "kind":
        "malformed_packets" => "malformed",
        "protocol_errors" => "protocol_error",
    ),
    labelled!("timeouts", "Waits that ended without what was awaited", "what":
        "keep_alive_timeouts" => "keep_alive",
        "authentications_expired" => "authentication",
        "connect_timeouts" => "connect",
        "answer_timeouts" => "answer",
    ),
    one!(
        Counter,
        "questions_dropped",
        "questions_dropped",
        "Questions to authenticators and access rules dropped because their connection ended"
    ),
    one!(
        Counter,
        "wills_published",
        "wills_published",
        "Wills published"
    ),
    one!(
        Counter,
        "store_appends",
        "store_appends",
        "Messages handed to the store"
    ),
    one!(
        Gauge,
        "store_waiting",
        "store_waiting",
        "Requests that wait for the store"
    ),
    one!(
        Counter,
        "store_reads",
        "store_reads",
        "Messages read back from the store for clients that had been away or were slow"
    ),
    labelled!("store_troubles", "Requests and records that the store could not serve as asked", "kind":
        "store_refused" => "refused",
        "store_retries" => "retried",
        "store_failures" => "failed",
        "store_damaged" => "damaged",
    ),
    one!(
        Counter,
        "publishers_paused",
        "publishers_paused",
        "Times that the memory budget of a worker paused a publisher"
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_figure_appears_once() {
        let mut figures = BTreeSet::new();
        tidewire_core::Stats::default().for_each(|name, _| {
            figures.insert(name);
        });
        let mut rows = BTreeSet::new();
        for row in FAMILIES.iter().flat_map(|family| family.rows) {
            assert!(rows.insert(row.figure), "{} twice", row.figure);
        }
        assert_eq!(rows, figures);
    }

    #[test]
    fn names_and_label_values_are_distinct() {
        let mut names = BTreeSet::new();
        for family in FAMILIES {
            assert!(
                names.insert((family.name, family.unit)),
                "{} twice",
                family.name
            );
            let values: BTreeSet<_> = family.rows.iter().map(|row| row.value).collect();
            assert_eq!(values.len(), family.rows.len(), "{}", family.name);
            assert_eq!(
                family.label.is_some(),
                family.rows.len() > 1,
                "{}",
                family.name
            );
        }
    }
}
