//! How far an uplink has come in the log, and the file that remembers it.
//!
//! The file has two slots of [`SLOT_BYTES`], written in turn, so that one is whole whenever the machine stops:
//! ```text
//! checksum u32 | length u32 | generation u64 | for each lane: place, sent, gaps u32, gaps times (place, sent, seq u64)
//! ```
//! A place is a record's number (u64) and how many things of it are done (u32). Little-endian; CRC32C.

use super::Lane;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tidewire_log::{File, Files, checksum, read_up_to};

const SLOT_BYTES: usize = 4096;

/// Gaps that are remembered at once; with so many, newer data wait for older ones.
pub(crate) const GAPS_MAX: usize = 32;

/// A place in a log: the first thing that is not done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Place {
    /// The record.
    pub seq: u64,
    /// Things of this record that are done.
    pub item: u32,
}

impl Place {
    /// The beginning of a record.
    #[must_use]
    pub const fn of(seq: u64) -> Self {
        Self { seq, item: 0 }
    }
}

/// A stretch that was left out for newer data, and is sent beside them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Gap {
    pub(crate) from: Place,
    /// Nothing of it from here on was ever handed to the client.
    pub(crate) sent: Place,
    /// The first record that does not belong to it.
    pub(crate) to: u64,
}

/// How far an uplink has come in one lane.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct LaneProgress {
    /// Everything before, but for the gaps, was acknowledged.
    pub place: Place,
    /// Nothing from here on was ever handed to the client.
    pub sent: Place,
    /// What was left out.
    pub(crate) gaps: Vec<Gap>,
}

impl LaneProgress {
    /// The first record that is still needed.
    #[must_use]
    pub fn needed_from(&self) -> u64 {
        self.gaps.first().map_or(self.place.seq, |gap| gap.from.seq)
    }
}

/// How far an uplink has come.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Progress {
    /// By [`Lane`].
    pub lanes: [LaneProgress; 2],
}

/// The file that remembers.
#[derive(Debug)]
pub(crate) struct ProgressFile {
    file: Arc<dyn File>,
    generation: Mutex<u64>,
}

impl ProgressFile {
    /// Opens the file of an uplink, and says what it remembers: nothing, if it is new or neither slot is whole.
    pub(crate) fn open(files: &dyn Files, uplink: &str) -> io::Result<(Self, Option<Progress>)> {
        let name = format!("progress-{uplink}");
        let file = match files.open(&name) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = files.create(&name)?;
                files.sync_dir()?;
                file
            }
            Err(error) => return Err(error),
        };
        let mut newest: Option<(u64, Progress)> = None;
        for slot in 0..2_u64 {
            let mut bytes = vec![0; SLOT_BYTES];
            let read = read_up_to(&*file, &mut bytes, slot * SLOT_BYTES as u64)?;
            bytes.truncate(read);
            if let Some((generation, progress)) = decode(&bytes)
                && newest.as_ref().is_none_or(|(known, _)| *known < generation)
            {
                newest = Some((generation, progress));
            }
        }
        let generation = Mutex::new(newest.as_ref().map_or(0, |(generation, _)| *generation));
        Ok((
            Self { file, generation },
            newest.map(|(_, progress)| progress),
        ))
    }

    /// Remembers.
    pub(crate) fn store(&self, progress: &Progress) -> io::Result<()> {
        let mut generation = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *generation += 1;
        let bytes = encode(*generation, progress);
        self.file
            .write_at(&bytes, (*generation % 2) * SLOT_BYTES as u64)
    }

    /// Makes it survive the machine. A loss costs duplicates, nothing else.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

fn encode(generation: u64, progress: &Progress) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.extend_from_slice(&generation.to_le_bytes());
    for lane in &progress.lanes {
        put_place(&mut bytes, lane.place);
        put_place(&mut bytes, lane.sent);
        let gaps = u32::try_from(lane.gaps.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&gaps.to_le_bytes());
        for gap in &lane.gaps {
            put_place(&mut bytes, gap.from);
            put_place(&mut bytes, gap.sent);
            bytes.extend_from_slice(&gap.to.to_le_bytes());
        }
    }
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    bytes.splice(4..8, length.to_le_bytes());
    let sum = checksum(bytes.get(4..).unwrap_or_default());
    bytes.splice(..4, sum.to_le_bytes());
    bytes
}

fn put_place(bytes: &mut Vec<u8>, place: Place) {
    bytes.extend_from_slice(&place.seq.to_le_bytes());
    bytes.extend_from_slice(&place.item.to_le_bytes());
}

fn decode(slot: &[u8]) -> Option<(u64, Progress)> {
    let mut at = 0;
    let sum = u32::from_le_bytes(take(slot, &mut at)?);
    let length = u32::from_le_bytes(take(slot, &mut at)?);
    let bytes = slot.get(..usize::try_from(length).ok()?)?;
    if checksum(bytes.get(4..)?) != sum {
        return None;
    }
    let generation = u64::from_le_bytes(take(bytes, &mut at)?);
    let mut progress = Progress::default();
    for lane in Lane::ALL {
        let place = place(bytes, &mut at)?;
        let sent = self::place(bytes, &mut at)?;
        let count = u32::from_le_bytes(take(bytes, &mut at)?);
        let gaps = (0..count)
            .map(|_| {
                let from = self::place(bytes, &mut at)?;
                let sent = self::place(bytes, &mut at)?;
                let to = u64::from_le_bytes(take(bytes, &mut at)?);
                Some(Gap { from, sent, to })
            })
            .collect::<Option<Vec<_>>>()?;
        progress.lanes[lane.index()] = LaneProgress { place, sent, gaps };
    }
    Some((generation, progress))
}

fn place(bytes: &[u8], at: &mut usize) -> Option<Place> {
    let seq = u64::from_le_bytes(take(bytes, at)?);
    let item = u32::from_le_bytes(take(bytes, at)?);
    Some(Place { seq, item })
}

fn take<const N: usize>(bytes: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let found = bytes.get(*at..*at + N)?;
    *at += N;
    found.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_log::SimFiles;

    fn progress(seq: u64) -> Progress {
        let lane = |seq| LaneProgress {
            place: Place { seq, item: 3 },
            sent: Place {
                seq: seq + 9,
                item: 0,
            },
            gaps: vec![Gap {
                from: Place { seq: 1, item: 2 },
                sent: Place::of(3),
                to: seq,
            }],
        };
        Progress {
            lanes: [lane(seq), lane(seq * 2)],
        }
    }

    #[test]
    fn newest_whole_slot_is_what_is_remembered() {
        let disk = SimFiles::new(1);
        let (file, found) = ProgressFile::open(&disk, "up").expect("open");
        assert_eq!(found, None);
        for seq in 1..=4 {
            file.store(&progress(seq)).expect("stored");
            let (_, found) = ProgressFile::open(&disk, "up").expect("open");
            assert_eq!(found, Some(progress(seq)));
        }
    }

    #[test]
    fn every_torn_write_leaves_this_state_or_the_one_before() {
        let disk = SimFiles::new(1);
        let (file, _) = ProgressFile::open(&disk, "up").expect("open");
        file.store(&progress(1)).expect("stored");
        let before = disk.bytes("progress-up").expect("bytes");
        file.store(&progress(2)).expect("stored");
        let after = disk.bytes("progress-up").expect("bytes");
        for torn in 0..after.len().min(SLOT_BYTES) {
            let mut bytes = before.clone();
            bytes.resize(after.len().max(before.len()), 0);
            bytes[..torn].copy_from_slice(&after[..torn]);
            disk.put("progress-up", bytes);
            let (_, found) = ProgressFile::open(&disk, "up").expect("open");
            assert!(
                found == Some(progress(1)) || found == Some(progress(2)),
                "{torn}"
            );
        }
    }

    #[test]
    fn most_gaps_fit_a_slot() {
        let mut full = progress(1);
        for lane in &mut full.lanes {
            lane.gaps = vec![
                Gap {
                    from: Place::of(1),
                    sent: Place::of(2),
                    to: 2
                };
                GAPS_MAX
            ];
        }
        assert!(encode(1, &full).len() <= SLOT_BYTES);
    }
}
