//! What workers send each other. A message between workers is what a message between nodes will be.

use crate::ack_lane::Receipt;
use crate::keys::{SessionAddress, SessionKey, WorkerId};
use crate::message::{Message, Origin};
use crate::outbound::Delivery;
use crate::route::topic_tree::Cursor;
use crate::scans::PageRequest;
use crate::shared::{GroupMark, MemberOptions, Presence};
use crate::store::Location;
use std::ops::Range;
use std::sync::Arc;
use tidewire_codec::ReasonCode;

/// One turn's mail from one worker to another, in order. Opaque to the driver, which only carries it.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) items: Vec<Item>,
    /// The frames that [`Item::Frames`] point into.
    pub(crate) bytes: Vec<u8>,
    /// Bytes of the messages in `items`.
    message_bytes: usize,
}

impl Batch {
    /// How many items it holds: the measure of "small" for whoever considers serving it on the spot.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// How much memory it holds, in bytes, shared messages counted whole: the measure of how far a receiver is behind.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.items.len() * size_of::<Item>() + self.bytes.len() + self.message_bytes
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Empties it and keeps a moderate amount of memory for the next turn.
    pub(crate) fn clear(&mut self) {
        const KEEP_BYTES: usize = 256 * 1024;
        const KEEP_ITEMS: usize = 4 * 1024;
        self.items.clear();
        self.bytes.clear();
        self.message_bytes = 0;
        self.items.shrink_to(KEEP_ITEMS);
        self.bytes.shrink_to(KEEP_BYTES);
    }
}

/// A run of equal-sized QoS 0 PUBLISH frames of one publisher to one topic, RETAIN 0, no properties.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<'a> {
    /// Whether a property length (0) stands before the payload, as MQTT 5 has it.
    pub(crate) v5: bool,
    pub(crate) topic: &'a str,
    pub(crate) frames: &'a [u8],
    pub(crate) frame_len: usize,
    /// Where a frame's payload begins.
    pub(crate) payload_at: usize,
}

/// Who sent a [`Run`]. Most receivers do not ask, so what it would cost to know is paid only by those who do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Publisher<'a> {
    /// A session of this worker, by its slot.
    Here(u32),
    /// A session of another one.
    Elsewhere(&'a Arc<Origin>),
}

impl<'a> Run<'a> {
    pub(crate) fn each(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.frames.chunks_exact(self.frame_len.max(1))
    }

    pub(crate) fn count(&self) -> usize {
        self.frames.len() / self.frame_len.max(1)
    }

    pub(crate) fn payload_of(&self, frame: &'a [u8]) -> &'a [u8] {
        frame.get(self.payload_at..).unwrap_or_default()
    }
}

#[derive(Debug)]
pub(crate) enum Item {
    /// A [`Run`] whose frames are in the batch's bytes; the topic is a range within the first frame.
    Frames {
        origin: Arc<Origin>,
        v5: bool,
        frames: Range<usize>,
        topic: Range<usize>,
        frame_len: usize,
        payload_at: usize,
    },
    /// A message for the receiver's own subscribers and groups, and where it is stored.
    Message(Message, Option<Location>),
    /// A message for the worker that owns the topic's retained state: it stores (if RETAIN) and fans out.
    ViaOwner(Message, Option<Receipt>),
    /// The owner has stored (or refused) a message: its publisher may know.
    Receipt {
        receipt: Receipt,
        reason: ReasonCode,
    },
    /// The sender has read all that there is to be known of its sessions and retained messages after a restart.
    Warm,
    /// Has the receiver handed on all that the store has answered before?
    Barrier { round: u32 },
    /// It has, but for what is at or above these places.
    Passed { round: u32, held: Vec<Location> },
    /// Answer to `ViaOwner`: what the owner fanned out is in the mailboxes.
    Fence { topic_hash: u64 },
    /// Which retained messages does the receiver own that match? A page of them is wanted, behind the last one's end.
    ScanRetained(Box<PageRequest>),
    /// They are these; `scan` names the request, and `next` where another page begins.
    Retained {
        session: SessionKey,
        scan: u32,
        messages: Vec<Message>,
        next: Option<Box<Cursor>>,
    },
    /// A member enters, or changes its options.
    Join {
        share: Box<str>,
        filter: Box<str>,
        member: SessionAddress,
        options: MemberOptions,
    },
    /// A member leaves.
    Leave {
        share: Box<str>,
        filter: Box<str>,
        member: SessionAddress,
    },
    /// A session's client has come or gone: for all groups of the receiver's that it is in.
    Presence {
        member: SessionAddress,
        presence: Presence,
    },
    /// The group's owner chose a session of the receiver's; `attempt` counts the members that have been asked.
    GroupDelivery {
        session: SessionKey,
        delivery: Delivery,
        attempt: u16,
    },
    /// A member could not take or keep it: somebody else has to.
    GroupReturn {
        mark: GroupMark,
        message: Message,
        attempt: u16,
    },
    /// A member has finished with one of the group's messages.
    GroupFinished {
        mark: GroupMark,
        member: SessionAddress,
    },
}

impl Item {
    fn message_bytes(&self) -> usize {
        let cost = |message: &Message| usize::try_from(message.cost_bytes()).unwrap_or(usize::MAX);
        match self {
            Self::Message(message, _)
            | Self::ViaOwner(message, _)
            | Self::GroupReturn { message, .. } => cost(message),
            Self::GroupDelivery { delivery, .. } => cost(&delivery.message),
            Self::Retained { messages, .. } => messages.iter().map(cost).sum(),
            _ => 0,
        }
    }
}

/// The outgoing mail of one core: a batch for every worker, messages for owners of retained state after them, and fences
/// last.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    batches: Vec<Batch>,
    /// An owner may be quick to fan out, so it must not have a message before what the publisher sent directly is in its
    /// mailboxes.
    via_owner: Vec<(WorkerId, Message, Option<Receipt>)>,
    /// Fences must come behind everything else of the same turn, whoever it is for.
    fences: Vec<(WorkerId, u64)>,
    spare: Vec<Batch>,
}

/// Batches kept for reuse.
const SPARE_MAX: usize = 8;

impl Outbox {
    pub(crate) fn new(workers: u16) -> Self {
        Self {
            batches: (0..workers).map(|_| Batch::default()).collect(),
            ..Self::default()
        }
    }

    /// The batch that is being filled for a worker.
    pub(crate) fn to(&mut self, worker: WorkerId) -> &mut Batch {
        let at = usize::from(worker.0);
        if at >= self.batches.len() {
            self.batches.resize_with(at + 1, Batch::default);
        }
        &mut self.batches[at]
    }

    pub(crate) fn send(&mut self, worker: WorkerId, item: Item) {
        let batch = self.to(worker);
        batch.message_bytes += item.message_bytes();
        batch.items.push(item);
    }

    pub(crate) fn send_via_owner(
        &mut self,
        owner: WorkerId,
        message: Message,
        receipt: Option<Receipt>,
    ) {
        self.via_owner.push((owner, message, receipt));
    }

    pub(crate) fn fence(&mut self, worker: WorkerId, topic_hash: u64) {
        self.fences.push((worker, topic_hash));
    }

    pub(crate) fn send_run(
        &mut self,
        worker: WorkerId,
        origin: &Arc<Origin>,
        run: &Run<'_>,
        topic_at: usize,
    ) {
        let batch = self.to(worker);
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(run.frames);
        batch.items.push(Item::Frames {
            origin: Arc::clone(origin),
            v5: run.v5,
            frames: start..batch.bytes.len(),
            topic: topic_at..topic_at + run.topic.len(),
            frame_len: run.frame_len,
            payload_at: run.payload_at,
        });
    }

    pub(crate) fn take(&mut self) -> Option<(WorkerId, Batch)> {
        if let Some(at) = self.batches.iter().position(|batch| !batch.is_empty()) {
            let worker = WorkerId(u16::try_from(at).unwrap_or(u16::MAX));
            let fresh = self.spare.pop().unwrap_or_default();
            return self
                .batches
                .get_mut(at)
                .map(|batch| (worker, std::mem::replace(batch, fresh)));
        }
        if self.via_owner.is_empty() {
            for (worker, topic_hash) in std::mem::take(&mut self.fences) {
                self.send(worker, Item::Fence { topic_hash });
            }
        }
        for (owner, message, receipt) in std::mem::take(&mut self.via_owner) {
            self.send(owner, Item::ViaOwner(message, receipt));
        }
        if self.batches.iter().all(Batch::is_empty) {
            None
        } else {
            self.take()
        }
    }

    pub(crate) fn reuse(&mut self, mut batch: Batch) {
        if self.spare.len() < SPARE_MAX {
            batch.clear();
            self.spare.push(batch);
        }
    }
}
