//! What a session owes its client: messages in flight, in the order they were first sent, and those that wait.

use crate::message::Message;
use crate::shared::GroupMark;
use crate::store::Location;
use std::collections::VecDeque;
use std::sync::Arc;
use tidewire_codec::{PacketId, Qos};

/// A message on its way to one session, with what the subscription says about it.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) message: Message,
    /// The lower of published and granted QoS \[5.0 MQTT-3.8.4-8\].
    pub(crate) qos: Qos,
    /// The RETAIN flag to send.
    pub(crate) retain: bool,
    pub(crate) identifiers: Identifiers,
    /// The shared group that chose this session, if one did.
    pub(crate) group: Option<GroupMark>,
    /// Where the message is stored: the session's cursor, or the group's, waits for it there.
    pub(crate) stored: Option<Location>,
}

/// The Subscription Identifiers of all matching subscriptions \[5.0 MQTT-3.3.4-4\].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Identifiers {
    #[default]
    None,
    One(u32),
    Several(Arc<[u32]>),
}

impl Identifiers {
    /// Those of a single subscription, 0 = it has none.
    pub(crate) fn of(identifier: u32) -> Self {
        if identifier == 0 {
            Self::None
        } else {
            Self::One(identifier)
        }
    }

    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(id) => std::slice::from_ref(id),
            Self::Several(ids) => ids,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::None | Self::One(_) => 0,
            Self::Several(ids) => size_of_val(&**ids),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }
}

impl FromIterator<u32> for Identifiers {
    fn from_iter<I: IntoIterator<Item = u32>>(identifiers: I) -> Self {
        let all: Vec<u32> = identifiers.into_iter().collect();
        match *all {
            [] => Self::None,
            [one] => Self::One(one),
            _ => Self::Several(all.into()),
        }
    }
}

/// What an outgoing QoS 1 or 2 message waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The store, which binds the identifier: nothing has been sent.
    Binding,
    /// PUBACK.
    Acknowledgement,
    /// PUBREC.
    Receipt,
    /// The store, which notes that PUBREC has come: PUBREL has not been sent.
    Noting,
    /// PUBCOMP.
    Completion,
}

#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) id: PacketId,
    pub(crate) stage: Stage,
    /// Dropped once PUBREC has come: only the identifier is owed from then on.
    pub(crate) delivery: Option<Delivery>,
    /// Where it is stored.
    pub(crate) stored: Option<Location>,
}

/// The two queues. `unsent_from` splits the first: entries before it were sent on this connection, those from it on
/// wait for the resumed connection to have room \[5.0 MQTT-4.4.0-1\].
#[derive(Debug)]
pub(crate) struct Outbound {
    next_id: PacketId,
    inflight: VecDeque<InFlight>,
    unsent_from: usize,
    /// The circle of identifiers has met one that is still in use.
    lapped: bool,
    waiting: VecDeque<Delivery>,
    waiting_bytes: u64,
    /// How many of the waiting ones have QoS 0: later ones must not overtake them.
    waiting_qos0: usize,
    /// What it means that retained messages are being collected, while they are.
    behind_scan: Option<Behind>,
}

#[derive(Debug)]
struct Behind {
    /// How many of the waiting ones stood there before.
    before: usize,
    /// What came since, which goes behind the retained messages.
    later: VecDeque<Delivery>,
}

impl Default for Outbound {
    fn default() -> Self {
        Self {
            next_id: PacketId::MIN,
            inflight: VecDeque::new(),
            unsent_from: 0,
            lapped: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_qos0: 0,
            behind_scan: None,
        }
    }
}

impl Outbound {
    /// Binds a new packet identifier to a delivery that is about to be sent.
    pub(crate) fn begin(&mut self, delivery: Delivery) -> PacketId {
        let id = self.unused_id();
        let stage = if delivery.qos == Qos::ExactlyOnce {
            Stage::Receipt
        } else {
            Stage::Acknowledgement
        };
        self.inflight.push_back(InFlight {
            id,
            stage,
            stored: delivery.stored,
            delivery: Some(delivery),
        });
        self.unsent_from = self.inflight.len();
        id
    }

    /// The identifier that was given last waits for the store.
    pub(crate) fn await_binding(&mut self, id: PacketId) {
        if let Some(entry) = self.inflight.back_mut().filter(|entry| entry.id == id) {
            entry.stage = Stage::Binding;
        }
    }

    /// Whether the connection at hand has come to an entry.
    pub(crate) fn is_sent(&self, id: PacketId) -> bool {
        self.find(id).is_some_and(|at| at < self.unsent_from)
    }

    /// Puts an entry back that was in flight before a restart.
    pub(crate) fn restore(&mut self, entry: InFlight) {
        self.lapped = true;
        self.inflight.push_back(entry);
    }

    /// Takes an entry off: its handshake is complete.
    pub(crate) fn finish(&mut self, at: usize) -> Option<InFlight> {
        let entry = self.inflight.remove(at)?;
        if at < self.unsent_from {
            self.unsent_from -= 1;
        }
        Some(entry)
    }

    /// The connection is new: everything in flight has to be sent again, in order.
    pub(crate) fn rewind(&mut self) {
        self.unsent_from = 0;
    }

    /// The next entry to send again on this connection.
    pub(crate) fn next_unsent(&mut self) -> Option<&InFlight> {
        let entry = self.inflight.get(self.unsent_from)?;
        self.unsent_from += 1;
        Some(entry)
    }

    pub(crate) fn enqueue(&mut self, delivery: Delivery) {
        self.waiting_bytes += delivery.message.cost_bytes();
        self.waiting_qos0 += usize::from(delivery.qos == Qos::AtMostOnce);
        let queue = match &mut self.behind_scan {
            Some(behind) => &mut behind.later,
            None => &mut self.waiting,
        };
        queue.push_back(delivery);
    }

    /// From now on what is enqueued stands behind what [`Outbound::enqueue_scanned`] brings.
    pub(crate) fn hold_for_scan(&mut self) {
        self.behind_scan.get_or_insert_with(|| Behind {
            before: self.waiting.len(),
            later: VecDeque::new(),
        });
    }

    /// Puts a retained message before what came while it was collected.
    pub(crate) fn enqueue_scanned(&mut self, delivery: Delivery) {
        self.waiting_bytes += delivery.message.cost_bytes();
        self.waiting_qos0 += usize::from(delivery.qos == Qos::AtMostOnce);
        self.waiting.push_back(delivery);
    }

    /// All retained messages are there, or nobody waits for them any more.
    pub(crate) fn end_scans(&mut self) {
        if let Some(behind) = self.behind_scan.take() {
            if self.waiting.is_empty() {
                self.waiting = behind.later;
            } else {
                self.waiting.extend(behind.later);
            }
        }
    }

    pub(crate) fn dequeue(&mut self) -> Option<Delivery> {
        let delivery = self.waiting.pop_front()?;
        if let Some(behind) = &mut self.behind_scan {
            behind.before = behind.before.saturating_sub(1);
        }
        self.waiting_qos0 -= usize::from(delivery.qos == Qos::AtMostOnce);
        self.waiting_bytes = self
            .waiting_bytes
            .saturating_sub(delivery.message.cost_bytes());
        Some(delivery)
    }

    /// A delivery that had left the queue is first in it again.
    pub(crate) fn put_back(&mut self, delivery: Delivery) {
        if let Some(behind) = &mut self.behind_scan {
            behind.before += 1;
        }
        self.waiting_qos0 += usize::from(delivery.qos == Qos::AtMostOnce);
        self.waiting_bytes += delivery.message.cost_bytes();
        self.waiting.push_front(delivery);
    }

    pub(crate) fn at_mut(&mut self, at: usize) -> Option<&mut InFlight> {
        self.inflight.get_mut(at)
    }

    /// Removes those waiting deliveries that `pick` names, and returns them in order.
    pub(crate) fn withdraw(&mut self, mut pick: impl FnMut(&Delivery) -> bool) -> Vec<Delivery> {
        let mut withdrawn = Vec::new();
        debug_assert!(self.behind_scan.is_none(), "scans end first");
        let mut kept = VecDeque::with_capacity(self.waiting.len());
        for delivery in self.waiting.drain(..) {
            if pick(&delivery) {
                self.waiting_qos0 -= usize::from(delivery.qos == Qos::AtMostOnce);
                self.waiting_bytes = self
                    .waiting_bytes
                    .saturating_sub(delivery.message.cost_bytes());
                withdrawn.push(delivery);
            } else {
                kept.push_back(delivery);
            }
        }
        self.waiting = kept;
        withdrawn
    }

    /// Whether messages of QoS 0 wait: those to come have to wait behind them.
    pub(crate) fn holds_qos0(&self) -> bool {
        self.waiting_qos0 > 0
    }

    /// Puts waiting messages of QoS 0 first, in their order: a full window is not theirs to wait for.
    pub(crate) fn bring_qos0_forward(&mut self) {
        let is_qos0 = |delivery: &Delivery| delivery.qos == Qos::AtMostOnce;
        if self.waiting_qos0 > 0 && !self.waiting.front().is_some_and(is_qos0) {
            let (mut first, rest): (VecDeque<Delivery>, VecDeque<Delivery>) =
                self.waiting.drain(..).partition(is_qos0);
            first.extend(rest);
            self.waiting = first;
        }
    }

    /// Everything that is still owed, in flight first: for a session that ends.
    pub(crate) fn into_owed(self) -> impl Iterator<Item = (Option<Stage>, Delivery)> {
        let inflight = self
            .inflight
            .into_iter()
            .filter_map(|entry| entry.delivery.map(|d| (Some(entry.stage), d)));
        let waiting = self
            .waiting
            .into_iter()
            .chain(self.behind_scan.into_iter().flat_map(|behind| behind.later));
        inflight.chain(waiting.map(|delivery| (None, delivery)))
    }

    /// Where the entry with this identifier is.
    ///
    /// Entries are in order of their identifiers but for wrapped and skipped ones, and acknowledgements come in order
    /// but for exceptions: the front is tried first, then the place that the order suggests, then all.
    pub(crate) fn find(&self, id: PacketId) -> Option<usize> {
        let front = self.inflight.front()?.id.get();
        if front == id.get() {
            return Some(0);
        }
        let guess = usize::from(id.get().wrapping_sub(front));
        if self.inflight.get(guess).is_some_and(|entry| entry.id == id) {
            return Some(guess);
        }
        self.inflight.iter().position(|entry| entry.id == id)
    }

    pub(crate) fn get(&self, at: usize) -> Option<&InFlight> {
        self.inflight.get(at)
    }

    /// Sent on this connection and not finished: what counts against Receive Maximum \[5.0 MQTT-3.3.4-9\].
    pub(crate) fn in_flight(&self) -> usize {
        self.unsent_from
    }

    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent_from < self.inflight.len()
    }

    pub(crate) fn inflight_len(&self) -> usize {
        self.inflight.len()
    }

    /// What may be sent as soon as there is room.
    pub(crate) fn waiting(&self) -> &VecDeque<Delivery> {
        &self.waiting
    }

    /// All that waits, behind retained messages or not.
    pub(crate) fn waiting_len(&self) -> usize {
        let behind = self.behind_scan.as_ref();
        self.waiting.len() + behind.map_or(0, |behind| behind.later.len())
    }

    /// Retained messages of the scan that goes on which the client has not taken yet.
    pub(crate) fn scanned_len(&self) -> usize {
        let behind = self.behind_scan.as_ref();
        behind.map_or(0, |behind| self.waiting.len().saturating_sub(behind.before))
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Identifiers are given in a circle, so the first that can collide is the oldest in flight; only after that has
    /// happened (an entry outlived 65,534 others) is every candidate looked up.
    fn unused_id(&mut self) -> PacketId {
        match self.inflight.front() {
            None => self.lapped = false,
            Some(oldest) => self.lapped |= oldest.id == self.next_id,
        }
        while self.lapped && self.find(self.next_id).is_some() {
            self.next_id = self.next_id.next();
        }
        let id = self.next_id;
        self.next_id = id.next();
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Parts;
    use crate::time::Time;

    fn delivery() -> Delivery {
        let parts = Parts {
            topic: "t",
            properties: &[],
            payload: b"",
            qos: Qos::AtLeastOnce,
            retain: false,
            expires: Time::NEVER,
            received: Time::ZERO,
            origin: None,
            stored: None,
        };
        Delivery {
            message: Message::new(&parts, &mut Vec::new()),
            qos: Qos::AtLeastOnce,
            retain: false,
            identifiers: Identifiers::None,
            group: None,
            stored: None,
        }
    }

    /// [5.0 MQTT-2.2.1-4] [3.1.1 MQTT-2.3.1-4]
    #[test]
    fn an_identifier_in_use_is_never_given_again() {
        let mut outbound = Outbound::default();
        let stuck = outbound.begin(delivery());
        let also_stuck = outbound.begin(delivery());
        for _ in 0..200_000 {
            let id = outbound.begin(delivery());
            assert!(id != stuck && id != also_stuck);
            let at = outbound.find(id).unwrap();
            outbound.finish(at);
        }
        assert_eq!(outbound.inflight_len(), 2);
    }

    #[test]
    fn acknowledgements_out_of_order_find_their_entries() {
        let mut outbound = Outbound::default();
        let ids: Vec<_> = (0..100).map(|_| outbound.begin(delivery())).collect();
        for id in ids.iter().rev().step_by(2).chain(ids.iter().step_by(2)) {
            let at = outbound.find(*id).unwrap();
            assert_eq!(outbound.finish(at).unwrap().id, *id);
        }
        assert_eq!(outbound.inflight_len(), 0);
        assert_eq!(outbound.in_flight(), 0);
    }
}
