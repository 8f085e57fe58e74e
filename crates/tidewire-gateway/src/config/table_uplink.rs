//! The keys of `[[uplink]]`.

use super::schema::{Key, Kind};
use super::tables::SECS;

pub(super) static UPLINK: &[Key] = &[
    Key::new(
        "name",
        Kind::Required,
        "",
        "Its name, in files and figures: letters, digits, `-` and `_`.",
    ),
    Key::new(
        "url",
        Kind::Required,
        "",
        "The server: `mqtt://host:1883`, `mqtts://`, `ws://`, `wss://`.",
    ),
    Key::new("or_urls", Kind::Texts, "", "Other servers, tried in turn."),
    Key::new(
        "client_id",
        Kind::Text,
        "",
        "The client identifier; unset, the gateway's id.",
    ),
    Key::new("username", Kind::Text, "", "User name."),
    Key::new("password", Kind::Secret, "", "Password. Better in a file."),
    Key::new(
        "password_file",
        Kind::Path,
        "",
        "File whose first line is the password.",
    ),
    Key::new(
        "ca_file",
        Kind::Path,
        "",
        "Certificates (PEM) that are trusted; unset, the system's.",
    ),
    Key::new(
        "cert_file",
        Kind::Path,
        "",
        "The gateway's own certificate (PEM).",
    ),
    Key::new("key_file", Kind::Path, "", "Its key (PEM)."),
    Key::new(
        "version",
        Kind::Choice(&["3.1.1", "5.0"]),
        "\"5.0\"",
        "Version of MQTT.",
    ),
    Key::new(
        "keep_alive_secs",
        Kind::Integer {
            min: 0,
            max: 65_535,
        },
        "60",
        "Silence after which the gateway shows that it lives; 0 = never.",
    ),
    Key::new(
        "payload",
        Kind::Choice(&["batch", "freeioe"]),
        "\"batch\"",
        "What payloads look like: many points in one JSON object; or one JSON object for each value, with FreeIOE's fields and topics.",
    ),
    Key::new(
        "data_topic",
        Kind::Text,
        "",
        "Topic of values; `{gateway}`, `{app}`, `{device}` and `{input}` stand for names. Unset, it is `tidewire/{gateway}/data`, and with `freeioe` `/data`.",
    ),
    Key::new(
        "event_topic",
        Kind::Text,
        "",
        "Topic of events. Unset, `tidewire/{gateway}/event` or `/event`.",
    ),
    Key::new(
        "stat_topic",
        Kind::Text,
        "",
        "Topic of statistics. Unset, `tidewire/{gateway}/statistics` or `/statistics`.",
    ),
    Key::new(
        "devices_topic",
        Kind::Text,
        "",
        "Topic of the list of devices, retained. Unset, `tidewire/{gateway}/devices` or `/devices`.",
    ),
    Key::new(
        "status_topic",
        Kind::Text,
        "",
        "Topic of ONLINE and OFFLINE, retained. Unset, `tidewire/{gateway}/status` or `/status`.",
    ),
    Key::new(
        "request_topic",
        Kind::Text,
        "",
        "What the topics of requests begin with. Unset, `tidewire/{gateway}/` or `/`; `output/#`, `command/#`, `sys/#` and `app/#` below it are subscribed.",
    ),
    Key::new(
        "result_topic",
        Kind::Text,
        "",
        "What the topics of answers begin with: `ack` and `result/...` below it. Unset, as `request_topic`.",
    ),
    Key::new(
        "compression",
        Kind::Choice(&["none", "deflate", "zstd"]),
        "\"none\"",
        "Compression of batches; the topic then ends in `_gz` or `_zst`.",
    ),
    Key::new(
        "batch_points",
        Kind::Integer {
            min: 1,
            max: 1_000_000,
        },
        "1024",
        "Points in a packet at most.",
    ),
    Key::new(
        "batch_bytes",
        Kind::Integer {
            min: 64,
            max: 200_000_000,
        },
        "131072",
        "Bytes in a packet at most, before compression; the last point may exceed it.",
    ),
    Key::new(
        "batch_secs",
        SECS,
        "60",
        "The longest that a point waits for others.",
    ),
    Key::new(
        "max_in_flight",
        Kind::Integer { min: 1, max: 1024 },
        "16",
        "Packets that may wait for their acknowledgement at once.",
    ),
    Key::new(
        "order",
        Kind::Choice(&["strict", "live_first"]),
        "\"strict\"",
        "After an outage: the oldest data first, so that the server sees every series in order; or the newest first, and what was missed beside them, in order among itself and marked.",
    ),
    Key::new(
        "backfill_points_per_sec",
        Kind::Integer {
            min: 0,
            max: 10_000_000,
        },
        "1000",
        "How fast missed data are sent beside newer ones; 0 = as fast as possible.",
    ),
    Key::new(
        "downlink",
        Kind::Flag,
        "true",
        "Whether requests from the server are carried out.",
    ),
    Key::new(
        "request_timeout_secs",
        Kind::Number {
            min: 0.1,
            max: 3600.0,
        },
        "10",
        "How long a device may take for a request.",
    ),
];
