//! A segmented, checksummed, append-only log that always opens.
//!
//! Records are opaque bytes under rising sequence numbers. [`Log::push`] collects a batch, [`Log::write`] writes it,
//! [`Log::start_sync`] hands out what makes it durable: run it on this thread or another, and give the outcome back. What is
//! pushed meanwhile goes with the next sync, which is all there is to group commit. A sync that failed poisons the log: it
//! is never tried again, because a second one that succeeds proves nothing about the first one's bytes.
//!
//! Layers, from the outside in:
//! 1. [`Log`], and [`Cursor`], which reads it while it grows, is trimmed and rewritten;
//! 2. segments: one file each, sealed with an index and the user's [`Digest`], so that opening reads no record of them;
//! 3. records: marker, length, sequence number, CRC32C;
//! 4. [`Files`] and [`File`]: [`DiskFiles`] is a directory, [`SimFiles`] a faulty disk in memory.
//!
//! The layout is described byte by byte in the project's `docs/store-format.md`.
//!
//! ```
//! use std::sync::Arc;
//! use tidewire_log::{Crash, Cursor, Log, LogConfig, NoDigest, Preallocation, SimFiles};
//!
//! let disk = SimFiles::new(1);
//! let config = LogConfig {
//!     name: "log".into(),
//!     salt: 7,
//!     segment_bytes: 4096,
//!     reserve_bytes: 0,
//!     preallocation: Preallocation::None,
//!     digest: || Box::new(NoDigest),
//! };
//! let (mut log, _) = Log::open(Arc::new(disk.clone()), config.clone())?;
//! log.push(1, |into| into.extend_from_slice(b"kept"));
//! log.write()?;
//! log.sync()?;
//! log.push(2, |into| into.extend_from_slice(b"never synced"));
//! log.write()?;
//! disk.crash(Crash::ForgetAll);
//!
//! let (log, report) = Log::open(Arc::new(disk), config)?;
//! let mut cursor = Cursor::new(0);
//! assert_eq!(cursor.next(&log)?.map(|record| record.body), Some(&b"kept"[..]));
//! assert_eq!(cursor.next(&log)?, None);
//! assert!(report.is_sound());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod bytes;
mod cursor;
mod digest;
mod disk;
mod files;
mod known;
mod log;
mod open;
mod reader;
mod record;
mod report;
mod rewrite;
mod segment;
mod sim;
mod writer;

pub use cursor::{Cursor, Enter, Record};
pub use digest::{Digest, NoDigest};
pub use disk::DiskFiles;
pub use files::{File, Files, Lock, read_exact_at, read_up_to};
pub use known::DigestReader;
pub use log::{Log, LogConfig, Preallocation, SegmentId, SegmentInfo, SyncDone, SyncJob};
pub use open::check_version;
pub use record::{RECORD_HEADER_BYTES, checksum};
pub use report::{AppendError, Damage, OpenError, OpenReport};
pub use rewrite::{Keep, Rewrite, Step};
pub use segment::FORMAT_VERSION;
pub use sim::{Crash, Faults, IgnoresSyncs, SimFiles};
pub use writer::{RecordFile, RecordFileWriter, Stored};
