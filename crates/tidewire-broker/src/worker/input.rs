//! Feeding the core, and doing what it says.

use crate::driver::Driver;
use crate::events;
use crate::extend::{Frames, introduce};
use crate::request::{Awaiting, SessionsReply};
use crate::worker::Worker;
use crate::worker::accept::ListenerGauge;
use crate::worker::links::Phase;
use crate::worker::receive::ReadUntil;
use std::sync::Arc;
use tidewire_codec::Version;
use tidewire_core::{
    Admission, Command, ConnKey, Input, Next, Output, PeerFacts, Question, Reply, Ticket, WorkerId,
};
use tidewire_handler::Client;

/// What became of the connection whose bytes are being handled.
#[derive(Default)]
pub(crate) enum Fate {
    /// Nothing special.
    #[default]
    Stays,
    /// Handlers are to be consulted about the frames at the beginning of the unused bytes.
    Consults(Consultation),
    /// A gate closed and opened again: the rest of its bytes can be offered at once.
    Reopened,
    /// Its session lives elsewhere.
    Moves {
        to: WorkerId,
        admission: Box<Admission>,
    },
}

/// What [`Output::Consult`] says, but for the connection.
pub(crate) struct Consultation {
    ticket: Ticket,
    frame_len: usize,
    count: u32,
    topic: Option<Box<str>>,
}

impl<D: Driver> Worker<D> {
    /// Gives the core an input that is not bytes of a connection, and does what follows from it.
    pub(crate) fn handle(&mut self, input: Input<'_>) {
        let Self {
            core,
            interest,
            now,
            ..
        } = self;
        interest.read(|interest| core.handle(*now, interest, input));
        self.drain(None);
    }

    /// Offers bytes to the core as long as it uses them; returns how many it has used, and where to move, if so.
    pub(crate) fn offer(&mut self, key: ConnKey, bytes: &[u8]) -> (usize, Fate) {
        self.take_news();
        let mut used = 0;
        let mut input = Input::Bytes { conn: key, bytes };
        loop {
            let Self {
                core,
                interest,
                now,
                ..
            } = self;
            let step = interest.read(|interest| core.handle(*now, interest, input));
            used += step;
            let fate = self.drain(Some(key));
            let bytes = &bytes[used..];
            input = Input::Bytes { conn: key, bytes };
            match fate {
                Fate::Consults(consultation) => {
                    let (allowed, next) = self.consult(key, bytes, &consultation);
                    input = Input::Consulted {
                        conn: key,
                        ticket: consultation.ticket,
                        bytes,
                        allowed,
                        next,
                    };
                }
                // Without progress it is another gate's turn: `resumed` tries again when the others have been served.
                Fate::Reopened if step == 0 => {
                    self.resumed.push(key);
                    return (used, Fate::Stays);
                }
                Fate::Reopened if !bytes.is_empty() => {}
                fate => return (used, fate),
            }
        }
    }

    /// Does what the core says. `current` is the connection whose bytes are being handled: the caller has its unused
    /// bytes, and settles its fate.
    pub(crate) fn drain(&mut self, current: Option<ConnKey>) -> Fate {
        let mut fate = Fate::Stays;
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Close { conn } => self.begin_close(conn),
                Output::Move {
                    conn,
                    to,
                    admission,
                } if Some(conn) == current => {
                    fate = Fate::Moves { to, admission };
                }
                Output::Move {
                    conn,
                    to,
                    admission,
                } => self.hand_over(conn, to, admission),
                Output::Resume { conn } if Some(conn) == current => fate = Fate::Reopened,
                Output::Resume { conn } => self.resumed.push(conn),
                Output::Ask { ticket, question } => self.ask(ticket, question),
                Output::Consult {
                    ticket,
                    frame_len,
                    count,
                    topic,
                    ..
                } => {
                    fate = Fate::Consults(Consultation {
                        ticket,
                        frame_len,
                        count,
                        topic,
                    });
                }
                Output::Store { ticket, request } => {
                    if let (Some(desk), Some(port)) = (&mut self.desk, self.driver.store()) {
                        desk.take(port, ticket, request);
                    }
                }
                Output::Interest(change) => self.interest.note(change),
                Output::Event(event) => {
                    let name = |peer: &PeerFacts| {
                        let gauge = self.gauges.get(usize::from(peer.listener));
                        gauge.map_or("", ListenerGauge::name)
                    };
                    events::log(&event, name);
                    self.decider.observe(&event);
                }
                Output::Reply { ticket, reply } => self.reply(ticket, reply),
            }
        }
        fate
    }

    fn ask(&mut self, ticket: Ticket, question: Question) {
        let decided = match question {
            Question::Raw { conn, packet } => self.ask_controller(ticket, conn, &packet),
            question => {
                let client = self.client_of(conn_of(&question));
                self.decider.ask(ticket, question, client, &self.port)
            }
        };
        if let Some(answer) = decided {
            let Self {
                core,
                interest,
                now,
                ..
            } = self;
            interest.read(|interest| core.handle(*now, interest, Input::Answer { ticket, answer }));
        }
    }

    /// What handlers say on the spot about the frames at the beginning of the bytes.
    fn consult(&mut self, key: ConnKey, bytes: &[u8], about: &Consultation) -> (u32, Next) {
        let client = self.client_of(key);
        let frames = Frames {
            version: self.core.who_is(key).map_or(Version::V5, |who| who.version),
            bytes,
            frame_len: about.frame_len,
            count: about.count,
            topic: about.topic.as_deref(),
        };
        self.decider
            .consult(about.ticket, client, &frames, &self.port)
    }

    /// What handlers know of a connection; if they were added after it had come, what the core knows of it.
    fn client_of(&mut self, key: ConnKey) -> Option<Arc<Client>> {
        let link = self.links.get_mut(key)?;
        match &link.client {
            None => link.client = self.decider.acquaintance(self.core.who_is(key)?),
            // Nobody was asked about its CONNECT, so nobody has introduced it.
            Some(client) if client.client_id().is_empty() => {
                introduce(client, &self.core.who_is(key)?);
            }
            Some(_) => {}
        }
        link.client.clone()
    }

    /// Tells the core what to watch for, if handlers have come or gone.
    #[inline]
    pub(crate) fn take_news(&mut self) {
        if let Some(watches) = self.decider.news() {
            for (listener, watch) in watches {
                self.handle(Input::Command(Command::Watch { listener, watch }));
            }
        }
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        // An asker that no longer waits needs no reply.
        match (self.awaiting.remove(&ticket), reply) {
            (Some(Awaiting::Kick(asker)), Reply::Kicked { connections }) => {
                let _ = asker.send(connections);
            }
            (Some(Awaiting::Reply(asker)), reply) => drop(asker.send(reply)),
            (Some(Awaiting::Sessions(asker)), Reply::Sessions { rows, next }) => {
                let _ = asker.send(SessionsReply { rows, next });
            }
            _ => {}
        }
    }

    /// Offers the unread bytes of connections whose gate has opened, and reads on.
    pub(crate) fn resume_all(&mut self) {
        // A gate that opens and closes with every packet is served again in the next turn, behind all others.
        for _ in 0..self.resumed.len() {
            let Some(key) = self.resumed.pop() else {
                return;
            };
            match self.links.get_mut(key) {
                Some(link) if link.phase == Phase::Withheld => link.phase = Phase::Reading,
                Some(link) if link.phase == Phase::Reading => {}
                _ => continue,
            }
            // The end of the stream may have been reported while nobody listened.
            self.read_later(key, ReadUntil::Blocked);
        }
    }
}

/// Whose connection a question is about.
fn conn_of(question: &Question) -> ConnKey {
    match question {
        Question::Authenticate(credentials) => credentials.conn,
        Question::AuthenticationStep { conn, .. }
        | Question::AuthorizePublish { conn, .. }
        | Question::AuthorizeSubscribe { conn, .. }
        | Question::Subscribe { conn, .. }
        | Question::Unsubscribe { conn, .. }
        | Question::Raw { conn, .. }
        | Question::Deliver { conn, .. } => *conn,
    }
}
