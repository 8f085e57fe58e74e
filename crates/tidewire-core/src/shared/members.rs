//! The members of one group: found by address at once, and asked in turn.

use crate::keys::SessionAddress;
use crate::shared::MemberOptions;
use crate::shared::presence::PresenceSlot;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Up to here the list itself is searched: most groups are small.
const LIST_MAX: usize = 8;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) address: SessionAddress,
    pub(crate) options: MemberOptions,
    pub(super) presence: PresenceSlot,
    /// Messages given to it and not finished; kept for least-in-flight.
    pub(super) in_flight: u32,
}

/// Members that are asked come first, in the order of their turns; those that are passed over follow.
#[derive(Debug, Default)]
pub(super) struct Members {
    list: Vec<Member>,
    /// How many of the list are asked.
    asked: usize,
    /// Whose turn it is: those before have had theirs in this round.
    turn: usize,
    /// Where each one is, once there are more than a few.
    #[allow(clippy::box_collection, reason = "8 bytes in every small group")]
    places: Option<Box<HashMap<SessionAddress, usize, FixedState>>>,
}

impl Members {
    /// Enters a member as the last of the round.
    pub(super) fn push(&mut self, member: Member) {
        let at = self.list.len();
        self.list.push(member);
        if let Some(places) = &mut self.places {
            places.insert(member.address, at);
        } else if self.list.len() > LIST_MAX {
            let places = self.list.iter().enumerate();
            let places = places.map(|(at, member)| (member.address, at)).collect();
            self.places = Some(Box::new(places));
        }
        self.ask_again(at);
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Member> {
        let at = self.pass_over(at);
        self.swap(at, self.list.len().checked_sub(1)?);
        let member = self.list.pop()?;
        if let Some(places) = &mut self.places {
            places.remove(&member.address);
            // Half of what it took to make the table, so that it is not made and dropped by turns.
            if self.list.len() <= LIST_MAX / 2 {
                self.places = None;
            }
        }
        Some(member)
    }

    /// Takes a member out of those that are asked; returns where it is then. Everybody else keeps to one turn in this
    /// round: the last one comes forward to the end of the part that has had its turn, or to the place in the part that
    /// has not.
    pub(super) fn pass_over(&mut self, at: usize) -> usize {
        if at >= self.asked {
            return at;
        }
        let mut gap = at;
        if at < self.turn {
            gap = self.turn - 1;
            self.swap(at, gap);
            self.turn = gap;
        }
        self.asked -= 1;
        self.swap(gap, self.asked);
        self.asked
    }

    /// Asks a member (again), as the last of the round.
    pub(super) fn ask_again(&mut self, at: usize) {
        if at >= self.asked {
            self.swap(at, self.asked);
            self.asked += 1;
        }
    }

    /// Takes the next turn and returns whose it is: with nobody to ask, 0.
    pub(super) fn next_turn(&mut self) -> usize {
        let at = self.whose_turn();
        self.turn = at + 1;
        at
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut Member> {
        self.list.get_mut(at)
    }

    pub(super) fn whose_turn(&self) -> usize {
        if self.turn < self.asked { self.turn } else { 0 }
    }

    pub(super) fn find(&self, address: SessionAddress) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&address).copied(),
            None => self
                .list
                .iter()
                .position(|member| member.address == address),
        }
    }

    /// Those who are asked.
    pub(super) fn asked(&self) -> &[Member] {
        self.list.get(..self.asked).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a == b {
            return;
        }
        self.list.swap(a, b);
        let Some(places) = &mut self.places else {
            return;
        };
        for at in [a, b] {
            if let Some(member) = self.list.get(at) {
                places.insert(member.address, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{SessionKey, WorkerId};
    use crate::shared::presence::Presences;
    use tidewire_codec::Qos;

    fn address(slot: u32) -> SessionAddress {
        SessionAddress {
            worker: WorkerId(0),
            key: SessionKey {
                slot,
                generation: 0,
            },
        }
    }

    fn members(count: u32) -> Members {
        let mut presences = Presences::new(0);
        let mut members = Members::default();
        for slot in 0..count {
            members.push(Member {
                address: address(slot),
                options: MemberOptions {
                    qos: Qos::AtMostOnce,
                    retain_as_published: false,
                    identifier: 0,
                },
                presence: presences.enter(address(slot)),
                in_flight: 0,
            });
        }
        members
    }

    fn next(members: &mut Members) -> u32 {
        let at = members.next_turn();
        members.asked()[at].address.key.slot
    }

    /// Whoever goes in the middle of a round, the others have exactly one turn in it.
    #[test]
    fn a_member_that_goes_costs_nobody_a_turn_and_gives_nobody_two() {
        for count in [2, 5, 9, 40] {
            for turns in 0..=count {
                for gone in 0..count {
                    let mut members = members(count);
                    let mut served: Vec<u32> = (0..turns).map(|_| next(&mut members)).collect();
                    let at = members.find(address(gone)).unwrap();
                    members.remove(at).unwrap();
                    let left = count - turns - u32::from(!served.contains(&gone));
                    served.extend((0..left).map(|_| next(&mut members)));
                    served.retain(|slot| *slot != gone);
                    served.sort_unstable();
                    let expected: Vec<u32> = (0..count).filter(|slot| *slot != gone).collect();
                    assert_eq!(
                        served, expected,
                        "{count} members, {turns} turns, {gone} gone"
                    );
                }
            }
        }
    }

    /// [`Members::find`] agrees with the list through any mixture of changes.
    #[test]
    fn every_member_is_found_where_it_is() {
        let mut members = members(40);
        let mut random = 7_u64;
        for step in 0..2_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let slot = u32::try_from((random >> 33) % 40).unwrap();
            let found = members.find(address(slot));
            match (found, step % 5) {
                (Some(at), 0) => assert_eq!(members.remove(at).unwrap().address, address(slot)),
                (Some(at), 1 | 2) => {
                    members.pass_over(at);
                }
                (Some(at), 3) => members.ask_again(at),
                (Some(_), _) => {
                    next_turn_if_any(&mut members);
                }
                (None, _) => {
                    let member = Member {
                        address: address(slot),
                        ..members.list[0]
                    };
                    members.push(member);
                }
            }
            for (at, member) in members.list.iter().enumerate() {
                assert_eq!(members.find(member.address), Some(at));
            }
            assert!(members.asked <= members.list.len());
        }
    }

    fn next_turn_if_any(members: &mut Members) {
        if !members.asked().is_empty() {
            members.next_turn();
        }
    }
}
