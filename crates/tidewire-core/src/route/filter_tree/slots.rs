//! Values by number: a vector that reuses its holes.

use super::arena::{NONE, grow_by_a_quarter};

/// Values addressed by `u32`.
#[derive(Clone, Debug)]
pub(crate) struct Slots<V> {
    values: Vec<Option<V>>,
    free: Vec<u32>,
}

impl<V> Slots<V> {
    /// No values, no memory.
    pub(crate) const fn new() -> Self {
        Self {
            values: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Files `value` and returns its number.
    pub(crate) fn insert(&mut self, value: V) -> u32 {
        if let Some(slot) = self.free.pop()
            && let Some(hole) = self.values.get_mut(slot as usize)
        {
            *hole = Some(value);
            return slot;
        }
        grow_by_a_quarter(&mut self.values);
        let slot = self.values.len() as u32;
        self.values.push(Some(value));
        slot
    }

    /// Takes the value out of `slot`.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<V> {
        let value = self.values.get_mut(slot as usize)?.take();
        if value.is_some() {
            self.free.push(slot);
        }
        value
    }

    /// The value in `slot`; nothing for [`NONE`].
    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&V> {
        self.values.get(slot as usize)?.as_ref()
    }

    /// The value in `slot`, to change it.
    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut V> {
        self.values.get_mut(slot as usize)?.as_mut()
    }

    /// The value in a slot that [`insert`](Self::insert) returned.
    pub(crate) fn get_or_default(&mut self, slot: u32) -> &mut V
    where
        V: Default,
    {
        let at = slot as usize;
        if at >= self.values.len() {
            self.values.resize_with(at + 1, || None);
        }
        // In range, as just seen to.
        self.values[at].get_or_insert_with(V::default)
    }

    /// All values in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &V> {
        self.values.iter().flatten()
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.values.len() - self.free.len()
    }

    /// True when three of four slots are holes, so that moving the rest is paid for by what was removed.
    pub(crate) fn is_sparse(&self) -> bool {
        super::arena::is_sparse(self.len(), self.values.len())
    }

    /// Closes the holes; the table gives the new number of each old one.
    pub(crate) fn compact(&mut self) -> Vec<u32> {
        let mut moved = vec![NONE; self.values.len()];
        let mut values = Vec::with_capacity(self.len());
        let old = std::mem::take(&mut self.values);
        for (value, number) in old.into_iter().zip(&mut moved) {
            if value.is_some() {
                *number = values.len() as u32;
                values.push(value);
            }
        }
        self.values = values;
        self.free = Vec::new();
        moved
    }

    /// Heap bytes of the vectors, without what the values own.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.values.capacity() * size_of::<Option<V>>() + self.free.capacity() * size_of::<u32>()
    }
}
