//! The account of a flow: who owes whom what, what arrived, and how late.

use std::time::Instant;

use super::publisher::Publisher;
use crate::encode::{self, AckKind, Qos};
use crate::frame::{Delivery, Frame};
use crate::latency::{Latencies, Schedule};
use crate::payload::Stamp;
use crate::scenario::{Flow, Routing};
use crate::sequence::{Arrival, Faults, GroupCheck, PairCheck};

#[derive(Debug)]
pub(super) struct Ledger {
    run: u32,
    qos: Qos,
    pub(super) faults: Faults,
    /// Deliveries that count, since the first message.
    pub(super) delivered: u64,
    pub(super) latencies: Latencies,
    /// Present while latency is measured.
    pub(super) schedule: Option<Schedule>,
    owed: Owed,
    /// Per subscriber: QoS 2 deliveries that are not released yet.
    unreleased: Vec<u32>,
    /// A reason code, once the broker said DISCONNECT.
    pub(super) dismissed: Option<u8>,
}

/// Who is owed which messages.
#[derive(Debug)]
enum Owed {
    /// Per subscriber, the pairs with publishers from `first` on.
    Pairs(Vec<Account>),
    /// Per publisher.
    Group(Vec<GroupCheck>),
}

#[derive(Debug)]
struct Account {
    first: u32,
    pairs: Vec<PairCheck>,
}

impl Ledger {
    pub(super) fn new(flow: &Flow, run: u32) -> Self {
        let pairs = |count| (0..count).map(|_| PairCheck::default()).collect();
        let owed = match flow.routing {
            Routing::SharedGroup => Owed::Group(
                (0..flow.publishers)
                    .map(|_| GroupCheck::new(flow.subscribers, flow.window()))
                    .collect(),
            ),
            Routing::Wildcard | Routing::OneTopic => Owed::Pairs(
                (0..flow.subscribers)
                    .map(|_| Account {
                        first: 0,
                        pairs: pairs(flow.publishers),
                    })
                    .collect(),
            ),
            Routing::Pairs | Routing::ManyFilters { .. } | Routing::Adversarial { .. } => {
                Owed::Pairs(
                    (0..flow.subscribers as u32)
                        .map(|first| Account {
                            first,
                            pairs: pairs(1),
                        })
                        .collect(),
                )
            }
        };
        Self {
            run,
            qos: flow.qos,
            faults: Faults::default(),
            delivered: 0,
            latencies: Latencies::default(),
            schedule: None,
            owed,
            unreleased: vec![0; flow.subscribers],
            dismissed: None,
        }
    }

    /// Takes note of a frame that came to a subscriber and appends the answer it calls for.
    /// Returns the publisher whose message was delivered, if it counts.
    #[inline]
    pub(super) fn arrived(
        &mut self,
        subscriber: usize,
        frame: Frame,
        out: &mut Vec<u8>,
    ) -> Option<Stamp> {
        match frame {
            Frame::Publish(delivery) => {
                self.answer(subscriber, delivery, out);
                self.delivery(subscriber, delivery)
            }
            other => {
                self.control(subscriber, other, out);
                None
            }
        }
    }

    fn answer(&mut self, subscriber: usize, delivery: Delivery, out: &mut Vec<u8>) {
        match delivery.qos {
            0 => {}
            1 => out.extend_from_slice(&encode::ack(AckKind::PubAck, delivery.packet_id)),
            _ => {
                self.unreleased[subscriber] += 1;
                out.extend_from_slice(&encode::ack(AckKind::PubRec, delivery.packet_id));
            }
        }
    }

    #[inline]
    fn delivery(&mut self, subscriber: usize, delivery: Delivery) -> Option<Stamp> {
        let ours = delivery
            .stamp
            .filter(|stamp| stamp.run == self.run && delivery.qos == self.qos as u8);
        let Some(stamp) = ours else {
            self.faults.foreign += 1;
            return None;
        };
        let arrival = match &mut self.owed {
            Owed::Pairs(accounts) => {
                let account = &mut accounts[subscriber];
                let at = stamp.publisher.wrapping_sub(account.first) as usize;
                account
                    .pairs
                    .get_mut(at)
                    .map(|pair| pair.accept(stamp.sequence, &mut self.faults))
            }
            Owed::Group(checks) => checks
                .get_mut(stamp.publisher as usize)
                .map(|check| check.accept(subscriber, stamp.sequence, &mut self.faults)),
        };
        match arrival {
            Some(Arrival::First) => {
                self.delivered += 1;
                if let Some(schedule) = &self.schedule {
                    let intended = schedule.intended(stamp.publisher, stamp.sequence);
                    self.latencies
                        .record(Instant::now().saturating_duration_since(intended));
                }
                Some(stamp)
            }
            Some(Arrival::Again) => None,
            None => {
                self.faults.foreign += 1;
                None
            }
        }
    }

    fn control(&mut self, subscriber: usize, frame: Frame, out: &mut Vec<u8>) {
        match frame {
            Frame::Ack {
                kind: AckKind::PubRel,
                packet_id,
                ..
            } => {
                let unreleased = &mut self.unreleased[subscriber];
                *unreleased = unreleased.saturating_sub(1);
                out.extend_from_slice(&encode::ack(AckKind::PubComp, packet_id));
            }
            Frame::Disconnect { reason } => self.dismissed = Some(reason),
            _ => self.faults.foreign += 1,
        }
    }

    pub(super) fn is_released(&self) -> bool {
        self.unreleased.iter().all(|count| *count == 0)
    }

    /// Counts what never came.
    pub(super) fn finish(&mut self, publishers: &[Publisher]) {
        match &self.owed {
            Owed::Pairs(accounts) => {
                for account in accounts {
                    for (pair, publisher) in account
                        .pairs
                        .iter()
                        .zip(&publishers[account.first as usize..])
                    {
                        pair.finish(publisher.sent(), &mut self.faults);
                    }
                }
            }
            Owed::Group(checks) => {
                for (check, publisher) in checks.iter().zip(publishers) {
                    check.finish(publisher.sent(), &mut self.faults);
                }
            }
        }
    }
}
