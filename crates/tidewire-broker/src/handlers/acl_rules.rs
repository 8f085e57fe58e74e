//! Who may publish and subscribe where: mosquitto's ACL files, and presets made of the same rules.
//!
//! A file has rules of a user (below `user NAME`), of clients without a user (above the first `user`), and patterns for all, in
//! which `%u` stands for the user and `%c` for the client id. `deny` rules are looked at first. What no rule allows is denied.
//!
//! A subscription is allowed only if everything that its filter can match is: mosquitto lets it in and holds messages back
//! later, which costs a check for each delivery and tells nobody. The user is the authenticated principal, never a mere claim.

use super::patterns::{Unfit, Who, covers, fill, overlaps};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use tidewire_codec::topic;
use tidewire_handler::{AuthorizePublish, AuthorizeSubscribe, Client, Decide, handler};

/// A set of rules, as a handler of both authorising events.
#[derive(Clone, Debug, Default)]
pub struct AclRules {
    users: HashMap<Box<str>, Vec<Rule>>,
    anonymous: Vec<Rule>,
    patterns: Vec<Rule>,
}

/// A decision, and the line of the rule that made it; `None` = no rule speaks of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Allowed by this line.
    Allowed {
        /// Counted from 1; of a preset, the rule's number.
        line: usize,
    },
    /// Denied by this line, or because none allows it.
    Denied {
        /// Counted from 1; of a preset, the rule's number.
        line: Option<usize>,
    },
}

/// What is wrong with an ACL file.
#[derive(Debug)]
pub enum AclError {
    /// It cannot be read.
    Unreadable(std::io::Error),
    /// A line begins with a word that is none of `user`, `topic`, `pattern`.
    Keyword {
        /// Counted from 1.
        line: usize,
        /// The word.
        word: Box<str>,
    },
    /// Several words follow `topic` or `pattern`, and the first is no kind of access.
    Access {
        /// Counted from 1.
        line: usize,
        /// The word.
        word: Box<str>,
    },
    /// Nothing follows the keyword or the kind of access.
    Nothing {
        /// Counted from 1.
        line: usize,
    },
    /// The topic filter is none.
    Filter {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        error: topic::TopicError,
    },
}

#[derive(Clone, Debug)]
struct Rule {
    line: usize,
    access: Access,
    filter: Box<str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    Read,
    Write,
    ReadWrite,
    Deny,
}

/// What a client wants.
#[derive(Clone, Copy)]
enum Wish<'a> {
    Publish(&'a str),
    Subscribe(&'a str),
}

impl AclRules {
    /// Reads a file.
    ///
    /// # Errors
    /// [`AclError`]: a file with a fault is not used at all.
    pub fn load(path: &Path) -> Result<Self, AclError> {
        let text = std::fs::read_to_string(path).map_err(AclError::Unreadable)?;
        Self::parse(&text)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// [`AclError`].
    pub fn parse(text: &str) -> Result<Self, AclError> {
        let mut rules = Self::default();
        let mut user: Option<Box<str>> = None;
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (keyword, rest) = split_word(content);
            let section = match keyword {
                "user" if rest.is_empty() => return Err(AclError::Nothing { line }),
                "user" => {
                    user = Some(rest.into());
                    // A user without rules has a list of none: not that of clients without a user.
                    rules.users.entry(rest.into()).or_default();
                    continue;
                }
                "topic" => match &user {
                    Some(user) => rules.users.entry(user.clone()).or_default(),
                    None => &mut rules.anonymous,
                },
                "pattern" => &mut rules.patterns,
                _ => {
                    let word = keyword.into();
                    return Err(AclError::Keyword { line, word });
                }
            };
            section.push(Rule::parse(line, rest)?);
        }
        Ok(rules)
    }

    /// The rule of small teams: `/public` and what is below it for all, `/users/NAME` and what is below it for the user of that name,
    /// nothing else for anybody.
    #[must_use]
    pub fn user_topics() -> Self {
        let rule = |line, filter: &str| Rule {
            line,
            access: Access::ReadWrite,
            filter: filter.into(),
        };
        Self {
            patterns: vec![rule(1, "/public/#"), rule(2, "/users/%u/#")],
            ..Self::default()
        }
    }

    /// Whether a client may publish to a topic.
    #[must_use]
    pub fn may_publish(&self, user: Option<&str>, client_id: &str, topic: &str) -> Verdict {
        self.judge(Who { user, client_id }, Wish::Publish(topic))
    }

    /// Whether a client may subscribe to a filter, given without `$share/name/`.
    #[must_use]
    pub fn may_subscribe(&self, user: Option<&str>, client_id: &str, filter: &str) -> Verdict {
        self.judge(Who { user, client_id }, Wish::Subscribe(filter))
    }

    fn judge(&self, who: Who<'_>, wish: Wish<'_>) -> Verdict {
        let own = match who.user {
            Some(user) => self.users.get(user).map_or(&[][..], Vec::as_slice),
            None => &self.anonymous,
        };
        let own = own.iter().map(|rule| (rule, Ok(rule.filter.clone())));
        if let Some(verdict) = decide(own, wish) {
            return verdict;
        }
        let patterns = self.patterns.iter();
        let patterns = patterns.map(|rule| (rule, fill(&rule.filter, who)));
        decide(patterns, wish).unwrap_or(Verdict::Denied { line: None })
    }
}

impl Rule {
    fn parse(line: usize, rest: &str) -> Result<Self, AclError> {
        if rest.is_empty() {
            return Err(AclError::Nothing { line });
        }
        let (word, behind) = split_word(rest);
        let access = match word {
            "read" => Some(Access::Read),
            "write" => Some(Access::Write),
            "readwrite" => Some(Access::ReadWrite),
            "deny" => Some(Access::Deny),
            _ => None,
        };
        // One word alone is a topic, even if it reads like a kind of access.
        let (access, filter) = match (access, behind) {
            (_, "") => (Access::ReadWrite, rest),
            (Some(access), filter) => (access, filter),
            (None, _) => {
                let word = word.into();
                return Err(AclError::Access { line, word });
            }
        };
        topic::validate_filter(filter).map_err(|error| AclError::Filter { line, error })?;
        Ok(Self {
            line,
            access,
            filter: filter.into(),
        })
    }
}

impl Access {
    fn allows(self, wish: Wish<'_>) -> bool {
        match wish {
            Wish::Publish(_) => matches!(self, Self::Write | Self::ReadWrite),
            Wish::Subscribe(_) => matches!(self, Self::Read | Self::ReadWrite),
        }
    }
}

/// Denials first; `None` = no rule speaks of it.
fn decide<'a>(
    rules: impl Iterator<Item = (&'a Rule, Result<Box<str>, Unfit>)> + Clone,
    wish: Wish<'_>,
) -> Option<Verdict> {
    let (mut denied, mut allowed) = (None, None);
    for (rule, filter) in rules {
        let line = rule.line;
        let filter = match filter {
            Ok(filter) => filter,
            Err(Unfit::Missing) => continue,
            // Who carries such a name is up to something: none of these rules speaks for them.
            Err(Unfit::Dangerous) => return Some(Verdict::Denied { line: Some(line) }),
        };
        if rule.access == Access::Deny {
            let touches = match wish {
                Wish::Publish(topic) => topic::matches(&filter, topic),
                Wish::Subscribe(wanted) => overlaps(&filter, wanted),
            };
            if touches {
                denied = denied.or(Some(Verdict::Denied { line: Some(line) }));
            }
        } else if rule.access.allows(wish) {
            let covers = match wish {
                Wish::Publish(topic) => topic::matches(&filter, topic),
                Wish::Subscribe(wanted) => covers(&filter, wanted),
            };
            if covers {
                allowed = allowed.or(Some(Verdict::Allowed { line }));
            }
        }
    }
    denied.or(allowed)
}

fn split_word(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    (word, rest.trim_start())
}

fn told(verdict: Verdict) -> Decide<()> {
    match verdict {
        Verdict::Allowed { .. } => Decide::answer(()),
        Verdict::Denied { .. } => Decide::deny("the access rules do not allow it"),
    }
}

handler! {
    impl Handler for AclRules {
        fn authorize_publish(&self, client: &Client, ask: &AuthorizePublish<'_>) -> Decide<()> {
            told(self.may_publish(client.principal(), client.client_id(), &ask.topic))
        }

        fn authorize_subscribe(&self, client: &Client, ask: &AuthorizeSubscribe<'_>) -> Decide<()> {
            told(self.may_subscribe(client.principal(), client.client_id(), &ask.filter))
        }
    }
}

/// Begins with the line, for whoever puts the file's name before it.
impl fmt::Display for AclError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Keyword { line, word } => write!(
                f,
                "{line}: a line begins with `user`, `topic` or `pattern`, not with `{word}`"
            ),
            Self::Access { line, word } => write!(
                f,
                "{line}: `{word}` is no kind of access; write `read`, `write`, `readwrite` or `deny` before a topic with spaces"
            ),
            Self::Nothing { line } => write!(f, "{line}: nothing follows the keyword"),
            Self::Filter { line, error } => write!(f, "{line}: this is no topic filter: {error}"),
        }
    }
}

impl std::error::Error for AclError {}

#[cfg(test)]
mod tests {
    use super::{AclRules, Verdict};

    fn allowed(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Allowed { .. })
    }

    const FILE: &str = "\
# clients without a user
topic read news/#

user alice
topic alice/#
topic read  shared documents/#
topic deny alice/secret
topic write logs/alice

user nobody

pattern write devices/%c/up
pattern readwrite home/%u/#
pattern deny home/+/lock
";

    /// (user, client id, topic, may publish, filter or topic, may subscribe)
    type Row = (Option<&'static str>, &'static str, &'static str, bool, bool);

    #[test]
    fn a_file_of_mosquitto_is_judged_line_by_line() {
        let rules = AclRules::parse(FILE).unwrap();
        let table: &[Row] = &[
            (None, "c", "news/today", false, true),
            (None, "c", "news/#", false, true),
            (None, "c", "#", false, false),
            (Some("alice"), "c", "news/today", false, false),
            (Some("alice"), "c", "alice/x", true, true),
            // A subscription that could bring what is denied is denied as a whole.
            (Some("alice"), "c", "alice/#", false, false),
            (Some("alice"), "c", "alice/x/#", false, true),
            (Some("alice"), "c", "alice/secret", false, false),
            (Some("alice"), "c", "logs/alice", true, false),
            (Some("alice"), "c", "shared documents/x", false, true),
            (Some("bob"), "c", "alice/x", false, false),
            (Some("bob"), "c", "devices/c/up", true, false),
            (Some("bob"), "d", "devices/c/up", false, false),
            (None, "c", "devices/c/up", true, false),
            (Some("bob"), "c", "home/bob/lamp", true, true),
            (Some("bob"), "c", "home/bob/lock", false, false),
            (Some("bob"), "c", "home/alice/lamp", false, false),
            (Some("bob"), "c", "home/+/lamp", false, false),
            (None, "c", "home//lamp", false, false),
            (Some("nobody"), "c", "news/today", false, false),
        ];
        for (user, client_id, topic, publish, subscribe) in table {
            let wildcards = topic.contains(['+', '#']);
            if !wildcards {
                let verdict = rules.may_publish(*user, client_id, topic);
                assert_eq!(
                    allowed(verdict),
                    *publish,
                    "{user:?} {client_id} publishes {topic}"
                );
            }
            let verdict = rules.may_subscribe(*user, client_id, topic);
            assert_eq!(
                allowed(verdict),
                *subscribe,
                "{user:?} {client_id} subscribes {topic}"
            );
        }
        let verdict = rules.may_publish(Some("alice"), "c", "alice/secret");
        assert_eq!(
            verdict,
            Verdict::Denied { line: Some(7) },
            "the line that denies is known"
        );
    }

    #[test]
    fn names_that_would_change_a_pattern_are_refused() {
        let rules = AclRules::parse("pattern home/%u/#\npattern devices/%c\n").unwrap();
        for name in ["+", "#", "a/b", "a+", "%c", ""] {
            for topic in [
                "home/+/x",
                "home/a/b",
                "home/#/x",
                "home/a+/x",
                "home//x",
                "devices/c",
            ] {
                let verdict = rules.may_publish(Some(name), "c", topic);
                assert!(!allowed(verdict), "user {name} publishes {topic}");
                let verdict = rules.may_subscribe(Some(name), "c", topic);
                assert!(!allowed(verdict), "user {name} subscribes {topic}");
            }
        }
        assert!(!allowed(rules.may_subscribe(None, "+", "devices/+")));
        assert!(!allowed(rules.may_subscribe(None, "#", "devices/#")));
    }

    #[test]
    fn the_preset_gives_public_to_all_and_each_user_their_own() {
        let rules = AclRules::user_topics();
        // (user, topic or filter, allowed)
        let table = [
            (None, "/public/news", true),
            (None, "/public/#", true),
            (None, "/public/+/x", true),
            (None, "/users/alice/x", false),
            (None, "/users//x", false),
            (Some("alice"), "/public/a/b", true),
            (Some("alice"), "/users/alice/x", true),
            (Some("alice"), "/users/alice/#", true),
            (Some("alice"), "/users/bob/x", false),
            (Some("alice"), "/users/+/x", false),
            (Some("alice"), "/users/#", false),
            (Some("alice"), "#", false),
            (Some("alice"), "+/public/x", false),
            (Some("alice"), "anything/public", false),
            (Some("alice"), "public/x", false),
            (Some("alice"), "/publicity", false),
            (Some("alice"), "$SYS/broker/uptime", false),
            (Some("+"), "/users/+/x", false),
        ];
        for (user, topic, expected) in table {
            let verdict = rules.may_subscribe(user, "c", topic);
            assert_eq!(allowed(verdict), expected, "{user:?} subscribes {topic}");
            if !topic.contains(['+', '#']) {
                let verdict = rules.may_publish(user, "c", topic);
                assert_eq!(allowed(verdict), expected, "{user:?} publishes {topic}");
            }
        }
    }

    #[test]
    fn a_faulty_file_is_refused_with_the_line() {
        let table = [
            ("user\n", "1: nothing follows the keyword"),
            ("\n# x\ntopic\n", "3: nothing follows the keyword"),
            (
                "topics a\n",
                "1: a line begins with `user`, `topic` or `pattern`, not with `topics`",
            ),
            (
                "topic raed a\n",
                "1: `raed` is no kind of access; write `read`, `write`, `readwrite` or `deny` before a topic with spaces",
            ),
            (
                "topic read a/#/b\n",
                "1: this is no topic filter: # must be alone in the last level",
            ),
        ];
        for (text, message) in table {
            assert_eq!(AclRules::parse(text).unwrap_err().to_string(), message);
        }
        assert!(
            AclRules::parse("topic read\n").is_ok(),
            "one word is a topic"
        );
    }
}
