//! The gateway's figures for Prometheus.

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::fmt;

/// Name, sentence, place in the status. Counters are of the gateway, so is the store.
const COUNTERS: [(&str, &str, &str); 7] = [
    (
        "values",
        "Values that sources and apps brought",
        "/counters/values",
    ),
    (
        "points",
        "Values that changed enough to be sent",
        "/counters/passed",
    ),
    (
        "dropped_buffer_points",
        "Points dropped because the buffer in memory was full",
        "/counters/dropped_buffer",
    ),
    (
        "dropped_newest_points",
        "Points dropped because the log was full",
        "/counters/dropped_newest",
    ),
    (
        "dropped_oldest_points",
        "Points dropped from the log for want of room or for their age",
        "/store/dropped_points",
    ),
    ("events", "Events", "/counters/events"),
    (
        "dropped_events",
        "Events beyond the bound per minute",
        "/counters/dropped_events",
    ),
];

const GAUGES: [(&str, &str, &str); 7] = [
    ("devices", "Devices", "/devices"),
    ("series", "Series", "/series"),
    (
        "store_used_bytes",
        "Bytes of the data log",
        "/store/used_bytes",
    ),
    (
        "store_max_bytes",
        "Bytes that the data log may take",
        "/store/max_bytes",
    ),
    (
        "store_free_bytes",
        "Bytes that can still be written",
        "/store/free_bytes",
    ),
    (
        "store_hours_left",
        "Hours until the data log is full if nothing can be sent",
        "/store/hours_left",
    ),
    (
        "buffered_points",
        "Points in memory that are not on disk yet",
        "/store/buffered_points",
    ),
];

const UPLINK_COUNTERS: [(&str, &str, &str); 6] = [
    (
        "uplink_sent_points",
        "Points that the server acknowledged",
        "sent_points",
    ),
    (
        "uplink_sent_packets",
        "Packets that the server acknowledged",
        "sent_packets",
    ),
    (
        "uplink_sent_bytes",
        "Bytes of payloads that the server acknowledged",
        "sent_bytes",
    ),
    (
        "uplink_lost_points",
        "Points dropped before this uplink had sent them",
        "lost_points",
    ),
    (
        "uplink_resent_points",
        "Points that were sent again",
        "resent_points",
    ),
    ("uplink_connects", "Connections so far", "connects"),
];

const UPLINK_GAUGES: [(&str, &str, &str); 3] = [
    (
        "uplink_connected",
        "Whether there is a connection",
        "connected",
    ),
    (
        "uplink_waiting_points",
        "Points that the server has not acknowledged",
        "waiting_points",
    ),
    (
        "uplink_oldest_seconds",
        "Age of the oldest point that the server has not acknowledged",
        "oldest_secs",
    ),
];

/// The figures of a status.
pub(super) fn text(status: &Json) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("tidewire_gateway");
    for (name, help, place) in COUNTERS {
        let count = status
            .pointer(place)
            .and_then(Json::as_u64)
            .unwrap_or_default();
        registry.register(name, help, ConstCounter::new(count));
    }
    for (name, help, place) in GAUGES {
        if let Some(number) = status.pointer(place).and_then(Json::as_f64) {
            registry.register(name, help, ConstGauge::new(number));
        }
    }
    for uplink in status["uplinks"].as_array().into_iter().flatten() {
        let label = (
            Cow::Borrowed("uplink"),
            Cow::Owned(uplink["name"].as_str().unwrap_or_default().to_owned()),
        );
        let of_uplink = registry.sub_registry_with_label(label);
        for (name, help, key) in UPLINK_COUNTERS {
            of_uplink.register(
                name,
                help,
                ConstCounter::new(uplink[key].as_u64().unwrap_or_default()),
            );
        }
        for (name, help, key) in UPLINK_GAUGES {
            let number = match &uplink[key] {
                Json::Bool(flag) => Some(f64::from(u8::from(*flag))),
                other => other.as_f64(),
            };
            of_uplink.register(name, help, ConstGauge::new(number.unwrap_or_default()));
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}
