//! Randomness for jitter and client identifiers: nothing that secrets depend on.

use std::hash::{BuildHasher, Hasher, RandomState};

/// The next random number. The standard library seeds its hash tables from the operating system.
pub(crate) fn next() -> u64 {
    RandomState::new().build_hasher().finish()
}
