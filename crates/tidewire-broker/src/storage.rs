//! The store of a broker: what it is told at its start, and its opening.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use tidewire_core::{Durability, StoreConfig, UnixClock};
use tidewire_log::{DiskFiles, Files};
use tidewire_store::{Config, DurableEngine, OpenError, OpenReport};

/// Where a broker keeps what it owes, and how.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// The files: a directory of the disk, or what a test puts in its place.
    pub files: Arc<dyn Files>,
    /// The store's layout and limits.
    pub config: Config,
    /// How what the server itself publishes is kept.
    pub durability: Durability,
    /// Topic filters whose messages are kept otherwise than their listener says; the first that matches holds.
    pub topics: Vec<(Box<str>, Durability)>,
    /// Bytes that may wait for the store; publishers beyond that are not read.
    pub max_pending_bytes: usize,
    /// Threads that wait for the disk.
    pub sync_threads: usize,
    /// Unix time at which the workers' clock begins, in milliseconds; `None` = now. For worlds with a clock of their own.
    pub unix_origin_ms: Option<u64>,
}

impl StoreSettings {
    /// A store in these files, with every other setting at its default.
    #[must_use]
    pub fn new(files: Arc<dyn Files>) -> Self {
        Self {
            files,
            config: Config::default(),
            durability: Durability::Sync,
            topics: Vec::new(),
            max_pending_bytes: 256 << 20,
            // One for each shard lets all sync at once.
            sync_threads: Config::default().shards.into(),
            unix_origin_ms: None,
        }
    }

    /// A store in a directory, which is created if it is not there.
    ///
    /// # Errors
    /// The operating system's.
    pub fn in_folder(folder: &Path) -> std::io::Result<Self> {
        let mut settings = Self::new(Arc::new(DiskFiles::open(folder)?));
        settings.config.seed = random_seed()?;
        Ok(settings)
    }

    /// Opens the store.
    pub(crate) fn open(&self) -> Result<(DurableEngine, OpenReport), OpenError> {
        DurableEngine::open(Arc::clone(&self.files), self.config.clone())
    }

    /// What the cores have to know of it.
    pub(crate) fn core_config(&self, shards: u16, clock: UnixClock) -> StoreConfig {
        StoreConfig {
            shards,
            clock,
            durability: self.durability,
            topics: self.topics.clone(),
        }
    }
}

/// Salts the checksums of a store that is created.
fn random_seed() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Unix time in milliseconds; a clock before 1970 counts as 1970.
pub(crate) fn unix_now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Logs what opening found.
pub(crate) fn log_report(report: &OpenReport) {
    for line in report.to_string().lines() {
        if report.is_sound() {
            tracing::info!(target: crate::events::LOG, "store: {line}");
        } else {
            tracing::warn!(target: crate::events::LOG, "store: {line}");
        }
    }
}
