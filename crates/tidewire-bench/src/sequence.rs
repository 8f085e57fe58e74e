//! Detects loss, duplication and reordering of numbered messages.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

/// What went wrong with messages; any of it voids a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Sent and never delivered.
    pub lost: u64,
    /// Delivered more often than owed.
    pub duplicated: u64,
    /// Delivered after a later message of the same publisher to the same subscriber.
    pub reordered: u64,
    /// Not expected at all: another run's message, another subscriber's, another QoS than subscribed.
    pub foreign: u64,
    /// Acknowledged with a reason code of 0x80 or above.
    pub refused: u64,
}

impl Faults {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.foreign += other.foreign;
        self.refused += other.refused;
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.reordered, "reordered"),
            (self.foreign, "foreign"),
            (self.refused, "refused"),
        ];
        let mut written = false;
        for (count, word) in counts.into_iter().filter(|(count, _)| *count > 0) {
            let comma = if written { ", " } else { "" };
            write!(f, "{comma}{count} {word}")?;
            written = true;
        }
        if written {
            Ok(())
        } else {
            f.write_str("clean")
        }
    }
}

/// Whether a delivery counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The first delivery of this message here.
    First,
    /// It has been here before.
    Again,
}

/// Largest gap whose members are remembered one by one; beyond it they are lost at once.
const REMEMBERED_GAP: u64 = 100_000;

/// One (publisher, subscriber) pair in which every message is owed.
#[derive(Debug, Default)]
pub struct PairCheck {
    next: u64,
    /// Skipped so far; empty unless something is wrong.
    missing: BTreeSet<u64>,
}

impl PairCheck {
    /// Takes note of a delivery.
    #[inline]
    pub fn accept(&mut self, sequence: u64, faults: &mut Faults) -> Arrival {
        if sequence == self.next {
            self.next += 1;
            return Arrival::First;
        }
        self.out_of_step(sequence, faults)
    }

    #[cold]
    fn out_of_step(&mut self, sequence: u64, faults: &mut Faults) -> Arrival {
        if sequence > self.next {
            let remembered_from = self.next.max(sequence.saturating_sub(REMEMBERED_GAP));
            faults.lost += remembered_from - self.next;
            self.missing.extend(remembered_from..sequence);
            self.next = sequence + 1;
            Arrival::First
        } else if self.missing.remove(&sequence) {
            faults.reordered += 1;
            Arrival::First
        } else {
            faults.duplicated += 1;
            Arrival::Again
        }
    }

    /// Counts what never came, `sent` being the number of messages sent.
    pub fn finish(&self, sent: u64, faults: &mut Faults) {
        faults.lost += self.missing.len() as u64 + sent.saturating_sub(self.next);
    }
}

/// One publisher whose messages go to exactly one member of a group each.
#[derive(Debug)]
pub struct GroupCheck {
    /// Everything below has arrived.
    low: u64,
    /// Whether `low + n` has arrived, as a ring indexed by sequence number.
    arrived: Vec<bool>,
    /// Per member: the lowest sequence number that is still in order there.
    in_order_from: Vec<u64>,
}

impl GroupCheck {
    /// A group of `members` that never has more than `window` messages under way.
    #[must_use]
    pub fn new(members: usize, window: usize) -> Self {
        let ring = (window.max(1) * 2).next_power_of_two();
        Self {
            low: 0,
            arrived: vec![false; ring],
            in_order_from: vec![0; members],
        }
    }

    /// Takes note of a delivery to `member`.
    #[inline]
    pub fn accept(&mut self, member: usize, sequence: u64, faults: &mut Faults) -> Arrival {
        let ring = self.arrived.len() as u64;
        if sequence >= self.low + ring + REMEMBERED_GAP {
            faults.foreign += 1;
            return Arrival::Again;
        }
        if sequence >= self.low + ring {
            self.look_further(sequence, faults);
        }
        let ring = self.arrived.len() as u64;
        let slot = (sequence % ring) as usize;
        if sequence < self.low || self.arrived[slot] {
            faults.duplicated += 1;
            return Arrival::Again;
        }
        if sequence < self.in_order_from[member] {
            faults.reordered += 1;
        } else {
            self.in_order_from[member] = sequence + 1;
        }
        self.arrived[slot] = true;
        while std::mem::take(&mut self.arrived[(self.low % ring) as usize]) {
            self.low += 1;
        }
        Arrival::First
    }

    /// A member that is slow holds its messages back while the others' go on, as long as the window is not all with it:
    /// a message is late then, not lost. Past [`REMEMBERED_GAP`] it is.
    #[cold]
    fn look_further(&mut self, sequence: u64, faults: &mut Faults) {
        let old = self.arrived.len() as u64;
        let wanted = (sequence + 1 - self.low)
            .min(REMEMBERED_GAP)
            .next_power_of_two();
        if wanted > old {
            let arrived = std::mem::take(&mut self.arrived);
            self.arrived = vec![false; wanted as usize];
            for number in self.low..self.low + old {
                self.arrived[(number % wanted) as usize] = arrived[(number % old) as usize];
            }
        }
        while sequence >= self.low + self.arrived.len() as u64 {
            let slot = (self.low % self.arrived.len() as u64) as usize;
            faults.lost += u64::from(!std::mem::take(&mut self.arrived[slot]));
            self.low += 1;
        }
    }

    /// Counts what never came, `sent` being the number of messages sent.
    pub fn finish(&self, sent: u64, faults: &mut Faults) {
        let beyond = self.arrived.iter().filter(|arrived| **arrived).count() as u64;
        faults.lost += sent.saturating_sub(self.low + beyond);
    }
}

/// How many of a publisher's messages have reached everyone they are owed to.
#[derive(Debug)]
pub enum Completion {
    /// Each message is owed once: a count is enough.
    Once {
        /// Messages delivered.
        done: u64,
    },
    /// Each message is owed to several subscribers.
    Many {
        /// Every message below is complete.
        done: u64,
        /// Deliveries still owed for message `done + n`, as a ring indexed by sequence number.
        owed: Vec<u32>,
        /// Deliveries owed for a new message.
        copies: u32,
    },
}

impl Completion {
    /// For messages owed to `copies` subscribers, at most `window` of them under way.
    #[must_use]
    pub fn new(copies: u32, window: usize) -> Self {
        if copies <= 1 {
            return Self::Once { done: 0 };
        }
        let ring = (window.max(1) * 2).next_power_of_two();
        Self::Many {
            done: 0,
            owed: vec![copies; ring],
            copies,
        }
    }

    /// A message reached one more subscriber.
    #[inline]
    pub fn delivered(&mut self, sequence: u64) {
        match self {
            Self::Once { done } => *done += 1,
            Self::Many { done, owed, copies } => {
                let ring = owed.len() as u64;
                let slot = &mut owed[(sequence % ring) as usize];
                *slot = slot.saturating_sub(1);
                while owed[(*done % ring) as usize] == 0 {
                    owed[(*done % ring) as usize] = *copies;
                    *done += 1;
                }
            }
        }
    }

    /// Messages that are complete.
    #[inline]
    #[must_use]
    pub fn done(&self) -> u64 {
        match self {
            Self::Once { done } | Self::Many { done, .. } => *done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(sequences: &[u64], sent: u64) -> Faults {
        let mut faults = Faults::default();
        let mut check = PairCheck::default();
        for &sequence in sequences {
            check.accept(sequence, &mut faults);
        }
        check.finish(sent, &mut faults);
        faults
    }

    fn group(deliveries: &[(usize, u64)], sent: u64) -> Faults {
        let mut faults = Faults::default();
        let mut check = GroupCheck::new(2, 4);
        for &(member, sequence) in deliveries {
            check.accept(member, sequence, &mut faults);
        }
        check.finish(sent, &mut faults);
        faults
    }

    #[test]
    fn an_orderly_stream_is_clean() {
        assert!(pair(&[0, 1, 2, 3], 4).is_clean());
        assert!(group(&[(0, 0), (1, 1), (1, 3), (0, 2)], 4).is_clean());
    }

    /// The check once took a message for lost, and its arrival for a duplicate, when others of the window had gone round
    /// twice: a broker with several threads does that.
    #[test]
    fn a_message_that_a_slow_member_holds_is_late_and_not_lost() {
        let others = (1..500).map(|sequence| (1, sequence));
        let deliveries: Vec<_> = others.chain([(0, 0)]).collect();
        assert!(group(&deliveries, 500).is_clean());
        let without_it: Vec<_> = (1..500).map(|sequence| (1, sequence)).collect();
        assert_eq!(group(&without_it, 500).lost, 1);
    }

    #[test]
    fn planted_loss_is_found_in_the_middle_and_at_the_end() {
        assert_eq!(
            pair(&[0, 1, 3, 4], 6),
            Faults {
                lost: 2,
                ..Faults::default()
            }
        );
        assert_eq!(
            group(&[(0, 0), (0, 2)], 4),
            Faults {
                lost: 2,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn a_planted_duplicate_is_found() {
        assert_eq!(
            pair(&[0, 1, 1, 2], 3),
            Faults {
                duplicated: 1,
                ..Faults::default()
            }
        );
        let twice = group(&[(0, 0), (1, 1), (0, 1), (1, 0)], 2);
        assert_eq!(
            twice,
            Faults {
                duplicated: 2,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn planted_reordering_is_found_and_is_not_loss() {
        assert_eq!(
            pair(&[0, 2, 1, 3], 4),
            Faults {
                reordered: 1,
                ..Faults::default()
            }
        );
        let swapped = group(&[(0, 1), (0, 0), (1, 2)], 3);
        assert_eq!(
            swapped,
            Faults {
                reordered: 1,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn a_late_message_that_comes_twice_is_reordered_and_duplicated() {
        let faults = pair(&[0, 2, 1, 1], 3);
        assert_eq!(
            faults,
            Faults {
                reordered: 1,
                duplicated: 1,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn a_huge_gap_is_lost_without_being_remembered() {
        let faults = pair(&[u64::MAX - 10], 0);
        assert_eq!(faults.lost, u64::MAX - 10);
    }

    #[test]
    fn a_group_that_lost_one_goes_on_and_has_lost_one() {
        let deliveries: Vec<(usize, u64)> = (0..1000).filter(|n| *n != 3).map(|n| (0, n)).collect();
        assert_eq!(
            group(&deliveries, 1000),
            Faults {
                lost: 1,
                ..Faults::default()
            }
        );
    }

    #[test]
    fn a_message_is_complete_when_everyone_has_it() {
        let mut completion = Completion::new(2, 4);
        completion.delivered(0);
        completion.delivered(1);
        assert_eq!(completion.done(), 0);
        completion.delivered(1);
        assert_eq!(completion.done(), 0);
        completion.delivered(0);
        assert_eq!(completion.done(), 2);
    }

    #[test]
    fn faults_read_as_a_sentence() {
        let faults = Faults {
            lost: 3,
            reordered: 1,
            ..Faults::default()
        };
        assert_eq!(faults.to_string(), "3 lost, 1 reordered");
        assert_eq!(Faults::default().to_string(), "clean");
    }
}
