//! What the rest of the process asks of a worker, and the way back.

use std::sync::mpsc::Sender;
use tidewire_codec::Publish;
use tidewire_core::{Command, Reply, ServerPublish, SessionKey, SessionRow, Stats, Time};

/// A request to one worker. A reply goes through a channel that its asker reads.
pub(crate) enum Request {
    /// Counters and gauges.
    Stats { reply: Sender<Stats> },
    /// The figures of all listeners.
    Listeners { reply: Sender<Vec<ListenerFigures>> },
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
    /// Publish a whole packet with the server as origin. `done` is dropped when it is on its way.
    Forward {
        publish: Box<Publish<'static>>,
        done: Option<Sender<()>>,
    },
    /// Something that the core replies to.
    Command {
        command: Box<Command>,
        reply: Sender<Reply>,
    },
    /// Tell every client, close, and end by `deadline`.
    Shutdown { deadline: Time },
}

/// What has happened at a listener since the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerFigures {
    /// Its name.
    pub listener: Box<str>,
    /// Connections at this moment.
    pub connections: usize,
    /// Connections refused because there were `max_connections` already.
    pub refused_full: u64,
    /// Connections refused because they did not come from a trusted proxy.
    pub refused_strangers: u64,
    /// Connections that failed, or took too long, before their first byte of MQTT.
    pub failed_handshakes: u64,
    /// Connections that handlers refused before their CONNECT.
    pub turned_away: u64,
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
    Reply(Sender<Reply>),
}
