//! The keys of `[[modbus]]` and of its registers.

use super::schema::{Key, Kind, Table};
use super::tables::ANY;

pub(super) static MODBUS: &[Key] = &[
    Key::new("name", Kind::Text, "\"modbus\"", "The source's name."),
    Key::new("sn", Kind::Required, "", "The device's serial number."),
    Key::new(
        "url",
        Kind::Required,
        "",
        "`tcp://host:502`, or `rtu:///dev/ttyUSB0?baud=9600&parity=none&stop=1`.",
    ),
    Key::new(
        "unit",
        Kind::Integer { min: 0, max: 255 },
        "1",
        "The unit (slave) identifier.",
    ),
    Key::new(
        "interval_ms",
        Kind::Integer {
            min: 10,
            max: 86_400_000,
        },
        "1000",
        "Time between two readings of registers that have no other.",
    ),
    Key::new(
        "timeout_ms",
        Kind::Integer {
            min: 10,
            max: 600_000,
        },
        "1000",
        "How long an answer may take.",
    ),
    Key::new(
        "retry_max_secs",
        Kind::Integer {
            min: 1,
            max: 86_400,
        },
        "60",
        "The longest wait before a device that does not answer is asked again.",
    ),
    Key::new(
        "max_gap",
        Kind::Integer { min: 0, max: 100 },
        "8",
        "Registers that may lie between two that are read with one request.",
    ),
    Key::new(
        "register",
        Kind::Tables(&MODBUS_REGISTER),
        "",
        "What is read and written.",
    ),
];

static MODBUS_REGISTER: Table = Table {
    name: "register",
    many: true,
    doc: "A value in registers or coils of the device.",
    keys: &[
        Key::new("input", Kind::Required, "", "The input's name."),
        Key::new("desc", Kind::Text, "", "A sentence for people."),
        Key::new("unit", Kind::Text, "", "The value's unit, such as `°C`."),
        Key::new(
            "table",
            Kind::Choice(&["holding", "input", "coil", "discrete"]),
            "\"holding\"",
            "Which of the four tables it is in.",
        ),
        Key::new(
            "address",
            Kind::Integer {
                min: 0,
                max: 65_535,
            },
            "0",
            "Its address, from 0.",
        ),
        Key::new(
            "type",
            Kind::Choice(&[
                "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64", "bool", "text",
            ]),
            "\"u16\"",
            "How the bits are read. In coils and discrete inputs always `bool`; in registers a `bool` is the bit `bit`.",
        ),
        Key::new(
            "order",
            Kind::Choice(&["abcd", "badc", "cdab", "dcba"]),
            "\"abcd\"",
            "Order of the bytes of several registers: `abcd` is what the standard says, `cdab` has the words swapped.",
        ),
        Key::new(
            "bit",
            Kind::Integer { min: 0, max: 15 },
            "0",
            "The bit of a `bool` in a register; 0 = the least.",
        ),
        Key::new(
            "length",
            Kind::Integer { min: 1, max: 60 },
            "8",
            "Registers of a `text`, two characters each.",
        ),
        Key::new(
            "scale",
            ANY,
            "1",
            "The value is the number in the registers times this ...",
        ),
        Key::new("offset", ANY, "0", "... plus this."),
        Key::new(
            "interval_ms",
            Kind::Integer {
                min: 10,
                max: 86_400_000,
            },
            "",
            "Time between two readings, if it is another than the device's.",
        ),
        Key::new(
            "writable",
            Kind::Flag,
            "false",
            "Whether it is an output, too; holding registers and coils only.",
        ),
        Key::new(
            "dead_band",
            Kind::Number {
                min: 0.0,
                max: f64::MAX,
            },
            "",
            "Another dead-band than the gateway's.",
        ),
    ],
};
