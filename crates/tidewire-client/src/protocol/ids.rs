//! Packet identifiers that are in use, and what for.

use std::collections::VecDeque;

use tidewire_codec::PacketId;

/// So many identifiers go round before one is used again: a late or repeated acknowledgement of a careless server then
/// finds nothing instead of the next message.
const BEFORE_REUSE: usize = 32;

/// A table with one place per packet identifier; it grows with what is in use at once.
#[derive(Debug)]
pub(crate) struct Ids<T> {
    places: Vec<Option<T>>,
    free: VecDeque<u16>,
}

impl<T> Ids<T> {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: VecDeque::new(),
        }
    }

    /// Takes an unused identifier; gives the value back when there is none.
    pub(crate) fn insert(&mut self, value: T) -> Result<PacketId, T> {
        let grows = self.places.len() < BEFORE_REUSE || self.free.is_empty();
        let id = if grows && self.places.len() < usize::from(u16::MAX) {
            self.places.push(None);
            u16::try_from(self.places.len()).ok()
        } else {
            self.free.pop_front()
        };
        let Some(id) = id.and_then(PacketId::new) else {
            return Err(value);
        };
        if let Some(place) = self.places.get_mut(index(id)) {
            *place = Some(value);
        }
        Ok(id)
    }

    pub(crate) fn get(&self, id: PacketId) -> Option<&T> {
        self.places.get(index(id))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: PacketId) -> Option<&mut T> {
        self.places.get_mut(index(id))?.as_mut()
    }

    pub(crate) fn remove(&mut self, id: PacketId) -> Option<T> {
        let value = self.places.get_mut(index(id))?.take()?;
        self.free.push_back(id.get());
        Some(value)
    }

    pub(crate) fn for_each_mut(&mut self, change: impl FnMut(&mut T)) {
        self.places.iter_mut().flatten().for_each(change);
    }

    /// All that are in use, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PacketId, &T)> {
        self.places.iter().enumerate().filter_map(|(index, place)| {
            let id = PacketId::new(u16::try_from(index + 1).ok()?)?;
            Some((id, place.as_ref()?))
        })
    }
}

fn index(id: PacketId) -> usize {
    usize::from(id.get()) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifier_in_use_is_never_given_again_and_all_can_be_in_use() {
        let mut ids = Ids::new();
        let mut seen = vec![false; 65_536];
        for value in 0..65_535_u32 {
            let id = ids.insert(value).expect("not all are in use");
            assert!(!std::mem::replace(&mut seen[usize::from(id.get())], true));
        }
        assert!(!seen[0]);
        assert_eq!(ids.insert(7), Err(7));
        let id = PacketId::new(500).expect("not zero");
        assert_eq!(ids.remove(id), Some(499));
        assert_eq!(ids.remove(id), None);
        assert_eq!(ids.insert(8), Ok(id));
    }

    #[test]
    fn released_identifier_rests_before_it_is_used_again() {
        let mut ids = Ids::new();
        let first = ids.insert(()).expect("free");
        ids.remove(first);
        for _ in 1..BEFORE_REUSE {
            let id = ids.insert(()).expect("free");
            assert_ne!(id, first);
            ids.remove(id);
        }
        assert_eq!(ids.insert(()), Ok(first));
    }
}
