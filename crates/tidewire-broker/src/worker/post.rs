//! Mail: what comes from other workers and the rest of the process, and what goes to other workers.

use crate::desk::Desk;
use crate::driver::Driver;
use crate::mailbox::Mail;
use crate::request::{Awaiting, Request};
use crate::worker::links::Link;
use crate::worker::receive::ReadUntil;
use crate::worker::unread::Unread;
use crate::worker::{Stopping, Worker};
use std::sync::Arc;
use tidewire_core::{
    Admission, Command, ConnKey, Input, PeerFacts, Ticket, Time, WorkerId, WorkerSet,
};
use tidewire_handler::Client;

/// Pieces of mail that one turn takes: enough for a batch of every other worker and some requests, so that a
/// flood of mail does not keep a worker from its own connections.
const MAIL_PER_TURN: usize = 1024;

/// A connection on its way to the worker of its session: one value.
pub(crate) struct Handover<T> {
    transport: T,
    unread: Unread,
    policy: u16,
    client: Option<Arc<Client>>,
    admission: Box<Admission>,
}

impl<D: Driver> Worker<D> {
    pub(crate) fn take_mail(&mut self) {
        let mailbox = Arc::clone(&self.mailboxes[usize::from(self.id.0)]);
        for _ in 0..MAIL_PER_TURN {
            match mailbox.take() {
                Some(mail) => self.open_mail(mail),
                None => break,
            }
        }
        if mailbox.has_caught_up() {
            self.mailboxes.iter().for_each(|peer| peer.ring());
        }
        self.resume_all();
    }

    /// Publishes changed interest, then sends off what the core has for other workers. Whoever sleeps and gets much is
    /// woken here; whoever gets little is left to [`Worker::little_mail`].
    pub(crate) fn ship(&mut self) {
        // Before anybody can act on what is published and sent: it must not be stored later than what follows from it.
        self.hand_over_to_store();
        self.interest.publish();
        self.decider.tell();
        while let Some((to, batch)) = self.core.take_mail() {
            let index = usize::from(to.0);
            let Some(mailbox) = self.mailboxes.get(index) else {
                continue;
            };
            self.shipped[index] += batch.len();
            mailbox.put(Mail::Batch {
                from: self.id,
                batch,
            });
        }
        for (mailbox, items) in self.mailboxes.iter().zip(&mut self.shipped) {
            if *items > LITTLE_MAIL_ITEMS {
                *items = 0;
                mailbox.ring();
            }
        }
    }

    fn hand_over_to_store(&mut self) {
        if let (Some(desk), Some(port)) = (&mut self.desk, self.driver.store()) {
            desk.hand_over(port);
        }
        while let Some((ticket, answer)) = self.desk.as_mut().and_then(Desk::bounced) {
            self.handle(Input::Stored { ticket, answer });
        }
    }

    /// The workers that got a little mail in this turn and have not been woken for it.
    pub(crate) fn little_mail(&mut self) -> WorkerSet {
        let recipients = (0..)
            .zip(&mut self.shipped)
            .filter(|(_, items)| **items > 0);
        recipients
            .map(|(index, items)| (*items = 0, WorkerId(index)).1)
            .collect()
    }

    /// Sends a connection to the worker of its session.
    pub(crate) fn hand_over(&mut self, key: ConnKey, to: WorkerId, admission: Box<Admission>) {
        let Some(mut link) = self.links.remove(key) else {
            return;
        };
        let (Some(mailbox), Ok(())) = (
            self.mailboxes.get(usize::from(to.0)),
            self.driver.deregister(&mut link.transport),
        ) else {
            return self.leave(link.policy);
        };
        let Link {
            transport,
            unread,
            policy,
            client,
            ..
        } = link;
        mailbox.post(Mail::Handover(Box::new(Handover {
            transport,
            unread,
            policy,
            client,
            admission,
        })));
    }

    fn open_mail(&mut self, mail: Mail<D::Transport>) {
        match mail {
            Mail::Batch { from, batch } => {
                self.handle(Input::Mail { from, batch });
                if let (Some(spent), Some(sender)) = (
                    self.core.take_spent_batch(),
                    self.mailboxes.get(usize::from(from.0)),
                ) {
                    // Not worth waking anybody for.
                    sender.put(Mail::Spent(spent));
                }
            }
            Mail::Spent(batch) => self.core.reuse_batch(batch),
            Mail::Handover(handover) => self.adopt(*handover),
            Mail::Newcomer(newcomer) => self.enter(*newcomer),
            Mail::Ready(ready) => self.serve_ready(&[ready]),
            Mail::Answer { ticket, answer } => self.handle(Input::Answer {
                ticket,
                answer: *answer,
            }),
            Mail::Entry { conn, refused } => self.on_entry(conn, refused.map(|denial| *denial)),
            Mail::Bell { conn, bell } => self.on_bell(conn, bell),
            Mail::Stored(answers) => self.take_answers(answers),
            Mail::Request(request) => self.serve_request(*request),
            Mail::FiguresWanted { by, round } => self.send_figures(by, round),
            Mail::Figures { round, stats } => self.add_figures(round, &stats),
        }
    }

    /// Gives the core what the store has answered.
    fn take_answers(&mut self, answers: Vec<(tidewire_store::Ticket, tidewire_store::Answer)>) {
        for (ticket, answer) in answers {
            let Self {
                core,
                interest,
                now,
                desk: Some(desk),
                ..
            } = self
            else {
                return;
            };
            interest.read(|interest| {
                desk.settle(ticket, answer, |ticket, answer| {
                    core.handle(*now, interest, Input::Stored { ticket, answer });
                });
            });
            self.drain(None);
        }
    }

    fn adopt(&mut self, handover: Handover<D::Transport>) {
        let Handover {
            mut transport,
            unread,
            policy,
            client,
            admission,
        } = handover;
        let key = self.links.next_key();
        if let Err(error) = self.driver.register(&mut transport, key.slot) {
            tracing::warn!(target: crate::events::LOG, %error, "cannot watch a connection: dropped");
            return self.leave(policy);
        }
        self.links
            .insert(Link::new(transport, unread, policy, client));
        self.handle(Input::Adopt {
            conn: key,
            admission,
        });
        self.receive(key, ReadUntil::Blocked);
    }

    /// Takes in a transport that is open and has sent nothing yet that anybody has read.
    pub(crate) fn admit(&mut self, mut transport: D::Transport, policy: u16, address: Box<str>) {
        let key = self.links.next_key();
        if let Err(error) = self.driver.register(&mut transport, key.slot) {
            tracing::warn!(target: crate::events::LOG, %address, %error, "cannot watch a connection: dropped");
            return self.leave(policy);
        }
        let peer = Arc::new(PeerFacts {
            listener: policy,
            address,
            way: None,
        });
        self.links
            .insert(Link::new(transport, Unread::Nothing, policy, None));
        self.welcome(key, peer);
    }

    fn serve_request(&mut self, request: Request) {
        match request {
            // An asker that no longer waits needs no reply.
            Request::Stats { reply } => drop(reply.send(*self.core.stats())),
            Request::Listeners { reply } => {
                let shown = self.gauges.len().saturating_sub(1);
                let figures = self.gauges.iter().take(shown).map(|gauge| gauge.figures());
                drop(reply.send(figures.collect()));
            }
            Request::Kick { client_id, reply } => {
                let ticket = self.await_reply(Awaiting::Kick(reply));
                self.handle(Input::Command(Command::Kick { ticket, client_id }));
            }
            Request::Sessions { after, most, reply } => {
                let ticket = self.await_reply(Awaiting::Sessions(reply));
                self.handle(Input::Command(Command::ListSessions {
                    ticket,
                    after,
                    most,
                }));
            }
            Request::Forward { publish, done } => {
                self.handle(Input::Command(Command::Forward(publish)));
                drop(done);
            }
            Request::Command { command, reply } => {
                let ticket = self.await_reply(Awaiting::Reply(reply));
                self.handle(Input::Command(command.named(ticket)));
            }
            Request::Publish(message) => self.handle(Input::Command(Command::Publish(message))),
            Request::Shutdown { deadline } => self.begin_shutdown(deadline),
        }
    }

    fn await_reply(&mut self, awaiting: Awaiting) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.awaiting.insert(ticket, awaiting);
        ticket
    }

    fn begin_shutdown(&mut self, deadline: Time) {
        if let Some(stopping) = &mut self.stopping {
            stopping.deadline = stopping.deadline.min(deadline);
            return;
        }
        self.driver.stop_listening();
        self.doors.clear();
        self.sys = None;
        self.drop_openings();
        self.drop_entering();
        self.stopping = Some(Stopping {
            deadline,
            connections: self.links.len(),
        });
        self.handle(Input::Command(Command::Shutdown));
    }
}

/// A hand-over of so few items is served by its sender if the receiver sleeps: it costs less than waking a thread.
pub(crate) const LITTLE_MAIL_ITEMS: usize = 16;
