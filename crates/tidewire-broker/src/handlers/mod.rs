//! Handlers that come with the broker: ordinary ones, each in a file of its own, on the same contract as yours.
//!
//! - [`PasswordFile`]: user names and passwords, in mosquitto's file format. [`PasswordRecord`] is one line of it.
//! - [`Bans`]: who may not come in for a while.
//! - [`ClientCertificate`]: the name in a TLS certificate.
//! - `TokenAuthenticator` (feature `jwt`): JSON Web Tokens, with rules in them if so wished.
//! - [`AclRules`]: who may publish and subscribe where, from mosquitto's ACL files or a preset. [`TomlRules`]: the same from TOML, with
//!   groups, addresses and listeners.
//! - `LuaHandler` (feature `lua`): a script. `WebhookHandler` (feature `http`): a server that is asked and told by HTTP.

mod acl_rules;
mod bans;
mod client_certificate;
#[cfg(feature = "foreign")]
#[cfg_attr(
    not(all(feature = "http", feature = "lua")),
    allow(dead_code, reason = "each kind of handler uses its own part")
)]
mod foreign;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "lua")]
mod lua;
mod password_file;
mod password_record;
mod patterns;
mod toml_rules;
#[cfg(feature = "http")]
mod webhook;

pub use acl_rules::{AclError, AclRules, Verdict};
pub use bans::{BanSettings, Banned, Bans};
pub use client_certificate::{CertificateIdentity, CertificatePassword, ClientCertificate};
#[cfg(feature = "jwt")]
pub use jwt::{TokenAuthenticator, TokenKeyError, TokenKeys, TokenSettings};
#[cfg(feature = "lua")]
pub use lua::{LuaHandler, LuaHandlerError, LuaSettings};
pub use password_file::{PasswordFile, PasswordFileError};
pub use password_record::{HashAlgorithm, PasswordRecord, RecordError};
pub use toml_rules::{Access, TomlRules, TomlRulesError, Wish};
#[cfg(feature = "http")]
pub use webhook::{WebhookError, WebhookHandler, WebhookSettings};
