//! What a store's directory says about itself: format, number of shards, salt.

use crate::wire::{Reader, put_u16, put_u32};
use std::io;
use tidewire_log::{Files, read_up_to};

/// The version of the layout that this build writes, and the only one that it reads.
pub(crate) const STORE_FORMAT: u16 = 1;

const MAGIC: [u8; 8] = *b"TIDESTOR";
const BYTES: usize = 32;

/// Two files with the same bytes: losing one costs nothing.
pub(crate) const STAMP_NAMES: [&str; 2] = ["STORE", "STORE.copy"];

/// The stamp.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    pub(crate) shards: u16,
    pub(crate) salt: u32,
}

/// What reading it found.
#[derive(Debug)]
pub(crate) enum Found {
    Stamp(Stamp),
    /// Both files are missing.
    Nothing,
    /// There is one, and it is damaged.
    Damaged,
    Version(u16),
}

impl Stamp {
    pub(crate) fn read(files: &dyn Files) -> io::Result<Found> {
        let mut worst = Found::Nothing;
        for name in STAMP_NAMES {
            let file = match files.open(name) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut bytes = [0; BYTES];
            read_up_to(&*file, &mut bytes, 0)?;
            match Self::decode(&bytes) {
                Found::Damaged => worst = Found::Damaged,
                found => return Ok(found),
            }
        }
        Ok(worst)
    }

    pub(crate) fn write(self, files: &dyn Files) -> io::Result<()> {
        for name in STAMP_NAMES {
            let file = files.create(name)?;
            file.write_at(&self.encode(), 0)?;
            file.sync()?;
        }
        files.sync_dir()
    }

    /// Whether both files say so.
    pub(crate) fn is_whole(self, files: &dyn Files) -> io::Result<bool> {
        for name in STAMP_NAMES {
            let mut bytes = [0; BYTES];
            match files.open(name) {
                Ok(file) => read_up_to(&*file, &mut bytes, 0)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            };
            if bytes != *self.encode() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn encode(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_u16(&mut bytes, STORE_FORMAT);
        put_u16(&mut bytes, self.shards);
        put_u32(&mut bytes, self.salt);
        bytes.resize(BYTES - 4, 0);
        let sum = tidewire_log::checksum(&bytes);
        put_u32(&mut bytes, sum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Found {
        let (body, sum) = bytes.split_at_checked(BYTES - 4).unwrap_or_default();
        let mut from = Reader::new(body.strip_prefix(&MAGIC).unwrap_or_default());
        let sound = Reader::new(sum).u32() == Some(tidewire_log::checksum(body));
        match (from.u16(), from.u16(), from.u32()) {
            (Some(version), ..) if sound && version != STORE_FORMAT => Found::Version(version),
            (_, Some(shards), Some(salt)) if sound && shards > 0 => {
                Found::Stamp(Self { shards, salt })
            }
            _ => Found::Damaged,
        }
    }
}
