//! JSON as mosquitto's tools write it: members in their order, numbers as C's `%g` has them.

use std::fmt::Write as _;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value that keeps the order of its members, and members of the same name.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(Vec<u8>),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// A text out of bytes; what is behind a zero byte is cut off, as in C.
    pub(crate) fn text(bytes: &[u8]) -> Self {
        let end = bytes.iter().position(|byte| *byte == 0);
        Self::Text(bytes[..end.unwrap_or(bytes.len())].to_vec())
    }

    /// Reads a value.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Without any space.
    pub(crate) fn compact(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(None, &mut out);
        out
    }

    /// Members on lines of their own, indented with tabs.
    pub(crate) fn pretty(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(Some(0), &mut out);
        out
    }

    fn write(&self, depth: Option<usize>, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Number(number) => out.extend_from_slice(general(*number).as_bytes()),
            Self::Text(text) => write_text(text, out),
            Self::List(values) => {
                out.push(b'[');
                for (at, value) in values.iter().enumerate() {
                    if at > 0 {
                        out.extend_from_slice(if depth.is_some() { b", " } else { b"," });
                    }
                    value.write(depth.map(|depth| depth + 1), out);
                }
                out.push(b']');
            }
            Self::Object(members) => write_object(members, depth, out),
        }
    }
}

fn write_object(members: &[(String, Json)], depth: Option<usize>, out: &mut Vec<u8>) {
    let tabs = |count: usize, out: &mut Vec<u8>| out.extend(std::iter::repeat_n(b'\t', count));
    out.push(b'{');
    if depth.is_some() {
        out.push(b'\n');
    }
    for (at, (name, value)) in members.iter().enumerate() {
        if let Some(depth) = depth {
            tabs(depth + 1, out);
        }
        write_text(name.as_bytes(), out);
        out.push(b':');
        if depth.is_some() {
            out.push(b'\t');
        }
        value.write(depth.map(|depth| depth + 1), out);
        if at + 1 < members.len() {
            out.push(b',');
        }
        if depth.is_some() {
            out.push(b'\n');
        }
    }
    if let Some(depth) = depth {
        tabs(depth, out);
    }
    out.push(b'}');
}

fn write_text(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..32 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Fifteen significant digits, or seventeen where fifteen say another number.
fn general(number: f64) -> String {
    if !number.is_finite() {
        return "null".to_owned();
    }
    let short = significant(number, 15);
    let read: f64 = short.parse().unwrap_or(f64::INFINITY);
    let larger = read.abs().max(number.abs());
    if (read - number).abs() <= larger * f64::EPSILON {
        short
    } else {
        significant(number, 17)
    }
}

/// C's `%.{digits}g`.
fn significant(number: f64, digits: usize) -> String {
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    let precision = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= precision {
        let mut text = trimmed(mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(text, "e{sign}{:02}", exponent.abs());
        return text;
    }
    let decimals = usize::try_from(precision - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{number:.decimals$}"))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles here")]
    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles here")]
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.as_bytes().to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(text: &str) -> String {
        let value = Json::parse(text.as_bytes()).expect("JSON");
        String::from_utf8(value.compact()).expect("text")
    }

    #[test]
    fn numbers_are_written_as_c_writes_them() {
        let cases = [
            ("1.50", "1.5"),
            ("1e3", "1000"),
            ("1e20", "1e+20"),
            ("123456789012", "123456789012"),
            ("0.1", "0.1"),
            ("-0.0", "-0"),
            ("3.141592653589793", "3.1415926535897931"),
            ("0.00001", "1e-05"),
        ];
        for (given, written) in cases {
            assert_eq!(again(given), written, "{given}");
        }
    }

    #[test]
    fn members_keep_their_order_and_their_repetitions() {
        assert_eq!(
            again(r#"{"b": 1, "a": [ ], "b": {} }"#),
            r#"{"b":1,"a":[],"b":{}}"#
        );
    }

    #[test]
    fn text_is_escaped_no_more_than_needed() {
        assert_eq!(again(r#""\u00e9\/\u0001\n""#), "\"é/\\u0001\\n\"");
    }
}
