//! The keys of `[auth]` and `[acl]`, and of listeners that they do not apply to.

use super::key::{Access, Key, Kind, Section};
use super::table::{key, meaning, word};
use super::value::Value;
use super::{Config, Listener};
use std::path::PathBuf;
use tidewire_broker::handlers::{CertificateIdentity, CertificatePassword};

/// Access rules that come with the program.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum AclPreset {
    /// None of them.
    #[default]
    None,
    /// `/public/#` for all, `/users/NAME/#` for the user of that name.
    UserTopics,
}

/// Words for the presets.
const PRESETS: &[(&str, AclPreset)] = &[
    ("none", AclPreset::None),
    ("user-topics", AclPreset::UserTopics),
];

/// Words for the parts of a certificate.
const IDENTITIES: &[(&str, Option<CertificateIdentity>)] = &[
    ("none", None),
    ("common-name", Some(CertificateIdentity::CommonName)),
    ("subject", Some(CertificateIdentity::Subject)),
    ("dns", Some(CertificateIdentity::Dns)),
    ("email", Some(CertificateIdentity::Email)),
    ("uri", Some(CertificateIdentity::Uri)),
];

/// In the order of the reference.
pub(super) static KEYS: &[Key] = &[
    key(
        Section::Auth,
        "password_file",
        Kind::Path,
        "",
        "File of user names and hashed passwords, written by `tidewire passwd` or by mosquitto's `mosquitto_passwd`. With it, clients \
         without a user name come in only where a listener says `allow_anonymous = true`. A changed file is read again (`watch_files` in [broker], or SIGHUP).",
        Access::Broker {
            get: |config| path(config.password_file.as_ref()),
            set: |config, value| config.password_file = Some(PathBuf::from(value.into_text())),
        },
    ),
    key(
        Section::Auth,
        "max_login_failures",
        Kind::Integer {
            min: 0,
            max: 1_000_000,
        },
        "failures",
        "Failed logins of one user name from one address after which its further ones are not looked at for `login_ban_secs`. 0 looks at \
         all of them.",
        Access::Broker {
            get: |config| Value::Integer(config.bans.max_login_failures.into()),
            set: |config, value| config.bans.max_login_failures = value.narrow(),
        },
    ),
    key(
        Section::Auth,
        "login_ban_secs",
        Kind::Integer {
            min: 1,
            max: 86_400,
        },
        "seconds",
        "How long a user name waits at an address from which it has failed `max_login_failures` times, each within this time of the one before.",
        Access::Broker {
            get: |config| Value::Integer(config.bans.login_ban_secs.into()),
            set: |config, value| config.bans.login_ban_secs = value.narrow(),
        },
    ),
    key(
        Section::Acl,
        "file",
        Kind::Path,
        "",
        "File of access rules. One whose name ends on `.toml` has `[[rule]]` tables that are tried in order: `allow` or `deny` with \
         \"publish\", \"subscribe\" or both, `topics` with `%u` and `%c`, and conditions: `users`, `groups` (of `[groups]`), `anonymous`, `client_ids`, \
         `addresses`, `listeners`, `qos`, `retain`. Any other has mosquitto's form: `user`, `topic [read|write|readwrite|deny]`, `pattern` with `%u` and `%c`. \
         What no rule allows is denied; `tidewire explain` says which rule decides. A subscription is allowed if everything that its filter can match is. A changed file is read again (`watch_files` in [broker], or SIGHUP); \
         subscriptions that are there stay.",
        Access::Broker {
            get: |config| path(config.acl_file.as_ref()),
            set: |config, value| config.acl_file = Some(PathBuf::from(value.into_text())),
        },
    ),
    key(
        Section::Acl,
        "preset",
        Kind::Choice(&["none", "user-topics"]),
        "",
        "Access rules that come with the program, in place of a file. `user-topics`: `/public/#` for all, `/users/NAME/#` for the user \
         of that name, nothing else for anybody.",
        Access::Broker {
            get: |config| Value::Choice(word(PRESETS, &config.acl_preset)),
            set: |config, value| {
                if let Value::Choice(word) = value {
                    config.acl_preset = meaning(PRESETS, word).unwrap_or_default();
                }
            },
        },
    ),
    key(
        Section::Listener,
        "authenticate",
        Kind::Flag,
        "",
        "Whether `[auth]` applies to clients of this listener.",
        Access::Listener {
            get: |listener| Value::Flag(listener.authenticate),
            set: |listener, value| listener.authenticate = value == Value::Flag(true),
        },
    ),
    key(
        Section::Listener,
        "authorize",
        Kind::Flag,
        "",
        "Whether `[acl]` applies to clients of this listener.",
        Access::Listener {
            get: |listener| Value::Flag(listener.authorize),
            set: |listener, value| listener.authorize = value == Value::Flag(true),
        },
    ),
    key(
        Section::Listener,
        "certificate_identity",
        Kind::Choice(&["none", "common-name", "subject", "dns", "email", "uri"]),
        "",
        "What of a client's certificate says who it is: that name becomes the user, without a password. `dns`, `email` and `uri` take the \
         first alternative name of that kind. A certificate without such a name is refused. Wants `client_certificate`; where that is \
         `optional`, clients without a certificate are asked for a password as elsewhere.",
        Access::Listener {
            get: |listener| Value::Choice(word(IDENTITIES, &listener.certificate_identity)),
            set: |listener, value| {
                if let Value::Choice(word) = value {
                    listener.certificate_identity = meaning(IDENTITIES, word).flatten();
                }
            },
        },
    ),
    key(
        Section::Listener,
        "certificate_and_password",
        Kind::Flag,
        "",
        "Whether a client with a certificate must also log in by user name and password (`[auth]`), under the name that its certificate has.",
        Access::Listener {
            get: |listener| {
                Value::Flag(listener.certificate_password == CertificatePassword::Wanted)
            },
            set: |listener, value| {
                listener.certificate_password = if value == Value::Flag(true) {
                    CertificatePassword::Wanted
                } else {
                    CertificatePassword::NotWanted
                };
            },
        },
    ),
];

impl Config {
    /// Whether this listener's clients can prove who they are.
    pub(crate) fn authenticates(&self, listener: &Listener) -> bool {
        listener.authenticate && (self.checks_passwords() || self.identifies(listener))
            || self.handlers_authenticate(listener)
    }

    /// Whether somebody checks what clients give as password: a file, or the key of tokens.
    pub(crate) fn checks_passwords(&self) -> bool {
        self.password_file.is_some() || self.tokens.key_file.is_some()
    }

    /// Whether clients of this listener are known by their certificates.
    pub(crate) fn identifies(&self, listener: &Listener) -> bool {
        listener.certificate_identity.is_some()
    }

    /// Whether clients of this listener come in without proving who they are.
    pub(crate) fn is_open(&self, listener: &Listener) -> bool {
        listener.allow_anonymous.unwrap_or_else(|| {
            crate::url::is_loopback(&listener.url) && !self.authenticates(listener)
        })
    }
}

fn path(path: Option<&PathBuf>) -> Value {
    path.map_or(Value::Unset, |path| Value::Text(path.display().to_string()))
}
