//! Feeding the core, and doing what it says.

use crate::driver::Driver;
use crate::events;
use crate::extend::{Cut, conn_of};
use crate::request::{Awaiting, SessionsReply};
use crate::worker::Worker;
use crate::worker::accept::ListenerGauge;
use crate::worker::links::Phase;
use crate::worker::receive::ReadUntil;
use tidewire_core::{
    Admission, ConnKey, Input, Output, PeerFacts, Question, Reply, Ticket, TransportEnd, WorkerId,
};

/// What became of the connection whose bytes are being handled.
#[derive(Default)]
pub(crate) enum Fate {
    /// Nothing special.
    #[default]
    Stays,
    /// A gate closed and opened again: the rest of its bytes can be offered at once.
    Reopened,
    /// Its session lives elsewhere.
    Moves {
        to: WorkerId,
        admission: Box<Admission>,
    },
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
        let mut used = 0;
        loop {
            let Self {
                core,
                interest,
                now,
                ..
            } = self;
            let input = Input::Bytes {
                conn: key,
                bytes: &bytes[used..],
            };
            let step = interest.read(|interest| core.handle(*now, interest, input));
            used += step;
            match self.drain(Some(key)) {
                // Without progress it is another gate's turn: `resumed` tries again when the others have been served.
                Fate::Reopened if step == 0 => {
                    self.resumed.push(key);
                    return (used, Fate::Stays);
                }
                Fate::Reopened if used < bytes.len() => {}
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
        let conn = conn_of(&question);
        let link = self.links.get_mut(conn);
        let client = link.and_then(|link| link.client.clone());
        let decided = self.decider.ask(ticket, question, client, &self.port);
        if let Some((answer, cut)) = decided {
            if cut == Cut::Yes {
                // Its place in the table is needed until the answer has been dealt with.
                self.port.cut(conn);
            }
            let Self {
                core,
                interest,
                now,
                ..
            } = self;
            interest.read(|interest| core.handle(*now, interest, Input::Answer { ticket, answer }));
        }
    }

    /// A handler wants the connection closed.
    pub(crate) fn cut(&mut self, conn: ConnKey) {
        self.lose(conn, TransportEnd::Failed("closed by a handler".into()));
    }

    fn reply(&mut self, ticket: Ticket, reply: Reply) {
        // An asker that no longer waits needs no reply.
        match (self.awaiting.remove(&ticket), reply) {
            (Some(Awaiting::Kick(asker)), Reply::Kicked { connections }) => {
                let _ = asker.send(connections);
            }
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
