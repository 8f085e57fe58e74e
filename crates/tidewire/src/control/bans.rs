//! Bans: the words of the control socket, and what they do.

use super::protocol::{Answer, Ban, Banned, Body};
use std::fmt::{self, Write as _};
use std::time::Duration;
use tidewire_broker::handlers::{self, Bans};

impl From<&Banned> for handlers::Banned {
    fn from(who: &Banned) -> Self {
        match who {
            Banned::Address(address) => Self::Address(address.to_canonical()),
            Banned::User(user) => Self::User(user.as_str().into()),
            Banned::Client(client_id) => Self::Client(client_id.as_str().into()),
        }
    }
}

impl From<handlers::Banned> for Banned {
    fn from(who: handlers::Banned) -> Self {
        match who {
            handlers::Banned::Address(address) => Self::Address(address),
            handlers::Banned::User(user) => Self::User(user.into()),
            handlers::Banned::Client(client_id) => Self::Client(client_id.into()),
        }
    }
}

/// Quoted and escaped: clients choose their names, and a terminal obeys some of what they could choose.
impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "address {address}"),
            Self::User(user) => write!(f, "user {user:?}"),
            Self::Client(client_id) => write!(f, "client {client_id:?}"),
        }
    }
}

pub(crate) fn ban(bans: &Bans, who: Banned, secs: Option<u64>) -> Answer {
    bans.ban((&who).into(), secs.map(Duration::from_secs));
    tracing::info!(%who, ?secs, "banned");
    Answer::done(Body::Banned(who))
}

pub(crate) fn unban(bans: &Bans, who: Banned) -> Answer {
    if bans.lift(&(&who).into()) {
        tracing::info!(%who, "ban lifted");
        return Answer::done(Body::Banned(who));
    }
    Answer::refused("not_banned", format!("{who} is not banned"))
}

pub(crate) fn list(bans: &Bans) -> Answer {
    let ban = |(who, left): (handlers::Banned, Option<Duration>)| Ban {
        who: who.into(),
        secs: left.map(|left| left.as_secs() + 1),
    };
    Answer::done(Body::Bans(bans.bans().into_iter().map(ban).collect()))
}

pub(super) fn show(bans: &[Ban]) -> String {
    let mut text = String::new();
    for Ban { who, secs } in bans {
        let _ = match secs {
            Some(secs) => writeln!(text, "{who}, {secs} s more"),
            None => writeln!(text, "{who}, until it is lifted"),
        };
    }
    if bans.is_empty() {
        text.push_str("nobody is banned\n");
    }
    text
}
