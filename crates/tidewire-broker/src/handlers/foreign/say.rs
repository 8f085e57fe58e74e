//! A verdict, understood from a view.

use super::properties::with_changes;
use super::question::Question;
use super::view::View;
use std::borrow::Cow;
use tidewire_codec::{
    Connect, PacketType, Properties, Publish, ReasonCode, Sender, Subscribe, Unsubscribe,
};
use tidewire_handler::{
    Authenticate, Authentication, AuthenticationStep, AuthorizePublish, AuthorizeSubscribe,
    BeforeConnect, Codes, Deliver, Delivery, Denial, Publication, Verdict,
};

/// Keys that every verdict may have.
const COMMON: [&str; 4] = ["deny", "close", "text", "stop"];

/// What a handler said: a value, and for a plain "no" a sentence and a reason code behind it.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) value: View<'static>,
    pub(crate) text: Option<String>,
    pub(crate) code: Option<i64>,
}

impl Said {
    /// Nothing at all.
    pub(crate) const fn nothing() -> Self {
        Self {
            value: View::Null,
            text: None,
            code: None,
        }
    }
}

/// How answers to one kind of question are said.
pub(crate) trait Say: Question {
    /// The keys of an answer.
    const KEYS: &'static [&'static str];
    /// What a plain "no" means.
    const DENIAL: ReasonCode = ReasonCode::NotAuthorized;
    /// The packet that tells a client of a denial.
    const TOLD_BY: Option<PacketType> = None;

    /// What a plain "yes" means; `None` = nothing in particular, the next handler is asked.
    fn yes(&self) -> Option<Self::Answer> {
        None
    }

    /// The answer that a table stands for; `None` = it has no key of an answer.
    ///
    /// # Errors
    /// A sentence about a key with a wrong value.
    fn answer(&self, said: &Table<'_>) -> Result<Option<Self::Answer>, String>;

    /// The verdict.
    ///
    /// # Errors
    /// A sentence about what is not understood.
    fn verdict(&self, said: &Said) -> Result<Verdict<Self::Answer>, String> {
        match &said.value {
            View::Null => Ok(Verdict::Continue),
            View::Flag(true) => Ok(self.yes().map_or(Verdict::Continue, Verdict::Answer)),
            View::Flag(false) => {
                let reason = said.code.map_or(Ok(Self::DENIAL), reason_code)?;
                carried_by(reason, Self::TOLD_BY)?;
                let text = said.text.as_deref().map(Into::into);
                Ok(Verdict::Deny(Denial { reason, text }))
            }
            View::Map(members) => self.of_table(&Table(members)),
            // A table without keys looks like a list.
            View::List(items) if items.is_empty() => Ok(Verdict::Continue),
            other => Err(format!(
                "{} is no verdict: return nothing, true, false or a table",
                other.noun()
            )),
        }
    }

    /// The verdict of a table.
    ///
    /// # Errors
    /// A sentence about what is not understood.
    fn of_table(&self, said: &Table<'_>) -> Result<Verdict<Self::Answer>, String> {
        said.check::<Self>()?;
        let text = said.text("text")?;
        let denial = |reason| Denial {
            reason,
            text: text.map(Into::into),
        };
        if let Some(reason) = said.refusal("close", Self::DENIAL)? {
            return Ok(Verdict::Close(denial(reason)));
        }
        if let Some(reason) = said.refusal("deny", Self::DENIAL)? {
            carried_by(reason, Self::TOLD_BY)?;
            return Ok(Verdict::Deny(denial(reason)));
        }
        let answer = self.answer(said)?;
        Ok(match (said.flag("stop")?, answer) {
            (true, answer) => Verdict::Stop(answer),
            (false, Some(answer)) => Verdict::Answer(answer),
            (false, None) => Verdict::Continue,
        })
    }
}

/// A table that was said.
pub(crate) struct Table<'a>(&'a [(Cow<'static, str>, View<'static>)]);

impl<'a> Table<'a> {
    fn get(&self, key: &str) -> Option<&'a View<'static>> {
        let member = self.0.iter().find(|(name, _)| name == key);
        member
            .map(|(_, value)| value)
            .filter(|value| **value != View::Null)
    }

    fn check<S: Say + ?Sized>(&self) -> Result<(), String> {
        let known = || COMMON.iter().chain(S::KEYS).copied();
        let unknown = self
            .0
            .iter()
            .find(|(key, _)| !known().any(|name| name == key));
        let Some((key, _)) = unknown else {
            return Ok(());
        };
        let event = S::EVENT.name();
        Err(match super::closest(key, known()) {
            Some(meant) => {
                format!("a verdict about {event} has no `{key}`; did you mean `{meant}`?")
            }
            None => format!(
                "a verdict about {event} has no `{key}`, but {}",
                known().collect::<Vec<_>>().join(", ")
            ),
        })
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>, String> {
        self.get(key)
            .map(|value| value.as_text().ok_or_else(|| wrong(key, "text", value)))
            .transpose()
    }

    fn bytes(&self, key: &str) -> Result<Option<&'a [u8]>, String> {
        self.get(key)
            .map(|value| value.as_bytes().ok_or_else(|| wrong(key, "text", value)))
            .transpose()
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(false),
            Some(View::Flag(flag)) => Ok(*flag),
            Some(other) => Err(wrong(key, "true or false", other)),
        }
    }

    fn count(&self, key: &str) -> Result<Option<u64>, String> {
        let count = |value: &View<'_>| match value {
            View::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        self.get(key)
            .map(|value| {
                count(value).ok_or_else(|| wrong(key, "a whole number, not negative", value))
            })
            .transpose()
    }

    /// Whether there is a refusal under this key, and its reason.
    fn refusal(&self, key: &str, usual: ReasonCode) -> Result<Option<ReasonCode>, String> {
        match self.get(key) {
            None | Some(View::Flag(false)) => Ok(None),
            Some(View::Flag(true)) => Ok(Some(usual)),
            Some(View::Number(code)) => reason_code(*code).map(Some),
            Some(other) => Err(wrong(key, "true or a reason code", other)),
        }
    }

    fn properties(&self, before: &Properties<'_>) -> Result<Option<Properties<'static>>, String> {
        let changes = self.get("properties");
        changes
            .map(|changes| with_changes(before, changes))
            .transpose()
    }

    /// The message with what the table says of it; `None` = it says nothing.
    fn publish(&self, before: &Publish<'_>) -> Result<Option<Publish<'static>>, String> {
        let topic = self.text("topic")?;
        let payload = self.bytes("payload")?;
        let properties = self.properties(&before.properties)?;
        let retain = match self.get("retain") {
            Some(_) => Some(self.flag("retain")?),
            None => None,
        };
        if topic.is_none() && payload.is_none() && properties.is_none() && retain.is_none() {
            return Ok(None);
        }
        Ok(Some(Publish {
            dup: before.dup,
            qos: before.qos,
            retain: retain.unwrap_or(before.retain),
            topic: Cow::Owned(topic.unwrap_or(&before.topic).to_owned()),
            packet_id: before.packet_id,
            properties: properties.unwrap_or_else(|| before.properties.clone().into_owned()),
            payload: Cow::Owned(payload.unwrap_or(&before.payload).to_vec()),
        }))
    }

    fn codes(&self, filters: usize) -> Result<Option<Codes>, String> {
        let properties = self.properties(&Properties::EMPTY)?;
        let reasons = match self.get("codes") {
            None if properties.is_some() => {
                return Err("`properties` go with `codes`, one for each filter".to_owned());
            }
            None => return Ok(None),
            Some(View::List(items)) => items
                .iter()
                .map(|item| match item {
                    View::Number(code) => reason_code(*code),
                    other => Err(wrong("codes", "a list of reason codes", other)),
                })
                .collect::<Result<Vec<_>, _>>()?,
            Some(other) => return Err(wrong("codes", "a list of reason codes", other)),
        };
        if reasons.len() != filters {
            return Err(format!(
                "`codes` has {} reason codes for {filters} filters",
                reasons.len()
            ));
        }
        Ok(Some(Codes {
            reasons,
            properties: properties.unwrap_or_default(),
        }))
    }
}

fn wrong(key: &str, wanted: &str, value: &View<'_>) -> String {
    format!("`{key}` is {wanted}, not {}", value.noun())
}

fn reason_code(code: i64) -> Result<ReasonCode, String> {
    u8::try_from(code)
        .ok()
        .and_then(ReasonCode::from_u8)
        .ok_or_else(|| format!("{code} is no reason code of MQTT 5.0"))
}

/// A code that the packet cannot carry would be told as another one: better to say so.
fn carried_by(reason: ReasonCode, packet: Option<PacketType>) -> Result<(), String> {
    match packet {
        Some(packet) if !reason.allowed_from(packet, Sender::Server) => {
            Err(format!("{packet} has no reason code {reason}"))
        }
        _ => Ok(()),
    }
}

impl Say for BeforeConnect {
    const KEYS: &'static [&'static str] = &[];

    fn answer(&self, _: &Table<'_>) -> Result<Option<()>, String> {
        Ok(None)
    }
}

impl Say for Connect<'_> {
    const KEYS: &'static [&'static str] = &["properties"];
    const TOLD_BY: Option<PacketType> = Some(PacketType::ConnAck);

    fn answer(&self, said: &Table<'_>) -> Result<Option<Properties<'static>>, String> {
        said.properties(&Properties::EMPTY)
    }
}

/// `true` lets a client in under the user name that it gave.
impl Say for Authenticate<'_> {
    const KEYS: &'static [&'static str] = &["principal", "data", "challenge", "valid_secs"];
    const TOLD_BY: Option<PacketType> = Some(PacketType::ConnAck);
    const DENIAL: ReasonCode = ReasonCode::BadUserNameOrPassword;

    fn yes(&self) -> Option<Authentication> {
        Some(match self.username.as_deref() {
            Some(name) if !name.is_empty() => Authentication::accepted(name),
            _ => Authentication::anonymous(),
        })
    }

    fn answer(&self, said: &Table<'_>) -> Result<Option<Authentication>, String> {
        authentication(said)
    }
}

impl Say for AuthenticationStep<'_> {
    const KEYS: &'static [&'static str] = &["principal", "data", "challenge", "valid_secs"];
    const DENIAL: ReasonCode = ReasonCode::NotAuthorized;

    fn answer(&self, said: &Table<'_>) -> Result<Option<Authentication>, String> {
        authentication(said)
    }
}

fn authentication(said: &Table<'_>) -> Result<Option<Authentication>, String> {
    if let Some(challenge) = said.bytes("challenge")? {
        return Ok(Some(Authentication::Challenge(challenge.into())));
    }
    let data = said.bytes("data")?.map(Into::into);
    let valid_secs = said.count("valid_secs")?;
    let principal = match said.get("principal") {
        None if data.is_some() => return Err("`data` goes with a `principal`".to_owned()),
        None if valid_secs.is_some() => {
            return Err("`valid_secs` goes with a `principal`".to_owned());
        }
        None => return Ok(None),
        Some(View::Flag(false)) => None,
        Some(_) => said.text("principal")?.map(Into::into),
    };
    Ok(Some(Authentication::Accepted {
        principal,
        data,
        valid_secs,
    }))
}

impl Say for AuthorizePublish<'_> {
    const KEYS: &'static [&'static str] = &[];
    const TOLD_BY: Option<PacketType> = Some(PacketType::PubAck);

    fn answer(&self, _: &Table<'_>) -> Result<Option<()>, String> {
        Ok(None)
    }
}

impl Say for AuthorizeSubscribe<'_> {
    const KEYS: &'static [&'static str] = &[];
    const TOLD_BY: Option<PacketType> = Some(PacketType::SubAck);

    fn answer(&self, _: &Table<'_>) -> Result<Option<()>, String> {
        Ok(None)
    }
}

impl Say for Publish<'_> {
    const KEYS: &'static [&'static str] =
        &["topic", "payload", "retain", "properties", "acknowledge"];
    const TOLD_BY: Option<PacketType> = Some(PacketType::PubAck);

    fn answer(&self, said: &Table<'_>) -> Result<Option<Publication>, String> {
        match said.refusal("acknowledge", ReasonCode::Success)? {
            Some(reason) => Ok(Some(Publication::Acknowledge(reason))),
            None => Ok(said.publish(self)?.map(Publication::Replace)),
        }
    }
}

impl Say for Subscribe<'_> {
    const KEYS: &'static [&'static str] = &["codes", "properties"];
    const TOLD_BY: Option<PacketType> = Some(PacketType::SubAck);

    fn answer(&self, said: &Table<'_>) -> Result<Option<Codes>, String> {
        said.codes(self.filters.len())
    }
}

impl Say for Unsubscribe<'_> {
    const KEYS: &'static [&'static str] = &["codes", "properties"];
    const TOLD_BY: Option<PacketType> = Some(PacketType::UnsubAck);

    fn answer(&self, said: &Table<'_>) -> Result<Option<Codes>, String> {
        said.codes(self.filters.len())
    }
}

/// `false` holds the message back from this receiver.
impl Say for Deliver<'_> {
    const KEYS: &'static [&'static str] = &["topic", "payload", "properties", "suppress"];

    fn answer(&self, said: &Table<'_>) -> Result<Option<Delivery>, String> {
        if said.flag("suppress")? {
            return Ok(Some(Delivery::Suppress));
        }
        Ok(said.publish(&self.publish)?.map(Delivery::Send))
    }
}

#[cfg(test)]
mod tests;
