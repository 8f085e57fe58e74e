//! The keys of `[auth]` about JSON Web Tokens.

use super::Config;
use super::key::{Access, Key, Kind, Section};
use super::table::key;
use super::value::Value;
use super::ways::{into_texts, texts};
use std::path::PathBuf;
use tidewire_broker::handlers::TokenSettings;

/// What tokens are checked with, and for.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct Tokens {
    /// The file of the key or keys; `None` = tokens are not looked at.
    pub(crate) key_file: Option<PathBuf>,
    /// What they must say.
    pub(crate) settings: TokenSettings,
}

/// In the order of the reference.
pub(super) static KEYS: &[Key] = &[
    key(
        Section::Auth,
        "jwt_key_file",
        Kind::Path,
        "",
        "File of the key that JSON Web Tokens are signed with: a public key in PEM (RSA, EC P-256 or P-384, Ed25519), a set of keys (JWKS, by \
         `kid`), or a secret of 32 bytes or more (HS256 to HS512). A client gives its token as password; one that looks like none is left to \
         the `password_file`. `exp` is required, and a client is disconnected (0xA0) when its token has expired. A changed file is \
         read again (`watch_files` in [broker], or SIGHUP).",
        Access::Broker {
            get: |config| {
                let file = config.tokens.key_file.as_ref();
                file.map_or(Value::Unset, |file| Value::Text(file.display().to_string()))
            },
            set: |config, value| config.tokens.key_file = Some(PathBuf::from(value.into_text())),
        },
    ),
    key(
        Section::Auth,
        "jwt_user_claim",
        Kind::Text { max_bytes: 256 },
        "",
        "The claim of a token that is the user.",
        Access::Broker {
            get: |config| Value::Text(config.tokens.settings.user_claim.to_string()),
            set: |config, value| config.tokens.settings.user_claim = value.into_text().into(),
        },
    ),
    key(
        Section::Auth,
        "jwt_client_id_claim",
        Kind::Text { max_bytes: 256 },
        "",
        "The claim of a token that the client identifier must be equal to. Without it a token serves every client identifier.",
        Access::Broker {
            get: |config| optional(config, |settings| &settings.client_id_claim),
            set: |config, value| {
                config.tokens.settings.client_id_claim = Some(value.into_text().into());
            },
        },
    ),
    key(
        Section::Auth,
        "jwt_rules_claim",
        Kind::Text { max_bytes: 256 },
        "",
        "The claim of a token that says what its client may do: `{\"publish\": [\"a/#\"], \"subscribe\": [\"b/+\"]}`. What it does not cover is denied; \
         what it covers `[acl]` may still deny. A token without it may do nothing.",
        Access::Broker {
            get: |config| optional(config, |settings| &settings.rules_claim),
            set: |config, value| {
                config.tokens.settings.rules_claim = Some(value.into_text().into());
            },
        },
    ),
    key(
        Section::Auth,
        "jwt_issuers",
        Kind::Texts,
        "",
        "`iss` of a token must be one of these. Without it, any.",
        Access::Broker {
            get: |config| texts(&config.tokens.settings.issuers),
            set: |config, value| config.tokens.settings.issuers = into_texts(value),
        },
    ),
    key(
        Section::Auth,
        "jwt_audiences",
        Kind::Texts,
        "",
        "`aud` of a token must have one of these. Without it, any.",
        Access::Broker {
            get: |config| texts(&config.tokens.settings.audiences),
            set: |config, value| config.tokens.settings.audiences = into_texts(value),
        },
    ),
    key(
        Section::Auth,
        "jwt_leeway_secs",
        Kind::Integer { min: 0, max: 600 },
        "seconds",
        "By how much the clocks of the broker and of whoever makes the tokens may differ.",
        Access::Broker {
            get: |config| Value::Integer(config.tokens.settings.leeway_secs.into()),
            set: |config, value| config.tokens.settings.leeway_secs = value.narrow(),
        },
    ),
];

fn optional(config: &Config, claim: fn(&TokenSettings) -> &Option<Box<str>>) -> Value {
    let claim = claim(&config.tokens.settings).as_deref();
    claim.map_or(Value::Unset, |claim| Value::Text(claim.to_owned()))
}
