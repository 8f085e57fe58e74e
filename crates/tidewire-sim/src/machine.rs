//! The machine that the broker runs on: its disk, its clock, and how it is started again after a crash.

use crate::act::Crash;
use crate::coverage::Coverage;
use crate::script::{Script, Storage};
use std::sync::Arc;
use tidewire_broker::simulated::{Pieces, Simulation};
use tidewire_broker::{Settings, StoreSettings};
use tidewire_core::Time;
use tidewire_log::{Crash as DiskCrash, Preallocation, SimFiles};
pub use tidewire_store::suite::Sabotage;
use tidewire_store::suite::Saboteur;

/// Unix time at which a life begins, in milliseconds.
const UNIX_ORIGIN_MS: u64 = 1_700_000_000_000;
/// So short that lives have many segments, checkpoints and rewrites.
const SEGMENT_BYTES: u64 = 16 * 1024;
const CHECKPOINT_BYTES: u64 = 32 * 1024;

#[derive(Debug)]
pub(crate) struct Machine {
    settings: Settings,
    seed: u64,
    pieces: Pieces,
    sabotage: Option<Sabotage>,
    pub(crate) disk: Option<SimFiles>,
    /// Time before the last start.
    before_micros: u64,
    starts: u64,
}

impl Machine {
    pub(crate) fn new(script: &Script, sabotage: Option<Sabotage>) -> Self {
        let disk = (script.storage == Storage::Disk).then(|| SimFiles::new(script.seed));
        Self {
            settings: script.settings(),
            seed: script.seed,
            pieces: script.pieces,
            sabotage,
            disk,
            before_micros: 0,
            starts: 0,
        }
    }

    pub(crate) fn start(&mut self) -> Simulation {
        self.starts += 1;
        let mut settings = self.settings.clone();
        if let Some(disk) = &self.disk {
            let mut store = StoreSettings::new(Arc::new(disk.clone()));
            store.config.seed = self.seed;
            store.config.segment_bytes = SEGMENT_BYTES;
            store.config.checkpoint_bytes = CHECKPOINT_BYTES;
            store.config.reserve_bytes = 0;
            store.config.preallocation = Preallocation::None;
            store.unix_origin_ms = Some(UNIX_ORIGIN_MS + self.before_micros / 1_000);
            settings.store = Some(store);
        }
        let sabotage = self.sabotage;
        // Each start has other hash seeds, as the real one has.
        let seed = self.seed.wrapping_add(self.starts << 32);
        Simulation::with_engine(&settings, seed, self.pieces, |engine| match sabotage {
            None => engine,
            Some(sabotage) => Box::new(Saboteur::new(engine, sabotage)),
        })
    }

    /// The time since the life began.
    pub(crate) fn time_of(&self, sim: &Simulation) -> Time {
        Time::from_micros(self.before_micros + sim.now().as_micros())
    }

    /// Stops the broker in the middle of whatever it does, and starts it again.
    pub(crate) fn crash(&mut self, sim: &mut Simulation, crash: Crash, coverage: &mut Coverage) {
        self.before_micros += sim.now().as_micros();
        let (crash, what) = match crash {
            Crash::Process => (DiskCrash::Process, "process killed"),
            Crash::ForgetAll => (DiskCrash::ForgetAll, "power lost"),
            Crash::TearInOrder => (
                DiskCrash::TearInOrder,
                "power lost in the middle of a write",
            ),
            Crash::TearAnyOrder => (DiskCrash::TearAnyOrder, "power lost, writes in any order"),
        };
        coverage.saw(what);
        if let Some(disk) = &self.disk {
            disk.crash(crash);
        }
        *sim = self.start();
    }
}
