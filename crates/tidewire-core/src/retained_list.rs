//! What is retained, page by page, for the server itself: no session is involved.

use crate::core::Core;
use crate::message::Message;
use crate::output::Reply;
use crate::route::topic_tree::Cursor;
use std::ops::ControlFlow;

/// Nodes of the topic tree that one page looks at: a few milliseconds.
const STEPS_PER_PAGE: usize = 8_192;
/// Messages of a page at most.
const PAGE_MESSAGES: usize = 256;
/// Bytes of messages after which a page ends.
const PAGE_BYTES: u64 = 1024 * 1024;

/// A retained message.
#[derive(Clone, Debug)]
pub struct RetainedRow {
    /// The message.
    pub message: Message,
    /// Seconds until it expires; `None` = it stays.
    pub expiry_left_secs: Option<u32>,
}

impl Core {
    /// What this worker owns of the retained messages that match a filter. A page may be empty and not the last: it ends
    /// after a bounded piece of work.
    pub(crate) fn list_retained(&self, filter: &str, from: Option<&Cursor>, most: usize) -> Reply {
        let now = self.now;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        let most = most.clamp(1, PAGE_MESSAGES);
        let mut steps = STEPS_PER_PAGE;
        let show = |_: &str, message: &Message| {
            let parts = message.parts();
            if !parts.is_expired(now) {
                bytes += message.cost_bytes();
                rows.push(RetainedRow {
                    message: message.clone(),
                    expiry_left_secs: parts.expiry_left_secs(now),
                });
            }
            if rows.len() >= most || bytes >= PAGE_BYTES {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        };
        let next = self.retained.visit(filter, from, &mut steps, show);
        Reply::Retained {
            rows,
            next: next.map(Box::new),
        }
    }
}
