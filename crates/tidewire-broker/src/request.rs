//! What the rest of the process asks of a worker, and the way back.

use std::sync::mpsc::Sender;
use tidewire_core::{ServerPublish, SessionKey, SessionRow, Stats, Time};

/// A request to one worker. A reply goes through a channel that its asker reads.
pub(crate) enum Request {
    /// Counters and gauges.
    Stats { reply: Sender<Stats> },
    /// Close a client's connections; how many there were.
    Kick {
        client_id: Box<str>,
        reply: Sender<usize>,
    },
    /// A page of sessions.
    Sessions {
        after: Option<SessionKey>,
        most: usize,
        reply: Sender<SessionsReply>,
    },
    /// Publish with the server as origin.
    Publish(ServerPublish),
    /// Tell every client, close, and end by `deadline`.
    Shutdown { deadline: Time },
}

/// A page of one worker's sessions.
pub(crate) struct SessionsReply {
    pub(crate) rows: Vec<SessionRow>,
    /// Where the next page starts; `None` = this worker has no more.
    pub(crate) next: Option<SessionKey>,
}

/// Who waits for the core's reply to a command.
pub(crate) enum Awaiting {
    Kick(Sender<usize>),
    Sessions(Sender<SessionsReply>),
}
