//! Why there is no client.

use std::fmt;
use std::sync::Arc;

use tidewire_codec::{EncodeError, TopicError};

use crate::event::ConnectError;
use crate::protocol::{PublishFault, RequestError};
use crate::url::UrlError;

/// Options that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionsError {
    /// A server's address.
    Url(UrlError),
    /// The option of this name exists in MQTT 5.0 only.
    NeedsV5(&'static str),
    /// A property cannot be sent.
    Property(EncodeError),
    /// The will.
    Will(PublishFault),
    /// Before MQTT 5.0 there is no password without a user name.
    PasswordWithoutUsername,
    /// A session that is kept needs a client identifier to be found by.
    SessionWithoutClientId,
    /// A filter of a route.
    Filter(TopicError),
    /// A subscription.
    Subscription(RequestError),
    /// The transport of a URL is not in this build; the second text says what to use.
    NotInThisBuild(&'static str, &'static str),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => write!(f, "{error}"),
            Self::NeedsV5(name) => write!(
                f,
                "{name} exists in MQTT 5.0 only; choose version 5 or leave it out"
            ),
            Self::Property(error) => write!(f, "a property of CONNECT cannot be sent: {error}"),
            Self::Will(fault) => write!(f, "the will cannot be sent: {fault}"),
            Self::PasswordWithoutUsername => {
                f.write_str("a password without a user name exists in MQTT 5.0 only; give both")
            }
            Self::SessionWithoutClientId => {
                f.write_str("a session that is kept needs a client identifier")
            }
            Self::Filter(error) => write!(f, "the filter of a route is not valid: {error}"),
            Self::Subscription(error) => write!(f, "{error}"),
            Self::NotInThisBuild(what, instead) => {
                write!(f, "this build has no {what}; use {instead}")
            }
        }
    }
}

impl std::error::Error for OptionsError {}

/// Why [`Builder::connect`](crate::Builder::connect) returned no client.
#[derive(Clone, Debug)]
pub enum StartError {
    /// The options cannot be.
    Options(OptionsError),
    /// There is no connection.
    Connect(Arc<ConnectError>),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options(error) => write!(f, "{error}"),
            Self::Connect(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for StartError {}
