//! What is retained, as an application or an operator sees it.

use crate::handle::{BrokerGone, BrokerHandle};
use crate::request::Request;
use std::sync::mpsc::channel;
use tidewire_core::route::topic_tree::Cursor;
use tidewire_core::{Command, Reply, RetainedRow, Ticket};

/// Where a list of retained messages goes on.
#[derive(Clone, Debug)]
pub struct RetainedCursor {
    worker: usize,
    from: Option<Box<Cursor>>,
}

/// A page of retained messages.
#[derive(Clone, Debug)]
pub struct RetainedPage {
    /// The rows, in no particular order; there may be none though this is not the last page.
    pub rows: Vec<RetainedRow>,
    /// Where the next page starts; `None` = this was the last.
    pub next: Option<RetainedCursor>,
}

impl BrokerHandle {
    /// A page of the retained messages that match a filter, at most 256, from the cursor of the page before or from the
    /// beginning. Messages that come or go between the pages may be missed; one that is there all the time is shown once.
    /// A filter that is none, or a shared one, matches nothing.
    ///
    /// # Errors
    /// [`BrokerGone`].
    pub fn retained(
        &self,
        filter: &str,
        from: Option<RetainedCursor>,
        most: usize,
    ) -> Result<RetainedPage, BrokerGone> {
        let access = self.access()?;
        let (worker, from) = from.map_or((0, None), |at| (at.worker, at.from));
        let (reply, answer) = channel();
        let command = Box::new(Command::ListRetained {
            // The worker gives it one of its own.
            ticket: Ticket(0),
            filter: filter.into(),
            from,
            most,
        });
        if worker >= access.mailboxes.len() {
            return Ok(RetainedPage {
                rows: Vec::new(),
                next: None,
            });
        }
        access.ask(worker, Request::Command { command, reply });
        let Reply::Retained { rows, next } = answer.recv().map_err(|_| BrokerGone)? else {
            return Err(BrokerGone);
        };
        let next = match next {
            Some(from) => Some(RetainedCursor {
                worker,
                from: Some(from),
            }),
            None if worker + 1 < access.mailboxes.len() => Some(RetainedCursor {
                worker: worker + 1,
                from: None,
            }),
            None => None,
        };
        Ok(RetainedPage { rows, next })
    }
}
