//! Who may publish and subscribe where: rules in TOML, in order, each with as many conditions as it wants.
//!
//! ```toml
//! [groups]
//! operators = ["alice", "bob"]
//!
//! [[rule]]                          # nobody touches these, whatever follows
//! deny = ["publish"]
//! topics = ["plant/+/lock"]
//!
//! [[rule]]
//! allow = ["publish", "subscribe"]
//! topics = ["plant/#"]
//! groups = ["operators"]
//!
//! [[rule]]                          # every client its own corner
//! allow = ["publish"]
//! topics = ["devices/%c/#"]
//! ```
//!
//! The first rule that fits decides; what none fits is denied. A subscription fits a rule that allows if everything that its
//! filter can match is matched by one of the rule's topics, and a rule that denies if anything is.

mod text;

use super::acl_rules::Verdict;
use super::patterns::{Unfit, Who, covers, fill, overlaps};
use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use tidewire_codec::{Qos, topic};
use tidewire_handler::{AuthorizePublish, AuthorizeSubscribe, Client, Decide, handler};
use tidewire_net::AddressRange;

/// Rules in order, as a handler of both authorising events.
#[derive(Clone, Debug, Default)]
pub struct TomlRules {
    rules: Vec<Rule>,
}

/// A fault in a file of rules.
#[derive(Debug)]
pub struct TomlRulesError {
    line: Option<usize>,
    message: Box<str>,
}

/// What a client wants to do.
#[derive(Clone, Debug)]
pub struct Access<'a> {
    /// Who it is; `None` = nobody in particular.
    pub user: Option<&'a str>,
    /// The client id.
    pub client_id: &'a str,
    /// Where it comes from; `None` = unknown, and rules about addresses do not fit.
    pub address: Option<IpAddr>,
    /// Name of the listener through which it came.
    pub listener: &'a str,
    /// Publish or subscribe, and where.
    pub wish: Wish<'a>,
}

/// One of the two things that rules are about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish<'a> {
    /// Publish to a topic.
    Publish {
        /// Topic name.
        topic: &'a str,
        /// Quality of service.
        qos: Qos,
        /// Whether it is to be retained.
        retain: bool,
    },
    /// Subscribe to a filter.
    Subscribe {
        /// Topic filter, without `$share/name/`.
        filter: &'a str,
        /// Maximum quality of service.
        qos: Qos,
    },
}

#[derive(Clone, Debug)]
struct Rule {
    line: usize,
    effect: Effect,
    publish: bool,
    subscribe: bool,
    topics: Vec<Box<str>>,
    /// Users, those of the groups included; `None` = whoever it is.
    users: Option<Vec<Box<str>>>,
    anonymous: Option<bool>,
    client_ids: Option<Vec<Box<str>>>,
    addresses: Option<Vec<AddressRange>>,
    listeners: Option<Vec<Box<str>>>,
    qos: Option<Vec<Qos>>,
    retain: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Effect {
    Allow,
    Deny,
}

impl TomlRules {
    /// Reads a file.
    ///
    /// # Errors
    /// [`TomlRulesError`]: a file with a fault is not used at all.
    pub fn load(path: &Path) -> Result<Self, TomlRulesError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| TomlRulesError::new(None, format!("cannot be read: {error}")))?;
        Self::parse(&text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`TomlRulesError`].
    pub fn parse(text: &str) -> Result<Self, TomlRulesError> {
        Ok(Self {
            rules: text::parse(text)?,
        })
    }

    /// The decision, and the line of the rule that made it.
    #[must_use]
    pub fn judge(&self, access: &Access<'_>) -> Verdict {
        let rule = self.rules.iter().find(|rule| rule.fits(access));
        match rule.map(|rule| (rule.effect, rule.line)) {
            Some((Effect::Allow, line)) => Verdict::Allowed { line },
            Some((Effect::Deny, line)) => Verdict::Denied { line: Some(line) },
            None => Verdict::Denied { line: None },
        }
    }
}

impl Rule {
    fn fits(&self, access: &Access<'_>) -> bool {
        self.fits_client(access) && self.fits_wish(access)
    }

    fn fits_client(&self, access: &Access<'_>) -> bool {
        let named = |names: &Option<Vec<Box<str>>>, name: Option<&str>| {
            let names = names.as_ref();
            names
                .is_none_or(|names| name.is_some_and(|name| names.iter().any(|one| **one == *name)))
        };
        let in_range = |ranges: &Vec<AddressRange>| {
            let address = access.address;
            address.is_some_and(|address| ranges.iter().any(|range| range.contains(address)))
        };
        named(&self.users, access.user)
            && self
                .anonymous
                .is_none_or(|anonymous| anonymous == access.user.is_none())
            && named(&self.client_ids, Some(access.client_id))
            && named(&self.listeners, Some(access.listener))
            && self.addresses.as_ref().is_none_or(in_range)
    }

    fn fits_wish(&self, access: &Access<'_>) -> bool {
        let has_qos = |wanted: Qos| self.qos.as_ref().is_none_or(|list| list.contains(&wanted));
        match access.wish {
            Wish::Publish { topic, qos, retain } => {
                self.publish
                    && has_qos(qos)
                    && self.retain.is_none_or(|wanted| wanted == retain)
                    && self.any_topic(access, |own| topic::matches(own, topic))
            }
            Wish::Subscribe { filter, qos } => {
                let fits = match self.effect {
                    Effect::Allow => covers,
                    Effect::Deny => overlaps,
                };
                self.subscribe && has_qos(qos) && self.any_topic(access, |own| fits(own, filter))
            }
        }
    }

    /// Whether one of the rule's topics, with the variables filled in, passes the test. A name that would change what a topic
    /// matches fits every rule that denies and none that allows.
    fn any_topic(&self, access: &Access<'_>, test: impl Fn(&str) -> bool) -> bool {
        let who = Who {
            user: access.user,
            client_id: access.client_id,
        };
        self.topics.iter().any(|pattern| {
            if !pattern.contains('%') {
                return test(pattern);
            }
            match fill(pattern, who) {
                Ok(filled) => test(&filled),
                Err(Unfit::Missing) => false,
                Err(Unfit::Dangerous) => self.effect == Effect::Deny,
            }
        })
    }
}

impl<'a> Access<'a> {
    /// What a client of the broker wants.
    #[must_use]
    pub fn of(client: &'a Client, wish: Wish<'a>) -> Self {
        Self {
            user: client.principal(),
            client_id: client.client_id(),
            address: address_in(client.address()),
            listener: client.listener_name(),
            wish,
        }
    }
}

/// The address in `192.0.2.7:50123` and `[2001:db8::1]:50123`; other transports have none.
fn address_in(text: &str) -> Option<IpAddr> {
    text.parse::<SocketAddr>().ok().map(|address| address.ip())
}

fn told(verdict: Verdict) -> Decide<()> {
    match verdict {
        Verdict::Allowed { .. } => Decide::answer(()),
        Verdict::Denied { .. } => Decide::deny("the access rules do not allow it"),
    }
}

handler! {
    impl Handler for TomlRules {
        fn authorize_publish(&self, client: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            let AuthorizePublish { topic, qos, retain, .. } = ask;
            told(self.judge(&Access::of(client, Wish::Publish { topic, qos: *qos, retain: *retain })))
        }

        fn authorize_subscribe(&self, client: &Client, ask: &AuthorizeSubscribe<'_>) -> Decide<()> {
            let wish = Wish::Subscribe { filter: &ask.filter, qos: ask.options.qos };
            told(self.judge(&Access::of(client, wish)))
        }
    }
}

impl TomlRulesError {
    fn new(line: Option<usize>, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            line,
            message: message.into().into(),
        }
    }
}

/// Begins with the line, for whoever puts the file's name before it.
impl fmt::Display for TomlRulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{line}: {}", self.message),
            None => write!(f, " {}", self.message),
        }
    }
}

impl std::error::Error for TomlRulesError {}

#[cfg(test)]
mod tests;
