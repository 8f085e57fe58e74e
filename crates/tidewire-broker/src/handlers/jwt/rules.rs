//! What a token says its client may do.

use crate::handlers::patterns::covers;
use serde_json::Value;
use tidewire_codec::topic;
use tidewire_handler::Decide;

/// Filters that a client may publish and subscribe below. What they do not cover is denied.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct TokenRules {
    publish: Vec<Box<str>>,
    subscribe: Vec<Box<str>>,
}

impl TokenRules {
    /// Reads `{"publish": [..], "subscribe": [..]}`; what is left out is a list of none.
    pub(super) fn read(claim: &Value) -> Result<Self, String> {
        let claim = claim.as_object().ok_or("it is no object")?;
        let mut rules = Self::default();
        for (name, filters) in claim {
            let list = match name.as_str() {
                "publish" => &mut rules.publish,
                "subscribe" => &mut rules.subscribe,
                // A rule that is not understood might be one that forbids.
                other => return Err(format!("`{other}` is neither `publish` nor `subscribe`")),
            };
            for filter in filters.as_array().ok_or("no list of filters")? {
                let filter = filter.as_str().ok_or("a filter is a text")?;
                topic::validate_filter(filter).map_err(|error| format!("`{filter}`: {error}"))?;
                list.push(filter.into());
            }
        }
        Ok(rules)
    }

    pub(super) fn judge_publish(&self, topic: &str) -> Decide<()> {
        told(
            self.publish
                .iter()
                .any(|filter| topic::matches(filter, topic)),
        )
    }

    pub(super) fn judge_subscribe(&self, wanted: &str) -> Decide<()> {
        told(self.subscribe.iter().any(|filter| covers(filter, wanted)))
    }
}

/// Other handlers may still deny what a token allows.
fn told(allowed: bool) -> Decide<()> {
    if allowed {
        Decide::answer(())
    } else {
        Decide::deny("the token does not allow it")
    }
}
