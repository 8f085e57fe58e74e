//! Packets in words: the text of a scenario to packets, and received packets to the same text.

use std::borrow::Cow;
use std::fmt;

use tidewire_codec::{
    Ack, Auth, Connect, Disconnect, Packet, PacketId, PacketType, Properties, Property, Publish,
    Qos, ReasonCode, RetainHandling, Subscribe, Subscription, SubscriptionOptions, Unsubscribe,
    Version, Will, wire,
};

/// One word of a line: `topic`, `"quoted"`, `key=value`, `key="quoted"`; `"x"*3` is `"xxx"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) key: Option<String>,
    pub(crate) value: Vec<u8>,
    pub(crate) quoted: bool,
    /// Letters stood directly before the quotation; they are the value's first.
    prefixed: bool,
}

impl Word {
    pub(crate) fn text(&self) -> String {
        printable(&self.value)
    }

    pub(crate) fn is_plain(&self, text: &str) -> bool {
        self.key.is_none() && !self.quoted && self.value == text.as_bytes()
    }

    fn number<T: std::str::FromStr>(&self) -> Result<T, String> {
        let text = self.text();
        text.parse()
            .map_err(|_| format!("`{text}` is not a number that fits"))
    }

    fn flag(&self) -> Result<bool, String> {
        match &*self.value {
            b"0" => Ok(false),
            b"1" => Ok(true),
            _ => Err(format!("`{}` is neither 0 nor 1", self.text())),
        }
    }

    fn qos(&self) -> Result<Qos, String> {
        match &*self.value {
            b"0" => Ok(Qos::AtMostOnce),
            b"1" => Ok(Qos::AtLeastOnce),
            b"2" => Ok(Qos::ExactlyOnce),
            _ => Err(format!("`{}` is no QoS", self.text())),
        }
    }
}

/// Splits a line into words.
pub(crate) fn split(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start().as_bytes();
    while !rest.is_empty() {
        let (word, after) = next_word(rest)?;
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Ok(words)
}

fn next_word(bytes: &[u8]) -> Result<(Word, &[u8]), String> {
    let end = bytes
        .iter()
        .position(|b| b.is_ascii_whitespace() || *b == b'"')
        .unwrap_or(bytes.len());
    let (bare, mut rest) = bytes.split_at(end);
    let (key, value) = match bare.iter().position(|b| *b == b'=') {
        Some(at) => (
            Some(String::from_utf8_lossy(&bare[..at]).into_owned()),
            &bare[at + 1..],
        ),
        None => (None, bare),
    };
    let mut value = value.to_vec();
    let quoted = rest.first() == Some(&b'"');
    let prefixed = quoted && !value.is_empty();
    if quoted {
        let (mut text, after) = quoted_text(&rest[1..])?;
        rest = after;
        if let Some(factor) = rest.strip_prefix(b"*") {
            let digits = factor.iter().take_while(|b| b.is_ascii_digit()).count();
            let times: usize = String::from_utf8_lossy(&factor[..digits])
                .parse()
                .map_err(|_| "no number after *")?;
            text = text.repeat(times);
            rest = &factor[digits..];
        }
        value.extend_from_slice(&text);
    }
    let word = Word {
        key,
        value,
        quoted,
        prefixed,
    };
    Ok((word, rest))
}

fn quoted_text(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let mut text = Vec::new();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => return Ok((text, &bytes[at..])),
            b'\\' if bytes.get(at) == Some(&b'x') => {
                let digits = bytes.get(at + 1..at + 3).ok_or("\\x without two digits")?;
                text.push(hex_byte(&String::from_utf8_lossy(digits))?);
                at += 3;
            }
            b'\\' => {
                text.extend(bytes.get(at));
                at += 1;
            }
            byte => text.push(*byte),
        }
    }
    Err("a quotation without its end".into())
}

fn hex_byte(digits: &str) -> Result<u8, String> {
    u8::from_str_radix(digits, 16).map_err(|_| format!("`{digits}` is not a byte in hex"))
}

/// Bytes written as `30 05`, `"text"`, `s"text"` (behind its two-byte length) and `len` (the length of all that follows,
/// as a fixed header has it).
pub(crate) fn hex(words: &[Word]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    for (at, word) in words.iter().enumerate() {
        match word.value.strip_prefix(b"s") {
            Some(text) if word.prefixed => {
                let length = u16::try_from(text.len()).map_err(|_| "too long")?;
                bytes.extend(length.to_be_bytes());
                bytes.extend_from_slice(text);
            }
            _ if word.quoted => bytes.extend_from_slice(&word.value),
            _ if word.is_plain("len") => {
                let rest = hex(&words[at + 1..])?;
                let length = u32::try_from(rest.len()).map_err(|_| "too long")?;
                wire::put_varint(&mut bytes, length);
                bytes.extend(rest);
                return Ok(bytes);
            }
            _ => {
                let text = word.text();
                for at in (0..text.len()).step_by(2) {
                    bytes.push(hex_byte(text.get(at..at + 2).ok_or("half a byte in hex")?)?);
                }
            }
        }
    }
    Ok(bytes)
}

/// Bytes as text, with what cannot be printed as `\xNN`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() {
                c.to_string()
                    .bytes()
                    .for_each(|b| out.push_str(&format!("\\x{b:02x}")));
            } else {
                out.push(c);
            }
        }
        chunk
            .invalid()
            .iter()
            .for_each(|b| out.push_str(&format!("\\x{b:02x}")));
    }
    out
}

/// A packet's name and what it says, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) name: &'static str,
    pub(crate) fields: Vec<(&'static str, String)>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        for (key, value) in &self.fields {
            let short: String = value.chars().take(60).collect();
            let more = if short.len() < value.len() {
                format!("... ({} bytes)", value.len())
            } else {
                String::new()
            };
            write!(f, " {key}=\"{short}{more}\"")?;
        }
        Ok(())
    }
}

/// What a received packet says.
pub(crate) fn say(packet: &Packet<'_>) -> Said {
    let mut fields: Vec<(&'static str, String)> = Vec::new();
    let mut put = |key, value: String| fields.push((key, value));
    let name = packet.packet_type().name();
    match packet {
        Packet::ConnAck(p) => {
            put("reason", reason_word(p.reason));
            put("session-present", u8::from(p.session_present).to_string());
            say_properties(&p.properties, &mut fields);
        }
        Packet::Publish(p) => {
            put("topic", printable(p.topic.as_bytes()));
            put("qos", (p.qos as u8).to_string());
            put("dup", u8::from(p.dup).to_string());
            put("retain", u8::from(p.retain).to_string());
            if let Some(id) = p.packet_id {
                put("id", id.get().to_string());
            }
            put("payload", printable(&p.payload));
            say_properties(&p.properties, &mut fields);
        }
        Packet::PubAck(p) | Packet::PubRec(p) | Packet::PubRel(p) | Packet::PubComp(p) => {
            put("id", p.packet_id.get().to_string());
            put("reason", reason_word(p.reason));
            say_properties(&p.properties, &mut fields);
        }
        Packet::SubAck(p) => {
            put("id", p.packet_id.get().to_string());
            put("codes", codes(&p.reasons));
            say_properties(&p.properties, &mut fields);
        }
        Packet::UnsubAck(p) => {
            put("id", p.packet_id.get().to_string());
            put("codes", codes(&p.reasons));
            say_properties(&p.properties, &mut fields);
        }
        Packet::Disconnect(p) => {
            put("reason", reason_word(p.reason));
            say_properties(&p.properties, &mut fields);
        }
        Packet::Auth(p) => {
            put("reason", reason_word(p.reason));
            say_properties(&p.properties, &mut fields);
        }
        _ => {}
    }
    Said { name, fields }
}

fn codes(reasons: &[ReasonCode]) -> String {
    let words: Vec<String> = reasons.iter().map(|reason| reason_word(*reason)).collect();
    words.join(",")
}

pub(crate) fn reason_word(reason: ReasonCode) -> String {
    reason.name().to_lowercase().replace(' ', "-")
}

/// A reason by its name, its number in hex, or a granted QoS.
pub(crate) fn reason(text: &str) -> Result<ReasonCode, String> {
    let by_name = || {
        ReasonCode::ALL
            .iter()
            .copied()
            .find(|reason| reason_word(*reason) == text)
    };
    let number = match text {
        "0" => Some(0),
        "1" => Some(1),
        "2" => Some(2),
        "failure" => Some(0x80),
        _ => text
            .strip_prefix("0x")
            .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
    };
    number
        .and_then(ReasonCode::from_u8)
        .or_else(by_name)
        .ok_or_else(|| format!("`{text}` is no reason code"))
}

fn say_properties(properties: &Properties<'_>, fields: &mut Vec<(&'static str, String)>) {
    let mut identifiers: Vec<u32> = Vec::new();
    let mut users: Vec<String> = Vec::new();
    for property in properties.iter() {
        match property {
            Property::SubscriptionIdentifier(id) => identifiers.push(id),
            Property::UserProperty(name, value) => users.push(format!("{name}:{value}")),
            other => fields.push((key_of(&other), value_of(&other))),
        }
    }
    if !identifiers.is_empty() {
        identifiers.sort_unstable();
        let words: Vec<String> = identifiers.iter().map(u32::to_string).collect();
        fields.push(("sub-id", words.join(",")));
    }
    if !users.is_empty() {
        fields.push(("user", users.join(",")));
    }
}

/// The properties' words, each with how to make one and how to say one.
macro_rules! property_words {
    ($($word:literal $name:ident $kind:ident;)*) => {
        fn key_of(property: &Property<'_>) -> &'static str {
            match property {
                $(Property::$name(_) => $word,)*
                Property::UserProperty(..) => "user",
            }
        }

        fn value_of(property: &Property<'_>) -> String {
            match property {
                $(Property::$name(value) => say_value!($kind value),)*
                Property::UserProperty(name, value) => format!("{name}:{value}"),
            }
        }

        /// Adds a property, if the word is one.
        fn push_property(properties: &mut Properties<'static>, word: &Word) -> Result<bool, String> {
            let text = String::from_utf8_lossy(&word.value).into_owned();
            let pushed = match word.key.as_deref() {
                $(Some($word) => properties.push(Property::$name(make_value!($kind word text))),)*
                Some("user") => {
                    let (name, value) = text.split_once(':').ok_or("a user property is name:value")?;
                    properties.push(Property::UserProperty(name, value))
                }
                _ => return Ok(false),
            };
            pushed.map_err(|error| error.to_string())?;
            Ok(true)
        }
    };
}

macro_rules! say_value {
    (number $value:ident) => {
        $value.to_string()
    };
    (text $value:ident) => {
        printable($value.as_bytes())
    };
    (bytes $value:ident) => {
        printable($value)
    };
}

macro_rules! make_value {
    (number $word:ident $text:ident) => {
        $word.number()?
    };
    (text $word:ident $text:ident) => {
        &$text
    };
    (bytes $word:ident $text:ident) => {
        &$word.value
    };
}

property_words! {
    "format" PayloadFormatIndicator number;
    "expiry" MessageExpiryInterval number;
    "content-type" ContentType text;
    "response-topic" ResponseTopic text;
    "correlation" CorrelationData bytes;
    "sub-id" SubscriptionIdentifier number;
    "session-expiry" SessionExpiryInterval number;
    "assigned-id" AssignedClientIdentifier text;
    "server-keep-alive" ServerKeepAlive number;
    "auth-method" AuthenticationMethod text;
    "auth-data" AuthenticationData bytes;
    "problem-info" RequestProblemInformation number;
    "delay" WillDelayInterval number;
    "response-request" RequestResponseInformation number;
    "response-info" ResponseInformation text;
    "server-reference" ServerReference text;
    "reason-string" ReasonString text;
    "receive-max" ReceiveMaximum number;
    "alias-max" TopicAliasMaximum number;
    "alias" TopicAlias number;
    "max-qos" MaximumQos number;
    "retain-available" RetainAvailable number;
    "max-packet" MaximumPacketSize number;
    "wildcard-available" WildcardSubscriptionAvailable number;
    "sub-id-available" SubscriptionIdentifierAvailable number;
    "shared-available" SharedSubscriptionAvailable number;
}

/// The packet that words describe.
pub(crate) fn packet(name: &str, words: &[Word]) -> Result<Packet<'static>, String> {
    Ok(match name {
        "PUBLISH" => Packet::Publish(publish(words)?),
        "PUBACK" => Packet::PubAck(ack(words)?),
        "PUBREC" => Packet::PubRec(ack(words)?),
        "PUBREL" => Packet::PubRel(ack(words)?),
        "PUBCOMP" => Packet::PubComp(ack(words)?),
        "SUBSCRIBE" => Packet::Subscribe(subscribe(words)?),
        "UNSUBSCRIBE" => Packet::Unsubscribe(unsubscribe(words)?),
        "PINGREQ" => Packet::PingReq,
        "PINGRESP" => Packet::PingResp,
        "DISCONNECT" => {
            let (reason, properties) = reason_and_properties(words)?;
            Packet::Disconnect(Disconnect { reason, properties })
        }
        "AUTH" => {
            let (reason, properties) = reason_and_properties(words)?;
            Packet::Auth(Auth { reason, properties })
        }
        _ => return Err(format!("no packet called {name} can be sent in words")),
    })
}

fn unknown(word: &Word) -> String {
    format!(
        "`{}{}` has no place here",
        word.key
            .as_deref()
            .map_or(String::new(), |key| format!("{key}=")),
        word.text()
    )
}

fn packet_id(word: &Word) -> Result<PacketId, String> {
    PacketId::new(word.number()?).ok_or_else(|| "packet identifiers are not 0".into())
}

fn publish(words: &[Word]) -> Result<Publish<'static>, String> {
    let mut publish = Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: Cow::Borrowed(""),
        packet_id: None,
        properties: Properties::EMPTY,
        payload: Cow::Borrowed(&[]),
    };
    for word in words {
        match word.key.as_deref() {
            None if word.quoted => publish.payload = Cow::Owned(word.value.clone()),
            None | Some("topic") => {
                publish.topic = String::from_utf8_lossy(&word.value).into_owned().into();
            }
            Some("qos") => publish.qos = word.qos()?,
            Some("dup") => publish.dup = word.flag()?,
            Some("retain") => publish.retain = word.flag()?,
            Some("id") => publish.packet_id = Some(packet_id(word)?),
            _ if push_property(&mut publish.properties, word)? => {}
            _ => return Err(unknown(word)),
        }
    }
    Ok(publish)
}

fn ack(words: &[Word]) -> Result<Ack<'static>, String> {
    let id = words
        .iter()
        .find(|word| word.key.as_deref() == Some("id"))
        .ok_or("id= is missing")?;
    let rest: Vec<Word> = words
        .iter()
        .filter(|word| word.key.as_deref() != Some("id"))
        .cloned()
        .collect();
    let (reason, properties) = reason_and_properties(&rest)?;
    Ok(Ack {
        packet_id: packet_id(id)?,
        reason,
        properties,
    })
}

fn reason_and_properties(words: &[Word]) -> Result<(ReasonCode, Properties<'static>), String> {
    let mut code = ReasonCode::Success;
    let mut properties = Properties::EMPTY;
    for word in words {
        if word.key.is_none() {
            code = reason(&word.text())?;
        } else if !push_property(&mut properties, word)? {
            return Err(unknown(word));
        }
    }
    Ok((code, properties))
}

fn subscribe(words: &[Word]) -> Result<Subscribe<'static>, String> {
    let mut subscribe = Subscribe {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        filters: Vec::new(),
    };
    for word in words {
        let last = subscribe.filters.last_mut().map(|last| &mut last.options);
        match (word.key.as_deref(), last) {
            (Some("id"), _) => subscribe.packet_id = packet_id(word)?,
            (Some("qos"), Some(last)) => last.qos = word.qos()?,
            (Some("no-local"), Some(last)) => last.no_local = word.flag()?,
            (Some("as-published"), Some(last)) => last.retain_as_published = word.flag()?,
            (Some("handling"), Some(last)) => {
                last.retain_handling = match &*word.value {
                    b"0" => RetainHandling::SendAlways,
                    b"1" => RetainHandling::SendIfNew,
                    _ => RetainHandling::DoNotSend,
                }
            }
            (None, _) => subscribe.filters.push(Subscription {
                filter: String::from_utf8_lossy(&word.value).into_owned().into(),
                options: SubscriptionOptions::default(),
            }),
            _ if push_property(&mut subscribe.properties, word)? => {}
            _ => return Err(unknown(word)),
        }
    }
    Ok(subscribe)
}

fn unsubscribe(words: &[Word]) -> Result<Unsubscribe<'static>, String> {
    let mut unsubscribe = Unsubscribe {
        packet_id: PacketId::MIN,
        properties: Properties::EMPTY,
        filters: Vec::new(),
    };
    for word in words {
        match word.key.as_deref() {
            Some("id") => unsubscribe.packet_id = packet_id(word)?,
            None => unsubscribe
                .filters
                .push(String::from_utf8_lossy(&word.value).into_owned().into()),
            _ if push_property(&mut unsubscribe.properties, word)? => {}
            _ => return Err(unknown(word)),
        }
    }
    Ok(unsubscribe)
}

/// CONNECT: `v5 id=a clean-start=0 keep-alive=30 username=u password=p will=topic will-payload="x" will-qos=1 ...`.
pub(crate) fn connect(client: &str, words: &[Word]) -> Result<Connect<'static>, String> {
    let mut connect = Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_secs: 0,
        properties: Properties::EMPTY,
        client_id: client.to_owned().into(),
        will: None,
        username: None,
        password: None,
    };
    for word in words {
        let text = String::from_utf8_lossy(&word.value).into_owned();
        match word.key.as_deref() {
            None => connect.version = version(&text)?,
            Some("clean-start") => connect.clean_start = word.flag()?,
            Some("keep-alive") => connect.keep_alive_secs = word.number()?,
            Some("id") => connect.client_id = text.into(),
            Some("username") => connect.username = Some(text.into()),
            Some("password") => connect.password = Some(Cow::Owned(word.value.clone())),
            Some("will") => {
                connect.will = Some(Will {
                    qos: Qos::AtMostOnce,
                    retain: false,
                    properties: Properties::EMPTY,
                    topic: text.into(),
                    payload: Cow::Borrowed(&[]),
                });
            }
            Some(key) if key.starts_with("will-") => {
                let word = Word {
                    key: Some(key["will-".len()..].to_owned()),
                    ..word.clone()
                };
                will_word(connect.will.as_mut().ok_or("will= comes first")?, &word)?;
            }
            _ if push_property(&mut connect.properties, word)? => {}
            _ => return Err(unknown(word)),
        }
    }
    Ok(connect)
}

fn will_word(will: &mut Will<'static>, word: &Word) -> Result<(), String> {
    match word.key.as_deref() {
        Some("payload") => will.payload = Cow::Owned(word.value.clone()),
        Some("qos") => will.qos = word.qos()?,
        Some("retain") => will.retain = word.flag()?,
        _ if push_property(&mut will.properties, word)? => {}
        _ => return Err(unknown(word)),
    }
    Ok(())
}

fn version(text: &str) -> Result<Version, String> {
    match text {
        "v31" => Ok(Version::V31),
        "v311" => Ok(Version::V311),
        "v5" => Ok(Version::V5),
        _ => Err(format!("`{text}` is no version: v31, v311, v5")),
    }
}

/// Whether a packet is the one that words expect; else what differs.
///
/// `key=*`: there, whatever it says. `key=none`: not there. `key=a|b`: either. What is not mentioned must have its
/// default, but for packet identifiers of PUBLISH, reason strings, and the properties of CONNACK.
pub(crate) fn compare(name: &str, words: &[Word], said: &Said) -> Result<(), String> {
    if name != said.name {
        return Err(format!("expected {name}"));
    }
    let expected = positions(name, words)?;
    for (key, value) in &said.fields {
        if !expected.iter().any(|word| word.key.as_deref() == Some(key))
            && !is_default(name, key, value)
        {
            return Err(format!("{key}=\"{value}\" was not expected"));
        }
    }
    for word in &expected {
        let key = word.key.as_deref().unwrap_or_default();
        let came = said
            .fields
            .iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value.as_str());
        if !agrees(word, came) {
            let came = came.map_or("nothing".to_owned(), |value| {
                format!("\"{}\"", value.chars().take(80).collect::<String>())
            });
            return Err(format!("{key} should be \"{}\" and is {came}", word.text()));
        }
    }
    Ok(())
}

fn agrees(word: &Word, came: Option<&str>) -> bool {
    let wanted = word.text();
    match came {
        _ if !word.quoted && wanted == "none" => came.is_none(),
        Some(_) if !word.quoted && wanted == "*" => true,
        Some(came) if !word.quoted => {
            wanted.split('|').any(|wanted| wanted == came) || wanted == came
        }
        Some(came) => wanted == came,
        None => false,
    }
}

fn is_default(name: &str, key: &str, value: &str) -> bool {
    match key {
        "reason-string" => true,
        "reason" => value == "success",
        "qos" | "dup" | "retain" | "session-present" => value == "0",
        "payload" | "topic" => value.is_empty(),
        "id" => name == "PUBLISH",
        _ => name == "CONNACK",
    }
}

/// Gives words without a key the key of their place.
fn positions(name: &str, words: &[Word]) -> Result<Vec<Word>, String> {
    let mut expected = Vec::new();
    let mut list = Vec::new();
    for word in words {
        let key = match (name, &word.key) {
            (_, Some(_)) => None,
            ("PUBLISH", None) if word.quoted => Some("payload"),
            ("PUBLISH", None) => Some("topic"),
            ("SUBACK" | "UNSUBACK", None) => {
                list.push(reason_word(reason(&word.text())?));
                continue;
            }
            (_, None) => Some("reason"),
        };
        let mut word = word.clone();
        if let Some(key) = key {
            word.key = Some(key.to_owned());
        }
        if word.key.as_deref() == Some("reason") && word.value != b"*" {
            let names: Result<Vec<String>, String> = word
                .text()
                .split('|')
                .map(|each| reason(each).map(reason_word))
                .collect();
            word.value = names?.join("|").into_bytes();
        }
        expected.push(word);
    }
    if matches!(name, "SUBACK" | "UNSUBACK") {
        expected.push(Word {
            key: Some("codes".into()),
            value: list.join(",").into_bytes(),
            quoted: true,
            prefixed: false,
        });
    }
    Ok(expected)
}

/// The type of a packet by the name that the specification gives it.
pub(crate) fn is_packet_name(name: &str) -> bool {
    (1..=15u8)
        .filter_map(|kind| PacketType::from_first_byte(kind << 4))
        .any(|kind| kind.name() == name)
}
