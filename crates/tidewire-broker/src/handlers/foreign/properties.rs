//! The properties of MQTT 5.0 as views, and changes to them.

use super::view::View;
use std::borrow::Cow;
use tidewire_codec::{EncodeError, Properties, Property, PropertyId};

/// The properties by their names in lower case: single values, lists for those that may repeat.
pub(crate) fn view<'a>(properties: &'a Properties<'_>) -> View<'a> {
    let mut members = Vec::new();
    let mut users = Vec::new();
    let mut subscriptions = Vec::new();
    for property in properties.iter() {
        match property {
            Property::UserProperty(name, value) => users.push(View::List(vec![
                View::Text(Cow::Owned(name.to_owned())),
                View::Text(Cow::Owned(value.to_owned())),
            ])),
            Property::SubscriptionIdentifier(number) => {
                subscriptions.push(View::Number(number.into()));
            }
            single => members.push((Cow::Owned(name(single.id())), value(&single))),
        }
    }
    for (id, list) in [
        (PropertyId::SubscriptionIdentifier, subscriptions),
        (PropertyId::UserProperty, users),
    ] {
        if !list.is_empty() {
            members.push((Cow::Owned(name(id)), View::List(list)));
        }
    }
    View::Map(members)
}

/// The properties with changes: a value takes the place of the one of its name, `false` takes it away, user properties are added.
///
/// # Errors
/// A sentence about a property that does not exist, that handlers do not set, or that has a wrong value.
pub(crate) fn with_changes(
    before: &Properties<'_>,
    changes: &View<'_>,
) -> Result<Properties<'static>, String> {
    let changes = match changes {
        View::Map(members) => members.as_slice(),
        View::List(items) if items.is_empty() => &[],
        other => return Err(format!("`properties` is a table, not {}", other.noun())),
    };
    let mut named = Vec::with_capacity(changes.len());
    for (key, change) in changes {
        named.push((id_of(key)?, change));
    }
    let mut properties = Properties::EMPTY;
    for property in before.iter() {
        let change = named.iter().find(|(id, _)| *id == property.id());
        let goes = change.is_some_and(|(id, change)| {
            *id != PropertyId::UserProperty || **change == View::Flag(false)
        });
        if !goes {
            push(&mut properties, property)?;
        }
    }
    for (id, change) in named {
        match change {
            View::Flag(false) => {}
            change if id == PropertyId::UserProperty => add_users(&mut properties, change)?,
            change => push(&mut properties, property(id, change)?)?,
        }
    }
    Ok(properties)
}

fn add_users(properties: &mut Properties<'static>, added: &View<'_>) -> Result<(), String> {
    let wrong = || "`user_property` is a table of texts, or a list of pairs of texts".to_owned();
    let mut add = |name: Option<&str>, value: Option<&str>| match (name, value) {
        (Some(name), Some(value)) => push(properties, Property::UserProperty(name, value)),
        _ => Err(wrong()),
    };
    match added {
        View::Map(members) => {
            for (name, value) in members {
                add(Some(name), value.as_text())?;
            }
        }
        View::List(pairs) => {
            for pair in pairs {
                match pair {
                    View::List(pair) if pair.len() == 2 => {
                        add(pair[0].as_text(), pair[1].as_text())?;
                    }
                    _ => return Err(wrong()),
                }
            }
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

fn push(properties: &mut Properties<'static>, property: Property<'_>) -> Result<(), String> {
    let id = property.id();
    let pushed = properties.push(property);
    pushed.map_err(|error: EncodeError| format!("property `{}`: {error}", name(id)))
}

fn id_of(key: &str) -> Result<PropertyId, String> {
    let known = PropertyId::ALL.iter().find(|id| name(**id) == key);
    known.copied().ok_or_else(|| {
        let names: Vec<String> = PropertyId::ALL.iter().map(|id| name(*id)).collect();
        match super::closest(key, names.iter().map(String::as_str)) {
            Some(meant) => format!("there is no property `{key}`; did you mean `{meant}`?"),
            None => format!("there is no property `{key}`"),
        }
    })
}

fn property<'a>(id: PropertyId, change: &'a View<'_>) -> Result<Property<'a>, String> {
    let wrong =
        |wanted: &str| format!("property `{}` is {wanted}, not {}", name(id), change.noun());
    let text = || change.as_text().ok_or_else(|| wrong("text"));
    let bytes = || change.as_bytes().ok_or_else(|| wrong("text"));
    let number = || {
        let number = match change {
            View::Flag(true) => Some(1),
            other => other.as_number(),
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| wrong("a whole number"))
    };
    Ok(match id {
        PropertyId::PayloadFormatIndicator => {
            Property::PayloadFormatIndicator(u8::try_from(number()?).map_err(|_| wrong("0 or 1"))?)
        }
        PropertyId::MessageExpiryInterval => Property::MessageExpiryInterval(number()?),
        PropertyId::ContentType => Property::ContentType(text()?),
        PropertyId::ResponseTopic => Property::ResponseTopic(text()?),
        PropertyId::CorrelationData => Property::CorrelationData(bytes()?),
        PropertyId::ResponseInformation => Property::ResponseInformation(text()?),
        PropertyId::ServerReference => Property::ServerReference(text()?),
        PropertyId::ReasonString => Property::ReasonString(text()?),
        PropertyId::AuthenticationData => Property::AuthenticationData(bytes()?),
        _ => return Err(format!("property `{}` is not a handler's to set", name(id))),
    })
}

fn value(property: &Property<'_>) -> View<'static> {
    match property {
        Property::ContentType(text)
        | Property::ResponseTopic(text)
        | Property::AssignedClientIdentifier(text)
        | Property::AuthenticationMethod(text)
        | Property::ResponseInformation(text)
        | Property::ServerReference(text)
        | Property::ReasonString(text) => View::Text(Cow::Owned((*text).to_owned())),
        Property::CorrelationData(bytes) | Property::AuthenticationData(bytes) => {
            View::Bytes(Cow::Owned(bytes.to_vec()))
        }
        other => other
            .number()
            .map_or(View::Null, |number| View::Number(number.into())),
    }
}

fn name(id: PropertyId) -> String {
    let mut snake = String::new();
    for letter in id.name().chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::{view, with_changes};
    use crate::handlers::foreign::View;
    use serde_json::json;
    use tidewire_codec::{Properties, Property};

    fn changed(changes: serde_json::Value) -> Result<serde_json::Value, String> {
        let before = Properties::EMPTY
            .with(Property::ContentType("text/plain"))
            .with(Property::MessageExpiryInterval(60))
            .with(Property::UserProperty("a", "1"));
        let changes = View::from_json(changes)?;
        with_changes(&before, &changes).map(|after| view(&after).to_json())
    }

    #[test]
    fn a_value_replaces_false_takes_away_and_user_properties_are_added() {
        assert_eq!(
            changed(json!({
                "content_type": "application/json",
                "message_expiry_interval": false,
                "response_topic": "r",
                "user_property": { "b": "2" },
            })),
            Ok(json!({
                "content_type": "application/json",
                "response_topic": "r",
                "user_property": [["a", "1"], ["b", "2"]],
            }))
        );
        assert_eq!(
            changed(json!({ "user_property": false }))
                .map(|after| after["user_property"].is_null()),
            Ok(true)
        );
    }

    #[test]
    fn a_wrong_property_is_named() {
        for (changes, says) in [
            (
                json!({ "content_typ": "x" }),
                "there is no property `content_typ`; did you mean `content_type`?",
            ),
            (
                json!({ "topic_alias": 3 }),
                "property `topic_alias` is not a handler's to set",
            ),
            (
                json!({ "message_expiry_interval": "soon" }),
                "property `message_expiry_interval` is a whole number, not text",
            ),
            (
                json!({ "user_property": [["a"]] }),
                "`user_property` is a table of texts, or a list of pairs of texts",
            ),
        ] {
            assert_eq!(changed(changes), Err(says.to_owned()));
        }
    }
}
