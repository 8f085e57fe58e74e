//! `-D COMMAND NAME VALUE`: properties of MQTT 5.0 by mosquitto's names.

use tidewire_client::codec::{Carrier, Properties, PropertyId, WireType};

use super::Failure;

/// The properties that were given, by the packet that carries them.
#[derive(Default)]
pub(crate) struct Given {
    entries: Vec<(Carrier, PropertyId, Vec<u8>)>,
}

impl Given {
    /// Takes one; `values` is what followed `-D`.
    ///
    /// # Errors
    /// A command or name that does not exist or do not go together, or a value out of range.
    pub(crate) fn add(&mut self, values: &[String]) -> Result<(), Failure> {
        let [command, name, value, rest @ ..] = values else {
            return Err(Failure::usage("-D takes a command, a name and a value"));
        };
        let carrier = carrier(command)?;
        let id = PropertyId::ALL
            .iter()
            .copied()
            .find(|id| kebab(id.name()) == *name)
            .ok_or_else(|| Failure::usage(format!("there is no property `{name}`")))?;
        let mut bytes = vec![id as u8];
        encode(id, name, value, rest.first(), &mut bytes)?;
        Properties::from_bytes(&bytes, carrier)
            .map_err(|error| Failure::usage(format!("-D {command} {name} {value}: {error}")))?;
        self.entries.push((carrier, id, bytes));
        Ok(())
    }

    /// A number that is an option of its own: taken out.
    pub(crate) fn take_number(&mut self, carrier: Carrier, id: PropertyId) -> Option<u32> {
        let at = self
            .entries
            .iter()
            .position(|entry| entry.0 == carrier && entry.1 == id)?;
        let (_, _, bytes) = self.entries.remove(at);
        let properties = Properties::from_bytes(&bytes, carrier).ok()?;
        properties.iter().next()?.number()
    }

    /// All that are left of this packet.
    ///
    /// # Errors
    /// One that may be there once was given twice.
    pub(crate) fn take(&mut self, carrier: Carrier) -> Result<Properties<'static>, Failure> {
        let mut bytes = Vec::new();
        for (_, _, one) in self.entries.iter().filter(|entry| entry.0 == carrier) {
            bytes.extend_from_slice(one);
        }
        let properties = Properties::from_bytes(&bytes, carrier);
        properties
            .map(Properties::into_owned)
            .map_err(|error| Failure::usage(format!("-D: {error}")))
    }
}

fn carrier(command: &str) -> Result<Carrier, Failure> {
    Ok(match command {
        "connect" => Carrier::Connect,
        "publish" => Carrier::PublishFromClient,
        "subscribe" => Carrier::Subscribe,
        "unsubscribe" => Carrier::Unsubscribe,
        "disconnect" => Carrier::DisconnectFromClient,
        "will" => Carrier::Will,
        other => {
            return Err(Failure::usage(format!(
                "`{other}` has no properties to give; -D takes connect, publish, subscribe, unsubscribe, disconnect or will"
            )));
        }
    })
}

/// `MessageExpiryInterval` as `message-expiry-interval`.
pub(crate) fn kebab(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

fn encode(
    id: PropertyId,
    name: &str,
    value: &str,
    second: Option<&String>,
    out: &mut Vec<u8>,
) -> Result<(), Failure> {
    let number = |max: u32| {
        let parsed = value.parse::<u32>().ok().filter(|number| *number <= max);
        parsed.ok_or_else(|| {
            Failure::usage(format!(
                "{name} takes a number from 0 to {max}, not `{value}`"
            ))
        })
    };
    match id.wire_type() {
        WireType::Byte => out.push(u8::try_from(number(255)?).unwrap_or(u8::MAX)),
        WireType::TwoByte => {
            let number = u16::try_from(number(65_535)?).unwrap_or(u16::MAX);
            out.extend_from_slice(&number.to_be_bytes());
        }
        WireType::FourByte => out.extend_from_slice(&number(u32::MAX)?.to_be_bytes()),
        WireType::Varint => varint(number(268_435_455)?, out),
        WireType::Text | WireType::Binary => counted(value, out)?,
        WireType::Pair => {
            counted(value, out)?;
            counted(second.map_or("", String::as_str), out)?;
        }
    }
    Ok(())
}

fn varint(number: u32, out: &mut Vec<u8>) {
    let mut rest = number;
    loop {
        let low = (rest & 0x7f) as u8;
        rest >>= 7;
        if rest == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

fn counted(text: &str, out: &mut Vec<u8>) -> Result<(), Failure> {
    let length = u16::try_from(text.len())
        .map_err(|_| Failure::usage("a property's value has more than 65,535 bytes"))?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Result<Given, String> {
        let mut given = Given::default();
        let values: Vec<String> = text.split(' ').map(str::to_owned).collect();
        given.add(&values).map_err(|failure| failure.message)?;
        Ok(given)
    }

    #[test]
    fn property_is_found_by_its_name_and_encoded() {
        let mut message = given("publish message-expiry-interval 300").expect("right");
        let properties = message.take(Carrier::PublishFromClient).expect("right");
        assert_eq!(properties.message_expiry_interval_secs(), Some(300));
        let mut subscribe = given("subscribe subscription-identifier 16384").expect("right");
        let number = subscribe.take_number(Carrier::Subscribe, PropertyId::SubscriptionIdentifier);
        assert_eq!(number, Some(16_384));
    }

    #[test]
    fn wrong_place_name_and_value_are_told() {
        assert!(given("publish session-expiry-interval 1").is_err());
        assert!(given("publish bogus 1").is_err());
        assert!(given("nothing user-property a b").is_err());
        assert!(given("publish message-expiry-interval -1").is_err());
        assert!(given("connect receive-maximum 65536").is_err());
    }
}
