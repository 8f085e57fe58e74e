//! Who answers the core's questions.

use crate::mailbox::{Mail, Mailbox};
use std::sync::Arc;
use tidewire_codec::ReasonCode;
use tidewire_core::{Answer, ConnKey, Question, Ticket, WorkerId};
use tidewire_handler::Denial;

/// Answers the questions of one worker. It must not block: what needs time is answered later through the port.
pub trait Answerer: Send {
    /// Decides at once, or returns `None` and sees to it that [`AnswerPort::answer`] is called for this ticket; after
    /// `answer_timeout_secs` without one the core takes it as "no".
    fn ask(&mut self, ticket: Ticket, question: Question, port: &AnswerPort) -> Option<Answer>;
}

/// Makes the answerer of each worker.
pub type Answerers<'a> = &'a mut dyn FnMut(WorkerId) -> Box<dyn Answerer>;

/// The way of a late answer back to the worker that asked. Cheap to clone; works from any thread.
#[derive(Clone)]
pub struct AnswerPort {
    post: Arc<dyn Fn(Late) + Send + Sync>,
}

/// What comes late.
enum Late {
    Answer(Ticket, Answer),
    Entry(ConnKey, Option<Denial>),
}

impl AnswerPort {
    /// Answers a question. An answer that comes too late, or twice, is ignored.
    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        (self.post)(Late::Answer(ticket, answer));
    }

    /// Says whether a connection may come in.
    pub(crate) fn enter(&self, conn: ConnKey, refused: Option<Denial>) {
        (self.post)(Late::Entry(conn, refused));
    }

    pub(crate) fn to<T: Send + 'static>(mailbox: Arc<Mailbox<T>>) -> Self {
        Self {
            post: Arc::new(move |late| {
                mailbox.post(match late {
                    Late::Answer(ticket, answer) => Mail::Answer {
                        ticket,
                        answer: Box::new(answer),
                    },
                    Late::Entry(conn, refused) => Mail::Entry {
                        conn,
                        refused: refused.map(Box::new),
                    },
                });
            }),
        }
    }
}

impl std::fmt::Debug for AnswerPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerPort").finish_non_exhaustive()
    }
}

/// What a broker without any authenticator or authoriser answers: no. A listener that lets everybody in never asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct DenyAll;

impl Answerer for DenyAll {
    fn ask(&mut self, _: Ticket, _: Question, _: &AnswerPort) -> Option<Answer> {
        Some(Answer::Denied {
            reason: ReasonCode::NotAuthorized,
            text: Some("no authenticator is configured".into()),
        })
    }
}
