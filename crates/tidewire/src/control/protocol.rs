//! Requests and answers of the control socket, version 1.

use super::retained::message::RetainedMessage;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The only version so far.
pub(crate) const VERSION: u32 = 1;

/// Largest request: a retained message of the largest packet with every byte escaped, and room around it.
pub(crate) const MAX_REQUEST_BYTES: u64 = 16 * 1024 * 1024;

/// A request; `{"v":1,"op":"status"}`.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Request {
    /// Version of the request.
    pub(crate) v: u32,
    /// What is asked.
    #[serde(flatten)]
    pub(crate) operation: Operation,
}

/// What can be asked.
#[derive(Serialize, Deserialize, Debug)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Operation {
    /// [`Status`].
    Status,
    /// [`Clients`].
    Clients,
    /// Disconnect one client.
    Kick {
        /// Its client identifier.
        client_id: String,
    },
    /// Keep somebody out.
    Ban {
        /// Whom.
        who: Banned,
        /// For how long; nothing = until it is lifted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        secs: Option<u64>,
    },
    /// Let somebody in again.
    Unban {
        /// Whom.
        who: Banned,
    },
    /// [`Ban`]s in force.
    Bans,
    /// A part of [`RetainedList`].
    Retained {
        /// Which topics.
        filter: String,
        /// Where the part before ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
    },
    /// Delete retained messages.
    DeleteRetained {
        /// Of which topics.
        filter: String,
    },
    /// Have topics keep messages.
    ImportRetained {
        /// The messages.
        messages: Vec<RetainedMessage>,
    },
}

/// Who is kept out.
#[derive(Clone, Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Banned {
    /// Everybody from an address.
    Address(std::net::IpAddr),
    /// Everybody with a user name.
    User(String),
    /// Everybody with a client identifier.
    Client(String),
}

/// A ban.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Ban {
    /// Whom.
    pub(crate) who: Banned,
    /// How many seconds it has left; nothing = until it is lifted.
    pub(crate) secs: Option<u64>,
}

/// An answer: `{"v":1,"ok":true,...}` or `{"v":1,"ok":false,"error":...,"message":...}`.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Answer {
    /// Version of the answer.
    pub(crate) v: u32,
    /// Whether the request was carried out.
    pub(crate) ok: bool,
    /// Why not.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<Refusal>,
    /// What was asked for.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) body: Option<Body>,
}

/// Why a request was not carried out.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Refusal {
    /// A word for programs.
    pub(crate) error: String,
    /// A sentence for people.
    pub(crate) message: String,
}

/// What was asked for.
#[derive(Serialize, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Body {
    /// The broker as a whole.
    Status(Box<Status>),
    /// Its clients.
    Clients(Clients),
    /// Who was disconnected.
    Kicked(String),
    /// Who was banned or let in again.
    Banned(Banned),
    /// The bans in force.
    Bans(Vec<Ban>),
    /// What is retained.
    Retained(RetainedList),
    /// How many retained messages were deleted.
    RetainedDeleted(u64),
    /// How many messages were published to be retained.
    RetainedImported(u64),
}

/// A part of what is retained.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct RetainedList {
    /// In no particular order.
    pub(crate) messages: Vec<RetainedMessage>,
    /// Names the next part; without it this was the last.
    pub(crate) next: Option<u64>,
}

/// The broker as a whole.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Status {
    /// The program's version.
    pub(crate) version: String,
    /// The broker's process.
    pub(crate) pid: u32,
    /// Seconds since it started.
    pub(crate) uptime_secs: u64,
    /// Its data directory.
    pub(crate) data_dir: String,
    /// Where it listens.
    pub(crate) listeners: Vec<Opened>,
    /// Its figures by name.
    pub(crate) stats: BTreeMap<String, u64>,
}

/// A listener that is open.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct Opened {
    /// Its name.
    pub(crate) name: String,
    /// What was asked for.
    pub(crate) url: String,
    /// What the system gave.
    pub(crate) address: String,
}

/// The clients with a session.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Clients {
    /// In the order of their identifiers.
    pub(crate) clients: Vec<Client>,
    /// Whether there are more than were listed.
    pub(crate) truncated: bool,
}

/// One client.
#[derive(Serialize, Deserialize, Debug)]
pub(crate) struct Client {
    /// Client identifier.
    pub(crate) client_id: String,
    /// Whether it has a connection now.
    pub(crate) connected: bool,
    /// Where it is connected from.
    pub(crate) address: Option<String>,
    /// Protocol version of its live or last connection.
    pub(crate) version: String,
    /// Who its session belongs to, if authentication said so.
    pub(crate) principal: Option<String>,
    /// Number of its subscriptions.
    pub(crate) subscriptions: u64,
    /// Messages sent to it and not yet acknowledged.
    pub(crate) inflight_messages: u64,
    /// Messages that wait for it.
    pub(crate) queued_messages: u64,
    /// Keep alive in force; 0 is none.
    pub(crate) keep_alive_secs: u16,
    /// How long its session outlives its connection.
    pub(crate) session_expiry_secs: u32,
}

impl Answer {
    /// The request was carried out.
    pub(crate) fn done(body: Body) -> Self {
        Self {
            v: VERSION,
            ok: true,
            refusal: None,
            body: Some(body),
        }
    }

    /// The request was not carried out.
    pub(crate) fn refused(error: &str, message: impl Into<String>) -> Self {
        let refusal = Refusal {
            error: error.to_owned(),
            message: message.into(),
        };
        Self {
            v: VERSION,
            ok: false,
            refusal: Some(refusal),
            body: None,
        }
    }
}
