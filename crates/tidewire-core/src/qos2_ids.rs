//! The packet identifiers of QoS 2 messages received and not yet released.

use tidewire_codec::PacketId;

/// Above this many identifiers a bitmap serves better than a list.
const LIST_MAX: usize = 16;
const WORDS: usize = 65_536 / 64;

/// A set of packet identifiers: a short list for the many, a bitmap of 8 KiB for senders with a large window.
#[derive(Debug)]
pub(crate) enum PacketIdSet {
    List(Vec<u16>),
    Bitmap { words: Box<[u64]>, len: usize },
}

impl Default for PacketIdSet {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl PacketIdSet {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::List(ids) => ids.len(),
            Self::Bitmap { len, .. } => *len,
        }
    }

    /// Adds an identifier; `false` if it was there.
    pub(crate) fn insert(&mut self, id: PacketId) -> bool {
        match self {
            Self::List(ids) if ids.contains(&id.get()) => false,
            Self::List(ids) if ids.len() < LIST_MAX => {
                ids.push(id.get());
                true
            }
            Self::List(ids) => {
                let mut words = vec![0u64; WORDS].into_boxed_slice();
                for id in ids.iter() {
                    set_bit(&mut words, *id);
                }
                let len = ids.len();
                *self = Self::Bitmap { words, len };
                self.insert(id)
            }
            Self::Bitmap { words, len } => {
                let new = set_bit(words, id.get());
                *len += usize::from(new);
                new
            }
        }
    }

    /// Removes an identifier; `false` if it was not there.
    pub(crate) fn remove(&mut self, id: PacketId) -> bool {
        match self {
            Self::List(ids) => match ids.iter().position(|known| *known == id.get()) {
                Some(at) => {
                    ids.remove(at);
                    true
                }
                None => false,
            },
            Self::Bitmap { words, len } => {
                let was = clear_bit(words, id.get());
                *len -= usize::from(was);
                was
            }
        }
    }

    pub(crate) fn contains(&self, id: PacketId) -> bool {
        match self {
            Self::List(ids) => ids.contains(&id.get()),
            Self::Bitmap { words, .. } => {
                let (word, mask) = place(id.get());
                words.get(word).is_some_and(|bits| bits & mask != 0)
            }
        }
    }
}

fn place(id: u16) -> (usize, u64) {
    (usize::from(id) / 64, 1 << (id % 64))
}

fn set_bit(words: &mut [u64], id: u16) -> bool {
    let (word, mask) = place(id);
    words.get_mut(word).is_some_and(|bits| {
        let new = *bits & mask == 0;
        *bits |= mask;
        new
    })
}

fn clear_bit(words: &mut [u64], id: u16) -> bool {
    let (word, mask) = place(id);
    words.get_mut(word).is_some_and(|bits| {
        let was = *bits & mask != 0;
        *bits &= !mask;
        was
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_remembers_through_the_change_to_a_bitmap() {
        let mut set = PacketIdSet::default();
        for n in 1..=40u16 {
            let id = PacketId::new(n * 7).unwrap();
            assert!(set.insert(id));
            assert!(!set.insert(id));
        }
        assert_eq!(set.len(), 40);
        assert!(matches!(set, PacketIdSet::Bitmap { .. }));
        for n in 1..=40u16 {
            let id = PacketId::new(n * 7).unwrap();
            assert!(set.contains(id));
            assert!(set.remove(id));
            assert!(!set.remove(id));
        }
        assert_eq!(set.len(), 0);
    }
}
