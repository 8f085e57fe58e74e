//! JSON that is written by the million.

use crate::model::ValueRef;

/// Text in quotes.
pub(crate) fn text(into: &mut Vec<u8>, text: &str) {
    into.push(b'"');
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        into.extend_from_slice(text.as_bytes());
    } else {
        for character in text.chars() {
            escaped(into, character);
        }
    }
    into.push(b'"');
}

fn escaped(into: &mut Vec<u8>, character: char) {
    match character {
        '"' => into.extend_from_slice(b"\\\""),
        '\\' => into.extend_from_slice(b"\\\\"),
        '\n' => into.extend_from_slice(b"\\n"),
        '\r' => into.extend_from_slice(b"\\r"),
        '\t' => into.extend_from_slice(b"\\t"),
        '\0'..='\x1f' => {
            let code = format!("\\u{:04x}", u32::from(character));
            into.extend_from_slice(code.as_bytes());
        }
        _ => into.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// A value; a number that JSON cannot write is null.
pub(crate) fn value(into: &mut Vec<u8>, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => into.extend_from_slice(b"null"),
        ValueRef::Bool(true) => into.extend_from_slice(b"true"),
        ValueRef::Bool(false) => into.extend_from_slice(b"false"),
        ValueRef::Int(number) => integer(into, number),
        ValueRef::Float(number) => float(into, number),
        ValueRef::Text(words) => text(into, words),
    }
}

/// A whole number.
pub(crate) fn integer(into: &mut Vec<u8>, number: i64) {
    into.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The shortest number that reads as this one.
pub(crate) fn float(into: &mut Vec<u8>, number: f64) {
    if !number.is_finite() {
        return into.extend_from_slice(b"null");
    }
    let mut buffer = ryu::Buffer::new();
    let digits = buffer.format_finite(number);
    into.extend_from_slice(digits.strip_suffix(".0").unwrap_or(digits).as_bytes());
}

/// Milliseconds as seconds with their fraction.
pub(crate) fn seconds(into: &mut Vec<u8>, ms: i64) {
    if ms < 0 {
        into.push(b'-');
    }
    let ms = ms.unsigned_abs();
    into.extend_from_slice(itoa::Buffer::new().format(ms / 1000).as_bytes());
    let rest = ms % 1000;
    if rest > 0 {
        into.push(b'.');
        for digit in [rest / 100, rest / 10 % 10, rest % 10] {
            into.push(b'0' + u8::try_from(digit).unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value as Json;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Json {
        let mut bytes = Vec::new();
        write(&mut bytes);
        serde_json::from_slice(&bytes).expect("JSON")
    }

    proptest! {
        #[test]
        fn every_value_is_read_by_another_parser(number: f64, whole: i64, words: String) {
            prop_assert_eq!(written(|into| text(into, &words)), Json::from(words));
            prop_assert_eq!(written(|into| integer(into, whole)), Json::from(whole));
            let mut back = Vec::new();
            float(&mut back, number);
            let back = String::from_utf8(back).expect("text");
            prop_assert!(written(|into| float(into, number)).is_number() == number.is_finite());
            prop_assert_eq!(back.parse().ok(), number.is_finite().then_some(number));
        }
    }

    #[test]
    fn seconds_have_their_milliseconds() {
        for (ms, shown) in [
            (0, "0"),
            (1500, "1.500"),
            (1_732_724_201_007, "1732724201.007"),
            (-20, "-0.020"),
        ] {
            let mut bytes = Vec::new();
            seconds(&mut bytes, ms);
            assert_eq!(String::from_utf8(bytes).expect("text"), shown);
        }
    }
}
