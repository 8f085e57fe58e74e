//! What a log remembers of a sealed segment's footer once its checksum was proved.

use crate::files::{File, read_exact_at};
use crate::segment::{Footer, HEADER_BYTES, Trailer};
use std::io;
use std::sync::Arc;

/// Digests up to this length stay in memory.
const SMALL_DIGEST_BYTES: usize = 16 * 1024;

/// The index of a segment, and its digest or the place of it.
#[derive(Debug)]
pub(crate) struct Known {
    index: Vec<(u64, u64)>,
    digest: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    /// In the segment's file.
    Disk {
        at: u64,
        bytes: usize,
    },
}

/// Reads parts of a digest.
#[derive(Debug)]
pub struct DigestReader(Source);

#[derive(Debug)]
enum Source {
    Memory(Arc<Known>),
    Disk {
        file: Arc<dyn File>,
        at: u64,
        bytes: usize,
    },
}

impl Known {
    /// Of a footer that was read from the file which `trailer` ends.
    pub(crate) fn on_disk(footer: Footer, trailer: &Trailer) -> Self {
        if footer.digest.len() <= SMALL_DIGEST_BYTES {
            return Self::in_memory(&footer);
        }
        let before = 4 + 16 * footer.index.len() as u64;
        Self {
            digest: Place::Disk {
                at: trailer.footer_at + before,
                bytes: footer.digest.len(),
            },
            index: footer.index,
        }
    }

    /// Of a footer that no file has.
    pub(crate) fn in_memory(footer: &Footer) -> Self {
        Self {
            index: footer.index.clone(),
            digest: Place::Memory(footer.digest.clone()),
        }
    }

    /// Where to start reading for the record `seq`: at it or shortly before.
    pub(crate) fn seek(&self, seq: u64) -> u64 {
        let after = self.index.partition_point(|(first, _)| *first <= seq);
        let entry = after.checked_sub(1).and_then(|at| self.index.get(at));
        entry.map_or(HEADER_BYTES, |(_, at)| *at)
    }

    /// A way to the digest; `open` opens the segment's file.
    pub(crate) fn digest(
        self: Arc<Self>,
        open: impl FnOnce() -> io::Result<Arc<dyn File>>,
    ) -> io::Result<DigestReader> {
        Ok(DigestReader(match self.digest {
            Place::Memory(_) => Source::Memory(self),
            Place::Disk { at, bytes } => Source::Disk {
                file: open()?,
                at,
                bytes,
            },
        }))
    }

    fn bytes(&self) -> &[u8] {
        match &self.digest {
            Place::Memory(bytes) => bytes,
            Place::Disk { .. } => &[],
        }
    }
}

impl DigestReader {
    /// Its length.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        match &self.0 {
            Source::Memory(known) => known.bytes().len(),
            Source::Disk { bytes, .. } => *bytes,
        }
    }

    /// A part of it.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] beyond its end; else as the file layer says.
    pub fn part(&self, at: usize, bytes: usize) -> io::Result<Vec<u8>> {
        let end = at
            .checked_add(bytes)
            .filter(|end| *end <= self.size_bytes());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        match &self.0 {
            Source::Memory(known) => Ok(known.bytes().get(at..end).unwrap_or_default().to_vec()),
            Source::Disk { file, at: from, .. } => {
                let mut part = vec![0; bytes];
                read_exact_at(&**file, &mut part, from + at as u64)?;
                Ok(part)
            }
        }
    }
}
