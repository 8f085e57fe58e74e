//! Devices: what they are, show, take and do.

use serde_json::{Map, Value as Json, json};

/// A device and what it has.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Device {
    /// The app or source that brought it.
    pub app: Box<str>,
    /// Its serial number: its name in topics and payloads, unique in the gateway.
    pub sn: Box<str>,
    /// Everything else.
    pub props: Props,
}

/// What a device is and has.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Props {
    /// Name, description, manufacturer and whatever else its app says.
    pub meta: Map<String, Json>,
    /// What it shows.
    pub inputs: Vec<Input>,
    /// What can be written.
    pub outputs: Vec<Output>,
    /// What it can do.
    pub commands: Vec<Command>,
}

/// Something that a device shows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Input {
    /// Its name, unique in the device.
    pub name: Box<str>,
    /// A sentence for people.
    pub desc: Box<str>,
    /// Unit, such as `°C`; may be empty.
    pub unit: Box<str>,
    /// Type: `float`, `int`, `string`, `bool`; empty = float.
    pub kind: Box<str>,
    /// Another dead-band than the gateway's.
    pub dead_band: Option<crate::pipeline::DeadBand>,
}

/// Something that can be written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Output {
    /// Its name, unique in the device.
    pub name: Box<str>,
    /// A sentence for people.
    pub desc: Box<str>,
    /// Unit; may be empty.
    pub unit: Box<str>,
    /// Type; empty = float.
    pub kind: Box<str>,
}

/// Something that a device can do.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Command {
    /// Its name, unique in the device.
    pub name: Box<str>,
    /// A sentence for people.
    pub desc: Box<str>,
}

impl Props {
    /// As apps see it: `meta`, `inputs`, `outputs`, `commands`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let row = |name: &str, desc: &str, unit: &str, kind: &str| {
            let mut row = Map::new();
            for (key, text) in [("name", name), ("desc", desc), ("unit", unit), ("vt", kind)] {
                if key == "name" || !text.is_empty() {
                    row.insert(key.to_owned(), text.into());
                }
            }
            Json::Object(row)
        };
        let inputs = self
            .inputs
            .iter()
            .map(|i| row(&i.name, &i.desc, &i.unit, &i.kind));
        let outputs = self
            .outputs
            .iter()
            .map(|o| row(&o.name, &o.desc, &o.unit, &o.kind));
        let commands = self.commands.iter().map(|c| row(&c.name, &c.desc, "", ""));
        json!({
            "meta": self.meta,
            "inputs": inputs.collect::<Vec<_>>(),
            "outputs": outputs.collect::<Vec<_>>(),
            "commands": commands.collect::<Vec<_>>(),
        })
    }

    /// From what apps give; parts that are missing are empty.
    #[must_use]
    pub fn of_json(json: &Json) -> Self {
        let text =
            |row: &Json, key: &str| -> Box<str> { row[key].as_str().unwrap_or_default().into() };
        let rows = |key: &str| json[key].as_array().map(Vec::as_slice).unwrap_or_default();
        Self {
            meta: json["meta"].as_object().cloned().unwrap_or_default(),
            inputs: rows("inputs")
                .iter()
                .map(|row| Input {
                    name: text(row, "name"),
                    desc: text(row, "desc"),
                    unit: text(row, "unit"),
                    kind: text(row, "vt"),
                    dead_band: None,
                })
                .collect(),
            outputs: rows("outputs")
                .iter()
                .map(|row| Output {
                    name: text(row, "name"),
                    desc: text(row, "desc"),
                    unit: text(row, "unit"),
                    kind: text(row, "vt"),
                })
                .collect(),
            commands: rows("commands")
                .iter()
                .map(|row| Command {
                    name: text(row, "name"),
                    desc: text(row, "desc"),
                })
                .collect(),
        }
    }

    /// The names of inputs that a device does not have; the list of those that it has is what an app gave.
    #[must_use]
    pub fn has_output(&self, name: &str) -> bool {
        self.outputs.iter().any(|output| &*output.name == name)
    }

    /// Whether it has a command of that name.
    #[must_use]
    pub fn has_command(&self, name: &str) -> bool {
        self.commands.iter().any(|command| &*command.name == name)
    }
}
