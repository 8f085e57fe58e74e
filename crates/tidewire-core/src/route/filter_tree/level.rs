//! One level of a topic: its text in 16 bytes and its hash.

use std::fmt;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use triomphe::ThinArc;

/// Bytes of text that fit without a heap block; with the tag and the length this fills 16 bytes.
const INLINE_BYTES: usize = 14;

/// The text of one level, 16 bytes, in place up to [`INLINE_BYTES`].
#[derive(Clone)]
pub(crate) enum LevelText {
    /// Short text, the common case.
    Inline { len: u8, bytes: [u8; INLINE_BYTES] },
    /// Longer text in one block; clones of a tree share it.
    Shared(ThinArc<(), u8>),
}

impl LevelText {
    /// Stores `text`.
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = [0; INLINE_BYTES];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(len)) => {
                room.copy_from_slice(text.as_bytes());
                Self::Inline { len, bytes }
            }
            _ => Self::Shared(ThinArc::from_header_and_slice((), text.as_bytes())),
        }
    }

    /// The bytes of the text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or(bytes),
            Self::Shared(text) => &text.slice,
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        // Only `new` writes the bytes, from a `str`, so the check cannot fail.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Heap bytes behind this text.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Inline { .. } => 0,
            // Reference count and length come before the text.
            Self::Shared(text) => 16 + text.slice.len(),
        }
    }
}

impl fmt::Debug for LevelText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// Seeded hashing of levels and of (parent, level) pairs.
#[derive(Clone, Debug)]
pub(crate) struct LevelHash {
    state: FixedState,
    seed: u64,
}

impl LevelHash {
    /// Hashing that nobody can predict who does not know `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            state: FixedState::with_seed(seed),
            seed,
        }
    }

    /// The hash of a whole topic or filter.
    #[inline]
    pub(crate) fn whole(&self, text: &str) -> u64 {
        let mut hasher = self.state.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish()
    }

    /// The hash of one level; 32 bits so that a node can keep it and a growing table need not read the text again.
    #[inline]
    pub(crate) fn level(&self, text: &str) -> u32 {
        let hash = self.whole(text);
        (hash ^ (hash >> 32)) as u32
    }

    /// The hash under which the child `level` of node `parent` is filed.
    #[inline]
    pub(crate) fn edge(&self, parent: u32, level: u32) -> u64 {
        // An odd constant with no pattern in its bits: 2^64 divided by the golden ratio.
        const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
        let pair = (u64::from(parent) << 32 | u64::from(level)) ^ self.seed;
        let product = u128::from(pair) * u128::from(SPREAD);
        product as u64 ^ (product >> 64) as u64
    }
}

/// The text up to the first `/`, and what follows that `/`.
#[inline]
pub(crate) fn split_level(text: &str) -> (&str, Option<&str>) {
    match text.bytes().position(|byte| byte == b'/') {
        Some(at) => match (text.get(..at), text.get(at + 1..)) {
            (Some(level), rest) => (level, rest),
            _ => (text, None),
        },
        None => (text, None),
    }
}
