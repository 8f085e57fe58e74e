//! From the text of a file to rules.

use super::{Effect, Rule, TomlRulesError};
use serde::Deserialize;
use std::collections::BTreeMap;
use tidewire_codec::{Qos, topic};
use tidewire_net::AddressRange;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    groups: BTreeMap<String, Vec<Box<str>>>,
    #[serde(default)]
    rule: Vec<Spanned<Text>>,
}

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    allow: Option<Vec<Action>>,
    deny: Option<Vec<Action>>,
    topics: Vec<Box<str>>,
    users: Option<Vec<Box<str>>>,
    groups: Option<Vec<String>>,
    anonymous: Option<bool>,
    client_ids: Option<Vec<Box<str>>>,
    addresses: Option<Vec<String>>,
    listeners: Option<Vec<Box<str>>>,
    qos: Option<Vec<u8>>,
    retain: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Publish,
    Subscribe,
}

pub(super) fn parse(text: &str) -> Result<Vec<Rule>, TomlRulesError> {
    let line_at = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let file: File = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_at(span.start));
        TomlRulesError::new(line, error.message().to_owned())
    })?;
    let File { groups, rule } = file;
    rule.into_iter()
        .map(|rule| {
            let line = line_at(rule.span().start);
            make(line, rule.into_inner(), &groups)
                .map_err(|message| TomlRulesError::new(Some(line), message))
        })
        .collect()
}

fn make(line: usize, text: Text, groups: &BTreeMap<String, Vec<Box<str>>>) -> Result<Rule, String> {
    let (effect, actions) = effect(text.allow, text.deny)?;
    if text.topics.is_empty() {
        return Err("`topics` is empty: the rule would fit nothing".to_owned());
    }
    for filter in &text.topics {
        topic::validate_filter(filter)
            .map_err(|error| format!("`{filter}` is no topic filter: {error}"))?;
    }
    Ok(Rule {
        line,
        effect,
        publish: actions.contains(&Action::Publish),
        subscribe: actions.contains(&Action::Subscribe),
        topics: text.topics,
        users: users(text.users, text.groups, groups)?,
        anonymous: text.anonymous,
        client_ids: text.client_ids,
        addresses: text.addresses.map(ranges).transpose()?,
        listeners: text.listeners,
        qos: text.qos.map(levels).transpose()?,
        retain: text.retain,
    })
}

fn effect(
    allow: Option<Vec<Action>>,
    deny: Option<Vec<Action>>,
) -> Result<(Effect, Vec<Action>), String> {
    let (effect, actions) = match (allow, deny) {
        (Some(actions), None) => (Effect::Allow, actions),
        (None, Some(actions)) => (Effect::Deny, actions),
        _ => {
            let message =
                "a rule has either `allow` or `deny`, with \"publish\", \"subscribe\" or both";
            return Err(message.to_owned());
        }
    };
    if actions.is_empty() {
        return Err("the list of actions is empty: the rule would fit nothing".to_owned());
    }
    Ok((effect, actions))
}

/// The users of the rule and of its groups.
fn users(
    users: Option<Vec<Box<str>>>,
    named: Option<Vec<String>>,
    groups: &BTreeMap<String, Vec<Box<str>>>,
) -> Result<Option<Vec<Box<str>>>, String> {
    if users.is_none() && named.is_none() {
        return Ok(None);
    }
    let mut all = users.unwrap_or_default();
    for name in named.unwrap_or_default() {
        let group = groups.get(&name).ok_or_else(|| {
            format!("there is no group `{name}`; write `{name} = [\"a user\"]` below [groups]")
        })?;
        all.extend(group.iter().cloned());
    }
    Ok(Some(all))
}

fn ranges(texts: Vec<String>) -> Result<Vec<AddressRange>, String> {
    let range = |text: String| text.parse().map_err(|error| format!("`{text}`: {error}"));
    texts.into_iter().map(range).collect()
}

fn levels(numbers: Vec<u8>) -> Result<Vec<Qos>, String> {
    let level = |number: u8| {
        Qos::try_from(number).map_err(|_| format!("`qos`: {number} is none of 0, 1, 2"))
    };
    numbers.into_iter().map(level).collect()
}
