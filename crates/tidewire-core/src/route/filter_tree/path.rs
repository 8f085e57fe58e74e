//! The levels of the topic being matched, cut and hashed no further than the tree is deep.

use super::level::{LevelHash, split_level};

/// Levels kept on the stack; deeper topics under deeper filters take one heap block a match.
const INLINE_LEVELS: usize = 16;

/// One level of the topic.
#[derive(Clone, Copy, Default)]
pub(super) struct Level<'t> {
    pub(super) text: &'t str,
    pub(super) hash: u32,
}

/// The levels seen so far, and the rest of the topic.
pub(super) struct Path<'t> {
    seen: Spill<Level<'t>>,
    rest: Option<&'t str>,
}

impl<'t> Path<'t> {
    pub(super) fn new(topic: &'t str) -> Self {
        Self {
            seen: Spill::new(),
            rest: Some(topic),
        }
    }

    /// Level `depth`, counted from 0; nothing past the end. Ask for a depth only after the one before it.
    #[inline]
    pub(super) fn level(&mut self, depth: usize, hash: &LevelHash) -> Option<Level<'t>> {
        if let Some(level) = self.seen.get(depth) {
            return Some(level);
        }
        let (text, rest) = split_level(self.rest?);
        self.rest = rest;
        let level = Level {
            text,
            hash: hash.level(text),
        };
        self.seen.push(level);
        Some(level)
    }
}

/// A stack whose first [`INLINE_LEVELS`] entries need no heap.
pub(super) struct Spill<T> {
    near: [T; INLINE_LEVELS],
    far: Vec<T>,
    len: usize,
}

impl<T: Copy + Default> Spill<T> {
    pub(super) fn new() -> Self {
        Self {
            near: [T::default(); INLINE_LEVELS],
            far: Vec::new(),
            len: 0,
        }
    }

    #[inline]
    pub(super) fn push(&mut self, entry: T) {
        match self.near.get_mut(self.len) {
            Some(room) => *room = entry,
            None => self.far.push(entry),
        }
        self.len += 1;
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        match self.near.get(self.len) {
            Some(&entry) => Some(entry),
            None => self.far.pop(),
        }
    }

    #[inline]
    fn get(&self, at: usize) -> Option<T> {
        if at >= self.len {
            return None;
        }
        match self.near.get(at) {
            Some(&entry) => Some(entry),
            None => self.far.get(at - INLINE_LEVELS).copied(),
        }
    }
}
