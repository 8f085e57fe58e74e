//! A value between MQTT, Lua and JSON.

#[cfg(any(feature = "http", test))]
use base64::{Engine as _, engine::general_purpose::STANDARD};
#[cfg(any(feature = "http", test))]
use serde_json::{Map, Value as Json};
use std::borrow::Cow;

/// A value. Maps keep their order.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum View<'a> {
    Null,
    Flag(bool),
    Number(i64),
    /// A number with a fraction; nothing that handlers say has one, but it is told as what it is.
    Fraction(f64),
    Text(Cow<'a, str>),
    /// Bytes that need not be UTF-8.
    Bytes(Cow<'a, [u8]>),
    List(Vec<View<'a>>),
    Map(Vec<(Cow<'a, str>, View<'a>)>),
}

impl<'a> View<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub(crate) fn bytes(bytes: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }

    /// Text or nothing.
    pub(crate) fn maybe(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::text)
    }

    /// The same, with everything its own.
    pub(crate) fn into_owned(self) -> View<'static> {
        match self {
            Self::Null => View::Null,
            Self::Flag(flag) => View::Flag(flag),
            Self::Number(number) => View::Number(number),
            Self::Fraction(number) => View::Fraction(number),
            Self::Text(text) => View::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => View::Bytes(Cow::Owned(bytes.into_owned())),
            Self::List(items) => View::List(items.into_iter().map(View::into_owned).collect()),
            Self::Map(members) => {
                let member = |(key, value): (Cow<'_, str>, View<'_>)| {
                    (Cow::Owned(key.into_owned()), value.into_owned())
                };
                View::Map(members.into_iter().map(member).collect())
            }
        }
    }

    /// What a person calls it.
    pub(crate) fn noun(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "true or false",
            Self::Number(_) | Self::Fraction(_) => "a number",
            Self::Text(_) | Self::Bytes(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a table",
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    pub(crate) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn as_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    #[cfg(any(feature = "http", test))]
    /// The value as JSON. Bytes that are not UTF-8 are base64: under the key with `_base64` behind it in a map.
    pub(crate) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Flag(flag) => Json::Bool(*flag),
            Self::Number(number) => Json::Number((*number).into()),
            Self::Fraction(number) => Json::from(*number),
            Self::Text(text) => Json::String(text.to_string()),
            Self::Bytes(bytes) => Json::String(match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => STANDARD.encode(bytes),
            }),
            Self::List(items) => Json::Array(items.iter().map(View::to_json).collect()),
            Self::Map(members) => Json::Object(members_to_json(members)),
        }
    }

    #[cfg(any(feature = "http", test))]
    /// A value of JSON. A member `x_base64` becomes the bytes of `x`.
    ///
    /// # Errors
    /// A sentence about base64 that is none.
    pub(crate) fn from_json(json: Json) -> Result<View<'static>, String> {
        Ok(match json {
            Json::Null => View::Null,
            Json::Bool(flag) => View::Flag(flag),
            Json::Number(number) => match number.as_i64() {
                Some(whole) => View::Number(whole),
                None => View::Fraction(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => View::Text(Cow::Owned(text)),
            Json::Array(items) => {
                let items = items.into_iter().map(View::from_json);
                View::List(items.collect::<Result<_, _>>()?)
            }
            Json::Object(members) => {
                let members = members.into_iter().map(member_from_json);
                View::Map(members.collect::<Result<_, _>>()?)
            }
        })
    }
}

#[cfg(any(feature = "http", test))]
pub(crate) fn members_to_json(members: &[(Cow<'_, str>, View<'_>)]) -> Map<String, Json> {
    let member = |(key, value): &(Cow<'_, str>, View<'_>)| match value {
        View::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => {
            (format!("{key}_base64"), value.to_json())
        }
        _ => (key.to_string(), value.to_json()),
    };
    members.iter().map(member).collect()
}

#[cfg(any(feature = "http", test))]
fn member_from_json(
    (key, value): (String, Json),
) -> Result<(Cow<'static, str>, View<'static>), String> {
    let encoded = match (&value, key.strip_suffix("_base64")) {
        (Json::String(text), Some(name)) => Some((name.to_owned(), text)),
        _ => None,
    };
    match encoded {
        Some((name, text)) => match STANDARD.decode(text) {
            Ok(bytes) => Ok((Cow::Owned(name), View::Bytes(Cow::Owned(bytes)))),
            Err(error) => Err(format!("`{key}` is not base64: {error}")),
        },
        None => Ok((Cow::Owned(key), View::from_json(value)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::View;
    use serde_json::json;

    #[test]
    fn bytes_go_to_json_and_back() {
        let map = View::Map(vec![
            ("text".into(), View::bytes(b"abc")),
            ("raw".into(), View::bytes(b"\xFF\x00")),
        ]);
        let as_json = map.to_json();
        assert_eq!(as_json, json!({ "text": "abc", "raw_base64": "/wA=" }));
        let View::Map(again) = View::from_json(as_json).unwrap() else {
            panic!("a map")
        };
        let raw = again.iter().find(|(key, _)| key == "raw").unwrap();
        assert_eq!(raw.1.as_bytes(), Some(&b"\xFF\x00"[..]));
        let wrong = View::from_json(json!({ "payload_base64": "?" })).unwrap_err();
        assert!(
            wrong.starts_with("`payload_base64` is not base64"),
            "{wrong}"
        );
    }
}
