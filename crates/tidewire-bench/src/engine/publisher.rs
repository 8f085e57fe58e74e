//! One publishing connection and what it may send.

use std::ops::Range;

use super::block::PacketBlock;
use super::link::{Link, Written};
use crate::encode::{self, AckKind, Qos};
use crate::error::Result;
use crate::frame::Frame;
use crate::sequence::{Completion, Faults};

/// Whether new messages may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Only what has been started is finished.
    Draining,
}

#[derive(Debug)]
pub(super) struct Publisher {
    pub(super) link: Link,
    pub(super) completion: Completion,
    block: PacketBlock,
    /// Numbered packets that are not written yet.
    unsent: Range<usize>,
    sent: u64,
    acknowledged: u64,
    qos: Qos,
    pace: Pace,
    /// Whether it waits in the engine's list of those that may send.
    pub(super) queued: bool,
}

/// How many messages it may start.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// A burst whenever it fits the window.
    Window { window: u64, burst: u64, left: u64 },
    /// Up to `due` messages since the first, unless `window` are under way.
    Due { due: u64, window: u64 },
}

impl Publisher {
    pub(super) fn new(
        link: Link,
        block: PacketBlock,
        completion: Completion,
        qos: Qos,
        pace: Pace,
    ) -> Self {
        let (sent, acknowledged, queued) = (0, 0, false);
        Self {
            link,
            completion,
            block,
            unsent: 0..0,
            sent,
            acknowledged,
            qos,
            pace,
            queued,
        }
    }

    /// One more message is due.
    pub(super) fn owe_one(&mut self) {
        if let Pace::Due { due, .. } = &mut self.pace {
            *due += 1;
        }
    }

    /// Sends all it may now.
    pub(super) fn pump(&mut self, gate: Gate) -> Result<()> {
        while self.write_pending()? == Written::All {
            let count = self.allowance(gate);
            if count == 0 {
                break;
            }
            let (range, numbered) = self.block.number(self.sent, count as usize);
            self.unsent = range;
            self.sent += numbered as u64;
            if let Pace::Window { left, .. } = &mut self.pace {
                *left -= numbered as u64;
            }
        }
        Ok(())
    }

    /// Reads acknowledgements; a PUBREC is answered with PUBREL. Returns the reason if the broker said DISCONNECT.
    pub(super) fn read(&mut self, buffer: &mut [u8], faults: &mut Faults) -> Result<Option<u8>> {
        let Self {
            link, acknowledged, ..
        } = self;
        let mut dismissed = None;
        link.read(buffer, |frame, out| match frame {
            Frame::Ack {
                kind,
                packet_id,
                reason,
            } => {
                let refused = reason >= 0x80;
                faults.refused += u64::from(refused);
                match kind {
                    AckKind::PubRec if !refused => {
                        out.extend_from_slice(&encode::ack(AckKind::PubRel, packet_id));
                    }
                    AckKind::PubRel => faults.foreign += 1,
                    _ => *acknowledged += 1,
                }
            }
            Frame::Disconnect { reason } => dismissed = Some(reason),
            _ => faults.foreign += 1,
        })?;
        Ok(dismissed)
    }

    /// Whether [`Publisher::pump`] could start a message.
    #[inline]
    pub(super) fn may_send(&self) -> bool {
        match self.pace {
            Pace::Window {
                window,
                burst,
                left,
            } => left > 0 || self.under_way() + burst <= window,
            Pace::Due { due, window } => self.sent < due && self.under_way() < window,
        }
    }

    /// Messages sent and not yet delivered to all, or not yet acknowledged.
    #[inline]
    pub(super) fn under_way(&self) -> u64 {
        let finished = match self.qos {
            Qos::AtMostOnce => self.completion.done(),
            _ => self.completion.done().min(self.acknowledged),
        };
        self.sent.saturating_sub(finished)
    }

    pub(super) fn is_drained(&self) -> bool {
        let nothing_due = match self.pace {
            Pace::Window { left, .. } => left == 0,
            Pace::Due { due, .. } => self.sent == due,
        };
        nothing_due && self.unsent.is_empty() && !self.link.has_output() && self.under_way() == 0
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// What changes whenever the broker does anything for it.
    pub(super) fn progress(&self) -> u64 {
        self.sent + self.acknowledged + self.completion.done()
    }

    fn allowance(&mut self, gate: Gate) -> u64 {
        let under_way = self.under_way();
        match &mut self.pace {
            Pace::Window {
                window,
                burst,
                left,
            } => {
                if *left == 0 && gate == Gate::Open && under_way + *burst <= *window {
                    *left = *burst;
                }
                *left
            }
            Pace::Due { due, window } => (*due - self.sent).min(window.saturating_sub(under_way)),
        }
    }

    fn write_pending(&mut self) -> Result<Written> {
        if !self.unsent.is_empty() {
            let written = self.link.write(self.block.bytes(self.unsent.clone()))?;
            self.unsent.start += written;
            if !self.unsent.is_empty() {
                return Ok(Written::Part);
            }
        }
        self.link.flush()
    }
}
