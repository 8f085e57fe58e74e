//! Packets as bytes, built by hand: nothing here comes from the project's codec, and nothing stops a packet from being wrong.

use std::sync::atomic::{AtomicU32, Ordering};

/// A protocol version, with the name and level that a CONNECT states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V31,
    V311,
    V5,
}

pub(crate) use Version::{V5, V31, V311};

impl Version {
    pub(crate) const ALL: [Version; 3] = [V31, V311, V5];

    fn name(self) -> &'static str {
        match self {
            V31 => "MQIsdp",
            V311 | V5 => "MQTT",
        }
    }

    fn level(self) -> u8 {
        match self {
            V31 => 3,
            V311 => 4,
            V5 => 5,
        }
    }
}

/// A packet: its first byte, and its parts behind their length.
pub(crate) fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let mut bytes = vec![first];
    bytes.extend(varint(body.len()));
    bytes.extend(body);
    bytes
}

/// A variable byte integer in its shortest form.
pub(crate) fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A string, or bytes, behind a length of two bytes.
pub(crate) fn text(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let length = u16::try_from(content.len()).expect("at most 65535 bytes");
    [&length.to_be_bytes(), content].concat()
}

/// Properties of MQTT 5.0 behind their length.
pub(crate) fn properties(list: &[&[u8]]) -> Vec<u8> {
    let all = list.concat();
    [varint(all.len()), all].concat()
}

/// A property with a string or bytes.
pub(crate) fn text_property(id: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![id], text(value)].concat()
}

/// A user property.
pub(crate) fn user_property(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![0x26], text(name), text(value)].concat()
}

/// A client identifier that no other test uses, not even one of another process against the same broker.
pub(crate) fn unique_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("w{}x{number}", std::process::id())
}

/// A CONNECT in parts.
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) name: Vec<u8>,
    pub(crate) level: u8,
    pub(crate) flags: u8,
    pub(crate) properties: Vec<u8>,
    pub(crate) client_id: Vec<u8>,
    /// Will, user name and password, as they stand on the wire.
    pub(crate) rest: Vec<u8>,
}

impl Connect {
    /// A right one: clean, a keep alive of a minute, a client identifier of its own.
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            name: version.name().into(),
            level: version.level(),
            flags: 0x02,
            properties: Vec::new(),
            client_id: unique_id().into_bytes(),
            rest: Vec::new(),
        }
    }

    pub(crate) fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    pub(crate) fn client_id(mut self, id: impl AsRef<[u8]>) -> Self {
        self.client_id = id.as_ref().to_vec();
        self
    }

    pub(crate) fn properties(mut self, list: &[&[u8]]) -> Self {
        self.properties = list.concat();
        self
    }

    pub(crate) fn protocol(mut self, name: &str, level: u8) -> Self {
        self.name = name.into();
        self.level = level;
        self
    }

    pub(crate) fn then(mut self, parts: &[&[u8]]) -> Self {
        self.rest.extend(parts.concat());
        self
    }

    /// A will with these properties (in 5.0), topic and payload; its flags are those of `flags`.
    pub(crate) fn will(self, list: &[&[u8]], topic: impl AsRef<[u8]>) -> Self {
        let list = match self.version {
            V5 => properties(list),
            V31 | V311 => Vec::new(),
        };
        self.then(&[&list, &text(topic), &text("gone")])
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let list = match self.version {
            V5 => properties(&[&self.properties]),
            V31 | V311 => Vec::new(),
        };
        let fixed = [self.level, self.flags, 0, 60];
        let id = text(&self.client_id);
        packet(0x10, &[&text(&self.name), &fixed, &list, &id, &self.rest])
    }
}

/// What stands between a packet's identifier and its payload: no properties.
pub(crate) fn no_properties(version: Version) -> &'static [u8] {
    match version {
        V5 => &[0],
        V31 | V311 => &[],
    }
}

/// A PUBLISH with these low four bits of the first byte; the packet identifier is left out at QoS 0.
pub(crate) fn publish(version: Version, flags: u8, topic: impl AsRef<[u8]>, id: u16) -> Vec<u8> {
    let id = if flags & 0x06 == 0 {
        Vec::new()
    } else {
        id.to_be_bytes().to_vec()
    };
    let first = 0x30 | flags;
    packet(first, &[&text(topic), &id, no_properties(version), b"x"])
}

/// A SUBSCRIBE for one filter.
pub(crate) fn subscribe(version: Version, filter: impl AsRef<[u8]>, options: u8) -> Vec<u8> {
    let filter = text(filter);
    packet(
        0x82,
        &[&[0, 9], no_properties(version), &filter, &[options]],
    )
}

/// An UNSUBSCRIBE for one filter.
pub(crate) fn unsubscribe(version: Version, filter: impl AsRef<[u8]>) -> Vec<u8> {
    packet(0xA2, &[&[0, 9], no_properties(version), &text(filter)])
}
