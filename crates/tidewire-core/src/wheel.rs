//! A hierarchical timer wheel over virtual or real [`Time`].
//!
//! Deadlines are rounded up to whole milliseconds, so nothing fires early, nothing fires more than a tick
//! late, and deadlines in whole milliseconds fire exactly. Each level of 64 slots is 64 times coarser than the one below; an entry
//! lies on the level of the highest digit in which its tick differs from the wheel's own, and moves down when the wheel reaches its
//! slot. There is no cancelling: owners look again when an item fires, and tell a stale one by its generation.

use crate::time::Time;

/// A tick, in microseconds. A millisecond is finer than any deadline of MQTT, and exact for all of them.
const TICK_MICROS: u64 = 1_000;

/// Binary digits of a tick that one level decides.
const SLOT_BITS: u32 = 6;
/// Slots of a level; one word of [`Level::occupied`] has a bit for each.
const SLOTS: usize = 1 << SLOT_BITS;

/// Items that fall due, in the order of their deadlines.
#[derive(Debug)]
pub struct Wheel<T> {
    /// Everything due at or before this tick has been handed out, unless it was scheduled later than that.
    reached: u64,
    /// From fine to coarse; a level is made when an entry first needs it, the tenth covers all of [`Time`].
    levels: Vec<Level<T>>,
    len: usize,
}

#[derive(Debug)]
struct Level<T> {
    /// A bit for each slot that holds something.
    occupied: u64,
    slots: [Slot<T>; SLOTS],
}

#[derive(Debug)]
struct Slot<T> {
    /// The smallest tick in `entries`; the largest number when there are none.
    earliest: u64,
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    tick: u64,
    item: T,
}

impl<T> Wheel<T> {
    /// The granularity, in microseconds.
    pub const TICK_MICROS: u64 = TICK_MICROS;

    /// An empty wheel that stands at the origin of time.
    pub const fn new() -> Self {
        Self {
            reached: 0,
            levels: Vec::new(),
            len: 0,
        }
    }

    /// When something that is scheduled for `at` fires: the end of its tick.
    pub fn fires_at(at: Time) -> Time {
        let tick = at.as_micros().div_ceil(TICK_MICROS);
        Time::from_micros(tick.saturating_mul(TICK_MICROS))
    }

    /// Lets `item` fire at `at`, or at the next [`expire`](Self::expire) if that has passed.
    pub fn schedule(&mut self, at: Time, item: T) {
        let tick = at.as_micros().div_ceil(TICK_MICROS).max(self.reached);
        self.len += 1;
        self.place(Entry { tick, item });
    }

    /// Appends to `fired` every item whose deadline is not after `now`, earlier deadlines first.
    ///
    /// A jump over years costs no more than a step: each slot that it passes is emptied once.
    pub fn expire(&mut self, now: Time, fired: &mut Vec<T>) {
        let tick = now.as_micros() / TICK_MICROS;
        if tick < self.reached {
            return;
        }
        let mut later = Vec::new();
        while let Some((depth, slot)) = self.first_slot()
            && self.slot_start(depth, slot) <= tick
        {
            let before = fired.len();
            self.drain(depth, slot, tick, fired, &mut later);
            self.len -= fired.len() - before;
        }
        self.reached = tick;
        for entry in later {
            self.place(entry);
        }
    }

    /// When the next item fires: [`expire`](Self::expire) at this time hands it out, and not before.
    pub fn next_deadline(&self) -> Option<Time> {
        let (depth, slot) = self.first_slot()?;
        let earliest = self.levels.get(depth)?.slots.get(slot)?.earliest;
        Some(Time::from_micros(earliest.saturating_mul(TICK_MICROS)))
    }

    /// Drops the items that `keep` refuses; it sees each with its deadline. Costs a look at every item.
    pub fn retain(&mut self, mut keep: impl FnMut(Time, &T) -> bool) {
        self.len = 0;
        for level in &mut self.levels {
            level.occupied = 0;
            for (digit, slot) in level.slots.iter_mut().enumerate() {
                slot.entries.retain(|entry| {
                    let at = Time::from_micros(entry.tick.saturating_mul(TICK_MICROS));
                    keep(at, &entry.item)
                });
                slot.entries.shrink_to_fit();
                slot.earliest = slot
                    .entries
                    .iter()
                    .map(|entry| entry.tick)
                    .min()
                    .unwrap_or(u64::MAX);
                level.occupied |= u64::from(!slot.entries.is_empty()) << digit;
                self.len += slot.entries.len();
            }
        }
    }

    /// How many items wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Heap bytes of the levels and their entries, without what the items own.
    pub fn heap_bytes(&self) -> usize {
        let slots = self.levels.iter().flat_map(|level| &level.slots);
        let entries: usize = slots.map(|slot| slot.entries.capacity()).sum();
        self.levels.capacity() * size_of::<Level<T>>() + entries * size_of::<Entry<T>>()
    }

    fn place(&mut self, entry: Entry<T>) {
        // The lowest digit counts even when nothing differs: what is due already lies on the finest level.
        let differing = (entry.tick ^ self.reached) | 1;
        let depth = (differing.ilog2() / SLOT_BITS) as usize;
        while self.levels.len() <= depth {
            self.levels.push(Level::new());
        }
        let digit = (entry.tick >> shift(depth)) as usize % SLOTS;
        if let Some(level) = self.levels.get_mut(depth)
            && let Some(slot) = level.slots.get_mut(digit)
        {
            level.occupied |= 1 << digit;
            slot.earliest = slot.earliest.min(entry.tick);
            slot.entries.push(entry);
        }
    }

    /// Empties a slot: what is due at `tick` into `fired`, the rest into `later`.
    fn drain(
        &mut self,
        depth: usize,
        slot: usize,
        tick: u64,
        fired: &mut Vec<T>,
        later: &mut Vec<Entry<T>>,
    ) {
        let Some(level) = self.levels.get_mut(depth) else {
            return;
        };
        level.occupied &= !(1 << slot);
        let Some(slot) = level.slots.get_mut(slot) else {
            return;
        };
        slot.earliest = u64::MAX;
        // The vector goes with its entries: a burst leaves no memory behind.
        let mut entries = std::mem::take(&mut slot.entries);
        if depth > 0 {
            entries.sort_by_key(|entry| entry.tick);
        }
        for entry in entries {
            if entry.tick <= tick {
                fired.push(entry.item);
            } else {
                later.push(entry);
            }
        }
    }

    /// The slot with the earliest entries: all of a finer level comes before all of a coarser one.
    #[inline]
    fn first_slot(&self) -> Option<(usize, usize)> {
        let depth = self.levels.iter().position(|level| level.occupied != 0)?;
        let slot = self.levels.get(depth)?.occupied.trailing_zeros() as usize;
        Some((depth, slot))
    }

    /// The first tick of a slot: the wheel's own digits above the level, the slot's digit, zeros below.
    fn slot_start(&self, depth: usize, slot: usize) -> u64 {
        let shift = shift(depth);
        let above = self.reached.checked_shr(shift + SLOT_BITS).unwrap_or(0);
        let above = above.checked_shl(shift + SLOT_BITS).unwrap_or(0);
        above | (slot as u64) << shift
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Level<T> {
    fn new() -> Self {
        Self {
            occupied: 0,
            slots: std::array::from_fn(|_| Slot {
                earliest: u64::MAX,
                entries: Vec::new(),
            }),
        }
    }
}

/// Binary digits of a tick below those that the level decides.
fn shift(depth: usize) -> u32 {
    depth as u32 * SLOT_BITS
}
