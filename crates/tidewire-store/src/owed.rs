//! Which messages of a shard somebody is still owed.

use crate::group::CursorState;
use crate::ledger::{Ledger, start_of};
use crate::lookup::filters_of;
use crate::names::{Offset, Owner, ShardId};
use crate::table::kind;
use crate::wire::Reader;
use std::collections::HashMap;
use tidewire_codec::topic;

/// The interest of all owners, at the positions of their cursors in one shard when it was made. It only shrinks with
/// time: who comes later is owed nothing from before.
#[derive(Debug)]
pub(crate) struct Owed {
    root: Node,
    /// No owner is owed anything below.
    pub(crate) low_water: Offset,
    sparse: Vec<CursorState>,
    now_ms: u64,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    /// Of filters that end here.
    here: Need,
    /// Of filters that go on with `#` here.
    below: Need,
}

/// What owners of one filter need.
#[derive(Clone, Debug)]
struct Need {
    /// The lowest position of those that have acknowledged nothing out of order.
    from: Offset,
    /// The others, as indexes into `sparse`.
    sparse: Vec<usize>,
}

impl Default for Need {
    fn default() -> Self {
        Self {
            from: Offset(u64::MAX),
            sparse: Vec::new(),
        }
    }
}

impl Owed {
    pub(crate) fn new(ledger: &Ledger, shard: ShardId, now_ms: u64) -> Self {
        let mut owed = Self {
            root: Node::default(),
            low_water: Offset(u64::MAX),
            sparse: Vec::new(),
            now_ms,
        };
        for (key, entry) in ledger.table.with_prefix(&[kind::OWNER]) {
            let owner = Owner::decode(&mut Reader::new(key.get(1..).unwrap_or_default()));
            let value = ledger.table.value_in_memory(entry);
            let (Some(owner), Some(value)) = (owner, value) else {
                continue;
            };
            let cursor = ledger.cursor(&owner, shard, start_of(value).unwrap_or(0));
            owed.add(cursor, filters_of(value));
        }
        owed
    }

    fn add<'f>(&mut self, cursor: CursorState, filters: impl Iterator<Item = &'f str>) {
        let position = cursor.position;
        let sparse = (!cursor.acked.is_empty()).then(|| {
            self.sparse.push(cursor);
            self.sparse.len() - 1
        });
        for filter in filters {
            self.low_water = self.low_water.min(position);
            let need = self.root.need_of(filter);
            match sparse {
                None => need.from = need.from.min(position),
                Some(index) => need.sparse.push(index),
            }
        }
    }

    /// Whether somebody is owed this message.
    pub(crate) fn is_owed(&self, offset: Offset, name: &str, expires_ms: Option<u64>) -> bool {
        if expires_ms.is_some_and(|expires| expires <= self.now_ms) || offset < self.low_water {
            return false;
        }
        self.any_need(name, &mut |need| {
            need.from <= offset || need.sparse.iter().any(|at| self.sparse_owes(*at, offset))
        })
    }

    /// Whether somebody may be owed a message of this topic at or before `last`; what was acknowledged out of order
    /// counts as owed.
    pub(crate) fn may_be_owed(&self, last: Offset, name: &str) -> bool {
        let reaches = |at: &usize| self.sparse.get(*at).is_some_and(|c| c.position <= last);
        last >= self.low_water
            && self.any_need(name, &mut |need| {
                need.from <= last || need.sparse.iter().any(reaches)
            })
    }

    /// Whether the answer for these offsets depends on more than the topic: a cursor stands among them, or has holes.
    pub(crate) fn is_uneven(&self, from: Offset, to: Offset) -> bool {
        let has_holes = |cursor: &CursorState| {
            cursor.position < to && cursor.acked.last().is_some_and(|(_, end)| *end > from)
        };
        self.sparse.iter().any(has_holes) || self.root.has_position_in(from, to)
    }

    fn sparse_owes(&self, at: usize, offset: Offset) -> bool {
        let cursor = self.sparse.get(at);
        cursor.is_some_and(|cursor| !cursor.has_acked(offset))
    }

    fn any_need(&self, name: &str, test: &mut dyn FnMut(&Need) -> bool) -> bool {
        let levels: Vec<&str> = topic::levels(name).collect();
        let system = name.starts_with('$');
        self.root.any_need(&levels, system, test)
    }
}

impl Node {
    fn need_of(&mut self, filter: &str) -> &mut Need {
        let mut node = self;
        for level in topic::levels(filter) {
            if level == "#" {
                return &mut node.below;
            }
            node = node.children.entry(level.into()).or_default();
        }
        &mut node.here
    }

    /// `system`: a topic that begins with `$`, which wildcards in the first level do not match.
    fn any_need(&self, levels: &[&str], system: bool, test: &mut dyn FnMut(&Need) -> bool) -> bool {
        if !system && test(&self.below) {
            return true;
        }
        let Some((level, rest)) = levels.split_first() else {
            return test(&self.here);
        };
        let same = self.children.get(*level);
        if same.is_some_and(|node| node.any_need(rest, false, test)) {
            return true;
        }
        let plus = self.children.get("+").filter(|_| !system);
        plus.is_some_and(|node| node.any_need(rest, false, test))
    }

    fn has_position_in(&self, from: Offset, to: Offset) -> bool {
        let inside = |need: &Need| need.from > from && need.from < to;
        inside(&self.here)
            || inside(&self.below)
            || self
                .children
                .values()
                .any(|node| node.has_position_in(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_follows_the_rules_of_topic_filters() {
        let filters = ["a/b", "+/c", "d/#", "#", "$SYS/#", "e/+/f", "+", "/+"];
        let names = [
            "a/b", "x/c", "d", "d/e/f", "$SYS", "$SYS/x", "$x", "e/1/f", "e", "/x", "", "a//b",
        ];
        for filter in filters {
            let mut owed = Owed {
                root: Node::default(),
                low_water: Offset(u64::MAX),
                sparse: Vec::new(),
                now_ms: 0,
            };
            owed.add(CursorState::default(), [filter].into_iter());
            for name in names {
                assert_eq!(
                    owed.is_owed(Offset(5), name, None),
                    topic::matches(filter, name),
                    "{filter} {name}"
                );
            }
        }
    }

    #[test]
    fn what_was_acknowledged_out_of_order_is_not_owed() {
        let mut owed = Owed {
            root: Node::default(),
            low_water: Offset(u64::MAX),
            sparse: Vec::new(),
            now_ms: 10,
        };
        let cursor = CursorState {
            position: Offset(10),
            acked: vec![(Offset(12), Offset(15)), (Offset(20), Offset(21))],
        };
        owed.add(cursor, ["t"].into_iter());
        let owes = |at| owed.is_owed(Offset(at), "t", None);
        assert_eq!(
            (9..23).filter(|at| owes(*at)).collect::<Vec<_>>(),
            [10, 11, 15, 16, 17, 18, 19, 21, 22]
        );
        assert!(!owed.is_owed(Offset(10), "t", Some(10)));
        assert!(owed.is_owed(Offset(10), "t", Some(11)));
    }
}
