//! The rules of `[acl]`, whichever form their file has.

use super::access::faulty;
use crate::config::{AclPreset, Config};
use crate::exit::{Failure, Status};
use std::path::Path;
use tidewire_broker::handlers::{Access, AclRules, TomlRules, Verdict, Wish};
use tidewire_handler::Registration;

/// Who may publish and subscribe where, and where that is written.
pub(crate) struct Rules {
    /// The file, or the name of the preset; a line of it is a rule's name.
    source: String,
    set: Set,
}

enum Set {
    /// mosquitto's form, and the presets.
    Lines(AclRules),
    /// A file whose name ends on `.toml`.
    Toml(TomlRules),
}

impl Rules {
    /// Reads what the configuration names; `None` = it names nothing, and everything is allowed.
    pub(crate) fn load(config: &Config) -> Result<Option<Self>, Failure> {
        match (&config.acl_file, config.acl_preset) {
            (Some(_), AclPreset::UserTopics) => Err(Failure::new(
                Status::Usage,
                "[acl]: `file` and `preset` exclude each other\n  help: remove one of them",
            )),
            (Some(path), AclPreset::None) => Self::read(path).map(Some),
            (None, AclPreset::UserTopics) => Ok(Some(Self {
                source: "preset user-topics".to_owned(),
                set: Set::Lines(AclRules::user_topics()),
            })),
            (None, AclPreset::None) => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        let set = if is_toml {
            Set::Toml(TomlRules::load(path).map_err(|error| faulty("[acl]", path, &error))?)
        } else {
            Set::Lines(AclRules::load(path).map_err(|error| faulty("[acl]", path, &error))?)
        };
        Ok(Self {
            source: path.display().to_string(),
            set,
        })
    }

    /// As a handler.
    pub(super) fn registration(self) -> Registration {
        const NAME: &str = "access rules";
        match self.set {
            Set::Lines(rules) => Registration::new(NAME, rules),
            Set::Toml(rules) => Registration::new(NAME, rules),
        }
    }

    /// The decision.
    pub(crate) fn judge(&self, access: &Access<'_>) -> Verdict {
        match (&self.set, access.wish) {
            (Set::Toml(rules), _) => rules.judge(access),
            (Set::Lines(rules), Wish::Publish { topic, .. }) => {
                rules.may_publish(access.user, access.client_id, topic)
            }
            (Set::Lines(rules), Wish::Subscribe { filter, .. }) => {
                rules.may_subscribe(access.user, access.client_id, filter)
            }
        }
    }

    /// A rule by its line: `rules.toml:12`.
    pub(crate) fn name(&self, line: usize) -> String {
        format!("{}:{line}", self.source)
    }

    /// Where the rules are written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }
}
