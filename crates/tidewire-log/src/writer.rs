//! A single file of records in the layout of a sealed segment: what a rewrite makes, and what users keep checkpoints in.

use crate::digest::{Digest, NoDigest, Tally};
use crate::files::{File, Files};
use crate::reader::{Next, RecordReader};
use crate::record::{self, Parsed, RECORD_HEADER_BYTES};
use crate::report::Damage;
use crate::segment::{Footer, HEADER_BYTES, Header, HeaderError, Trailer};
use std::io;
use std::sync::Arc;

/// Written at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes a file of records from its beginning to its end.
#[derive(Debug)]
pub struct RecordFileWriter {
    file: Arc<dyn File>,
    salt: u32,
    base: u64,
    buffer: Vec<u8>,
    /// Where the buffer goes.
    flushed: u64,
    tally: Tally,
}

impl RecordFileWriter {
    /// Begins a file. It is durable only after [`RecordFileWriter::finish`], a sync of [`RecordFileWriter::file`] and one
    /// of the directory.
    ///
    /// # Errors
    /// As the file layer says.
    pub fn create(files: &dyn Files, name: &str, salt: u32, base: u64) -> io::Result<Self> {
        Self::with_digest(files, name, salt, base, Box::new(NoDigest))
    }

    pub(crate) fn with_digest(
        files: &dyn Files,
        name: &str,
        salt: u32,
        base: u64,
        digest: Box<dyn Digest>,
    ) -> io::Result<Self> {
        Ok(Self {
            file: files.create(name)?,
            salt,
            base,
            buffer: Header { salt, base }.encode(),
            flushed: 0,
            tally: Tally::new(digest),
        })
    }

    /// Adds a record; returns where in the file it is.
    ///
    /// # Errors
    /// As the file layer says; the file is then of no use.
    pub fn push(&mut self, seq: u64, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<u64> {
        let start = self.buffer.len();
        let at = self.flushed + start as u64;
        record::encode(&mut self.buffer, self.salt, seq, encode);
        let body = self.buffer.get(start + RECORD_HEADER_BYTES..);
        self.tally.add(seq, at, body.unwrap_or_default());
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(at)
    }

    /// Ends the file: no record from `covers_to` on belongs to it, and `digest`, if given, is kept in its footer.
    ///
    /// # Errors
    /// As the file layer says; the file is then of no use.
    pub fn finish(&mut self, covers_to: u64, digest: Option<Vec<u8>>) -> io::Result<()> {
        self.flush()?;
        let footer = Footer {
            index: std::mem::take(&mut self.tally.index),
            digest: digest.unwrap_or_else(|| self.tally.digest.bytes()),
        };
        self.buffer = footer.encode(self.flushed, self.tally.records, self.last(), covers_to);
        self.flush()
    }

    /// The file, to be synced.
    #[must_use]
    pub fn file(&self) -> Arc<dyn File> {
        Arc::clone(&self.file)
    }

    /// Its length so far.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    pub(crate) fn records(&self) -> u64 {
        self.tally.records
    }

    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn salt(&self) -> u32 {
        self.salt
    }

    fn last(&self) -> u64 {
        self.tally.last.unwrap_or(self.base)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_at(&self.buffer, self.flushed)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// A file of records, opened for reading.
#[derive(Debug)]
pub struct RecordFile {
    name: String,
    file: Arc<dyn File>,
    salt: u32,
    end: u64,
    digest: Option<Vec<u8>>,
    sealed: bool,
    reader: RecordReader,
    damage: Vec<Damage>,
    last: Option<u64>,
}

/// One record of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored<'a> {
    /// Its sequence number.
    pub seq: u64,
    /// Where it is in the file.
    pub at: u64,
    /// What was pushed.
    pub body: &'a [u8],
}

impl RecordFile {
    /// Opens a file; `None` if its header is unreadable, of another version included.
    ///
    /// # Errors
    /// As the file layer says.
    pub fn open(files: &dyn Files, name: &str) -> io::Result<Option<Self>> {
        let file = files.open(name)?;
        let header = match Header::read(&*file) {
            Ok(header) => header,
            Err(HeaderError::Io(error)) => return Err(error),
            Err(_) => return Ok(None),
        };
        let size = file.size_bytes()?;
        let trailer = Trailer::read(&*file)?;
        let footer = match &trailer {
            Some(trailer) => Footer::read(&*file, trailer)?,
            None => None,
        };
        // Without a trailer the records end where the last sound one does.
        let end = trailer.map_or(size, |t| t.footer_at);
        Ok(Some(Self {
            name: name.to_owned(),
            reader: RecordReader::new(Arc::clone(&file), header.salt, HEADER_BYTES, header.base),
            file,
            salt: header.salt,
            end,
            digest: footer.map(|footer| footer.digest),
            sealed: trailer.is_some(),
            damage: Vec::new(),
            last: None,
        }))
    }

    /// The next record, reading over damage; `None` at the end.
    ///
    /// # Errors
    /// As the file layer says.
    pub fn next_record(&mut self) -> io::Result<Option<Stored<'_>>> {
        loop {
            match self.reader.next(self.end, u64::MAX)? {
                Next::Record { seq, at, body } => {
                    self.last = Some(seq);
                    let body = self.reader.body(body);
                    return Ok(Some(Stored { seq, at, body }));
                }
                Next::Damaged { from, to } => self.note(from, to),
                Next::End { at } => {
                    if at < self.end && self.damage.last().is_none_or(|d| d.from != at) {
                        self.note(at, self.end);
                    }
                    return Ok(None);
                }
            }
        }
    }

    /// The body of the record at a position that [`Stored::at`] told, of so many bytes; `None` if it is damaged.
    ///
    /// # Errors
    /// As the file layer says.
    pub fn body_at(&self, at: u64, body_bytes: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; RECORD_HEADER_BYTES + body_bytes];
        let read = crate::files::read_up_to(&*self.file, &mut bytes, at)?;
        bytes.truncate(read);
        let parsed = record::parse(&bytes, self.salt, bytes.len() as u64);
        Ok(match parsed {
            Parsed::Sound { total, .. } if total == bytes.len() => {
                Some(bytes.split_off(RECORD_HEADER_BYTES))
            }
            _ => None,
        })
    }

    /// What was given to [`RecordFileWriter::finish`]; `None` if the footer is damaged or missing.
    #[must_use]
    pub fn digest(&self) -> Option<&[u8]> {
        self.digest.as_deref()
    }

    /// Whether it has an end that says so; one that still grows, or is cut, has none.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Damage met so far.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Its name when it was opened.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn note(&mut self, from: u64, to: u64) {
        self.damage.push(Damage {
            file: self.name.clone(),
            from,
            to,
            after: self.last,
        });
    }
}
