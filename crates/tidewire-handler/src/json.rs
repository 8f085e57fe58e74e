//! Packets as one line of JSON with keys in a fixed order, for handlers in other languages and for people.
//!
//! | packet | keys |
//! |---|---|
//! | CONNECT | `type`, `protocol_name`, `protocol_level`, `clean_session`, `will` (`qos`, `retain`, `topic`, `message`, `properties`), `user_name`, `password`, `keep_alive`, `client_id`, `properties` |
//! | CONNACK | `type`, `session_present`, `code`, `properties` |
//! | PUBLISH | `type`, `dup`, `qos`, `retain`, `topic`, `message_id`, `message`, `properties` |
//! | PUBACK, PUBREC, PUBREL, PUBCOMP | `type`, `message_id`, `code`, `properties` |
//! | SUBSCRIBE | `type`, `message_id`, `topics` (of each: `filter`, `qos`, and in MQTT 5 `no_local`, `retain_as_published`, `retain_handling`), `properties` |
//! | SUBACK, UNSUBACK | `type`, `message_id`, `codes`, `properties` |
//! | UNSUBSCRIBE | `type`, `message_id`, `topics`, `properties` |
//! | PINGREQ, PINGRESP | `type` |
//! | DISCONNECT, AUTH | `type`, `code`, `properties` |
//!
//! `type` is the packet's number on the wire, flags are 0 or 1, and `/` is written `\/`. What is absent in the packet is
//! absent here: `will` without a will, `message_id` at QoS 0, `properties` where there are none; but `user_name` and
//! `password` are empty texts then. Bytes that are no UTF-8 come in Base64 under the key with `_base64` behind it.
//! Properties are named as the specification does, in lower case with `_`; user properties are a list of pairs, as names may repeat.
//!
//! A CONNECT's line has its password in it: it is for programs that decide, not for logs.

use std::fmt::Write as _;
use tidewire_codec::{
    Connect, Packet, Properties, Property, Publish, ReasonCode, Subscribe, Version, Will,
};

/// The packet as a line. `version` is the connection's; a CONNECT's own counts for itself.
#[must_use]
pub fn packet(packet: &Packet<'_>, version: Version) -> String {
    let mut object = Object::new();
    object.number("type", packet.packet_type() as u32);
    match packet {
        Packet::Connect(connect) => put_connect(&mut object, connect),
        Packet::ConnAck(connack) => {
            object.flag("session_present", connack.session_present);
            object.code(connack.reason, &connack.properties);
        }
        Packet::Publish(publish) => put_publish(&mut object, publish),
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            object.number("message_id", ack.packet_id.get().into());
            object.code(ack.reason, &ack.properties);
        }
        Packet::Subscribe(subscribe) => put_subscribe(&mut object, subscribe, version),
        Packet::SubAck(suback) => {
            object.number("message_id", suback.packet_id.get().into());
            object.codes(&suback.reasons, &suback.properties);
        }
        Packet::Unsubscribe(unsubscribe) => {
            object.number("message_id", unsubscribe.packet_id.get().into());
            object.list("topics", &unsubscribe.filters, |out, filter| {
                put_text(out, filter);
            });
            object.properties(&unsubscribe.properties);
        }
        Packet::UnsubAck(unsuback) => {
            object.number("message_id", unsuback.packet_id.get().into());
            object.codes(&unsuback.reasons, &unsuback.properties);
        }
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(disconnect) => object.code(disconnect.reason, &disconnect.properties),
        Packet::Auth(auth) => object.code(auth.reason, &auth.properties),
    }
    object.end()
}

/// A CONNECT as a line.
#[must_use]
pub fn connect(connect: &Connect<'_>) -> String {
    let mut object = Object::new();
    object.number("type", tidewire_codec::PacketType::Connect as u32);
    put_connect(&mut object, connect);
    object.end()
}

fn put_connect(object: &mut Object, connect: &Connect<'_>) {
    object.text("protocol_name", connect.version.protocol_name());
    object.number("protocol_level", connect.version.level().into());
    object.flag("clean_session", connect.clean_start);
    if let Some(will) = &connect.will {
        object.raw("will", &will_line(will));
    }
    object.text("user_name", connect.username.as_deref().unwrap_or(""));
    object.bytes("password", connect.password.as_deref().unwrap_or(b""));
    object.number("keep_alive", connect.keep_alive_secs.into());
    object.text("client_id", &connect.client_id);
    object.properties(&connect.properties);
}

fn will_line(will: &Will<'_>) -> String {
    let mut object = Object::new();
    object.number("qos", will.qos as u32);
    object.flag("retain", will.retain);
    object.text("topic", &will.topic);
    object.bytes("message", &will.payload);
    object.properties(&will.properties);
    object.end()
}

fn put_publish(object: &mut Object, publish: &Publish<'_>) {
    object.flag("dup", publish.dup);
    object.number("qos", publish.qos as u32);
    object.flag("retain", publish.retain);
    object.text("topic", &publish.topic);
    if let Some(id) = publish.packet_id {
        object.number("message_id", id.get().into());
    }
    object.bytes("message", &publish.payload);
    object.properties(&publish.properties);
}

fn put_subscribe(object: &mut Object, subscribe: &Subscribe<'_>, version: Version) {
    object.number("message_id", subscribe.packet_id.get().into());
    object.list("topics", &subscribe.filters, |out, subscription| {
        let options = subscription.options;
        let mut object = Object::new();
        object.text("filter", &subscription.filter);
        object.number("qos", options.qos as u32);
        if version.is_v5() {
            object.flag("no_local", options.no_local);
            object.flag("retain_as_published", options.retain_as_published);
            object.number("retain_handling", options.retain_handling as u32);
        }
        out.push_str(&object.end());
    });
    object.properties(&subscribe.properties);
}

/// An object that is being written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".into())
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }

    fn key(&mut self, key: &str) -> &mut String {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        put_text(&mut self.0, key);
        self.0.push(':');
        &mut self.0
    }

    fn raw(&mut self, key: &str, json: &str) {
        self.key(key).push_str(json);
    }

    fn number(&mut self, key: &str, number: u32) {
        // Writing into a String cannot fail.
        let _ = write!(self.key(key), "{number}");
    }

    fn flag(&mut self, key: &str, flag: bool) {
        self.number(key, flag.into());
    }

    fn text(&mut self, key: &str, text: &str) {
        put_text(self.key(key), text);
    }

    fn bytes(&mut self, key: &str, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(key, text),
            Err(_) => self.text(&format!("{key}_base64"), &base64(bytes)),
        }
    }

    fn list<T>(&mut self, key: &str, items: &[T], mut put: impl FnMut(&mut String, &T)) {
        let out = self.key(key);
        out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            put(out, item);
        }
        out.push(']');
    }

    fn code(&mut self, reason: ReasonCode, properties: &Properties<'_>) {
        self.number("code", reason as u32);
        self.properties(properties);
    }

    fn codes(&mut self, reasons: &[ReasonCode], properties: &Properties<'_>) {
        self.list("codes", reasons, |out, reason| {
            let _ = write!(out, "{}", *reason as u8);
        });
        self.properties(properties);
    }

    fn properties(&mut self, properties: &Properties<'_>) {
        if properties.is_empty() {
            return;
        }
        let mut object = Object::new();
        let subscriptions: Vec<u32> = properties.subscription_identifiers().collect();
        let users: Vec<(&str, &str)> = properties.user_properties().collect();
        for property in properties.iter() {
            object.property(property);
        }
        if !subscriptions.is_empty() {
            object.list("subscription_identifier", &subscriptions, |out, id| {
                let _ = write!(out, "{id}");
            });
        }
        if !users.is_empty() {
            object.list("user_property", &users, |out, (name, value)| {
                out.push('[');
                put_text(out, name);
                out.push(',');
                put_text(out, value);
                out.push(']');
            });
        }
        self.raw("properties", &object.end());
    }

    fn property(&mut self, property: Property<'_>) {
        let key = snake_case(property.id().name());
        match property {
            // They may repeat, and are lists.
            Property::SubscriptionIdentifier(_) | Property::UserProperty(..) => {}
            Property::PayloadFormatIndicator(value)
            | Property::RequestProblemInformation(value)
            | Property::RequestResponseInformation(value)
            | Property::MaximumQos(value)
            | Property::RetainAvailable(value)
            | Property::WildcardSubscriptionAvailable(value)
            | Property::SubscriptionIdentifierAvailable(value)
            | Property::SharedSubscriptionAvailable(value) => self.number(&key, value.into()),
            Property::ServerKeepAlive(value)
            | Property::ReceiveMaximum(value)
            | Property::TopicAliasMaximum(value)
            | Property::TopicAlias(value) => self.number(&key, value.into()),
            Property::MessageExpiryInterval(value)
            | Property::SessionExpiryInterval(value)
            | Property::WillDelayInterval(value)
            | Property::MaximumPacketSize(value) => self.number(&key, value),
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientIdentifier(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => self.text(&key, text),
            Property::CorrelationData(bytes) | Property::AuthenticationData(bytes) => {
                self.bytes(&key, bytes);
            }
        }
    }
}

fn snake_case(pascal: &str) -> String {
    let mut snake = String::with_capacity(pascal.len() + 4);
    for (at, letter) in pascal.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '/' => out.push_str("\\/"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, at| {
            group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for digit in 0..4 {
            let six_bits = (group >> (18 - 6 * digit)) & 0x3F;
            match DIGITS.get(six_bits as usize) {
                Some(&symbol) if digit <= chunk.len() => out.push(symbol.into()),
                _ => out.push('='),
            }
        }
    }
    out
}
