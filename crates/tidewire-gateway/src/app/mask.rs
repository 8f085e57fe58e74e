//! Secrets of an app's configuration stay out of the log.

use serde_json::Value as Json;

/// Words in the names of keys whose values nobody may read.
const SECRET_WORDS: [&str; 6] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "private_key",
];
/// A shorter value hides nothing, and would hide every text that has these letters by chance.
const SHORTEST: usize = 3;

/// Replaces secrets in texts.
#[derive(Clone, Default)]
pub(crate) struct Mask {
    secrets: Vec<String>,
}

impl Mask {
    /// The secrets of a configuration.
    pub(crate) fn of(conf: &Json) -> Self {
        let mut mask = Self::default();
        mask.collect(conf);
        // The longest first, as one may contain another.
        mask.secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        mask
    }

    fn collect(&mut self, conf: &Json) {
        match conf {
            Json::Object(rows) => {
                for (name, value) in rows {
                    match value {
                        Json::String(text) if is_secret(name) && text.len() >= SHORTEST => {
                            self.secrets.push(text.clone());
                        }
                        Json::Number(number) if is_secret(name) => {
                            self.secrets.push(number.to_string());
                        }
                        other => self.collect(other),
                    }
                }
            }
            Json::Array(items) => items.iter().for_each(|item| self.collect(item)),
            _ => {}
        }
    }

    /// The text without secrets.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.secrets {
            if masked.contains(secret.as_str()) {
                masked = masked.replace(secret.as_str(), "***");
            }
        }
        masked
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_secret_keys_are_masked_wherever_they_stand() {
        let mask = Mask::of(&json!({
            "username": "me", "password": "hunter2", "cloud": {"api_token": "hunter23"}, "list": [{"db_passwd": 12345}],
        }));
        let text = mask.apply("me\thunter2\thunter23\t12345\tport 1883");
        assert_eq!(text, "me\t***\t***\t***\tport 1883");
    }
}
