//! Connections of raw listeners: each packet goes to the listener's controller, and its reply back.

use crate::driver::Driver;
use crate::events::LOG;
use crate::mailbox::Mail;
use crate::side::Side;
use crate::worker::Worker;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tidewire_codec::{Packet, ReasonCode};
use tidewire_core::{Answer, Command, ConnKey, Input, Ticket};
use tidewire_handler::{About, Bell, Client, Connection, Controller, LaterReply, Reply, dispatch};
use tracing::error;

/// The controllers of all listeners, by index; a broker's have none.
pub(crate) type Controllers = Arc<[Option<Arc<dyn Controller>>]>;

/// One worker's connections of raw listeners.
pub(crate) struct Raw {
    controllers: Controllers,
    /// Drives replies that take time; there is one if there is a controller.
    side: Option<Arc<Side>>,
    connections: HashMap<ConnKey, (Connection, Arc<dyn Controller>)>,
}

impl Raw {
    pub(crate) fn new(controllers: Controllers, side: Option<Arc<Side>>) -> Self {
        Self {
            controllers,
            side,
            connections: HashMap::new(),
        }
    }

    /// The connection is gone, and its controller is told.
    pub(crate) fn forget(&mut self, key: ConnKey) {
        if self.connections.is_empty() {
            return;
        }
        if let Some((connection, controller)) = self.connections.remove(&key) {
            connection.end();
            let told = catch_unwind(AssertUnwindSafe(|| controller.closed(&connection)));
            if told.is_err() {
                error!(target: LOG, address = connection.address(), "a controller panicked when its connection closed");
            }
        }
    }
}

impl<D: Driver> Worker<D> {
    /// A packet came; an answer, unless it takes time.
    pub(crate) fn ask_controller(
        &mut self,
        ticket: Ticket,
        conn: ConnKey,
        packet: &Packet<'static>,
    ) -> Option<Answer> {
        let Some((connection, controller)) = self.raw_connection(conn, packet) else {
            return Some(closed(ReasonCode::UnspecifiedError));
        };
        let replied = catch_unwind(AssertUnwindSafe(|| {
            match dispatch(&*controller, &connection, packet) {
                Reply::Later(work) => poll_once(work),
                reply => reply,
            }
        }));
        self.send_pushed(conn);
        match replied {
            Ok(Reply::Later(work)) => {
                let port = self.port.clone();
                if let Some(side) = &self.raw.side {
                    side.handle().spawn(async move {
                        port.answer(ticket, answer(settled(work).await));
                    });
                }
                None
            }
            Ok(reply) => Some(answer(reply)),
            Err(_) => {
                error!(target: LOG, address = connection.address(), packet = packet.packet_type().name(), "a controller panicked: the connection ends");
                Some(closed(ReasonCode::UnspecifiedError))
            }
        }
    }

    /// Sends what was pushed to a connection.
    pub(crate) fn send_pushed(&mut self, conn: ConnKey) {
        while let Some((connection, _)) = self.raw.connections.get(&conn) {
            let Some(packet) = connection.take_pushed() else {
                return;
            };
            let packet = Box::new(packet);
            self.command(Command::Push { conn, packet });
        }
    }

    /// A connection's owner rings.
    pub(crate) fn on_bell(&mut self, conn: ConnKey, bell: Bell) {
        self.send_pushed(conn);
        if let Bell::Close(reason) = bell {
            self.command(Command::Close { conn, reason });
        }
        self.drain(None);
    }

    /// Gives the core a command in the midst of something else, whose outputs are drained later.
    fn command(&mut self, command: Command) {
        let Self {
            core,
            interest,
            now,
            ..
        } = self;
        interest.read(|interest| core.handle(*now, interest, Input::Command(command)));
    }

    fn raw_connection(
        &mut self,
        conn: ConnKey,
        packet: &Packet<'_>,
    ) -> Option<(Connection, Arc<dyn Controller>)> {
        if let Some((connection, controller)) = self.raw.connections.get(&conn) {
            return Some((connection.clone(), Arc::clone(controller)));
        }
        let link = self.links.get_mut(conn)?;
        let controller = self
            .raw
            .controllers
            .get(usize::from(link.policy))?
            .clone()?;
        let who = self.core.who_is(conn)?;
        let name = self.gauges.get(usize::from(link.policy))?.name();
        let client = link
            .client
            .clone()
            .unwrap_or_else(|| Arc::new(Client::new(link.policy, name.into(), &who.peer.address)));
        if let Packet::Connect(connect) = packet {
            client.introduce(About {
                client_id: (&*connect.client_id).into(),
                username: connect.username.as_deref().map(Into::into),
                version: Some(connect.version),
            });
        }
        let mailbox = Arc::clone(&self.mailboxes[usize::from(self.id.0)]);
        let bell = move |bell| mailbox.post(Mail::Bell { conn, bell });
        let connection = Connection::new(client, bell);
        let known = (connection, controller);
        self.raw
            .connections
            .insert(conn, (known.0.clone(), Arc::clone(&known.1)));
        Some(known)
    }
}

/// A reply that takes time may be ready at once.
fn poll_once(mut work: LaterReply) -> Reply {
    let mut context = Context::from_waker(Waker::noop());
    match work.as_mut().poll(&mut context) {
        Poll::Ready(reply) => reply,
        Poll::Pending => Reply::Later(work),
    }
}

/// Waits for a reply, and for the one that it may promise in turn. One that panics closes.
async fn settled(work: LaterReply) -> Reply {
    let mut reply = Reply::Later(work);
    while let Reply::Later(work) = reply {
        reply = match tokio::spawn(work).await {
            Ok(reply) => reply,
            Err(error) => {
                error!(target: LOG, %error, "a controller panicked: the connection ends");
                Reply::Close(ReasonCode::UnspecifiedError)
            }
        };
    }
    reply
}

fn answer(reply: Reply) -> Answer {
    match reply {
        Reply::None | Reply::Later(_) => Answer::Allowed,
        Reply::Packet(packet) => Answer::Reply(packet),
        Reply::Close(reason) => closed(reason),
    }
}

fn closed(reason: ReasonCode) -> Answer {
    Answer::Closed {
        reason,
        text: Some("closed by the controller".into()),
    }
}
