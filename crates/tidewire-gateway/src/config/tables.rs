//! Every key of the gateway's configuration, declared once.

use super::schema::{Key, Kind, Table};
use super::table_modbus::MODBUS;
use super::table_uplink::UPLINK;

pub(super) const ANY: Kind = Kind::Number {
    min: f64::MIN,
    max: f64::MAX,
};
pub(super) const SECS: Kind = Kind::Number {
    min: 0.0,
    max: 31_536_000.0,
};

/// All tables, in the order of the reference.
pub static TABLES: &[Table] = &[
    Table {
        name: "gateway",
        many: false,
        doc: "The gateway as a whole.",
        keys: &[
            Key::new(
                "id",
                Kind::Text,
                "\"tidewire\"",
                "The gateway's name in topics and payloads.",
            ),
            Key::new(
                "data_dir",
                Kind::Path,
                "\"tidewire-gateway\"",
                "Where the gateway keeps data that are not sent yet. A relative path starts where the gateway was started.",
            ),
            Key::new(
                "log",
                Kind::Text,
                "\"info\"",
                "Which log events are written to standard error, such as `info` or `warn,tidewire_gateway=debug`.",
            ),
        ],
    },
    Table {
        name: "pipeline",
        many: false,
        doc: "Which values are sent, and how they are kept until then.",
        keys: &[
            Key::new(
                "dead_band",
                Kind::Number {
                    min: 0.0,
                    max: f64::MAX,
                },
                "0.000001",
                "A value is sent if it differs by more than this from the last one that was.",
            ),
            Key::new(
                "dead_band_percent",
                Kind::Number {
                    min: 0.0,
                    max: 100.0,
                },
                "0",
                "It must also differ by more than this part of the last one that was sent.",
            ),
            Key::new(
                "refresh_secs",
                SECS,
                "300",
                "A value that has not changed is sent again after this time; 0 = never.",
            ),
            Key::new(
                "commit_ms",
                Kind::Integer {
                    min: 0,
                    max: 60_000,
                },
                "100",
                "The longest that a value is only in memory: what a killed gateway can lose of sources that cannot repeat it.",
            ),
            Key::new(
                "buffer_points",
                Kind::Integer {
                    min: 1,
                    max: 100_000_000,
                },
                "102400",
                "Points in memory that are not on disk yet; what comes beyond is dropped and counted.",
            ),
            Key::new(
                "max_series",
                Kind::Integer {
                    min: 1,
                    max: 100_000_000,
                },
                "1000000",
                "Series at most.",
            ),
            Key::new(
                "max_events_per_minute",
                Kind::Integer {
                    min: 1,
                    max: 1_000_000,
                },
                "600",
                "Events of one device in a minute; what comes beyond is not sent, and counted.",
            ),
        ],
    },
    Table {
        name: "store",
        many: false,
        doc: "The durable log: what is in it survives a killed gateway and a power loss.",
        keys: &[
            Key::new(
                "max_bytes",
                Kind::Integer {
                    min: 65_536,
                    max: u64::MAX,
                },
                "1073741824",
                "Bytes on disk for data that are not sent yet.",
            ),
            Key::new(
                "max_age_secs",
                SECS,
                "0",
                "Data that are older are dropped and counted; 0 = none.",
            ),
            Key::new(
                "min_free_bytes",
                Kind::Integer {
                    min: 0,
                    max: u64::MAX,
                },
                "67108864",
                "Bytes of the disk that are left free for others.",
            ),
            Key::new(
                "segment_bytes",
                Kind::Integer {
                    min: 4096,
                    max: 1_073_741_824,
                },
                "4194304",
                "Bytes of one file. Space is given back in whole files.",
            ),
            Key::new(
                "when_full",
                Kind::Choice(&["drop_oldest", "drop_newest", "hold"]),
                "\"drop_oldest\"",
                "What happens when there is no room: the oldest data make room; the newest are dropped; or sources that can wait have to, and what the others bring is kept in memory up to `buffer_points`. What is dropped is counted.",
            ),
        ],
    },
    Table {
        name: "page",
        many: false,
        doc: "The gateway's page, its figures for Prometheus, and its answers to `tidewire gateway status`.",
        keys: &[Key::new(
            "listen",
            Kind::Text,
            "",
            "Address and port, such as `127.0.0.1:8077`. Unset, there is no page. Nobody is asked for a password, so only loopback addresses are taken.",
        )],
    },
    Table {
        name: "uplink",
        many: true,
        doc: "A server that data are sent to; each has its own place in the log.",
        keys: UPLINK,
    },
    Table {
        name: "simulator",
        many: true,
        doc: "Devices that do not exist, to try things out.",
        keys: &[
            Key::new(
                "name",
                Kind::Text,
                "\"simulator\"",
                "The source's name: the app of its devices.",
            ),
            Key::new(
                "devices",
                Kind::Integer {
                    min: 1,
                    max: 100_000,
                },
                "1",
                "How many devices, named NAME-1, NAME-2, ...",
            ),
            Key::new(
                "inputs",
                Kind::Integer {
                    min: 1,
                    max: 10_000,
                },
                "3",
                "Inputs of each.",
            ),
            Key::new(
                "interval_ms",
                Kind::Integer {
                    min: 1,
                    max: 86_400_000,
                },
                "1000",
                "Time between two values of an input.",
            ),
            Key::new(
                "shape",
                Kind::Choice(&["sine", "counter", "random"]),
                "\"sine\"",
                "What the values are. A counter goes on where it was when the gateway stopped, and never leaves a number out.",
            ),
        ],
    },
    Table {
        name: "system",
        many: true,
        doc: "The machine that the gateway runs on: load, memory, disk, uptime.",
        keys: &[
            Key::new("name", Kind::Text, "\"system\"", "The source's name."),
            Key::new("sn", Kind::Text, "\"host\"", "The device's serial number."),
            Key::new(
                "interval_secs",
                Kind::Number {
                    min: 0.1,
                    max: 86_400.0,
                },
                "10",
                "Time between two readings.",
            ),
        ],
    },
    Table {
        name: "mqtt_in",
        many: true,
        doc: "Devices that publish to an MQTT server, by themselves or through another gateway. A message is acknowledged only when its values are on disk.",
        keys: &[
            Key::new("name", Kind::Text, "\"mqtt\"", "The source's name."),
            Key::new(
                "url",
                Kind::Required,
                "",
                "The server, such as `mqtt://127.0.0.1:1883`.",
            ),
            Key::new(
                "client_id",
                Kind::Text,
                "",
                "The client identifier; the session is kept under it. Unset, it is `GATEWAY-NAME`.",
            ),
            Key::new("username", Kind::Text, "", "User name."),
            Key::new("password", Kind::Secret, "", "Password."),
            Key::new(
                "filter",
                Kind::Required,
                "",
                "The topic filter to subscribe.",
            ),
            Key::new(
                "sn",
                Kind::Text,
                "\"{2}\"",
                "The device's serial number; `{1}`, `{2}`, ... stand for the levels of the topic.",
            ),
            Key::new(
                "input",
                Kind::Text,
                "",
                "The input, for payloads that are one value; levels as above. Unset, the payload is a JSON object of inputs.",
            ),
            Key::new(
                "value",
                Kind::Text,
                "",
                "Where in a JSON payload the value or the object of inputs is, as a JSON pointer such as `/data/temperature`.",
            ),
            Key::new(
                "time",
                Kind::Text,
                "",
                "Where the time is, as a JSON pointer; seconds or milliseconds since 1970. Unset, it is the time of arrival.",
            ),
        ],
    },
    Table {
        name: "modbus",
        many: true,
        doc: "A device that speaks Modbus over TCP or a serial line.",
        keys: MODBUS,
    },
    Table {
        name: "app",
        many: true,
        doc: "An app in Lua with FreeIOE's interface.",
        keys: &[
            Key::new("name", Kind::Required, "", "Its name."),
            Key::new(
                "file",
                Kind::Path,
                "",
                "The program, such as `apps/cloud.lua`.",
            ),
            Key::new(
                "conf",
                Kind::Json,
                "",
                "Its configuration: a table, or a text that holds JSON.",
            ),
            Key::new(
                "start",
                Kind::Flag,
                "true",
                "Whether it starts with the gateway.",
            ),
        ],
    },
];
