//! Both engines pass the same suite.

use std::sync::Arc;
use tidewire_log::{Crash, Preallocation, SimFiles};
use tidewire_store::suite::{Factory, Keeps};
use tidewire_store::{Config, DurableEngine, Engine, Limits, MemoryEngine};

#[derive(Debug)]
struct InMemory;

impl Factory for InMemory {
    fn open(&mut self, shards: u16) -> Box<dyn Engine> {
        Box::new(MemoryEngine::new(shards, Limits::default()))
    }

    fn crash(&mut self) {}

    fn keeps(&self) -> Keeps {
        Keeps::Nothing
    }
}

/// On a disk that forgets all that was not synced, with segments of so many bytes.
#[derive(Debug)]
struct OnDisk {
    disk: SimFiles,
    segment_bytes: u64,
}

impl OnDisk {
    fn new(segment_bytes: u64) -> Self {
        Self {
            disk: SimFiles::new(1),
            segment_bytes,
        }
    }
}

impl Factory for OnDisk {
    fn open(&mut self, shards: u16) -> Box<dyn Engine> {
        let config = Config {
            shards,
            seed: 7,
            segment_bytes: self.segment_bytes,
            reserve_bytes: 0,
            checkpoint_bytes: 4 * self.segment_bytes,
            preallocation: Preallocation::None,
            limits: Limits::default(),
        };
        let (engine, report) = DurableEngine::open(Arc::new(self.disk.clone()), config).unwrap();
        assert!(report.is_sound(), "{report}");
        Box::new(engine)
    }

    fn crash(&mut self) {
        self.disk.crash(Crash::ForgetAll);
    }

    fn keeps(&self) -> Keeps {
        Keeps::Synced
    }
}

tidewire_store::conformance_suite!(memory, InMemory);
tidewire_store::conformance_suite!(durable, OnDisk::new(1 << 20));
tidewire_store::conformance_suite!(durable_with_tiny_segments, OnDisk::new(600));
