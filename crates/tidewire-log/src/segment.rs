//! One segment file: header, records, and, once sealed, a footer with an index and a trailer that finds it.

use crate::bytes::{u16_at, u32_at, u64_at};
use crate::files::{File, read_exact_at};
use std::io;

/// Two equal copies of 32 bytes, so that one damaged bit does not cost a segment.
pub(crate) const HEADER_BYTES: u64 = 2 * HEADER_COPY_BYTES as u64;
const HEADER_COPY_BYTES: usize = 32;
const HEADER_MAGIC: [u8; 8] = *b"TIDEWLOG";
pub(crate) const TRAILER_BYTES: usize = 56;
const TRAILER_MAGIC: [u8; 8] = *b"TWSEGEND";

/// The version of the layout of segments that this build writes, and the only one that it reads.
pub const FORMAT_VERSION: u16 = 1;

/// The index has one entry for so many bytes of records: small beside them, and a seek reads little more.
pub(crate) const INDEX_STRIDE_BYTES: u64 = 64 * 1024;

/// What a segment's header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) salt: u32,
    /// No record has a lower sequence number.
    pub(crate) base: u64,
}

/// Why a header could not be read.
#[derive(Debug)]
pub(crate) enum HeaderError {
    /// Written by another version of the layout.
    Version(u16),
    /// No copy is sound.
    Damaged,
    Io(io::Error),
}

impl Header {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut copy = Vec::with_capacity(HEADER_COPY_BYTES * 2);
        copy.extend_from_slice(&HEADER_MAGIC);
        copy.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        copy.extend_from_slice(&[0; 2]);
        copy.extend_from_slice(&self.salt.to_le_bytes());
        copy.extend_from_slice(&self.base.to_le_bytes());
        copy.extend_from_slice(&[0; 4]);
        copy.extend_from_slice(&crc32c::crc32c(&copy).to_le_bytes());
        copy.extend_from_within(..);
        copy
    }

    pub(crate) fn read(file: &dyn File) -> Result<Self, HeaderError> {
        let mut bytes = [0; HEADER_COPY_BYTES * 2];
        match read_exact_at(file, &mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(HeaderError::Io(error)),
            Ok(()) => {}
        }
        let (first, second) = bytes.split_at(HEADER_COPY_BYTES);
        Self::decode(first).or_else(|error| match error {
            HeaderError::Damaged => Self::decode(second),
            other => Err(other),
        })
    }

    fn decode(copy: &[u8]) -> Result<Self, HeaderError> {
        let sum = copy.get(..28).map(crc32c::crc32c);
        let sound = copy.starts_with(&HEADER_MAGIC) && sum.is_some() && sum == u32_at(copy, 28);
        let fields = (u16_at(copy, 8), u32_at(copy, 12), u64_at(copy, 16));
        match fields {
            (Some(version), ..) if sound && version != FORMAT_VERSION => {
                Err(HeaderError::Version(version))
            }
            (_, Some(salt), Some(base)) if sound => Ok(Self { salt, base }),
            _ => Err(HeaderError::Damaged),
        }
    }
}

/// What a sealed segment's trailer says: all that an open log remembers of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trailer {
    /// Where the records end and the footer begins.
    pub(crate) footer_at: u64,
    pub(crate) footer_bytes: u32,
    pub(crate) footer_sum: u32,
    pub(crate) records: u64,
    /// The highest sequence number in it; the base if there is none.
    pub(crate) last: u64,
    /// All sequence numbers below belong to this segment or an earlier one.
    pub(crate) covers_to: u64,
}

impl Trailer {
    fn encode(self, into: &mut Vec<u8>) {
        let start = into.len();
        into.extend_from_slice(&TRAILER_MAGIC);
        into.extend_from_slice(&self.footer_at.to_le_bytes());
        into.extend_from_slice(&self.footer_bytes.to_le_bytes());
        into.extend_from_slice(&self.footer_sum.to_le_bytes());
        into.extend_from_slice(&self.records.to_le_bytes());
        into.extend_from_slice(&self.last.to_le_bytes());
        into.extend_from_slice(&self.covers_to.to_le_bytes());
        into.extend_from_slice(&[0; 4]);
        let sum = crc32c::crc32c(into.get(start..).unwrap_or_default());
        into.extend_from_slice(&sum.to_le_bytes());
    }

    /// The trailer at the end of the file; `None` if there is no sound one.
    pub(crate) fn read(file: &dyn File) -> io::Result<Option<Self>> {
        let size = file.size_bytes()?;
        let Some(at) = size.checked_sub(TRAILER_BYTES as u64) else {
            return Ok(None);
        };
        let mut bytes = [0; TRAILER_BYTES];
        read_exact_at(file, &mut bytes, at)?;
        let trailer = Self::decode(&bytes);
        let fits = |t: &Self| {
            t.footer_at >= HEADER_BYTES
                && t.footer_at.checked_add(t.footer_bytes.into()) == Some(at)
        };
        Ok(trailer.filter(fits))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let sum = crc32c::crc32c(bytes.get(..TRAILER_BYTES - 4)?);
        if !bytes.starts_with(&TRAILER_MAGIC) || u32_at(bytes, TRAILER_BYTES - 4)? != sum {
            return None;
        }
        Some(Self {
            footer_at: u64_at(bytes, 8)?,
            footer_bytes: u32_at(bytes, 16)?,
            footer_sum: u32_at(bytes, 20)?,
            records: u64_at(bytes, 24)?,
            last: u64_at(bytes, 32)?,
            covers_to: u64_at(bytes, 40)?,
        })
    }
}

/// What stands between the records and the trailer.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Footer {
    /// Sequence number and position of a record, about every [`INDEX_STRIDE_BYTES`].
    pub(crate) index: Vec<(u64, u64)>,
    /// What the log's user says about the segment.
    pub(crate) digest: Vec<u8>,
}

impl Footer {
    /// Footer and trailer, to be written where the records end.
    pub(crate) fn encode(
        &self,
        footer_at: u64,
        records: u64,
        last: u64,
        covers_to: u64,
    ) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.index.len() * 16 + self.digest.len() + 64);
        let count = u32::try_from(self.index.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&count.to_le_bytes());
        for (seq, at) in &self.index {
            bytes.extend_from_slice(&seq.to_le_bytes());
            bytes.extend_from_slice(&at.to_le_bytes());
        }
        bytes.extend_from_slice(&self.digest);
        let trailer = Trailer {
            footer_at,
            footer_bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            footer_sum: crc32c::crc32c(&bytes),
            records,
            last,
            covers_to,
        };
        trailer.encode(&mut bytes);
        bytes
    }

    /// The footer that a trailer tells of; `None` if it is damaged.
    pub(crate) fn read(file: &dyn File, trailer: &Trailer) -> io::Result<Option<Self>> {
        // The trailer was found at the file's end by this length, so the allocation is no larger than the file.
        let mut bytes = vec![0; trailer.footer_bytes as usize];
        read_exact_at(file, &mut bytes, trailer.footer_at)?;
        if crc32c::crc32c(&bytes) != trailer.footer_sum {
            return Ok(None);
        }
        Ok(Self::decode(&bytes))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let count = usize::try_from(u32_at(bytes, 0)?).ok()?;
        let entries = bytes.get(4..4usize.checked_add(count.checked_mul(16)?)?)?;
        let index = entries.chunks_exact(16);
        Some(Self {
            index: index
                .filter_map(|e| Some((u64_at(e, 0)?, u64_at(e, 8)?)))
                .collect(),
            digest: bytes.get(4 + count * 16..)?.to_vec(),
        })
    }
}

/// The name of a segment's file.
pub(crate) fn file_name(log: &str, base: u64) -> String {
    format!("{log}-{base:016x}.seg")
}

/// The base in a segment's file name, if it is one of this log.
pub(crate) fn base_in_name(log: &str, name: &str) -> Option<u64> {
    let hex = name
        .strip_prefix(log)?
        .strip_prefix('-')?
        .strip_suffix(".seg")?;
    (hex.len() == 16)
        .then(|| u64::from_str_radix(hex, 16).ok())
        .flatten()
}
